// Package winxml reads Windows events as XML: what wevtutil and Event Viewer
// export (an <Events> element around <Event> elements) and what PowerShell's
// ToXml prints (<Event> elements one behind the other, on lines of their own or
// not), in UTF-8 or UTF-16.
//
// The splitter finds where events begin and end without building anything; the
// parser reads one event with a small strict reader of its own, since the
// dialect needs no more: no DTD, no entities but the five of XML and character
// references. A document type, an unknown entity or tags that do not match
// make the event a problem.
//
// The tree has the shape that package evtx documents, and the same event has
// the same tree from either, but for types: XML has none, so that only the
// fields of System that the event schema makes integers are numbers here, and
// all else is text. Rules compare both alike. A <RenderingInfo>, which holds
// the message, is a member of Event like any other.
//
// Text is kept as it stands between the tags. Line ends in particular are not
// turned into line feeds, as XML would have it, because events hold carriage
// returns which Windows writes out bare. UTF-16 becomes UTF-8; offsets still
// count the bytes of the file.
//
// A Format's functions may be called by any goroutine; a splitter and a parser
// belong to one goroutine each. Memory: the splitter holds at most twice the
// largest event, the parser a few words for each element of one event.
package winxml

import (
	"bytes"
	"io"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

const name = "xml"

// namespace is that of Windows events.
const namespace = "http://schemas.microsoft.com/win/2004/08/events/event"

// Limits of one event, besides those of package event.
const (
	elementDepthMax = event.DepthMax
	attributesMax   = 256
	elementsMax     = 16_384 // every field of the largest array and record
)

// Format returns the reader of Windows XML events. Of the options it takes the
// zone, for events whose time names none.
func Format() format.Format {
	return format.Format{
		Name:        name,
		About:       "Windows events as XML (wevtutil, Event Viewer, Get-WinEvent)",
		Detect:      detect,
		NewSplitter: func(r io.Reader, _ format.Options) format.Splitter { return newSplitter(r) },
		NewParser:   func(o format.Options) format.Parser { return &parser{zone: o.Zone} },
	}
}

// detect knows a file by its first element.
func detect(head []byte, _ string) int {
	var d decoder
	if enc, skip := encodingOf(head); enc != utf8Text {
		d.bigEndian = enc == utf16BE
		head = d.decode(nil, head[skip:])
	} else {
		head = head[skip:]
	}
	for {
		head = bytes.TrimLeft(head, " \t\r\n")
		var end []byte
		switch {
		case bytes.HasPrefix(head, []byte("<?")):
			end = []byte("?>")
		case bytes.HasPrefix(head, []byte("<!--")):
			end = []byte("-->")
		case isTag(head, "<Events"):
			return 85
		case isTag(head, "<Event"):
			if i := tagEnd(head, 0); i > 0 && bytes.Contains(head[:i], []byte(namespace)) {
				return 100
			}
			return 60
		default:
			return 0
		}
		i := bytes.Index(head, end)
		if i < 0 {
			return 0
		}
		head = head[i+len(end):]
	}
}

// isTag reports whether b begins with the tag and the tag's name ends there.
func isTag(b []byte, tag string) bool {
	if len(b) <= len(tag) || string(b[:len(tag)]) != tag {
		return false
	}
	switch b[len(tag)] {
	case ' ', '\t', '\r', '\n', '>', '/':
		return true
	}
	return false
}

// tagEnd returns the index of the > that ends the tag at b[i], -1 when b ends
// inside it, or that of the next < when the tag is broken. Neither stands in a
// value in quotes, but for > which may.
func tagEnd(b []byte, i int) int {
	quote := byte(0)
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '<':
			return i
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i
		}
	}
	return -1
}
