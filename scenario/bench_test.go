package scenario

import (
	"testing"
	"time"
)

func BenchmarkNext(b *testing.B) {
	s, err := New(Config{Hosts: 500, Rate: 20000, Duration: 365 * 24 * time.Hour, Attacks: []string{"none"}})
	if err != nil {
		b.Fatal(err)
	}
	var e Event
	b.ReportAllocs()
	var bytes int64
	for b.Loop() {
		if !s.Next(&e) {
			b.Fatal("the scenario ended")
		}
		bytes += int64(len(e.Raw))
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(bytes)/float64(b.N), "bytes/event")
}
