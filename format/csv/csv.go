// Package csv reads tables of text: CSV as RFC 4180 has it, and the same
// divided by semicolons, tabs or bars, with a header row.
//
// The divider is the one of , ; tab | that the header row has most of outside
// quotes. A record is an object with the columns by the names in the header,
// every value a string without its quotes; a column without a name is called
// column and its number from 1. A quoted value may hold dividers, line ends and
// "" for a quote; a quote inside an unquoted value is a character like any
// other.
//
// A row with fewer values than the header gives a record with those, and an
// error; so does one with more, and those without a name are left out of the
// record (they are in its raw bytes). A quote that is not closed within 1,000
// lines and [event.RecordBytesMax] is broken: its line is a row alone, and gives
// an error; after eight of them quoted line ends are no longer looked for.
package csv

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/keep"
	"github.com/tiercel-io/tiercel/format/lines"
)

// Format returns the CSV format, called csv.
func Format() format.Format {
	return format.Format{
		Name:   "csv",
		About:  "comma-separated values with a header row; also with semicolons, tabs or bars",
		Detect: detect,
		NewSplitter: func(r io.Reader, o format.Options) format.Splitter {
			return &splitter{lines: lines.NewReader(r)}
		},
		NewParser:     func(o format.Options) format.Parser { return &parser{hint: format.Stem(o.Name)} },
		AppendContext: appendHeader,
		ParseContext:  parseHeader,
		Resume: func(r io.Reader, o format.Options, at format.Place) format.Resumable {
			s := &splitter{lines: lines.Resume(r, at)}
			s.header, _ = at.Context.(*header)
			return s
		},
	}
}

// Header is the Context of the blocks of a file.
type header struct {
	divider byte
	columns []string
}

// appendHeader encodes a header; that there is none yet as nothing.
func appendHeader(dst []byte, context any) []byte {
	h, _ := context.(*header)
	if h == nil {
		return dst
	}
	dst = append(dst, h.divider)
	dst = keep.AppendNumber(dst, int64(len(h.columns)))
	for _, c := range h.columns {
		dst = keep.AppendText(dst, c)
	}
	return dst
}

// parseHeader reads what appendHeader wrote.
func parseHeader(context []byte) (any, error) {
	if len(context) == 0 {
		return (*header)(nil), nil
	}
	r := keep.NewReader(context)
	h := &header{divider: r.Byte()}
	for range r.Count() {
		h.columns = append(h.columns, r.Text())
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return h, nil
}

// dividers are tried in this order; of equals the first wins.
var dividers = [...]byte{',', '\t', ';', '|'}

func sniffDivider(row []byte) (divider byte, count int) {
	for _, d := range dividers {
		n := -1
		for i := 0; i >= 0; n++ {
			_, _, i, _ = next(row, i, d)
		}
		if n > count {
			divider, count = d, n
		}
	}
	return divider, count
}

// next reads the value at row[i:]: its text is row[start:end], behind is where
// the next one begins, or -1. open says that its quote is not closed.
func next(row []byte, i int, divider byte) (start, end, behind int, open bool) {
	if i < len(row) && row[i] == '"' {
		start = i + 1
		j := start
		for {
			k := bytes.IndexByte(row[j:], '"')
			if k < 0 {
				return start, len(row), -1, true
			}
			j += k + 1
			if j < len(row) && row[j] == '"' {
				j++
				continue
			}
			break
		}
		// Text between the closing quote and the divider is left out.
		if k := bytes.IndexByte(row[j:], divider); k >= 0 {
			return start, j - 1, j + k + 1, false
		}
		return start, j - 1, -1, false
	}
	if k := bytes.IndexByte(row[i:], divider); k >= 0 {
		return i, i + k, i + k + 1, false
	}
	return i, len(row), -1, false
}

// open reports whether row ends inside a quoted value.
func open(row []byte, divider byte) bool {
	if bytes.IndexByte(row, '"') < 0 {
		return false
	}
	for i := 0; i >= 0; {
		var unclosed bool
		if _, _, i, unclosed = next(row, i, divider); unclosed {
			return true
		}
	}
	return false
}

func newHeader(row []byte) *header {
	h := &header{}
	var count int
	if h.divider, count = sniffDivider(row); count == 0 {
		h.divider = ','
	}
	for i := 0; i >= 0; {
		var start, end int
		start, end, i, _ = next(row, i, h.divider)
		name := strings.TrimSpace(strings.ReplaceAll(string(row[start:end]), `""`, `"`))
		if name == "" {
			name = fmt.Sprintf("column%d", len(h.columns)+1)
		}
		h.columns = append(h.columns, name)
	}
	return h
}

const detectRows = 5

// detect wants two columns or more with names that are different and no
// numbers, and rows below of as many values. A name that ends in .csv or .tsv
// makes it surer.
func detect(head []byte, name string) int {
	text := lines.Head(head)
	first, rest, more := bytes.Cut(text, []byte{'\n'})
	first = bytes.TrimRight(first, "\r")
	h := newHeader(first)
	if len(h.columns) < 2 || !more || first[0] == '#' || first[0] == '{' || first[0] == '[' || first[0] == '<' {
		return 0
	}
	seen := map[string]bool{}
	for _, c := range h.columns {
		const nameMax = 80
		if seen[c] || len(c) > nameMax || strings.Trim(c, "0123456789.-:/ ") == "" || strings.ContainsAny(c, "=<>{}\x00") {
			return 0
		}
		seen[c] = true
	}
	good, bad := 0, 0
	for good+bad < detectRows && len(rest) > 0 {
		row := 0 // length of the row so far, its line ends included
		closed := false
		for n := 0; n < linesMax && !closed; n++ {
			end := bytes.IndexByte(rest[row:], '\n')
			if end < 0 {
				break // the last line may be cut
			}
			row += end + 1
			closed = !open(rest[:row], h.divider)
		}
		if !closed {
			break
		}
		line := bytes.TrimRight(rest[:row], "\r\n")
		rest = rest[row:]
		if lines.Blank(line) {
			continue
		}
		n := 0
		for i := 0; i >= 0; n++ {
			_, _, i, _ = next(line, i, h.divider)
		}
		if n == len(h.columns) {
			good++
		} else {
			bad++
		}
	}
	if good == 0 || bad > 0 {
		return 0
	}
	name = strings.ToLower(name)
	if strings.Contains(name, ".csv") || strings.Contains(name, ".tsv") {
		return 70
	}
	return 40
}

// Bounds of quoted line ends.
const (
	linesMax  = 1000
	brokenMax = 8
)

type splitter struct {
	lines  *lines.Reader
	header *header
	broken int
}

// Rest implements format.Resumable.
func (s *splitter) Rest() format.Place { return s.lines.Place().With(s.header) }

// Next implements format.Splitter.
func (s *splitter) Next(b *format.Block) error {
	if err := s.lines.Fill(b); err != nil {
		return err
	}
	kept := 0
	for i := 0; i < len(b.Frames); {
		f := b.Frames[i]
		divider := byte(',')
		if s.header != nil {
			divider = s.header.divider
		}
		n, ok := 1, true
		if s.broken < brokenMax && quoted(b.Data[f.Start:f.End], divider, s.header == nil) {
			n, ok = s.row(b, i, divider)
		}
		if !ok {
			// The row may go on behind the block.
			waits := s.lines.Waits()
			b.Frames = append(b.Frames[:kept], f)
			s.lines.PushBack(b, kept)
			if waits && kept == 0 && len(b.Problems) == 0 {
				return format.ErrMore
			}
			break
		}
		f.End = b.Frames[i+n-1].End
		i += n
		if s.header == nil {
			s.header = newHeader(b.Data[f.Start:f.End])
			continue
		}
		b.Frames[kept] = f
		kept++
	}
	b.Frames = b.Frames[:kept]
	b.Context = s.header
	return nil
}

// quoted reports whether row ends inside a quoted value. The divider of the
// header row is not known before it is read; no divider is needed to know
// whether quotes come in pairs.
func quoted(row []byte, divider byte, first bool) bool {
	if first {
		return bytes.Count(row, []byte{'"'})%2 == 1
	}
	return open(row, divider)
}

// row returns how many lines from frame i on make one row; ok is false when
// the block does not hold its end and more may come.
func (s *splitter) row(b *format.Block, i int, divider byte) (n int, ok bool) {
	start := b.Frames[i].Start
	quotes := bytes.Count(b.Data[start:b.Frames[i].End], []byte{'"'})
	for j := i + 1; j < len(b.Frames); j++ {
		if b.Frames[j].End-start > event.RecordBytesMax || j-i >= linesMax {
			s.broken++
			return 1, true
		}
		// All quotes of a row come in pairs; a look at their number spares
		// reading the row again at each of its lines.
		quotes += bytes.Count(b.Data[b.Frames[j].Start:b.Frames[j].End], []byte{'"'})
		if quotes%2 == 0 && !quoted(b.Data[start:b.Frames[j].End], divider, s.header == nil) {
			return j - i + 1, true
		}
	}
	if s.lines.Done() || len(b.Data)-start > event.RecordBytesMax {
		s.broken++
		return 1, true
	}
	return 0, false
}

type parser struct {
	rec  event.Record
	hint string
}

var (
	errOpen     = errors.New("a quoted value does not end")
	errNoHeader = errors.New("there is no header row before it")
)

// Parse implements format.Parser.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	h, ok := b.Context.(*header)
	if !ok || h == nil {
		return errNoHeader
	}
	rec := &p.rec
	rec.Reset(b.Data[f.Start:f.End])
	rec.Format, rec.Hint, rec.Line, rec.Offset = "csv", p.hint, f.Line, f.Offset
	t, raw := &rec.Tree, rec.Raw
	t.BeginObject()
	count, unclosed := 0, false
	for i := 0; i >= 0; count++ {
		var start, end int
		start, end, i, unclosed = next(raw, i, h.divider)
		if count >= len(h.columns) {
			continue
		}
		t.PutKeyText(h.columns[count])
		// An unquoted value begins behind a divider.
		if start > 0 && raw[start-1] == '"' && bytes.Contains(raw[start:end], []byte(`""`)) {
			t.PutString(bytes.ReplaceAll(raw[start:end], []byte(`""`), []byte(`"`)))
		} else {
			t.PutSpan(start, end)
		}
	}
	t.EndContainer()
	if err := t.Err(); err != nil {
		return err
	}
	emit(rec)
	switch {
	case unclosed:
		return errOpen
	case count != len(h.columns):
		return fmt.Errorf("it has %d values, and the header row %d", count, len(h.columns))
	}
	return nil
}
