package oracle

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/rule"
)

// judge returns the figure of a window, the moments that contribute, and
// whether the condition holds.
func (d detector) judge(window []moment) (value float64, evidence []moment, holds bool) {
	if len(window) == 0 {
		return 0, nil, false
	}
	switch d.kind {
	case rule.EventCount:
		value = float64(len(window))
	case rule.ValueCount:
		value = float64(d.distinct(window))
	case rule.ValueSum, rule.ValueAvg, rule.ValuePercentile, rule.ValueMedian:
		numbers := d.numbers(window)
		if len(numbers) == 0 {
			return 0, nil, false
		}
		value = d.figure(numbers)
	default:
		return d.temporal(window)
	}
	return value, window, d.within(value)
}

func (d detector) within(value float64) bool {
	return !slices.ContainsFunc(d.thresholds, func(t rule.Threshold) bool { return !t.Holds(value) })
}

func (d detector) figure(numbers []float64) float64 {
	sum := 0.0
	for _, n := range numbers {
		sum += n
	}
	switch d.kind {
	case rule.ValueSum:
		return sum
	case rule.ValueAvg:
		return sum / float64(len(numbers))
	case rule.ValueMedian:
		return percentile(numbers, 50)
	}
	return percentile(numbers, d.percentile)
}

// percentile interpolates linearly between the closest ranks.
func percentile(numbers []float64, p float64) float64 {
	sorted := slices.Sorted(slices.Values(numbers))
	rank := p / 100 * float64(len(sorted)-1)
	low := math.Floor(rank)
	a, b := sorted[int(low)], sorted[int(math.Ceil(rank))]
	return a + (b-a)*(rank-low)
}

// temporal judges the window of a temporal type.
func (d detector) temporal(window []moment) (float64, []moment, bool) {
	has := map[string]bool{}
	met := 0
	for r, name := range d.names {
		if slices.ContainsFunc(window, func(m moment) bool { return m.meets(r) }) {
			has[name] = true
			met++
		}
	}
	value := float64(met)
	if d.kind == rule.Temporal {
		if d.expr != nil {
			return value, window, eval(d.expr, func(n string) bool { return has[n] })
		}
		return value, window, d.within(value)
	}
	if d.absence() {
		positive, negative := d.signs()
		value = float64(len(positive))
		for _, m := range window[1:] {
			if slices.ContainsFunc(negative, m.meets) {
				return value, nil, false
			}
		}
		return value, window, chain(window, positive) >= 0
	}
	listed := make([]int, d.rules)
	for r := range listed {
		listed[r] = r
	}
	if d.expr != nil {
		listed, _ = d.signs()
	}
	start := chain(window, listed)
	if start < 0 {
		return value, nil, false
	}
	return float64(len(listed)), window[start:], true
}

// chain returns where the latest chain of the rules starts within the window,
// or -1 if there is none. It goes back from the end and takes the latest moment
// for the last rule, before that the latest for the one before, and so on.
func chain(window []moment, rules []int) int {
	start := -1
	for _, r := range slices.Backward(rules) {
		start = -1
		for i, m := range window {
			if m.meets(r) {
				start = i
			}
		}
		if start < 0 {
			return -1
		}
		window = window[:start]
	}
	return start
}

// countable reports whether a hit has what the detector counts.
func (d detector) countable(h hit) bool {
	switch d.kind {
	case rule.ValueCount:
		return len(d.tuples(h)) > 0
	case rule.ValueSum, rule.ValueAvg, rule.ValuePercentile, rule.ValueMedian:
		return len(d.numbersOf(h)) > 0
	}
	return true
}

// distinct counts values, or combinations of several fields.
func (d detector) distinct(window []moment) int {
	seen := map[string]bool{}
	for _, m := range window {
		for _, t := range d.tuples(m.hits[0]) {
			seen[t] = true
		}
	}
	return len(seen)
}

// tuples are the combinations of the values of a hit, folded.
func (d detector) tuples(h hit) []string {
	tuples := []string{""}
	for _, f := range d.fields {
		var longer []string
		for _, t := range tuples {
			for _, v := range h.fields[d.field(f, h.rule)] {
				longer = append(longer, t+strconv.Quote(d.fold(v)))
			}
		}
		tuples = longer
	}
	return tuples
}

func (d detector) numbers(window []moment) []float64 {
	var out []float64
	for _, m := range window {
		out = append(out, d.numbersOf(m.hits[0])...)
	}
	return out
}

func (d detector) numbersOf(h hit) []float64 {
	var out []float64
	for _, v := range h.fields[d.field(d.fields[0], h.rule)] {
		if n, ok := number(v); ok {
			out = append(out, n)
		}
	}
	return out
}

var decimal = regexp.MustCompile(`^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

func number(s string) (float64, bool) {
	if !decimal.MatchString(s) {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && !math.IsInf(n, 0)
}

// fold returns the representative of s under Unicode simple case folding, or s
// where case counts.
func (d detector) fold(s string) string {
	if d.cased {
		return s
	}
	return strings.Map(representative, s)
}
