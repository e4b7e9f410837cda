package casetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

var phaseNames = map[correlate.Phase]string{
	correlate.Provisional: "provisional", correlate.Final: "final", correlate.Closed: "closed", correlate.Superseded: "superseded",
}

// absent is an expected detection that did not come.
type absent struct {
	subject subject
	want    rulecase.Expected
}

// compare holds the detections that stand against those expected and returns
// what differs, readable, and which did not come at all.
func (r *Runner) compare(sc *scope, c *rulecase.Case, e *rulecase.Expect, l *ledger, correlations []*rule.Correlation, atEnd bool) (failures []string, missing []absent) {
	b := r.bench
	wantSuperseded := false
	for _, d := range e.Detections {
		wantSuperseded = wantSuperseded || d.Phase == "superseded"
	}
	ids := map[string]bool{sc.main.id: true}
	for name := range named(c) {
		ids[sc.watched[name].id] = true
	}
	var actual []*correlate.Detection
	for _, id := range l.order {
		d := l.last[id]
		if ids[b.idOf(d, correlations)] && !d.Suppressed && (d.Phase != correlate.Superseded || wantSuperseded) {
			actual = append(actual, d)
		}
	}
	used := make([]bool, len(actual))
	var left []rulecase.Expected
	for _, want := range e.Detections {
		at := slices.IndexFunc(actual, func(d *correlate.Detection) bool {
			return !used[slices.Index(actual, d)] && b.idOf(d, correlations) == sc.watched[want.Rule].id && len(differences(c, want, d)) == 0
		})
		if at < 0 {
			left = append(left, want)
			continue
		}
		used[at] = true
	}
	var lines []string
	for _, want := range left {
		s := sc.watched[want.Rule]
		at := -1
		var best []string
		for i, d := range actual {
			if used[i] || b.idOf(d, correlations) != s.id {
				continue
			}
			if diff := differences(c, want, d); at < 0 || len(diff) < len(best) {
				at, best = i, diff
			}
		}
		if at < 0 {
			lines = append(lines, fmt.Sprintf("- %s (line %d)", describeExpected(s, want), want.Line))
			missing = append(missing, absent{s, want})
			continue
		}
		used[at] = true
		lines = append(lines, fmt.Sprintf("! %s (line %d)", describeActual(s, c, actual[at]), want.Line))
		for _, diff := range best {
			lines = append(lines, "    "+diff)
		}
	}
	for i, d := range actual {
		if !used[i] {
			s := sc.main
			for _, w := range sc.watched {
				if w.id == b.idOf(d, correlations) {
					s = w
				}
			}
			lines = append(lines, "+ "+describeActual(s, c, d))
		}
	}
	if len(lines) == 0 {
		return nil, nil
	}
	when := "at the end"
	if !atEnd {
		when = fmt.Sprintf("at line %d", e.Line)
	}
	head := fmt.Sprintf("detections %s are not as expected (- did not come, + was not expected, ! differs):", when)
	return []string{head + "\n" + strings.Join(lines, "\n")}, missing
}

func (b *Bench) idOf(d *correlate.Detection, correlations []*rule.Correlation) string {
	if d.Correlation >= 0 {
		return correlations[d.Correlation].ID
	}
	return b.set.Rules[d.Rule].ID
}

// differences are in what a detection is not as expected.
func differences(c *rulecase.Case, want rulecase.Expected, d *correlate.Detection) []string {
	var out []string
	add := func(what, want, got string) { out = append(out, fmt.Sprintf("%s: want %s, got %s", what, want, got)) }
	if want.Count != d.Count {
		add("count", fmt.Sprint(want.Count), fmt.Sprint(d.Count))
	}
	if want.Group != nil {
		got := map[string]string{}
		for _, g := range d.Group {
			got[g.Field] = g.Value
		}
		same := len(got) == len(want.Group)
		for field, v := range want.Group {
			w, ok := got[field]
			same = same && ok && w == v
		}
		if !same {
			add("group", groupText(want.Group), groupOf(d.Group))
		}
	}
	if got := phaseNames[d.Phase]; want.Phase != "" && want.Phase != got {
		add("phase", want.Phase, got)
	}
	for _, t := range []struct {
		what string
		want *time.Duration
		got  int64
	}{{"first", want.First, d.First}, {"last", want.Last, d.Last}} {
		if t.want != nil && c.Began().Add(*t.want).UnixMicro() != t.got {
			add(t.what, "+"+t.want.String(), offset(c, t.got))
		}
	}
	if want.Late != nil && *want.Late != d.Late {
		add("late", fmt.Sprint(*want.Late), fmt.Sprint(d.Late))
	}
	return out
}

// offset is a time as the case counts it.
func offset(c *rulecase.Case, micros int64) string {
	d := time.UnixMicro(micros).Sub(c.Began())
	if d < 0 {
		return d.String()
	}
	return "+" + d.String()
}

func groupText(group map[string]string) string {
	keys := make([]string, 0, len(group))
	for k := range group {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		keys[i] = k + "=" + group[k]
	}
	return strings.Join(keys, " ")
}

func groupOf(group []event.GroupValue) string {
	m := map[string]string{}
	for _, g := range group {
		m[g.Field] = g.Value
	}
	return groupText(m)
}

func describeExpected(s subject, want rulecase.Expected) string {
	text := fmt.Sprintf("%q count %d", s.title, want.Count)
	if len(want.Group) > 0 {
		text += " " + groupText(want.Group)
	}
	if want.Phase != "" {
		text += " " + want.Phase
	}
	return text
}

func describeActual(s subject, c *rulecase.Case, d *correlate.Detection) string {
	text := fmt.Sprintf("%q count %d", s.title, d.Count)
	if len(d.Group) > 0 {
		text += " " + groupOf(d.Group)
	}
	text += fmt.Sprintf(" %s, from %s to %s", phaseNames[d.Phase], offset(c, d.First), offset(c, d.Last))
	if d.Late {
		text += ", late"
	}
	return text
}
