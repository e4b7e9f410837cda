package ledger

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/storetest"
)

var local = event.LocalTenant

func get(m *storetest.Memory) Get {
	return func(k store.Key) ([]byte, error) {
		d, err := m.Get(k)
		return d.Value, err
	}
}

// batch is one entry of the log in the test's world.
type batch struct {
	partition string
	offset    int64
	cell      Cell
	records   uint64
	bytes     uint64
	delta     Delta
}

func batches(r *rand.Rand) map[string][]batch {
	log := map[string][]batch{}
	for range 30 + r.IntN(40) {
		source := fmt.Sprintf("src%d", r.IntN(2))
		partition := fmt.Sprintf("%s/%d", source, r.IntN(2))
		n := uint64(1 + r.IntN(100))
		c := Cell{Tenant: local, Source: source, Minute: 29_000_000 + int64(r.IntN(4))}
		late, bad := r.Uint64N(n+1)/2, r.Uint64N(n+1)/3
		log[partition] = append(log[partition], batch{
			partition: partition, offset: int64(len(log[partition])), cell: c, records: n, bytes: n * 100,
			delta: Delta{
				Cell: c, Counts: Counts{Evaluated: n - late - bad, Late: late, Quarantined: bad, Matches: 1, Unrouted: late},
				Types: map[string]Volume{"process": {Events: n, Bytes: 100 * n}},
			},
		})
	}
	return log
}

// side is one writer with its book: what it has handed over, and through which
// position that is in the store.
type side struct {
	book          *Book
	next, written map[string]int64
}

func (s *side) restart(m *storetest.Memory) {
	s.book = NewBook(get(m))
	s.next = map[string]int64{}
	for p, through := range s.written {
		s.next[p] = through + 1
	}
}

func (s *side) write(t *rapid.T, m *storetest.Memory) {
	if err := m.Apply(s.book.Writes(), store.Relaxed); err != nil {
		t.Fatal(err)
	}
	s.book.Written()
	for p, next := range s.next {
		s.written[p] = max(s.written[p], next-1)
	}
}

// Any interleaving of deliveries, repeats and restarts gives the exact totals,
// and settled cells have no remainder at any time; one delta that is lost is a
// remainder.
func TestBookCountsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		lose := rapid.Bool().Draw(t, "lose")
		log := batches(r)
		partitions := slices.Sorted(maps.Keys(log))
		m := &storetest.Memory{}
		sides := []*side{{written: map[string]int64{}}, {written: map[string]int64{}}}
		for _, s := range sides {
			for _, p := range partitions {
				s.written[p] = -1
			}
			s.restart(m)
		}
		lost := log[partitions[0]][r.IntN(len(log[partitions[0]]))]
		hand := func(which int, b batch) {
			var err error
			switch {
			case which == 0:
				err = sides[0].book.Received(b.partition, b.offset, b.cell, b.records, b.bytes)
			case lose && b.partition == lost.partition && b.offset == lost.offset:
			default:
				err = sides[1].book.Evaluated(b.partition, b.offset, []Delta{b.delta})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		check := func() Audit {
			a, err := Check(m.Scan, local, 0, minuteMax, Progress{Received: sides[0].written, Evaluated: sides[1].written})
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		done := func() bool {
			for _, s := range sides {
				for _, p := range partitions {
					if s.next[p] < int64(len(log[p])) {
						return false
					}
				}
			}
			return true
		}
		for !done() {
			which := r.IntN(2)
			s := sides[which]
			p := partitions[r.IntN(len(partitions))]
			switch r.IntN(12) {
			case 0:
				s.restart(m) // what was not written is handed over again
			case 1:
				s.write(t, m)
			case 2: // a crash between the store's write and our knowing of it
				if err := m.Apply(s.book.Writes(), store.Relaxed); err != nil {
					t.Fatal(err)
				}
				s.restart(m)
			case 3: // from further back than needed
				s.next[p] = max(0, s.next[p]-int64(r.IntN(5)))
			case 4:
				if a := check(); !lose && len(a.Remainders) > 0 {
					t.Fatalf("remainders while running: %+v", a.Remainders)
				}
			default:
				if s.next[p] < int64(len(log[p])) {
					hand(which, log[p][s.next[p]])
					s.next[p]++
				}
			}
		}
		for _, s := range sides {
			s.write(t, m)
		}
		audit := check()
		if audit.Waiting > 0 {
			t.Fatalf("%+v", audit)
		}
		if lose {
			if len(audit.Remainders) != 1 || audit.Remainders[0].Cell != lost.cell || audit.Remainders[0].Unexplained() != int64(lost.records) {
				t.Fatalf("lost %+v, found %+v", lost, audit)
			}
			return
		}
		if len(audit.Remainders) > 0 {
			t.Fatalf("%+v", audit)
		}
		var want Counts
		rows := map[int64]uint64{}
		for _, list := range log {
			for _, b := range list {
				want.add(&b.delta.Counts)
				want.Received += b.records
				want.ReceivedBytes += b.bytes
				rows[b.cell.Minute] += b.records
			}
		}
		sum, err := Summarize(m.Scan, Query{Tenant: local, From: 28_000_000, To: 28_000_001})
		if err != nil || len(sum.Rows) > 0 || sum.Totals != (Counts{}) {
			t.Fatalf("an empty range: %+v, %v", sum, err)
		}
		sum, err = Summarize(m.Scan, Query{Tenant: local, From: 28_999_000, To: 29_000_010})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, sum.Totals); diff != "" {
			t.Fatal(diff)
		}
		for _, row := range sum.Rows {
			if rows[row.Minute] != row.Received {
				t.Fatalf("minute %d: %d, want %d", row.Minute, row.Received, rows[row.Minute])
			}
		}
		if len(sum.Rows) != len(rows) || len(sum.Types) != 1 || sum.Types[0].Events != want.Received {
			t.Fatalf("%+v", sum)
		}
	})
}

func TestCheckWaitsForBothSides(t *testing.T) {
	t.Parallel()
	m := &storetest.Memory{}
	b := NewBook(get(m))
	cell := Cell{Tenant: local, Source: "s", Minute: 7}
	apply(t, m, b, b.Received("p", 3, cell, 10, 1))
	for _, c := range []struct {
		name             string
		done             Progress
		settled, waiting int
		unexplained      int64
	}{
		{"nothing evaluated", Progress{}, 0, 1, 0},
		{"not as far", Progress{Evaluated: map[string]int64{"p": 2}}, 0, 1, 0},
		{"passed and not counted", Progress{Evaluated: map[string]int64{"p": 3}}, 1, 0, 10},
	} {
		a, err := Check(m.Scan, local, 0, 100, c.done)
		if err != nil || a.Settled != c.settled || a.Waiting != c.waiting {
			t.Errorf("%s: %+v, %v", c.name, a, err)
		}
		if c.unexplained != 0 && (len(a.Remainders) != 1 || a.Remainders[0].Unexplained() != c.unexplained) {
			t.Errorf("%s: %+v", c.name, a.Remainders)
		}
	}
	// More accounted than received is a fault too, once the receiving side has
	// passed it.
	other := Cell{Tenant: local, Source: "t", Minute: 8}
	apply(t, m, b, b.Evaluated("q", 1, []Delta{{Cell: other, Counts: Counts{Damaged: 4, Received: 99}}}))
	a, err := Check(m.Scan, local, 8, 9, Progress{})
	if err != nil || a.Waiting != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	a, err = Check(m.Scan, local, 8, 9, Progress{Received: map[string]int64{"q": 1}})
	if err != nil || len(a.Remainders) != 1 || a.Remainders[0].Unexplained() != -4 {
		t.Errorf("%+v, %v", a, err)
	}
}

func apply(t *testing.T, m *storetest.Memory, b *Book, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(b.Writes(), store.Relaxed); err != nil {
		t.Fatal(err)
	}
	b.Written()
	if again := b.Writes(); len(again) > 0 || b.Changed() > 0 {
		t.Fatalf("%d writes after Written", len(again))
	}
}

func TestBookKeepsWhatWasNotWritten(t *testing.T) {
	t.Parallel()
	m := &storetest.Memory{}
	b := NewBook(get(m))
	cell := Cell{Tenant: local, Source: "s", Minute: 7}
	if err := b.Received("p", 0, cell, 1, 1); err != nil {
		t.Fatal(err)
	}
	first := b.Writes()
	if again := b.Writes(); len(again) != 1 {
		t.Fatal("the write is not given again")
	}
	if err := b.Received("p", 1, cell, 1, 1); err != nil {
		t.Fatal(err)
	}
	// What changed after Writes is not written by it.
	if err := m.Apply(first, store.Relaxed); err != nil {
		t.Fatal(err)
	}
	b.Written()
	if b.Changed() != 1 {
		t.Fatal("a change was forgotten")
	}
	apply(t, m, b, nil)
	sum, err := Summarize(m.Scan, Query{Tenant: local, To: 10})
	if err != nil || sum.Totals.Received != 2 {
		t.Fatalf("%+v, %v", sum, err)
	}
}

// One call may have several deltas for one cell; all of them count, and none
// when the call is repeated.
func TestEvaluatedSeveralDeltas(t *testing.T) {
	t.Parallel()
	m := &storetest.Memory{}
	b := NewBook(get(m))
	x, y := Cell{Tenant: local, Source: "s", Minute: 7}, Cell{Tenant: local, Source: "s", Minute: 8}
	for range 3 {
		apply(t, m, b, b.Evaluated("p", 5, []Delta{{Cell: x, Counts: Counts{Evaluated: 1}}, {Cell: y, Counts: Counts{Late: 2}}, {Cell: x, Counts: Counts{Matches: 3}}}))
		b = NewBook(get(m))
	}
	sum, err := Summarize(m.Scan, Query{Tenant: local, Source: "s", To: 60, StepMinutes: 60})
	if err != nil || len(sum.Rows) != 1 || sum.Rows[0].Minute != 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	if want := (Counts{Evaluated: 1, Late: 2, Matches: 3}); sum.Totals != want || sum.Sources[0].Counts != want {
		t.Errorf("%+v", sum)
	}
	if sum, err = Summarize(m.Scan, Query{Tenant: local, Source: "other", To: 60}); err != nil || len(sum.Rows) > 0 {
		t.Errorf("%+v, %v", sum, err)
	}
	if _, err = Summarize(m.Scan, Query{Tenant: local, To: RowsMax + 1}); err == nil {
		t.Error("a range beyond the bound was taken")
	}
}

func TestBookBounds(t *testing.T) {
	t.Parallel()
	m := &storetest.Memory{}
	b := NewBook(get(m))
	cell := Cell{Tenant: local, Source: "s", Minute: 7}
	for i := range TypesMax + 10 {
		name := fmt.Sprintf("type%03d", i)
		if err := b.Evaluated("p", int64(i), []Delta{{Cell: cell, Types: map[string]Volume{name: {1, 2}, strings.Repeat("x", TypeBytesMax+1): {1, 1}}}}); err != nil {
			t.Fatal(err)
		}
	}
	apply(t, m, b, nil)
	sum, err := Summarize(m.Scan, Query{Tenant: local, To: 10})
	if err != nil || len(sum.Types) != TypesMax+1 {
		t.Fatalf("%d types, %v", len(sum.Types), err)
	}
	if sum.Types[0] != (TypeTotal{OtherType, Volume{TypesMax + 10 + 10, TypesMax + 10 + 20}}) {
		t.Errorf("%+v", sum.Types[0])
	}
	for i := range PartitionsMax {
		if err := b.Received(fmt.Sprint(i), 0, cell, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Received("more", 0, cell, 1, 1); err == nil {
		t.Error("a partition beyond the bound was taken")
	}
	for _, bad := range []Cell{
		{Source: "s", Minute: 1},
		{Tenant: local, Source: strings.Repeat("s", SourceBytesMax+1), Minute: 1},
		{Tenant: local, Source: "s", Minute: -1},
		{Tenant: local, Source: "s", Minute: minuteMax + 1},
	} {
		if err := b.Received("p", 0, bad, 1, 1); err == nil {
			t.Errorf("took %+v", bad)
		}
	}
	if b.Received("p", -1, cell, 1, 1) == nil || b.Received(strings.Repeat("p", PartitionBytesMax+1), 1, cell, 1, 1) == nil {
		t.Error("took a position that is none")
	}
	if b.Evaluated("p", 1000, make([]Delta, DeltasMax+1)) == nil {
		t.Error("took too many deltas")
	}
	apply(t, m, b, b.Received("0", 1, cell, math.MaxUint64, 1))
	if sum, err = Summarize(m.Scan, Query{Tenant: local, To: 10}); err != nil || sum.Totals.Received != math.MaxUint64 {
		t.Errorf("received %d, %v", sum.Totals.Received, err)
	}
}

func TestBookUnwritten(t *testing.T) {
	t.Parallel()
	m := &storetest.Memory{}
	b := NewBook(get(m))
	for i := range int64(ChangedMax) {
		if err := b.Received("p", i, Cell{Tenant: local, Source: "s", Minute: i}, 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	next := Cell{Tenant: local, Source: "s", Minute: ChangedMax}
	if err := b.Received("p", ChangedMax, next, 1, 1); !errors.Is(err, ErrUnwritten) {
		t.Fatalf("error %v", err)
	}
	b.Writes()
	b.Written()
	if len(b.slots) > KeptMax {
		t.Errorf("%d halves are kept", len(b.slots))
	}
	if err := b.Received("p", ChangedMax, next, 1, 1); err != nil {
		t.Error(err)
	}
}

// A cell that cannot be read does not stop the stream; it begins anew and says
// so.
func TestDamagedCell(t *testing.T) {
	t.Parallel()
	m := &storetest.Memory{}
	cell := Cell{Tenant: local, Source: "s", Minute: 7}
	if err := m.Apply([]store.Write{{Key: cell.key(KindReceived), Value: []byte("damaged")}}, store.Relaxed); err != nil {
		t.Fatal(err)
	}
	b := NewBook(get(m))
	apply(t, m, b, b.Received("p", 9, cell, 3, 3))
	if b.Restarted() != 1 {
		t.Errorf("%d restarted", b.Restarted())
	}
	a, err := Check(m.Scan, local, 0, 10, Progress{Evaluated: map[string]int64{"p": 9}})
	if err != nil || len(a.Remainders) != 1 || !a.Remainders[0].Incomplete {
		t.Errorf("%+v, %v", a, err)
	}
	failing := errors.New("disk")
	b = NewBook(func(store.Key) ([]byte, error) { return nil, failing })
	if err := b.Received("p", 9, cell, 3, 3); !errors.Is(err, failing) {
		t.Errorf("error %v", err)
	}
}

func TestRuleGaps(t *testing.T) {
	t.Parallel()
	m := &storetest.Memory{}
	g, err := OpenRuleGaps(m.Scan, local)
	if err != nil {
		t.Fatal(err)
	}
	write := func() {
		if err := m.Apply(g.Writes(), store.Relaxed); err != nil {
			t.Fatal(err)
		}
		g.Written()
		if len(g.Writes()) > 0 {
			t.Fatal("writes after Written")
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(g.Open("r1", "", ReasonDisabled, 100))
	must(g.Open("r1", "", ReasonDisabled, 150)) // goes on
	must(g.Open("r2", "a/b", ReasonPaused, 200))
	write()
	if !g.Close("r1", "", ReasonDisabled, 300) || g.Close("r1", "", ReasonDisabled, 300) || g.Close("r2", "", ReasonPaused, 300) {
		t.Error("Close tells otherwise than what was open")
	}
	write()
	must(g.Open("r1", "", ReasonOverBudget, 400))
	write()
	// After a restart the open ones go on.
	if g, err = OpenRuleGaps(m.Scan, local); err != nil {
		t.Fatal(err)
	}
	paused, budget := Interval{"r2", "a/b", ReasonPaused, 200, 0}, Interval{"r1", "", ReasonOverBudget, 400, 0}
	closed := Interval{"r1", "", ReasonDisabled, 100, 300}
	if diff := cmp.Diff([]Interval{paused, budget}, g.Current()); diff != "" {
		t.Error(diff)
	}
	for _, c := range []struct {
		rule     string
		from, to int64
		want     []Interval
	}{
		{"", 0, 100, nil},
		{"", 0, 101, []Interval{closed}},
		{"", 300, 400, []Interval{paused}},
		{"", 299, 1000, []Interval{closed, paused, budget}},
		{"r1", 0, 1000, []Interval{closed, budget}},
		{"r3", 0, 1000, nil},
	} {
		got, more, err := ListRuleGaps(m.Scan, local, c.rule, c.from, c.to)
		if err != nil || more {
			t.Errorf("%+v: more %v, %v", c, more, err)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%q %d %d:\n%s", c.rule, c.from, c.to, diff)
		}
	}
	if g.Open("", "", ReasonPaused, 1) == nil || g.Open("r", "", "tired", 1) == nil || g.Open(strings.Repeat("r", RuleBytesMax+1), "", ReasonPaused, 1) == nil {
		t.Error("took an interval that is none")
	}
	// An end before the beginning is moved to it.
	must(g.Open("r9", "", ReasonStopped, 500))
	if !g.Close("r9", "", ReasonStopped, 1) {
		t.Error("not open")
	}
	write()
	if got, _, _ := ListRuleGaps(m.Scan, local, "r9", 0, 1000); len(got) != 0 {
		t.Errorf("an empty interval has a part of the time: %v", got)
	}
}

func TestUpstreamGapsAndTrim(t *testing.T) {
	t.Parallel()
	m := &storetest.Memory{}
	const us = 60_000_000
	gap := UpstreamGap{ID: "01ab", Source: "dc", Kind: "event_record_id", Host: "h", Channel: "System", Numbers: Numbers{5, 9}, Missing: 5, Before: 1, After: 2, FoundAt: 7 * us}
	other := gap
	other.ID, other.Source, other.FoundAt = "01cd", "web", 9*us
	filled := gap
	filled.FilledAt, filled.Remaining = 8*us, []Numbers{{6, 6}}
	var writes []store.Write
	for _, g := range []UpstreamGap{gap, other, filled} {
		writes = append(writes, g.Write(local))
	}
	b := NewBook(get(m))
	for minute := range int64(12) {
		cell := Cell{Tenant: local, Source: "s", Minute: minute}
		apply(t, m, b, errors.Join(b.Received("p", minute, cell, 1, 1), b.Evaluated("p", minute, []Delta{{Cell: cell, Counts: Counts{Evaluated: 1}}})))
	}
	g, err := OpenRuleGaps(m.Scan, local)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range []string{"old", "open", "late"} {
		if err := g.Open(rule, "", ReasonPaused, us); err != nil {
			t.Fatal(err)
		}
	}
	g.Close("old", "", ReasonPaused, 8*us)
	g.Close("late", "", ReasonPaused, 8*us+1)
	if err := m.Apply(append(writes, g.Writes()...), store.Relaxed); err != nil {
		t.Fatal(err)
	}
	list, more, err := ListUpstreamGaps(m.Scan, local, "", 0, 100*us)
	if diff := cmp.Diff([]UpstreamGap{filled, other}, list); diff != "" || more || err != nil {
		t.Errorf("%s, %v, %v", diff, more, err)
	}
	if list, _, _ = ListUpstreamGaps(m.Scan, local, "web", 0, 100*us); len(list) != 1 {
		t.Errorf("%v", list)
	}
	if list, _, _ = ListUpstreamGaps(m.Scan, local, "", 8*us, 9*us); len(list) != 0 {
		t.Errorf("%v", list)
	}
	if err := Trim(m, local, 8); err != nil {
		t.Fatal(err)
	}
	sum, err := Summarize(m.Scan, Query{Tenant: local, To: 100})
	if err != nil || sum.Totals.Received != 4 || sum.Totals.Evaluated != 4 || sum.Rows[0].Minute != 8 {
		t.Errorf("%+v, %v", sum, err)
	}
	if list, _, _ = ListUpstreamGaps(m.Scan, local, "", 0, 100*us); len(list) != 1 || list[0].ID != "01cd" {
		t.Errorf("%v", list)
	}
	gaps, _, err := ListRuleGaps(m.Scan, local, "", 0, 100*us)
	if err != nil || len(gaps) != 2 || gaps[0].Rule != "late" || gaps[1].Rule != "open" {
		t.Errorf("%v, %v", gaps, err)
	}
}

// Any bytes: no panic, and what decodes encodes and decodes to the same.
func FuzzCell(f *testing.F) {
	h := half{types: map[string]Volume{"a": {1, 2}}, through: map[string]int64{"p": 3}, incomplete: true}
	f.Add(h.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := decodeHalf(data)
		if err != nil {
			return
		}
		again, err := decodeHalf(h.encode())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(h, again, cmp.AllowUnexported(half{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}
