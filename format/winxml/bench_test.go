package winxml

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// BenchmarkParse reads 10,000 events into trees, from bytes in memory, and
// reports the cost of one.
func BenchmarkParse(b *testing.B) {
	const events = 10_000
	text := "<Events>" + strings.Repeat(logon+"\r\n", events) + "</Events>"
	f := Format()
	p := f.NewParser(format.Options{})
	var block format.Block
	records := 0
	emit := func(*event.Record) { records++ }
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s := f.NewSplitter(strings.NewReader(text), format.Options{})
		for {
			err := s.Next(&block)
			for _, frame := range block.Frames {
				if err := p.Parse(&block, frame, emit); err != nil {
					b.Fatal(err)
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
}
