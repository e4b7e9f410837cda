package rule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tiercel-io/tiercel/rule"
)

const tailDetection = "detection:\n  s: {F: a}\n  condition: s\n"

func TestDocumentContents(t *testing.T) {
	t.Parallel()
	text := `title: " A title "
id: 11111111-1111-4111-8111-11111111111A
name: a_name
status: stable
description: |
  Two
  lines.
level: critical
tags: [attack.Initial_Access, attack.t1059, cve.2024-1, tlp.red]
author: someone
license: MIT
references: [https://example.com/]
falsepositives: [none]
fields: [F]
scope: [server]
date: 2024/1/2
modified: 2024-03-04
related:
  - {id: 22222222-2222-4222-8222-222222222222, type: obsoletes}
logsource: {category: Process_Creation, product: Windows, definition: d, vendor: {a: b}}
regression_tests_path: x/y
simulation: [{type: z}]
` + tailDetection
	set, diags := load(t, text, rule.Options{})
	if got := codes(diags); got != "tag-underscore date-slash" {
		t.Errorf("diagnostics %s: %v", got, diags)
	}
	want := &rule.Rule{
		Position: rule.Position{File: "t.yml", Line: 1, Column: 1},
		Title:    "A title", ID: "11111111-1111-4111-8111-11111111111a", Name: "a_name", Status: "stable",
		Description: "Two\nlines.\n", Level: rule.Critical,
		Tags:   []string{"attack.initial-access", "attack.t1059", "cve.2024-1", "tlp.red"},
		Author: "someone", License: "MIT", References: []string{"https://example.com/"}, FalsePositives: []string{"none"},
		Fields: []string{"F"}, Scope: []string{"server"}, Date: "2024-01-02", Modified: "2024-03-04", Taxonomy: "sigma",
		Related:   []rule.Related{{ID: idB, Type: "obsolete"}},
		Logsource: rule.Logsource{Category: "process_creation", Product: "windows", Definition: "d", Custom: map[string]string{"vendor": "{a: b}"}},
		Custom:    map[string]string{"regression_tests_path": "x/y", "simulation": "[{type: z}]"},
	}
	if diff := cmp.Diff(want, set.Rules[0], cmpopts.IgnoreFields(rule.Rule{}, "Conditions", "SemanticHash")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDocumentChecks(t *testing.T) {
	t.Parallel()
	base := header + tailDetection
	with := func(old, new string) string { return strings.Replace(base, old, new, 1) }
	extra := func(line string) string { return base + line + "\n" }
	for _, c := range []struct{ name, text, codes string }{
		{"all well", base, ""},
		{"no title", with("title: T\n", ""), "TITLE-MISSING"},
		{"blank title", with("title: T", "title: ' '"), "TITLE-MISSING"},
		{"long title", with("title: T", "title: "+strings.Repeat("é", 257)), "title-long"},
		{"title of 256", with("title: T", "title: "+strings.Repeat("é", 256)), ""},
		{"no id", with("id: 0b3d8e9c-5b1f-4e1a-9a55-6f7d3c1b2a01\n", ""), "id-missing"},
		{"bad id", with("0b3d8e9c-5b1f-4e1a-9a55-6f7d3c1b2a01", "rule-1"), "ID-INVALID"},
		{"no level", with("level: low\n", ""), "level-missing"},
		{"null level", with("level: low", "level:"), "level-missing"},
		{"bad level", with("level: low", "level: hihg"), "LEVEL-UNKNOWN"},
		{"upper-case level", with("level: low", "level: Low"), "metadata-type"},
		{"upper-case status", with("status: test", "status: TEST"), "metadata-type"},
		{"no status", with("status: test\n", ""), ""},
		{"bad status", with("status: test", "status: testing"), "STATUS-UNKNOWN"},
		{"bad date", extra("date: 2024-02-30"), "date-invalid"},
		{"words as date", extra("date: yesterday"), "date-invalid"},
		{"tag without dot", extra("tags: [attack]"), "tag-invalid"},
		{"tag of others", extra("tags: [attck.t1059]"), "tag-namespace"},
		{"tags as text", extra("tags: attack.t1059"), "metadata-type"},
		{"references as map", extra("references: {a: b}"), "metadata-type"},
		{"a map in a list", extra("falsepositives: [{a: b}]"), "metadata-type"},
		{"author as list", extra("author: [a, b]"), "metadata-type"},
		{"related type", extra("related: [{id: " + idA + ", type: simular}]"), "related-invalid"},
		{"related id", extra("related: [{id: x, type: similar}]"), "related-invalid"},
		{"related form", extra("related: {id: x}"), "related-invalid"},
		{"related null", extra("related:"), ""},
		{"taxonomy", extra("taxonomy: ecs"), "TAXONOMY-UNMAPPED"},
		{"taxonomy sigma", extra("taxonomy: sigma"), ""},
		{"no logsource", with("logsource: {category: test}\n", ""), "LOGSOURCE-MISSING"},
		{"empty logsource", with("{category: test}", "{}"), "LOGSOURCE-MISSING"},
		{"definition only", with("{category: test}", "{definition: x}"), "LOGSOURCE-MISSING"},
		{"logsource as text", with("{category: test}", "test"), "LOGSOURCE-INVALID"},
		{"category as list", with("{category: test}", "{category: [a, b]}"), "LOGSOURCE-INVALID"},
		{"service alone", with("{category: test}", "{service: sshd}"), ""},
		{"two kinds", extra("filter: {}"), "DOCUMENT-KIND"},
		{"no kind", header, "DOCUMENT-KIND"},
		{"a slip in the kind", header + "detections: {s: {F: a}, condition: s}\n", "DOCUMENT-KIND"},
		{"a list", "- a\n- b\n", "DOCUMENT-KIND"},
		{"legacy action", extra("action: global"), "ACTION-LEGACY"},
		{"custom action", extra("action: block"), ""},
		{"detection as list", header + "detection: [a]\n", "DETECTION-INVALID"},
		{"detection as null", header + "detection:\n", "DETECTION-INVALID"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set, diags := load(t, c.text, rule.Options{})
			if got := codes(diags); got != c.codes {
				t.Errorf("diagnostics %q, want %q: %v", got, c.codes, diags)
			}
			if got := len(set.Rules) == 1; got == rule.HasErrors(diags) {
				t.Errorf("loaded: %v with %v", got, diags)
			}
		})
	}
}

// What Link decides over several documents.
func TestLinking(t *testing.T) {
	t.Parallel()
	status := func(id, s string) string {
		return strings.Replace(ruleDoc(id, ""), "status: test", "status: "+s, 1)
	}
	for _, c := range []struct {
		name, text string
		options    rule.Options
		rules      int
		codes      string
	}{
		{"one id", join(ruleDoc(idA, ""), ruleDoc(idA, "")), rule.Options{}, 1, "ID-DUPLICATE"},
		{"one id in another case", join(strings.Replace(ruleDoc(idA, ""), idA, "aaaaaaaa-1111-4111-8111-111111111111", 1), strings.Replace(ruleDoc(idA, ""), idA, "AAAAAAAA-1111-4111-8111-111111111111", 1)), rule.Options{}, 1, "ID-DUPLICATE"},
		{"one name", join(ruleDoc(idA, "name: n\n"), ruleDoc(idB, "name: n\n")), rule.Options{}, 1, "NAME-DUPLICATE"},
		{"same content without ids", join(strings.Replace(ruleDoc(idA, ""), "id: "+idA+"\n", "", 1), strings.Replace(ruleDoc(idA, ""), "id: "+idA+"\n", "", 1)), rule.Options{}, 1, "id-missing id-missing ID-DUPLICATE"},
		{"deprecated", join(status(idA, "deprecated"), status(idB, "unsupported")), rule.Options{}, 0, ""},
		{"forced", join(status(idA, "deprecated"), status(idB, "unsupported")), rule.Options{Statuses: []string{"deprecated", "unsupported"}}, 2, ""},
		{"stable only", join(status(idA, "stable"), status(idB, "test")), rule.Options{Statuses: []string{"stable"}}, 1, ""},
		{"taxonomy allowed", ruleDoc(idA, "taxonomy: ecs\n"), rule.Options{Taxonomies: []string{"ecs"}}, 1, ""},
		{"obsolete beside new", join(ruleDoc(idA, "related: [{id: "+idB+", type: obsolete}]\n"), ruleDoc(idB, "")), rule.Options{}, 2, "related-enabled"},
		{"obsolete is off", join(ruleDoc(idA, "related: [{id: "+idB+", type: obsolete}]\n"), status(idB, "deprecated")), rule.Options{}, 1, ""},
		{"similar", join(ruleDoc(idA, "related: [{id: "+idB+", type: similar}]\n"), ruleDoc(idB, "")), rule.Options{}, 2, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			set, diags := load(t, c.text, c.options)
			if got := codes(diags); got != c.codes || len(set.Rules) != c.rules {
				t.Errorf("%d rules, diagnostics %q; want %d, %q: %v", len(set.Rules), got, c.rules, c.codes, diags)
			}
		})
	}
}

func TestDisabled(t *testing.T) {
	t.Parallel()
	text := join(strings.Replace(ruleDoc(idA, ""), "status: test", "status: deprecated", 1), strings.Replace(ruleDoc(idB, ""), "{F: a}", "{F|expand: ['%x%', '%y%%x%']}", 1))
	set, _ := load(t, text, rule.Options{Values: map[string]rule.ValueList{"y": {Values: []string{"1"}}}})
	if len(set.Disabled) != 2 || set.Disabled[0].Reason != rule.DisabledStatus || set.Disabled[1].Reason != rule.DisabledNeedsValues {
		t.Fatalf("%+v", set.Disabled)
	}
	if diff := cmp.Diff([]string{"x"}, set.Disabled[1].NeedsValues); diff != "" {
		t.Error(diff)
	}
	if set.Disabled[1].Rule == nil || len(set.Disabled[1].Rule.NeedsValues) != 1 {
		t.Error("the rule is not there to be shown")
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("a, ", rule.ValuesMax)
	list := make([]string, 200)
	for i := range list {
		list[i] = "x"
	}
	lists := map[string]rule.ValueList{"A": {Values: list}, "B": {Literal: true, Values: []string{strings.Repeat("y", 60_000)}}}
	for _, c := range []struct{ name, s, codes string }{
		{"as many as allowed", "[" + many[:len(many)-2] + "]", ""},
		{"one more", "[" + many + "a]", "VALUES-MANY"},
		{"product of lists", "{F|expand: '%A%%A%%A%'}", "VALUES-MANY"},
		{"bytes", "{F|expand: '" + strings.Repeat("%B%", 100) + "'}", "VALUES-MANY"},
		{"encoded length", "{F|wide|base64|wide|base64: '" + strings.Repeat("x", 10_000) + "'}", "VALUES-MANY"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, diags := load(t, detectionOf("s: "+c.s+"\ncondition: s"), rule.Options{Values: lists})
			if got := codes(diags); got != c.codes {
				t.Errorf("diagnostics %q, want %q", got, c.codes)
			}
		})
	}
}

// What is said of one document is bounded, and an error is always among it.
func TestDiagnosticsMax(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "  F%d|contains: ''\n", i)
	}
	b.WriteString("  F|foo: a\n")
	set, diags := load(t, detectionOf("s:\n"+b.String()+"condition: s"), rule.Options{})
	if len(set.Rules) != 0 || len(diags) != rule.DiagnosticsMax || !rule.HasErrors(diags) {
		t.Errorf("%d rules, %d diagnostics", len(set.Rules), len(diags))
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	set, diags := load(t, detectionOf(`a:
  Image|endswith: '\cmd.exe'
  CommandLine|contains|all: [' -a', 'b*c']
  Flags|windash: '-x'
  Ip|cidr: '10.0.0.0/8'
  Port|gte: 1024
  Time|hour: 3
  User|fieldref: Owner
  Gone: null
  Name|cased|startswith: 'A'
b: ['word', 5]
c: {F|neq: 1, F|exists: true}
condition: a or b and not 1 of c*`), rule.Options{})
	if rule.HasErrors(diags) {
		t.Fatal(diags)
	}
	want := `any of:
  selection a:
    all of:
      Image ends with "\\cmd.exe"
      CommandLine meets every one of:
        contains " -a"
        is like "*b*c*"
      Flags is like "-x", with any of - / – — ― where a dash begins a flag
      Ip is an address in 10.0.0.0/8
      Port is at least 1024
      Time is a time whose hour is exactly 3
      User equals the field Owner
      Gone is absent or null
      Name starts with "A", minding case
  all of:
    selection b:
      any value of the event meets any of:
        contains "word"
        contains "5"
    not:
      selection c:
        all of:
          not: F is the number 1
          F is present
`
	if diff := cmp.Diff(want, rule.Describe(set.Rules[0].Conditions[0])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
