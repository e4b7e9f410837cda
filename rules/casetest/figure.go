package casetest

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/rule"
)

// figure is the value that a correlation compares, over hits in order of time;
// for a condition in words 1 where it holds, else 0. NaN, which no threshold
// accepts, stands for figures without any number.
func figure(c *rule.Correlation, hits []sample) float64 {
	switch c.Type {
	case rule.EventCount:
		return distinct(hits, func(s sample) string { return strconv.Itoa(s.event) })
	case rule.ValueCount:
		return distinct(hits, func(s sample) string { return strings.Join(s.values, "\x00") })
	case rule.Temporal, rule.TemporalOrdered:
		return rulesMet(c, hits)
	}
	var numbers []float64
	for _, s := range hits {
		for _, text := range s.values {
			if v, err := strconv.ParseFloat(text, 64); err == nil {
				numbers = append(numbers, v)
			}
		}
	}
	if len(numbers) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for _, v := range numbers {
		sum += v
	}
	switch c.Type {
	case rule.ValueSum:
		return sum
	case rule.ValueAvg:
		return sum / float64(len(numbers))
	}
	slices.Sort(numbers)
	p := c.Percentile
	if c.Type == rule.ValueMedian {
		p = 50
	}
	rank := p / 100 * float64(len(numbers)-1)
	low := int(rank)
	if low+1 >= len(numbers) {
		return numbers[len(numbers)-1]
	}
	return numbers[low] + (rank-float64(low))*(numbers[low+1]-numbers[low])
}

func distinct(hits []sample, key func(sample) string) float64 {
	seen := map[string]bool{}
	for _, s := range hits {
		seen[key(s)] = true
	}
	return float64(len(seen))
}

// rulesMet counts the rules with a hit; of an ordered type the longest chain
// of rules 1, 2, … that begins with the first.
func rulesMet(c *rule.Correlation, hits []sample) float64 {
	if c.Expr != nil {
		met := map[string]bool{}
		for _, s := range hits {
			met[c.Rules[s.ref].Name] = true
		}
		if truth(c.Expr, met) {
			return 1
		}
		return 0
	}
	if c.Type == rule.Temporal {
		return distinct(hits, func(s sample) string { return strconv.Itoa(s.ref) })
	}
	next := 0
	for _, s := range hits {
		if next < len(c.Rules) && s.ref == next {
			next++
		}
	}
	return float64(next)
}

func truth(x rule.Expr, met map[string]bool) bool {
	switch x := x.(type) {
	case *rule.And:
		return !slices.ContainsFunc(x.X, func(y rule.Expr) bool { return !truth(y, met) })
	case *rule.Or:
		return slices.ContainsFunc(x.X, func(y rule.Expr) bool { return truth(y, met) })
	case *rule.Not:
		return !truth(x.X, met)
	case *rule.Ref:
		return met[x.Name]
	}
	return false
}
