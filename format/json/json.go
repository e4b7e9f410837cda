// Package json reads JSON in the forms in which logs are kept.
//
//   - NDJSON: one object a line. Blank lines, CR LF, a byte order mark, UTF-16
//     with a byte order mark and a last line without its end are accepted, and
//     so are several objects on one line.
//   - Objects written one after another, over several lines or with nothing
//     between them, and arrays of objects, however large: each element is a
//     record.
//   - Envelopes, an object that holds the records in an array: {"Records":[…]}
//     (AWS CloudTrail), {"records":[…]} (Azure diagnostics), {"value":[…]}
//     (Microsoft Graph). They are known by their beginning: that key first, or
//     after "@odata…" members, and an object as first item. What stands around
//     the array is not part of a record. CloudTrail digest files hold no
//     events and give no records.
//
// Which of the two ways of cutting a file needs, by line or by structure, is
// decided by its beginning. By line, no byte is looked at before the parser
// does. By structure, brackets and quotes are followed, and where they do not
// close, or not within [event.RecordBytesMax], the text is reported and reading
// goes on at the next place that looks like the beginning of an element: where
// elements began on lines of their own, the next line of the same indentation
// that begins an object; else the next object with the same first key. An inner
// object that looks the same may then be taken for a record.
//
// The bytes of a record are exactly its value, without the white space and
// commas around it. A value that is not an object is not a record.
package json

import (
	"bytes"
	"io"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/lines"
)

// Format returns the JSON format, called json.
func Format() format.Format {
	return format.Format{
		Name:   "json",
		About:  "NDJSON, JSON arrays, concatenated JSON, and envelopes such as CloudTrail's",
		Detect: detect,
		NewSplitter: func(r io.Reader, o format.Options) format.Splitter {
			return newSplitter(r)
		},
		Resume: func(r io.Reader, o format.Options, at format.Place) format.Resumable {
			return &splitter{lines: lines.Resume(r, at), decided: true}
		},
		Follows: func(head []byte) bool { return !byStructure(head) },
		NewParser: func(o format.Options) format.Parser {
			return &parser{hint: format.Stem(o.Name)}
		},
	}
}

// detect knows JSON by its first two tokens, behind the zeros that a rotated
// log may begin with: an object or array that begins and goes on as one does.
func detect(head []byte, name string) int {
	head = lines.Head(head)
	i, _ := skipZeros(head, 0)
	if i == len(head) {
		return 0
	}
	j := skipSpace(head, i+1)
	switch {
	case head[i] == '{' && j < len(head) && (head[j] == '"' || head[j] == '}'):
		return 95
	case head[i] == '[' && j < len(head) && (head[j] == '{' || head[j] == ']' && j+1 == len(bytes.TrimRight(head, " \t\r\n"))):
		return 90
	case head[i] == '[' && j < len(head) && head[j] == '[':
		return 50
	}
	return 0
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t' || b[i] == '\r' || b[i] == '\n') {
		i++
	}
	return i
}
