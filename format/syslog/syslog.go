// Package syslog reads files of syslog messages, RFC 5424 and RFC 3164 and what
// devices make of them, one a line.
//
// A record is an object with what was found, in this order:
//
//	message          the text behind the header; always there
//	timestamp        the time as it was written
//	host             the sending host
//	program          the tag, or APP-NAME
//	pid              the process number, or PROCID, as text
//	msgid            MSGID of RFC 5424
//	pri, facility, severity   numbers, from <PRI>
//	structured_data  {"id": {"name": "value"}} of RFC 5424
//	raw              the whole line, if nothing of a header was found
//
// A message that is a whole record of another format, a JSON object, with or
// without the @cee: cookie, a Windows <Event> or an audit record, gives that
// record with the members above behind its own, but for those that it has
// itself: rules meet the fields that they would in a file of that format. Its
// own time counts before the header's. Other messages are left as they are:
// what is inside (CEF, LEEF, key=value) is for packs.
//
// The scanner never refuses a line. It looks, in this order, for PRI; for the
// version of RFC 5424 and a header of that form; else for a sequence number
// and a time in any form of package timestamp (of RFC 3164, with a year, with
// a Cisco clock's mark, RFC 3339, Unix time); for a host; for a tag; and takes
// as message what is left when something is not there. A message of RFC 5424
// that a relay wrapped in a header of RFC 3164 is unwrapped.
package syslog

import (
	"bytes"
	"io"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/auditd"
	"github.com/tiercel-io/tiercel/format/lines"
	"github.com/tiercel-io/tiercel/format/winxml"
	"github.com/tiercel-io/tiercel/timestamp"
)

// Format returns the syslog format, called syslog.
func Format() format.Format {
	return format.Format{
		Name:   "syslog",
		About:  "syslog messages of RFC 5424 and RFC 3164, one a line",
		Detect: detect,
		NewSplitter: func(r io.Reader, o format.Options) format.Splitter {
			return splitter{lines.NewReader(r)}
		},
		Resume: func(r io.Reader, o format.Options, at format.Place) format.Resumable {
			return splitter{lines.Resume(r, at)}
		},
		NewParser: func(o format.Options) format.Parser {
			return &parser{
				hint: format.Stem(o.Name), times: timestamp.Options{Zone: o.Zone, Reference: o.Reference},
				xml: winxml.Format().NewParser(o), audit: auditd.Format().NewParser(o),
			}
		},
	}
}

type splitter struct{ lines *lines.Reader }

// Rest implements format.Resumable.
func (s splitter) Rest() format.Place { return s.lines.Place() }

// Next implements format.Splitter.
func (s splitter) Next(b *format.Block) error { return s.lines.Fill(b) }

// detectLines is how many lines are looked at.
const detectLines = 20

// detect scans the first lines: three in five must have a header that is hard
// to take for anything else.
func detect(head []byte, name string) int {
	head = bytes.TrimLeft(lines.Head(head), "\x00")
	seen, good, pri := 0, 0, 0
	var m Message
	for line := range bytes.Lines(head) {
		line = bytes.TrimRight(line, "\r\n")
		if lines.Blank(line) {
			continue
		}
		if seen++; seen > detectLines {
			break
		}
		m.Scan(line, timestamp.Options{Reference: someTime})
		if m.HasPri {
			pri++
		}
		if m.HasPri || !m.Time.IsZero() && m.Host != nil && m.Program != nil && m.sure() {
			good++
		}
	}
	switch {
	case seen == 0 || good*5 < seen*3:
		return 0
	case pri*5 >= seen*3:
		return 85
	}
	return 60
}

// sure reports whether a time, a host and a tag are those of syslog and not the
// level and logger of an application's log.
func (m *Message) sure() bool {
	if m.Quality == event.TimeAssumedYear {
		return true
	}
	if m.Quality != event.TimeParsed {
		return false
	}
	switch string(bytes.ToUpper(m.Host)) {
	case "TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING", "ERROR", "FATAL", "CRITICAL", "SEVERE":
		return false
	}
	return true
}

type parser struct {
	rec   event.Record
	msg   Message
	hint  string
	times timestamp.Options
	// Records inside a message are read by the parsers of their formats.
	xml, audit format.Parser
	inner      format.Block
}

// Parse implements format.Parser.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	rec := &p.rec
	line := b.Data[f.Start:f.End]
	m := &p.msg
	m.Scan(line, p.times)
	if p.payload(f, line, emit) {
		return nil
	}
	rec.Reset(line)
	rec.Format, rec.Hint, rec.Line, rec.Offset = "syslog", p.hint, f.Line, f.Offset
	if !m.Time.IsZero() {
		rec.Time, rec.TimeQuality = m.Time, m.Quality
	}
	m.put(&rec.Tree)
	if err := rec.Tree.Err(); err != nil {
		return err
	}
	emit(rec)
	return nil
}

func (m *Message) put(t *event.Tree) {
	t.BeginObject()
	m.members(t, false)
	t.EndContainer()
}

// members adds the members of the record of a message to an open object. behind
// says that it holds others already, which come first.
func (m *Message) members(t *event.Tree, behind bool) {
	lacks := func(key string) bool {
		if behind && hasMember(t, key) {
			return false
		}
		t.PutKeyText(key)
		return true
	}
	for _, v := range [...]struct {
		key  string
		text []byte
		ok   bool
	}{
		{"message", m.Text, true},
		{"timestamp", m.Stamp, m.Stamp != nil},
		{"host", m.Host, m.Host != nil},
		{"program", m.Program, m.Program != nil},
		{"pid", m.PID, m.PID != nil},
		{"msgid", m.MsgID, m.MsgID != nil},
	} {
		if v.ok && lacks(v.key) {
			t.PutString(v.text)
		}
	}
	if m.HasPri {
		for _, v := range [...]struct {
			key   string
			value int
		}{{"pri", m.Pri}, {"facility", m.Pri >> 3}, {"severity", m.Pri & 7}} {
			if lacks(v.key) {
				t.PutArenaNumber(appendInt(t.Arena(), v.value))
			}
		}
	}
	if m.Structured != nil && lacks("structured_data") {
		putStructured(t, m.Structured)
	}
	if m.Stamp == nil && m.Host == nil && m.Program == nil && !m.HasPri && lacks("raw") {
		t.PutString(m.Line)
	}
}

// appendInt appends 0 to 191.
func appendInt(dst []byte, v int) []byte {
	if v >= 100 {
		dst = append(dst, byte('0'+v/100))
	}
	if v >= 10 {
		dst = append(dst, byte('0'+v/10%10))
	}
	return append(dst, byte('0'+v%10))
}
