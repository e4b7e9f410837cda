package main

import (
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// What an item asks, in words, for one value of each kind.
func TestItemsInWords(t *testing.T) {
	t.Parallel()
	for item, want := range map[string]string{
		`F: abc`:                         `F is "abc"`,
		`F: 'a*'`:                        `F starts with "a"`,
		`F: '*a'`:                        `F ends with "a"`,
		`F|contains: [a, b]`:             `F contains "a" or "b"`,
		`F|contains|all: [a, b]`:         `F contains "a" and "b"`,
		`F: 'a?b*c'`:                     `F is like "a?b*c"`,
		`F: '*'`:                         `F is present and not null`,
		`F: ''`:                          `F is empty`,
		`F|cased: A`:                     `F is (in this case) "A"`,
		`F|contains|windash: ' -enc'`:    `F contains " [any dash or /]enc"`,
		`F: 7`:                           `F is the number 7`,
		`F: true`:                        `F is true`,
		`F: null`:                        `F is absent, null or an empty list`,
		`F|exists: true`:                 `F is present`,
		`F|exists: false`:                `F is not present`,
		`F|re: 'a+'`:                     `F fits the regular expression a+`,
		`F|cidr: 10.0.0.0/8`:             `F is an address in 10.0.0.0/8`,
		`F|gte: 9`:                       `F is at least 9`,
		`F|hour|lt: 6`:                   `F is a time whose hour is less than 6`,
		`F|fieldref: G`:                  `F equals the field G`,
		`F|neq: x`:                       `not: F is "x"`,
		`F: [abc, 'x*']`:                 `F is "abc", or starts with "x"`,
		`F|base64offset|contains: 'foo'`: `F contains one of ["Zm9v", "Zvb", "mb2"] for "foo"`,
		`'|contains': evil`:              `any value of the event contains "evil"`,
	} {
		text := "title: T\nid: 31111111-2222-4333-8444-555555555555\nlogsource: {product: windows}\ndetection:\n  s:\n    " + item + "\n  condition: s\n"
		docs, diags := rulefile.ParseBytes("t.yml", []byte(text))
		set, _ := rule.Link(docs, rule.Options{})
		if len(set.Rules) != 1 {
			t.Errorf("%s: %v", item, diags)
			continue
		}
		var b strings.Builder
		writeExpr(&b, set.Rules[0].Conditions[0], "")
		if got := strings.TrimSpace(strings.TrimPrefix(b.String(), "s:")); got != want {
			t.Errorf("%s reads\n%s\nwant\n%s", item, got, want)
		}
	}
}
