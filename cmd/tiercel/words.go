package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
)

// valuesInWords bounds the values of one item that are written out. The
// largest public rules list thousands.
const valuesInWords = 25

// writeExpr writes a condition as an indented list of sentences.
func writeExpr(w io.Writer, e rule.Expr, indent string) {
	switch x := e.(type) {
	case *rule.And:
		writeList(w, "all of these hold:", x.X, indent)
	case *rule.Or:
		writeList(w, "any of these holds:", x.X, indent)
	case *rule.Not:
		writeList(w, "this does not hold:", []rule.Expr{x.X}, indent)
	case *rule.Ref:
		if item, ok := x.X.(*rule.Item); ok {
			fmt.Fprintf(w, "%s%s: %s\n", indent, report.Clean(x.Name, 200), itemWords(item))
			return
		}
		fmt.Fprintf(w, "%s%s:\n", indent, report.Clean(x.Name, 200))
		writeExpr(w, x.X, indent+"  ")
	case *rule.Item:
		fmt.Fprintf(w, "%s%s\n", indent, itemWords(x))
	}
}

func writeList(w io.Writer, head string, list []rule.Expr, indent string) {
	if len(list) == 1 && head != "this does not hold:" {
		writeExpr(w, list[0], indent)
		return
	}
	fmt.Fprintf(w, "%s%s\n", indent, head)
	for _, x := range list {
		writeExpr(w, x, indent+"  ")
	}
}

// itemWords says what an item asks, as: Image ends with "\a.exe" or "\b.exe".
func itemWords(it *rule.Item) string {
	name := it.Field
	if name == "" {
		name = "any value of the event"
	}
	var groups []string
	var verb string
	var values []string
	flush := func() {
		if verb == "" {
			return
		}
		text := verb
		if len(values) > 0 {
			joiner := " or "
			if it.All {
				joiner = " and "
			}
			shown := values
			if len(shown) > valuesInWords {
				shown = append(shown[:valuesInWords:valuesInWords], fmt.Sprintf("%d more", len(values)-valuesInWords))
			}
			text += " " + strings.Join(shown, joiner)
		}
		groups = append(groups, text)
		values = nil
	}
	for _, v := range it.Values {
		vb, text := valueWords(v, it.Field == "")
		if vb != verb {
			flush()
			verb = vb
		}
		if text != "" {
			values = append(values, text)
		}
	}
	flush()
	joiner := ", or "
	if it.All {
		joiner = ", and "
	}
	text := name + " " + strings.Join(groups, joiner)
	if it.Negate {
		text = "not: " + text
	}
	return report.Clean(text, 8000)
}

// valueWords is what one value asks: a verb and what follows it.
func valueWords(v rule.Value, keyword bool) (verb, text string) {
	switch x := v.(type) {
	case *rule.Text:
		return textWords(x, keyword)
	case *rule.AnyOf:
		if len(x.X) == 0 {
			return "is in the list", x.Source + " (which is empty)"
		}
		var parts []string
		first := ""
		for i, y := range x.X {
			vb, t := valueWords(y, keyword)
			if i == 0 {
				first = vb
			} else if vb != first {
				t = vb + " " + t
			}
			parts = append(parts, t)
		}
		return first, "one of [" + strings.Join(parts, ", ") + "] for " + strconv.Quote(x.Source)
	case *rule.NumberValue:
		return "is the number", x.Source
	case *rule.Bool:
		return "is", x.String()
	case *rule.NullValue:
		return "is absent, null or an empty list", ""
	case *rule.Exists:
		if x.V {
			return "is present", ""
		}
		return "is not present", ""
	case *rule.Regexp:
		return "fits the regular expression", x.RE.String()
	case *rule.CIDR:
		return "is an address in", x.Prefix.String()
	case *rule.Compare:
		return compareWords(x.Op), x.Source
	case *rule.TimePart:
		return "is a time whose " + unitWords[x.Unit] + " " + compareWords(x.Op), strconv.FormatInt(x.N, 10)
	case *rule.FieldRef:
		verbs := [...]string{rule.RefEquals: "equals", rule.RefStartsWith: "starts with", rule.RefEndsWith: "ends with", rule.RefContains: "contains"}
		return verbs[x.Mode] + " the field", x.Field
	}
	return "is", v.String()
}

var unitWords = [...]string{
	rule.Minute: "minute", rule.Hour: "hour", rule.Day: "day of the month", rule.Week: "ISO week", rule.Month: "month", rule.Year: "year",
}

func compareWords(op rule.CompareOp) string {
	return [...]string{rule.Lt: "is less than", rule.Lte: "is at most", rule.Gt: "is greater than", rule.Gte: "is at least", rule.Eq: "is"}[op]
}

func textWords(t *rule.Text, keyword bool) (verb, text string) {
	inner := t.Parts
	if len(inner) == 0 {
		return "is empty", ""
	}
	var open, end bool // a star at the beginning, at the end
	if inner[0].Kind == rule.Star {
		open, inner = true, inner[1:]
	}
	if len(inner) == 0 {
		return "is present and not null", ""
	}
	if inner[len(inner)-1].Kind == rule.Star {
		end, inner = true, inner[:len(inner)-1]
	}
	switch {
	case slices.ContainsFunc(inner, func(p rule.Part) bool { return p.Kind == rule.Star || p.Kind == rule.One }):
		verb, inner = "is like", t.Parts
	case open && end || keyword:
		verb = "contains"
	case open:
		verb = "ends with"
	case end:
		verb = "starts with"
	default:
		verb = "is"
	}
	if t.Cased {
		verb += " (in this case)"
	}
	var b strings.Builder
	for _, part := range inner {
		switch part.Kind {
		case rule.Literal:
			b.WriteString(part.Lit)
		case rule.Star:
			b.WriteByte('*')
		case rule.One:
			b.WriteByte('?')
		case rule.Dash:
			b.WriteString("[any dash or /]")
		}
	}
	return verb, `"` + b.String() + `"`
}
