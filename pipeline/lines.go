package pipeline

import (
	"bytes"

	"github.com/tiercel-io/tiercel/event"
)

// Line is a line of the log of the Linux audit daemon that came by itself: in a
// document of an agent that follows the log, or in a message of syslog. The lines
// of one event are matched one by one and, by an [Assembler], as the event that
// package auditd joins of the same lines in a file; a rule is reported once for
// both [D50].
type Line struct {
	// Host is the machine that its carrier says it is from, or "".
	Host string
	// Text is the line, a copy.
	Text []byte
	// Beside is what stood around the line and is shown with the event, an object
	// of JSON, or nil.
	Beside []byte
}

// envelopes are the members that receivers add to a record of a line.
var envelopes = []string{carrierField, "hec", "resource", "scope", "attributes"}

// hostFields are where those who carry lines say which machine they are from:
// Beats; Vector and Fluent Bit; Splunk's collector; OpenTelemetry. That of syslog
// comes with its header.
var hostFields = [][]string{
	{carrierField, "host", "name"},
	{carrierField, "host", "hostname"},
	{carrierField, "agent", "hostname"},
	{carrierField, "agent", "name"},
	{carrierField, "beat", "hostname"},
	{carrierField, "host"},
	{carrierField, "hostname"},
	{"hec", "host"},
	{"resource", "host.name"},
	{"resource", "host.id"},
}

var syslogHost = [][]string{{"host"}}

// carriesAudit reports whether a record of JSON has what looks like an audit line
// where agents put the lines of files.
func carriesAudit(rec *event.Record) bool {
	if rec.Format != "json" || rec.Tree.Len() == 0 {
		return false
	}
	for _, name := range lineFields {
		if at := rec.Tree.Find(0, name); at >= 0 && rec.Tree.Kind(at) == event.String {
			text, _ := rec.Tree.Plain(at) // escaped quotes come later in the line
			return bytes.HasPrefix(text, []byte("type=")) || bytes.HasPrefix(text, []byte("node="))
		}
	}
	return false
}

// lineOf returns the audit line that a record was read from, if it came by
// itself: a file of audit lines gives their joined records too, and their lines
// have no Text. several reports that the record is one joined of the lines of a
// single text, each of which comes as a record as well.
func lineOf(rec *event.Record) (l *Line, several bool) {
	text := rec.Text
	members, hosts := envelopes, hostFields
	switch rec.Format {
	case "auditd":
	case "syslog":
		at := rec.Tree.Path("message")
		if at < 0 || rec.Tree.Kind(at) != event.String {
			return nil, false
		}
		text = bytes.Trim(rec.Tree.AppendText(nil, at), " \t\r\n\x00")
		members, hosts = append([]string{"host", "program"}, envelopes...), append(syslogHost, hostFields...)
		if bytes.IndexByte(text, '\n') >= 0 {
			return nil, false
		}
	default:
		return nil, false
	}
	if len(text) == 0 {
		return nil, false
	}
	if bytes.IndexByte(text, '\n') >= 0 {
		return nil, true
	}
	l = &Line{Text: bytes.Clone(text)}
	t := &rec.Tree
	for _, path := range hosts {
		if at := t.Path(path...); at > 0 && t.Kind(at) == event.String {
			if l.Host = t.Text(at); l.Host != "" {
				break
			}
		}
	}
	for _, name := range members {
		at := t.Find(0, name)
		if at < 0 {
			continue
		}
		mark := byte(',')
		if l.Beside == nil {
			mark = '{'
			l.Beside = make([]byte, 0, max(len(rec.Raw)-len(text), 64))
		}
		l.Beside = append(l.Beside, mark)
		l.Beside = append(event.AppendQuoted(l.Beside, []byte(name)), ':')
		l.Beside = t.AppendJSON(l.Beside, at)
	}
	if l.Beside != nil {
		l.Beside = append(l.Beside, '}')
	}
	return l, false
}
