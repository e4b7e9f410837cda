package evtx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// corpus returns the folder of test data, or skips.
func corpus(tb testing.TB) string {
	tb.Helper()
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		tb.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	return dir
}

// logs returns the paths of the .evtx files below dir.
func logs(tb testing.TB, dir string) []string {
	tb.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".evtx") {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	if len(paths) == 0 {
		tb.Fatalf("no .evtx file below %s", dir)
	}
	return paths
}

// read parses r to its end and calls emit for each record. It returns the
// problems of the splitter and of the parser.
func read(r io.Reader, emit func(*event.Record)) ([]format.Problem, error) {
	f := Format()
	s, p := f.NewSplitter(r, format.Options{}), f.NewParser(format.Options{})
	var problems []format.Problem
	var b format.Block
	for {
		err := s.Next(&b)
		problems = append(problems, b.Problems...)
		for _, frame := range b.Frames {
			if err := p.Parse(&b, frame, emit); err != nil {
				var at format.Problem
				if !errors.As(err, &at) {
					return problems, fmt.Errorf("not a problem with a position: %w", err)
				}
				problems = append(problems, at)
			}
		}
		if errors.Is(err, io.EOF) {
			return problems, nil
		}
		if err != nil {
			return problems, err
		}
	}
}

// headerRecords returns the number of records that the chunk headers of a
// sound file count.
func headerRecords(data []byte) (n int) {
	for at := fileHeaderBytes; at+chunkHeaderBytes <= len(data); at += chunkBytes {
		c := data[at:]
		if string(c[:8]) != string(chunkMagic) {
			continue
		}
		first, last := binary.LittleEndian.Uint64(c[8:]), binary.LittleEndian.Uint64(c[16:])
		if binary.LittleEndian.Uint32(c[48:]) > chunkHeaderBytes && last >= first && first > 0 {
			n += int(last - first + 1)
		}
	}
	return n
}

func TestCorpusFiles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(corpus(t), "evtx")
	files, records, problems := 0, 0, 0
	for _, path := range logs(t, dir) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files++
		n := 0
		found, err := read(strings.NewReader(string(data)), func(rec *event.Record) {
			n++
			if i := rec.Tree.Path("Event", "SubscriptionBookmarkEvent"); i > 0 {
				return // the collector's own mark in a forwarded log has no such fields
			}
			id := rec.Tree.Path("Event", "System", "EventRecordID")
			if id < 0 || rec.Tree.Text(id) != fmt.Sprint(rec.RecordID) {
				t.Errorf("%s: record %d: its EventRecordID is another", path, rec.RecordID)
			}
			if rec.Time.IsZero() || rec.Time.Year() < 2005 || rec.Time.Year() > 2030 {
				t.Errorf("%s: record %d: time %v", path, rec.RecordID, rec.Time)
			}
			if i := rec.Tree.Path("Event", "System", "EventID"); i < 0 || rec.Tree.Kind(i) == event.String {
				t.Errorf("%s: record %d: EventID is missing or not a number", path, rec.RecordID)
			}
			if rec.Tree.Path("Event", "System", "Channel") < 0 {
				t.Errorf("%s: record %d has no channel", path, rec.RecordID)
			}
		})
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		for _, p := range found {
			problems++
			t.Errorf("%s: %v", path, p)
		}
		if want := headerRecords(data); n != want {
			t.Errorf("%s: %d records, its chunk headers count %d", path, n, want)
		}
		records += n
	}
	t.Logf("%d files, %d records, %d problems", files, records, problems)
}
