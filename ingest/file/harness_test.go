package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/metric"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock stands still until a test moves it; its timers never fire.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) pass(d time.Duration) { c.mu.Lock(); c.now = c.now.Add(d); c.mu.Unlock() }

func (c *clock) NewTimer(d time.Duration) env.Timer { c.pass(d); return fired{c.Now()} }

// fired is a timer that fires at once: waiting moves the clock.
type fired struct{ at time.Time }

func (f fired) C() <-chan time.Time {
	c := make(chan time.Time, 1)
	c <- f.at
	return c
}
func (f fired) Stop() bool               { return true }
func (f fired) Reset(time.Duration) bool { return true }

// sink keeps batches as a Gate does: one whose key it knows is not kept again.
type sink struct {
	batches []ingest.Batch
	keys    map[string]bool
	again   int
	busy    int // how often it is busy before it takes the next
	// crash is called with each batch that was taken.
	crash func() error
}

func newSink() *sink { return &sink{keys: map[string]bool{}} }

func (s *sink) Admit(event.Tenant, string, int64) (func(), error) { return func() {}, nil }

func (s *sink) Accept(_ context.Context, b *ingest.Batch) error {
	if s.busy > 0 {
		s.busy--
		return &ingest.Busy{Wait: time.Second, Why: "test"}
	}
	if len(b.Key) == 0 {
		return errors.New("no key")
	}
	if s.keys[string(b.Key)] {
		s.again++
	} else {
		s.keys[string(b.Key)] = true
		c := *b
		c.Data, c.Frames, c.Refused = bytes.Clone(b.Data), append(c.Frames[:0:0], b.Frames...), append(c.Refused[:0:0], b.Refused...)
		if b.File != nil {
			f := *b.File
			c.File = &f
		}
		s.batches = append(s.batches, c)
	}
	if s.crash != nil {
		return s.crash()
	}
	return nil
}

// frames lists the records in the order in which they came; the identity of
// each must be its own.
func (s *sink) frames(t *testing.T) []string {
	t.Helper()
	var out []string
	type id struct {
		file [sha256.Size]byte
		at   int64
	}
	seen := map[id]string{}
	for _, b := range s.batches {
		for _, f := range b.Frames {
			text := string(b.Data[f.Start:f.End])
			at := id{b.File.Fingerprint, f.Offset}
			if other, ok := seen[at]; ok {
				t.Errorf("%q and %q are one event", other, text)
			}
			seen[at] = text
			out = append(out, text)
		}
	}
	return out
}

func (s *sink) refused() []string {
	var out []string
	for _, b := range s.batches {
		for _, r := range b.Refused {
			out = append(out, r.Reason+": "+string(b.Data[r.Start:r.End]))
		}
	}
	return out
}

// memory keeps a checkpoint.
type memory struct {
	saved []byte
	fail  error
	saves int
}

func (m *memory) Load() ([]byte, error) { return m.saved, nil }
func (m *memory) Save(b []byte) error {
	if m.fail != nil {
		return m.fail
	}
	m.saves++
	m.saved = bytes.Clone(b)
	return nil
}

// bench is a source on files in memory, looked at by hand.
type bench struct {
	t     *testing.T
	fs    vfs.FS
	clock *clock
	sink  *sink
	mem   *memory
	o     Options
	s     *Source
	told  []string
}

func newBench(t *testing.T, paths ...string) *bench {
	t.Helper()
	b := &bench{t: t, fs: vfs.NewMem(), clock: &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}, sink: newSink(), mem: &memory{}}
	b.o = Options{
		Env: env.Env{Clock: b.clock, FS: b.fs}, Sink: b.sink, Grant: ingest.Grant{Tenant: event.LocalTenant, Source: "files"},
		Paths: paths, Checkpoints: b.mem, Metrics: metric.New(),
		Problem: func(path string, err error) { b.told = append(b.told, path+": "+err.Error()) },
	}
	b.restart()
	return b
}

// restart makes a new source from what was saved.
func (b *bench) restart() {
	b.t.Helper()
	var err error
	if b.s, err = New(b.o); err != nil {
		b.t.Fatal(err)
	}
}

// look looks at the files once, a second later.
func (b *bench) look() {
	b.t.Helper()
	b.clock.pass(time.Second)
	if err := b.s.look(context.Background()); err != nil {
		b.t.Fatal(err)
	}
}

// settle looks until all waits are over.
func (b *bench) settle() {
	b.t.Helper()
	for range 8 {
		b.look()
	}
}

func (b *bench) write(path, text string) {
	b.t.Helper()
	if err := b.fs.MkdirAll(b.fs.PathDir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	f, err := b.fs.Create(path, vfs.WriteCategoryUnspecified)
	b.put(f, err, text)
}

// grow appends to a file.
func (b *bench) grow(path, text string) {
	b.t.Helper()
	old := b.content(path)
	// Files in memory are appended to by writing them anew in place.
	f, err := b.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.WriteAt([]byte(text), int64(len(old)))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) put(f vfs.File, err error, text string) {
	b.t.Helper()
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) content(path string) string {
	b.t.Helper()
	f, err := b.fs.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := readAt(f, nil, 0, int(info.Size()))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *bench) rename(from, to string) {
	b.t.Helper()
	if err := b.fs.Rename(from, to); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) remove(path string) {
	b.t.Helper()
	if err := b.fs.Remove(path); err != nil {
		b.t.Fatal(err)
	}
}

// has compares the records with what was expected, in order.
func (b *bench) has(want ...string) {
	b.t.Helper()
	got := b.sink.frames(b.t)
	if strings.Join(got, "|") != strings.Join(want, "|") {
		b.t.Errorf("got\n%.3000s\nwant\n%.3000s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// hasAll compares them in any order.
func (b *bench) hasAll(want ...string) {
	b.t.Helper()
	counts := map[string]int{}
	for _, r := range want {
		counts[r]++
	}
	for _, r := range b.sink.frames(b.t) {
		counts[r]--
	}
	for r, n := range counts {
		if n != 0 {
			b.t.Errorf("%+d of %.100q", -n, r)
		}
	}
}

// parsed reads the records of all batches as their formats do.
func (s *sink) parsed(t *testing.T) []string {
	t.Helper()
	var out []string
	for i := range s.batches {
		b := &s.batches[i]
		if b.Format == "" {
			continue
		}
		kind, ok := formats.ByName(b.Format)
		if !ok {
			t.Fatalf("format %q", b.Format)
		}
		block, err := b.Block(&kind)
		if err != nil {
			t.Fatal(err)
		}
		p := kind.NewParser(format.Options{Name: b.File.Name, Reference: b.File.Reference})
		for _, f := range block.Frames {
			_ = p.Parse(&block, f, func(r *event.Record) {
				out = append(out, fmt.Sprintf("%s %d %d %s", r.Format, r.Line, r.Offset, r.Tree.AppendJSON(nil, 0)))
			})
		}
	}
	return out
}

// lines makes NDJSON records numbered from one number up to another.
func lines(from, to int) []string {
	var out []string
	for i := from; i < to; i++ {
		out = append(out, fmt.Sprintf(`{"n":%d}`, i))
	}
	return out
}

func text(records []string) string { return strings.Join(records, "\n") + "\n" }
