// Package hec reads events as a Splunk HTTP Event Collector takes them: each an
// object with the event and what its sender says of it,
//
//	{"time": 1795302590.86, "host": "h", "source": "s", "sourcetype": "t",
//	 "index": "i", "fields": {…}, "event": …}
//
// The record is the event, so that rules meet the vendor's own fields, and
// under the key hec what stood beside it, as it was written:
//
//   - an event that is an object is the record's members;
//   - an event that is text is read by package sniff, as a file of its own format
//     would be;
//   - any other event is the member event of the record.
//
// Record.Raw is the whole object. Its time is that of the event where the
// event holds one, and else the one beside it (Record.Sent). Record.Hint is the
// sourcetype. An object with several events gives a record for each, up to 16:
// a second one must not slip behind the first. One without an event, or with an
// empty one, is refused.
//
// Detect never claims a file: such objects come from the receiver in package
// ingest/hec, one frame each. A Format's functions may be called by any
// goroutine, a parser by one at a time; it needs memory in proportion to one
// frame.
package hec

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/format/sniff"
	"github.com/tiercel-io/tiercel/timestamp"
)

// EventsMax bounds the events of one object: there should be one.
const EventsMax = 16

// Format returns the format, called hec.
func Format() format.Format {
	return format.Format{
		Name:   "hec",
		About:  "Splunk HTTP Event Collector objects, each with one event",
		Detect: func([]byte, string) int { return 0 },
		NewSplitter: func(r io.Reader, o format.Options) format.Splitter {
			return json.Format().NewSplitter(r, o)
		},
		NewParser: func(o format.Options) format.Parser {
			return &parser{text: sniff.New(o), times: timestamp.Options{Zone: o.Zone, Reference: o.Reference}}
		},
	}
}

// span is a value of the envelope.
type span struct{ start, end int }

// beside is a member of the envelope that is not the event.
type beside struct {
	key   []byte
	value span
}

type parser struct {
	text   *sniff.Reader
	times  timestamp.Options
	rec    event.Record // of events that are neither object nor text
	value  event.Tree
	events []span
	others []beside
	keys   []byte
	buf    []byte

	sent time.Time
	hint string
}

var (
	errNoEvent    = errors.New(`the object has no "event"`)
	errEmptyEvent = errors.New(`"event" is empty`)
	errTrailing   = errors.New("bytes follow the object")
	errEvents     = fmt.Errorf(`the object has more than %d members "event"`, EventsMax)
)

// Parse implements format.Parser.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	raw := b.Data[f.Start:f.End]
	if err := p.open(raw); err != nil {
		return err
	}
	var first error
	for _, e := range p.events {
		err := p.one(raw, e, func(rec *event.Record) {
			if err := p.finish(rec, raw, f); err == nil {
				emit(rec)
			} else if first == nil {
				first = err
			}
		})
		if err != nil && first == nil {
			first = err
		}
	}
	return first
}

// open finds the members of the envelope and reads the ones that every record
// needs.
func (p *parser) open(raw []byte) error {
	p.events, p.others, p.keys = p.events[:0], p.others[:0], p.keys[:0]
	p.sent, p.hint = time.Time{}, ""
	end, err := json.Members(raw, 0, func(key []byte, at int) (int, error) {
		end, err := json.ValueEnd(raw, at)
		if err != nil {
			return end, err
		}
		if string(key) == "event" {
			if len(p.events) == EventsMax {
				return end, errEvents
			}
			p.events = append(p.events, span{at, end})
			return end, nil
		}
		if len(p.others) == event.ObjectKeysMax {
			return end, &event.LimitError{What: "number of keys in one object", Limit: event.ObjectKeysMax}
		}
		from := len(p.keys)
		p.keys = append(p.keys, key...)
		p.others = append(p.others, beside{p.keys[from:len(p.keys):len(p.keys)], span{at, end}})
		return end, nil
	})
	switch {
	case err != nil:
		return err
	case !blank(raw[end:]):
		return errTrailing
	case len(p.events) == 0:
		return errNoEvent
	}
	for _, o := range p.others {
		switch string(o.key) {
		case "time":
			if text, err := p.scalar(raw, o.value); err == nil && p.sent.IsZero() {
				p.sent = p.time(text)
			}
		case "sourcetype":
			if text, err := p.scalar(raw, o.value); err == nil && p.hint == "" && len(text) <= event.KeyBytesMax {
				p.hint = string(text)
			}
		}
	}
	return nil
}

// scalar returns the text of a string or number, empty for anything else.
func (p *parser) scalar(raw []byte, s span) ([]byte, error) {
	if err := p.value.ParseJSON(raw[s.start:s.end]); err != nil {
		return nil, err
	}
	switch p.value.Kind(0) {
	case event.Number:
		return p.value.NumberText(0), nil
	case event.String:
		p.buf = p.value.AppendText(p.buf[:0], 0)
		return p.buf, nil
	}
	return nil, nil
}

// time reads seconds with a fraction; other units and forms are told by their
// look, since agents send them.
func (p *parser) time(text []byte) time.Time {
	t, _, ok := timestamp.Parse(text, p.times)
	if !ok {
		t, _, ok = timestamp.ParseLayout(text, "epoch_s", p.times)
	}
	// A clock that was never set says 1970, which is no time.
	if !ok || t.Unix() <= 0 {
		return time.Time{}
	}
	return t
}

// one reads one event.
func (p *parser) one(raw []byte, e span, emit func(*event.Record)) error {
	text := raw[e.start:e.end]
	switch text[0] {
	case '{':
		return p.text.Object(text, emit)
	case '"':
		if err := p.value.ParseJSON(text); err != nil {
			return err
		}
		inner, plain := p.value.Plain(0)
		if !plain {
			p.buf = p.value.AppendText(p.buf[:0], 0)
			inner = p.buf
		}
		if blank(inner) {
			return errEmptyEvent
		}
		return p.text.Read(inner, emit)
	}
	if err := p.value.ParseJSON(text); err != nil {
		return err
	}
	if p.value.Kind(0) == event.Null {
		return errEmptyEvent
	}
	p.rec.Reset(nil)
	p.rec.Format = "json"
	p.rec.Tree.BeginObject()
	p.rec.Tree.PutKeyText("event")
	p.rec.Tree.Graft(&p.value, 0)
	p.rec.Tree.EndContainer()
	emit(&p.rec)
	return nil
}

// finish adds what stood beside the event.
func (p *parser) finish(rec *event.Record, raw []byte, f format.Frame) error {
	rec.Raw = raw
	rec.Line, rec.Offset = f.Line, f.Offset
	rec.Sent, rec.Hint = p.sent, p.hint
	t := &rec.Tree
	if len(p.others) > 0 && t.Reopen() {
		t.PutKeyText("hec")
		t.BeginObject()
		for _, o := range p.others {
			if err := p.value.ParseJSON(raw[o.value.start:o.value.end]); err != nil {
				return err
			}
			t.PutKey(o.key)
			t.Graft(&p.value, 0)
		}
		t.EndContainer()
		t.EndContainer()
	}
	return t.Err()
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}
