package detect_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// anyView reads every field by its own name and proves every logsource.
func anyView() event.View {
	return event.View{Name: "any", Any: true, Lookup: func(field string) event.Lookup {
		return event.Lookup{Paths: []string{field}}
	}}
}

// The alphabet is small, so that random patterns hit random texts, and holds
// what has gone wrong in engines: separators, dashes, case pairs of one, two
// and three bytes, orbits of three letters, and characters without case.
var pieces = []string{"a", "A", "b", "-", "/", "–", "―", `\`, " ", "k", "K", "\u212a", "s", "ſ", "é", "É", "д", "Д", "ß", "ẞ", "İ", "i", "x.exe", "abcd", "0", "12", "e\u0301", "😀", "\n", `"`}

func textGen(maxPieces int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, maxPieces).Draw(t, "pieces"), "")
	})
}

var fields = []string{"F", "G", "H"}

func patternGen() *rapid.Generator[rule.Value] {
	return rapid.Custom(func(t *rapid.T) rule.Value {
		var parts []rule.Part
		lit := func(max int) {
			s := textGen(max).Draw(t, "literal")
			if s == "" {
				return
			}
			if n := len(parts); n > 0 && parts[n-1].Kind == rule.Literal {
				parts[n-1].Lit += s
			} else {
				parts = append(parts, rule.Part{Kind: rule.Literal, Lit: s})
			}
		}
		star := func() {
			if n := len(parts); n == 0 || parts[n-1].Kind != rule.Star {
				parts = append(parts, rule.Part{Kind: rule.Star})
			}
		}
		switch rapid.IntRange(0, 7).Draw(t, "form") {
		case 0:
			lit(4)
		case 1:
			lit(3)
			star()
		case 2:
			star()
			lit(3)
		case 3, 4:
			star()
			lit(3)
			star()
		case 5:
			star()
			lit(1)
			parts = append(parts, rule.Part{Kind: rule.Dash})
			lit(2)
			star()
		default:
			for range rapid.IntRange(1, 5).Draw(t, "parts") {
				switch rapid.IntRange(0, 4).Draw(t, "part") {
				case 0:
					star()
				case 1:
					parts = append(parts, rule.Part{Kind: rule.One})
				case 2:
					parts = append(parts, rule.Part{Kind: rule.Dash})
				default:
					lit(2)
				}
			}
		}
		return &rule.Text{Parts: parts, Cased: rapid.IntRange(0, 5).Draw(t, "cased") == 0, Source: fmt.Sprint(parts)}
	})
}

var expressions = []string{`a.c`, `(?i)k`, `^ab`, `x\.exe$`, `(?i)abcd.*x`, `[0-9]+`, `é`, `(ab|12)`, `s+`, `a{2}b`, `.{3,}`, `.{2}`, `[ab]{4}`, `[kK]{4,5}x?`, `a.*a.*a`, `(a|b)+-`, `(?s).{2,}`, `(?i)é{1,3}\s?`, `\bab\b`}

func valueGen(keyword bool) *rapid.Generator[rule.Value] {
	return rapid.Custom(func(t *rapid.T) rule.Value {
		kinds := 12
		if keyword {
			kinds = 7
		}
		switch rapid.IntRange(0, kinds).Draw(t, "kind") {
		case 0:
			src := rapid.SampledFrom(expressions).Draw(t, "regexp")
			return &rule.Regexp{RE: regexp.MustCompile(src), Source: src}
		case 1:
			n := rapid.SampledFrom([]string{"0", "12", "-3", "9007199254740993"}).Draw(t, "number")
			return &rule.NumberValue{Canonical: n, Source: n}
		case 2:
			return &rule.AnyOf{X: []rule.Value{patternGen().Draw(t, "x"), patternGen().Draw(t, "y")}, Source: "any"}
		case 8:
			return &rule.NullValue{}
		case 9:
			return &rule.Exists{V: rapid.Bool().Draw(t, "exists")}
		case 10:
			return &rule.Compare{Op: rule.CompareOp(rapid.IntRange(0, 3).Draw(t, "op")), Canonical: rapid.SampledFrom([]string{"0", "12", "5.5", "9007199254740992"}).Draw(t, "bound"), Source: "n"}
		case 11:
			return &rule.CIDR{Prefix: netip.MustParsePrefix(rapid.SampledFrom([]string{"10.0.0.0/8", "fe80::/10"}).Draw(t, "net")), Source: "net"}
		case 12:
			return &rule.FieldRef{Field: rapid.SampledFrom(fields).Draw(t, "other"), Mode: rule.RefMode(rapid.IntRange(0, 3).Draw(t, "mode")), Cased: rapid.Bool().Draw(t, "cased")}
		}
		return patternGen().Draw(t, "text")
	})
}

func exprGen(depth int) *rapid.Generator[rule.Expr] {
	return rapid.Custom(func(t *rapid.T) rule.Expr {
		form := 3
		if depth > 0 {
			form = rapid.IntRange(0, 5).Draw(t, "form")
		}
		operands := func() []rule.Expr {
			return rapid.SliceOfN(exprGen(depth-1), 1, 3).Draw(t, "operands")
		}
		switch form {
		case 0:
			return &rule.And{X: operands()}
		case 1:
			return &rule.Or{X: operands()}
		case 2:
			return &rule.Not{X: exprGen(depth-1).Draw(t, "operand")}
		}
		field := rapid.SampledFrom(append([]string{""}, fields...)).Draw(t, "field")
		return &rule.Item{
			Field:  field,
			Values: rapid.SliceOfN(valueGen(field == ""), 1, 4).Draw(t, "values"),
			All:    rapid.IntRange(0, 3).Draw(t, "all") == 0,
			Negate: rapid.IntRange(0, 9).Draw(t, "negate") == 0,
		}
	})
}

func jsonGen(depth int) *rapid.Generator[any] {
	return rapid.Custom(func(t *rapid.T) any {
		top := 9
		if depth == 0 {
			top = 7
		}
		switch rapid.IntRange(0, top).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Bool().Draw(t, "bool")
		case 2:
			return json.Number(rapid.SampledFrom([]string{"0", "12", "12.0", "-3", "5.5", "9007199254740993", "1e2"}).Draw(t, "number"))
		case 3:
			return rapid.SampledFrom([]string{"10.1.2.3", "::ffff:10.0.0.1", "fe80::1%eth0", "12", "TRUE", "13", "10.1.2.03"}).Draw(t, "special")
		case 8, 9:
			return rapid.SliceOfN(jsonGen(depth-1), 0, 3).Draw(t, "array")
		}
		return textGen(6).Draw(t, "text")
	})
}

func eventGen() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		m := map[string]any{}
		for _, f := range fields {
			if rapid.IntRange(0, 5).Draw(t, "present") > 0 {
				m[f] = jsonGen(2).Draw(t, f)
			}
		}
		var b strings.Builder
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(rapid.Bool().Draw(t, "escapes"))
		if err := enc.Encode(m); err != nil {
			t.Fatal(err)
		}
		return b.String()
	})
}

// TestIndexedEqualsBruteForce compares the engine, which indexes, folds once
// and remembers, with the oracle, which does none of it: on random rules that
// share predicates, and random events in a row through one matcher.
func TestIndexedEqualsBruteForce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var rules []*rule.Rule
		for i := range rapid.IntRange(1, 12).Draw(t, "rules") {
			r := &rule.Rule{ID: fmt.Sprint(i)}
			for range rapid.IntRange(1, 2).Draw(t, "conditions") {
				r.Conditions = append(r.Conditions, exprGen(2).Draw(t, "condition"))
			}
			rules = append(rules, r)
		}
		plan := event.NewPlan(nil)
		engine := detect.Compile(rules, []event.View{anyView()}, plan)
		reader, m := plan.Reader(), engine.Matcher()
		var tree event.Tree
		for range rapid.IntRange(1, 6).Draw(t, "events") {
			raw := eventGen().Draw(t, "event")
			if err := tree.ParseJSON([]byte(raw)); err != nil {
				t.Fatalf("parse %s: %v", raw, err)
			}
			reader.Bind(&tree)
			got := map[int]bool{}
			for _, x := range m.Match(reader, []int{0}) {
				got[x.Rule] = true
			}
			oracle := newOracleEvent(raw)
			for i, r := range rules {
				if want := oracleRule(r, oracle); got[i] != want {
					t.Fatalf("rule %d on %s: engine says %v, oracle %v\n%s", i, raw, got[i], want, describe(r.Conditions))
				}
			}
			for i, r := range rules {
				for c, x := range r.Conditions {
					trace := m.Explain(reader, i, 0, c)
					if want := oracleExpr(x, oracle); trace.Holds != want {
						t.Fatalf("rule %d on %s: explanation says %v, oracle %v", i, raw, trace.Holds, want)
					}
				}
			}
		}
	})
}

func describe(xs []rule.Expr) string {
	var b strings.Builder
	var walk func(x rule.Expr, depth int)
	walk = func(x rule.Expr, depth int) {
		pad := strings.Repeat("  ", depth)
		switch x := x.(type) {
		case *rule.And:
			fmt.Fprintf(&b, "%sand\n", pad)
			for _, s := range x.X {
				walk(s, depth+1)
			}
		case *rule.Or:
			fmt.Fprintf(&b, "%sor\n", pad)
			for _, s := range x.X {
				walk(s, depth+1)
			}
		case *rule.Not:
			fmt.Fprintf(&b, "%snot\n", pad)
			walk(x.X, depth+1)
		case *rule.Item:
			fmt.Fprintf(&b, "%s%q all=%v neg=%v", pad, x.Field, x.All, x.Negate)
			for _, v := range x.Values {
				fmt.Fprintf(&b, " [%T %q]", v, v.String())
			}
			b.WriteByte('\n')
		}
	}
	for _, x := range xs {
		walk(x, 0)
	}
	return b.String()
}
