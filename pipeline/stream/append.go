package stream

import (
	"context"
	"fmt"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/store"
)

// appendBytesMax bounds one entry of sections.
const appendBytesMax = 4 << 20

// drained is what one pass takes from a feed.
type drained struct {
	feed     *feed
	outputs  int
	through  int64
	snapshot []byte
}

// append writes what stage 1 found to the log, as fast as the log syncs.
func (n *Node) append(ctx context.Context) error {
	for {
		more, err := n.drain(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		select {
		case <-n.outbound:
		case <-ctx.Done():
			return nil
		}
	}
}

// drain appends one round of outputs, and reports whether there was any.
func (n *Node) drain(ctx context.Context) (bool, error) {
	entries := map[store.Partition]*store.Entry{}
	var order []store.Partition
	var taken []drained
	for _, f := range n.scheduler.all() {
		p := store.Partition{Tenant: f.partition.Tenant, Kind: KindMatches, Source: f.source.scope()}
		e := entries[p]
		f.mu.Lock()
		d := drained{feed: f}
		for len(f.outputs) > d.outputs && (e == nil || len(e.Payload) < appendBytesMax) {
			o := &f.outputs[d.outputs]
			if e == nil {
				e = &store.Entry{Partition: p, Meta: []byte{metaSections}}
				entries[p] = e
				order = append(order, p)
			}
			e.Payload = append(e.Payload, o.data...)
			d.outputs++
			d.through = o.through
			if o.snapshot != nil {
				d.snapshot = o.snapshot
			}
		}
		f.outputs = append(f.outputs[:0], f.outputs[d.outputs:]...)
		f.mu.Unlock()
		if d.outputs > 0 {
			taken = append(taken, d)
		}
	}
	if len(taken) == 0 {
		return false, nil
	}
	list := make([]store.Entry, 0, len(order))
	for _, p := range order {
		list = append(list, *entries[p])
	}
	if err := n.persist(ctx, list); err != nil {
		return false, err
	}
	for i := range taken {
		d := &taken[i]
		d.feed.mu.Lock()
		d.feed.written = d.through
		d.feed.mu.Unlock()
		n.scheduler.written(d.feed, d.outputs)
		if d.snapshot == nil {
			continue
		}
		p := d.feed.partition
		if err := saveState(n.records, p.Tenant, kindFeed, feedID(p), d.snapshot); err != nil {
			return false, fmt.Errorf("keep the state of %v: %w", p, err)
		}
		n.log.Release(p, snapshotNext(d.snapshot))
	}
	return true, nil
}

// persist appends entries, and tries again while the disk does not take them:
// what they hold was acknowledged and must be decided.
func (n *Node) persist(ctx context.Context, entries []store.Entry) error {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		_, err := n.log.Append(entries)
		if !passing(err) {
			return err
		}
		n.logger.Error("matches cannot be written; trying again", "error", err.Error())
		if err := env.Sleep(ctx, n.clock, wait); err != nil {
			return err
		}
	}
}
