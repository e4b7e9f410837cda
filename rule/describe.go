package rule

import (
	"fmt"
	"strings"
)

// Describe writes an expression in plain words, one item a line, indented by
// what it belongs to. A selection is written out where it stands first, and
// named where it stands again.
func Describe(x Expr) string {
	d := describer{seen: map[*Ref]bool{}}
	d.expr(x, 0)
	return d.String()
}

type describer struct {
	strings.Builder
	seen map[*Ref]bool
}

func (d *describer) line(indent int, text string) {
	d.WriteString(strings.Repeat("  ", indent))
	d.WriteString(text)
	d.WriteByte('\n')
}

func (d *describer) exprs(xs []Expr, indent int) {
	for _, x := range xs {
		d.expr(x, indent)
	}
}

func (d *describer) expr(x Expr, indent int) {
	switch x := x.(type) {
	case *And:
		d.line(indent, "all of:")
		d.exprs(x.X, indent+1)
	case *Or:
		d.line(indent, "any of:")
		d.exprs(x.X, indent+1)
	case *Not:
		d.line(indent, "not:")
		d.expr(x.X, indent+1)
	case *Ref:
		if x.X == nil || d.seen[x] {
			d.line(indent, "selection "+x.Name)
			return
		}
		d.seen[x] = true
		d.line(indent, "selection "+x.Name+":")
		d.expr(x.X, indent+1)
	case *Item:
		d.item(x, indent)
	}
}

// valuesShownMax bounds the values written for one item.
const valuesShownMax = 20

func (d *describer) item(item *Item, indent int) {
	field := "any value of the event"
	if item.Field != "" {
		field = item.Field
	}
	if item.Negate {
		field = "not: " + field
	}
	if len(item.Values) == 1 {
		d.line(indent, field+" "+DescribeValue(item.Values[0]))
		return
	}
	quantity := "any"
	if item.All {
		quantity = "every one"
	}
	d.line(indent, field+" meets "+quantity+" of:")
	for i, v := range item.Values {
		if i == valuesShownMax {
			d.line(indent+1, fmt.Sprintf("… and %d more", len(item.Values)-i))
			break
		}
		d.line(indent+1, DescribeValue(v))
	}
}

// DescribeValue says in words what a value asks of a field.
func DescribeValue(v Value) string {
	switch v := v.(type) {
	case *Text:
		return describeText(v)
	case *AnyOf:
		if len(v.X) == 0 {
			return "has a value of " + v.Source + ", which no list defines"
		}
		parts := make([]string, 0, len(v.X))
		for i, x := range v.X {
			if i == valuesShownMax {
				parts = append(parts, fmt.Sprintf("… and %d more", len(v.X)-i))
				break
			}
			parts = append(parts, DescribeValue(x))
		}
		return strings.Join(parts, ", or ")
	case *NumberValue:
		return "is the number " + v.Source
	case *Bool:
		return "is " + v.String()
	case *NullValue:
		return "is absent or null"
	case *Exists:
		if v.V {
			return "is present"
		}
		return "is absent"
	case *Regexp:
		return fmt.Sprintf("matches the expression %q", v.RE.String())
	case *CIDR:
		return "is an address in " + v.Prefix.String()
	case *Compare:
		return "is " + opWords[v.Op] + " " + v.Source
	case *TimePart:
		return fmt.Sprintf("is a time whose %s is %s %d", unitWords[v.Unit], opWords[v.Op], v.N)
	case *FieldRef:
		return refWords[v.Mode] + " the field " + v.Field + casedWord(v.Cased)
	}
	return "is unknown"
}

var (
	opWords   = [...]string{"less than", "at most", "more than", "at least", "exactly"}
	unitWords = [...]string{"minute", "hour", "day", "ISO week", "month", "year"}
	refWords  = [...]string{"equals", "starts with", "ends with", "contains"}
)

func casedWord(cased bool) string {
	if cased {
		return ", minding case"
	}
	return ""
}

// describeText names the usual shapes of patterns and writes out the others.
func describeText(v *Text) string {
	parts := v.Parts
	if onlyStars(parts) {
		return "is present"
	}
	before := len(parts) > 0 && parts[0].Kind == Star
	after := len(parts) > 1 && parts[len(parts)-1].Kind == Star
	core := parts
	if before {
		core = core[1:]
	}
	if after {
		core = core[:len(core)-1]
	}
	text, isPlain := plain(core)
	if !isPlain {
		text = FormatPattern(parts)
		words := fmt.Sprintf("is like %q", text)
		for _, p := range parts {
			if p.Kind == Dash {
				words += ", with any of " + strings.Join(strings.Split(Dashes, ""), " ") + " where a dash begins a flag"
				break
			}
		}
		return words + casedWord(v.Cased)
	}
	verb := "is"
	switch {
	case before && after:
		verb = "contains"
	case before:
		verb = "ends with"
	case after:
		verb = "starts with"
	}
	return fmt.Sprintf("%s %q%s", verb, text, casedWord(v.Cased))
}
