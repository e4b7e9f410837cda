package rule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
)

// Expressions at their bounds, one beyond, and far beyond. No document has a text of
// a hundred times the bytes.
func TestExpressionLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, pattern, want string }{
		{"bytes at the limit", strings.Repeat("a", rule.RegexBytesMax), ""},
		{"one byte beyond", strings.Repeat("a", rule.RegexBytesMax+1), "has 4097 bytes, more than the limit of 4096"},
		{"all the bytes of a value", strings.Repeat("a", rule.ValueBytesMax), "has 65536 bytes, more than the limit of 4096"},
		{"repeats at the limit", "a{1000}", ""},
		{"one repeat beyond", "a{1001}", "beyond the limit of 1000"},
		{"a hundred times the repeats", "a{100000}", "beyond the limit of 1000"},
		{"a product at the limit", "(?:a{10}){100}", ""},
		{"a product beyond", "(?:a{7}){143}", "beyond the limit of 1000"},
		{"a hundred times the product", "(?:(?:a{100}){100}){10}", "beyond the limit of 1000"},
		{"a product of open repeats", "(?:a{100,}){11,}", "beyond the limit of 1000"},
	} {
		set, diags := load(t, detectionOf(fmt.Sprintf("s: {F|re: '%s'}\ncondition: s", c.pattern)), rule.Options{})
		var all []string
		for _, d := range diags {
			if d.Severity == rule.Error {
				all = append(all, d.String())
			}
		}
		got := strings.Join(all, "\n")
		if c.want == "" && (got != "" || len(set.Rules) != 1) || c.want != "" && (!strings.Contains(got, c.want) || len(set.Rules) != 0) {
			t.Errorf("%s: %.300q with %d rules, want %q", c.name, got, len(set.Rules), c.want)
		}
	}
}
