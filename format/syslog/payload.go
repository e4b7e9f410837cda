package syslog

import (
	"bytes"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/timestamp"
)

// payload emits the record of a message that holds a whole record of another
// format: its members, and behind them those of the header that it lacks. It
// reports false when the message is text, or is not whole, or the two together
// are beyond the limits of a record.
func (p *parser) payload(f format.Frame, line []byte, emit func(*event.Record)) bool {
	m := &p.msg
	text := bytes.Trim(m.Text, " \t\r\n\x00")
	inner := p.xml
	switch {
	case bytes.HasPrefix(text, []byte("@cee:")):
		text = bytes.TrimLeft(text[len("@cee:"):], " ")
		fallthrough
	case len(text) > 0 && text[0] == '{':
		rec := &p.rec
		rec.Reset(text)
		if rec.Tree.ParseJSON(text) != nil || rec.Tree.Kind(0) != event.Object {
			return false
		}
		rec.Time, rec.TimeQuality = jsonTime(&rec.Tree)
		return p.wrapped(rec, f, line, emit)
	case bytes.HasPrefix(text, []byte("<Event")):
	case bytes.HasPrefix(text, []byte("type=")), bytes.HasPrefix(text, []byte("node=")):
		inner = p.audit
	default:
		return false
	}
	return p.nested(inner, text, f, line, emit)
}

// nested has text read by the parser of its format.
func (p *parser) nested(inner format.Parser, text []byte, f format.Frame, line []byte, emit func(*event.Record)) (done bool) {
	p.inner.Data = text
	err := inner.Parse(&p.inner, format.Frame{End: len(text)}, func(rec *event.Record) {
		done = p.wrapped(rec, f, line, emit)
	})
	p.inner.Data = nil
	return done && err == nil
}

// wrapped adds the header to a record and emits it.
func (p *parser) wrapped(rec *event.Record, f format.Frame, line []byte, emit func(*event.Record)) bool {
	if !rec.Tree.Reopen() {
		return false
	}
	p.msg.members(&rec.Tree, true)
	rec.Tree.EndContainer()
	if rec.Tree.Err() != nil {
		return false
	}
	rec.Raw, rec.Format, rec.Hint, rec.Line, rec.Offset = line, "syslog", p.hint, f.Line, f.Offset
	if rec.Time.IsZero() && !p.msg.Time.IsZero() {
		rec.Time, rec.TimeQuality = p.msg.Time, p.msg.Quality
	}
	emit(rec)
	return true
}

// hasMember reports whether the root has a member of that name in any case:
// fields are found without regard to it.
func hasMember(t *event.Tree, key string) bool {
	for i := 1; i < t.Len(); i = t.End(i) {
		if bytes.EqualFold(t.Key(i), []byte(key)) {
			return true
		}
	}
	return false
}

// timeMembers are the members of JSON logs that say when the event happened,
// which is earlier and more exact than what a relay's header says.
var timeMembers = [...]string{"@timestamp", "timestamp", "time", "eventTime", "ts"}

// jsonTime returns the first time of timeMembers that has a date, a time of day
// and a zone.
func jsonTime(t *event.Tree) (at time.Time, q event.TimeQuality) {
	for _, key := range timeMembers {
		i := t.Find(0, key)
		if i <= 0 || t.Kind(i) != event.String {
			continue
		}
		text, ok := t.Plain(i)
		if !ok || len(text) > len(head(text)) {
			continue
		}
		if at, q, n := timestamp.Prefix(text, timestamp.Options{}); n == len(text) && n > 0 && q == event.TimeParsed {
			return at, q
		}
	}
	return time.Time{}, event.TimeMissing
}
