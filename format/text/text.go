// Package text reads logs of which nothing is known but that they are text.
// A record is {"message": …}, the line as it stands, or several lines:
//
//   - a line that begins with white space belongs to the record before it, as
//     the frames of a stack trace do;
//   - where the lines of a file begin with a time, a line that does not belongs
//     to the record before it. A file is such a one if its first line begins
//     with a time, and at least a third of the lines of its first 64 KiB that
//     do not begin with white space.
//
// A record has at most 1,000 lines and [event.RecordBytesMax] bytes; what goes
// on behind that begins a new one.
package text

import (
	"bytes"
	"io"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/keep"
	"github.com/tiercel-io/tiercel/format/lines"
	"github.com/tiercel-io/tiercel/timestamp"
)

// LinesMax bounds the lines of one record: stack traces with their causes have
// some hundreds.
const LinesMax = 1000

// Format returns the text format, called text.
func Format() format.Format {
	return format.Format{
		Name:   "text",
		About:  "lines of any text, with their continuation lines",
		Detect: detect,
		NewSplitter: func(r io.Reader, o format.Options) format.Splitter {
			return &splitter{lines: lines.NewReader(r)}
		},
		NewParser:     func(o format.Options) format.Parser { return &parser{hint: format.Stem(o.Name)} },
		AppendContext: appendManner,
		ParseContext:  parseManner,
		Resume: func(r io.Reader, o format.Options, at format.Place) format.Resumable {
			s := &splitter{lines: lines.Resume(r, at)}
			if m, ok := at.Context.(manner); ok {
				s.looked, s.stamped = true, bool(m)
			}
			return s
		},
	}
}

// detect takes what is not binary: after the zeros that a rotated log may begin
// with, at most one byte in ten is a control character that text has no use
// for. It is the last resort, so it is hardly sure.
func detect(head []byte, name string) int {
	head = bytes.TrimLeft(lines.Head(head), "\x00")
	control := 0
	for _, c := range head {
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b {
			control++
		}
	}
	if len(head) == 0 || control*10 > len(head) {
		return 0
	}
	return 1
}

const headBytes = 64 << 10

// manner is the Context of blocks, for who takes up a stream: whether records
// begin with a time.
type manner bool

func appendManner(dst []byte, context any) []byte {
	m, ok := context.(manner)
	switch {
	case !ok:
		return dst
	case bool(m):
		return append(dst, 1)
	}
	return append(dst, 0)
}

func parseManner(context []byte) (any, error) {
	if len(context) == 0 {
		return nil, nil
	}
	if len(context) != 1 || context[0] > 1 {
		return nil, keep.ErrContext
	}
	return manner(context[0] == 1), nil
}

type splitter struct {
	lines   *lines.Reader
	looked  bool
	stamped bool // records begin with a time
}

// Rest implements format.Resumable.
func (s *splitter) Rest() format.Place {
	at := s.lines.Place()
	if s.looked {
		at.Context = manner(s.stamped)
	}
	return at
}

// Next implements format.Splitter.
func (s *splitter) Next(b *format.Block) error {
	if !s.looked {
		s.looked = true
		s.stamped = stamped(s.lines.Peek(headBytes))
	}
	if err := s.lines.Fill(b); err != nil {
		return err
	}
	b.Context = manner(s.stamped)
	waits := s.lines.Waits()
	kept, count := 0, 0
	for _, f := range b.Frames {
		line := b.Data[f.Start:f.End]
		if kept > 0 && count < LinesMax && f.End-b.Frames[kept-1].Start <= event.RecordBytesMax && s.continues(line) {
			b.Frames[kept-1].End = f.End
			count++
			continue
		}
		b.Frames[kept] = f
		kept++
		count = 1
	}
	b.Frames = b.Frames[:kept]
	// The last record may go on behind the block, unless it is full.
	if last := kept - 1; last >= 0 && !s.lines.Done() && count < LinesMax && b.Frames[last].End-b.Frames[last].Start <= event.RecordBytesMax/2 {
		if last > 0 || len(b.Data) <= event.RecordBytesMax {
			s.lines.PushBack(b, last)
			if waits && last == 0 && len(b.Problems) == 0 {
				return format.ErrMore
			}
		}
	}
	return nil
}

func (s *splitter) continues(line []byte) bool {
	return line[0] == ' ' || line[0] == '\t' || s.stamped && !begins(line)
}

// begins reports whether line begins with a time, in brackets perhaps.
func begins(line []byte) bool {
	if line[0] == '[' && len(line) > 1 {
		line = line[1:]
	}
	// The longest form of a time has some 40 bytes.
	_, _, n := timestamp.Prefix(line[:min(len(line), 64)], timestamp.Options{Reference: someTime})
	return n > 0
}

// someTime lets times without a year be read where only their form counts.
var someTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// stamped reports whether the records of a file that begins with head begin
// with a time.
func stamped(head []byte) bool {
	with, without := 0, 0
	for line := range bytes.Lines(head) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 || line[0] == ' ' || line[0] == '\t' {
			continue
		}
		switch {
		case begins(line):
			with++
		case with == 0:
			return false
		default:
			without++
		}
	}
	return with > 0 && 2*with >= without
}

type parser struct {
	rec  event.Record
	hint string
}

// Parse implements format.Parser.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	rec := &p.rec
	rec.Reset(b.Data[f.Start:f.End])
	rec.Format, rec.Hint, rec.Line, rec.Offset = "text", p.hint, f.Line, f.Offset
	rec.Tree.BeginObject()
	rec.Tree.PutKeyText("message")
	rec.Tree.PutSpan(0, len(rec.Raw))
	rec.Tree.EndContainer()
	if err := rec.Tree.Err(); err != nil {
		return err
	}
	emit(rec)
	return nil
}
