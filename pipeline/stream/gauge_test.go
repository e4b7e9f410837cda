package stream

import (
	"fmt"
	"maps"
	"strings"
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

// series are the values of a metric's series by their labels, in order of name;
// a histogram has the number of its observations.
func series(t testing.TB, set *metric.Set, name string) map[string]float64 {
	t.Helper()
	families, err := set.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			all[strings.Join(labels, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// Two tenants may call a source alike; what is told of one must not stand in
// place of what is told of the other.
func TestSourcesOfOneName(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := quiet(t, map[string]string{"a.yml": ruleWhoami}, func(_ string, s *Source) { s.Cadence = 5 * time.Minute })
		r.start()
		other, _ := r.tenants.Lookup("other")
		for i := range 3 {
			r.sendFor(other, "pc", process(time.Now(), "ws", whoami, i))
		}
		first := time.Now()
		pass(2 * time.Minute)
		const local = 12
		var last time.Time
		for i := range local { // the other is silent meanwhile
			last = time.Now()
			r.send("pc", process(last, "ws", whoami, i))
			pass(2 * time.Minute)
		}
		const ofLocal, ofOther = "source=pc tenant=local", "source=pc tenant=other"
		for name, want := range map[string]map[string]float64{
			"tiercel_source_last_event_timestamp_seconds": {ofLocal: float64(last.Unix()), ofOther: float64(first.Unix())},
			"tiercel_source_silent":                       {ofOther: 1},
			"tiercel_ledger_unaccounted_events":           {ofLocal: 0, ofOther: 0},
			"tiercel_detect_events_total":                 {ofLocal: local, ofOther: 3},
			"tiercel_ingest_events_total":                 {"protocol=ndjson " + ofLocal: local, "protocol=ndjson " + ofOther: 3},
		} {
			if got := series(t, r.metrics, name); !maps.Equal(got, want) {
				t.Errorf("%s has %v, want %v", name, got, want)
			}
		}
		// A start finds out which are silent by what it has kept.
		r.end()
		r.start()
		pass(2 * time.Second)
		if got := series(t, r.metrics, "tiercel_source_silent"); got[ofOther] != 1 || got[ofLocal] != 0 {
			t.Errorf("after a start %v are silent", got)
		}
		r.end()
	})
}

// Of every 32nd batch of a worker each evaluation is timed.
func TestRulesAreTimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := quiet(t, map[string]string{"a.yml": ruleWhoami}, nil)
		given := r.change
		r.change = func(c *Config) {
			given(c)
			c.Workers = 1
		}
		r.start()
		for i := range 2 * meteredEvery {
			// One record meets the rule; the other bears nothing that it needs.
			r.send("pc", process(time.Now(), "ws", whoami, 2*i), process(time.Now(), "ws", `C:\\Windows\\explorer.exe`, 2*i+1))
			pass(10 * time.Millisecond)
		}
		if got := series(t, r.metrics, "tiercel_rule_eval_seconds"); len(got) != 1 || got[""] != 2 {
			t.Errorf("timed %v, want two evaluations", got)
		}
		r.end()
	})
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
