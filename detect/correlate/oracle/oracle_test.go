package oracle

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// The rules of the cases; each event names those that it matches.
var (
	ruleA = &rule.Rule{ID: "rule-a", Name: "a", SemanticHash: "hash-a"}
	ruleB = &rule.Rule{ID: "rule-b", Name: "b", SemanticHash: "hash-b"}
	ruleC = &rule.Rule{ID: "rule-c", Name: "c", SemanticHash: "hash-c"}
	rules = []*rule.Rule{ruleA, ruleB, ruleC}
)

func refs(of ...any) []rule.Reference {
	var out []rule.Reference
	for _, r := range of {
		switch r := r.(type) {
		case *rule.Rule:
			out = append(out, rule.Reference{Name: r.Name, Rule: r})
		case *rule.Correlation:
			out = append(out, rule.Reference{Name: r.Name, Correlation: r})
		}
	}
	return out
}

func correlation(kind rule.CorrelationType, of []rule.Reference, thresholds ...rule.Threshold) *rule.Correlation {
	return &rule.Correlation{
		ID: "correlation-1", Name: "x", SemanticHash: "hash-1", Type: kind, Rules: of,
		GroupBy: []string{"g"}, Timespan: 5 * time.Minute, Thresholds: thresholds,
	}
}

func over(c *rule.Correlation, fields ...string) *rule.Correlation {
	c.Fields = fields
	return c
}

func with(c *rule.Correlation, change func(*rule.Correlation)) *rule.Correlation {
	change(c)
	return c
}

func inWords(c *rule.Correlation, x rule.Expr) *rule.Correlation {
	c.Expr = x
	return c
}

func ref(name string) rule.Expr       { return &rule.Ref{Name: name} }
func not(x rule.Expr) rule.Expr       { return &rule.Not{X: x} }
func both(x ...rule.Expr) rule.Expr   { return &rule.And{X: x} }
func either(x ...rule.Expr) rule.Expr { return &rule.Or{X: x} }

func gte(n float64) rule.Threshold { return rule.Threshold{Op: rule.OpGte, N: n} }
func gt(n float64) rule.Threshold  { return rule.Threshold{Op: rule.OpGt, N: n} }
func lt(n float64) rule.Threshold  { return rule.Threshold{Op: rule.OpLt, N: n} }
func lte(n float64) rule.Threshold { return rule.Threshold{Op: rule.OpLte, N: n} }

// events reads events separated by semicolons: seconds, rules joined by commas,
// and fields; alternatives are joined by |. Field g is 1 unless given; "g=" is
// none. The n-th event has the id and the sequence number n, from 1, unless id=
// says another.
func events(t *testing.T, text string) []Hit {
	t.Helper()
	var out []Hit
	for n, line := range strings.Split(text, ";") {
		words := strings.Fields(line)
		seconds, err := strconv.ParseFloat(words[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		h := Hit{Time: int64(seconds * 1e6), Seq: uint64(n + 1), ID: id(n + 1), Fields: map[string][]string{"g": {"1"}}}
		for _, w := range words[2:] {
			key, value, _ := strings.Cut(w, "=")
			h.Fields[key] = strings.Split(value, "|")
			if value == "" {
				delete(h.Fields, key)
			}
			if key == "id" {
				k, _ := strconv.Atoi(value)
				h.ID, h.Seq = id(k), uint64(k)
			}
		}
		for _, r := range strings.Split(words[1], ",") {
			h.Rule = int(r[0] - 'a')
			out = append(out, h)
		}
	}
	return out
}

func id(n int) event.ID { return event.ID{14: byte(n >> 8), 15: byte(n)} }

// brief writes a detection as the number of its anchor, the numbers of its
// evidence, and its value.
func brief(d Detection) string {
	number := func(i event.ID) string { return strconv.Itoa(int(i[14])<<8 | int(i[15])) }
	evidence := []string{}
	for _, e := range d.Evidence {
		evidence = append(evidence, number(e))
	}
	return fmt.Sprintf("%s: %s = %v", number(d.Anchor), strings.Join(evidence, " "), d.Value)
}

func TestDetections(t *testing.T) {
	t.Parallel()
	a, ab, abc := refs(ruleA), refs(ruleA, ruleB), refs(ruleA, ruleB, ruleC)
	chained := with(correlation(rule.EventCount, a, gte(3)), func(c *rule.Correlation) { c.Name, c.ID = "child", "correlation-2" })
	late := with(correlation(rule.EventCount, a, lt(3)), func(c *rule.Correlation) { c.Name, c.ID = "child", "correlation-2" })
	cases := []struct {
		name, events string
		c            *rule.Correlation
		child        *rule.Correlation
		want         []string
	}{
		{"closed interval", "0 a; 150 a; 300 a", correlation(rule.EventCount, a, gte(3)), nil, []string{"3: 1 2 3 = 3"}},
		{"a microsecond beyond", "0 a; 150 a; 300.000001 a", correlation(rule.EventCount, a, gte(3)), nil, nil},
		{"sliding", "240 a; 299 a; 301 a", correlation(rule.EventCount, a, gte(3)), nil, []string{"3: 1 2 3 = 3"}},
		{"gt", "0 a; 1 a; 2 a", correlation(rule.EventCount, a, gt(2)), nil, []string{"3: 1 2 3 = 3"}},
		{"update", "0 a; 150 a; 300 a; 310 a", correlation(rule.EventCount, a, gte(3)), nil, []string{"3: 1 2 3 4 = 3"}},
		{"order is not arrival", "300 a; 0 a; 150 a", correlation(rule.EventCount, a, gte(3)), nil, []string{"1: 2 3 1 = 3"}},
		{"silence re-arms", "0 a; 150 a; 300 a; 1200 a; 1201 a; 1202 a", correlation(rule.EventCount, a, gte(3)), nil, []string{"3: 1 2 3 = 3", "6: 4 5 6 = 3"}},
		{"a quieter window re-arms", "0 a; 1 a; 2 a; 302 a; 303 a; 304 a", correlation(rule.EventCount, a, gte(3)), nil, []string{"3: 1 2 3 = 3", "6: 4 5 6 = 3"}},
		{"delivered again", "0 a id=1; 0 a id=1; 0 a id=1", correlation(rule.EventCount, a, gte(2)), nil, nil},
		{"two rules, one event", "0 a,b", correlation(rule.EventCount, ab, gte(2)), nil, nil},
		{"groups apart", "0 a g=1; 1 a g=2; 2 a g=1", correlation(rule.EventCount, a, gte(2)), nil, []string{"3: 1 3 = 2"}},
		{"groups folded", "0 a g=Bob; 1 a g=bOB", correlation(rule.EventCount, a, gte(2)), nil, []string{"2: 1 2 = 2"}},
		{"groups cased", "0 a g=Bob; 1 a g=bOB", with(correlation(rule.EventCount, a, gte(2)), func(c *rule.Correlation) { c.Custom = map[string]string{"cased": "true"} }), nil, nil},
		{"Unicode folded", "0 a g=Жук; 1 a g=жУК", correlation(rule.EventCount, a, gte(2)), nil, []string{"2: 1 2 = 2"}},
		{"no group", "0 a g=; 1 a g=", correlation(rule.EventCount, a, gte(2)), nil, nil},
		{"several values, several groups", "0 a g=x|y|X; 1 a g=y; 2 a g=x", correlation(rule.EventCount, a, gte(2)), nil, []string{"2: 1 2 = 2", "3: 1 3 = 2"}},
		{"no group-by", "0 a g=; 1 a g=7", with(correlation(rule.EventCount, a, gte(2)), func(c *rule.Correlation) { c.GroupBy = nil }), nil, []string{"2: 1 2 = 2"}},
		{"closed after a day", "0 a; 40000 a; 80000 a; 90000 a; 100000 a", with(correlation(rule.EventCount, a, gte(2)), func(c *rule.Correlation) { c.Timespan = 20 * time.Hour }), nil, []string{"2: 1 2 3 4 5 = 2"}},
		{"closed after a day and armed", "0 a; 40000 a; 80000 a; 120000 a; 160000 a", with(correlation(rule.EventCount, a, gte(2)), func(c *rule.Correlation) { c.Timespan = 20 * time.Hour }), nil, []string{"2: 1 2 3 4 = 2"}},
		{"armed, then twice", "0 a; 40000 a; 80000 a; 126401 a; 160000 a", with(correlation(rule.EventCount, a, gte(2)), func(c *rule.Correlation) { c.Timespan = 20 * time.Hour }), nil, []string{"2: 1 2 3 = 2", "5: 4 5 = 2"}},
		{"reset on fire", "0 a; 1 a; 2 a; 3 a; 4 a", with(correlation(rule.EventCount, a, gte(2)), func(c *rule.Correlation) { c.Custom = map[string]string{"reset_on_fire": "true"} }), nil, []string{"2: 1 2 = 2", "4: 3 4 = 2"}},

		{"values folded", "0 a u=Bob; 1 a u=bob", over(correlation(rule.ValueCount, a, gte(2)), "u"), nil, nil},
		{"values", "0 a u=Bob; 1 a; 2 a u=eve", over(correlation(rule.ValueCount, a, gte(2)), "u"), nil, []string{"3: 1 3 = 2"}},
		{"tuples", "0 a u=x h=1; 1 a u=x h=2; 2 a u=y", over(correlation(rule.ValueCount, a, gte(2)), "u", "h"), nil, []string{"2: 1 2 = 2"}},
		{"array of values", "0 a u=x|y|z", over(correlation(rule.ValueCount, a, gte(3)), "u"), nil, []string{"1: 1 = 3"}},
		{"few values, at the close", "0 a u=x; 100 a u=y; 301 a u=z", over(correlation(rule.ValueCount, a, lt(2)), "u"), nil, []string{"3: 3 = 1"}},
		{"sum", "0 a n=4; 1 a n=6.5; 2 a n=n/a", over(correlation(rule.ValueSum, a, gte(10)), "n"), nil, []string{"2: 1 2 = 10.5"}},
		{"sum, hexadecimal and NaN are text", "0 a n=0x10; 1 a n=NaN; 2 a n=Inf; 3 a n=1e1", over(correlation(rule.ValueSum, a, gte(1)), "n"), nil, []string{"4: 4 = 10"}},
		{"sum of an array", "0 a n=4|4|3", over(correlation(rule.ValueSum, a, gte(10)), "n"), nil, []string{"1: 1 = 11"}},
		{"average", "0 a n=9; 1 a n=2; 301 a n=1", over(correlation(rule.ValueAvg, a, gt(5)), "n"), nil, []string{"1: 1 2 = 5.5"}},
		{"average, closed at both ends", "0 a n=9; 300 a n=2; 300.000001 a n=7", over(correlation(rule.ValueAvg, a, gt(5)), "n"), nil, []string{"1: 1 2 = 5.5", "3: 3 = 7"}},
		{"median of four", "0 a n=1; 1 a n=9; 2 a n=2; 3 a n=4", over(correlation(rule.ValueMedian, a, gte(3)), "n"), nil, []string{"1: 1 2 3 4 = 3"}},
		{"percentile", "0 a n=0; 1 a n=10; 2 a n=20", with(over(correlation(rule.ValuePercentile, a, gte(15)), "n"), func(c *rule.Correlation) { c.Percentile = 75 }), nil, []string{"1: 1 2 3 = 15"}},
		{"percentile 0 and 100 are ends", "0 a n=7; 1 a n=-3", with(over(correlation(rule.ValuePercentile, a, lte(-3)), "n"), func(c *rule.Correlation) { c.Percentile = 0 }), nil, []string{"1: 1 2 = -3"}},

		{"lt at the close", "0 a", correlation(rule.EventCount, a, lt(3)), nil, []string{"1: 1 = 1"}},
		{"range", "0 a; 1 a; 2 a; 3 a; 500 a; 501 a", correlation(rule.EventCount, a, gte(2), lte(3)), nil, []string{"5: 5 6 = 2"}},

		{"temporal", "0 b; 180 a", correlation(rule.Temporal, ab, gte(2)), nil, []string{"2: 1 2 = 2"}},
		{"temporal, beyond", "0 b; 301 a", correlation(rule.Temporal, ab, gte(2)), nil, nil},
		{"temporal, one event for two rules", "0 a,b", correlation(rule.Temporal, ab, gte(2)), nil, []string{"1: 1 = 2"}},
		{"temporal, two of three", "0 c; 180 a", correlation(rule.Temporal, abc, gte(2)), nil, []string{"2: 1 2 = 2"}},
		{"temporal in words", "0 c; 180 a; 200 b", inWords(correlation(rule.Temporal, abc), both(ref("a"), either(ref("b"), ref("c")))), nil, []string{"2: 1 2 3 = 2"}},
		{"temporal with not, at the close", "0 a; 100 b; 400 a; 701 b", inWords(correlation(rule.Temporal, ab), both(ref("a"), not(ref("b")))), nil, []string{"3: 3 = 1"}},

		{"ordered, wrong order", "0 b; 180 a", correlation(rule.TemporalOrdered, ab, gte(2)), nil, nil},
		{"ordered, one event", "0 a,b", correlation(rule.TemporalOrdered, ab, gte(2)), nil, nil},
		{"ordered, the latest chain", "0 a; 60 b; 240 a; 270 b; 360 c", correlation(rule.TemporalOrdered, abc, gte(3)), nil, []string{"5: 3 4 5 = 3"}},
		{"ordered, equal times", "0 a; 0 b", correlation(rule.TemporalOrdered, ab, gte(2)), nil, []string{"2: 1 2 = 2"}},
		{"ordered, what lies between", "0 a; 1 c; 2 b", correlation(rule.TemporalOrdered, refs(ruleA, ruleB), gte(2)), nil, []string{"3: 1 3 = 2"}},
		{"ordered, a first step updates", "0 a; 1 b; 2 a; 3 b", correlation(rule.TemporalOrdered, ab, gte(2)), nil, []string{"2: 1 2 3 4 = 2"}},
		{"ordered, a window without a chain re-arms", "0 a; 1 b; 301 a; 302 b; 303 b", correlation(rule.TemporalOrdered, ab, gte(2)), nil, []string{"2: 1 2 = 2", "4: 3 4 5 = 2"}},
		{"ordered, a last step updates", "0 a; 1 b; 2 b", correlation(rule.TemporalOrdered, ab, gte(2)), nil, []string{"2: 1 2 3 = 2"}},
		{"ordered, two for three rules is no chain", "0 a; 1 a,b; 2 c", correlation(rule.TemporalOrdered, abc, gte(3)), nil, []string{"3: 1 2 3 = 3"}},
		{"ordered, eq says no more than gte", "0 a; 1 b; 2 a", correlation(rule.TemporalOrdered, ab, rule.Threshold{Op: rule.OpEq, N: 2}), nil, []string{"2: 1 2 3 = 2"}},

		{"absence", "0 a; 400 a; 500 b; 1000 a", inWords(correlation(rule.TemporalOrdered, ab), both(ref("a"), not(ref("b")))), nil, []string{"1: 1 = 1", "4: 4 = 1"}},
		{"absence, both ends", "0 a; 300 b; 1000 a; 1300.000001 b", inWords(correlation(rule.TemporalOrdered, ab), both(ref("a"), not(ref("b")))), nil, []string{"3: 3 = 1"}},
		{"absence, what was before does not count", "0 b; 1 a; 2 a", inWords(correlation(rule.TemporalOrdered, ab), both(ref("a"), not(ref("b")))), nil, []string{"2: 2 3 = 1"}},
		{"absence, the opening event itself does not count", "0 a,b", inWords(correlation(rule.TemporalOrdered, ab), both(ref("a"), not(ref("b")))), nil, []string{"1: 1 = 1"}},
		{"absence, after two in order", "0 a; 1 c; 1000 a; 1001 c; 1002 b; 2000 c; 2001 a", inWords(correlation(rule.TemporalOrdered, abc), both(ref("a"), ref("c"), not(ref("b")))), nil, []string{"1: 1 2 = 2"}},

		{"aliases", "0 a src=192.0.2.1; 1 b dst=192.0.2.1", with(correlation(rule.Temporal, ab, gte(2)), func(c *rule.Correlation) {
			c.GroupBy, c.Aliases = []string{"ip"}, []rule.Alias{{Name: "ip", Fields: []string{"src", "dst"}}}
		}), nil, []string{"2: 1 2 = 2"}},
		{"alias of a value", "0 a src=x; 1 b dst=y src=x", with(over(correlation(rule.ValueCount, ab, gte(2)), "ip"), func(c *rule.Correlation) {
			c.Aliases = []rule.Alias{{Name: "ip", Fields: []string{"src", "dst"}}}
		}), nil, []string{"2: 1 2 = 2"}},
		{"chain", "0 a u=x; 1 a u=y; 2 a u=z; 3 b u=z", with(correlation(rule.TemporalOrdered, refs(chained, ruleB), gte(2)), func(c *rule.Correlation) { c.GroupBy = []string{"u"} }), chained, []string{"4: 3 4 = 2"}},
		{"chain, updates are no hits", "0 a; 1 a; 2 a; 3 a; 4 a", correlation(rule.EventCount, refs(chained), gte(2)), chained, nil},
		{"chain, the window's last event", "0 a; 9 a; 200 b", correlation(rule.TemporalOrdered, refs(late, ruleB), gte(2)), late, []string{"3: 2 3 = 2"}},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			cfg := Config{Tenant: event.LocalTenant, Rules: rules, Correlations: []*rule.Correlation{x.c}, Alone: func(int) bool { return false }}
			index := 0
			if x.child != nil {
				cfg.Correlations = []*rule.Correlation{x.child, x.c}
				index = 1
			}
			found := Detections(cfg, events(t, x.events))
			slices.SortFunc(found, func(a, b Detection) int { return cmp.Compare(a.AnchorTime, b.AnchorTime) })
			var got []string
			for _, d := range found {
				if d.Rule != -1 {
					t.Errorf("a detection of rule %d", d.Rule)
				}
				if d.Correlation == index {
					got = append(got, brief(d))
				}
			}
			if diff := gocmp.Diff(x.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEpisodes(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, events string
		how          Episode
		want         []string
	}{
		{"one", "0 a; 3600 a; 7200 a", Episode{}, []string{"1: 1 2 3 = 1"}},
		{"a gap", "0 a; 3600.000001 a", Episode{}, []string{"1: 1 = 1", "2: 2 = 1"}},
		{"a shorter gap", "0 a; 10 a; 21 a", Episode{Gap: 10 * time.Second}, []string{"1: 1 2 = 1", "3: 3 = 1"}},
		{"every", "0 a; 0 a; 1 a id=1", Episode{Every: true}, []string{"1: 1 = 1", "2: 2 = 1"}},
		{"a day", "0 a; 80000 a; 86400 a; 86401 a; 86402 a", Episode{Gap: 23 * time.Hour}, []string{"1: 1 2 3 = 1", "4: 4 5 = 1"}},
		{"absent is empty", "0 a u=x; 1 a; 2 a u=X; 3 a", Episode{Fields: []string{"u"}}, []string{"1: 1 3 = 1", "2: 2 4 = 1"}},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			found := Detections(Config{Tenant: event.LocalTenant, Rules: rules[:1], Episode: func(int) Episode { return x.how }}, events(t, x.events))
			slices.SortFunc(found, func(a, b Detection) int {
				return cmp.Or(cmp.Compare(a.AnchorTime, b.AnchorTime), slices.Compare(a.Anchor[:], b.Anchor[:]))
			})
			var got []string
			for _, d := range found {
				got = append(got, brief(d))
			}
			if diff := gocmp.Diff(x.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A detection in full, by hand.
func TestDetectionInFull(t *testing.T) {
	t.Parallel()
	c := correlation(rule.Temporal, refs(ruleA, ruleB), gte(2))
	got := Detections(Config{Tenant: event.LocalTenant, Rules: rules[:2], Correlations: []*rule.Correlation{c}}, events(t, "5 a,b g=Bob; 7 a g=bob"))
	want := []Detection{{
		ID:   event.DetectionID(event.LocalTenant, "correlation-1", "hash-1", []event.GroupValue{{Field: "g", Value: "BOB"}}, id(1)),
		Rule: -1, Correlation: 0, Group: []event.GroupValue{{Field: "g", Value: "BOB"}},
		Anchor: id(1), AnchorTime: 5e6, Completing: id(1), First: 5e6, Last: 7e6,
		Count: 2, ByRule: []int{2, 1}, Value: 2, Evidence: []event.ID{id(1), id(2)},
	}}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Rules in correlations are silent unless one of those says generate.
func TestSilence(t *testing.T) {
	t.Parallel()
	quiet := correlation(rule.EventCount, refs(ruleA, ruleB), gte(9))
	loud := with(correlation(rule.EventCount, refs(ruleB), gte(9)), func(c *rule.Correlation) { c.ID, c.Generate = "correlation-2", true })
	found := Detections(Config{Tenant: event.LocalTenant, Rules: rules, Correlations: []*rule.Correlation{quiet, loud}}, events(t, "0 a; 1 b; 2 c"))
	var got []int
	for _, d := range found {
		got = append(got, d.Rule)
	}
	slices.Sort(got)
	if !slices.Equal(got, []int{1, 2}) {
		t.Errorf("rules %v raise detections of their own, want 1 and 2", got)
	}
}
