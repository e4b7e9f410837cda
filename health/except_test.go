package health

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tiercel-io/tiercel/event"
)

// lively runs one source to an end with excepted times, which are named again
// after a restart in the middle.
func lively(t *testing.T, list []int64, end int64, except ...Interval) told {
	t.Helper()
	q := NewSilence(SilenceConfig{Tenant: event.LocalTenant})
	q.Except("s", except)
	var all told
	for now := monday; now < end; now++ {
		if _, spoke := slices.BinarySearch(list, now); spoke {
			q.Observe("s", now, 3)
		}
		s, r := q.Check(now)
		all.silent, all.recovered = append(all.silent, s...), append(all.recovered, r...)
		if now == (monday+end)/2 {
			again, err := RestoreSilence(SilenceConfig{Tenant: event.LocalTenant}, q.Encode())
			if err != nil {
				t.Fatal(err)
			}
			q = again
			q.Except("s", except)
		}
	}
	return all
}

// A holiday that is excepted is no silence of a source of office hours, and not
// learned: what stops a week later is named as soon as without it. One that is
// not excepted is told.
func TestSilenceOnAHoliday(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		usual := office(0.9, 0, 0)(rand.New(rand.NewPCG(seed, 3)), 7)
		slices.Sort(usual)
		// The Wednesday of the fifth week; Wednesday noon of the sixth it dies.
		holiday := Interval{monday + 4*week + 2*day, monday + 4*week + 3*day}
		death := monday + 5*week + 2*day + 12*60
		end := monday + 5*week + 4*day
		dies := slices.DeleteFunc(slices.Clone(usual), func(m int64) bool { return m >= death })
		off := slices.DeleteFunc(slices.Clone(dies), func(m int64) bool { return m >= holiday.From && m < holiday.To })

		told := lively(t, off, end, holiday)
		before := lively(t, dies, end)
		if len(before.silent) != 1 || len(told.silent) != 1 || told.silent[0].Since != before.silent[0].Since {
			t.Fatalf("seed %d: without a holiday %+v, with one %+v", seed, before.silent, told.silent)
		}
		if late := told.silent[0].At - before.silent[0].At; late > 5 {
			t.Errorf("seed %d: told %d minutes later than without a holiday", seed, late)
		}
		if s := lively(t, off, holiday.To).silent; len(s) != 1 || s[0].At < holiday.From {
			t.Errorf("seed %d: a holiday that is not excepted: %+v", seed, s)
		}
		// Some who work on a holiday change nothing either.
		few := append(slices.Clone(off), holiday.From+9*60, holiday.From+15*60)
		slices.Sort(few)
		if s := lively(t, few, end, holiday).silent; len(s) != 1 || s[0].At-before.silent[0].At > 5 {
			t.Errorf("seed %d: some work on the holiday: %+v", seed, s)
		}
	}
}

// Of a declared cadence the time before a holiday and behind it counts.
func TestDeclaredSilenceAroundAHoliday(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		last   int64 // minutes before the holiday
		except []Interval
		want   int64 // minutes from its end; the cadence is 60
	}{
		"a day":                   {30, []Interval{{0, day}}, 91},
		"two that touch":          {30, []Interval{{day / 2, day}, {0, day / 2}}, 91},
		"two that overlap":        {30, []Interval{{0, day - 60}, {day / 2, day}}, 91},
		"none":                    {30, nil, 91 - day},
		"one that is empty":       {30, []Interval{{day, 0}}, 91 - day},
		"one behind":              {30, []Interval{{day, 2 * day}}, 91 - day},
		"due in its first minute": {121, []Interval{{0, day}}, 0},
		"due the minute before":   {122, []Interval{{0, day}}, -1 - day},
	} {
		q := NewSilence(SilenceConfig{Tenant: event.LocalTenant})
		start := monday + day
		except := slices.Clone(c.except)
		for i := range except {
			except[i].From += start
			except[i].To += start
		}
		q.Except("s", except)
		q.Await("never", 60, start-c.last)
		q.Except("never", except)
		q.Declare("s", 60, start-c.last)
		q.Observe("s", start-c.last, 1)
		found := map[string]int64{}
		for m := start - c.last; m < start+2*day; m++ {
			silent, _ := q.Check(m)
			for _, s := range silent {
				found[s.Source] = m - start - day
			}
		}
		if found["s"] != c.want || found["never"] != c.want {
			t.Errorf("%s: told %v minutes after the holiday, want %d", name, found, c.want)
		}
	}
}
