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

const (
	day  = int64(24 * 60)
	week = 7 * day
	// monday is 2026-03-02 00:00 UTC.
	monday = base / minute
)

// activity is the minutes in which a source speaks, from monday on, for some
// weeks.
type activity func(r *rand.Rand, weeks int64) []int64

// every gives a minute with chance p in each of a range.
func every(r *rand.Rand, list []int64, from, to int64, p float64) []int64 {
	for m := from; m < to; m++ {
		if r.Float64() < p {
			list = append(list, m)
		}
	}
	return list
}

// office is a source of working days 8:00 to 18:00, moved by some minutes from
// a week on: begin and end differ by a quarter of an hour each day, and there is
// a break at noon.
func office(p float64, shift, fromWeek int64) activity {
	return func(r *rand.Rand, weeks int64) (list []int64) {
		for d := range weeks * 7 {
			if d%7 >= 5 {
				continue
			}
			start := monday + d*day
			if d/7 >= fromWeek {
				start += shift
			}
			begin, end := start+8*60+r.Int64N(30)-15, start+18*60+r.Int64N(30)-15
			noon := start + 12*60 + r.Int64N(45)
			list = every(r, list, begin, noon, p)
			list = every(r, list, noon+15+r.Int64N(20), end, p)
		}
		return list
	}
}

func batch(period, length, jitter int64) activity {
	return func(r *rand.Rand, weeks int64) (list []int64) {
		for at := monday + 2*60; at < monday+weeks*week; at += period {
			list = every(r, list, at+r.Int64N(jitter), at+jitter+length, 0.9)
		}
		return list
	}
}

func kinds() map[string]activity {
	return map[string]activity{
		"every minute": func(r *rand.Rand, weeks int64) []int64 { return every(r, nil, monday, monday+weeks*week, 1) },
		"at random, often": func(r *rand.Rand, weeks int64) []int64 {
			return every(r, nil, monday, monday+weeks*week, 0.6)
		},
		"at random, seldom": func(r *rand.Rand, weeks int64) []int64 {
			return every(r, nil, monday, monday+weeks*week, 0.05)
		},
		"every five minutes": func(_ *rand.Rand, weeks int64) (list []int64) {
			for m := monday; m < monday+weeks*week; m += 5 {
				list = append(list, m)
			}
			return list
		},
		"day and night": func(r *rand.Rand, weeks int64) (list []int64) {
			for h := range weeks * 168 {
				p := 0.9
				if h%24 < 7 || h%24 > 19 {
					p = 0.1
				}
				list = every(r, list, monday+h*60, monday+h*60+60, p)
			}
			return list
		},
		"office hours":              office(0.9, 0, 0),
		"office hours, less busy":   office(0.3, 0, 0),
		"office hours, summer time": office(0.9, -60, 3),
		"office hours, winter time": office(0.9, 60, 3),
		"nightly batch":             batch(day, 30, 20),
		"weekly batch":              batch(week, 60, 20),
		"batches every four hours":  batch(4*60, 5, 10),
		"bursts at random, one in three hours": func(r *rand.Rand, weeks int64) (list []int64) {
			for m := monday; m < monday+weeks*week; m++ {
				if r.IntN(180) == 0 {
					list = every(r, list, m, m+10, 0.9)
					m += 10
				}
			}
			return list
		},
	}
}

// told is what a run of the simulation found.
type told struct {
	silent    []Silent
	recovered []Recovered
}

// live runs sources from monday to an end. Each begins at its first record. In
// the middle it goes through an encoding.
func live(t *testing.T, sources map[string][]int64, end int64) told {
	t.Helper()
	q := NewSilence(SilenceConfig{Tenant: event.LocalTenant})
	var all told
	at := map[string]int{}
	for now := monday; now < end; now++ {
		for name, list := range sources {
			if i := at[name]; i < len(list) && list[i] == now {
				q.Observe(name, now, 3)
				for at[name] < len(list) && list[at[name]] <= now {
					at[name]++
				}
			}
		}
		s, r := q.Check(now)
		all.silent, all.recovered = append(all.silent, s...), append(all.recovered, r...)
		if now == (monday+end)/2 {
			again, err := RestoreSilence(SilenceConfig{Tenant: event.LocalTenant}, q.Encode())
			if err != nil {
				t.Fatal(err)
			}
			q = again
		}
	}
	return all
}

// Once learned, no source of the stated kinds raises a false alarm in five
// weeks.
func TestSilenceNoFalseAlarm(t *testing.T) {
	t.Parallel()
	const weeks = 6
	for kind, make := range kinds() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			sources := map[string][]int64{}
			first := map[string]int64{}
			for seed := range uint64(8) {
				name := fmt.Sprint(seed)
				list := make(rand.New(rand.NewPCG(seed, 2)), weeks)
				slices.Sort(list)
				sources[name], first[name] = slices.Compact(list), list[0]
			}
			for _, s := range live(t, sources, monday+weeks*week-day).silent {
				if s.At >= first[s.Source]+week {
					t.Errorf("seed %s: silent since %s, told %s, expected within %d minutes", s.Source, clock(s.Since), clock(s.At), s.Expected)
				}
			}
		})
	}
}

func clock(minute int64) string {
	m := minute - monday
	return fmt.Sprintf("day %d %02d:%02d", m/day, m%day/60, m%60)
}

// A source that stops for good is named, within the bound that is promised.
func TestSilenceRealStops(t *testing.T) {
	t.Parallel()
	const weeks = 5
	for _, c := range []struct {
		kind string
		// stop and latest are minutes after the monday of the fourth week.
		stop, latest int64
	}{
		{"every minute", 3*day + 601, 3*day + 601 + 15},
		{"at random, often", 3*day + 601, 3*day + 601 + 50},
		{"at random, seldom", 3*day + 601, 3*day + 601 + 10*60},
		{"every five minutes", 3*day + 601, 3*day + 601 + 20},
		{"day and night", 3*day + 11*60, 3*day + 11*60 + 30},
		{"day and night", 3*day + 2*60, 3*day + 2*60 + 5*60},
		// In the middle of the morning and of the afternoon: after twice the
		// longest break.
		{"office hours", 10 * 60, 10*60 + 80},
		{"office hours", day + 14*60 + 30, day + 14*60 + 30 + 80},
		// In the evening and at the weekend: on the next working morning.
		{"office hours", day + 17*60 + 30, 2*day + 11*60},
		{"office hours", 5 * day, 7*day + 11*60},
		{"office hours, less busy", 10 * 60, 10*60 + 150},
		// A batch: when two are missing.
		{"nightly batch", day + 60, 3*day + 4*60},
		{"batches every four hours", day + 60, day + 60 + 9*60},
		{"weekly batch", 60, 7*day + 4*60},
		{"bursts at random, one in three hours", day, 5 * day},
	} {
		sources := map[string][]int64{}
		cut := monday + 3*week + c.stop
		for seed := range uint64(4) {
			list := kinds()[c.kind](rand.New(rand.NewPCG(seed, 2)), weeks)
			slices.Sort(list)
			i, _ := slices.BinarySearch(list, cut)
			sources[fmt.Sprint(seed)] = slices.Compact(list[:i])
		}
		found := live(t, sources, monday+weeks*week)
		for name, list := range sources {
			i := slices.IndexFunc(found.silent, func(s Silent) bool { return s.Source == name && s.At >= cut })
			switch {
			case i < 0:
				t.Errorf("%s: stop at %s is not named", c.kind, clock(cut))
			case found.silent[i].At > monday+3*week+c.latest:
				t.Errorf("%s: stop at %s is named at %s, want %s", c.kind, clock(cut), clock(found.silent[i].At), clock(monday+3*week+c.latest))
			case found.silent[i].Since != list[len(list)-1]:
				t.Errorf("%s: silent since %s, want %s", c.kind, clock(found.silent[i].Since), clock(list[len(list)-1]))
			}
		}
	}
}

// While it is learned the bound is wide: nothing on the first day, and a source
// that goes on for days without a pause is named soon.
func TestSilenceWhileLearning(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	short, long := every(r, nil, monday, monday+5*60, 1), every(r, nil, monday, monday+2*day, 1)
	found := live(t, map[string][]int64{"short": short, "long": long}, monday+10*day).silent
	if len(found) != 2 || found[0].Source != "long" || found[0].At > monday+2*day+15 || found[1].At < monday+5*60+week {
		t.Errorf("%+v", found)
	}
	list := office(0.9, 0, 0)(r, 1)
	if found := live(t, map[string][]int64{"office": list}, monday+week).silent; len(found) > 0 {
		t.Errorf("its first weekend is a silence: %+v", found)
	}
}

func TestSilenceDeclared(t *testing.T) {
	t.Parallel()
	q := NewSilence(SilenceConfig{Tenant: event.LocalTenant})
	q.Check(monday)
	q.Declare("s", 3, monday)
	q.Declare("other", 0, monday)
	now := monday
	run := func(n int) (silent []Silent, recovered []Recovered) {
		for range n {
			now++
			s, r := q.Check(now)
			silent, recovered = append(silent, s...), append(recovered, r...)
		}
		return silent, recovered
	}
	if s, _ := run(6); len(s) > 0 {
		t.Fatalf("too early: %+v", s)
	}
	s, _ := run(1)
	if len(s) != 1 || s[0].Since != monday || s[0].Expected != 3 || !s[0].Declared || s[0].ID.String() != event.FindingID(event.LocalTenant, "silence", "s", fmt.Sprint(monday)).String() {
		t.Fatalf("%+v", s)
	}
	if again, _ := run(100); len(again) > 0 {
		t.Fatalf("told twice: %+v", again)
	}
	now++
	q.Observe("s", now, 1)
	since := now
	_, r := run(1)
	if len(r) != 1 || r[0].Silent != s[0] || r[0].At != since {
		t.Fatalf("%+v", r)
	}
	q.Observe("s", now-50, 1) // behind the newest: nothing
	q.Observe("s", now+1, 0)  // none: nothing
	s, _ = run(6)
	if len(s) != 1 || s[0].Since != since || s[0].At != since+7 {
		t.Fatalf("%+v", s)
	}
	q.Forget("s")
	if s, r := run(100); len(s)+len(r) > 0 {
		t.Fatalf("%v %v", s, r)
	}
}

// When nobody listened for an hour no source is silent for it.
func TestSilenceStandstill(t *testing.T) {
	t.Parallel()
	q := NewSilence(SilenceConfig{})
	now := monday
	for ; now < monday+2*week; now++ {
		q.Observe("s", now, 1)
		q.Check(now)
	}
	now += 60
	if s, _ := q.Check(now); len(s) > 0 {
		t.Fatalf("%+v", s)
	}
	for range 10 {
		now++
		if s, _ := q.Check(now); len(s) > 0 {
			t.Fatalf("%+v", s)
		}
	}
	now++
	if s, _ := q.Check(now); len(s) != 1 || s[0].Since != monday+2*week-1 {
		t.Fatalf("%+v", s)
	}
}

// A source that changes its ways raises three silences, and then it is a habit.
func TestSilenceHabit(t *testing.T) {
	t.Parallel()
	var list []int64
	for m := monday; m < monday+5*week; m++ {
		if m < monday+2*week || m%day >= 8*60 {
			list = append(list, m)
		}
	}
	if found := live(t, map[string][]int64{"s": list}, monday+5*week).silent; len(found) < 1 || len(found) > 10 {
		t.Errorf("%d silences, want one for each hour of the week at most three times", len(found))
	} else if last := found[len(found)-1].At; last > monday+3*week+2*day {
		t.Errorf("the last is told at %s", clock(last))
	}
}

func TestSilenceBoundsAndState(t *testing.T) {
	t.Parallel()
	q := NewSilence(SilenceConfig{SourcesMax: 2})
	for _, name := range []string{"a", "b", "c", strings.Repeat("n", SourceBytesMax+1)} {
		q.Observe(name, monday, 1)
	}
	if q.Refused() != 2 || len(q.sources) != 2 {
		t.Errorf("%d refused, %d held", q.Refused(), len(q.sources))
	}
	q.Declare("a", 2, monday)
	for m := monday; m < monday+8; m++ {
		q.Check(m)
	}
	q.Observe("a", monday+8, 1)
	state := q.Encode()
	again, err := RestoreSilence(SilenceConfig{SourcesMax: 2}, state)
	if err != nil {
		t.Fatal(err)
	}
	if string(again.Encode()) != string(state) {
		t.Error("the restored state encodes otherwise")
	}
	for i := range state {
		for _, bad := range [][]byte{state[:i], append(slices.Clone(state[:i]), append([]byte{state[i] ^ 1}, state[i+1:]...)...)} {
			if _, err := RestoreSilence(SilenceConfig{}, bad); !errors.Is(err, ErrState) {
				t.Fatalf("damage at %d: %v", i, err)
			}
		}
	}
}
