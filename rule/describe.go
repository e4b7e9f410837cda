package rule

import (
	"fmt"
	"strings"
)

// Describe writes an expression in plain words, one item a line, indented by
// what it belongs to. A selection that stands twice is written out twice.
func Describe(x Expr) string {
	var b strings.Builder
	describe(&b, x, 0)
	return b.String()
}

func describe(b *strings.Builder, x Expr, indent int) {
	line := func(text string) {
		b.WriteString(strings.Repeat("  ", indent))
		b.WriteString(text)
		b.WriteByte('\n')
	}
	children := func(xs []Expr) {
		for _, c := range xs {
			describe(b, c, indent+1)
		}
	}
	switch x := x.(type) {
	case *And:
		line("all of:")
		children(x.X)
	case *Or:
		line("any of:")
		children(x.X)
	case *Not:
		line("not:")
		describe(b, x.X, indent+1)
	case *Ref:
		line("selection " + x.Name + ":")
		if x.X != nil {
			describe(b, x.X, indent+1)
		}
	case *Item:
		describeItem(b, x, indent)
	}
}

// valuesShownMax bounds the values written for one item.
const valuesShownMax = 20

func describeItem(b *strings.Builder, item *Item, indent int) {
	pad := strings.Repeat("  ", indent)
	field := "any value of the event"
	if item.Field != "" {
		field = item.Field
	}
	if item.Negate {
		field = "not: " + field
	}
	if len(item.Values) == 1 {
		fmt.Fprintf(b, "%s%s %s\n", pad, field, DescribeValue(item.Values[0]))
		return
	}
	quantity := "any"
	if item.All {
		quantity = "every one"
	}
	fmt.Fprintf(b, "%s%s meets %s of:\n", pad, field, quantity)
	for i, v := range item.Values {
		if i == valuesShownMax {
			fmt.Fprintf(b, "%s  … and %d more\n", pad, len(item.Values)-i)
			break
		}
		fmt.Fprintf(b, "%s  %s\n", pad, DescribeValue(v))
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
