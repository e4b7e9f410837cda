package pipeline

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
)

// However many runs hits go through, they come back whole and in order.
func TestSpoolSortsThroughFiles(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 1000, spoolHits, 2*spoolHits + 7} {
		fs := vfs.NewMem()
		s := spool{fs: fs, prefix: "run-"}
		var want []spooled
		for i := range n {
			h := spooled{time: rng.Int64N(1000) - 500, seq: uint64(rng.IntN(3)), rule: i % 5}
			h.id[3] = byte(rng.IntN(256))
			h.id[15] = byte(i)
			if i%3 > 0 {
				h.fields = [][]string{{"user é", ""}, nil, {"x"}}[:i%3]
			}
			want = append(want, h)
			if err := s.add(h); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortStableFunc(want, func(a, b spooled) int { return a.compare(&b) })
		var got []spooled
		if err := s.each(func(h *spooled) { got = append(got, *h) }); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d hits of %d", len(got), len(want))
		}
		for i := range got {
			if got[i].compare(&want[i]) != 0 {
				t.Fatalf("hit %d is %+v, want %+v", i, got[i], want[i])
			}
		}
		s.remove()
		if left, err := fs.List(""); err != nil || len(left) > 0 {
			t.Errorf("files left: %v %v", left, err)
		}
	}
}

func TestSpooledRoundTrip(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	s := spool{fs: fs, prefix: "run-"}
	want := spooled{time: -1, seq: 1 << 63, id: event.ID{1, 2, 3}, rule: 7, fields: [][]string{{"a", "b\x00"}, nil, {""}}}
	s.hits = append(s.hits, want)
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	err := s.each(func(h *spooled) {
		if d := cmp.Diff(want, *h, cmp.AllowUnexported(spooled{})); d != "" {
			t.Error(d)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
