// Package sniff reads one event's text that came inside a sender's envelope: the
// string of an HEC event, the body of an OTLP record. The text is read as it
// would be from a file of its own format, so that the same rules see the same
// event whichever way it came:
//
//   - a JSON object, also behind the cookie @cee:, is its members (format json);
//   - a Windows event in XML is the tree of package winxml (format xml);
//   - Linux audit records, one a line, are those of package auditd;
//   - a line with a header of syslog is that of package syslog;
//   - everything else is {"message": text} (format text): CEF, LEEF and
//     key=value lines among it, which packs take apart.
//
// What begins like JSON or XML and is not is text. What is JSON beyond the
// limits of package event is refused. Formats that keep the meaning of their
// records apart, as CSV its header, cannot be known from one record.
//
// A Reader belongs to one goroutine; memory is bounded by the text's.
package sniff

import (
	"bytes"
	"errors"
	"io"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/auditd"
	"github.com/tiercel-io/tiercel/format/syslog"
	"github.com/tiercel-io/tiercel/format/text"
	"github.com/tiercel-io/tiercel/format/winxml"
)

// Reader reads texts.
type Reader struct {
	rec    event.Record // of JSON
	block  format.Block
	auditd format.Parser
	syslog format.Parser
	text   format.Parser
	xml    format.Parser
}

// The formats that are tried, made once.
var (
	auditdFormat = auditd.Format()
	syslogFormat = syslog.Format()
	textFormat   = text.Format()
	xmlFormat    = winxml.Format()
)

// New returns a Reader of texts of a source.
func New(o format.Options) *Reader {
	o.Name = "" // a file's name says nothing of a text in an envelope
	return &Reader{
		auditd: auditdFormat.NewParser(o), syslog: syslogFormat.NewParser(o),
		text: textFormat.NewParser(o), xml: xmlFormat.NewParser(o),
	}
}

// Read calls emit for each record in s, usually one. Record.Raw is the part of
// s that it was read from, and Record.Text too for text, syslog and audit
// records, so that the caller may make Raw the whole envelope. The record
// borrows s and is reused after emit returns. An error says why what is left of
// s is no record.
func (r *Reader) Read(s []byte, emit func(*event.Record)) error {
	trimmed := bytes.TrimLeft(s, " \t\r\n\x00")
	if object := bytes.TrimLeft(bytes.TrimPrefix(trimmed, []byte("@cee:")), " "); len(object) > 0 && object[0] == '{' {
		err := r.Object(object, emit)
		var syntax *event.SyntaxError
		if !errors.As(err, &syntax) {
			return err
		}
	}
	switch {
	case bytes.HasPrefix(trimmed, []byte("<")) && xmlFormat.Detect(trimmed, "") > 0:
		if done, err := r.events(bytes.TrimRight(trimmed, " \t\r\n\x00"), emit); done {
			return err
		}
	case bytes.HasPrefix(trimmed, []byte("type=")) || bytes.HasPrefix(trimmed, []byte("node=")):
		if auditdFormat.Detect(trimmed, "") > 0 {
			return r.audit(trimmed, emit)
		}
	}
	line, _, _ := bytes.Cut(s, []byte{'\n'})
	parser := r.text
	if syslogFormat.Detect(line, "") > 0 {
		parser = r.syslog
	}
	return r.parse(parser, s, func(rec *event.Record) {
		rec.Text = rec.Raw
		emit(rec)
	})
}

// Object reads a JSON object with nothing but white space behind it.
func (r *Reader) Object(s []byte, emit func(*event.Record)) error {
	r.rec.Reset(s)
	if err := r.rec.Tree.ParseJSON(s); err != nil {
		return err
	}
	r.rec.Format = "json"
	emit(&r.rec)
	return nil
}

// events reads a Windows event, behind an XML declaration perhaps, or several
// in an <Events> element; done is false when there is none.
func (r *Reader) events(s []byte, emit func(*event.Record)) (done bool, err error) {
	start := bytes.Index(s, []byte("<Event"))
	if start < 0 {
		return false, nil
	}
	if !bytes.HasPrefix(s[start:], []byte("<Events")) {
		return r.parse(r.xml, s[start:], emit) == nil, nil
	}
	err = r.split(xmlFormat, r.xml, s[start:], func(rec *event.Record) {
		done = true
		emit(rec)
	})
	return done, err
}

func (r *Reader) parse(p format.Parser, s []byte, emit func(*event.Record)) error {
	r.block.Reset()
	own := r.block.Data
	r.block.Data = s
	err := p.Parse(&r.block, format.Frame{End: len(s)}, emit)
	r.block.Data = own
	return err
}

// audit reads audit records: several lines may be those of several events,
// which the splitter of audit logs tells apart.
func (r *Reader) audit(s []byte, emit func(*event.Record)) error {
	s = bytes.TrimRight(s, "\r\n\x00 ")
	read := func(rec *event.Record) {
		rec.Text = rec.Raw
		emit(rec)
	}
	if bytes.IndexByte(s, '\n') < 0 {
		return r.parse(r.auditd, s, read)
	}
	return r.split(auditdFormat, r.auditd, s, read)
}

// split reads a text of several records; the first error is returned behind
// the last record.
func (r *Reader) split(f format.Format, p format.Parser, s []byte, emit func(*event.Record)) error {
	var first error
	split := f.NewSplitter(bytes.NewReader(s), format.Options{})
	for {
		err := split.Next(&r.block)
		for _, f := range r.block.Frames {
			if err := p.Parse(&r.block, f, emit); err != nil && first == nil {
				first = err
			}
		}
		if len(r.block.Problems) > 0 && first == nil {
			first = r.block.Problems[0]
		}
		if errors.Is(err, io.EOF) {
			return first
		}
		if err != nil {
			return err
		}
	}
}
