package rulefile

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/yamltree"
)

// Limits of a values file.
const (
	// ListsMax bounds the lists.
	ListsMax = 1_000
	// ListValuesMax bounds the values of one list; a rule may use no more.
	ListValuesMax = rule.ValuesMax
)

// LoadValues reads value lists for placeholders from a YAML file. It maps each
// name to its values, one or a list, or to a map with the keys values and
// literal; literal: true takes * and ? in the values as text.
//
//	Workstations: ['WS-*', 'LAPTOP-??']
//	Administrators: {literal: true, values: ['adm*n']}
//
// Faults are diagnostics; lists without one are returned.
func LoadValues(fs vfs.FS, path string) (map[string]rule.ValueList, []rule.Diagnostic) {
	data, err := readFile(fs, path)
	if err != nil {
		return nil, []rule.Diagnostic{diagnostic(rule.Position{File: path}, rule.CodeFileUnreadable, "the values file cannot be read: "+reason(err), "check that it exists and may be read")}
	}
	return ParseValues(path, data)
}

// ParseValues is LoadValues for contents in hand; path stands in positions.
func ParseValues(path string, data []byte) (map[string]rule.ValueList, []rule.Diagnostic) {
	v := valuesReader{path: path, lists: map[string]rule.ValueList{}}
	docs, err := yamltree.Parse(data)
	var fault *yamltree.Error
	if errors.As(err, &fault) {
		at := rule.Position{File: path, Line: fault.Line, Column: fault.Column}
		v.diags = append(v.diags, diagnostic(at, rule.CodeYAML, fault.Msg, fault.Hint))
	}
	for _, d := range docs {
		v.document(d)
	}
	return v.lists, v.diags
}

type valuesReader struct {
	path  string
	lists map[string]rule.ValueList
	diags []rule.Diagnostic
}

func (v *valuesReader) fault(n *doctree.Node, msg, hint string) {
	at := rule.Position{File: v.path, Line: n.Line, Column: n.Column}
	v.diags = append(v.diags, diagnostic(at, rule.CodeValuesFile, msg, hint))
}

func (v *valuesReader) document(n *doctree.Node) {
	if n.Kind != doctree.Mapping {
		v.fault(n, "the values file is "+n.Describe()+", not a map", "write name: [value, value]")
		return
	}
	for _, p := range n.Pairs {
		name := p.Key.Value
		switch _, taken := v.lists[name]; {
		case taken:
			v.fault(p.Key, "the list "+name+" stands in two documents of the file", "put the values into one list")
			continue
		case len(v.lists) == ListsMax:
			v.fault(p.Key, "there are more than 1,000 lists", "remove those that no rule uses")
			return
		case !rule.IsPlaceholderName(name):
			v.fault(p.Key, "the list's name "+name+" cannot stand between percent signs", "begin with a letter; use letters, digits, underscores, hyphens and dots")
			continue
		}
		if l, ok := v.list(name, p.Value); ok {
			v.lists[name] = l
		}
	}
}

func (v *valuesReader) list(name string, n *doctree.Node) (l rule.ValueList, ok bool) {
	ok = true
	values := n
	if n.Kind == doctree.Mapping {
		values = nil
		for _, p := range n.Pairs {
			switch p.Key.Value {
			case "values":
				values = p.Value
			case "literal":
				if p.Value.Kind != doctree.Scalar || p.Value.Type != doctree.Bool {
					v.fault(p.Value, "literal of the list "+name+" is "+p.Value.Describe(), "write true or false")
					ok = false
				}
				l.Literal = p.Value.Value == "true" || p.Value.Value == "True" || p.Value.Value == "TRUE"
			default:
				v.fault(p.Key, "the list "+name+" has an unknown key "+p.Key.Value, "write values and literal")
				ok = false
			}
		}
		if values == nil {
			v.fault(n, "the list "+name+" has no values", "add values: [value, value]")
			return l, false
		}
	}
	items := []*doctree.Node{values}
	if values.Kind == doctree.Sequence {
		items = values.Items
	}
	if len(items) > ListValuesMax {
		v.fault(values, "the list "+name+" has more than 20,000 values", "split it")
		return l, false
	}
	l.Values = make([]string, 0, len(items))
	for _, item := range items {
		if item.Kind != doctree.Scalar || item.Type == doctree.Null {
			v.fault(item, "a value of the list "+name+" is "+item.Describe(), "write a text or a number; write [] for a list without values")
			ok = false
			continue
		}
		l.Values = append(l.Values, item.Value)
	}
	return l, ok
}
