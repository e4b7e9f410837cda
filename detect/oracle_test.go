package detect_test

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"sort"
	"strings"
	"time"
	"unicode"

	"github.com/tiercel-io/tiercel/rule"
)

// The oracle is the slow, obvious evaluation of a rule: events are what
// encoding/json makes of them, patterns are matched by recursion over runes,
// nothing is shared, indexed, folded in advance or remembered. It uses no code
// of package detect or event.

type oracleEvent struct {
	fields map[string]any
}

func newOracleEvent(raw string) oracleEvent {
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		panic(err)
	}
	return oracleEvent{m}
}

// values returns the flattened values of a field and whether it is present.
func (e oracleEvent) values(field string) ([]any, bool) {
	v, ok := e.fields[field]
	if !ok {
		return nil, false
	}
	return flattenOracle(v), true
}

func flattenOracle(v any) []any {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return []any{v}
	}
	var out []any
	for _, x := range list {
		out = append(out, flattenOracle(x)...)
	}
	return out
}

func (e oracleEvent) leaves() []any {
	var out []any
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			keys := make([]string, 0, len(v))
			for k := range v {
				keys = append(keys, k)
			}
			sort.Strings(keys)
			for _, k := range keys {
				walk(v[k])
			}
		case []any:
			for _, x := range v {
				walk(x)
			}
		default:
			out = append(out, v)
		}
	}
	walk(e.fields)
	return out
}

// oracleText is the text by which a value is compared; ok is false for null and
// the empty array.
func oracleText(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", false
	case []any:
		return "", false
	case string:
		return v, true
	case bool:
		if v {
			return "true", true
		}
		return "false", true
	case json.Number:
		return oracleNumber(v.String()), true
	}
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b), true
}

// oracleNumber spells integers without point or exponent, exactly.
func oracleNumber(s string) string {
	r, ok := new(big.Rat).SetString(s)
	if ok && r.IsInt() {
		return r.Num().String()
	}
	return s
}

func oracleRule(r *rule.Rule, e oracleEvent) bool {
	for _, c := range r.Conditions {
		if oracleExpr(c, e) {
			return true
		}
	}
	return false
}

func oracleExpr(x rule.Expr, e oracleEvent) bool {
	switch x := x.(type) {
	case *rule.And:
		ok := true
		for _, s := range x.X {
			ok = oracleExpr(s, e) && ok
		}
		return ok
	case *rule.Or:
		ok := false
		for _, s := range x.X {
			ok = oracleExpr(s, e) || ok
		}
		return ok
	case *rule.Not:
		return !oracleExpr(x.X, e)
	case *rule.Ref:
		return oracleExpr(x.X, e)
	case *rule.Item:
		return oracleItem(x, e)
	}
	panic("unknown expression")
}

func oracleItem(x *rule.Item, e oracleEvent) bool {
	values, present := e.values(x.Field)
	if x.Field == "" {
		values, present = e.leaves(), true
	}
	result := x.All
	for _, want := range x.Values {
		ok := oracleAny(want, values, present, e, x.Field == "")
		if x.All {
			result = result && ok
		} else {
			result = result || ok
		}
	}
	return result != x.Negate
}

func oracleAny(want rule.Value, values []any, present bool, e oracleEvent, keyword bool) bool {
	switch w := want.(type) {
	case *rule.AnyOf:
		for _, x := range w.X {
			if oracleAny(x, values, present, e, keyword) {
				return true
			}
		}
		return false
	case *rule.NullValue:
		if !present {
			return true
		}
		for _, v := range values {
			if _, ok := oracleText(v); !ok {
				return true
			}
		}
		return false
	case *rule.Exists:
		return present == w.V
	}
	for _, v := range values {
		if text, ok := oracleText(v); ok && oracleValue(want, v, text, e, keyword) {
			return true
		}
	}
	return false
}

func oracleValue(want rule.Value, v any, text string, e oracleEvent, keyword bool) bool {
	_, isNumber := v.(json.Number)
	switch w := want.(type) {
	case *rule.Text:
		parts := w.Parts
		if keyword {
			star := rule.Part{Kind: rule.Star}
			parts = append(append([]rule.Part{star}, parts...), star)
		}
		return oracleGlob(parts, []rune(text), w.Cased)
	case *rule.NumberValue:
		if keyword {
			return strings.Contains(oracleFold(text), oracleFold(w.Source))
		}
		return text == w.Canonical || !isNumber && text == w.Source
	case *rule.Bool:
		return !isNumber && oracleFold(text) == oracleFold(w.String())
	case *rule.Regexp:
		return w.RE.MatchString(text)
	case *rule.CIDR:
		a, err := netip.ParseAddr(text)
		return err == nil && w.Prefix.Contains(a.WithZone("").Unmap())
	case *rule.Compare:
		a, okA := new(big.Rat).SetString(text)
		b, okB := new(big.Rat).SetString(w.Canonical)
		if !okA || !okB || strings.ContainsAny(text, "/_xXoObBpP ") {
			return false
		}
		return oracleOrder(w.Op, a.Cmp(b))
	case *rule.TimePart:
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return false
		}
		_, week := t.ISOWeek()
		n := map[rule.TimeUnit]int{rule.Minute: t.Minute(), rule.Hour: t.Hour(), rule.Day: t.Day(), rule.Week: week, rule.Month: int(t.Month()), rule.Year: t.Year()}[w.Unit]
		return oracleOrder(w.Op, big.NewInt(int64(n)).Cmp(big.NewInt(w.N)))
	case *rule.FieldRef:
		others, _ := e.values(w.Field)
		for _, o := range others {
			other, ok := oracleText(o)
			if !ok {
				continue
			}
			x, y := text, other
			if !w.Cased {
				x, y = oracleFold(x), oracleFold(y)
			}
			if w.Mode == rule.RefEquals && x == y || w.Mode == rule.RefStartsWith && strings.HasPrefix(x, y) ||
				w.Mode == rule.RefEndsWith && strings.HasSuffix(x, y) || w.Mode == rule.RefContains && strings.Contains(x, y) {
				return true
			}
		}
	}
	return false
}

func oracleOrder(op rule.CompareOp, order int) bool {
	switch op {
	case rule.Lt:
		return order < 0
	case rule.Lte:
		return order <= 0
	case rule.Gt:
		return order > 0
	case rule.Gte:
		return order >= 0
	}
	return order == 0
}

// oracleGlob matches a whole text by recursion.
func oracleGlob(parts []rule.Part, text []rune, cased bool) bool {
	if len(parts) == 0 {
		return len(text) == 0
	}
	switch p := parts[0]; p.Kind {
	case rule.Star:
		for i := 0; i <= len(text); i++ {
			if oracleGlob(parts[1:], text[i:], cased) {
				return true
			}
		}
		return false
	case rule.One:
		return len(text) > 0 && oracleGlob(parts[1:], text[1:], cased)
	case rule.Dash:
		return len(text) > 0 && strings.ContainsRune("-/–—―", text[0]) && oracleGlob(parts[1:], text[1:], cased)
	default:
		lit := []rune(p.Lit)
		if len(text) < len(lit) {
			return false
		}
		for i, r := range lit {
			if r != text[i] && (cased || !oracleSameLetter(r, text[i])) {
				return false
			}
		}
		return oracleGlob(parts[1:], text[len(lit):], cased)
	}
}

// oracleSameLetter walks the folding orbit of a, as the standard library
// defines it.
func oracleSameLetter(a, b rune) bool {
	for r := unicode.SimpleFold(a); r != a; r = unicode.SimpleFold(r) {
		if r == b {
			return true
		}
	}
	return a == b
}

func oracleFold(s string) string {
	return strings.Map(func(r rune) rune {
		least := r
		for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
			least = min(least, o)
		}
		return least
	}, s)
}
