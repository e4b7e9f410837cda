// Package zeek reads the tab-separated logs of Zeek (and Bro before it), whose
// header lines name and type the columns:
//
//	#separator \x09
//	#set_separator	,
//	#empty_field	(empty)
//	#unset_field	-
//	#path	conn
//	#fields	ts	uid	id.orig_h	…
//	#types	time	string	addr	…
//
// The header may change within a file. A record is an object with "_path" from
// #path, as Zeek's own JSON stream has it, and the columns by their names, dots
// included. Columns of type count, int, double, time, interval and port are
// numbers as they are spelled, bool is true or false, set and vector are
// arrays, all else is a string with \xNN decoded. An unset value is null, an
// empty one the empty string or array. The time of a record is its column ts.
//
// A line with fewer or more values than the header names gives a record with
// those that have a name, and an error. Zeek's JSON logs are read by package
// json.
package zeek

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/keep"
	"github.com/tiercel-io/tiercel/format/lines"
	"github.com/tiercel-io/tiercel/timestamp"
)

// Format returns the Zeek format, called zeek.
func Format() format.Format {
	return format.Format{
		Name:  "zeek",
		About: "Zeek logs with tab-separated columns and header lines",
		Detect: func(head []byte, name string) int {
			head = lines.Head(head)
			if bytes.HasPrefix(head, []byte("#separator ")) {
				return 98
			}
			if bytes.HasPrefix(head, []byte("#fields\t")) {
				return 90
			}
			return 0
		},
		NewSplitter: func(r io.Reader, o format.Options) format.Splitter {
			return lines.NewSectioned(lines.NewReader(r), nextHeader)
		},
		NewParser: func(o format.Options) format.Parser { return &parser{stem: format.Stem(o.Name)} },
		AppendContext: func(dst []byte, context any) []byte {
			return lines.AppendSections(dst, context, appendHeader)
		},
		ParseContext: func(context []byte) (any, error) { return lines.ParseSections(context, parseHeader) },
		Resume: func(r io.Reader, o format.Options, at format.Place) format.Resumable {
			return lines.ResumeSectioned(lines.Resume(r, at), nextHeader, at)
		},
	}
}

// header is what header lines have said so far.
type header struct {
	separator    string
	setSeparator string
	empty, unset string
	path         string
	columns      []column
	types        []string
}

// appendHeader encodes a header: the kinds of columns besides the types, since
// they are those of the types that held when the columns were named.
func appendHeader(dst []byte, h *header) []byte {
	for _, s := range []string{h.separator, h.setSeparator, h.empty, h.unset, h.path} {
		dst = keep.AppendText(dst, s)
	}
	dst = keep.AppendNumber(dst, int64(len(h.columns)))
	for _, c := range h.columns {
		dst = keep.AppendText(dst, c.name)
		dst = append(dst, byte(c.kind)<<4|byte(c.item))
	}
	dst = keep.AppendNumber(dst, int64(len(h.types)))
	for _, t := range h.types {
		dst = keep.AppendText(dst, t)
	}
	return dst
}

// parseHeader reads what appendHeader wrote.
func parseHeader(r *keep.Reader) *header {
	h := &header{separator: r.Text(), setSeparator: r.Text(), empty: r.Text(), unset: r.Text(), path: r.Text()}
	if h.separator == "" {
		r.Fail() // a line would never end
	}
	for range r.Count() {
		c := column{name: r.Text()}
		kinds := r.Byte()
		if c.kind, c.item = kind(kinds>>4), kind(kinds&15); c.kind > list || c.item > list {
			r.Fail()
		}
		h.columns = append(h.columns, c)
	}
	for range r.Count() {
		h.types = append(h.types, r.Text())
	}
	return h
}

type column struct {
	name string
	kind kind
	item kind // of a set or vector
}

type kind uint8

const (
	text kind = iota
	number
	boolean
	list
)

func kindOf(t string) (k, item kind) {
	if inner, ok := strings.CutSuffix(t, "]"); ok {
		for _, container := range []string{"set[", "vector[", "table["} {
			if of, ok := strings.CutPrefix(inner, container); ok {
				item, _ = kindOf(of)
				return list, item
			}
		}
	}
	switch t {
	case "count", "int", "double", "time", "interval", "port":
		return number, text
	case "bool":
		return boolean, text
	}
	return text, text
}

func nextHeader(old *header, line []byte) *header {
	h := header{separator: "\t", setSeparator: ",", empty: "(empty)", unset: "-"}
	if old != nil {
		h = *old
	}
	rest := string(line[1:])
	if sep, ok := strings.CutPrefix(rest, "separator "); ok {
		// A new header begins.
		h = header{separator: string(unescape(nil, []byte(sep))), setSeparator: ",", empty: "(empty)", unset: "-"}
		if h.separator == "" {
			h.separator = "\t"
		}
		return &h
	}
	name, value, _ := strings.Cut(rest, h.separator)
	switch name {
	case "set_separator":
		h.setSeparator = string(unescape(nil, []byte(value)))
	case "empty_field":
		h.empty = value
	case "unset_field":
		h.unset = value
	case "path":
		h.path = value
	case "fields":
		h.columns = nil
		for _, c := range strings.Split(value, h.separator) {
			h.columns = append(h.columns, column{name: c})
		}
		h.setTypes()
	case "types":
		h.types = strings.Split(value, h.separator)
		h.columns = append([]column(nil), h.columns...)
		h.setTypes()
	default:
		return old
	}
	return &h
}

// setTypes joins columns and types, in whichever order their lines come.
func (h *header) setTypes() {
	if len(h.types) != len(h.columns) {
		return
	}
	for i, t := range h.types {
		h.columns[i].kind, h.columns[i].item = kindOf(t)
	}
}

type parser struct {
	rec  event.Record
	stem string
}

var errNoFields = fmt.Errorf("there is no #fields line before it, so its columns have no names")

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
	rec.Format, rec.Line, rec.Offset = "zeek", f.Line, f.Offset
	if rec.Hint = h.path; h.path == "" {
		rec.Hint = p.stem
	}
	t := &rec.Tree
	t.BeginObject()
	if h.path != "" {
		t.PutKeyText("_path")
		t.PutText(h.path)
	}
	count, more := 0, true
	rest := rec.Raw
	for ; more; count++ {
		var value []byte
		value, rest, more = bytes.Cut(rest, []byte(h.separator))
		if count >= len(h.columns) {
			continue
		}
		c := &h.columns[count]
		t.PutKeyText(c.name)
		if string(value) == h.unset {
			t.PutNull()
			continue
		}
		if c.name == "ts" && c.kind == number {
			if at, q, ok := timestamp.ParseLayout(value, "epoch_s", timestamp.Options{}); ok {
				rec.Time, rec.TimeQuality = at, q
			}
		}
		h.put(t, c, value)
	}
	t.EndContainer()
	if err := t.Err(); err != nil {
		return err
	}
	emit(rec)
	if count != len(h.columns) {
		return fmt.Errorf("it has %d values, and the header names %d columns", count, len(h.columns))
	}
	return nil
}

func (h *header) put(t *event.Tree, c *column, value []byte) {
	if c.kind != list {
		h.putScalar(t, c.kind, value)
		return
	}
	t.BeginArray()
	if string(value) != h.empty {
		for more := true; more; {
			var item []byte
			if h.setSeparator == "" {
				item, value, more = value, nil, false
			} else {
				item, value, more = bytes.Cut(value, []byte(h.setSeparator))
			}
			if string(item) == h.unset {
				t.PutNull()
			} else {
				h.putScalar(t, c.item, item)
			}
		}
	}
	t.EndContainer()
}

func (h *header) putScalar(t *event.Tree, k kind, value []byte) {
	switch {
	case k == number:
		t.PutNumber(value) // what is no number is kept as text
	case k == boolean && string(value) == "T":
		t.PutBool(true)
	case k == boolean && string(value) == "F":
		t.PutBool(false)
	case string(value) == h.empty:
		t.PutText("")
	case bytes.IndexByte(value, '\\') >= 0:
		t.PutArenaText(unescape(t.Arena(), value))
	default:
		t.PutString(value)
	}
}

// unescape appends s with \xNN decoded.
func unescape(dst, s []byte) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' {
			high, ok1 := hexDigit(s[i+2])
			low, ok2 := hexDigit(s[i+3])
			if ok1 && ok2 {
				dst = append(dst, high<<4|low)
				i += 3
				continue
			}
		}
		dst = append(dst, s[i])
	}
	return dst
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
