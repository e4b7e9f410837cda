package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/rule"
)

func expect(t *testing.T, o outcome, want ...string) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("scan: %v", o.err)
	}
	if !slices.Equal(o.lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(o.lines, "\n"), strings.Join(want, "\n"))
	}
}

func TestScanWalksInOrder(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{
		"logs/b.log":   `{"r0":1}`,
		"logs/a/z.log": `{"r1":1}`,
		"logs/a.log":   "{\"r2\":1}\n\n{\"r0\":2,\"r3\":1}\n",
		"one.log":      `{"r3":1}`,
		"logs/empty":   "",
	})
	o := run(t, Config{Env: w, Paths: []string{"one.log", "logs", "-", "one.log", "nowhere"}, Stdin: strings.NewReader(`{"r0":9}`)})
	expect(t, o,
		`one.log:1 r3 {"r3":1}`,
		`logs/a/z.log:1 r1 {"r1":1}`,
		`logs/a.log: line 2 (byte 9): invalid JSON at byte 0: the text ends inside a value`,
		`logs/a.log:1 r2 {"r2":1}`,
		`logs/a.log:3 r0 {"r0":2,"r3":1}`,
		`logs/a.log:3 r3 {"r0":2,"r3":1}`,
		`logs/b.log:1 r0 {"r0":1}`,
		`-:1 r0 {"r0":9}`,
		`nowhere: byte 0: cannot stat it: file does not exist`,
	)
	s := o.stats
	if s.Files != 5 || s.Records != 6 || s.Problems != 2 || s.Total() != 7 || s.Routed != 6 {
		t.Errorf("stats %+v", s)
	}
}

func TestScanGoesOnBehindPanics(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{
		"a": "{\"r0\":1}\npanic\n{\"r0\":2}\n{\"boom\":1}\n{\"r0\":3}\nnoframe\n{\"r0\":4}\nsplitpanic\n{\"r0\":5}\n",
		"b": `{"r1":1}`,
	})
	for _, jobs := range []int{1, 2, 8} {
		o := run(t, Config{Env: w, Paths: []string{"a", "b"}, Jobs: jobs})
		expect(t, o,
			"a: line 2 (byte 9): internal error while reading this record, please report it: parser",
			`a:1 r0 {"r0":1}`,
			`a:3 r0 {"r0":2}`,
			"a: line 4 (byte 24): internal error while reading this record, please report it: engine",
			"a: line 6 (byte 44): no frame",
			`a:5 r0 {"r0":3}`,
			`a:7 r0 {"r0":4}`,
			"a: byte 0: internal error, the rest of the file is not read; please report it: splitter",
			`b:1 r1 {"r1":1}`,
		)
	}
}

// A file of nothing but garbage is counted to the end and listed in part.
func TestScanListsTheFirstProblems(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{"a": strings.Repeat("broken\n", 100) + "{\"r0\":1}\n"})
	for _, jobs := range []int{1, 2} {
		o := run(t, Config{Env: w, Paths: []string{"a"}, Jobs: jobs, Formats: []format.Format{lineFormat(70)}})
		if o.stats.Problems != 100 || o.lines[ProblemsListedMax] != "a: 38 more" || o.lines[len(o.lines)-1] != `a:101 r0 {"r0":1}` {
			t.Errorf("%d problems; %q", o.stats.Problems, o.lines)
		}
	}
}

func TestScanUnknownFormat(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{"x.bin": "?"})
	expect(t, run(t, Config{Env: w, Paths: []string{"x.bin"}}),
		"x.bin: byte 0: not a log in a known format; name one with --format if it is")
	if o := run(t, Config{Env: w, Paths: []string{"x.bin"}, Format: "lines"}); o.stats.Files != 1 {
		t.Errorf("forced format: %+v", o.stats)
	}
	if o := run(t, Config{Env: w, Paths: []string{"x.bin"}, Format: "none"}); o.err == nil {
		t.Error("an unknown forced format passed")
	}
}

func TestScanTimeRange(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{"a": `{"r0":1,"time":"2026-01-01T00:00:00Z"}
{"r0":2,"time":"2026-01-02T00:00:00Z"}
{"r0":3,"time":"2026-01-03T00:00:00Z"}
{"r0":4}
`})
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	o := run(t, Config{Env: w, Paths: []string{"a"}, From: day(2), To: day(3)})
	expect(t, o, `a:2 r0 {"r0":2,"time":"2026-01-02T00:00:00Z"}`, `a:4 r0 {"r0":4}`)
	if o.stats.OutOfRange != 2 || o.stats.Untimed != 1 {
		t.Errorf("stats %+v", o.stats)
	}
}

func TestScanGroupsReportARuleOnce(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{"a": `{"r0":1,"group":7}
{"r0":2,"r1":1,"group":7}
{"r0":3,"group":8}
{"r0":4,"group":7}
{"r0":5}
{"r0":6}
`})
	for _, jobs := range []int{1, 2, 8} {
		expect(t, run(t, Config{Env: w, Paths: []string{"a"}, Jobs: jobs}),
			`a:1 r0 {"r0":1,"group":7}`,
			`a:2 r1 {"r0":2,"r1":1,"group":7}`,
			`a:3 r0 {"r0":3,"group":8}`,
			`a:5 r0 {"r0":5}`,
			`a:6 r0 {"r0":6}`,
		)
	}
}

func TestScanAssemblesParts(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{
		// r0 stands in a part, r1 in the whole alone, r2 in a part seen twice.
		"a": `{"id":"k","n":2,"of":3,"text":"1 r2 "}
{"id":"k","n":1,"of":3,"text":"r0 r"}
{"id":"other","n":1,"of":2,"text":"never complete"}
{"id":"k","n":3,"of":3,"text":"r2 end","x":[null,true,1.50,{"y":"z"}]}
{"id":"k","n":3,"of":3,"text":"again r0"}
`,
		"b": `{"id":"other","n":2,"of":2,"text":"another file"}`,
	})
	for _, jobs := range []int{1, 2, 8} {
		o := run(t, Config{Env: w, Paths: []string{"a", "b"}, Jobs: jobs})
		expect(t, o,
			`a:1 r2 {"id":"k","n":2,"of":3,"text":"1 r2 "}`,
			`a:2 r0 {"id":"k","n":1,"of":3,"text":"r0 r"}`,
			`a:4 r1 {"id":"k","n":3,"of":3,"text":"r0 r1 r2 r2 end","x":[null,true,1.50,{"y":"z"}]}`,
			`a:5 r0 {"id":"k","n":3,"of":3,"text":"again r0"}`,
		)
		if o.stats.Reassembled != 1 || o.stats.Incomplete != 3 {
			t.Errorf("stats %+v", o.stats)
		}
	}
}

// What a match rests on can be found again: by the file's first bytes and the
// record's place, and by the hash of the record's bytes.
func TestMatchesCarryEvidence(t *testing.T) {
	t.Parallel()
	lines := []string{`{"r0":1}`, `{"id":"k","n":2,"of":2,"text":"2 end"}`, `{"miss":1}`, `{"id":"k","n":1,"of":2,"text":"r"}`, `{"r0":1}`}
	content := strings.Join(lines, "\n") + "\n"
	evidence := func(line int) Evidence {
		offset := len(strings.Join(lines[:line], "\n")) + min(line, 1)
		at := event.FilePosition(sha256.Sum256([]byte(content)), int64(offset))
		return Evidence{ID: event.EventID(event.LocalTenant, "logs/a", at), RawHash: sha256.Sum256([]byte(lines[line]))}
	}
	var got []Match
	run(t, Config{
		Env: world(t, map[string]string{"logs/a": content, "b": content}), Paths: []string{"logs/a"},
		Match: func(m *Match) error { got = append(got, *m); return nil },
	})
	if len(got) != 3 {
		t.Fatalf("%d matches, want 3", len(got))
	}
	for i, want := range []struct {
		evidence Evidence
		parts    []Evidence
	}{
		{evidence(0), nil},
		{evidence(3), []Evidence{evidence(3), evidence(1)}},
		{evidence(4), nil},
	} {
		if got[i].Evidence != want.evidence || !slices.Equal(got[i].Parts, want.parts) {
			t.Errorf("match %d: %v %v, want %v %v", i, got[i].Evidence, got[i].Parts, want.evidence, want.parts)
		}
	}
	if got[0].ID == got[2].ID || got[0].RawHash != got[2].RawHash {
		t.Error("equal records at two places are not two events of the same bytes")
	}
}

func TestAssemblerIsBounded(t *testing.T) {
	t.Parallel()
	a := NewAssembler(newFakeEngine(), nil)
	text := []byte(strings.Repeat("x", 1<<20))
	for i := range 100 {
		a.Add(&Piece{Part: &Part{Key: fmt.Sprint(i), Number: 1, Total: 2, Text: text, Tree: []byte(`{"text":""}`)}})
		if a.bytes > partsWaitBytesMax+len(text) {
			t.Fatalf("%d bytes wait", a.bytes)
		}
	}
	// Names and the places of parts to come count as text does.
	name := strings.Repeat("k", 1<<20)
	for i := range 100 {
		a.Add(&Piece{Part: &Part{Key: name + fmt.Sprint(i), Number: 1, Total: partsMax}})
	}
	if n := len(a.wait); n > partsWaitBytesMax/len(name) {
		t.Errorf("%d events with names of %d bytes wait", n, len(name))
	}
	for i := range 10 {
		a.Add(&Piece{Part: &Part{Key: "big", Number: i + 1, Total: 20, Text: text}})
	}
	if w := a.wait["big"]; w != nil && w.bytes > partTextBytesMax {
		t.Errorf("an event of %d bytes waits", w.bytes)
	}
	for _, p := range []Part{{Number: 0, Total: 2}, {Number: 3, Total: 2}, {Number: 1, Total: 1}, {Number: 1, Total: partsMax + 1}, {Number: -1, Total: -1}} {
		for range 2 {
			if !a.First(&p, 0) {
				t.Errorf("part %d of %d suppresses a rule", p.Number, p.Total)
			}
		}
		if _, _, _, done := a.Add(&Piece{Part: &p}); done {
			t.Errorf("part %d of %d completes an event", p.Number, p.Total)
		}
	}
}

func TestScanStopsWithTheReceiver(t *testing.T) {
	t.Parallel()
	files := make(map[string]string)
	for i := range 50 {
		files[fmt.Sprintf("d/%02d", i)] = strings.Repeat("{\"r0\":1}\n", 100)
	}
	full := errors.New("the disk is full")
	got := 0
	o := run(t, Config{Env: world(t, files), Paths: []string{"d"}, Jobs: 4, Match: func(*Match) error {
		if got++; got == 150 {
			return full
		}
		return nil
	}})
	if !errors.Is(o.err, full) || got != 150 {
		t.Errorf("error %v after %d matches", o.err, got)
	}
}

func TestScanEndsWithTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	in, out := io.Pipe()
	go func() {
		io.WriteString(out, strings.Repeat("{\"r0\":1}\n", 2*detectBytes/9)) // and never closes
	}()
	got := 0
	o := runContext(t, ctx, Config{Env: world(t, nil), Paths: []string{"-"}, Stdin: in, Jobs: 2, Match: func(*Match) error {
		if got++; got == 6 {
			cancel()
		}
		return nil
	}})
	if !errors.Is(o.err, context.Canceled) || got < 6 {
		t.Errorf("error %v after %d matches", o.err, got)
	}
}

// waitingFS has a named pipe that nobody writes: opening it waits.
type waitingFS struct {
	vfs.FS
	opened  chan struct{}
	release chan struct{}
}

type pipeInfo struct{ vfs.FileInfo }

func (pipeInfo) Mode() fs.FileMode { return fs.ModeNamedPipe }

func (w waitingFS) Stat(name string) (vfs.FileInfo, error) {
	info, err := w.FS.Stat(name)
	return pipeInfo{info}, err
}

func (w waitingFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	close(w.opened)
	<-w.release
	return w.FS.Open(name, o...)
}

func TestScanEndsWhileAPipeWaits(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	w := world(t, map[string]string{"pipe": `{"r0":1}`})
	waiting := waitingFS{FS: w.FS, opened: make(chan struct{}), release: make(chan struct{})}
	w.FS = waiting
	defer close(waiting.release)
	go func() {
		<-waiting.opened
		cancel()
	}()
	if o := runContext(t, ctx, Config{Env: w, Paths: []string{"pipe"}}); !errors.Is(o.err, context.Canceled) {
		t.Errorf("error %v", o.err)
	}
}

func TestScanReadsAPipe(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{"pipe": `{"r0":1}`})
	waiting := waitingFS{FS: w.FS, opened: make(chan struct{}), release: make(chan struct{})}
	close(waiting.release)
	w.FS = waiting
	if o := run(t, Config{Env: w, Paths: []string{"pipe"}}); o.err != nil || len(o.lines) != 1 {
		t.Errorf("got %q, error %v", o.lines, o.err)
	}
}

func TestScanChecksItsConfig(t *testing.T) {
	t.Parallel()
	if _, err := Scan(context.Background(), Config{}); err == nil {
		t.Error("an empty config passed")
	}
}

// Whatever the input, the output is that of one job.
func TestScanIsTheSameForAnyJobs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		line := rapid.SampledFrom([]string{
			`{"r0":1}`, `{"r1":1,"group":3}`, `{"r1":2,"group":3}`, `{"unknown":1}`, `{"x":1}`, `broken`, `panic`, `noframe`, `{"boom":1}`,
			`{"id":"k","n":1,"of":2,"text":"r"}`, `{"id":"k","n":2,"of":2,"text":"2 r3"}`, ``,
		})
		files := make(map[string]string)
		for i := range rapid.IntRange(1, 20).Draw(rt, "files") {
			files[fmt.Sprintf("d/%02d", i)] = strings.Join(rapid.SliceOfN(line, 0, 40).Draw(rt, "lines"), "\n")
		}
		w := world(t, files)
		var first outcome
		for i, jobs := range []int{1, 2, 8, 8} {
			o := run(t, Config{Env: w, Paths: []string{"d"}, Jobs: jobs})
			if i == 0 {
				first = o
				continue
			}
			if !slices.Equal(first.lines, o.lines) {
				rt.Fatalf("%d jobs:\n%s\none job:\n%s", jobs, strings.Join(o.lines, "\n"), strings.Join(first.lines, "\n"))
			}
			if fmt.Sprint(first.stats) != fmt.Sprint(o.stats) {
				rt.Fatalf("%d jobs: %+v\none job: %+v", jobs, o.stats, first.stats)
			}
		}
		s := first.stats
		if s.Records != s.Routed+s.Unrouted {
			rt.Fatalf("%+v", s)
		}
	})
}

func TestEventJSONIsOneValidLine(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"{\"a\": 1}\r":         `{"a": 1}`,
		"{\"a\":\n 1}":         `{"a":1}`,
		"{\"a\":\"b\tc\"}":     `{"a":"b\tc"}`,
		"{\"a\":\"\xff\"}":     "{\"a\":\"\uFFFD\"}",
		`{"a":1,"a":2,"A":-0}`: `{"a":1,"a":2,"A":-0}`,
	} {
		var r event.Record
		r.Reset([]byte(raw))
		if err := r.Tree.ParseJSON([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		r.Format = "json"
		if got := string(EventJSON(&r)); got != want {
			t.Errorf("%q becomes %s, want %s", raw, got, want)
		}
	}
}

func TestLevelsFitTheStats(t *testing.T) {
	t.Parallel()
	var s Stats
	s.Matches[rule.Critical]++
	s.Matches[rule.Informational]++
	if s.Total() != 2 {
		t.Errorf("total %d", s.Total())
	}
}
