package ruleset

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/yamltree"
)

// OverridesName is the name of the overrides file in a store's folder.
const OverridesName = "overrides.yml"

// Limits of an overrides file, whose size yamltree bounds.
const (
	// OverridesMax bounds the overrides.
	OverridesMax = 10_000
	// overrideListMax bounds tenants, tags and fields of one override.
	overrideListMax = 1_000
	// SuppressWindowMax bounds the window of a suppression: what it remembers
	// is state of the engine.
	SuppressWindowMax = 30 * 24 * time.Hour
	priorityMax       = 1_000
)

// By says what an override is found by.
type By uint8

// The ways, the strongest first.
const (
	ByID By = iota
	ByName
	ByPath
	ByTag
)

var byNames = [...]string{"id", "name", "path", "tag"}

// String returns the key of the overrides file: "id", "name", "path", "tag".
func (b By) String() string { return byNames[b] }

// Suppression lets a rule raise once in a window for the same values of some
// fields; what it holds back is counted.
type Suppression struct {
	// Fields are the rule's names for them; there is at least one.
	Fields []string
	// Window is from one second to SuppressWindowMax.
	Window time.Duration
}

// Override is what a team decided for some rules.
type Override struct {
	rule.Position
	// By and Pattern say which: an id in lower case, a name, or a glob.
	By      By
	Pattern string
	// Tenants are those it is for; none means all.
	Tenants []string
	// Priority decides before anything else which of two overrides counts.
	Priority int
	Comment  string

	// Enabled switches a rule on, whatever its status, or off.
	Enabled *bool
	// Level replaces the level.
	Level *rule.Level
	// TagsRemove are taken from the tags, then TagsAdd added.
	TagsAdd, TagsRemove []string
	// Filter is the section of a Sigma filter without its rules: the rule must
	// match and the filter's condition hold.
	Filter *doctree.Node
	// Suppress holds repetitions back.
	Suppress *Suppression
}

// String says what the override is found by: "id 5f…", "tag attack.t1059*".
func (o *Override) String() string { return o.By.String() + " " + o.Pattern }

// For reports whether the override is for a tenant. One for named tenants is
// not for the nameless tenant "".
func (o *Override) For(tenant string) bool {
	return len(o.Tenants) == 0 || slices.Contains(o.Tenants, tenant)
}

// Overrides is the content of an overrides file, in its order.
type Overrides struct {
	Entries []Override
}

// ParseOverrides reads an overrides file: a map with the key overrides, a list
// of maps. Each has one of id, name, path and tag, something to change
// (enabled, level, tags, filter, suppress), and may have tenants, priority and
// comment. Anything else is an error: a slip in a name must not silently leave
// a rule as it was. An entry with an error is left out; the others are
// returned. The result is never nil.
func ParseOverrides(file string, data []byte) (*Overrides, []rule.Diagnostic) {
	p := overridesParser{file: file, out: &Overrides{}}
	docs, err := yamltree.Parse(data)
	var fault *yamltree.Error
	if errors.As(err, &fault) {
		p.diags = append(p.diags, rule.Diagnostic{
			Position: rule.Position{File: file, Line: fault.Line, Column: fault.Column},
			Severity: rule.Error, Code: rule.CodeYAML, Message: fault.Msg, Hint: fault.Hint,
		})
	}
	if len(docs) > 1 {
		p.fault(docs[1], "the overrides file has a second document", "put all overrides into one list")
	}
	if len(docs) > 0 {
		p.document(docs[0])
	}
	return p.out, p.diags
}

// LoadOverrides is ParseOverrides for a file. The error is one of reading.
func LoadOverrides(fs vfs.FS, path string) (*Overrides, []rule.Diagnostic, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, yamltree.FileBytesMax+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, nil, err
	}
	o, diags := ParseOverrides(path, data)
	return o, diags, nil
}

type overridesParser struct {
	file  string
	out   *Overrides
	diags []rule.Diagnostic
	// failed is set by each fault, for the entry at work.
	failed bool
}

func (p *overridesParser) fault(n *doctree.Node, msg, hint string) {
	p.failed = true
	if len(p.diags) >= rule.DiagnosticsMax {
		return
	}
	p.diags = append(p.diags, rule.Diagnostic{
		Position: rule.Position{File: p.file, Line: n.Line, Column: n.Column},
		Severity: rule.Error, Code: rule.CodeOverrides, Message: msg, Hint: hint,
	})
}

func (p *overridesParser) document(n *doctree.Node) {
	if n.Kind != doctree.Mapping {
		p.fault(n, "the overrides file is "+n.Describe()+", not a map", "write overrides: and a list below it")
		return
	}
	for _, pair := range n.Pairs {
		if pair.Key.Value != "overrides" {
			p.fault(pair.Key, "the overrides file has no key "+strconv.Quote(pair.Key.Value), "write overrides: and a list below it")
			continue
		}
		list := pair.Value
		switch {
		case list.Kind == doctree.Scalar && list.Type == doctree.Null:
		case list.Kind != doctree.Sequence:
			p.fault(list, "overrides is "+list.Describe()+", not a list", "begin each override with a hyphen")
		case len(list.Items) > OverridesMax:
			p.fault(list, fmt.Sprintf("there are more than %d overrides", OverridesMax), "use globs over paths and tags")
		default:
			for _, item := range list.Items {
				p.failed = false
				if o := p.override(item); !p.failed {
					p.out.Entries = append(p.out.Entries, o)
				}
			}
		}
	}
}

func (p *overridesParser) override(n *doctree.Node) (o Override) {
	o.Position = rule.Position{File: p.file, Line: n.Line, Column: n.Column}
	if n.Kind != doctree.Mapping {
		p.fault(n, "an override is "+n.Describe()+", not a map", "write id: and what to change")
		return o
	}
	ways := 0
	for _, pair := range n.Pairs {
		key, v := pair.Key.Value, pair.Value
		switch key {
		case "id", "name", "path", "tag":
			if ways++; ways > 1 {
				p.fault(pair.Key, "the override is found by more than one of id, name, path and tag", "make two overrides of it")
				continue
			}
			p.pattern(&o, By(slices.Index(byNames[:], key)), v)
		case "tenants":
			o.Tenants = p.texts(key, v)
		case "priority":
			i, err := strconv.Atoi(v.Value)
			if v.Kind != doctree.Scalar || v.Type != doctree.Int || err != nil || i < -priorityMax || i > priorityMax {
				p.fault(v, fmt.Sprintf("the priority is not a whole number from %d to %d", -priorityMax, priorityMax), "write a number; overrides without one have 0")
			}
			o.Priority = i
		case "comment":
			o.Comment = p.text(key, v)
		case "enabled":
			if b, ok := p.truth(key, v); ok {
				o.Enabled = &b
			}
		case "level":
			if l, ok := rule.ParseLevel(p.text(key, v)); ok {
				o.Level = &l
			} else {
				p.fault(v, "the level is none", "write informational, low, medium, high or critical")
			}
		case "tags":
			p.tags(&o, v)
		case "filter":
			p.filter(&o, v)
		case "suppress":
			p.suppress(&o, v)
		default:
			p.fault(pair.Key, "an override has no key "+strconv.Quote(key), "write one of id, name, path, tag, tenants, priority, comment, enabled, level, tags, filter, suppress")
		}
	}
	if ways == 0 && !p.failed {
		p.fault(n, "the override names no rule", "add id, name, path or tag")
	}
	if o.Enabled == nil && o.Level == nil && o.TagsAdd == nil && o.TagsRemove == nil && o.Filter == nil && o.Suppress == nil && !p.failed {
		p.fault(n, "the override changes nothing", "add enabled, level, tags, filter or suppress")
	}
	return o
}

func (p *overridesParser) pattern(o *Override, by By, v *doctree.Node) {
	text := p.text(by.String(), v)
	o.By, o.Pattern = by, text
	switch by {
	case ByID:
		o.Pattern = strings.ToLower(text)
		if text != "" && !rule.IsID(o.Pattern) {
			p.fault(v, "the id is not a UUID: "+strconv.Quote(text), "copy it from the rule, or find rules by name, path or tag")
		}
	case ByPath, ByTag:
		if by == ByTag {
			o.Pattern = strings.ToLower(text)
		}
		if text != "" && !validGlob(o.Pattern) {
			p.fault(v, "the pattern cannot be read: "+strconv.Quote(text), "write * for characters, ** for folders, and no slash at the ends")
		}
	}
}

// text reads a text that is not empty.
func (p *overridesParser) text(key string, v *doctree.Node) string {
	if v.Kind != doctree.Scalar || v.Type == doctree.Null || v.Value == "" {
		p.fault(v, key+" is "+v.Describe()+" or empty, not a text", "write a text")
		return ""
	}
	return v.Value
}

func (p *overridesParser) truth(key string, v *doctree.Node) (value, ok bool) {
	if v.Kind != doctree.Scalar || v.Type != doctree.Bool {
		p.fault(v, key+" is "+v.Describe()+", not true or false", "write true or false")
		return false, false
	}
	return strings.EqualFold(v.Value, "true"), true
}

// texts reads a list of texts that is not empty.
func (p *overridesParser) texts(key string, v *doctree.Node) []string {
	if v.Kind != doctree.Sequence || len(v.Items) == 0 || len(v.Items) > overrideListMax {
		p.fault(v, fmt.Sprintf("%s is not a list of 1 to %d texts", key, overrideListMax), "write ["+key+"]")
		return nil
	}
	var out []string
	for _, item := range v.Items {
		if s := p.text("an entry of "+key, item); s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (p *overridesParser) tags(o *Override, v *doctree.Node) {
	if v.Kind != doctree.Mapping || len(v.Pairs) == 0 {
		p.fault(v, "tags is "+v.Describe()+", not a map", "write tags: {add: [namespace.name], remove: [namespace.name]}")
		return
	}
	for _, pair := range v.Pairs {
		var to *[]string
		switch pair.Key.Value {
		case "add":
			to = &o.TagsAdd
		case "remove":
			to = &o.TagsRemove
		default:
			p.fault(pair.Key, "tags has no key "+strconv.Quote(pair.Key.Value), "write add or remove")
			continue
		}
		for _, t := range p.texts(pair.Key.Value, pair.Value) {
			t = strings.ToLower(strings.TrimSpace(t))
			if namespace, name, ok := strings.Cut(t, "."); !ok || namespace == "" || name == "" {
				p.fault(pair.Value, strconv.Quote(t)+" is not a tag", "write namespace.name")
				continue
			}
			*to = append(*to, t)
		}
	}
}

func (p *overridesParser) suppress(o *Override, v *doctree.Node) {
	if v.Kind != doctree.Mapping {
		p.fault(v, "suppress is "+v.Describe()+", not a map", "write suppress: {fields: [Computer], window: 1h}")
		return
	}
	s := &Suppression{}
	for _, pair := range v.Pairs {
		switch pair.Key.Value {
		case "fields":
			s.Fields = p.texts("fields", pair.Value)
		case "window":
			w, ok := window(pair.Value.Value)
			if pair.Value.Kind != doctree.Scalar || !ok {
				p.fault(pair.Value, "the window is not a span of time from 1s to 30d", "write it as 30s, 15m, 6h or 7d")
			}
			s.Window = w
		default:
			p.fault(pair.Key, "suppress has no key "+strconv.Quote(pair.Key.Value), "write fields and window")
		}
	}
	if !p.failed && (s.Fields == nil || s.Window == 0) {
		p.fault(v, "suppress lacks fields or window", "write suppress: {fields: [Computer], window: 1h}")
	}
	o.Suppress = s
}

// window reads a whole number and a unit, as the timespan of a correlation.
func window(s string) (time.Duration, bool) {
	if s == "" {
		return 0, false
	}
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	unit, ok := units[s[len(s)-1]]
	n, err := strconv.ParseUint(s[:len(s)-1], 10, 32)
	if !ok || err != nil || n == 0 || time.Duration(n) > SuppressWindowMax/unit {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// filter checks a filter as the documents made of it will be.
func (p *overridesParser) filter(o *Override, v *doctree.Node) {
	if v.Kind != doctree.Mapping {
		p.fault(v, "the filter is "+v.Describe()+", not a map", "write selections and a condition, as in a Sigma filter")
		return
	}
	if n := v.Get("rules"); n != nil {
		p.fault(n, "the filter names rules, which the override does already", "remove the key rules")
		return
	}
	_, diags := filterDocument(p.file, v, rule.Logsource{Category: "any"}, []string{"any"}, "any")
	for _, d := range diags {
		p.failed = p.failed || d.Severity == rule.Error
		if len(p.diags) < rule.DiagnosticsMax {
			p.diags = append(p.diags, d)
		}
	}
	o.Filter = v
}
