package json

import (
	"bytes"
	"io"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/lines"
)

// headBytes is how much of a file decides how it is cut.
const headBytes = 64 << 10

// splitter decides at the first block how the file is cut.
type splitter struct {
	lines     *lines.Reader
	structure *structureSplitter
	decided   bool
}

func newSplitter(r io.Reader) *splitter { return &splitter{lines: lines.NewReader(r)} }

// Rest implements format.Resumable.
func (s *splitter) Rest() format.Place { return s.lines.Place() }

// Next implements format.Splitter.
func (s *splitter) Next(b *format.Block) error {
	if !s.decided {
		s.decided = true
		if byStructure(s.lines.Peek(headBytes)) {
			text, offset := s.lines.Rest()
			s.structure = newStructureSplitter(text, offset)
		}
	}
	if s.structure != nil {
		return s.structure.Next(b)
	}
	return s.lines.Fill(b)
}

// byStructure reports whether a file that begins with head must be cut by
// structure: it begins with an array or an envelope, or its first object goes
// on behind the first line. An object that does not close on its line, while
// one of the next lines is a whole object, is a broken line of NDJSON.
func byStructure(head []byte) bool {
	i := skipSpace(head, 0)
	if i == len(head) {
		return false
	}
	switch head[i] {
	case '[':
		return true
	case '{':
	default:
		return false
	}
	if envelope(head[i:]) > 0 {
		return true
	}
	first, rest, more := bytes.Cut(head[i:], []byte{'\n'})
	if !more {
		return false
	}
	if closes(first) {
		return false
	}
	if bytes.IndexByte(first, '"') < 0 {
		return true
	}
	const linesMax = 8
	for range linesMax {
		var line []byte
		line, rest, more = bytes.Cut(rest, []byte{'\n'})
		line = bytes.TrimRight(line, " \t\r")
		if len(line) > 2 && line[0] == '{' && closes(line) {
			return false
		}
		if !more {
			break
		}
	}
	return true
}

// closes reports whether the object that line begins with ends in it.
func closes(line []byte) bool {
	var s scanner
	_, state := s.scan(line, 0)
	return state != scanMore
}
