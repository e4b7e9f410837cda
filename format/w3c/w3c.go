// Package w3c reads the W3C Extended Log File Format, which IIS and other
// Windows servers write: lines of values divided by blanks, and directives
// between them that name the columns:
//
//	#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query sc-status
//
// A record is an object with the columns by their names; every value is a
// string as it stands, and - is null. A value in double quotes may hold blanks,
// and "" for a quote. The time is date and time together, or the time with the
// date of the last #Date directive, in UTC as the format demands.
//
// A line with fewer or more values than the directive names gives a record
// with those that have a name, and an error.
package w3c

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
	"github.com/tiercel-io/tiercel/timestamp"
)

// Format returns the W3C format, called w3c.
func Format() format.Format {
	return format.Format{
		Name:   "w3c",
		About:  "W3C extended logs, as of IIS",
		Detect: detect,
		NewSplitter: func(r io.Reader, o format.Options) format.Splitter {
			return lines.NewSectioned(lines.NewReader(r), nextHeader)
		},
		NewParser: func(o format.Options) format.Parser { return &parser{hint: format.Stem(o.Name)} },
		AppendContext: func(dst []byte, context any) []byte {
			return lines.AppendSections(dst, context, appendHeader)
		},
		ParseContext: func(context []byte) (any, error) { return lines.ParseSections(context, parseHeader) },
		Resume: func(r io.Reader, o format.Options, at format.Place) format.Resumable {
			return lines.ResumeSectioned(lines.Resume(r, at), nextHeader, at)
		},
	}
}

// detect looks for #Fields: among the lines that begin with #.
func detect(head []byte, name string) int {
	head = lines.Head(head)
	for len(head) > 0 && head[0] == '#' {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte{'\n'})
		if bytes.HasPrefix(line, []byte("#Fields:")) {
			return 97
		}
	}
	return 0
}

type header struct {
	columns []string
	date    string // of #Date
	dateAt  int    // column of the date, -1 for none
	timeAt  int
}

// appendHeader encodes a header.
func appendHeader(dst []byte, h *header) []byte {
	dst = keep.AppendText(dst, h.date)
	dst = keep.AppendNumber(dst, int64(len(h.columns)))
	for _, c := range h.columns {
		dst = keep.AppendText(dst, c)
	}
	return dst
}

// parseHeader reads what appendHeader wrote.
func parseHeader(r *keep.Reader) *header {
	h := &header{date: r.Text()}
	for range r.Count() {
		h.columns = append(h.columns, r.Text())
	}
	h.find()
	return h
}

// find sets where date and time stand.
func (h *header) find() {
	h.dateAt, h.timeAt = -1, -1
	for i, c := range h.columns {
		switch c {
		case "date":
			h.dateAt = i
		case "time":
			h.timeAt = i
		}
	}
}

func nextHeader(old *header, line []byte) *header {
	h := header{dateAt: -1, timeAt: -1}
	if old != nil {
		h = *old
	}
	name, value, _ := strings.Cut(string(line[1:]), ":")
	switch name {
	case "Fields":
		h.columns = strings.Fields(value)
		h.find()
	case "Date":
		if f := strings.Fields(value); len(f) > 0 {
			h.date = f[0]
		}
	default:
		return old
	}
	return &h
}

type parser struct {
	rec  event.Record
	hint string
	when []byte
}

var errNoFields = errors.New("there is no #Fields line before it, so its columns have no names")

// Parse implements format.Parser.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	sections, _ := b.Context.(*lines.Sections[header])
	var h *header
	if sections != nil {
		h = sections.At(f)
	}
	if h == nil || len(h.columns) == 0 {
		return errNoFields
	}
	rec := &p.rec
	rec.Reset(b.Data[f.Start:f.End])
	rec.Format, rec.Hint, rec.Line, rec.Offset = "w3c", p.hint, f.Line, f.Offset
	t := &rec.Tree
	t.BeginObject()
	var date, clock []byte
	count := 0
	raw := rec.Raw
	for i := skipBlanks(raw, 0); i < len(raw); i = skipBlanks(raw, i) {
		start, end, next := value(raw, i)
		i = next
		if count < len(h.columns) {
			t.PutKeyText(h.columns[count])
			switch {
			case end-start == 1 && next == end && raw[start] == '-':
				t.PutNull()
			case next > end && bytes.Contains(raw[start:end], []byte(`""`)):
				t.PutArenaText(append(t.Arena(), bytes.ReplaceAll(raw[start:end], []byte(`""`), []byte(`"`))...))
			default:
				t.PutSpan(start, end)
			}
			switch count {
			case h.dateAt:
				date = raw[start:end]
			case h.timeAt:
				clock = raw[start:end]
			}
		}
		count++
	}
	t.EndContainer()
	if err := t.Err(); err != nil {
		return err
	}
	if date == nil {
		date = []byte(h.date)
	}
	if clock != nil && len(date) > 0 {
		p.when = append(append(append(append(p.when[:0], date...), 'T'), clock...), 'Z')
		if at, q, ok := timestamp.ParseLayout(p.when, "rfc3339", timestamp.Options{}); ok {
			rec.Time, rec.TimeQuality = at, q
		}
	}
	emit(rec)
	if count != len(h.columns) {
		return fmt.Errorf("it has %d values, and the #Fields line names %d columns", count, len(h.columns))
	}
	return nil
}

func skipBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
	}
	return i
}

// value returns the value at b[i:] without its quotes, and what follows it.
func value(b []byte, i int) (start, end, next int) {
	if b[i] == '"' {
		for j := i + 1; j < len(b); j++ {
			if b[j] != '"' {
				continue
			}
			if j+1 < len(b) && b[j+1] == '"' {
				j++
				continue
			}
			if j+1 == len(b) || b[j+1] == ' ' || b[j+1] == '\t' {
				return i + 1, j, j + 1
			}
			break
		}
	}
	end = i
	for end < len(b) && b[end] != ' ' && b[end] != '\t' {
		end++
	}
	return i, end, end
}
