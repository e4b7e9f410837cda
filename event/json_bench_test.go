package event_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/valyala/fastjson"
)

// corpusLines returns the lines of one file of the corpus, so that figures
// can be compared from run to run.
func corpusLines(b *testing.B) [][]byte {
	b.Helper()
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		b.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	names, err := filepath.Glob(filepath.Join(dir, "windows-attacks", "execution", "*.jsonl"))
	if err != nil || len(names) == 0 {
		b.Fatalf("no files of windows-attacks in %s: %v", dir, err)
	}
	var lines [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				lines = append(lines, line)
			}
		}
		if len(lines) > 20_000 {
			break
		}
	}
	return lines
}

func BenchmarkParseJSON(b *testing.B) {
	lines := corpusLines(b)
	size := 0
	for _, l := range lines {
		size += len(l)
	}
	b.Run("tree", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		var t event.Tree
		for b.Loop() {
			for _, l := range lines {
				if err := t.ParseJSON(l); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(lines)), "ns/event")
	})
	b.Run("fastjson", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		var p fastjson.Parser
		for b.Loop() {
			for _, l := range lines {
				if _, err := p.ParseBytes(l); err != nil {
					b.Fatal(err)
				}
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(lines)), "ns/event")
	})
}
