package evtx

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// BenchmarkParse reads every log of the corpus into trees, from bytes in
// memory, and reports the cost of a record.
func BenchmarkParse(b *testing.B) {
	var files [][]byte
	size := 0
	for _, path := range logs(b, filepath.Join(corpus(b), "evtx")) {
		data, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, data)
		size += len(data)
	}
	b.SetBytes(int64(size))
	f := Format()
	p := f.NewParser(format.Options{})
	var block format.Block
	records := 0
	emit := func(*event.Record) { records++ }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for range b.N {
		for _, data := range files {
			s := f.NewSplitter(bytes.NewReader(data), format.Options{})
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
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(records), "allocs/record")
}
