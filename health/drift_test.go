package health

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/event"
)

// mixed is a source of three programs whose parts shift over the day and the
// week: the first parses and is routed, with all its fields; the second parses
// and fits no view; the third does not parse. Volume follows the day.
func mixed(r *rand.Rand, minute int64) Window {
	hour := minute % day / 60
	parts := [3]float64{0.8, 0.15, 0.05}
	volume := 3000
	switch {
	case minute/day%7 == 2 || minute/day%7 == 3: // Saturday and Sunday: 1970 began on a Thursday
		parts, volume = [3]float64{0.3, 0.4, 0.3}, 600
	case hour < 7 || hour > 18:
		parts, volume = [3]float64{0.5, 0.2, 0.3}, 600
	}
	var w Window
	draw := func(p float64) bool { return r.Float64() < p }
	var user, parent uint64
	for range volume/2 + r.IntN(volume) {
		w.Records++
		switch k := r.Float64(); {
		case k < parts[0]:
			w.Parsed++
			w.Routed++
			if draw(0.98) {
				user++
			}
			// A field that only some kinds of event have, which shift too.
			if draw(parts[0]) {
				parent++
			}
		case k < parts[0]+parts[1]:
			w.Parsed++
		}
	}
	w.Fields = []FieldCount{{"process_creation", "User", w.Routed, user}, {"process_creation", "ParentImage", w.Routed, parent}}
	return w
}

// drive runs windows from monday on; the windows may be changed. Once a week it
// goes through an encoding.
func drive(t *testing.T, q *Drift, r *rand.Rand, from, to int64, change func(minute int64, w *Window)) (drifting []Drifting, steady []Steady) {
	t.Helper()
	for m := from; m < to; m += WindowMinutes {
		w := mixed(r, m)
		if change != nil {
			change(m, &w)
		}
		q.Observe("s", m, w)
		d, s := q.Findings()
		drifting, steady = append(drifting, d...), append(steady, s...)
		if m%week == 0 {
			again, err := RestoreDrift(q.cfg, q.Encode())
			if err != nil {
				t.Fatal(err)
			}
			*q = *again
		}
	}
	return drifting, steady
}

func TestDriftNoFalseAlarm(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		q := NewDrift(DriftConfig{})
		d, s := drive(t, q, rand.New(rand.NewPCG(seed, 3)), monday, monday+3*week, nil)
		if len(d)+len(s) > 0 {
			t.Errorf("seed %d: %+v %+v", seed, d, s)
		}
	}
}

func TestDriftFindsBreaks(t *testing.T) {
	t.Parallel()
	// A parser that breaks, a field that is renamed and a view that no longer
	// fits, by day, by night and at the weekend.
	for _, at := range []int64{day + 11*60, 2*day + 2*60, 5*day + 12*60} {
		for name, c := range map[string]struct {
			change func(w *Window)
			want   []Figure
		}{
			"parser": {
				func(w *Window) {
					w.Parsed, w.Routed = w.Parsed*3/10, w.Routed*3/10
					for i := range w.Fields {
						w.Fields[i].Records, w.Fields[i].Present = w.Fields[i].Records*3/10, w.Fields[i].Present*3/10
					}
				},
				[]Figure{{Source: "s", What: ParseRate}},
			},
			"field": {
				func(w *Window) { w.Fields[0].Present = 0 },
				[]Figure{{Source: "s", What: FieldShare, View: "process_creation", Field: "User"}},
			},
			"view": {
				func(w *Window) { w.Routed, w.Fields = 0, nil },
				[]Figure{{Source: "s", What: RoutedShare}},
			},
		} {
			q := NewDrift(DriftConfig{Tenant: event.LocalTenant})
			r := rand.New(rand.NewPCG(uint64(at), 3))
			broken := monday + week + at
			if d, _ := drive(t, q, r, monday, broken, nil); len(d) > 0 {
				t.Fatalf("%s: before: %+v", name, d)
			}
			d, _ := drive(t, q, r, broken, broken+2*WindowMinutes, func(_ int64, w *Window) { c.change(w) })
			var got []Figure
			for _, f := range d {
				// A broken parser takes the routed share with it, but by day not far
				// below that of a weekend.
				if name == "parser" && f.What == RoutedShare {
					continue
				}
				got = append(got, f.Figure)
				if f.Since != broken || f.At != broken+WindowMinutes || f.Was-f.Is < dropLeast || f.Is > 0.35 || f.Was > 1 {
					t.Errorf("%s at %s: %+v", name, clock(at), f)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s, broken at %s: found %v after two windows, want %v", name, clock(broken), got, c.want)
			}
			// While it lasts nothing more is told, for over two weeks; then it ends once.
			if d, s := drive(t, q, r, broken+2*WindowMinutes, broken+2*week+3*60, func(_ int64, w *Window) { c.change(w) }); len(d)+len(s) > 0 {
				t.Errorf("%s: told again: %+v %+v", name, d, s)
			}
			whole, ended := drive(t, q, r, broken+2*week+3*60, broken+2*week+2*day, nil)
			if len(whole) > 0 || len(ended) != len(d) {
				t.Errorf("%s: %d ended of %d, and %d began", name, len(ended), len(d), len(whole))
			}
			for i := range min(len(ended), len(d)) {
				if ended[i].Drifting != d[i] {
					t.Errorf("%s: ended %+v, began %+v", name, ended[i], d[i])
				}
			}
		}
	}
}

// plain runs one figure with given shares of 1,000 records.
func plain(q *Drift, from int64, shares ...uint64) (drifting []Drifting, steady []Steady) {
	for i, s := range shares {
		q.Observe("p", from+int64(i)*WindowMinutes, Window{Records: 1000, Parsed: s, Routed: 1000})
	}
	return q.Findings()
}

func repeat(n int, share uint64) []uint64 { return slices.Repeat([]uint64{share}, n) }

func TestDriftLearning(t *testing.T) {
	t.Parallel()
	dayWindows := int(day / WindowMinutes)
	q := NewDrift(DriftConfig{})
	// Within the first day nothing, whatever happens.
	if d, _ := plain(q, monday, append(repeat(dayWindows/2, 1000), repeat(dayWindows/2, 900)...)...); len(d) > 0 {
		t.Errorf("%+v", d)
	}
	// Within the first week only what is lower by half.
	if d, _ := plain(q, monday+day, repeat(12, 600)...); len(d) > 0 {
		t.Errorf("%+v", d)
	}
	if d, _ := plain(q, monday+day+60, 50, 50); len(d) != 1 || d[0].What != ParseRate || d[0].Was != 0.6 || d[0].Is != 0.05 {
		t.Errorf("%+v", d)
	}
}

func TestDriftThresholds(t *testing.T) {
	t.Parallel()
	weeks := func() *Drift {
		q := NewDrift(DriftConfig{})
		if d, _ := plain(q, monday, repeat(int(8*day/WindowMinutes), 1000)...); len(d) > 0 {
			t.Fatalf("%+v", d)
		}
		return q
	}
	at := monday + 8*day
	if d, _ := plain(weeks(), at, 810, 810, 810); len(d) > 0 {
		t.Errorf("19 points: %+v", d)
	}
	if d, _ := plain(weeks(), at, 790, 790); len(d) != 1 || d[0].Since != at || d[0].At != at+WindowMinutes {
		t.Errorf("21 points: %+v", d)
	}
	if d, _ := plain(weeks(), at, 100, 1000, 100, 1000, 1000); len(d) > 0 {
		t.Errorf("single windows: %+v", d)
	}
	// One bad window lowers nothing.
	q := weeks()
	plain(q, at, 100, 1000, 1000)
	if d, _ := plain(q, at+60, 300, 300); len(d) != 1 || d[0].Was != 1 {
		t.Errorf("after a single bad window: %+v", d)
	}
	if d, s := plain(q, at+120, 1000, 300, 1000, 1000); len(d) > 0 || len(s) != 1 || s[0].At != at+120+3*WindowMinutes {
		t.Errorf("the end: %+v %+v", d, s)
	}
	// Few records are added up, and then judged.
	q = weeks()
	for i := range int64(9) {
		q.Observe("p", at+i*WindowMinutes, Window{Records: 10, Parsed: 1, Routed: 10})
		if d, _ := q.Findings(); len(d) > 0 {
			t.Errorf("after %d records: %+v", 10*i+10, d)
		}
	}
	q.Observe("p", at+9*WindowMinutes, Window{Records: 10, Parsed: 1, Routed: 10})
	if d, _ := q.Findings(); len(d) != 1 || d[0].Since != at {
		t.Errorf("after 100 records: %+v", d)
	}
	// Accepted: learned anew.
	q.Forget(Figure{Source: "p", What: ParseRate})
	if d, s := plain(q, at+120, repeat(400, 100)...); len(d)+len(s) > 0 {
		t.Errorf("after Forget: %+v %+v", d, s)
	}
}

func TestDriftBoundsAndState(t *testing.T) {
	t.Parallel()
	q := NewDrift(DriftConfig{MeasuresMax: 5})
	for i := range 10 {
		q.Observe(fmt.Sprint(i), monday, Window{Records: 1 << 40, Parsed: 1 << 41})
	}
	if q.Evicted() != 15 || q.order.Len() != 5 {
		t.Errorf("%d evicted, %d held", q.Evicted(), q.order.Len())
	}
	q.Observe("x", monday, Window{Records: 1, Fields: make([]FieldCount, FieldsMax+3)})
	q.Observe("x", monday, Window{Records: 1, Fields: []FieldCount{{strings.Repeat("v", FieldBytesMax), "f", 1, 1}}})
	if q.Refused() != 4 {
		t.Errorf("%d refused", q.Refused())
	}
	state := q.Encode()
	again, err := RestoreDrift(DriftConfig{MeasuresMax: 5}, state)
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Encode()) != string(state) {
		t.Error("the restored state encodes otherwise")
	}
	for i := range state {
		for _, bad := range [][]byte{state[:i], append(slices.Clone(state[:i]), append([]byte{state[i] ^ 1}, state[i+1:]...)...)} {
			if _, err := RestoreDrift(DriftConfig{}, bad); !errors.Is(err, ErrState) {
				t.Fatalf("damage at %d: %v", i, err)
			}
		}
	}
}

// Any payload behind a right checksum: an error or a finder that can go on, and
// never a panic.
func FuzzRestore(f *testing.F) {
	q := NewSequences(SequencesConfig{})
	for _, n := range []uint64{5, 9, 7} {
		q.Observe(Stream{Kind: RecordID, Source: "s"}, n, base, base)
	}
	s := NewSilence(SilenceConfig{})
	s.Observe("s", monday, 1)
	d := NewDrift(DriftConfig{})
	d.Observe("s", monday, Window{Records: 60})
	for _, state := range [][]byte{q.Encode(), s.Encode(), d.Encode()} {
		f.Add(state[:len(state)-4])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		state := (&encoder{buf: slices.Clone(data)}).done()
		if q, err := RestoreSequences(SequencesConfig{}, state); err == nil {
			q.Observe(Stream{Kind: RecordID, Source: "s"}, 8, base, base)
			q.Observe(Stream{Kind: RecordID, Source: "s"}, 1<<63, base+minute, base)
			q.Settle(base)
		}
		if s, err := RestoreSilence(SilenceConfig{}, state); err == nil {
			s.Observe("s", monday+100, 1)
			s.Check(monday + 2000)
		}
		if d, err := RestoreDrift(DriftConfig{}, state); err == nil {
			d.Observe("s", monday+100, Window{Records: 60})
		}
	})
}
