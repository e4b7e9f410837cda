package correlate

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

type nowhere struct{ detections, late int }

func (n *nowhere) Detection(*Detection) { n.detections++ }
func (n *nowhere) Late(Late)            { n.late++ }

// counted is an engine with one event_count correlation by one field.
func counted(threshold float64, budget Budget) *Engine {
	r := &rule.Rule{ID: "r", SemanticHash: "h"}
	c := &rule.Correlation{
		ID: "c", SemanticHash: "h", Type: rule.EventCount, GroupBy: []string{"User"}, Timespan: 10 * time.Minute,
		Rules: []rule.Reference{{Name: "r", Rule: r}}, Thresholds: []rule.Threshold{{Op: rule.OpGte, N: threshold}},
	}
	return New(Config{Tenant: event.LocalTenant, Rules: []*rule.Rule{r}, Correlations: []*rule.Correlation{c}, Budget: budget})
}

// stream makes hits in time order, a microsecond step apart, over keys.
type stream struct {
	n    uint64
	key  [1]string
	hit  Hit
	text []byte
}

func (s *stream) next(key uint64, step int64) *Hit {
	s.n++
	s.text = fmt.Appendf(s.text[:0], "user-%07d", key)
	s.key[0] = string(s.text)
	s.hit = Hit{Time: 1_700_000_000_000_000 + int64(s.n)*step, Fields: [][]string{s.key[:]}}
	binary.BigEndian.PutUint64(s.hit.ID[:], s.n*0x9e3779b97f4a7c15)
	return &s.hit
}

// BenchmarkHits feeds matches into 100,000 live groups, the watermark moving
// with every thousand.
func BenchmarkHits(b *testing.B) {
	e := counted(20, Budget{})
	var s stream
	var out nowhere
	const groups = 100_000
	for i := range uint64(groups) {
		e.Hit(s.next(i, 500), &out)
	}
	b.ReportAllocs()
	b.ResetTimer()
	start := cpu()
	for i := range b.N {
		e.Hit(s.next(uint64(i)*7919%groups, 500), &out)
		if i%1000 == 999 {
			e.Flush(&out)
			e.Watermark(0, s.hit.Time-300_000_000, &out)
		}
	}
	b.ReportMetric(float64(b.N)/(cpu()-start).Seconds(), "hits/s")
}

// cpu returns the processor time of the process so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkMillionGroups reports the memory of a million groups of one to four
// hits, and of as many that all have four.
func BenchmarkMillionGroups(b *testing.B) {
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		e := counted(20, Budget{})
		var s stream
		var out nowhere
		for round := range uint64(4) {
			for i := range uint64(1_000_000) {
				if i%4 >= round {
					e.Hit(s.next(i, 10), &out)
				}
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		for round := range uint64(4) {
			for i := range uint64(1_000_000) {
				if i%4 < round {
					e.Hit(s.next(i, 10), &out)
				}
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB-four-each")
		if c := e.Counters(); c.EvictedGroups > 0 {
			b.Fatalf("%d groups evicted", c.EvictedGroups)
		}
		runtime.KeepAlive(e)
	}
}

// BenchmarkSnapshot writes the state of 100,000 groups of four hits.
func BenchmarkSnapshot(b *testing.B) {
	e := counted(20, Budget{})
	var s stream
	var out nowhere
	for range 4 {
		for i := range uint64(100_000) {
			e.Hit(s.next(i, 10), &out)
		}
	}
	b.ResetTimer()
	start := cpu()
	for range b.N {
		if err := e.Snapshot(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric((cpu()-start).Seconds()/float64(b.N), "s/snapshot")
}

// BenchmarkFlood hands in keys that never come again, and between them an
// attack of twenty hits, and reports whether it was found.
func BenchmarkFlood(b *testing.B) {
	for range b.N {
		e := counted(10, Budget{})
		var s stream
		var out nowhere
		const keys = 10_000_000
		for i := range uint64(keys) {
			e.Hit(s.next(i+1, 30), &out)
			if i%(keys/20) == 0 {
				e.Hit(s.next(0, 30), &out)
			}
			if i%1000 == 999 {
				e.Flush(&out)
				e.Watermark(0, s.hit.Time-60_000_000, &out)
			}
		}
		e.Close(&out)
		b.ReportMetric(float64(e.Counters().EvictedGroups), "evicted")
		found := 0.0
		if out.detections > 0 {
			found = 1
		}
		b.ReportMetric(found, "found")
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/1e6, "MB-sys")
	}
}
