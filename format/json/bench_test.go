package json

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/valyala/fastjson"
)

// BenchmarkNDJSON splits and parses files of the windows-attacks corpus, next
// to fastjson parsing the same lines, which are cut beforehand.
func BenchmarkNDJSON(b *testing.B) {
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		b.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	names, err := filepath.Glob(filepath.Join(dir, "windows-attacks", "*", "*.jsonl"))
	if err != nil || len(names) == 0 {
		b.Fatalf("no files of windows-attacks in %s: %v", dir, err)
	}
	const enough = 32 << 20
	var data []byte
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		if data = append(append(data, text...), '\n'); len(data) > enough {
			break
		}
	}
	var cut [][]byte
	for line := range bytes.Lines(data) {
		if line = bytes.TrimSpace(line); len(line) > 0 {
			cut = append(cut, line)
		}
	}
	perRecord := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(cut)), "ns/record")
	}
	read := func(b *testing.B, parse bool) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		var block format.Block
		f := Format()
		p := f.NewParser(format.Options{})
		records := 0
		count := func(*event.Record) { records++ }
		for b.Loop() {
			records = 0
			s := f.NewSplitter(bytes.NewReader(data), format.Options{})
			for {
				if err := s.Next(&block); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					b.Fatal(err)
				}
				if !parse {
					records += len(block.Frames)
					continue
				}
				for _, fr := range block.Frames {
					if err := p.Parse(&block, fr, count); err != nil {
						b.Fatal(err)
					}
				}
			}
			if records != len(cut) {
				b.Fatalf("%d records of %d", records, len(cut))
			}
		}
		perRecord(b)
	}
	b.Run("split", func(b *testing.B) { read(b, false) })
	b.Run("split+parse", func(b *testing.B) { read(b, true) })
	b.Run("fastjson", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		var p fastjson.Parser
		for b.Loop() {
			for _, line := range cut {
				if _, err := p.ParseBytes(line); err != nil {
					b.Fatal(err)
				}
			}
		}
		perRecord(b)
	})
}
