package stream

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
)

// A sender that repeats only some of what it sent (those items of a bulk request
// that it takes for refused, say) makes another batch of them, which is stored.
// Records that have ids of their own are known by these all the same: a rule finds
// each once, and a correlation counts each once.
func TestRepeatedRecordsAreKnownByTheirIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := quiet(t, map[string]string{"a.yml": ruleWhoami, "b.yml": ruleMany}, nil)
		r.start()
		at := time.Now()
		send := func(records ...int) {
			b := &ingest.Batch{Tenant: event.LocalTenant, Source: "pc", Protocol: "elastic", Format: "json"}
			for _, n := range records {
				start := len(b.Data)
				b.Data = append(b.Data, process(at.Add(time.Duration(n)*time.Second), "ws", whoami, n)...)
				b.Frames = append(b.Frames, format.Frame{Start: start, End: len(b.Data)})
				b.Data = append(b.Data, '\n')
				b.Native = append(b.Native, []byte{'i', 0, byte(n)})
			}
			if err := r.gate.Accept(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			pass(2 * time.Second)
		}
		totals := func(when string, whoami, many int) {
			t.Helper()
			got := map[string]int{}
			page, err := r.node.detections.List(event.LocalTenant, detection.Filter{Limit: detection.LimitMax})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page.Detections {
				got[d.Rule.Title] += int(d.Count)
			}
			if got["Who am I"] != whoami || got["Many questions"] != many {
				t.Errorf("%s: counted %v, want %d and %d", when, got, whoami, many)
			}
		}
		send(1, 2)
		send(2) // of the first body, alone
		send(2, 1)
		totals("two records, some repeated", 2, 0)
		send(1, 3)
		totals("three records", 3, 3)
		// Also by a process that knows them from what it kept alone.
		r.end()
		r.start()
		send(3, 2)
		totals("after a start", 3, 3)
		// What was stored again was received, and is accounted for.
		if c := r.settled(9); c.Received != 9 || c.Evaluated != 9 {
			t.Errorf("ledger %+v", c)
		}
		r.end()
	})
}
