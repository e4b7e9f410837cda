package health

import (
	"slices"
	"testing"

	"github.com/tiercel-io/tiercel/event"
)

// restored goes through an encoding, as over a restart.
func restored(t *testing.T, q *Silence) *Silence {
	t.Helper()
	again, err := RestoreSilence(SilenceConfig{Tenant: event.LocalTenant}, q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// A source that was named and never spoke is told once, when twice its cadence
// has passed in which somebody listened, however often the process began anew.
func TestSilenceOfAnUnheardSource(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		// declared is its cadence, want when it is told, in minutes from the first
		// naming; up and down are how long the process runs and rests in turn.
		declared, want, up, down int64
	}{
		{"declared", 60, 121, 1000 * day, 0},
		{"not declared", 0, 2*UnheardMinutes + 1, 1000 * day, 0},
		// Five minutes between two checks are no rest.
		{"restarted at once", 60, 121, 10, 1},
		{"restarted in a while", 60, 121, 50, 4},
		// From the last check to the next are 11 minutes, twice.
		{"restarted later", 60, 121 + 2*11, 50, 10},
		// 59 minutes count of each of 48 days.
		{"up for an hour a day", 0, 48*day + 2*UnheardMinutes + 1 - 48*59, 60, 23 * 60},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			q := NewSilence(SilenceConfig{Tenant: event.LocalTenant})
			var found []Silent
			for m := int64(0); m <= c.want+c.up+c.down; m++ {
				if phase := m % (c.up + c.down); phase >= c.up {
					continue
				} else if phase == 0 {
					if m > 0 {
						q = restored(t, q)
					}
					q.Await("s", c.declared, monday+m)
				}
				silent, recovered := q.Check(monday + m)
				if len(recovered) > 0 {
					t.Fatalf("recovered %+v", recovered)
				}
				found = append(found, silent...)
			}
			if len(found) != 1 {
				t.Fatalf("told %d times: %+v", len(found), found)
			}
			f := found[0]
			if f.At != monday+c.want || f.Since != monday || !f.Unheard || f.Source != "s" {
				t.Errorf("told at %d, since %d: %+v; want %d", f.At-monday, f.Since-monday, f, c.want)
			}
			if expected := map[bool]int64{true: c.declared, false: UnheardMinutes}[c.declared > 0]; f.Expected != expected {
				t.Errorf("expected every %d", f.Expected)
			}
		})
	}
}

// One that speaks at last is heard from then on as any other, and to name it
// again changes nothing.
func TestAnUnheardSourceSpeaks(t *testing.T) {
	t.Parallel()
	q := NewSilence(SilenceConfig{Tenant: event.LocalTenant})
	q.Await("late", 10, monday)
	q.Await("quick", 10, monday)
	if got := q.Unheard(); !slices.Equal(got, []string{"late", "quick"}) {
		t.Errorf("unheard %q", got)
	}
	q.Observe("quick", monday+1, 1)
	at := monday
	for ; len(q.Silent()) == 0; at++ {
		q.Check(at)
		q.Observe("quick", at, 1)
	}
	if s := q.Silent(); at != monday+22 || len(s) != 1 || s[0].Source != "late" || !s[0].Unheard {
		t.Fatalf("at %d: %+v", at-monday, s)
	}
	q = restored(t, q)
	if s := q.Silent(); len(s) != 1 || !s[0].Unheard || !s[0].Declared {
		t.Errorf("restored as %+v", s)
	}
	q.Observe("late", at, 1)
	if _, recovered := q.Check(at + 1); len(recovered) != 1 || recovered[0].At != at || !recovered[0].Silent.Unheard {
		t.Errorf("recovered %+v", recovered)
	}
	if got := q.Unheard(); len(got) != 0 {
		t.Errorf("unheard %q", got)
	}
	// What is learned of it now counts, and not what was assumed.
	q.Declare("late", 0, at)
	q.Await("late", 0, at)
	for m := at; m < at+3*day; m++ {
		if s, _ := q.Check(m); slices.ContainsFunc(s, func(s Silent) bool { return s.Source == "late" }) {
			t.Fatalf("told after %d minutes: %+v", m-at, s)
		}
	}
}
