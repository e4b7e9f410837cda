package stream

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/metric"
)

// gauge is the value of a gauge or counter with one of its labels; a metric that
// was never set has 0.
func gauge(t testing.TB, set *metric.Set, name, label, value string) float64 {
	t.Helper()
	families, err := set.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label == "" {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					return m.GetGauge().GetValue() + m.GetCounter().GetValue()
				}
			}
		}
	}
	return 0
}

func TestGauges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := quiet(t, map[string]string{"a.yml": ruleWhoami, "b.yml": ruleMany}, nil)
		given := r.change
		r.change = func(c *Config) {
			given(c)
			// One group a shard: most hosts have to give way to others.
			c.Settings = func(event.Tenant) Settings { return Settings{Budget: correlate.Budget{GroupsPerShard: 1}} }
		}
		r.start()
		const hosts = 1000
		var lines []string
		for i := range hosts {
			lines = append(lines, process(time.Now(), fmt.Sprint("pc", i), whoami, i))
		}
		r.send("pc", lines...)
		pass(3 * time.Second)
		groups, evicted := gauge(t, r.metrics, "tiercel_correlation_groups", "", ""), gauge(t, r.metrics, "tiercel_correlation_evicted_groups_total", "", "")
		// A group of the rule and one of the correlation for each host.
		if groups < 1 || groups > 2*correlate.Shards || groups+evicted != 2*hosts {
			t.Errorf("%v groups held and %v given up, want at most %d and %d in all", groups, evicted, 2*correlate.Shards, 2*hosts)
		}
		if n := gauge(t, r.metrics, "tiercel_queue_depth", "stage", "decide"); n != 0 {
			t.Errorf("%v entries wait although nothing is under way", n)
		}
		// A restart counts none of them again.
		r.end()
		r.start()
		pass(3 * time.Second)
		if n := gauge(t, r.metrics, "tiercel_correlation_evicted_groups_total", "", ""); n != 0 {
			t.Errorf("%v groups given up by a process that saw nothing", n)
		}
		r.end()
	})
}

func TestQueueOfAScope(t *testing.T) {
	t.Parallel()
	var l level
	at := time.Unix(1_000_000, 0)
	for i, c := range []struct {
		next, head, entries int64
		age                 time.Duration
	}{
		{0, 0, 0, 0},
		{0, 3, 3, 0},
		{0, 5, 5, time.Second},
		{2, 5, 3, 2 * time.Second},
		{3, 5, 2, 2 * time.Second}, // the first three are gone, the others came later
		{5, 5, 0, 0},
		{5, 5, 0, 0},
		{5, 6, 1, 0},
		{6, 6, 0, 0},
		{7, 6, 0, 0}, // read between the two looks
	} {
		l.next.Store(c.next)
		entries, age := l.waits(c.head, at.Add(time.Duration(i)*time.Second))
		if entries != c.entries || age != c.age {
			t.Errorf("look %d: %d entries for %v, want %d for %v", i, entries, age, c.entries, c.age)
		}
	}
	for i := range int64(3 * reachesMax) {
		l.waits(7+i, at)
	}
	if len(l.queue) > reachesMax {
		t.Errorf("%d reaches are remembered", len(l.queue))
	}
}
