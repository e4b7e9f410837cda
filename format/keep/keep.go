// Package keep is the encoding of block contexts
// (format.Format.AppendContext): numbers and texts one after another, without
// names, each format knowing its own order. A [Reader] of foreign bytes fails
// and never panics, and what it makes is bounded by the bytes there are.
package keep

import (
	"encoding/binary"
	"errors"
)

// ErrContext is returned for bytes that are no context of the format.
var ErrContext = errors.New("not a block context of this format and version")

// AppendNumber appends a number of either sign.
func AppendNumber(dst []byte, n int64) []byte { return binary.AppendVarint(dst, n) }

// AppendText appends a text with its length.
func AppendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// Reader reads what was appended, in the same order. After the first thing
// that cannot be read all are zero; Err tells.
type Reader struct {
	rest   []byte
	failed bool
}

// NewReader returns a reader of b, which it borrows; what it returns is a copy.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Number reads a number.
func (r *Reader) Number() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// Text reads a text.
func (r *Reader) Text() string {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)-size) {
		r.fail()
		return ""
	}
	s := string(r.rest[size : size+int(n)])
	r.rest = r.rest[size+int(n):]
	return s
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Count reads the number of things that follow, each of which takes a byte at
// least.
func (r *Reader) Count() int {
	n := r.Number()
	if n < 0 || n > int64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

// Fail makes Err report that the bytes mean nothing.
func (r *Reader) Fail() { r.fail() }

func (r *Reader) fail() { r.failed, r.rest = true, nil }

// Failed reports whether something could not be read.
func (r *Reader) Failed() bool { return r.failed }

// Err reports whether all could be read and nothing is left.
func (r *Reader) Err() error {
	if r.failed || len(r.rest) > 0 {
		return ErrContext
	}
	return nil
}
