package scenario

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"
)

func mustNew(t testing.TB, c Config) *Scenario {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// digest is a hash of everything that a scenario says.
func digest(t *testing.T, c Config) string {
	t.Helper()
	s := mustNew(t, c)
	h := sha256.New()
	var e Event
	for s.Next(&e) {
		fmt.Fprintf(h, "%s %s %s %d %s %v\n%s", e.Source, e.Format, e.ID, e.Index, e.Delivered, e.Truth, e.Raw)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// The same parameters give the same bytes; every parameter matters.
func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	base := Config{Seed: 1, Duration: 2 * time.Hour, Rate: 1, Hosts: 20, Late: 0.1, Skew: time.Minute}
	first := digest(t, base)
	if again := digest(t, base); again != first {
		t.Error("two runs differ")
	}
	seen := map[string]string{first: "base"}
	for name, change := range map[string]func(*Config){
		"seed":     func(c *Config) { c.Seed = 2 },
		"start":    func(c *Config) { c.Start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC) },
		"duration": func(c *Config) { c.Duration = 3 * time.Hour },
		"rate":     func(c *Config) { c.Rate = 2 },
		"hosts":    func(c *Config) { c.Hosts = 21 },
		"users":    func(c *Config) { c.Users = 7 },
		"attacks":  func(c *Config) { c.Attacks = []string{"none"} },
		"late":     func(c *Config) { c.Late = 0.2 },
		"late max": func(c *Config) { c.LateMax = time.Hour },
		"skew":     func(c *Config) { c.Skew = time.Hour },
		"laurel":   func(c *Config) { c.Laurel = true },
	} {
		c := base
		change(&c)
		d := digest(t, c)
		if other, dup := seen[d]; dup {
			t.Errorf("%s and %s give the same bytes", name, other)
		}
		seen[d] = name
	}
}

// Events come in the order in which they arrive; without delays and wrong
// clocks that is the order of their times, everywhere. Ids are unique, indices
// without gaps, and everything says that it was generated.
func TestOrderAndMarks(t *testing.T) {
	t.Parallel()
	s := mustNew(t, Config{Duration: 12 * time.Hour, Start: time.Date(2026, 3, 3, 4, 0, 0, 0, time.UTC), Rate: 1})
	ids := map[string]bool{}
	var e Event
	var last time.Time
	var next uint64
	for s.Next(&e) {
		if e.Time.Before(last) || !e.Time.Equal(e.Delivered) {
			t.Fatalf("%s at %s after %s, delivered %s", e.ID, e.Time, last, e.Delivered)
		}
		last = e.Time
		if e.Index != next {
			t.Fatalf("index %d, want %d", e.Index, next)
		}
		next++
		if ids[string(e.ID)] {
			t.Fatalf("id %s twice", e.ID)
		}
		ids[string(e.ID)] = true
		if e.Time.Before(s.config.Start) || !e.Time.Before(s.config.Start.Add(s.config.Duration)) {
			t.Fatalf("%s is outside the span: %s", e.ID, e.Time)
		}
		mark := []byte(`"generated_by":"` + Mark + `"`)
		if e.Format == "auditd" {
			mark = []byte(auditKey)
			if !bytes.Contains(e.Raw, []byte("type=SYSCALL")) {
				mark = []byte("node=") // records of user space have no room for it
			}
		}
		if !bytes.Contains(e.Raw, mark) || e.Raw[len(e.Raw)-1] != '\n' {
			t.Fatalf("%s lacks its mark or its end:\n%s", e.ID, e.Raw)
		}
		if e.Format == "json" && bytes.Count(e.Raw, []byte("\n")) != 1 {
			t.Fatalf("%s has several lines", e.ID)
		}
		for _, name := range []string{"%u", "%h", "%n", "%x", "%p", "%i", "%l"} {
			if bytes.Contains(e.Raw, []byte(name)) {
				t.Fatalf("%s holds an unfilled %s:\n%s", e.ID, name, e.Raw)
			}
		}
	}
	if next < 40000 {
		t.Errorf("only %d events", next)
	}
}

// Late events are as many as asked for, late by no more than asked for, and
// none is lost or told twice; a skewed clock is always wrong by the same time.
func TestLateAndSkewed(t *testing.T) {
	t.Parallel()
	c := Config{Duration: 6 * time.Hour, Rate: 2, Late: 0.25, LateMax: 10 * time.Minute, Skew: 3 * time.Hour}
	s := mustNew(t, c)
	var e Event
	var last time.Time
	seen := map[uint64]bool{}
	offset := map[string]time.Duration{}
	late, highest := 0, uint64(0)
	for s.Next(&e) {
		if e.Delivered.Before(last) {
			t.Fatalf("%s arrives at %s, after %s", e.ID, e.Delivered, last)
		}
		last = e.Delivered
		if seen[e.Index] {
			t.Fatalf("%s twice", e.ID)
		}
		seen[e.Index] = true
		d := e.Delivered.Sub(e.Time)
		if o, ok := offset[e.Source]; !ok || d < o {
			offset[e.Source] = d
		}
		if e.Index < highest {
			late++
		}
		highest = max(highest, e.Index)
	}
	if len(seen) != int(highest)+1 {
		t.Errorf("%d events of %d", len(seen), highest+1)
	}
	if share := float64(late) / float64(len(seen)); share < 0.2 || share > 0.3 {
		t.Errorf("%.3f of the events are late, want about 0.25", share)
	}
	different := map[time.Duration]bool{}
	for source, o := range offset {
		if o < -c.Skew || o > c.Skew+c.LateMax {
			t.Errorf("clock of %s is wrong by %s", source, o)
		}
		different[o] = true
	}
	if len(different) < len(offset)/2 {
		t.Errorf("%d clocks, %d errors", len(offset), len(different))
	}
	// Without delays, the difference is the clock's error and nothing else.
	c.Late = 0
	s = mustNew(t, c)
	clear(offset)
	for s.Next(&e) {
		d := e.Delivered.Sub(e.Time)
		if o, ok := offset[e.Source]; ok && o != d {
			t.Fatalf("the clock of %s is wrong by %s, then by %s", e.Source, o, d)
		}
		offset[e.Source] = d
	}
}

// The rate comes out whatever hours the span covers; attacks come on top.
func TestRateIsHonoured(t *testing.T) {
	t.Parallel()
	night := time.Date(2026, 3, 3, 0, 0, 0, 0, time.UTC)
	saturday := time.Date(2026, 3, 7, 0, 0, 0, 0, time.UTC)
	for _, c := range []Config{
		{Rate: 1},
		{Rate: 0.05, Duration: 7 * 24 * time.Hour, Hosts: 60},
		{Rate: 20, Duration: time.Hour, Start: night},
		{Rate: 1, Duration: 24 * time.Hour, Start: saturday, Hosts: 200},
		{Rate: 3000, Duration: time.Minute},
		{Rate: 40000, Duration: time.Minute, Hosts: 1000},
	} {
		c.Attacks = []string{"none"}
		s := mustNew(t, c)
		n := 0
		var e Event
		from, span := s.start, s.end-s.start
		if c.Rate > 10000 {
			from, span = from+3*second, 3*second // enough to see it
		}
		for s.Next(&e) && e.Delivered.UnixNano() < from+span {
			if e.Delivered.UnixNano() >= from {
				n++
			}
		}
		want := c.Rate * float64(span) / 1e9
		if got := float64(n) / want; got < 0.93 || got > 1.07 {
			t.Errorf("%+v: %d events, %.3f of what was asked for", c, n, got)
		}
	}
}

// People work by day: the busiest hour has several times the events of the
// quietest, and a weekend is quiet.
func TestDailyRhythm(t *testing.T) {
	t.Parallel()
	s := mustNew(t, Config{Rate: 0.3, Duration: 7 * 24 * time.Hour, Hosts: 11, Attacks: []string{"none"}})
	var hours [24]int
	var days [7]int
	var e Event
	for s.Next(&e) {
		if strings.HasPrefix(e.Source, "ws-") {
			local := e.Time.Add(time.Hour) // the first site
			if local.Weekday() != time.Saturday && local.Weekday() != time.Sunday {
				hours[local.Hour()]++
			}
			days[local.Weekday()]++
		}
	}
	if hours[10] < 4*hours[3] {
		t.Errorf("%d events at ten, %d at three at night", hours[10], hours[3])
	}
	if days[time.Tuesday] < 2*days[time.Sunday] {
		t.Errorf("%d events on Tuesday, %d on Sunday", days[time.Tuesday], days[time.Sunday])
	}
}

// Memory depends on the fleet and the rate, not on the span: after ninety
// days the queue has the slots that it had after a week. At the highest rate
// it stops growing where it says.
func TestBoundedMemory(t *testing.T) {
	t.Parallel()
	s := mustNew(t, Config{Rate: 0.02, Duration: 90 * 24 * time.Hour, Hosts: 60, Late: 0.1})
	var e Event
	week := 0
	for s.Next(&e) {
		if e.Time.Sub(s.config.Start) < 7*24*time.Hour {
			week = len(s.queue.slots)
		}
	}
	if got := len(s.queue.slots); got > week*2 || got > 2000 {
		t.Errorf("%d slots after a week, %d after ninety days", week, got)
	}
	s = mustNew(t, Config{Rate: rateMax, Duration: time.Hour, Hosts: 1000, Late: 1, LateMax: time.Hour})
	for range 400_000 {
		if !s.Next(&e) {
			t.Fatal("it ended")
		}
	}
	// One activity is a few hundred events at most.
	if got := len(s.queue.slots); got > queueFull+1000 {
		t.Errorf("%d slots at the highest rate, want at most %d", got, queueFull)
	}
	if got := len(s.delivery.held); got > heldMax {
		t.Errorf("%d events held back, want at most %d", got, heldMax)
	}
}

// Whatever the span, the seed and the size of the fleet, every stage of every
// attack asked for is told, in its order, and none that was not.
func TestTruthIsComplete(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Duration: time.Minute, Hosts: hostsMin, Users: 2, Rate: 1},
		{Duration: time.Hour, Seed: 5, Rate: 1},
		{Duration: 24 * time.Hour, Seed: 9, Rate: 0.5, Hosts: 100, Late: 0.1, Skew: time.Hour},
		{Duration: 20 * 24 * time.Hour, Seed: 11, Rate: 0.01},
		{Duration: 10 * time.Hour, Seed: 12, Rate: 0.5, Attacks: []string{"kerberoasting", "aws-key-leak"}},
	} {
		s := mustNew(t, c)
		first := map[Truth]uint64{}
		var e Event
		for s.Next(&e) {
			if e.Truth != nil {
				if at, ok := first[*e.Truth]; !ok || e.Index < at {
					first[*e.Truth] = e.Index
				}
			}
		}
		chosen := 0
		for _, a := range List() {
			if len(c.Attacks) > 0 && !strings.Contains(strings.Join(c.Attacks, " "), a.Name) {
				continue
			}
			last := uint64(0)
			for i, st := range a.Stages {
				chosen++
				at, ok := first[Truth{a.Name, st.Name, st.Technique}]
				if !ok {
					t.Errorf("%+v: %s has no event of %q", c, a.Name, st.Name)
				} else if i > 0 && at <= last {
					t.Errorf("%+v: %s tells %q before the stage before it", c, a.Name, st.Name)
				}
				last = at
			}
		}
		if len(first) != chosen {
			t.Errorf("%+v: %d stages in the truth, want %d", c, len(first), chosen)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Hosts: 5}, "5 hosts"},
		{Config{Hosts: 1 << 20}, "hosts"},
		{Config{Users: 1}, "1 users"},
		{Config{Rate: -1}, "rate"},
		{Config{Rate: 2e6}, "rate"},
		{Config{Duration: time.Second}, "duration"},
		{Config{Late: 1.5}, "late"},
		{Config{LateMax: -1}, "delay"},
		{Config{Skew: -1}, "skew"},
		{Config{Start: time.Date(1969, 1, 1, 0, 0, 0, 0, time.UTC)}, "1971"},
		{Config{Attacks: []string{"no-such"}}, `no attack "no-such"`},
		{Config{Attacks: []string{"none", "kerberoasting"}}, "none alone"},
	} {
		if _, err := New(c.config); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.config, err, c.want)
		}
	}
}

// Times are written as the standard library writes them.
func TestTimes(t *testing.T) {
	t.Parallel()
	for _, at := range []time.Time{
		time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.UTC),
		time.Date(2026, 3, 1, 0, 0, 0, 1000, time.UTC), time.Date(2100, 2, 28, 12, 0, 0, 0, time.UTC), time.Date(2199, 12, 31, 1, 2, 3, 4, time.UTC),
	} {
		if got, want := string(appendTime(nil, at.UnixNano(), 'T', 7)), at.Format("2006-01-02T15:04:05.0000000"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
