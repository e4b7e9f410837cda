// Package formattest holds what every format's tests ask of its splitter and
// parser: the contract of package format, checked on any input. Read goes over
// a stream as the pipeline does and fails the test at the first block, frame or
// record that breaks it; Fuzz does so twice, with the stream in different
// pieces. It is imported by tests only.
package formattest

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// Record is a copy of what a parser emitted.
type Record struct {
	JSON   string // the tree as compact JSON
	Raw    string
	Time   string // RFC 3339 with nanoseconds in UTC, empty when missing
	Hint   string
	Line   int64
	Offset int64
	Group  uint64
	// Quality is the time's.
	Quality event.TimeQuality
}

// Result is all that reading a stream gave.
type Result struct {
	Records  []Record
	Problems []format.Problem // of the splitter and of the parser
	Err      error            // what ended the stream, nil for io.EOF
}

// maxBlockBytes is more than any splitter needs for one block: a record at its
// limit beside a full block, with room for the block to have doubled.
const maxBlockBytes = 4*event.RecordBytesMax + 2*format.BlockBytes

// Read reads all of r and checks the contract as it goes.
func Read(t testing.TB, f format.Format, r io.Reader, o format.Options) Result {
	t.Helper()
	var (
		res   Result
		b     format.Block
		last  int64 = -1
		s           = f.NewSplitter(r, o)
		p           = f.NewParser(o)
		empty int
		seen  = map[int64]bool{}
	)
	for {
		err := s.Next(&b)
		if err != nil {
			if !errors.Is(err, io.EOF) {
				res.Err = err
			}
			if len(b.Frames) == 0 && len(b.Problems) == 0 {
				return res
			}
		}
		if len(b.Frames) == 0 && len(b.Problems) == 0 {
			if empty++; empty > 1000 {
				t.Fatalf("%s: %d empty blocks one after another", f.Name, empty)
			}
		} else {
			empty = 0
		}
		if len(b.Data) > maxBlockBytes {
			t.Fatalf("%s: a block of %d bytes", f.Name, len(b.Data))
		}
		end := 0
		for _, fr := range b.Frames {
			if fr.Start < end || fr.End < fr.Start || fr.End > len(b.Data) {
				t.Fatalf("%s: frame %+v behind %d in %d bytes", f.Name, fr, end, len(b.Data))
			}
			if fr.End-fr.Start > 2*event.RecordBytesMax {
				t.Fatalf("%s: frame of %d bytes", f.Name, fr.End-fr.Start)
			}
			if seen[fr.Offset] {
				t.Fatalf("%s: two frames at offset %d", f.Name, fr.Offset)
			}
			// The records of one audit event stand between those of others.
			if fr.Offset <= last && f.Name != "auditd" {
				t.Fatalf("%s: frame at offset %d behind one at %d", f.Name, fr.Offset, last)
			}
			last = fr.Offset
			seen[fr.Offset] = true
			end = fr.End
			err := p.Parse(&b, fr, func(rec *event.Record) { res.Records = append(res.Records, clone(t, f, rec)) })
			if err != nil {
				res.Problems = append(res.Problems, format.Problem{Offset: fr.Offset, Line: fr.Line, Err: err})
			}
		}
		res.Problems = append(res.Problems, b.Problems...)
		if err != nil {
			return res
		}
	}
}

func clone(t testing.TB, f format.Format, rec *event.Record) Record {
	t.Helper()
	if rec.Format != f.Name {
		t.Fatalf("record of format %q from %q", rec.Format, f.Name)
	}
	if err := rec.Tree.Err(); err != nil {
		t.Fatalf("%s: a record whose tree has run into a limit: %v", f.Name, err)
	}
	c := Record{
		JSON: string(rec.Tree.AppendJSON(nil, 0)), Raw: string(rec.Raw), Hint: rec.Hint,
		Line: rec.Line, Offset: rec.Offset, Group: rec.Group, Quality: rec.TimeQuality,
	}
	if rec.TimeQuality != event.TimeMissing {
		c.Time = rec.Time.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
	}
	return c
}

// Text reads a string.
func Text(t testing.TB, f format.Format, text string, o format.Options) Result {
	t.Helper()
	return Read(t, f, bytes.NewReader([]byte(text)), o)
}

// Fuzz checks the properties that hold for any input: the contract of package
// format, the same result however the stream comes in pieces, and for input
// whose bytes are kept as they are, raw bytes that stand at their offset.
func Fuzz(t *testing.T, f format.Format, data []byte, o format.Options) {
	t.Helper()
	whole := Read(t, f, bytes.NewReader(data), o)
	pieces := Read(t, f, &trickle{data: data}, o)
	if len(whole.Records) != len(pieces.Records) || len(whole.Problems) != len(pieces.Problems) {
		t.Fatalf("%d records and %d problems at once, %d and %d in pieces",
			len(whole.Records), len(whole.Problems), len(pieces.Records), len(pieces.Problems))
	}
	for i := range whole.Records {
		if whole.Records[i] != pieces.Records[i] {
			t.Fatalf("record %d differs:\n%+v\n%+v", i, whole.Records[i], pieces.Records[i])
		}
	}
}

// Verbatim checks that each record's raw bytes stand at its offset in data.
func Verbatim(t *testing.T, data []byte, res Result) {
	t.Helper()
	for i, rec := range res.Records {
		if rec.Offset < 0 || rec.Offset+int64(len(rec.Raw)) > int64(len(data)) ||
			string(data[rec.Offset:rec.Offset+int64(len(rec.Raw))]) != rec.Raw {
			t.Fatalf("record %d is not at its offset %d: %q", i, rec.Offset, rec.Raw)
		}
	}
}

// trickle gives its bytes in pieces of 1, 2, 3 … 61, 1 … bytes.
type trickle struct {
	data []byte
	n    int
}

func (r *trickle) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	r.n = r.n%61 + 1
	n := copy(p[:min(len(p), r.n)], r.data)
	r.data = r.data[n:]
	return n, nil
}

// Repeat is a reader of a text repeated until size bytes are out, which needs
// no memory for them.
func Repeat(text string, size int64) io.Reader {
	return &repeat{text: text, left: size}
}

type repeat struct {
	text string
	at   int
	left int64
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.left)]
	n := 0
	for n < len(p) {
		c := copy(p[n:], r.text[r.at:])
		n += c
		r.at = (r.at + c) % len(r.text)
	}
	r.left -= int64(n)
	return n, nil
}
