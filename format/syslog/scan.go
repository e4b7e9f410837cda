package syslog

import (
	"bytes"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/timestamp"
)

// someTime lets times without a year be read where only their form counts.
var someTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// Message is what was found in one line. Its slices are borrowed from the line
// and nil for what is not there.
type Message struct {
	Line []byte // all of it
	// Pri is 8 × facility + severity, 0 to 191, if HasPri.
	Pri    int
	HasPri bool
	// Stamp is the time's text; Time is zero when it could not be read.
	Stamp   []byte
	Time    time.Time
	Quality event.TimeQuality

	Host, Program, PID, MsgID []byte
	// Structured is the STRUCTURED-DATA of RFC 5424 in its brackets, checked.
	Structured []byte
	// Text is the message.
	Text []byte
}

// byteOrderMark is that of UTF-8: RFC 5424 has it before MSG, some senders before
// all.
var byteOrderMark = []byte("\xef\xbb\xbf")

// Scan reads line. It never fails: what has no header is a message.
func (m *Message) Scan(line []byte, o timestamp.Options) {
	*m = Message{Line: line}
	rest := m.pri(bytes.TrimLeft(bytes.TrimPrefix(line, byteOrderMark), "\x00 "))
	if body, ok := version(rest); ok {
		if m.rfc5424(body, o) {
			return
		}
		// Meraki and others write a version and then something else.
		if _, _, n := timestamp.Prefix(head(body), o); n > 0 {
			rest = body
		}
	}
	m.rfc3164(rest, o)
	// A header of RFC 5424 behind one of RFC 3164, with the version where a
	// tag would be: syslog-ng's network() does that.
	if body, ok := version(m.Text); ok && m.Program == nil {
		inner := *m
		if inner.rfc5424(body, o) {
			*m = inner
		}
	}
}

// pri reads <PRI> (RFC 5424 section 6.2.1).
func (m *Message) pri(b []byte) []byte {
	if len(b) < 3 || b[0] != '<' {
		return b
	}
	v, i := 0, 1
	for i < len(b) && i < 4 && b[i]-'0' <= 9 {
		v = v*10 + int(b[i]-'0')
		i++
	}
	const priMax = 191
	if i == 1 || i == len(b) || b[i] != '>' || v > priMax {
		return b
	}
	m.Pri, m.HasPri = v, true
	return b[i+1:]
}

// version reads the version and the blank behind it: 1 is all there is.
func version(b []byte) ([]byte, bool) {
	if len(b) > 2 && b[0] >= '1' && b[0] <= '9' && b[1] == ' ' {
		return b[2:], true
	}
	return b, false
}

// head is as much of b as a time may take.
func head(b []byte) []byte { return b[:min(len(b), 64)] }

// token cuts the text before the next blank.
func token(b []byte) (tok, rest []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// nilValue is nil for the NILVALUE of RFC 5424.
func nilValue(b []byte) []byte {
	if len(b) == 1 && b[0] == '-' {
		return nil
	}
	return b
}

// rfc5424 reads the header behind the version: TIMESTAMP HOSTNAME APP-NAME
// PROCID MSGID STRUCTURED-DATA [MSG]. It changes nothing unless all fits.
func (m *Message) rfc5424(b []byte, o timestamp.Options) bool {
	stamp, rest := token(b)
	var (
		at time.Time
		q  event.TimeQuality
	)
	if stamp = nilValue(stamp); stamp != nil {
		var ok bool
		if at, q, ok = timestamp.ParseLayout(stamp, "rfc3339", o); !ok {
			return false
		}
	}
	var fields [4][]byte
	for i := range fields {
		if fields[i], rest = token(rest); len(fields[i]) == 0 {
			return false
		}
	}
	structured, text, ok := structuredData(rest)
	if !ok {
		return false
	}
	m.Stamp, m.Time, m.Quality = stamp, at, q
	if host := nilValue(fields[0]); host != nil {
		m.Host = host
	}
	m.Program, m.PID, m.MsgID = nilValue(fields[1]), nilValue(fields[2]), nilValue(fields[3])
	m.Structured = structured
	m.Text = bytes.TrimPrefix(text, byteOrderMark)
	return true
}

// rfc3164 reads [sequence:] [time] [host] [tag[pid]:] message.
func (m *Message) rfc3164(b []byte, o timestamp.Options) {
	rest := b
	// Cisco numbers its messages, twice sometimes: 000029: 29: *Mar  1 …
	for range 2 {
		i := 0
		for i < len(rest) && rest[i]-'0' <= 9 {
			i++
		}
		if i == 0 || i+2 >= len(rest) || rest[i] != ':' || rest[i+1] != ' ' {
			break
		}
		rest = rest[i+2:]
	}
	at, q, n := timestamp.Prefix(head(rest), o)
	if n == 0 && o.Reference.IsZero() {
		// Its form is known though its year is not.
		o.Reference = someTime
		if _, _, n = timestamp.Prefix(head(rest), o); n > 0 {
			at = time.Time{}
		}
	}
	if n == 0 {
		// Without a time there is no host, but there may be a tag.
		m.tag(b)
		return
	}
	m.Stamp, m.Time, m.Quality = rest[:n], at, q
	rest = bytes.TrimLeft(bytes.TrimPrefix(rest[n:], []byte{':'}), " ")
	if m.tag(rest) {
		// Cisco writes a colon behind the host: router1: %SYS-5-CONFIG_I: …
		if m.PID == nil && m.Program[0] != '%' && len(m.Text) > 0 && m.Text[0] == '%' {
			m.Host, m.Program = m.Program, nil
			m.tag(m.Text)
		}
		return
	}
	host, behind := token(rest)
	if len(host) == 0 || !hostLike(host) {
		m.Text = rest
		return
	}
	m.Host = bytes.TrimSuffix(host, []byte{':'})
	m.tag(bytes.TrimPrefix(bytes.TrimLeft(behind, " "), []byte(": ")))
}

// hostLike reports whether a token may be a name or an address.
func hostLike(b []byte) bool {
	const hostMax = 255 // RFC 5424 section 6.2.4
	if len(b) > hostMax {
		return false
	}
	for _, c := range b {
		if c <= ' ' || c == '=' || c == '"' || c == '\'' || c == '{' || c == '|' || c == '<' || c == '>' || c == ',' {
			return false
		}
	}
	return true
}

// tag reads program[pid]: and the message behind it. Without a tag the message
// is all of b. A tag ends at a colon and a blank, or has a pid: CEF:0|… and
// {"a": 1} are none.
func (m *Message) tag(b []byte) bool {
	m.Text = b
	const tagMax = 128
	i := 0
	for i < len(b) && i < tagMax && tagByte(b[i]) {
		i++
	}
	if i == 0 || i == len(b) {
		return false
	}
	program := b[:i]
	var pid []byte
	if b[i] == '[' {
		end := bytes.IndexByte(b[i:min(len(b), i+tagMax)], ']')
		if end < 2 {
			return false
		}
		pid = b[i+1 : i+end]
		i += end + 1
		if i < len(b) && b[i] == ':' {
			i++
		} else if i < len(b) && b[i] != ' ' {
			return false
		}
	} else {
		if b[i] != ':' || i+1 < len(b) && b[i+1] != ' ' {
			return false
		}
		i++
	}
	if program[0] == '@' { // @cee: marks JSON
		return false
	}
	m.Program, m.PID = program, pid
	m.Text = bytes.TrimPrefix(b[i:], []byte{' '})
	return true
}

func tagByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c >= 0x80:
		return true
	}
	return bytes.IndexByte([]byte("-_./\\()%@+*#~&"), c) >= 0
}
