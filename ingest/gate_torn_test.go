package ingest

import (
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/store"
)

// tornLog is a log that a power cut left with the head of one batch.
type tornLog struct {
	store.Log
	partition store.Partition
	meta      []byte
	sound     bool
	appended  int
}

func (l *tornLog) Heads() []store.Head { return []store.Head{{Partition: l.partition, Next: 1}} }

func (l *tornLog) Metas(_ store.Partition, _ int64, visit func(int64, []byte) bool) error {
	visit(0, l.meta)
	return nil
}

func (l *tornLog) Sound(store.Partition, int64) bool { return l.sound }

func (l *tornLog) Append([]store.Entry) ([]int64, error) {
	l.appended++
	return []int64{1}, nil
}

// A batch of which a power cut left the head and tore the records was never
// answered: when it comes again it is stored, and not taken for a duplicate.
func TestTornBatchIsNoDuplicate(t *testing.T) {
	t.Parallel()
	for _, sound := range []bool{false, true} {
		data := []byte(`{"a":1}`)
		world := env.Real()
		l := &tornLog{
			partition: store.Partition{Tenant: event.LocalTenant, Kind: KindEvents, Source: "s"}, sound: sound,
			meta: AppendMeta(nil, Meta{Kind: KindBatch, Protocol: "ndjson", Received: time.Now().UnixMicro(), Records: 1, Bytes: len(data), Key: sha256.Sum256(data)}),
		}
		g, err := NewGate(GateConfig{Log: l, Clock: world.Clock, Metrics: metric.New()})
		if err != nil {
			t.Fatal(err)
		}
		b := &Batch{Tenant: event.LocalTenant, Source: "s", Protocol: "ndjson", Data: data, Frames: []format.Frame{{End: len(data)}}}
		if err := g.Accept(context.Background(), b); err != nil {
			t.Fatal(err)
		}
		if stored := l.appended == 1; stored == sound {
			t.Errorf("the batch in the log is whole: %v; that which came again was stored: %v", sound, stored)
		}
	}
}
