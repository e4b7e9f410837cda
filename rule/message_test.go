package rule_test

import (
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
)

// Messages name the fault, its place, and what to write instead.
func TestMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, want string }{
		{"s:\n  F|containz: a\ncondition: s", `t.yml:8:5: error: there is no modifier "containz"; did you mean "contains"? [modifier-unknown]`},
		{"s: {F|startwith: a}\ncondition: s", `did you mean "startswith"?`},
		{"s: {F|re: '(?=a)a'}\ncondition: s", `t.yml:7:13: error: regular expressions here run in linear time and have no lookahead (?=…); match the parts`},
		{"s: {F|re: 'a(?!b)'}\ncondition: s", `have no negative lookahead (?!…)`},
		{"s: {F|re: '(?<=a)b'}\ncondition: s", `have no lookbehind (?<=…)`},
		{"s: {F|re: '(?<!a)b'}\ncondition: s", `have no negative lookbehind (?<!…)`},
		{"s: {F|re: '(a)\\1'}\ncondition: s", `have no back-reference \1`},
		{"s: {F|re: '(?P<n>a)(?P=n)'}\ncondition: s", `have no back-reference (?P=…)`},
		{"s: {F|re: '(?>a)'}\ncondition: s", `have no atomic group (?>…)`},
		{"s: {F|re: 'a++'}\ncondition: s", `have no possessive quantifier ++`},
		{"s: {F|re: 'a*+'}\ncondition: s", `have no possessive quantifier *+`},
		{"s: {F|re: 'a{2}+'}\ncondition: s", `have no possessive quantifier }+`},
		{"s: {F|re: '(?(1)a|b)'}\ncondition: s", `have no conditional (?(…)…)`},
		{"s: {F|re: 'a\\Z'}\ncondition: s", `have no \Z; write \z or $`},
		{"s: {F|re: '[(?=](?!b)'}\ncondition: s", `have no negative lookahead (?!…)`},
		{"s: {F|re: '[]\\1](?!b)'}\ncondition: s", `have no negative lookahead (?!…)`},
		{"s: {F|re: '(a'}\ncondition: s", `the expression does not compile: missing closing )`},
		{"s: {F|re: 'a**'}\ncondition: s", `the repeat operators "**" cannot follow each other`},
		{"s: {F|re: 'a{1001}'}\ncondition: s", `beyond the limit of 1000`},
		{"s: {F|re: '(a{100}){100}'}\ncondition: s", `beyond the limit of 1000`},
		{"s: {F|re: '" + strings.Repeat("(a|b)", 1_000) + "'}\ncondition: s", `the expression has 5000 bytes, more than the limit of 4096`},
		{"s: {F|re: '" + strings.Repeat(".{1000}", 20) + "'}\ncondition: s", `the expression is too large`},
		{"s: {F|re: ['" + strings.Repeat("', '.{1000}.{1000}", 60) + "']}\ncondition: s", `too large together`},
		{"selection: {F: a}\ncondition: selektion", `the condition names "selektion", but there is no such selection; did you mean "selection"?`},
		{"selection_a: {F: a}\ncondition: 1 of selektion_*", `no selection fits "selektion_*"; did you mean "selection_a"?`},
		{"s: {F: a}\ncondition: s and s_*", `the pattern "s_*" stands without 1 of or all of at character 7 of the condition; write 1 of s_* or all of s_*`},
		{"s: {F: a}\ncondition: s | count() by F > 5", `write a correlation document`},
		{"s: {F|wide: a}\ncondition: s", `utf16le is not followed by base64 or base64offset; write utf16le|base64offset|contains`},
		{"s: {F|contains|re: a}\ncondition: s", `re cannot stand after contains; write re first`},
	} {
		_, diags := load(t, detectionOf(c.body), rule.Options{})
		var all []string
		for _, d := range diags {
			all = append(all, d.String())
		}
		if got := strings.Join(all, "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%.60s\ngot  %s\nwant %s", c.body, got, c.want)
		}
	}
}

// A document whose kind is misspelt is told where, and what was meant.
func TestKindMessages(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"detections":   `t.yml:6:1: error: there is no detection, but a key "detections"; did you mean "detection"? [document-kind]`,
		"Detection":    `t.yml:6:1: error: there is no detection, but a key "Detection"; did you mean "detection"? [document-kind]`,
		"corelation":   `t.yml:6:1: error: there is no correlation, but a key "corelation"; did you mean "correlation"? [document-kind]`,
		"antelope":     `t.yml:1:1: error: the document has none of the keys detection, correlation and filter; add one of them [document-kind]`,
		"custom_field": `t.yml:1:1: error: the document has none of the keys detection, correlation and filter; add one of them [document-kind]`,
	} {
		_, diags := load(t, header+key+": {s: {F: a}, condition: s}\n", rule.Options{})
		if len(diags) != 1 || diags[0].String() != want {
			t.Errorf("%s: got %v, want %s", key, diags, want)
		}
	}
}

// The tables for the reference are complete.
func TestCodes(t *testing.T) {
	t.Parallel()
	seen := map[rule.Code]bool{}
	for _, c := range rule.Codes {
		if seen[c.Code] {
			t.Errorf("%s stands twice", c.Code)
		}
		seen[c.Code] = true
		if !strings.HasSuffix(c.Text, ".") || !strings.HasSuffix(c.Advice, ".") {
			t.Errorf("%s: text and advice must be sentences", c.Code)
		}
	}
	if len(seen) != 89 {
		t.Errorf("%d codes; when one is added, add it here too and never reuse a name", len(seen))
	}
}

func TestModifiersTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, m := range rule.Modifiers {
		for _, name := range append([]string{m.Name}, m.Aliases...) {
			if seen[name] {
				t.Errorf("%s stands twice", name)
			}
			seen[name] = true
			_, diags := load(t, detectionOf("s: {F|"+name+": 1}\ncondition: s"), rule.Options{})
			for _, d := range diags {
				if d.Code == rule.CodeModifierUnknown {
					t.Errorf("%s is in the table and not understood", name)
				}
			}
		}
		if m.Meaning == "" || m.Values == "" || m.Order == "" {
			t.Errorf("%s is not described", m.Name)
		}
	}
}
