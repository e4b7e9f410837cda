package oracle

import (
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/rule"
)

// detector is what a correlation and a rule of its own have in common.
type detector struct {
	id, hash    string
	kind        rule.CorrelationType
	rules       int // positions 0 to rules-1
	names       []string
	groupBy     []string
	absentEmpty bool // an absent component of the key is an empty value
	aliases     []rule.Alias
	fields      []string
	percentile  float64
	thresholds  []rule.Threshold
	expr        rule.Expr
	span        int64 // µs
	every       bool
	reset       bool
	cased       bool
}

func ofCorrelation(c *rule.Correlation) detector {
	d := detector{
		id: c.ID, hash: c.SemanticHash, kind: c.Type, rules: len(c.Rules), groupBy: c.GroupBy, aliases: c.Aliases,
		fields: c.Fields, percentile: c.Percentile, thresholds: c.Thresholds, expr: c.Expr,
		span: c.Timespan.Microseconds(), reset: c.Custom["reset_on_fire"] == "true",
		cased: c.Custom["cased"] == "true",
	}
	for _, r := range c.Rules {
		d.names = append(d.names, r.Name)
	}
	return d
}

func ofRule(r *rule.Rule, how Episode) detector {
	if how.Gap <= 0 {
		how.Gap = time.Hour
	}
	return detector{
		id: r.ID, hash: r.SemanticHash, kind: rule.EventCount, rules: 1, groupBy: how.Fields, absentEmpty: true,
		thresholds: []rule.Threshold{{Op: rule.OpGte, N: 1}}, span: how.Gap.Microseconds(), every: how.Every,
	}
}

// sliding reports whether the detector walks with a sliding window: whether
// more hits can never make a condition false that held.
func (d detector) sliding() bool {
	switch d.kind {
	case rule.EventCount, rule.ValueCount, rule.ValueSum, rule.Temporal, rule.TemporalOrdered:
	default:
		return false
	}
	for _, t := range d.thresholds {
		if d.kind != rule.TemporalOrdered && t.Op != rule.OpGt && t.Op != rule.OpGte {
			return false
		}
	}
	return d.expr == nil || !hasNot(d.expr)
}

// episodes takes the hits apart by group and walks each group.
func (d detector) episodes(hits []hit) []episode {
	var out []episode
	for _, g := range d.groups(hits) {
		moments := d.momentsOf(g.hits)
		var found []episode
		switch {
		case d.every:
			for _, m := range moments {
				found = append(found, episode{anchor: m, completing: m, value: 1, evidence: []moment{m}})
			}
		case d.sliding():
			found = d.slide(moments)
		default:
			found = d.windows(moments)
		}
		for _, e := range found {
			e.group = g.key
			out = append(out, e)
		}
	}
	return out
}

const day = 24 * int64(time.Hour/time.Microsecond)

// slide walks the moments of one group.
func (d detector) slide(moments []moment) []episode {
	var out []episode
	open := false
	gone := -1 // the last moment that counts no more
	for i, m := range moments {
		if open {
			e := out[len(out)-1]
			if m.time-moments[i-1].time > d.span || m.time-e.anchor.time > max(day, d.span) {
				open = false
				gone = i - 1
			}
		}
		var window []moment
		for j := gone + 1; j <= i; j++ {
			if moments[j].time >= m.time-d.span {
				window = append(window, moments[j])
			}
		}
		value, evidence, holds := d.judge(window)
		switch {
		case holds && open:
			e := &out[len(out)-1]
			e.evidence = append(e.evidence, m)
		case holds:
			out = append(out, episode{anchor: m, completing: m, value: value, evidence: evidence})
			open = !d.reset
			if d.reset {
				gone = i
			}
		default:
			open = false
		}
	}
	return out
}

// windows takes the moments of one group window by window.
func (d detector) windows(moments []moment) []episode {
	var out []episode
	for i := 0; i < len(moments); {
		if d.absence() && !d.opens(moments[i]) {
			i++
			continue
		}
		end := i
		for end < len(moments) && moments[end].time <= moments[i].time+d.span {
			end++
		}
		window := moments[i:end]
		if value, _, holds := d.judge(window); holds {
			out = append(out, episode{anchor: window[0], completing: window[len(window)-1], value: value, evidence: window})
		}
		i = end
	}
	return out
}

// absence reports whether the detector waits for what must not follow.
func (d detector) absence() bool {
	return d.kind == rule.TemporalOrdered && d.expr != nil && hasNot(d.expr)
}

// opens reports whether m meets the first rule without not.
func (d detector) opens(m moment) bool {
	positive, _ := d.signs()
	return len(positive) > 0 && m.meets(positive[0])
}

// signs returns the positions of the rules that the condition in words names
// without not and with it, in the order of the list of rules.
func (d detector) signs() (positive, negative []int) {
	names := map[string][2]bool{}
	var visit func(x rule.Expr, negated bool)
	visit = func(x rule.Expr, negated bool) {
		switch x := x.(type) {
		case *rule.And:
			for _, y := range x.X {
				visit(y, negated)
			}
		case *rule.Or:
			for _, y := range x.X {
				visit(y, negated)
			}
		case *rule.Not:
			visit(x.X, !negated)
		case *rule.Ref:
			s := names[x.Name]
			if negated {
				s[1] = true
			} else {
				s[0] = true
			}
			names[x.Name] = s
		}
	}
	visit(d.expr, false)
	for i, n := range d.names {
		if names[n][0] {
			positive = append(positive, i)
		}
		if names[n][1] {
			negative = append(negative, i)
		}
	}
	return positive, negative
}

func hasNot(x rule.Expr) bool {
	switch x := x.(type) {
	case *rule.And:
		return slices.ContainsFunc(x.X, hasNot)
	case *rule.Or:
		return slices.ContainsFunc(x.X, hasNot)
	case *rule.Not:
		return true
	}
	return false
}

// eval evaluates a condition in words; has reports whether a rule has a hit.
func eval(x rule.Expr, has func(name string) bool) bool {
	switch x := x.(type) {
	case *rule.And:
		return !slices.ContainsFunc(x.X, func(y rule.Expr) bool { return !eval(y, has) })
	case *rule.Or:
		return slices.ContainsFunc(x.X, func(y rule.Expr) bool { return eval(y, has) })
	case *rule.Not:
		return !eval(x.X, has)
	case *rule.Ref:
		return has(x.Name)
	}
	return false
}
