package pipeline

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	jsonformat "github.com/tiercel-io/tiercel/format/json"
)

// testing.TB and *rapid.T have this in common.
type failing interface{ Fatal(args ...any) }

// arrival is a line as a worker hands it on.
type arrival struct {
	piece LinePiece
	hits  []Hit
}

// arrivals evaluates documents.
func arrivals(t failing, docs []string) (out []arrival) {
	engine, err := auditEngine()
	if err != nil {
		t.Fatal(err)
	}
	e := engine.NewEvaluator()
	p := jsonformat.Format().NewParser(format.Options{})
	for i, doc := range docs {
		block := format.Block{Data: []byte(doc), Frames: []format.Frame{{End: len(doc)}}}
		err := p.Parse(&block, block.Frames[0], func(rec *event.Record) {
			r := e.Route(rec)
			if r.Line == nil {
				t.Fatal("no line is known in", doc)
			}
			at := event.BatchPosition([]byte("batch"), i)
			out = append(out, arrival{
				piece: LinePiece{
					Line: r.Line, Evidence: Evidence{ID: event.EventID(event.LocalTenant, "s", at), RawHash: sha256.Sum256(rec.Raw)},
					Source: Source{Format: rec.Format, Line: int64(i + 1)}, Seq: uint64(i), Group: rec.Group, Expected: math.MinInt64,
				},
				hits: e.Match(),
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// describe is all there is of what an assembler returned.
func describe(told []Hit, wholes []Whole) string {
	var b strings.Builder
	fmt.Fprintf(&b, "told %v\n", told)
	for i := range wholes {
		w := &wholes[i]
		fmt.Fprintf(&b, "whole %v %s %v %v %v %d %s %q %q\n", w.Hits, w.Event, w.Parts, w.Evidence, w.Source, w.Seq, w.Time, w.Host, w.Kind)
	}
	return b.String()
}

// An assembler that is restored between any two lines goes on as if it had never
// stopped, and its snapshot is the same again.
func TestSnapshotOfLines(t *testing.T) {
	t.Parallel()
	engine, err := auditEngine()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		hosts, _, lines, from := drawLogs(t)
		var docs []string
		for i, line := range lines {
			docs = append(docs, carriers[i%2](hosts[from[i]], line, i))
		}
		all := arrivals(t, docs)
		// Now and then it is told what can be expected.
		expected := make([]int64, len(all))
		for i := range expected {
			expected[i] = math.MinInt64
			if rapid.IntRange(0, 5).Draw(t, "expects") == 0 {
				expected[i] = 1795314000_000_000 + rapid.Int64Range(-2, 8).Draw(t, "seconds")*1_000_000
			}
		}
		run := func(stop int) (out []string) {
			a := NewAssembler(engine, nil)
			var g Groups
			a.Add(part("a", 1, 3, "x"))
			for i := range all {
				if i == stop {
					kept := a.AppendSnapshot(nil)
					b := NewAssembler(engine, nil)
					if err := b.RestoreSnapshot(kept); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(kept, b.AppendSnapshot(nil)) || a.joins.bytes != b.joins.bytes || len(b.wait) != 1 {
						t.Fatal("what was restored is not what was kept")
					}
					a = b
				}
				p := all[i].piece
				p.Expected = expected[i]
				out = append(out, describe(a.Line(&p, all[i].hits, &g)), describe(nil, a.Before(expected[i], &g)))
			}
			out = append(out, describe(nil, a.Close(&g)))
			if a.joins.bytes != 0 || len(a.joins.machines) != 0 {
				t.Fatalf("%d bytes and %d machines are left", a.joins.bytes, len(a.joins.machines))
			}
			return out
		}
		if diff := cmp.Diff(run(-1), run(rapid.IntRange(0, len(all)-1).Draw(t, "stop"))); diff != "" {
			t.Fatal(diff)
		}
	})
}

// What a version before lines were joined has kept can be read.
func TestSnapshotWithoutLines(t *testing.T) {
	t.Parallel()
	a := NewAssembler(newFakeEngine(), nil)
	a.Add(part("a", 1, 2, "x"))
	now := a.AppendSnapshot(nil)
	before := append([]byte{1}, now[1:len(now)-1]...) // it ended where the number of machines is
	b := NewAssembler(newFakeEngine(), nil)
	if err := b.RestoreSnapshot(before); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.AppendSnapshot(nil), now) {
		t.Error("it is not what was kept")
	}
	for _, data := range [][]byte{append(before, 0), now[:len(now)-1], append([]byte{3}, now[1:]...)} {
		if err := b.RestoreSnapshot(data); err == nil {
			t.Errorf("version %d of %d bytes was read", data[0], len(data))
		}
	}
}

// bare makes the piece of a line; its event's number is its group.
func bare(host, line string) *LinePiece {
	_, number, _ := strings.Cut(line, ":")
	number, _, _ = strings.Cut(number, ")")
	group, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		panic(err)
	}
	return &LinePiece{Line: &Line{Host: host, Text: []byte(line)}, Group: group, Expected: math.MinInt64}
}

// What is open is bounded over all machines: what gives way is counted, joined of
// what there is and its bytes are given back.
func TestOpenLinesAreBounded(t *testing.T) {
	t.Parallel()
	engine, err := auditEngine()
	if err != nil {
		t.Fatal(err)
	}
	a := NewAssembler(engine, nil)
	var g Groups
	long := strings.Repeat("x", 200_000)
	const machines, each = 100, 3
	for i := range each {
		for m := range machines {
			a.Line(bare(fmt.Sprint(m), fmt.Sprintf("type=PATH msg=audit(1.000:%d): name=%s", i, long)), nil, &g)
			if a.joins.bytes > linesWaitBytesMax || a.joins.bytes < 0 {
				t.Fatalf("%d bytes are held", a.joins.bytes)
			}
		}
	}
	open := 0
	for _, m := range a.joins.machines {
		open += m.joiner.Len()
	}
	if joined, early := a.Joins(); joined != 0 || int(early)+open != machines*each || open > linesWaitBytesMax/len(long) {
		t.Errorf("%d events joined, %d given up, %d open", joined, early, open)
	}
	// Machines that come and go leave nothing behind.
	a.Close(&g)
	for i := range 10_000 {
		a.Line(bare(fmt.Sprint(i), "type=EOE msg=audit(1.000:1): "), nil, &g)
	}
	if len(a.joins.machines) != 0 || len(a.joins.order) > 200 || a.joins.bytes != 0 {
		t.Errorf("%d machines, %d in order, %d bytes are left", len(a.joins.machines), len(a.joins.order), a.joins.bytes)
	}
	// The bounds of one log are those of package auditd.
	for i := range 1001 {
		a.Line(bare("h", fmt.Sprintf("type=PATH msg=audit(1.000:%d): a=b", i)), nil, &g)
	}
	if _, early := a.Joins(); int(early)+open != machines*each+1 {
		t.Errorf("%d events were given up", early)
	}
	a.Reset()
	if a.Close(&g) != nil || a.joins.bytes != 0 {
		t.Error("what was reset is still there")
	}
}

// Events without an end are whole once nothing of their time is expected; those
// that come later than expected wait for what follows them.
func TestLinesExpected(t *testing.T) {
	t.Parallel()
	engine, err := auditEngine()
	if err != nil {
		t.Fatal(err)
	}
	const at, second = int64(1795314000_000_000), int64(1_000_000)
	lines := auditEvent("", int(at/1000), 1, true, 0, false)
	lines = lines[:len(lines)-1] // without PROCTITLE
	for _, c := range []struct {
		name            string
		expected, until int64 // it is whole once this is passed
	}{
		{"nothing is known", math.MinInt64, at},
		{"in time", at - 300*second, at},
		{"at the edge", at, at},
		{"late", at + second, at + 61*second},
	} {
		a := NewAssembler(engine, nil)
		var g Groups
		for _, line := range lines {
			p := bare("h", line)
			p.Expected = c.expected
			if _, wholes := a.Line(p, nil, &g); wholes != nil {
				t.Errorf("%s: it is not whole", c.name)
			}
		}
		if w := a.Before(c.until, &g); w != nil {
			t.Errorf("%s: it is not whole yet", c.name)
		}
		w := a.Before(c.until+1, &g)
		if len(w) != 1 || w[0].Time.UnixMicro() != at || w[0].Kind != "linux/process_creation" || len(w[0].Parts) != len(lines) || len(w[0].Hits) != 4 {
			t.Errorf("%s: %+v", c.name, w)
		}
		if a.Before(math.MaxInt64, &g) != nil {
			t.Errorf("%s: it comes twice", c.name)
		}
	}
}

// An event is told of when its PROCTITLE comes, and once: what follows is told
// only if it meets more.
func TestJoinedAtItsTitle(t *testing.T) {
	t.Parallel()
	engine, err := auditEngine()
	if err != nil {
		t.Fatal(err)
	}
	a := NewAssembler(engine, nil)
	var g Groups
	titles := func(wholes []Whole) (out []string) {
		for _, w := range wholes {
			for _, h := range w.Hits {
				out = append(out, engine.Rules()[h.Rule].Title)
			}
		}
		return out
	}
	lines := auditEvent("", 1795314000000, 1, true, 0, true)
	for i, line := range lines {
		_, wholes := a.Line(bare("h", line), nil, &g)
		want := []string(nil)
		if i == len(lines)-2 {
			want = []string{"both", "line", "process", "without"}
		}
		if diff := cmp.Diff(want, titles(wholes)); diff != "" {
			t.Errorf("line %d: %s", i, diff)
		}
	}
	lines = auditEvent("", 1795314000000, 2, true, 0, false)
	lines = append(lines, auditEvent("", 1795314000000, 2, true, 2, true)[3:]...)
	var got []string
	for _, line := range lines {
		_, wholes := a.Line(bare("h", line), nil, &g)
		got = append(got, titles(wholes)...)
	}
	if diff := cmp.Diff([]string{"both", "line", "process", "without", "file"}, got); diff != "" {
		t.Error(diff)
	}
	if joined, early := a.Joins(); joined != 2 || early != 0 {
		t.Errorf("%d joined, %d early", joined, early)
	}
}

// What is given up is told of once.
func TestGivenUpIsTold(t *testing.T) {
	t.Parallel()
	a := NewAssembler(newFakeEngine(), nil)
	var g Groups
	a.Add(part("a", 1, 2, "x"))
	a.Add(part("a", 1, 2, "again"))
	for i := range 1003 {
		a.Line(bare("h", fmt.Sprintf("type=PATH msg=audit(1.000:%d): a=b", i)), nil, &g)
	}
	if scripts, audit := a.GivenUp(); scripts != 1 || audit != 3 {
		t.Errorf("%d scripts and %d audit events are told", scripts, audit)
	}
	kept := a.AppendSnapshot(nil)
	b := NewAssembler(newFakeEngine(), nil)
	if err := b.RestoreSnapshot(kept); err != nil {
		t.Fatal(err)
	}
	for _, a := range []*Assembler{a, b} {
		if scripts, audit := a.GivenUp(); scripts != 0 || audit != 0 {
			t.Errorf("%d scripts and %d audit events are told again", scripts, audit)
		}
	}
}
