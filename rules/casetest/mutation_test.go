package casetest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
)

// mutant is a correlation with one condition changed.
type mutant struct {
	what string
	c    *rule.Correlation
}

// mutants changes each condition of a correlation by itself.
func mutants(c *rule.Correlation) []mutant {
	var out []mutant
	add := func(what string, change func(m *rule.Correlation)) {
		m := *c
		m.Thresholds = slices.Clone(c.Thresholds)
		m.GroupBy = slices.Clone(c.GroupBy)
		m.Rules = slices.Clone(c.Rules)
		m.Aliases = slices.Clone(c.Aliases)
		change(&m)
		out = append(out, mutant{what, &m})
	}
	for i, t := range c.Thresholds {
		for _, by := range []float64{-1, 1} {
			if c.Type == rule.TemporalOrdered {
				continue // it needs all of its rules whatever the number
			}
			add(fmt.Sprintf("%s %v becomes %v", t.Op, t.N, t.N+by), func(m *rule.Correlation) { m.Thresholds[i].N += by })
		}
	}
	add("the timespan is halved", func(m *rule.Correlation) { m.Timespan /= 2 })
	for i, g := range c.GroupBy {
		add("it is not grouped by "+g, func(m *rule.Correlation) { m.GroupBy = slices.Delete(m.GroupBy, i, i+1) })
	}
	for i, r := range c.Rules {
		if len(c.Rules) > 1 {
			add("the rule "+r.Name+" is dropped", func(m *rule.Correlation) { drop(m, i) })
		}
	}
	if c.Type == rule.TemporalOrdered {
		add("the order is dropped", func(m *rule.Correlation) { m.Type = rule.Temporal })
	}
	return out
}

// drop takes a rule out of a correlation.
func drop(m *rule.Correlation, i int) {
	name := m.Rules[i].Name
	m.Rules = slices.Delete(m.Rules, i, i+1)
	for j := range m.Aliases {
		m.Aliases[j].Fields = slices.Delete(slices.Clone(m.Aliases[j].Fields), i, i+1)
	}
	switch {
	case m.Expr != nil:
		m.Expr = without(m.Expr, name)
	case m.Type == rule.Temporal || m.Type == rule.TemporalOrdered:
		m.Thresholds = []rule.Threshold{{Op: rule.OpGte, N: float64(len(m.Rules))}}
	}
}

// without removes a name from a condition in words.
func without(x rule.Expr, name string) rule.Expr {
	switch x := x.(type) {
	case *rule.And:
		var kept []rule.Expr
		for _, y := range x.X {
			if z := without(y, name); z != nil {
				kept = append(kept, z)
			}
		}
		return &rule.And{X: kept}
	case *rule.Not:
		if z := without(x.X, name); z != nil {
			return &rule.Not{X: z}
		}
		return nil
	case *rule.Ref:
		if x.Name == name {
			return nil
		}
	}
	return x
}

// swap is the set with a correlation replaced, also where others name it.
func swap(set *rule.Set, was, is *rule.Correlation) *rule.Set {
	out := *set
	out.Correlations = nil
	replaced := map[*rule.Correlation]*rule.Correlation{was: is}
	for _, c := range set.Correlations {
		n := replaced[c]
		if n == nil {
			for i, r := range c.Rules {
				if with := replaced[r.Correlation]; r.Correlation != nil && with != nil {
					if n == nil {
						copied := *c
						copied.Rules = slices.Clone(c.Rules)
						n = &copied
					}
					n.Rules[i].Correlation = with
				}
			}
			if n == nil {
				n = c
			} else {
				replaced[c] = n
			}
		}
		out.Correlations = append(out.Correlations, n)
	}
	return &out
}

// Whichever condition of a shipped correlation is changed, alone and by the
// least, one of its cases goes red: the cases hold each of them in place.
func TestMutants(t *testing.T) {
	t.Parallel()
	set, suites := shipped(t)
	b := bench(t, set)
	total := 0
	for _, c := range set.Correlations {
		suite := suites[c.ID]
		if suite == nil {
			continue
		}
		// A correlation that it rests on and that has no suite of its own is
		// held in place by this one.
		targets := []*rule.Correlation{c}
		for _, r := range c.Rules {
			if r.Correlation != nil && suites[r.Correlation.ID] == nil {
				targets = append(targets, r.Correlation)
			}
		}
		for _, target := range targets {
			for _, m := range mutants(target) {
				total++
				runner := b.With(swap(set, target, m.c)).Runner()
				red := false
				for _, one := range suite.Cases {
					results, err := runner.Run(suite, func(name string) bool { return name == one.Name })
					if err != nil {
						t.Fatalf("%q, %s: %v", target.Title, m.what, err)
					}
					if red = results[0].Failed(); red {
						break
					}
				}
				if !red {
					t.Errorf("%q: no case goes red when %s", target.Title, m.what)
				}
			}
		}
	}
	t.Logf("%d mutants", total)
}
