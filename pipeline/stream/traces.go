package stream

import (
	"context"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/tracing"
)

// traceEvaluated notes that an entry went through a worker.
func (n *Node) traceEvaluated(t *task) {
	if n.cfg.Traces == nil || t.out == nil {
		return
	}
	p := t.feed.partition
	matches := 0
	for i := range t.out.found {
		matches += len(t.out.found[i].hits)
	}
	n.cfg.Traces.Batch(context.Background(), tracing.Evaluate, tracing.Place{Tenant: p.Tenant.String(), Source: p.Source, Shard: p.Shard, Offset: t.offset},
		tracing.Counts{Records: t.out.batch.Records(), Bytes: t.bytes, Matches: matches}, t.started, n.clock.Now(), nil)
}

// traceDecided notes that what was found in entries is decided and stored.
func (n *Node) traceDecided(t event.Tenant, sections []*Section, began time.Time) {
	if n.cfg.Traces == nil {
		return
	}
	now := n.clock.Now()
	for _, x := range sections {
		if x.Counts.Records == 0 {
			continue
		}
		n.cfg.Traces.Batch(context.Background(), tracing.Decide, tracing.Place{Tenant: t.String(), Source: x.Source, Shard: x.Shard, Offset: x.Offset},
			tracing.Counts{Records: int(x.Counts.Records), Matches: int(x.Counts.Matches)}, began, now, nil)
	}
}
