package stream

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/rule"
)

// costTrial feeds a breaker second by second.
type costTrial struct {
	breaker *breaker
	at      time.Duration
}

func newCostTrial() *costTrial {
	return &costTrial{breaker: newBreaker(CostLimits{Share: 0.05, P99: 10 * time.Millisecond}), at: time.Hour}
}

// spend notes evaluations in this second: n of the time each, and slow ones of
// theirs.
func (c *costTrial) spend(id string, n int, each time.Duration, slow int, slowEach time.Duration) {
	s := detect.Stats{Evaluated: uint64(n + slow), Nanos: int64(n)*int64(each) + int64(slow)*int64(slowEach)}
	if slow > 0 && slowEach > c.breaker.limits.P99 {
		s.Slow, s.SlowNanos = uint64(slow), int64(slow)*int64(slowEach)
	}
	c.breaker.observe(int64(c.at), &rule.Rule{ID: id, SemanticHash: "h"}, &s, 1)
}

func (c *costTrial) second() { c.at += time.Second }

// tripped are the rules over a limit.
func (c *costTrial) tripped() string {
	var ids []string
	for _, b := range c.breaker.judge(int64(c.at)) {
		ids = append(ids, b.rule)
	}
	return strings.Join(ids, " ")
}

// until is the second in which a rule is over, of at most so many.
func (c *costTrial) until(seconds int, spend func()) int {
	for i := range seconds {
		spend()
		c.second()
		if c.tripped() != "" {
			return i + 1
		}
	}
	return -1
}

func TestShareOfACore(t *testing.T) {
	t.Parallel()
	// 500 records a second: 100 µs each are exactly 5 %.
	for name, x := range map[string]struct {
		n        int
		each     time.Duration
		from, to int // seconds
	}{
		"at the limit":             {500, 100 * time.Microsecond, -1, -1},
		"one step beyond":          {500, 100*time.Microsecond + 1, 60, 70},
		"a hundred times":          {500, 10 * time.Millisecond, 25, 70}, // five workers' worth
		"many records of a cheap":  {100_000, 2 * time.Microsecond, -1, -1},
		"few records of a dear":    {1, 9 * time.Millisecond, -1, -1},
		"dear enough and too many": {1001, dearMin, 60, 70},
	} {
		c := newCostTrial()
		got := c.until(200, func() { c.spend("r", x.n, x.each, 0, 0); c.spend("other", 100, time.Microsecond, 0, 0) })
		if got < x.from || got > x.to {
			t.Errorf("%s: over in second %d, want %d to %d", name, got, x.from, x.to)
		}
	}
}

func TestShareOfAStretchThatStandsForMore(t *testing.T) {
	t.Parallel()
	c := newCostTrial()
	got := c.until(100, func() {
		s := detect.Stats{Evaluated: 10, Nanos: int64(2 * time.Millisecond)}
		c.breaker.observe(int64(c.at), &rule.Rule{ID: "r"}, &s, 30)
	})
	if got < 50 || got > 70 {
		t.Errorf("over in second %d", got)
	}
}

// A burst is over sooner than a minute: nine seconds of a whole core are 15 % of
// the minute.
func TestShareOfABurst(t *testing.T) {
	t.Parallel()
	c := newCostTrial()
	if got := c.until(200, func() {
		if c.at < time.Hour+9*time.Second {
			c.spend("r", 200, 5*time.Millisecond, 0, 0)
		}
	}); got != -1 {
		t.Errorf("over in second %d", got)
	}
}

func TestSlowRecords(t *testing.T) {
	t.Parallel()
	const limit = 10 * time.Millisecond
	for name, x := range map[string]struct {
		n, slow  int
		each     time.Duration
		from, to int
	}{
		"at the limit":            {1, 1, limit, -1, -1},
		"one step beyond":         {1, 1, limit + 1, 10, 20},
		"a hundred times":         {1, 1, 100 * limit, 10, 20},
		"one of a hundred":        {99, 1, 2 * limit, -1, -1},
		"one of ninety-nine":      {98, 1, 2 * limit, 10, 20},
		"a rule that is not busy": {0, 1, limit + 1, 10, 20},
	} {
		c := newCostTrial()
		c.breaker.limits.Share = 0
		got := c.until(120, func() { c.spend("r", x.n, time.Microsecond, x.slow, x.each) })
		if got < x.from || got > x.to {
			t.Errorf("%s: over in second %d, want %d to %d", name, got, x.from, x.to)
		}
	}
}

// A process that stands still for a while makes whatever is at work slow: here
// every rule, in proportion to its time at work, as on a machine with ten times
// as much to do as it can.
func TestStallsAreNobodysDoing(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	c := newCostTrial()
	c.breaker.limits.Share = 0
	each := []time.Duration{time.Microsecond, 5 * time.Microsecond, 50 * time.Microsecond, 300 * time.Microsecond}
	for i := range 300 {
		for id, d := range each {
			const n = 50
			// A stall of 20 ms for each 5 ms at work.
			slow := 0
			for range n {
				if rng.Float64() < float64(d)/float64(5*time.Millisecond) {
					slow++
				}
			}
			c.spend(string(rune('a'+id)), n-slow, d, slow, 20*time.Millisecond)
		}
		c.second()
		if got := c.tripped(); got != "" {
			t.Fatalf("second %d: %s is taken for dear", i, got)
		}
	}
	// A dear one among them is found all the same.
	if got := c.until(30, func() {
		for id, d := range each {
			c.spend(string(rune('a'+id)), 50, d, 0, 0)
		}
		c.spend("dear", 10, time.Millisecond, 10, 40*time.Millisecond)
	}); got == -1 || c.tripped() != "dear" {
		t.Errorf("second %d: %q is taken out", got, c.tripped())
	}
}

func TestBreakerForgets(t *testing.T) {
	t.Parallel()
	c := newCostTrial()
	if c.until(100, func() { c.spend("r", 500, time.Millisecond, 0, 0) }) == -1 {
		t.Fatal("not over")
	}
	c.breaker.keep([]*rule.Rule{{ID: "r", SemanticHash: "h"}})
	if c.tripped() != "r" {
		t.Error("forgotten while it is the same")
	}
	c.breaker.keep([]*rule.Rule{{ID: "r", SemanticHash: "another"}})
	if c.tripped() != "" {
		t.Error("another rule answers for it")
	}
	// Two idle minutes later it starts anew, and a clock that goes back is no fault.
	c.spend("r", 500, time.Millisecond, 0, 0)
	c.at += 2 * time.Minute
	if c.tripped() != "" {
		t.Error("what is long ago counts")
	}
	c.at -= time.Hour - time.Minute
	c.spend("r", 500, -time.Millisecond, 0, 0)
	if c.tripped() != "" {
		t.Error("negative times count")
	}
	off := newBreaker(CostLimits{})
	if off.on() || len(off.judge(int64(c.at))) != 0 {
		t.Error("off is on")
	}
}
