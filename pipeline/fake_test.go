package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/rule"
)

// The fakes: a format of one JSON object a line, and an engine whose rules are
// the keys "r0" to "r3" of an event.

type lineSplitter struct {
	r      *bufio.Reader
	offset int64
	line   int64
	block  int
}

func (s *lineSplitter) Next(b *format.Block) error {
	b.Reset()
	b.Offset = s.offset
	for len(b.Frames) < s.block {
		text, err := s.r.ReadBytes('\n')
		if len(text) > 0 {
			s.line++
			if bytes.HasPrefix(text, []byte("splitpanic")) {
				panic("splitter")
			}
			if bytes.HasPrefix(text, []byte("noframe")) {
				b.Problems = append(b.Problems, format.Problem{Offset: s.offset, Line: s.line, Err: errors.New("no frame")})
			} else {
				start := len(b.Data)
				b.Data = append(b.Data, bytes.TrimRight(text, "\n")...)
				b.Frames = append(b.Frames, format.Frame{Start: start, End: len(b.Data), Offset: s.offset, Line: s.line})
			}
			s.offset += int64(len(text))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type lineParser struct{ rec event.Record }

func (p *lineParser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	raw := b.Data[f.Start:f.End]
	if bytes.HasPrefix(raw, []byte("panic")) {
		panic("parser")
	}
	p.rec.Reset(raw)
	p.rec.Format, p.rec.Line, p.rec.Offset = "json", f.Line, f.Offset
	if err := p.rec.Tree.ParseJSON(raw); err != nil {
		return err
	}
	if i := p.rec.Tree.Path("group"); i >= 0 {
		if err := json.Unmarshal([]byte(p.rec.Tree.Text(i)), &p.rec.Group); err != nil {
			return err
		}
	}
	emit(&p.rec)
	return nil
}

func lineFormat(block int) format.Format {
	return format.Format{
		Name: "lines",
		Detect: func(head []byte, name string) int {
			if strings.HasSuffix(name, ".bin") {
				return 0
			}
			return 10
		},
		NewSplitter: func(r io.Reader, _ format.Options) format.Splitter {
			return &lineSplitter{r: bufio.NewReader(r), block: block}
		},
		NewParser: func(format.Options) format.Parser { return &lineParser{} },
	}
}

type fakeEngine struct{ rules []*rule.Rule }

func newFakeEngine() *fakeEngine {
	e := &fakeEngine{}
	for i := range 4 {
		e.rules = append(e.rules, &rule.Rule{ID: fmt.Sprintf("r%d", i), Title: fmt.Sprintf("rule %d", i), Level: rule.Level(i + 1)})
	}
	return e
}

func (e *fakeEngine) Rules() []*rule.Rule  { return e.rules }
func (e *fakeEngine) Evaluator() Evaluator { return &fakeEvaluator{engine: e} }

type fakeEvaluator struct {
	engine *fakeEngine
	rec    *event.Record
}

func (v *fakeEvaluator) Source(format.Options) {}

func (v *fakeEvaluator) Route(rec *event.Record) Routed {
	v.rec = rec
	t := &rec.Tree
	if i := t.Path("time"); i >= 0 {
		at, err := time.Parse(time.RFC3339, t.Text(i))
		if err == nil {
			rec.Time, rec.TimeQuality = at, event.TimeParsed
		}
	}
	routed := Routed{Claimed: t.Path("unknown") < 0}
	if i := t.Path("id"); i >= 0 {
		text := t.Path("text")
		var n, total int
		if _, err := fmt.Sscan(t.Text(t.Path("n")), &n); err != nil {
			panic(err)
		}
		if _, err := fmt.Sscan(t.Text(t.Path("of")), &total); err != nil {
			panic(err)
		}
		routed.Part = &Part{Key: t.Text(i), Number: n, Total: total, Text: t.AppendText(nil, text), Node: text}
	}
	return routed
}

func (v *fakeEvaluator) Host() string { return "" }

func (v *fakeEvaluator) Match() []Hit {
	var hits []Hit
	t := &v.rec.Tree
	if t.Path("boom") >= 0 {
		panic("engine")
	}
	for i, r := range v.engine.rules {
		text := t.Path("text")
		if t.Path(r.ID) >= 0 || text >= 0 && strings.Contains(t.Text(text), r.ID) {
			hits = append(hits, Hit{Rule: i, View: "v", Fields: []Field{{Name: r.ID, Value: "x"}}})
		}
	}
	return hits
}

type fixedClock struct{}

func (fixedClock) Now() time.Time { return time.Unix(1_780_000_000, 0) }

// NewTimer implements env.Clock: time stands still, so it never fires.
func (fixedClock) NewTimer(time.Duration) env.Timer { panic("nothing here waits") }

// world is a file system in memory with the given files.
func world(t *testing.T, files map[string]string) env.Env {
	t.Helper()
	fs := vfs.NewMem()
	for name, text := range files {
		if dir := fs.PathDir(name); dir != "" {
			if err := fs.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return env.Env{FS: fs, Clock: fixedClock{}}
}

// outcome is everything a scan hands out, as text in order.
type outcome struct {
	lines []string
	stats Stats
	err   error
}

func run(t *testing.T, c Config) outcome {
	t.Helper()
	return runContext(t, context.Background(), c)
}

func runContext(t *testing.T, ctx context.Context, c Config) outcome {
	t.Helper()
	var o outcome
	if c.Engine == nil {
		c.Engine = newFakeEngine()
	}
	if c.Formats == nil {
		c.Formats = []format.Format{lineFormat(3)}
	}
	if c.Match == nil {
		c.Match = func(m *Match) error {
			o.lines = append(o.lines, fmt.Sprintf("%s:%d %s %s", m.Source.Path, m.Source.Line, m.Rule.ID, m.Event))
			return nil
		}
	}
	c.Problem = func(path string, list []format.Problem, n int) {
		for _, p := range list {
			o.lines = append(o.lines, fmt.Sprintf("%s: %v", path, p))
		}
		if more := n - len(list); more > 0 {
			o.lines = append(o.lines, fmt.Sprintf("%s: %d more", path, more))
		}
	}
	o.stats, o.err = Scan(ctx, c)
	return o
}
