// Package otlp reads log records of the OpenTelemetry protocol (opentelemetry-
// proto 1.11, protobuf or JSON) as they came over the wire.
//
// A record stands under a resource and a scope that it shares with others. In
// the data of a block each record's frame is its own bytes, exactly as sent; a
// reference stands right before it and says how far back those of its resource
// and scope are:
//
//	resource block │ scope block │ reference, record │ reference, record │ …
//
//	reference  4 bytes "OTL" and P (protobuf) or J (JSON)
//	           4 × 4 bytes, little endian: how far the resource block begins
//	           before the record, its length, and the same of the scope block;
//	           a length of 0 is none
//	block      the ResourceLogs without its scope_logs, the ScopeLogs without
//	           its log_records, in the record's encoding
//
// Distances are relative, so that data may be cut between records as long as
// the blocks stay with them. [Walk] and [Writer] make such data; a record
// without a reference is read without resource and scope.
//
// The tree of a record: a body that is a map gives its members, so that rules
// meet the vendor's own fields; a body of text is read by package sniff, as a
// file of its own format would be; any other is the member body. Beside these
// stand, where they are set,
//
//	attributes       object of the record's attributes
//	resource         object of the resource's attributes
//	scope            {name, version, attributes}
//	severity_number, severity_text, event_name, flags, dropped_attributes_count
//	trace_id, span_id                       hexadecimal, lower case
//	time_unix_nano, observed_time_unix_nano numbers
//
// Bytes are text in base64, and numbers that JSON has not are text (NaN). The
// record's time is time_unix_nano; Record.Sent is observed_time_unix_nano.
// Record.Hint is the stem of the attribute log.file.name, else the resource's
// service.name. Both encodings of a record give the same tree, but for the
// spelling of fractions.
//
// A record is refused when it is not in its encoding, has more than
// [event.ObjectKeysMax] attributes, or nests deeper than [event.DepthMax]; in
// JSON the nesting of its text counts, some five levels for one of the values.
// A Format's functions may be called by any goroutine, a parser by one at a
// time; memory is in proportion to one record with its blocks.
package otlp

import (
	"encoding/binary"
	"io"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/lines"
	"github.com/tiercel-io/tiercel/format/sniff"
)

// Encoding is how a request and its records are encoded.
type Encoding byte

// The encodings.
const (
	Protobuf Encoding = 'P'
	JSON     Encoding = 'J'
)

// Format returns the format, called otlp. No file is of it: Detect is 0, and
// its splitter takes lines, each a record in JSON.
func Format() format.Format {
	return format.Format{
		Name:   "otlp",
		About:  "OpenTelemetry log records, as sent",
		Detect: func([]byte, string) int { return 0 },
		NewSplitter: func(r io.Reader, _ format.Options) format.Splitter {
			return splitter{lines.NewReader(r)}
		},
		NewParser: func(o format.Options) format.Parser { return &parser{text: sniff.New(o)} },
	}
}

type splitter struct{ lines *lines.Reader }

// Next implements format.Splitter.
func (s splitter) Next(b *format.Block) error { return s.lines.Fill(b) }

type parser struct {
	text  *sniff.Reader
	rec   event.Record
	src   event.Tree // of a record in JSON
	buf   []byte
	body  []byte // the text of a body in JSON, which its record borrows
	hint  string
	times struct{ at, observed uint64 }

	resource, scope cached
}

// Parse implements format.Parser.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	raw := b.Data[f.Start:f.End]
	enc, resource, scope := reference(b.Data, f)
	p.hint = ""
	var first error
	finish := func(rec *event.Record, add func(*event.Tree) error) {
		rec.Raw, rec.Line, rec.Offset = raw, f.Line, f.Offset
		err := add(&rec.Tree)
		if err == nil {
			err = rec.Tree.Err()
		}
		if err != nil {
			if first == nil {
				first = err
			}
			return
		}
		rec.Hint = p.hint
		if p.times.at != 0 {
			rec.Time, rec.TimeQuality = unixNano(p.times.at), event.TimeParsed
		}
		if p.times.observed != 0 {
			rec.Sent = unixNano(p.times.observed)
		}
		emit(rec)
	}
	var err error
	if enc == JSON {
		err = p.fromJSON(raw, resource, scope, finish)
	} else {
		err = p.fromProtobuf(raw, resource, scope, finish)
	}
	if err == nil {
		err = first
	}
	return err
}

func unixNano(v uint64) time.Time {
	return time.Unix(int64(v/1e9), int64(v%1e9)).UTC()
}

// referenceBytes is the length of a reference.
const referenceBytes = 20

// reference finds the blocks of a record.
func reference(data []byte, f format.Frame) (enc Encoding, resource, scope []byte) {
	if f.Start >= referenceBytes {
		r := data[f.Start-referenceBytes : f.Start]
		enc = Encoding(r[3])
		if string(r[:3]) == "OTL" && (enc == Protobuf || enc == JSON) {
			return enc, before(data, f.Start, r[4:]), before(data, f.Start, r[12:])
		}
	}
	if raw := data[f.Start:f.End]; len(raw) > 0 && raw[0] == '{' {
		return JSON, nil, nil // no field of a LogRecord begins with that byte
	}
	return Protobuf, nil, nil
}

// before returns the block that r refers to from at, nil when there is none or
// r does not stay within data.
func before(data []byte, at int, r []byte) []byte {
	back, n := int(binary.LittleEndian.Uint32(r)), int(binary.LittleEndian.Uint32(r[4:]))
	if n == 0 || back > at || n > back-referenceBytes {
		return nil
	}
	return data[at-back : at-back+n]
}

// Writer makes data with records and their blocks.
type Writer struct {
	// Data is what was written; the caller may set it before the first record.
	Data []byte

	enc             Encoding
	resource, scope []byte
	at              struct{ resource, scope int } // in Data; -1 while not written
}

// Begin sets the encoding; blocks begin anew.
func (w *Writer) Begin(enc Encoding) {
	w.enc, w.resource, w.scope = enc, nil, nil
	w.Again()
}

// Resource and Scope set the blocks of the records to come. They are copied
// when the first of these is written.
func (w *Writer) Resource(block []byte) {
	w.resource, w.at.resource = append(w.resource[:0], block...), -1
}

// Scope sets the scope block; see [Writer.Resource].
func (w *Writer) Scope(block []byte) { w.scope, w.at.scope = append(w.scope[:0], block...), -1 }

// Again writes the blocks again before the next record, so that data may be cut
// here.
func (w *Writer) Again() { w.at.resource, w.at.scope = -1, -1 }

// BlockBytes is the length of the current blocks.
func (w *Writer) BlockBytes() int { return len(w.resource) + len(w.scope) }

// Record writes a record and returns its frame.
func (w *Writer) Record(raw []byte) format.Frame {
	if w.at.resource < 0 {
		w.at.resource = len(w.Data)
		w.Data = append(w.Data, w.resource...)
	}
	if w.at.scope < 0 {
		w.at.scope = len(w.Data)
		w.Data = append(w.Data, w.scope...)
	}
	start := len(w.Data) + referenceBytes
	w.Data = append(w.Data, 'O', 'T', 'L', byte(w.enc))
	for _, v := range []int{start - w.at.resource, len(w.resource), start - w.at.scope, len(w.scope)} {
		w.Data = binary.LittleEndian.AppendUint32(w.Data, uint32(v))
	}
	w.Data = append(w.Data, raw...)
	return format.Frame{Start: start, End: len(w.Data)}
}
