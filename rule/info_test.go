package rule_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/yamltree"
)

const infoRule = `title: A rule
id: 11111111-1111-4111-8111-111111111111
name: a_rule
status: test
description: Words.
level: low
tags: [attack.t1059]
logsource: {category: process_creation, product: windows}
detection:
  s: {Image: a}
  condition: s
`

const infoFilter = `title: A filter
id: 22222222-2222-4222-8222-222222222222
logsource: {product: windows}
filter:
  rules: [a_rule]
  s: {User: b}
  condition: not s
`

const infoCorrelation = `title: A correlation
id: 33333333-3333-4333-8333-333333333333
correlation:
  type: event_count
  rules: [a_rule]
  group-by: [User]
  timespan: 5m
  condition: {gte: 3}
`

// document parses one document that must be well formed.
func document(t *testing.T, text string) *rule.Document {
	t.Helper()
	trees, err := yamltree.Parse([]byte(text))
	if err != nil || len(trees) != 1 {
		t.Fatal(err)
	}
	d, diags := rule.Parse("t.yml", trees[0])
	if d == nil {
		t.Fatal(diags)
	}
	return d
}

func TestInfo(t *testing.T) {
	t.Parallel()
	i := document(t, infoRule).Info()
	if i.Kind != rule.KindRule || i.Name != "a_rule" || i.Status != "test" || i.Level != rule.Low || !i.LevelSet || i.Logsource.Product != "windows" || i.File != "t.yml" {
		t.Errorf("%+v", i)
	}
	f := document(t, infoFilter).Info()
	if f.Kind != rule.KindFilter || f.LevelSet || !slices.Equal(f.Refers, []string{"a_rule"}) {
		t.Errorf("%+v", f)
	}
	c := document(t, infoCorrelation).Info()
	if c.Kind != rule.KindCorrelation || c.LevelSet || !slices.Equal(c.Refers, []string{"a_rule"}) {
		t.Errorf("%+v", c)
	}
}

// The hash that makes a detection's id covers the logic: other words about a
// rule keep it, other logic and filters do not.
func TestSemanticHashCoversLogicAlone(t *testing.T) {
	t.Parallel()
	of := func(texts ...string) string {
		var docs []*rule.Document
		for _, text := range texts {
			docs = append(docs, document(t, text))
		}
		set, _ := rule.Link(docs, rule.Options{})
		return set.Rules[0].SemanticHash
	}
	first := of(infoRule)
	if got := document(t, infoRule).Info().SemanticHash; got != first {
		t.Errorf("Info says %s, Link %s", got, first)
	}
	for _, c := range []struct {
		name, old, new string
		same           bool
	}{
		{"title", "A rule", "Another title", true},
		{"description", "Words.", "Other words.", true},
		{"level", "level: low", "level: critical", true},
		{"status", "status: test", "status: stable", true},
		{"tags", "attack.t1059", "attack.t1003", true},
		{"author", "status: test", "status: test\nauthor: A. N. Other", true},
		{"layout", "s: {Image: a}", "s:\n    Image: 'a'", true},
		{"value", "Image: a", "Image: b", false},
		{"field", "Image: a", "ParentImage: a", false},
		{"logsource", "product: windows", "product: linux", false},
		{"condition", "condition: s", "condition: not s", false},
	} {
		text := strings.Replace(infoRule, c.old, c.new, 1)
		if text == infoRule {
			t.Fatalf("%s: nothing was changed", c.name)
		}
		if got := of(text); (got == first) != c.same {
			t.Errorf("%s: same hash %v, want %v", c.name, got == first, c.same)
		}
	}
	filtered := of(infoRule, infoFilter)
	if filtered == first {
		t.Error("a filter keeps the hash")
	}
	if got := of(infoRule, strings.Replace(infoFilter, "User: b", "User: c", 1)); got == first || got == filtered {
		t.Error("another filter keeps the hash")
	}
	if got := of(infoRule, strings.Replace(infoFilter, "A filter", "Renamed", 1)); got != filtered {
		t.Error("a filter's title changes the hash")
	}
}

// What a site changes in a document changes no hash, and the document given
// stays as it was.
func TestWith(t *testing.T) {
	t.Parallel()
	d, corr := document(t, strings.Replace(infoRule, "test", "deprecated", 1)), document(t, infoCorrelation)
	before := d.Info()
	high := rule.High
	set, diags := rule.Link([]*rule.Document{d.With(rule.Changes{Level: &high, Tags: []string{"a.b"}, Enable: true}), corr}, rule.Options{})
	if len(set.Rules) != 1 || set.Rules[0].Level != rule.High || !slices.Equal(set.Rules[0].Tags, []string{"a.b"}) || set.Rules[0].SemanticHash != before.SemanticHash {
		t.Errorf("%+v %v", set.Rules, diags)
	}
	if len(set.Correlations) != 1 || set.Correlations[0].Level != rule.High || !slices.Equal(set.Correlations[0].Tags, []string{"a.b"}) {
		t.Errorf("the correlation does not inherit: %+v %v", set.Correlations, diags)
	}
	if diff := cmp.Diff(before, d.Info()); diff != "" {
		t.Errorf("the document was changed:\n%s", diff)
	}
	low := rule.Low
	set, _ = rule.Link([]*rule.Document{document(t, infoRule), corr.With(rule.Changes{Level: &low, Tags: []string{}})}, rule.Options{})
	if len(set.Correlations) != 1 || set.Correlations[0].Level != rule.Low {
		t.Errorf("%+v", set.Correlations)
	}
	// Disable is stronger than Enable.
	set, _ = rule.Link([]*rule.Document{d.With(rule.Changes{Enable: true, Disable: rule.DisabledOverride})}, rule.Options{})
	if len(set.Rules) != 0 || len(set.Disabled) != 1 || set.Disabled[0].Reason != rule.DisabledOverride {
		t.Errorf("%+v", set.Disabled)
	}
}

// Lists are bounded apart from the values written into a rule.
func TestListValues(t *testing.T) {
	t.Parallel()
	d := document(t, strings.Replace(infoRule, "Image: a", "'Image|expand': '%L%'", 1))
	long := rule.ValueList{Literal: true, Values: make([]string, rule.ListValuesMax+1)}
	for i := range long.Values {
		long.Values[i] = "x"
	}
	set, diags := rule.Link([]*rule.Document{d}, rule.Options{Values: map[string]rule.ValueList{"L": long}})
	if len(set.Rules) != 0 || len(diags) != 1 || diags[0].Code != rule.CodeValuesMany {
		t.Errorf("%d rules, %v", len(set.Rules), diags)
	}
	long.Values = long.Values[:2*rule.ValuesMax]
	set, diags = rule.Link([]*rule.Document{d}, rule.Options{Values: map[string]rule.ValueList{"L": long}})
	if len(set.Rules) != 1 || len(diags) != 0 {
		t.Errorf("%d rules, %v", len(set.Rules), diags)
	}
}
