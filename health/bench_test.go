package health

import (
	"fmt"
	"testing"
)

// BenchmarkSequences observes 1,000 hosts in turn, in order.
func BenchmarkSequences(b *testing.B) {
	q := NewSequences(SequencesConfig{})
	streams := make([]Stream, 1000)
	for i := range streams {
		streams[i] = Stream{Kind: RecordID, Source: "dc", Host: fmt.Sprintf("host-%d.corp.example", i), Channel: "Security"}
	}
	b.ReportAllocs()
	n := uint64(0)
	for b.Loop() {
		n++
		q.Observe(streams[n%1000], n/1000, base+int64(n), base+int64(n))
	}
}

// BenchmarkSequencesSparse observes every other number of one stream, which
// keeps it at its bound of missing runs.
func BenchmarkSequencesSparse(b *testing.B) {
	q := NewSequences(SequencesConfig{})
	n := uint64(0)
	for b.Loop() {
		n += 2
		q.Observe(Stream{Kind: RecordID, Source: "s"}, n, base+int64(n), base+int64(n))
	}
}

// BenchmarkSilence checks 1,000 sources, most of which speak.
func BenchmarkSilence(b *testing.B) {
	q := NewSilence(SilenceConfig{})
	names := make([]string, 1000)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	now := monday
	b.ReportAllocs()
	for b.Loop() {
		now++
		for i, name := range names {
			if i%50 != 0 || now%7 == 0 {
				q.Observe(name, now, 1)
			}
		}
		q.Check(now)
	}
}
