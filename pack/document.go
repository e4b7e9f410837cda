package pack

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// document is a pack file as written. The schema has been checked before it is
// decoded, so the Unmarshal methods only tell forms apart.
type document struct {
	Pack     string             `yaml:"pack"`
	About    string             `yaml:"about"`
	Shape    texts              `yaml:"shape"`
	Priority *int               `yaml:"priority"`
	Match    []matchDoc         `yaml:"match"`
	Parse    []stepDoc          `yaml:"parse"`
	Time     []timeDoc          `yaml:"time"`
	Roots    []string           `yaml:"roots"`
	Fields   map[string]mapping `yaml:"fields"`
	Synonyms [][]string         `yaml:"synonyms"`
	Views    []viewDoc          `yaml:"views"`
	Entities map[string]texts   `yaml:"entities"`
	Sequence *sequenceDoc       `yaml:"sequence"`
}

type sequenceDoc struct {
	Number string `yaml:"number"`
	Of     texts  `yaml:"of"`
}

// place is a position in a pack file, from 1.
type place struct{ line, column int }

// texts is one string or a list of them; numbers and booleans keep the
// spelling of the file.
type texts []string

// UnmarshalYAML implements [yaml.Unmarshaler].
func (t *texts) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	*t = nil
	switch n.Kind {
	case yaml.ScalarNode:
		*t = texts{n.Value}
	case yaml.SequenceNode:
		for _, c := range n.Content {
			if c.Kind == yaml.AliasNode {
				c = c.Alias
			}
			*t = append(*t, c.Value)
		}
	}
	return nil
}

type matchDoc struct {
	Has     texts            `yaml:"has"`
	Format  texts            `yaml:"format"`
	Hint    texts            `yaml:"hint"`
	Where   map[string]texts `yaml:"where"`
	Program texts            `yaml:"program"`
	Text    texts            `yaml:"text"`
	place   place
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (m *matchDoc) UnmarshalYAML(n *yaml.Node) error {
	type plain matchDoc
	if err := n.Decode((*plain)(m)); err != nil {
		return err
	}
	m.place = place{n.Line, n.Column}
	return nil
}

type timeDoc struct {
	Field  string `yaml:"field"`
	Layout string `yaml:"layout"`
	Zoned  bool   `yaml:"zoned"`
	place  place
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (d *timeDoc) UnmarshalYAML(n *yaml.Node) error {
	type plain timeDoc
	if err := n.Decode((*plain)(d)); err != nil {
		return err
	}
	d.place = place{n.Line, n.Column}
	return nil
}

type logsourceDoc struct {
	Product  string `yaml:"product"`
	Category string `yaml:"category"`
	Service  string `yaml:"service"`
}

type viewDoc struct {
	Name      string             `yaml:"name"`
	Logsource logsourceDoc       `yaml:"logsource"`
	Also      []logsourceDoc     `yaml:"also"`
	When      map[string]texts   `yaml:"when"`
	WhenAny   []map[string]texts `yaml:"when_any"`
	Unless    map[string]texts   `yaml:"unless"`
	Fields    map[string]mapping `yaml:"fields"`
	Leaves    texts              `yaml:"leaves"`
	OCSF      ocsfDocs           `yaml:"ocsf"`
	place     place
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (v *viewDoc) UnmarshalYAML(n *yaml.Node) error {
	type plain viewDoc
	if err := n.Decode((*plain)(v)); err != nil {
		return err
	}
	v.place = place{n.Line, n.Column}
	return nil
}

// ocsfDocs is one mapping or a list of alternatives.
type ocsfDocs []ocsfDoc

// UnmarshalYAML implements [yaml.Unmarshaler].
func (o *ocsfDocs) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.SequenceNode {
		return n.Decode((*[]ocsfDoc)(o))
	}
	*o = make(ocsfDocs, 1)
	return n.Decode(&(*o)[0])
}

type ocsfDoc struct {
	When     map[string]texts   `yaml:"when"`
	WhenAny  []map[string]texts `yaml:"when_any"`
	ClassUID int                `yaml:"class_uid"`
	Activity activityDoc        `yaml:"activity_id"`
	Fields   map[string]mapping `yaml:"fields"`
	place    place
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (o *ocsfDoc) UnmarshalYAML(n *yaml.Node) error {
	type plain ocsfDoc
	if err := n.Decode((*plain)(o)); err != nil {
		return err
	}
	o.place = place{n.Line, n.Column}
	return nil
}

// activityDoc is a constant, or a table from a field's values in the order of
// the file.
type activityDoc struct {
	Constant int
	Field    string
	Table    []activityRow
}

type activityRow struct {
	glob glob
	id   int
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (a *activityDoc) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		return n.Decode(&a.Constant)
	}
	var m struct {
		Field   string    `yaml:"field"`
		Map     yaml.Node `yaml:"map"`
		Default *int      `yaml:"default"`
	}
	if err := n.Decode(&m); err != nil {
		return err
	}
	a.Field, a.Constant = m.Field, activityOther
	if m.Default != nil {
		a.Constant = *m.Default
	}
	for i := 0; i+1 < len(m.Map.Content); i += 2 {
		row := activityRow{glob: newGlob(m.Map.Content[i].Value)}
		if err := m.Map.Content[i+1].Decode(&row.id); err != nil {
			return err
		}
		a.Table = append(a.Table, row)
	}
	return nil
}

// mapping says where a rule field stands, as written in a pack.
type mapping struct {
	paths  []string
	all    bool
	fn     string
	params []string
	args   []mapping
	place  place
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (m *mapping) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	*m = mapping{place: place{n.Line, n.Column}}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag != "!!null" {
			m.paths = []string{n.Value}
		}
		return nil
	case yaml.SequenceNode:
		return n.Decode(&m.paths)
	}
	var d struct {
		All    []string  `yaml:"all"`
		Func   string    `yaml:"func"`
		Params texts     `yaml:"params"`
		Args   []mapping `yaml:"args"`
	}
	if err := n.Decode(&d); err != nil {
		return err
	}
	switch {
	case (len(d.All) > 0) == (d.Func != ""):
		return &Error{place: m.place, Problem: "a mapping is a path, a list of paths, {all: paths} or {func: name, args: …}"}
	case d.Func == "" && (len(d.Args) > 0 || len(d.Params) > 0):
		return &Error{place: m.place, Problem: "args and params belong to a func"}
	}
	m.paths, m.all = d.All, len(d.All) > 0
	m.fn, m.params, m.args = d.Func, d.Params, d.Args
	return nil
}

// stepDoc is one step of parse.
type stepDoc struct {
	Regex     string           `yaml:"regex"`
	Dissect   string           `yaml:"dissect"`
	KV        *kvDoc           `yaml:"kv"`
	CEF       *struct{}        `yaml:"cef"`
	LEEF      *struct{}        `yaml:"leef"`
	XML       *struct{}        `yaml:"xml"`
	AccessLog *struct{}        `yaml:"accesslog"`
	JSON      *jsonDoc         `yaml:"json"`
	CSV       *csvDoc          `yaml:"csv"`
	When      map[string]texts `yaml:"when"`
	First     []stepDoc        `yaml:"first"`
	From      string           `yaml:"from"`
	Into      string           `yaml:"into"`
	Optional  bool             `yaml:"optional"`
	kind      string
	place     place
}

type kvDoc struct {
	Pairs  string `yaml:"pairs"`
	Equals string `yaml:"equals"`
	Quote  string `yaml:"quote"`
}

type csvDoc struct {
	Columns []string `yaml:"columns"`
	Comma   string   `yaml:"comma"`
	From    string   `yaml:"from"`
}

type jsonDoc struct {
	From string `yaml:"from"`
}

// UnmarshalYAML implements [yaml.Unmarshaler].
func (s *stepDoc) UnmarshalYAML(n *yaml.Node) error {
	type plain stepDoc
	if err := n.Decode((*plain)(s)); err != nil {
		return err
	}
	s.place = place{n.Line, n.Column}
	for i := 0; i+1 < len(n.Content); i += 2 {
		switch key := n.Content[i].Value; key {
		case "from", "into", "optional", "when":
		default:
			if s.kind != "" {
				return &Error{place: s.place, Problem: fmt.Sprintf("one step cannot be %s and %s; make them two steps", s.kind, key)}
			}
			s.kind = key
		}
	}
	if s.kind == "" {
		return &Error{place: s.place, Problem: "the step says nothing to do; name one of regex, dissect, kv, csv, cef, leef, json, xml, accesslog, first"}
	}
	if s.JSON != nil && s.JSON.From != "" && s.From == "" {
		s.From = s.JSON.From
	}
	if s.CSV != nil && s.CSV.From != "" && s.From == "" {
		s.From = s.CSV.From
	}
	if s.From == "" {
		s.From = "message"
	}
	return nil
}
