package rule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/yamltree"
)

// notation writes an expression on one line, exactly: every part, flag and
// value that the engine sees.
func notation(x rule.Expr) string {
	switch x := x.(type) {
	case *rule.And:
		return "and(" + list(x.X) + ")"
	case *rule.Or:
		return "or(" + list(x.X) + ")"
	case *rule.Not:
		return "not(" + notation(x.X) + ")"
	case *rule.Ref:
		if x.X == nil {
			return x.Name
		}
		return x.Name + ":" + notation(x.X)
	case *rule.Item:
		s := x.Field
		if x.Field == "" {
			s = "keywords"
		}
		if x.Negate {
			s = "!" + s
		}
		if x.All {
			s += " all"
		}
		var vs []string
		for _, v := range x.Values {
			vs = append(vs, value(v))
		}
		return s + "[" + strings.Join(vs, " ") + "]"
	}
	return fmt.Sprintf("%T", x)
}

func list(xs []rule.Expr) string {
	var out []string
	for _, x := range xs {
		out = append(out, notation(x))
	}
	return strings.Join(out, " ")
}

func value(v rule.Value) string {
	switch v := v.(type) {
	case *rule.Text:
		s := "'" + parts(v.Parts) + "'"
		if v.Cased {
			s += "c"
		}
		return s
	case *rule.AnyOf:
		var out []string
		for _, x := range v.X {
			out = append(out, value(x))
		}
		return "any{" + strings.Join(out, " ") + "}"
	case *rule.NumberValue:
		return "#" + v.Canonical + "/" + v.Source
	case *rule.Bool:
		return "bool:" + v.String()
	case *rule.NullValue:
		return "null"
	case *rule.Exists:
		return "exists:" + v.String()
	case *rule.Regexp:
		return "re:" + v.RE.String()
	case *rule.CIDR:
		return "net:" + v.Prefix.String()
	case *rule.Compare:
		return []string{"<", "<=", ">", ">=", "="}[v.Op] + v.Canonical
	case *rule.TimePart:
		return fmt.Sprintf("time%d%s%d", v.Unit, []string{"<", "<=", ">", ">=", "="}[v.Op], v.N)
	case *rule.FieldRef:
		s := []string{"eq", "starts", "ends", "contains"}[v.Mode] + ":" + v.Field
		if v.Cased {
			s += "c"
		}
		return s
	}
	return fmt.Sprintf("%T", v)
}

// parts writes a pattern: * and ? for wildcards, ~ for a Dash, literals with
// those characters and the backslash escaped.
func parts(ps []rule.Part) string {
	var b strings.Builder
	for _, p := range ps {
		switch p.Kind {
		case rule.Literal:
			b.WriteString(strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `~`, `\~`).Replace(p.Lit))
		case rule.Star:
			b.WriteByte('*')
		case rule.One:
			b.WriteByte('?')
		case rule.Dash:
			b.WriteByte('~')
		}
	}
	return b.String()
}

const header = "title: T\nid: 0b3d8e9c-5b1f-4e1a-9a55-6f7d3c1b2a01\nstatus: test\nlevel: low\nlogsource: {category: test}\n"

// load parses and links the documents of one file.
func load(t testing.TB, text string, o rule.Options) (*rule.Set, []rule.Diagnostic) {
	t.Helper()
	trees, err := yamltree.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var docs []*rule.Document
	var diags []rule.Diagnostic
	for _, tree := range trees {
		d, more := rule.Parse("t.yml", tree)
		diags = append(diags, more...)
		if d != nil {
			docs = append(docs, d)
		} else if !rule.HasErrors(more) {
			t.Fatalf("refused without an error: %v", more)
		}
	}
	set, more := rule.Link(docs, o)
	return set, append(diags, more...)
}

// codes joins the codes of diagnostics, errors in upper case.
func codes(diags []rule.Diagnostic) string {
	var out []string
	for _, d := range diags {
		c := string(d.Code)
		if d.Severity == rule.Error {
			c = strings.ToUpper(c)
		}
		out = append(out, c)
	}
	return strings.Join(out, " ")
}

func detectionOf(body string) string {
	return header + "detection:\n  " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n  ") + "\n"
}
