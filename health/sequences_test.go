package health

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
)

const (
	second = int64(1_000_000)
	minute = 60 * second
	// base is a Monday, 2026-03-02 00:00 UTC.
	base = int64(1772409600) * second
)

// delivery is one record on its way.
type delivery struct {
	stream         Stream
	number         uint64
	time, received int64
}

// deliver hands deliveries over in order of receive time, settles every minute
// and ten minutes beyond the end, and returns what was found. Halfway it goes
// through an encoding.
func deliver(t interface{ Fatalf(string, ...any) }, cfg SequencesConfig, list []delivery) ([]Gap, []Filled, SequenceCounts) {
	slices.SortStableFunc(list, func(a, b delivery) int { return cmp.Compare(a.received, b.received) })
	q := NewSequences(cfg)
	var gaps []Gap
	var filled []Filled
	settle := func(at int64) {
		g, f := q.Settle(at)
		gaps, filled = append(gaps, g...), append(filled, f...)
	}
	at := list[0].received
	settle(at)
	for i, d := range list {
		for d.received-at >= minute {
			at += minute
			settle(at)
		}
		q.Observe(d.stream, d.number, d.time, d.received)
		if i == len(list)/2 {
			again, err := RestoreSequences(cfg, q.Encode())
			if err != nil {
				t.Fatalf("restore: %v", err)
			}
			q = again
		}
	}
	for range 10 {
		at += minute
		settle(at)
	}
	return gaps, filled, q.Counts()
}

type named struct {
	Stream Stream
	Span
}

func spans(gaps []Gap) []named {
	var list []named
	for _, g := range gaps {
		list = append(list, named{g.Stream, g.Span})
	}
	slices.SortFunc(list, func(a, b named) int {
		return cmp.Or(a.Stream.compare(b.Stream), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return list
}

// missing is the slow oracle: the runs between the least and the greatest
// number that was sent.
func missing(stream Stream, sent map[uint64]bool) []named {
	var keys []uint64
	for n := range sent {
		keys = append(keys, n)
	}
	slices.Sort(keys)
	var list []named
	for i := 1; i < len(keys); i++ {
		if keys[i] > keys[i-1]+1 {
			list = append(list, named{stream, Span{keys[i-1] + 1, keys[i] - 1}})
		}
	}
	return list
}

// With one number in a hundred deleted before sending, shuffled within the
// lateness, with duplicates and several hosts, the gaps are exactly what was
// deleted; with nothing deleted there are none.
func TestSequencesNameExactlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		lost := rapid.SampledFrom([]float64{0, 0.01, 0.01, 0.2}).Draw(t, "lost")
		delay := rapid.SampledFrom([]int64{0, 10 * second, 4 * minute}).Draw(t, "delay")
		var list []delivery
		var want []named
		for host := range 3 {
			stream := Stream{Kind: RecordID, Source: "dc", Host: fmt.Sprintf("h%d", host), Channel: "Security"}
			sent := map[uint64]bool{}
			at, n := base, uint64(r.IntN(5000))
			burst := 0
			for range 800 {
				n++
				at += r.Int64N(2 * second)
				if burst > 0 || r.Float64() < lost {
					if burst--; burst < 0 && r.IntN(4) == 0 {
						burst = r.IntN(20)
					}
					continue
				}
				sent[n] = true
				d := delivery{stream, n, at, at + 1}
				if delay > 0 {
					d.received += r.Int64N(delay)
				}
				list = append(list, d)
				if r.IntN(20) == 0 {
					d.received += r.Int64N(20 * minute)
					list = append(list, d)
				}
			}
			want = append(want, missing(stream, sent)...)
		}
		gaps, filled, counts := deliver(t, SequencesConfig{Tenant: event.LocalTenant}, list)
		if diff := gocmp.Diff(want, spans(gaps), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("gaps (-deleted +found):\n%s", diff)
		}
		ids := map[event.ID]bool{}
		for _, g := range gaps {
			if ids[g.ID] || g.Approximate || g.Missing != g.To-g.From+1 || g.Before == 0 || g.After < g.Before {
				t.Fatalf("gap %+v", g)
			}
			ids[g.ID] = true
		}
		if len(filled) > 0 || counts.EvictedRuns+counts.MergedRuns+counts.Restarts > 0 {
			t.Fatalf("filled %v, counts %+v", filled, counts)
		}
	})
}

// A numbering that begins anew is no gap, whatever comes late around it, and
// what is missing before and after it is still named.
func TestSequencesRestart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		delay := rapid.SampledFrom([]int64{1, 20 * second, 3 * minute}).Draw(t, "delay")
		pause := rapid.SampledFrom([]int64{0, 5 * second, 30 * minute}).Draw(t, "pause")
		again := rapid.SampledFrom([]uint64{0, 1000, 40_000}).Draw(t, "again")
		stream := Stream{Kind: RecordID, Source: "dc", Host: "h", Channel: "System"}
		var list []delivery
		var want []named
		at := base
		for _, first := range []uint64{50_000, again} {
			sent := map[uint64]bool{}
			for i := range uint64(600) {
				at += second
				// Nothing is lost within a minute of the restart, where no one can
				// tell one numbering from the other.
				if i > 60 && i < 540 && r.IntN(50) == 0 {
					continue
				}
				sent[first+i] = true
				list = append(list, delivery{stream, first + i, at, at + r.Int64N(delay)})
			}
			want = append(want, missing(stream, sent)...)
			at += pause
		}
		slices.SortFunc(want, func(a, b named) int { return cmp.Compare(a.From, b.From) })
		gaps, _, counts := deliver(t, SequencesConfig{}, list)
		if diff := gocmp.Diff(want, spans(gaps), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("gaps (-deleted +found):\n%s", diff)
		}
		if counts.Restarts != 1 {
			t.Fatalf("%d restarts, want 1", counts.Restarts)
		}
	})
}

// An agent that lost its bookmark sends everything again: duplicates, with old
// times.
func TestSequencesBacklogAgain(t *testing.T) {
	t.Parallel()
	stream := Stream{Kind: SensorSequence, Source: "s", Host: "7"}
	var list []delivery
	for i := range int64(3000) {
		list = append(list, delivery{stream, uint64(i + 10), base + i*second, base + i*second})
	}
	for i := range int64(3000) {
		list = append(list, delivery{stream, uint64(i + 10), base + i*second, base + (4000+i/10)*second})
	}
	for i := range int64(100) {
		list = append(list, delivery{stream, uint64(i + 3010), base + (5000+i)*second, base + (5000+i)*second})
	}
	gaps, filled, counts := deliver(t, SequencesConfig{}, list)
	if len(gaps)+len(filled) > 0 || counts.Restarts != 0 {
		t.Errorf("gaps %v, filled %v, counts %+v", gaps, filled, counts)
	}
}

// Two records out of place are no restart, and neither they nor what follows
// makes a gap.
func TestSequencesStrayNumbers(t *testing.T) {
	t.Parallel()
	stream := Stream{Kind: RecordID, Source: "s", Host: "h", Channel: "c"}
	var list []delivery
	for i := range int64(600) {
		list = append(list, delivery{stream, uint64(i + 5000), base + i*second, base + i*second})
	}
	list = append(list,
		delivery{stream, 3, base + 900*second, base + 700*second},
		delivery{stream, 4, base + 901*second, base + 701*second})
	for i := range int64(600) {
		list = append(list, delivery{stream, uint64(i + 5600), base + (1000+i)*second, base + (1000+i)*second})
	}
	gaps, _, counts := deliver(t, SequencesConfig{}, list)
	if len(gaps) > 0 || counts.Restarts != 0 {
		t.Errorf("gaps %v, counts %+v", gaps, counts)
	}
}

// A single mangled number changes nothing; a leap that others follow is a gap
// like any other, exactly.
func TestSequencesLeap(t *testing.T) {
	t.Parallel()
	stream := Stream{Kind: RecordID, Source: "s", Host: "h", Channel: "c"}
	var list []delivery
	next := func(n uint64) {
		at := base + int64(len(list))*second
		list = append(list, delivery{stream, n, at, at})
	}
	for n := range uint64(100) {
		next(n)
	}
	next(math.MaxUint64)
	for n := uint64(100); n < 200; n++ {
		if n != 150 {
			next(n)
		}
	}
	for n := uint64(5_000_000); n < 5_000_100; n++ {
		if n != 5_000_002 {
			next(n)
		}
	}
	gaps, _, _ := deliver(t, SequencesConfig{}, list)
	want := []named{{stream, Span{150, 150}}, {stream, Span{200, 4_999_999}}, {stream, Span{5_000_002, 5_000_002}}}
	if diff := gocmp.Diff(want, spans(gaps)); diff != "" {
		t.Error(diff)
	}
}

func TestSequencesFilled(t *testing.T) {
	t.Parallel()
	q := NewSequences(SequencesConfig{Tenant: event.LocalTenant})
	stream := Stream{Kind: RecordID, Source: "s", Host: "h", Channel: "c"}
	at := base
	minutes := func(n int) (gaps []Gap, filled []Filled) {
		for range n {
			at += minute
			g, f := q.Settle(at)
			gaps, filled = append(gaps, g...), append(filled, f...)
		}
		return gaps, filled
	}
	minutes(1)
	q.Observe(stream, 10, at, at)
	q.Observe(stream, 20, at+second, at)
	if gaps, _ := minutes(4); len(gaps) > 0 {
		t.Fatalf("found before the settle time: %v", gaps)
	}
	gaps, _ := minutes(1)
	if len(gaps) != 1 || gaps[0].Span != (Span{11, 19}) || gaps[0].Missing != 9 || gaps[0].FoundAt != at {
		t.Fatalf("gaps %+v", gaps)
	}
	if again, _ := minutes(20); len(again) > 0 {
		t.Fatalf("found twice: %v", again)
	}
	for _, n := range []uint64{13, 14, 14, 19} {
		q.Observe(stream, n, base+minute, at)
	}
	_, filled := minutes(1)
	if len(filled) != 1 || filled[0].Gap.ID != gaps[0].ID || !slices.Equal(filled[0].Remaining, []Span{{11, 12}, {15, 18}}) {
		t.Fatalf("filled %+v", filled)
	}
	for _, n := range []uint64{11, 12, 15, 16, 17, 18} {
		q.Observe(stream, n, base+minute, at)
	}
	gaps, filled = minutes(10)
	if len(gaps) > 0 || len(filled) != 1 || len(filled[0].Remaining) > 0 {
		t.Fatalf("gaps %v, filled %+v", gaps, filled)
	}
	if c := q.Counts(); c.Runs != 0 || c.Streams != 1 {
		t.Fatalf("counts %+v", c)
	}
}

// After an hour in which nobody listened senders have the settle time again.
func TestSequencesStandstill(t *testing.T) {
	t.Parallel()
	q := NewSequences(SequencesConfig{})
	stream := Stream{Kind: RecordID, Source: "s", Host: "h"}
	q.Settle(base)
	q.Observe(stream, 1, base, base)
	q.Observe(stream, 3, base, base)
	at := base + 60*minute
	for i := range int64(4) {
		if gaps, _ := q.Settle(at + i*minute); len(gaps) > 0 {
			t.Fatalf("minute %d after a standstill: %v", i, gaps)
		}
	}
	if gaps, _ := q.Settle(at + 4*minute); len(gaps) != 1 {
		t.Fatalf("gaps %v, want one", gaps)
	}
}

func TestSequencesWatched(t *testing.T) {
	t.Parallel()
	q := NewSequences(SequencesConfig{
		Off:          []Filter{{Source: "dc", Channel: "security"}, {Channel: "*/Operational"}, {Host: "lab-*"}},
		AuditSources: []string{"linux*"},
	})
	for _, c := range []struct {
		stream Stream
		want   bool
	}{
		{Stream{RecordID, "dc", "h", "Security"}, false},
		{Stream{RecordID, "web", "h", "Security"}, true},
		{Stream{RecordID, "web", "h", "Vendor-X/Operational"}, false},
		{Stream{RecordID, "web", "LAB-4", "System"}, false},
		{Stream{AuditSerial, "linux-1", "h", ""}, true},
		{Stream{AuditSerial, "web", "h", ""}, false},
		{Stream{SensorSequence, "web", "h", ""}, true},
	} {
		if got := q.Watched(c.stream); got != c.want {
			t.Errorf("Watched(%+v) = %v", c.stream, got)
		}
		q.Observe(c.stream, 1, 1, 1)
	}
	if n := q.Counts().Streams; n != 3 {
		t.Errorf("%d streams, want 3", n)
	}
	q.Observe(Stream{RecordID, "s", strings.Repeat("h", StreamBytesMax), ""}, 1, 1, 1)
	if c := q.Counts(); c.Streams != 3 || c.RefusedNames != 1 {
		t.Errorf("a long name: %+v", c)
	}
}

func TestSequencesBounds(t *testing.T) {
	t.Parallel()
	q := NewSequences(SequencesConfig{StreamsMax: 10})
	q.Settle(base)
	for i := range 25 {
		s := Stream{Kind: RecordID, Source: "s", Host: fmt.Sprint(i)}
		q.Observe(s, 1, base, base)
		q.Observe(s, 3, base, base)
	}
	if c := q.Counts(); c.Streams != 10 || c.EvictedStreams != 15 || c.EvictedRuns != 15 || c.Runs != 10 {
		t.Errorf("counts %+v", c)
	}
	// Every other number: the runs are taken together, none is forgotten, and
	// when the others come after all nothing is missing.
	many := Stream{Kind: RecordID, Source: "s", Host: "many"}
	for n := uint64(0); n <= 6000; n += 2 {
		q.Observe(many, n, base, base)
	}
	if c := q.Counts(); c.Runs > StreamRunsMax+10 || c.MergedRuns == 0 {
		t.Errorf("counts %+v", c)
	}
	half := q.Encode()
	for n := uint64(1); n < 6000; n += 2 {
		q.Observe(many, n, base, base)
	}
	if gaps := settled(q); len(gaps) != 9 {
		t.Errorf("%d gaps, want only those of the nine other hosts: %v", len(gaps), gaps)
	}
	q, err := RestoreSequences(SequencesConfig{StreamsMax: 10}, half)
	if err != nil {
		t.Fatal(err)
	}
	sum := uint64(0)
	for _, g := range settled(q) {
		if g.Stream == many {
			sum += g.Missing
		}
	}
	if sum != 3000 {
		t.Errorf("%d numbers missing, want 3000", sum)
	}
	if c := q.Counts(); c.Runs > ReportedRunsMax+10 {
		t.Errorf("reported runs are held beyond their bound: %+v", c)
	}
}

func settled(q *Sequences) []Gap {
	var all []Gap
	for i := range int64(10) {
		gaps, _ := q.Settle(base + i*minute)
		all = append(all, gaps...)
	}
	return all
}

func TestSequencesState(t *testing.T) {
	t.Parallel()
	q := NewSequences(SequencesConfig{})
	q.Settle(base)
	for _, n := range []uint64{5, 9, 7} {
		q.Observe(Stream{Kind: RecordID, Source: "s", Host: "h"}, n, base, base)
	}
	settled(q)
	q.Observe(Stream{Kind: RecordID, Source: "s", Host: "h"}, 8, base, base)
	q.Observe(Stream{Kind: RecordID, Source: "s", Host: "h"}, 4, base+minute, base)
	state := q.Encode()
	again, err := RestoreSequences(SequencesConfig{}, state)
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Encode()) != string(state) {
		t.Error("the restored state encodes otherwise")
	}
	for i := range state {
		for _, bad := range [][]byte{state[:i], append(slices.Clone(state[:i]), append([]byte{state[i] ^ 1}, state[i+1:]...)...)} {
			if _, err := RestoreSequences(SequencesConfig{}, bad); !errors.Is(err, ErrState) {
				t.Fatalf("damage at %d: %v", i, err)
			}
		}
	}
}

// Any calls: no panic, the bounds hold, and the state goes through its
// encoding unchanged.
func FuzzSequences(f *testing.F) {
	f.Add([]byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, data []byte) {
		q := NewSequences(SequencesConfig{StreamsMax: 3, Settle: time.Second})
		at := base
		for i := 0; i+3 < len(data); i += 4 {
			n := uint64(data[i+1])
			switch data[i] >> 6 {
			case 1:
				n <<= 40
			case 2:
				n = -n
			}
			q.Observe(Stream{Kind: RecordID, Host: string(data[i]&7 + 'a')}, n, base+int64(int8(data[i+2]))*second*4, at)
			if data[i+3]&1 == 0 {
				at += int64(data[i+3]) * second / 8
				q.Settle(at)
			}
		}
		if c := q.Counts(); c.Streams > 3 || c.Runs > 3*StreamRunsMax || c.Runs < 0 {
			t.Fatalf("counts %+v", c)
		}
		state := q.Encode()
		again, err := RestoreSequences(SequencesConfig{StreamsMax: 3, Settle: time.Second}, state)
		if err != nil {
			t.Fatal(err)
		}
		if again.Counts() != q.Counts() || string(again.Encode()) != string(state) {
			t.Fatalf("%+v, restored %+v", q.Counts(), again.Counts())
		}
		if _, err := RestoreSequences(SequencesConfig{}, data); err == nil {
			t.Fatal("took any bytes for state")
		}
	})
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "x", true},
		{"*", "", true},
		{"a", "A", true},
		{"a", "ab", false},
		{"a*", "abc", true},
		{"*c", "abc", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "acb", false},
		{"ab*ba", "aba", false},
		{"*x*", "axb", true},
		{"**", "q", true},
	} {
		if got := matches(c.pattern, c.text); got != c.want {
			t.Errorf("matches(%q, %q) = %v", c.pattern, c.text, got)
		}
	}
}

func TestSettleOutOfOrder(t *testing.T) {
	t.Parallel()
	q := NewSequences(SequencesConfig{Settle: time.Minute})
	s := Stream{Kind: RecordID, Source: "s", Host: "h", Channel: "c"}
	q.Settle(base)
	q.Observe(s, 1, base, base)
	q.Observe(s, 3, base, base)
	// Batches that came at the same moment, stored in turns: half a minute passes
	// in all, however often the time goes back and forth.
	at := base
	for i := range int64(3000) {
		at = base + i*second/100
		for _, through := range []int64{at, at - second} {
			if gaps, _ := q.Settle(through); len(gaps) != 0 {
				t.Fatalf("a gap after %d s: %+v", (at-base)/second, gaps)
			}
		}
	}
	gaps, _ := q.Settle(at + 31*second)
	if len(gaps) != 1 || gaps[0].FoundAt != at+31*second {
		t.Fatalf("after a minute: %+v", gaps)
	}
	// A clock that is set back by an hour goes on from there.
	q.Observe(s, 5, base, base)
	q.Settle(at - 3600*second)
	if gaps, _ = q.Settle(at - 3541*second); len(gaps) != 0 {
		t.Fatalf("too early: %+v", gaps)
	}
	if gaps, _ = q.Settle(at - 3539*second); len(gaps) != 1 {
		t.Fatalf("after a clock was set back: %+v", gaps)
	}
}
