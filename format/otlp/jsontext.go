package otlp

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/tiercel-io/tiercel/event"
)

var errNoObject = errors.New("a log record must be an object")

// cached is a block that was parsed before: the records of one resource follow
// each other.
type cached struct {
	text []byte
	tree event.Tree
	err  error
	set  bool
}

func (c *cached) parse(block []byte) (*event.Tree, error) {
	if !c.set || !bytes.Equal(c.text, block) {
		c.set = true
		c.text = append(c.text[:0], block...)
		c.err = c.tree.ParseJSON(c.text)
	}
	return &c.tree, c.err
}

// fromJSON reads a record in JSON (OTLP specification, JSON Protobuf Encoding):
// identifiers are hexadecimal, integers of 64 bits text or numbers, enums
// numbers; unknown members are passed over.
func (p *parser) fromJSON(raw, resource, scope []byte, finish finisher) error {
	src := &p.src
	if err := src.ParseJSON(raw); err != nil {
		return err
	}
	if src.Kind(0) != event.Object {
		return errNoObject
	}
	attributes := list(src, member(src, 0, "attributes", ""))
	if n := items(src, attributes, event.ObjectKeysMax+1); n > event.ObjectKeysMax {
		return errAttributes
	}
	p.times.at = p.nanos(member(src, 0, "timeUnixNano", "time_unix_nano"))
	p.times.observed = p.nanos(member(src, 0, "observedTimeUnixNano", "observed_time_unix_nano"))
	add := func(t *event.Tree) error { return p.besideJSON(t, attributes, resource, scope) }
	body := member(src, 0, "body", "")
	kind, value := variant(src, body)
	switch {
	case kind == "string" && src.Kind(value) == event.String:
		text, ok := src.Plain(value)
		if !ok {
			p.body = src.AppendText(p.body[:0], value)
			text = p.body
		}
		return p.readText(text, finish, add)
	case kind == "kvlist":
		return p.plain(finish, add, func(t *event.Tree) error {
			p.pairsJSON(t, src, list(src, member(src, value, "values", "")), nil)
			return nil
		})
	case body < 0 || src.Kind(body) == event.Null || kind == "":
		return p.plain(finish, add, nil)
	}
	return p.plain(finish, add, func(t *event.Tree) error {
		t.PutKeyText("body")
		p.valueJSON(t, src, body)
		return nil
	})
}

// member returns the last member of an object by one of two names, or -1.
func member(t *event.Tree, i int, name, other string) int {
	found := -1
	if i < 0 || t.Kind(i) != event.Object {
		return -1
	}
	for c := i + 1; c < t.End(i); c = t.End(c) {
		if k := string(t.Key(c)); k == name || other != "" && k == other {
			found = c
		}
	}
	return found
}

// list returns i if it is an array, else -1.
func list(t *event.Tree, i int) int {
	if i >= 0 && t.Kind(i) == event.Array {
		return i
	}
	return -1
}

// items counts those of an array up to a bound.
func items(t *event.Tree, i, most int) (n int) {
	if i < 0 {
		return 0
	}
	for c := i + 1; c < t.End(i) && n < most; c = t.End(c) {
		n++
	}
	return n
}

// variants are the members of an AnyValue.
var variants = map[string]string{
	"stringValue": "string", "boolValue": "bool", "intValue": "int", "doubleValue": "double",
	"arrayValue": "array", "kvlistValue": "kvlist", "bytesValue": "bytes",
	"string_value": "string", "bool_value": "bool", "int_value": "int", "double_value": "double",
	"array_value": "array", "kvlist_value": "kvlist", "bytes_value": "bytes",
}

// variant returns what an AnyValue at node i holds and where, or "".
func variant(t *event.Tree, i int) (kind string, value int) {
	if i < 0 || t.Kind(i) != event.Object {
		return "", -1
	}
	for c := i + 1; c < t.End(i); c = t.End(c) {
		if k := variants[string(t.Key(c))]; k != "" && t.Kind(c) != event.Null {
			kind, value = k, c
		}
	}
	return kind, value
}

// valueJSON adds an AnyValue; its depth is bounded by that of src.
func (p *parser) valueJSON(t, src *event.Tree, i int) {
	kind, value := variant(src, i)
	switch kind {
	case "":
		t.PutNull()
	case "array":
		t.BeginArray()
		if values := list(src, member(src, value, "values", "")); values >= 0 {
			for c := values + 1; c < src.End(values) && t.Err() == nil; c = src.End(c) {
				p.valueJSON(t, src, c)
			}
		}
		t.EndContainer()
	case "kvlist":
		t.BeginObject()
		p.pairsJSON(t, src, list(src, member(src, value, "values", "")), nil)
		t.EndContainer()
	case "int":
		if src.Kind(value) == event.String {
			p.buf = src.AppendText(p.buf[:0], value)
			t.PutNumber(p.buf)
			return
		}
		t.Graft(src, value)
	default:
		t.Graft(src, value)
	}
}

// pairsJSON adds the KeyValues of an array.
func (p *parser) pairsJSON(t, src *event.Tree, values int, seen func(key string, value int)) {
	if values < 0 {
		return
	}
	for c := values + 1; c < src.End(values) && t.Err() == nil; c = src.End(c) {
		key := member(src, c, "key", "")
		if key >= 0 && src.Kind(key) == event.String {
			t.PutArenaKey(src.AppendText(t.Arena(), key))
		} else {
			t.PutKeyText("")
		}
		value := member(src, c, "value", "")
		if seen != nil && key >= 0 {
			if kind, at := variant(src, value); kind == "string" {
				seen(src.Text(key), at)
			}
		}
		p.valueJSON(t, src, value)
	}
}

// nanos reads a time, text or number; 0 when there is none.
func (p *parser) nanos(i int) uint64 {
	if i < 0 {
		return 0
	}
	p.buf = p.src.AppendText(p.buf[:0], i)
	v, err := strconv.ParseUint(string(p.buf), 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// besideJSON adds what is not the body, in the order of [parser.beside].
func (p *parser) besideJSON(t *event.Tree, attributes int, resource, scope []byte) error {
	src := &p.src
	file, service := "", ""
	if items(src, attributes, 1) > 0 {
		t.PutKeyText("attributes")
		t.BeginObject()
		p.pairsJSON(t, src, attributes, func(key string, value int) {
			if key == attributeFile {
				file = hintOf(src.AppendText(nil, value))
			}
		})
		t.EndContainer()
	}
	if len(resource) > 0 {
		block, err := p.resource.parse(resource)
		if err != nil {
			return err
		}
		if of := list(block, member(block, member(block, 0, "resource", ""), "attributes", "")); items(block, of, 1) > 0 {
			t.PutKeyText("resource")
			t.BeginObject()
			p.pairsJSON(t, block, of, func(key string, value int) {
				if key == attributeService {
					service = hintOf(block.AppendText(nil, value))
				}
			})
			t.EndContainer()
		}
	}
	if len(scope) > 0 {
		if err := p.scopeJSON(t, scope); err != nil {
			return err
		}
	}
	for _, f := range []struct {
		key, name, other string
		put              func(*event.Tree, string, int)
	}{
		{"severity_number", "severityNumber", "severity_number", p.putNumberJSON},
		{"severity_text", "severityText", "severity_text", p.putTextJSON},
		{"event_name", "eventName", "event_name", p.putTextJSON},
		{"flags", "flags", "", p.putNumberJSON},
		{"dropped_attributes_count", "droppedAttributesCount", "dropped_attributes_count", p.putNumberJSON},
		{"trace_id", "traceId", "trace_id", p.putIDJSON},
		{"span_id", "spanId", "span_id", p.putIDJSON},
	} {
		if i := member(src, 0, f.name, f.other); i >= 0 && src.Kind(i) != event.Null {
			f.put(t, f.key, i)
		}
	}
	putNumber(t, "time_unix_nano", p.times.at)
	putNumber(t, "observed_time_unix_nano", p.times.observed)
	p.setHint(file, service)
	return nil
}

func (p *parser) scopeJSON(t *event.Tree, scope []byte) error {
	block, err := p.scope.parse(scope)
	if err != nil {
		return err
	}
	at := member(block, 0, "scope", "")
	if at < 0 || block.Kind(at) != event.Object {
		return nil
	}
	text := func(name string) []byte {
		if i := member(block, at, name, ""); i >= 0 && block.Kind(i) == event.String {
			return block.AppendText(nil, i)
		}
		return nil
	}
	name, version := text("name"), text("version")
	of := list(block, member(block, at, "attributes", ""))
	if len(name)+len(version)+items(block, of, 1) == 0 {
		return nil
	}
	t.PutKeyText("scope")
	t.BeginObject()
	putText(t, "name", name)
	putText(t, "version", version)
	if items(block, of, 1) > 0 {
		t.PutKeyText("attributes")
		t.BeginObject()
		p.pairsJSON(t, block, of, nil)
		t.EndContainer()
	}
	t.EndContainer()
	return nil
}

// putNumberJSON adds a number that is not 0, which is as if it were not there.
func (p *parser) putNumberJSON(t *event.Tree, key string, i int) {
	p.buf = p.src.AppendText(p.buf[:0], i)
	if k := p.src.Kind(i); k != event.Number && k != event.String || string(p.buf) == "0" || len(p.buf) == 0 {
		return
	}
	t.PutKeyText(key)
	t.PutNumber(p.buf)
}

func (p *parser) putTextJSON(t *event.Tree, key string, i int) {
	p.buf = p.src.AppendText(p.buf[:0], i)
	if p.src.Kind(i) == event.String {
		putText(t, key, p.buf)
	}
}

// putIDJSON adds an identifier, hexadecimal in either case.
func (p *parser) putIDJSON(t *event.Tree, key string, i int) {
	p.buf = p.src.AppendText(p.buf[:0], i)
	if p.src.Kind(i) != event.String {
		return
	}
	for _, c := range p.buf {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			putText(t, key, p.buf) // not what the protocol says; kept as it is
			return
		}
	}
	putText(t, key, bytes.ToLower(p.buf))
}
