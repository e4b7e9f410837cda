package pipeline

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store/wire"
)

// part makes the piece of a text in parts.
func part(key string, number, total int, text string) *Piece {
	p := &Piece{Part: &Part{Key: key, Number: number, Total: total, Text: []byte(text), Node: 1, Tree: []byte(`{"text":""}`)}}
	p.ID = event.ID{byte(number), byte(len(key))}
	return p
}

// An assembler restored between any two parts goes on as if it had never
// stopped.
func TestAssemblerSnapshot(t *testing.T) {
	t.Parallel()
	pieces := []*Piece{part("a", 1, 3, "x"), part("b", 2, 2, "p"), part("a", 3, 3, "z"), part("a", 2, 3, ""), part("b", 1, 2, "q")}
	run := func(stopAt int) (out []string) {
		engine := newFakeEngine()
		a := NewAssembler(engine, nil)
		for i, p := range pieces {
			if i == stopAt {
				kept := a.AppendSnapshot(nil)
				a = NewAssembler(newFakeEngine(), nil)
				if err := a.RestoreSnapshot(kept); err != nil {
					t.Fatal(err)
				}
			}
			first := a.First(p.Part, 0)
			_, _, parts, done := a.Add(p)
			out = append(out, fmt.Sprint(first, parts, done, a.bytes, len(a.wait)))
		}
		return out
	}
	want := run(-1)
	for stopAt := range len(pieces) {
		if diff := cmp.Diff(want, run(stopAt)); diff != "" {
			t.Errorf("stopped before piece %d: %s", stopAt, diff)
		}
	}
}

func TestGroupsSnapshot(t *testing.T) {
	t.Parallel()
	engine := newFakeEngine()
	var g, h Groups
	g.First(7, 0)
	g.First(9, 1)
	d := wire.Decoder{B: g.AppendSnapshot(nil, engine)}
	h.RestoreSnapshot(&d, engine)
	if d.Failed || h.First(7, 0) || h.First(9, 1) || !h.First(9, 0) {
		t.Error("what was reported is not remembered as it was")
	}
}

func FuzzRestoreAssembler(f *testing.F) {
	a := NewAssembler(newFakeEngine(), nil)
	a.Add(part("a", 1, 3, "x"))
	f.Add(a.AppendSnapshot(nil))
	var g Groups
	for i, line := range auditEvent("node=n ", 1795314000000, 7, true, 2, false) {
		p := bare(fmt.Sprint("web-", i%2), line)
		p.Beside = []byte(`{"carrier":{"n":1}}`)
		a.Line(p, []Hit{{Rule: i % 4}}, &g)
	}
	f.Add(a.AppendSnapshot(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		a := NewAssembler(newFakeEngine(), nil)
		if err := a.RestoreSnapshot(data); err != nil {
			if !errors.Is(err, ErrAssembler) {
				t.Fatal(err)
			}
			return
		}
		if err := NewAssembler(newFakeEngine(), nil).RestoreSnapshot(a.AppendSnapshot(nil)); err != nil {
			t.Fatal("what was restored cannot be restored again")
		}
		var g Groups
		a.Close(&g)
		if a.joins.bytes != 0 || len(a.joins.machines) != 0 {
			t.Fatalf("%d bytes and %d machines are left", a.joins.bytes, len(a.joins.machines))
		}
		g.Reset()
		g.RestoreSnapshot(&wire.Decoder{B: data}, newFakeEngine())
	})
}
