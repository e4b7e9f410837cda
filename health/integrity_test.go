package health

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
)

const aMinute = 60_000_000

// mangled is a batch of ten records of a source, some of them doubtful.
func mangled(source string, offset, minute int64, flagged uint64) *Batch {
	return &Batch{
		Source: source, Producer: source + "#0", Offset: offset, Received: 1_000_000_000_000_000 + minute*aMinute, Records: 10,
		Flagged: flagged, DuplicateFields: flagged, Example: Example{ID: event.ID{byte(offset)}, Key: fmt.Sprint("k", offset)},
	}
}

// figures are a finding's in short: doubtful of records, and whether it is over.
func figures(list []Doubtful) string {
	out := ""
	for _, d := range list {
		out += fmt.Sprintf("%s %d/%d over %v; ", d.Source, d.Flagged, d.Records, d.Over > 0)
	}
	return out
}

// One doubtful record is told at once, more of them from time to time, and the
// end after an hour without any.
func TestIntegrity(t *testing.T) {
	t.Parallel()
	q := NewIntegrity(IntegrityConfig{Tenant: event.LocalTenant})
	offset := int64(0)
	step := func(minute int64, flagged uint64, want string) {
		t.Helper()
		offset++
		q.Observe(mangled("a", offset, minute, flagged))
		if got := figures(q.Findings()); got != want {
			t.Fatalf("minute %d: %q, want %q", minute, got, want)
		}
	}
	step(0, 0, "")
	step(1, 1, "a 1/10 over false; ")
	first := q.sources["a"].finding
	if first.Example.Key != "k2" || first.Producer != "a#0" || first.Offset != 2 {
		t.Errorf("the example is %+v", first)
	}
	for m := int64(2); m < 11; m++ {
		step(m, 2, "")
	}
	step(11, 1, "a 20/110 over false; ") // 10 minutes on
	step(30, 1, "")
	step(31, 1, "a 22/130 over false; ") // 20 minutes on
	step(60, 0, "")
	step(70, 1, "")
	step(71, 1, "a 24/160 over false; ") // 40 minutes on
	step(130, 0, "")
	step(131, 0, "a 24/160 over true; ")
	step(132, 0, "")
	step(133, 3, "a 3/10 over false; ")
	if again := q.sources["a"].finding; again.ID == first.ID || again.Since <= first.Since {
		t.Errorf("the second finding is the first one: %+v", again)
	}
	// A pause in which nothing was heard ends it too.
	step(1000, 1, "a 3/10 over true; a 1/10 over false; ")
}

// A source that is always so tells once a day in the end.
func TestIntegrityDoesNotStorm(t *testing.T) {
	t.Parallel()
	q := NewIntegrity(IntegrityConfig{Tenant: event.LocalTenant})
	told, ids := 0, map[event.ID]bool{}
	for m := range int64(30 * 24 * 60) {
		q.Observe(mangled("a", m, m, 10))
		for _, d := range q.Findings() {
			told++
			ids[d.ID] = true
		}
	}
	if len(ids) != 1 || told > 40 {
		t.Errorf("%d findings told %d times in 30 days", len(ids), told)
	}
}

func TestIntegrityEndsWithAnImport(t *testing.T) {
	t.Parallel()
	q := NewIntegrity(IntegrityConfig{Tenant: event.LocalTenant})
	for i, flagged := range []uint64{1, 0} {
		b := mangled("file", int64(2*i), 0, flagged)
		q.Observe(b)
		b = mangled("file", int64(2*i+1), 0, 1-flagged)
		b.Last = true
		q.Observe(b)
		if got := figures(q.Findings()); got != []string{"file 1/10 over true; ", "file 1/10 over true; "}[i] {
			t.Errorf("import %d: %s", i, got)
		}
	}
}

// Cut anywhere and given the batches again from any earlier one, it finds the
// same.
func TestIntegrityGoesOn(t *testing.T) {
	t.Parallel()
	var batches []*Batch
	for i := range int64(60) {
		flagged := uint64(0)
		if i%7 == 3 || i > 30 && i < 40 {
			flagged = uint64(i % 4)
		}
		source := []string{"a", "b"}[i%2]
		batches = append(batches, mangled(source, i, 9*i, flagged))
	}
	run := func(cut, back int) (map[event.ID]Doubtful, string) {
		q := NewIntegrity(IntegrityConfig{Tenant: event.LocalTenant})
		kept, last := map[string][]byte{}, map[event.ID]Doubtful{}
		commit := func() {
			for _, d := range q.Findings() {
				if old, ok := last[d.ID]; ok && (old.Flagged > d.Flagged || old.Over > 0) {
					t.Errorf("cut at %d: %+v came behind %+v", cut, d, old)
				}
				last[d.ID] = d
			}
			for _, s := range q.Changed() {
				kept[s.Source] = s.State
			}
		}
		for i := 0; i < len(batches); i++ {
			q.Observe(batches[i])
			if i%3 == 0 || i == len(batches)-1 || i == cut {
				commit()
			}
			if i == cut {
				q = NewIntegrity(IntegrityConfig{Tenant: event.LocalTenant})
				for _, state := range kept {
					if err := q.Restore(state); err != nil {
						t.Fatal(err)
					}
				}
				i, cut = max(-1, i-back), -1
			}
		}
		return last, string(kept["a"]) + string(kept["b"])
	}
	want, state := run(-1, 0)
	if len(want) < 3 {
		t.Fatalf("only %d findings", len(want))
	}
	for cut := range batches {
		for _, back := range []int{0, 1, 5, 60} {
			got, s := run(cut, back)
			if diff := cmp.Diff(want, got); diff != "" || s != state {
				t.Fatalf("cut at %d, %d back (state alike: %v): %s", cut, back, s == state, diff)
			}
		}
	}
}

func TestIntegrityBounds(t *testing.T) {
	t.Parallel()
	q := NewIntegrity(IntegrityConfig{Tenant: event.LocalTenant, SourcesMax: 2})
	q.Observe(mangled("a", 1, 0, 1))
	q.Observe(mangled("b", 1, 0, 1))
	q.Observe(mangled("c", 1, 0, 1))
	if q.Refused() != 1 || q.sources["c"] != nil {
		t.Fatalf("%d refused", q.Refused())
	}
	q.Observe(mangled("a", 2, 100, 0))
	q.Changed()
	q.Observe(mangled("c", 2, 100, 1))
	if q.sources["a"] != nil || q.sources["c"] == nil {
		t.Error("the sound source was not forgotten for the doubtful one")
	}
	if list := q.Changed(); len(list) != 2 || list[0].Source != "a" || list[0].State != nil || list[1].State == nil {
		t.Errorf("changed %v", list)
	}
}

// Any bytes: no panic, and what is read is written alike.
func FuzzIntegrityState(f *testing.F) {
	q := NewIntegrity(IntegrityConfig{Tenant: event.LocalTenant})
	q.Observe(mangled("a", 1, 0, 1))
	f.Add(q.Changed()[0].State)
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := decodeDoubt(data)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatal(err)
			}
			return
		}
		again, err := decodeDoubt(d.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(d, again, cmp.AllowUnexported(doubt{})); diff != "" {
			t.Fatal(diff)
		}
	})
}
