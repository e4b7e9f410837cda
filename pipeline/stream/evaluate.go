package stream

import (
	"context"
	"fmt"

	"github.com/tiercel-io/tiercel/ingest"
)

// work evaluates entries until the scheduler stops.
func (n *Node) work(context.Context) error {
	w := newWorker(n.cfg.Format, n.cfg.Detect, n.elapsed, n.metrics.evaluated)
	w.bound, w.take = n.cfg.Costs.P99, n.costs
	for {
		t := n.scheduler.next()
		if t == nil {
			return nil
		}
		t.started = n.clock.Now()
		if err := n.evaluate(w, t, func() { n.scheduler.loaded(t) }); err != nil {
			return err
		}
		n.traceEvaluated(t)
		n.scheduler.evaluated(t)
		if err := n.complete(w, t); err != nil {
			return err
		}
	}
}

// evaluate reads and evaluates one entry. loaded is called once it is read.
func (n *Node) evaluate(w *worker, t *task, loaded func()) error {
	f := t.feed
	page, err := n.log.Read(f.partition, t.offset, 1)
	if err != nil {
		return fmt.Errorf("read %v at %d: %w", f.partition, t.offset, err)
	}
	if len(page.Entries) == 0 || page.Entries[0].Offset != t.offset {
		t.damaged = "it is not there"
		for _, g := range page.Gaps {
			if t.offset < g.From || t.offset >= g.To {
				continue
			}
			t.damaged = g.Why
			if m, err := ingest.ParseMeta(g.Metas[t.offset]); err == nil {
				t.meta, t.records = m, m.Records
			}
		}
		n.logger.Error("an entry of the log cannot be read; its records are lost and counted as damaged", "partition", f.partition.String(), "offset", t.offset, "records", t.records, "why", t.damaged)
		n.cfg.Metrics.LogDamaged.Inc()
		loaded()
		return nil
	}
	e := &page.Entries[0]
	t.bytes = len(e.Payload)
	loaded()
	if t.meta, err = ingest.ParseMeta(e.Meta); err == nil && t.meta.Kind == ingest.KindBatch {
		t.payload = e.Payload
		t.out = &outcome{newest: never}
		if err = ingest.ParsePayload(t.payload, t.meta, &t.out.batch); err == nil {
			t.out.batch.Tenant, t.out.batch.Source = f.partition.Tenant, f.partition.Source
			f.mu.Lock()
			c := f.content
			t.out.measure = f.measure(t.meta.Received)
			f.mu.Unlock()
			w.evaluate(c, f.partition.Tenant, f.source, t.out)
		}
	}
	if err != nil {
		t.damaged, t.records, t.out = err.Error(), t.meta.Records, nil
		n.logger.Error("an entry of the log cannot be understood; its records are counted as damaged", "partition", f.partition.String(), "offset", t.offset, "records", t.records, "why", t.damaged)
	}
	return nil
}

// complete marks a task as done and collects whatever of its partition is due.
func (n *Node) complete(w *worker, t *task) error {
	f := t.feed
	bytes := 0
	defer func() { n.scheduler.collected(bytes) }() // its lock comes before the feed's
	f.mu.Lock()
	defer f.mu.Unlock()
	t.done = true
	any := false
	for due := f.due(); due != nil; due = f.due() {
		if due.out != nil && due.out.version != f.content.Version {
			// The content changed between the evaluation and now.
			due.out = &outcome{newest: never, batch: due.out.batch}
			w.evaluate(f.content, f.partition.Tenant, f.source, due.out)
		}
		bytes += due.bytes
		s, err := f.collect(due, n.contents.get)
		if err != nil {
			return err
		}
		n.metrics.givenUp(f.assembler.GivenUp())
		if due.out != nil {
			n.measured(f, due.meta.Received, s, due.out)
		}
		o := output{through: due.through, data: s.append(nil), received: due.meta.Received}
		now := n.clock.Now()
		if now.Sub(f.snapshotAt) > feedSnapshotEvery || due.through == f.reread {
			o.snapshot = f.encode()
			f.snapshotAt = now
		}
		f.outputs = append(f.outputs, o)
		n.metrics.stage("evaluate", now.Sub(due.started))
		any = true
	}
	if any {
		select {
		case n.outbound <- struct{}{}:
		default:
		}
	}
	return nil
}
