package stream

import (
	"context"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ledger"
)

// tendEvery is how often the node looks after itself.
const tendEvery = time.Second

// auditMinutes is how far back the ledger is checked, over and over: what has
// settled once does not change, and a fault must not pass unseen over a night.
const auditMinutes = 24 * 60

// tend writes the ledger and keeps the figures, each second, and checks the
// account each minute.
func (n *Node) tend(ctx context.Context) error {
	minute := int64(0)
	for {
		if err := env.Sleep(ctx, n.clock, tendEvery); err != nil {
			return nil
		}
		if err := n.ledger.flush(); err != nil {
			return err
		}
		if err := n.turn(nil); err != nil && !passing(err) {
			return err
		}
		if err := n.holdDear(); err != nil {
			n.logger.Error("a rule that costs too much cannot be taken out", "error", err.Error())
		}
		n.gauges()
		n.tickRates()
		if now := n.clock.Now().Unix() / 60; now != minute {
			minute = now
			if err := n.audit(now); err != nil {
				n.logger.Error("the ledger cannot be checked", "error", err.Error())
			}
			if err := n.listen(now); err != nil {
				return err
			}
			n.contents.forget(n.uses())
		}
	}
}

// uses returns which contents decide something.
func (n *Node) uses() func(Version) bool {
	used := map[Version]bool{n.current.Load().Version: true}
	for _, f := range n.scheduler.all() {
		f.mu.Lock()
		used[f.content.Version], used[f.version] = true, true
		f.mu.Unlock()
	}
	n.mu.Lock()
	for _, s := range n.scopes {
		used[s.expects] = true
	}
	n.mu.Unlock()
	return func(v Version) bool { return used[v] }
}

// gauges brings the figures that stand for now up to date.
func (n *Node) gauges() {
	now := n.clock.Now()
	waiting, outputs := 0, 0
	var oldest time.Duration
	for _, f := range n.scheduler.all() {
		f.mu.Lock()
		waiting += f.backlog.waiting()
		outputs += len(f.outputs)
		at := f.arrivedAt
		f.mu.Unlock()
		if first := f.backlog.oldest.Load(); first > 0 {
			oldest = max(oldest, now.Sub(time.UnixMicro(first)))
		}
		if at > 0 {
			n.cfg.Metrics.SourceLast.WithLabelValues(f.partition.Tenant.String(), f.partition.Source).Set(float64(at) / 1e6)
		}
	}
	n.cfg.Metrics.QueueDepth.WithLabelValues("evaluate").Set(float64(waiting))
	n.cfg.Metrics.QueueDepth.WithLabelValues("append").Set(float64(outputs))
	n.cfg.Metrics.QueueOldest.WithLabelValues("evaluate").Set(oldest.Seconds())
	n.scopeGauges(now)
}

// audit compares both sides of the ledger. What does not come out is an alarm:
// it cannot happen, and when it does records were lost or counted twice.
func (n *Node) audit(minute int64) error {
	unaccounted := map[sourceKey]int64{}
	for _, t := range n.cfg.Tenants {
		done := n.progress(t)
		a, err := ledger.Check(n.records.Scan, t, minute-auditMinutes, minute+1, done)
		if err != nil {
			return err
		}
		for _, r := range a.Remainders {
			unaccounted[sourceKey{t, r.Source}] += r.Unexplained()
			n.logger.Error("records are not accounted for", "tenant", t.String(), "source", r.Source, "minute", time.Unix(r.Minute*60, 0).UTC().Format(time.RFC3339),
				"received", r.Received, "accounted", r.Accounted)
		}
	}
	n.cfg.Metrics.Unaccounted.Reset()
	for _, f := range n.scheduler.all() {
		n.cfg.Metrics.Unaccounted.WithLabelValues(f.partition.Tenant.String(), f.partition.Source).Set(float64(unaccounted[sourceKey{f.partition.Tenant, f.partition.Source}]))
	}
	n.mu.Lock()
	n.unaccounted = unaccounted
	n.mu.Unlock()
	return nil
}

// progress says up to which position each side of a tenant's ledger stands in
// the store.
func (n *Node) progress(t event.Tenant) ledger.Progress {
	p := ledger.Progress{Received: map[string]int64{}, Evaluated: map[string]int64{}}
	n.ledger.mu.Lock()
	for part, next := range n.ledger.next {
		if part.Tenant == t && !n.ledger.dirty[part] && next > 0 {
			p.Received[part.String()] = next - 1
		}
	}
	n.ledger.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, next := range n.counted {
		if name.Tenant == t && next > 0 {
			p.Evaluated[name.String()] = next - 1
		}
	}
	return p
}
