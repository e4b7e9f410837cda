package rule_test

import (
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
)

const selections = "a: {F: a}\nb: {F: b}\nsel_a: {F: 1}\nsel_b: {F: 2}\n_x: {F: 3}\n_xy: {F: 4}\n"

// The selections above as they stand in conditions.
const (
	sa  = "a:F['a']"
	sb  = "b:F['b']"
	sla = "sel_a:F[#1/1]"
	slb = "sel_b:F[#2/2]"
	sx  = "_x:F[#3/3]"
	sxy = "_xy:F[#4/4]"
)

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ condition, want, codes string }{
		{"a", sa, ""},
		{"a or b and sel_a", "or(" + sa + " and(" + sb + " " + sla + "))", ""},
		{"not a and b", "and(not(" + sa + ") " + sb + ")", ""},
		{"not not a", "not(not(" + sa + "))", ""},
		{"a and b and sel_a", "and(" + sa + " " + sb + " " + sla + ")", ""},
		{"a and (b and sel_a)", "and(" + sa + " and(" + sb + " " + sla + "))", ""},
		{"(a or b) and not (sel_a)", "and(or(" + sa + " " + sb + ") not(" + sla + "))", ""},
		{"1 of sel_*", "or(" + sla + " " + slb + ")", ""},
		{"any of sel_*", "or(" + sla + " " + slb + ")", ""},
		{"all of sel_*", "and(" + sla + " " + slb + ")", ""},
		{"all of *_a", sla, ""},
		{"1 of sel_a", sla, ""},
		{"not 1 of sel*b", "not(" + slb + ")", ""},
		{"1 of them", "or(" + sa + " " + sb + " " + sla + " " + slb + ")", ""},
		{"1 of *", "or(" + sa + " " + sb + " " + sla + " " + slb + ")", ""},
		{"all of _x*", "and(" + sx + " " + sxy + ")", ""},
		{"_x", sx, ""},
		{"1 of *x", "", "CONDITION-SELECTOR"},
		{"a and 1 of typo_*", "", "CONDITION-SELECTOR"},
		{"SEL_A", "", "CONDITION-IDENTIFIER"},
		{"1 of SEL_*", "", "CONDITION-SELECTOR"},
		{"a AND b", "and(" + sa + " " + sb + ")", "condition-case"},
		{"a Or NOT b", "or(" + sa + " not(" + sb + "))", "condition-case"},
		{"ALL OF sel_*", "and(" + sla + " " + slb + ")", "condition-case"},
		{"2 of sel_*", "", "CONDITION-COUNT"},
		{"most of them", "", "CONDITION-COUNT"},
		{"a | count() > 5", "", "CONDITION-AGGREGATION"},
		{"a | near b", "", "CONDITION-AGGREGATION"},
		{"sel_*", "", "CONDITION-SYNTAX"},
		{"", "", "CONDITION-MISSING"},
		{"   ", "", "CONDITION-MISSING"},
		{"(a", "", "CONDITION-SYNTAX"},
		{"a)", "", "CONDITION-SYNTAX"},
		{"()", "", "CONDITION-SYNTAX"},
		{"a b", "", "CONDITION-SYNTAX"},
		{"a and", "", "CONDITION-SYNTAX"},
		{"and a", "", "CONDITION-SYNTAX"},
		{"not", "", "CONDITION-SYNTAX"},
		{"them", "", "CONDITION-SYNTAX"},
		{"1 of", "", "CONDITION-SYNTAX"},
		{"1 of (a)", "", "CONDITION-SYNTAX"},
		{"1 of and", "", "CONDITION-SYNTAX"},
		{"a & b", "", "CONDITION-SYNTAX"},
		{"a > 5", "", "CONDITION-SYNTAX"},
		{"nothing", "", "CONDITION-IDENTIFIER"},
		{strings.Repeat("(", 100) + "a" + strings.Repeat(")", 100), "", "CONDITION-SIZE"},
		{strings.Repeat("not ", 100) + "a", "", "CONDITION-SIZE"},
		{strings.Repeat("a and ", 5_000) + "a", "", "CONDITION-SIZE"},
	} {
		name := c.condition
		if len(name) > 30 {
			name = name[:30]
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := detectionOf(selections + "condition: '" + c.condition + "'")
			set, diags := load(t, text, rule.Options{})
			got := ""
			if len(set.Rules) > 0 {
				got = notation(set.Rules[0].Conditions[0])
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			var kept []rule.Diagnostic
			for _, d := range diags {
				if d.Code != rule.CodeIdentifierUnused {
					kept = append(kept, d)
				}
			}
			if g := codes(kept); g != c.codes {
				t.Errorf("diagnostics %q, want %q: %v", g, c.codes, kept)
			}
		})
	}
}

func TestDetectionForms(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body, want, codes string }{
		{"list of conditions", "a: {F: a}\nb: {F: b}\ncondition: [a, not b]", sa + " | not(" + sb + ")", ""},
		{"empty list", "a: {F: a}\ncondition: []", "", "CONDITION-MISSING"},
		{"null condition", "a: {F: a}\ncondition:", "", "CONDITION-SYNTAX"},
		{"map condition", "a: {F: a}\ncondition: {a: b}", "", "CONDITION-SYNTAX"},
		{"no condition", "a: {F: a}", "", "CONDITION-MISSING"},
		{"no selection", "condition: a", "", "DETECTION-INVALID"},
		{"unused", "a: {F: a}\nb: {F: b}\ncondition: a", sa, "identifier-unused"},
		{"timeframe", "a: {F: a}\ntimeframe: 5m\ncondition: a", "", "TIMEFRAME-LEGACY"},
		{"reserved", "And: {F: a}\ncondition: And", "", "IDENTIFIER-RESERVED CONDITION-SYNTAX"},
		{"reserved them", "them: {F: a}\ncondition: 1 of them", "", "IDENTIFIER-RESERVED CONDITION-SELECTOR"},
		{"a dot in a name", "a.b: {F: a}\ncondition: 1 of a*", "a.b:F['a']", "identifier-invalid"},
		{"a number as a name", "1: {F: a}\ncondition: 1", "1:F['a']", ""},
		{"block condition", "a: {F: a}\nb: {F: b}\ncondition: >\n    a\n    and b", "and(" + sa + " " + sb + ")", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set, diags := load(t, detectionOf(c.body), rule.Options{})
			var got []string
			if len(set.Rules) > 0 {
				for _, x := range set.Rules[0].Conditions {
					got = append(got, notation(x))
				}
			}
			if g := strings.Join(got, " | "); g != c.want {
				t.Errorf("got %s, want %s", g, c.want)
			}
			if g := codes(diags); g != c.codes {
				t.Errorf("diagnostics %q, want %q: %v", g, c.codes, diags)
			}
		})
	}
}

// A selection used twice is one node.
func TestSelectionsAreShared(t *testing.T) {
	t.Parallel()
	set, _ := load(t, detectionOf("a: {F: a}\ncondition: a or not a"), rule.Options{})
	or := set.Rules[0].Conditions[0].(*rule.Or)
	if or.X[0] != or.X[1].(*rule.Not).X {
		t.Error("two nodes for one selection")
	}
}

// A condition whose patterns would fill memory is refused.
func TestConditionExplosion(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 300 {
		b.WriteString("s" + strings.Repeat("x", i) + ": {F: a}\n")
	}
	set, diags := load(t, detectionOf(b.String()+"condition: "+strings.Repeat("1 of s* or ", 100)+"1 of s*"), rule.Options{})
	if len(set.Rules) > 0 || codes(diags) != "CONDITION-SIZE" {
		t.Errorf("got %v", diags)
	}
}
