package file

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/container"
	"github.com/tiercel-io/tiercel/format/files"
	"github.com/tiercel-io/tiercel/format/formats"
)

// folder fills a folder with the samples of all packs, some of them packed.
func folder(t *testing.T) string {
	t.Helper()
	samples, err := filepath.Glob("../../pack/packs/*/samples/*")
	if err != nil || len(samples) < 20 {
		t.Fatalf("%d samples, %v", len(samples), err)
	}
	dir := t.TempDir()
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var archive bytes.Buffer
	zw := zip.NewWriter(&archive)
	for i, name := range samples {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		flat := fmt.Sprintf("%03d-%s", i, filepath.Base(name))
		switch i % 3 {
		case 0:
			put(flat, data)
		case 1:
			put(flat+".gz", []byte(zipText(t, string(data))))
		default:
			w, err := zw.Create(flat)
			if err == nil {
				_, err = w.Write(data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	put("999-rest.zip", archive.Bytes())
	put("500-many.json", []byte(text(lines(0, 60_000))))
	put("501-open.json", []byte("{\"n\":1}\n{\"n\":2}"))
	put("502-empty.json", nil)
	put("503-binary", []byte{1, 2, 3, 4, 5, 6, 7, 8})
	return dir
}

// scanned reads a folder as a scan does: each file whole, in order.
func scanned(t *testing.T, dir string) (frames []string) {
	t.Helper()
	files.Walk(env.Real(), []string{dir}, func(f files.File) bool {
		file, err := os.Open(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		err = container.Walk(container.Input{Name: f.Path, Reader: file, At: file, Size: f.Size}, func(e container.Entry) error {
			head, _ := e.Reader.Peek(container.HeadBytes)
			kind, ok := formats.Detect(head, base(e.Name))
			if !ok {
				return nil
			}
			o := format.Options{Name: base(e.Name), Reference: f.Modified}
			split := kind.NewSplitter(e.Reader, o)
			var b format.Block
			for {
				err := split.Next(&b)
				for _, fr := range b.Frames {
					frames = append(frames, fmt.Sprintf("%s %s %d %d %s", e.Name, kind.Name, fr.Offset, fr.Line, b.Data[fr.Start:fr.End]))
				}
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		}, func(string, format.Problem) {})
		if err != nil {
			t.Fatal(err)
		}
		return true
	})
	return frames
}

func (s *sink) imported() (frames []string, lasts int) {
	for _, b := range s.batches {
		if b.File.Last {
			lasts++
		}
		for _, f := range b.Frames {
			frames = append(frames, fmt.Sprintf("%s %s %d %d %s", b.File.Path, b.Format, f.Offset, f.Line, b.Data[f.Start:f.End]))
		}
	}
	return frames, lasts
}

func importer(t *testing.T, dir string) (*sink, *memory, Options) {
	t.Helper()
	s, m := newSink(), &memory{}
	b := newBench(t, "/unused")
	o := b.o
	o.Env = env.Real()
	o.Env.Clock = &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	o.Sink, o.Checkpoints, o.Paths, o.Mode = s, m, []string{dir}, Import
	return s, m, o
}

func run(t *testing.T, o Options) error {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Run(context.Background())
}

func TestImportIsAsScan(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s, m, o := importer(t, dir)
	if err := run(t, o); err != nil {
		t.Fatal(err)
	}
	want := scanned(t, dir)
	got, lasts := s.imported()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
	if end := s.batches[len(s.batches)-1]; lasts != 1 || !end.File.Last || end.Records() != 0 {
		t.Errorf("%d last batches", lasts)
	}
	for _, b := range s.batches {
		if b.Shard != 0 || b.Records() > 10_000 {
			t.Fatalf("shard %d, %d records", b.Shard, b.Records())
		}
	}
	// It is done, also for the next who asks.
	n := len(s.batches)
	if err := run(t, o); err != nil || len(s.batches) != n || s.again != 0 {
		t.Errorf("%v, %d batches, %d again", err, len(s.batches)-n, s.again)
	}
	if m.saves == 0 {
		t.Error("nothing was saved")
	}
}

// However often it crashes, an import gives each record once, in order, and one
// end.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	want := scanned(t, dir)
	for _, every := range []int{1, 7, 40} {
		s, m, o := importer(t, dir)
		runs := 0
		for ; ; runs++ {
			if runs > 1000 {
				t.Fatal("it does not come to an end")
			}
			fresh := 0
			before := len(s.batches)
			s.crash = func() error {
				if len(s.batches) > before {
					before = len(s.batches)
					fresh++
				}
				if fresh >= every {
					m.fail = errCrash
				}
				return nil
			}
			err := run(t, o)
			m.fail = nil
			if err == nil {
				break
			}
			if !errors.Is(err, errSave) {
				t.Fatal(err)
			}
		}
		got, lasts := s.imported()
		if strings.Join(got, "\n") != strings.Join(want, "\n") || lasts != 1 {
			t.Errorf("crash at %d: %d records in %d runs, want %d; %d ends", every, len(got), runs, len(want), lasts)
		}
		if runs == 0 || s.again == 0 {
			t.Errorf("crash at %d: %d runs, %d again", every, runs, s.again)
		}
	}
}

// Following a folder that does not change gives what a scan of it gives, but
// for the order of files.
func TestFollowIsAsScan(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	s, _, o := importer(t, dir)
	o.Mode = Follow
	source, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		o.Env.Clock.(*clock).pass(time.Second)
		if err := source.look(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	want := scanned(t, dir)
	got, lasts := s.imported()
	counts := map[string]int{}
	for _, f := range want {
		counts[f]++
	}
	for _, f := range got {
		counts[f]--
	}
	for f, n := range counts {
		if n != 0 {
			t.Errorf("%+d of %.200s", -n, f)
		}
	}
	if lasts != 0 {
		t.Error("following has no end")
	}
}
