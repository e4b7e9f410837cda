package rule_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/ruletest"
	"github.com/tiercel-io/tiercel/yamltree"
)

// Any document parses and links without a panic, within the limits, the same
// way twice, and is refused only with an error that has a place.
func FuzzRule(f *testing.F) {
	text, err := os.ReadFile("testdata/micro.txt")
	if err != nil {
		f.Fatal(err)
	}
	cases, err := ruletest.Parse(string(text))
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		f.Add(c.YAML)
	}
	f.Add([]byte(correlationBase + "    condition: {gte: 2}\n"))
	options := rule.Options{Values: map[string]rule.ValueList{"A": {Values: []string{"x*", "y"}}}, Experimental: true}
	f.Fuzz(func(t *testing.T, data []byte) {
		trees, err := yamltree.Parse(data)
		if err != nil {
			return
		}
		var docs []*rule.Document
		for _, tree := range trees {
			d, diags := rule.Parse("f.yml", tree)
			if (d == nil) != rule.HasErrors(diags) {
				t.Fatalf("document %v with %v", d, diags)
			}
			for _, x := range diags {
				if x.Line == 0 || x.Message == "" {
					t.Fatalf("no place or message: %v", x)
				}
			}
			if d != nil {
				docs = append(docs, d)
			}
		}
		set, diags := rule.Link(docs, options)
		again, _ := rule.Link(docs, options)
		if len(again.Rules) != len(set.Rules) || len(again.Correlations) != len(set.Correlations) {
			t.Fatal("linking again differs")
		}
		if len(set.Rules)+len(set.Correlations)+len(set.Filters)+len(set.Disabled) < len(docs) && !rule.HasErrors(diags) {
			t.Fatalf("a document disappeared: %v", diags)
		}
		for i, r := range set.Rules {
			if r.SemanticHash != again.Rules[i].SemanticHash || len(r.SemanticHash) != 64 {
				t.Fatal("another hash")
			}
			if len(r.Conditions) == 0 {
				t.Fatal("a rule without a condition")
			}
			for _, x := range r.Conditions {
				checkExpr(t, x, 0)
				_ = rule.Describe(x)
			}
		}
	})
}

// checkExpr checks what package rule promises of expressions.
func checkExpr(t *testing.T, x rule.Expr, depth int) {
	t.Helper()
	if depth > rule.ExprDepthMax {
		t.Fatal("too deep")
	}
	switch x := x.(type) {
	case *rule.And:
		checkExprs(t, x.X, depth)
	case *rule.Or:
		checkExprs(t, x.X, depth)
	case *rule.Not:
		checkExpr(t, x.X, depth+1)
	case *rule.Ref:
		checkExpr(t, x.X, depth+1)
	case *rule.Item:
		if len(x.Values) == 0 || x.Line == 0 {
			t.Fatalf("item %+v", x)
		}
		for _, v := range x.Values {
			checkValue(t, v, false)
		}
	default:
		t.Fatalf("%T", x)
	}
}

func checkExprs(t *testing.T, xs []rule.Expr, depth int) {
	t.Helper()
	if len(xs) == 0 {
		t.Fatal("no operand")
	}
	for _, x := range xs {
		checkExpr(t, x, depth+1)
	}
}

func checkValue(t *testing.T, v rule.Value, nested bool) {
	t.Helper()
	switch v := v.(type) {
	case *rule.AnyOf:
		if nested || len(v.X) == 1 {
			t.Fatalf("AnyOf %+v", v)
		}
		for _, x := range v.X {
			checkValue(t, x, true)
		}
	case *rule.Text:
		for i, p := range v.Parts {
			if (p.Lit != "") != (p.Kind == rule.Literal) || i > 0 && p.Kind == v.Parts[i-1].Kind && p.Kind <= rule.Star {
				t.Fatalf("parts %+v", v.Parts)
			}
		}
	case *rule.CIDR:
		if v.Prefix != v.Prefix.Masked() || v.Prefix.Addr().Is4In6() && v.Prefix.Bits() >= 96 {
			t.Fatalf("network %s", v.Prefix)
		}
	case *rule.Regexp:
		if v.RE == nil {
			t.Fatal("no expression")
		}
	case nil:
		t.Fatal("nil value")
	}
}

// Patterns keep their form and survive being printed.
func FuzzText(f *testing.F) {
	for _, s := range []string{`a*b?c`, `\\\*`, `C:\*`, `\`, `-a /b`, "\xff*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts := rule.ParsePattern(s)
		checkValue(t, &rule.Text{Parts: parts}, false)
		again := rule.ParsePattern(rule.FormatPattern(parts))
		if len(again) != len(parts) {
			t.Fatalf("%q: %v, printed and parsed %v", s, parts, again)
		}
		for i := range parts {
			if parts[i] != again[i] {
				t.Fatalf("%q: %v, printed and parsed %v", s, parts, again)
			}
		}
		total := 0
		for _, p := range parts {
			total += max(len(p.Lit), 1)
		}
		if total > len(s) {
			t.Fatalf("%q became longer", s)
		}
	})
}

// A condition in a rule is refused with a reason or becomes an expression.
func FuzzCondition(f *testing.F) {
	for _, s := range []string{"a and not 1 of sel_*", "(a or b) and all of them", "a | count() > 5", "NOT (a)", "2 of x"} {
		f.Add(s)
	}
	body := detectionOf(selections)
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsAny(s, "\x00\r\n") {
			return
		}
		trees, err := yamltree.Parse([]byte(body + "  condition: '" + strings.ReplaceAll(s, "'", "''") + "'\n"))
		if err != nil || len(trees) != 1 {
			return
		}
		d, diags := rule.Parse("f.yml", trees[0])
		if (d == nil) != rule.HasErrors(diags) {
			t.Fatalf("%v %v", d, diags)
		}
		if d == nil {
			return
		}
		set, _ := rule.Link([]*rule.Document{d}, rule.Options{})
		for _, x := range set.Rules[0].Conditions {
			checkExpr(t, x, 0)
		}
	})
}
