package correlate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rule/ruletest"
)

// The micro cases of correlations come out as they say.
func TestMicro(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../rule/testdata/micro-correlation.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := ruletest.ParseCorrelations(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != 27 {
		t.Errorf("%d cases, want 27", len(cases))
	}
	for _, c := range cases {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			docs, _ := rulefile.ParseBytes("micro.yml", c.YAML)
			set, _ := rule.Link(docs, rule.Options{})
			m := &micro{t: t, set: set, times: map[event.ID]time.Duration{}, spelled: spellings(c.Groups)}
			m.cfg = correlate.Config{
				Tenant: event.LocalTenant, Rules: set.Rules, Correlations: set.Correlations,
				Alone:  func(i int) bool { return !set.Silent(set.Rules[i].ID) },
				Budget: correlate.Budget{GroupsPerShard: c.Groups},
			}
			m.engine = correlate.New(m.cfg)
			furthest := time.Duration(-1)
			for n, s := range c.Steps {
				switch s.Kind {
				case ruletest.Arrive:
					m.arrive(n, s)
					if s.At > furthest {
						furthest = s.At
						m.engine.Watermark(0, (furthest-c.Lateness).Microseconds()-1, m)
					}
				case ruletest.Watermark:
					m.engine.Watermark(0, s.At.Microseconds(), m)
				case ruletest.Restart:
					m.restart()
				}
				m.engine.Flush(m)
			}
			m.judge(c.Want)
		})
	}
}

// micro is a case under way, and its sink.
type micro struct {
	t       *testing.T
	set     *rule.Set
	cfg     correlate.Config
	engine  *correlate.Engine
	times   map[event.ID]time.Duration
	seen    []string
	spelled func(string) string

	revisions []correlate.Detection
	late      []correlate.Late
}

func (m *micro) Detection(d *correlate.Detection) { m.revisions = append(m.revisions, *d) }
func (m *micro) Late(l correlate.Late)            { m.late = append(m.late, l) }

func (m *micro) restart() {
	var b bytes.Buffer
	err := m.engine.Snapshot(&b)
	if err == nil {
		m.engine, err = correlate.Restore(m.cfg, &b)
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

// arrive hands over the hits of an event. Its sequence is the order in which
// events came first.
func (m *micro) arrive(step int, s ruletest.Step) {
	var e map[string]any
	if err := json.Unmarshal(s.Event, &e); err != nil {
		m.t.Fatal(err)
	}
	if !slices.Contains(m.seen, s.EventID) {
		m.seen = append(m.seen, s.EventID)
	}
	id := event.EventID(event.LocalTenant, "micro", event.NativePosition([]byte(s.EventID)))
	m.times[id] = s.At
	for _, name := range e["rule"].([]any) {
		i := slices.IndexFunc(m.set.Rules, func(r *rule.Rule) bool { return r.Name == name })
		h := &correlate.Hit{Rule: i, Time: s.At.Microseconds(), Seq: uint64(slices.Index(m.seen, s.EventID)), ID: id}
		for _, field := range m.engine.Needs(i) {
			var values []string
			if v, ok := e[field]; ok {
				values = []string{fmt.Sprint(v)}
			}
			if field == "g" && len(values) > 0 {
				values[0] = m.spelled(values[0])
			}
			h.Fields = append(h.Fields, values)
		}
		m.engine.Hit(h, m)
	}
}

// spellings gives the groups of a case that bounds them values of one shard, as
// the bound is a shard's.
func spellings(groups int) func(string) string {
	if groups == 0 {
		return func(s string) string { return s }
	}
	return func(s string) string {
		for n := 0; ; n++ {
			spelled := fmt.Sprintf("%s-%03d", s, n)
			if correlate.ShardOf(append([]byte{byte(len(spelled))}, spelled...)) == 0 {
				return spelled
			}
		}
	}
}

// outcome is a detection as an expectation names it.
type outcome struct {
	what, subject string
	at            time.Duration
}

// judge compares what happened with what should have.
func (m *micro) judge(want []ruletest.Expectation) {
	refused := slices.ContainsFunc(want, func(x ruletest.Expectation) bool { return x.What == "refused" })
	if refused {
		if len(m.set.Correlations) > 0 {
			m.t.Error("a correlation was not refused")
		}
		return
	}
	fired := m.fired()
	raised := map[string]bool{}
	var got []outcome
	for _, d := range fired {
		if d.Correlation < 0 {
			raised[m.set.Rules[d.Rule].Name] = true
			continue
		}
		got = append(got, outcome{what: "fires", subject: m.set.Correlations[d.Correlation].Name, at: m.decided(d)})
	}
	c := m.engine.Counters()
	queued := false
	for _, x := range want {
		o := outcome{what: "fires", subject: x.Subject, at: x.At}
		switch x.What {
		case "fires", "late":
			at := slices.Index(got, o)
			if at < 0 {
				m.t.Errorf("%s does not fire at %s", x.Subject, x.At)
				continue
			}
			got = slices.Delete(got, at, at+1)
			if late := slices.ContainsFunc(m.revisions, func(d correlate.Detection) bool { return d.Late }); late != (x.What == "late") {
				m.t.Errorf("late is %v", late)
			}
		case "updates":
			if !slices.ContainsFunc(fired, func(d correlate.Detection) bool { return d.Last == x.At.Microseconds() && d.AnchorTime < d.Last }) {
				m.t.Errorf("%s is not updated at %s", x.Subject, x.At)
			}
		case "alone", "silent":
			if raised[x.Subject] != (x.What == "alone") {
				m.t.Errorf("%s raises detections of its own: %v", x.Subject, raised[x.Subject])
			}
		case "evicts":
			if c.EvictedGroups == 0 {
				m.t.Error("no group was given up")
			}
		case "skips":
			if c.Keyless != 1 {
				m.t.Errorf("%d hits were skipped, want 1", c.Keyless)
			}
		case "queues":
			queued = true
			if !slices.ContainsFunc(m.late, func(l correlate.Late) bool { return l.Time == x.At.Microseconds() }) && len(got) == 0 {
				m.t.Errorf("the event of %s is neither queued nor decided", x.At)
			}
		case "none":
		default:
			m.t.Errorf("unknown outcome %q", x.What)
		}
	}
	if len(got) > 0 && !queued {
		m.t.Errorf("what was not expected: %v", got)
	}
}

// fired are the detections that stand, by their last revisions.
func (m *micro) fired() []correlate.Detection {
	var ids []event.ID
	last := map[event.ID]correlate.Detection{}
	for _, d := range m.revisions {
		if _, ok := last[d.ID]; !ok {
			ids = append(ids, d.ID)
		}
		last[d.ID] = d
	}
	var out []correlate.Detection
	for _, id := range ids {
		if last[id].Phase != correlate.Superseded {
			out = append(out, last[id])
		}
	}
	return out
}

// decided is the time of the event that completed a detection, or for one that
// is decided at the close of its window, that time.
func (m *micro) decided(d correlate.Detection) time.Duration {
	c := m.set.Correlations[d.Correlation]
	upward := !slices.ContainsFunc(c.Thresholds, func(x rule.Threshold) bool { return x.Op != rule.OpGte && x.Op != rule.OpGt })
	if c.Type == rule.ValueAvg || !upward {
		return time.Duration(d.AnchorTime)*time.Microsecond + c.Timespan
	}
	return m.times[d.Completing]
}
