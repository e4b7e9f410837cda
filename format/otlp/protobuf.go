package otlp

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// finisher adds to a record what stands beside its body, and emits it.
type finisher func(rec *event.Record, add func(*event.Tree) error)

// logRecord is a LogRecord's own fields.
type logRecord struct {
	severity, flags, dropped uint64
	severityText, eventName  []byte
	trace, span              []byte
	body                     []byte // an AnyValue
	hasBody                  bool
	attributes               int
}

func (p *parser) fromProtobuf(raw, resource, scope []byte, finish finisher) error {
	var r logRecord
	p.times.at, p.times.observed = 0, 0
	err := each(raw, func(f field) error {
		switch {
		case f.number == 1 && f.wire == wireFixed64:
			p.times.at = f.value
		case f.number == 2 && f.wire == wireVarint:
			r.severity = f.value
		case f.number == 3 && f.wire == wireBytes:
			r.severityText = f.bytes
		case f.number == 5 && f.wire == wireBytes:
			r.body, r.hasBody = f.bytes, true
		case f.number == 6 && f.wire == wireBytes:
			r.attributes++
		case f.number == 7 && f.wire == wireVarint:
			r.dropped = f.value
		case f.number == 8 && f.wire == wireFixed32:
			r.flags = f.value
		case f.number == 9 && f.wire == wireBytes:
			r.trace = f.bytes
		case f.number == 10 && f.wire == wireBytes:
			r.span = f.bytes
		case f.number == 11 && f.wire == wireFixed64:
			p.times.observed = f.value
		case f.number == 12 && f.wire == wireBytes:
			r.eventName = f.bytes
		}
		return nil
	})
	if err != nil {
		return err
	}
	if r.attributes > event.ObjectKeysMax {
		return errAttributes
	}
	add := func(t *event.Tree) error { return p.beside(t, raw, &r, resource, scope) }
	if !r.hasBody {
		return p.plain(finish, add, nil)
	}
	value, err := lastField(r.body)
	switch {
	case err != nil:
		return err
	case value.number == 1 && value.wire == wireBytes:
		return p.readText(value.bytes, finish, add)
	case value.number == 6 && value.wire == wireBytes:
		return p.plain(finish, add, func(t *event.Tree) error { return p.pairs(t, value.bytes, 1, 1) })
	case value.number == 0:
		return p.plain(finish, add, nil)
	}
	return p.plain(finish, add, func(t *event.Tree) error {
		t.PutKeyText("body")
		return p.value(t, r.body, 1)
	})
}

var errAttributes error = &event.LimitError{What: "number of attributes of one record", Limit: event.ObjectKeysMax}

// errDepth is the limit of a tree, met before it recurses.
var errDepth error = &event.LimitError{What: "nesting depth", Limit: event.DepthMax}

// readText reads a body of text; one that is blank is kept as it is.
func (p *parser) readText(s []byte, finish finisher, add func(*event.Tree) error) error {
	return p.text.Read(s, func(rec *event.Record) {
		finish(rec, func(t *event.Tree) error {
			if !t.Reopen() {
				return errNoObject
			}
			if err := add(t); err != nil {
				return err
			}
			t.EndContainer()
			return nil
		})
	})
}

// plain makes a record of its own with what body adds.
func (p *parser) plain(finish finisher, add, body func(*event.Tree) error) error {
	p.rec.Reset(nil)
	p.rec.Format = "json"
	finish(&p.rec, func(t *event.Tree) error {
		t.BeginObject()
		if body != nil {
			if err := body(t); err != nil {
				return err
			}
		}
		if err := add(t); err != nil {
			return err
		}
		t.EndContainer()
		return nil
	})
	return nil
}

// lastField returns the field of a message that holds a oneof: the last of
// those that count, or field 0 when there is none.
func lastField(b []byte) (last field, err error) {
	err = each(b, func(f field) error {
		if f.number >= 1 && f.number <= 7 {
			last = f
		}
		return nil
	})
	return last, err
}

// value adds an AnyValue.
func (p *parser) value(t *event.Tree, b []byte, depth int) error {
	if depth > event.DepthMax {
		return errDepth
	}
	f, err := lastField(b)
	if err != nil {
		return err
	}
	switch {
	case f.number == 1 && f.wire == wireBytes:
		t.PutString(f.bytes)
	case f.number == 2 && f.wire == wireVarint:
		t.PutBool(f.value != 0)
	case f.number == 3 && f.wire == wireVarint:
		t.PutArenaNumber(strconv.AppendInt(t.Arena(), int64(f.value), 10))
	case f.number == 4 && f.wire == wireFixed64:
		putFloat(t, math.Float64frombits(f.value))
	case f.number == 5 && f.wire == wireBytes:
		t.BeginArray()
		err = each(f.bytes, func(f field) error {
			if f.number != 1 || f.wire != wireBytes {
				return nil
			}
			if t.Err() != nil {
				return t.Err()
			}
			return p.value(t, f.bytes, depth+1)
		})
		t.EndContainer()
	case f.number == 6 && f.wire == wireBytes:
		t.BeginObject()
		err = p.pairs(t, f.bytes, 1, depth+1)
		t.EndContainer()
	case f.number == 7 && f.wire == wireBytes:
		t.PutArenaText(base64.StdEncoding.AppendEncode(t.Arena(), f.bytes))
	default:
		t.PutNull()
	}
	return err
}

// putFloat adds a number as JSON spells it.
func putFloat(t *event.Tree, v float64) {
	switch {
	case math.IsNaN(v):
		t.PutText("NaN")
	case math.IsInf(v, 1):
		t.PutText("Infinity")
	case math.IsInf(v, -1):
		t.PutText("-Infinity")
	default:
		form := byte('f')
		if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
			form = 'e'
		}
		t.PutArenaNumber(strconv.AppendFloat(t.Arena(), v, form, -1, 64))
	}
}

// pairs adds the KeyValues that are the fields of that number of a message.
func (p *parser) pairs(t *event.Tree, b []byte, number, depth int) error {
	return each(b, func(f field) error {
		if f.number != number || f.wire != wireBytes {
			return nil
		}
		return p.pair(t, f.bytes, depth, nil)
	})
}

// pair adds one KeyValue. seen, if set, is told of those that are text.
func (p *parser) pair(t *event.Tree, b []byte, depth int, seen func(key, text []byte)) error {
	var key, value []byte
	err := each(b, func(f field) error {
		switch {
		case f.number == 1 && f.wire == wireBytes:
			key = f.bytes
		case f.number == 2 && f.wire == wireBytes:
			value = f.bytes
		}
		return nil
	})
	if err != nil {
		return err
	}
	if t.Err() != nil {
		return t.Err()
	}
	if seen != nil {
		if f, err := lastField(value); err == nil && f.number == 1 && f.wire == wireBytes {
			seen(key, f.bytes)
		}
	}
	t.PutKey(key)
	return p.value(t, value, depth)
}

// attributes adds an object of the KeyValues of a message, if there are any.
func (p *parser) attributes(t *event.Tree, name string, b []byte, number int, seen func(key, text []byte)) error {
	begun := false
	err := each(b, func(f field) error {
		if f.number != number || f.wire != wireBytes {
			return nil
		}
		if !begun {
			begun = true
			t.PutKeyText(name)
			t.BeginObject()
		}
		return p.pair(t, f.bytes, 1, seen)
	})
	if begun {
		t.EndContainer()
	}
	return err
}

// beside adds what is not the body.
func (p *parser) beside(t *event.Tree, raw []byte, r *logRecord, resource, scope []byte) error {
	file, service := "", ""
	if err := p.attributes(t, "attributes", raw, 6, func(key, text []byte) {
		if string(key) == attributeFile {
			file = hintOf(text)
		}
	}); err != nil {
		return err
	}
	if block := message(resource, 1); block != nil {
		if err := p.attributes(t, "resource", block, 1, func(key, text []byte) {
			if string(key) == attributeService {
				service = hintOf(text)
			}
		}); err != nil {
			return err
		}
	}
	if err := p.scopeWire(t, message(scope, 1)); err != nil {
		return err
	}
	putNumber(t, "severity_number", r.severity)
	putText(t, "severity_text", r.severityText)
	putText(t, "event_name", r.eventName)
	putNumber(t, "flags", r.flags)
	putNumber(t, "dropped_attributes_count", r.dropped)
	putHex(t, "trace_id", r.trace)
	putHex(t, "span_id", r.span)
	putNumber(t, "time_unix_nano", p.times.at)
	putNumber(t, "observed_time_unix_nano", p.times.observed)
	p.setHint(file, service)
	return nil
}

func (p *parser) scopeWire(t *event.Tree, block []byte) error {
	var name, version []byte
	attributes := false
	err := each(block, func(f field) error {
		switch {
		case f.number == 1 && f.wire == wireBytes:
			name = f.bytes
		case f.number == 2 && f.wire == wireBytes:
			version = f.bytes
		case f.number == 3 && f.wire == wireBytes:
			attributes = true
		}
		return nil
	})
	if err != nil || len(name)+len(version) == 0 && !attributes {
		return err
	}
	t.PutKeyText("scope")
	t.BeginObject()
	putText(t, "name", name)
	putText(t, "version", version)
	err = p.attributes(t, "attributes", block, 3, nil)
	t.EndContainer()
	return err
}

// The attributes that a hint is taken from (OpenTelemetry semantic conventions).
const (
	attributeFile    = "log.file.name"
	attributeService = "service.name"
)

func hintOf(text []byte) string { return string(text[:min(len(text), event.KeyBytesMax)]) }

func (p *parser) setHint(file, service string) {
	if p.hint = format.Stem(file); p.hint == "" {
		p.hint = service
	}
}

// message returns the last message field of that number in a block, or nil.
func message(block []byte, number int) (m []byte) {
	_ = each(block, func(f field) error { // a block was walked before
		if f.number == number && f.wire == wireBytes {
			m = f.bytes
		}
		return nil
	})
	return m
}

func putNumber(t *event.Tree, key string, v uint64) {
	if v != 0 {
		t.PutKeyText(key)
		t.PutArenaNumber(strconv.AppendUint(t.Arena(), v, 10))
	}
}

func putText(t *event.Tree, key string, text []byte) {
	if len(text) > 0 {
		t.PutKeyText(key)
		t.PutString(text)
	}
}

func putHex(t *event.Tree, key string, id []byte) {
	if len(id) > 0 {
		t.PutKeyText(key)
		t.PutArenaText(hex.AppendEncode(t.Arena(), id))
	}
}
