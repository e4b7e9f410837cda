package casetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/rule"
)

// whyNot explains a detection that did not come, from the events of the case
// alone: the rules that too few events matched, then group keys, values, the
// window, the order and the threshold, whichever comes first. It shares nothing
// with the engine, so that it can speak up where the two disagree.
func (r *Runner) whyNot(m absent, h *history) string {
	title := fmt.Sprintf("%q: ", m.subject.title)
	if m.subject.rule >= 0 {
		return title + r.ruleWhyNot(m.subject.rule, h.events)
	}
	return title + r.correlationWhyNot(m.subject.correlation, h)
}

// history is what happened in a case so far.
type history struct {
	events       []played
	ledger       *ledger
	correlations []*rule.Correlation
}

// ruleWhyNot names the event that came nearest to a rule, and what stopped it.
func (r *Runner) ruleWhyNot(ruleIndex int, history []played) string {
	var best *offered
	line := 0
	for i := range history {
		p := &history[i]
		if p.offered.matched(ruleIndex) {
			continue
		}
		o := r.offer(p.event, ruleIndex)
		if best == nil || closer(&o, best) {
			best, line = &o, p.line
		}
	}
	title := r.bench.set.Rules[ruleIndex].Title
	if best == nil {
		return fmt.Sprintf("the rule %q matches all %d events", title, len(history))
	}
	return fmt.Sprintf("no event matches the rule %q; the nearest is at line %d: %s", title, line, best.whyNot())
}

// closer orders by how far events came: read, routed, viewed, compared.
func closer(a, b *offered) bool {
	rank := func(o *offered) int {
		switch {
		case o.near != nil:
			return 3 + o.near.holds
		case o.proves:
			return 2
		case len(o.packs) > 0:
			return 1
		}
		return 0
	}
	return rank(a) > rank(b)
}

// sample is a hit as the explanation sees it.
type sample struct {
	ref    int
	time   int64
	line   int
	event  int
	group  string
	values []string // of the correlation's field; nil when it counts none
}

func (r *Runner) correlationWhyNot(c *rule.Correlation, past *history) string {
	b, history := r.bench, past.events
	var samples []sample
	keyless, valueless := "", ""
	for ref, x := range c.Rules {
		if x.Correlation != nil {
			samples = append(samples, past.fired(c, ref)...)
			continue
		}
		ruleIndex, n := b.index[x.Rule], 0
		for i := range history {
			p := &history[i]
			for _, h := range p.offered.hits {
				if h.Rule != ruleIndex {
					continue
				}
				n++
				field := func(name string) []string {
					if at := slices.Index(b.needs[ruleIndex], fieldOf(c, ref, name)); at >= 0 {
						return h.Fields[at]
					}
					return nil
				}
				s := sample{ref: ref, time: h.Time, line: p.line, event: i}
				whole := true
				for _, name := range c.GroupBy {
					v := field(name)
					if len(v) == 0 {
						whole = false
						if keyless == "" {
							keyless = fmt.Sprintf("the event at line %d matches %q, but has no %s to group by", p.line, x.Rule.Title, fieldOf(c, ref, name))
						}
						break
					}
					s.group += name + "=" + strings.ToLower(v[0]) + " "
				}
				for _, name := range c.Fields {
					v := field(name)
					if len(v) == 0 {
						whole = false
						if valueless == "" {
							valueless = fmt.Sprintf("the event at line %d matches %q, but has no %s to count", p.line, x.Rule.Title, fieldOf(c, ref, name))
						}
						break
					}
					s.values = append(s.values, strings.ToLower(strings.Join(v, " ")))
				}
				if whole {
					samples = append(samples, s)
				}
			}
		}
		if n == 0 && needed(c, ref) {
			return r.ruleWhyNot(ruleIndex, history)
		}
	}
	for ref, x := range c.Rules {
		if x.Correlation != nil && needed(c, ref) && len(past.fired(c, ref)) == 0 {
			return fmt.Sprintf("it rests on %q: %s", x.Correlation.Title, r.correlationWhyNot(x.Correlation, past))
		}
	}
	switch {
	case len(samples) == 0 && keyless != "":
		return keyless
	case len(samples) == 0 && valueless != "":
		return valueless
	case len(samples) == 0:
		return "no event matches any of its rules"
	}
	for _, reason := range []string{present(c, samples), reach(c, samples), keyless, valueless} {
		if reason != "" {
			return reason
		}
	}
	return "its hits satisfy the condition, so a detection stands elsewhere, late events had passed, or it was suppressed; run with -v to see what came"
}

// fired are the detections of a correlation that c names, as its hits.
func (h *history) fired(c *rule.Correlation, ref int) []sample {
	var out []sample
	for _, id := range h.ledger.order {
		d := h.ledger.last[id]
		if d.Correlation < 0 || d.Phase == correlate.Superseded || h.correlations[d.Correlation] != c.Rules[ref].Correlation {
			continue
		}
		s := sample{ref: ref, time: d.AnchorTime}
		if d.Anchor != d.Completing {
			s.time = d.Last
		}
		for i := range h.events {
			if h.events[i].id == d.Completing {
				s.event, s.line = i, h.events[i].line
			}
		}
		for _, name := range c.GroupBy {
			for _, g := range d.Group {
				if g.Field == fieldOf(c, ref, name) {
					s.group += name + "=" + strings.ToLower(g.Value) + " "
				}
			}
		}
		out = append(out, s)
	}
	return out
}

// needed reports whether the condition cannot hold without a hit of the rule.
func needed(c *rule.Correlation, ref int) bool {
	switch {
	case c.Expr != nil:
		return !negated(c.Expr, c.Rules[ref].Name, false)
	case c.Type == rule.TemporalOrdered:
		return true
	case c.Type == rule.Temporal:
		return !slices.ContainsFunc(c.Thresholds, func(t rule.Threshold) bool { return t.Holds(float64(len(c.Rules) - 1)) })
	}
	return len(c.Rules) == 1
}

// negated reports whether the condition names a rule under not.
func negated(x rule.Expr, name string, under bool) bool {
	switch x := x.(type) {
	case *rule.And:
		return slices.ContainsFunc(x.X, func(y rule.Expr) bool { return negated(y, name, under) })
	case *rule.Or:
		return slices.ContainsFunc(x.X, func(y rule.Expr) bool { return negated(y, name, under) })
	case *rule.Not:
		return negated(x.X, name, !under)
	case *rule.Ref:
		return under && x.Name == name
	}
	return false
}

// fieldOf is the field that a name means for one of the rules.
func fieldOf(c *rule.Correlation, ref int, name string) string {
	for _, a := range c.Aliases {
		if a.Name == name && a.Fields[ref] != "" {
			return a.Fields[ref]
		}
	}
	return name
}

// present names a hit of a rule that a condition in words wants to be absent,
// after every hit that could have opened a window; or is empty.
func present(c *rule.Correlation, samples []sample) string {
	if c.Expr == nil {
		return ""
	}
	unwanted := func(s sample) bool { return negated(c.Expr, c.Rules[s.ref].Name, false) }
	found := ""
	for _, opens := range samples {
		if unwanted(opens) {
			continue
		}
		at := slices.IndexFunc(samples, func(s sample) bool {
			return unwanted(s) && s.group == opens.group && s.time >= opens.time && s.time-opens.time <= c.Timespan.Microseconds()
		})
		if at < 0 {
			return ""
		}
		after := time.Duration(samples[at].time-opens.time) * time.Microsecond
		found = fmt.Sprintf("the exception stopped it: %s matched at line %d, %s after, within %s", c.Rules[samples[at].ref].Name, samples[at].line, after, c.Timespan)
	}
	return found
}

// reach says how near the hits came to the condition and what kept them from
// it, or is empty when they reach it.
func reach(c *rule.Correlation, samples []sample) string {
	slices.SortStableFunc(samples, func(a, b sample) int { return cmp.Compare(a.time, b.time) })
	groups := map[string][]sample{}
	var keys []string
	for _, s := range samples {
		if groups[s.group] == nil {
			keys = append(keys, s.group)
		}
		groups[s.group] = append(groups[s.group], s)
	}
	span := c.Timespan.Microseconds()
	best, bestKey, whole := -1.0, "", -1.0
	for _, k := range keys {
		g := groups[k]
		whole = max(whole, figure(c, g))
		for i := range g {
			from := i
			for from > 0 && g[from-1].time >= g[i].time-span {
				from--
			}
			v := figure(c, g[from:i+1])
			if holds(c, v) {
				return ""
			}
			if v > best {
				best, bestKey = v, k
			}
		}
	}
	what := figureName(c)
	wanted := thresholdText(c)
	switch {
	case holds(c, whole):
		return fmt.Sprintf("the window stopped it: %s reaches %v over all the case, but at most %v within %s, want %s", what, whole, best, c.Timespan, wanted)
	case len(keys) > 1 && holds(c, figure(c, samples)):
		return fmt.Sprintf("the group key stopped it: %s would be %v, but it is spread over %d groups by %s; the largest, %s, has %v, want %s",
			what, figure(c, samples), len(keys), strings.Join(c.GroupBy, ", "), strings.TrimSpace(bestKey), best, wanted)
	}
	if c.Type == rule.TemporalOrdered && figure(unordered(c), samples) > best {
		return fmt.Sprintf("the order stopped it: all rules matched, but %v of %d in the order listed within %s", best, len(c.Rules), c.Timespan)
	}
	return fmt.Sprintf("the threshold stopped it: %s is %v within %s, want %s", what, best, c.Timespan, wanted)
}

func unordered(c *rule.Correlation) *rule.Correlation {
	u := *c
	u.Type = rule.Temporal
	return &u
}

func holds(c *rule.Correlation, v float64) bool {
	if c.Expr != nil {
		return v >= 1
	}
	return !slices.ContainsFunc(c.Thresholds, func(t rule.Threshold) bool { return !t.Holds(v) })
}

func figureName(c *rule.Correlation) string {
	switch c.Type {
	case rule.EventCount:
		return "the number of events"
	case rule.Temporal, rule.TemporalOrdered:
		return "the number of rules"
	case rule.ValueCount:
		return "the number of different " + strings.Join(c.Fields, ", ")
	}
	return string(c.Type) + " of " + strings.Join(c.Fields, ", ")
}

func thresholdText(c *rule.Correlation) string {
	if c.Expr != nil {
		return "the condition in words"
	}
	var parts []string
	for _, t := range c.Thresholds {
		parts = append(parts, fmt.Sprintf("%s %v", t.Op, t.N))
	}
	return strings.Join(parts, " and ")
}
