// Package wire is the encoding of what Tiercel writes for itself: bytes,
// variable-length numbers and length-prefixed text, one after the other. The
// writers of an encoding put a version first; this package knows none.
//
// A Decoder never panics and allocates no more than it was given: after the
// first fault it is empty and everything it returns is zero.
package wire

import "encoding/binary"

// AppendText appends a text or bytes with their length.
func AppendText[T string | []byte](dst []byte, s T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

// AppendTexts appends a list of texts.
func AppendTexts(dst []byte, list []string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, s := range list {
		dst = AppendText(dst, s)
	}
	return dst
}

// AppendBool appends one byte.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// Decoder reads from B, which it borrows; what is left stands in B. It belongs
// to one goroutine.
type Decoder struct {
	B []byte
	// Failed is set by the first fault.
	Failed bool
}

func (d *Decoder) fail() { d.B, d.Failed = nil, true }

// Take returns the next n bytes, borrowed.
func (d *Decoder) Take(n int) []byte {
	if n < 0 || n > len(d.B) {
		d.fail()
		return nil
	}
	out := d.B[:n:n]
	d.B = d.B[n:]
	return out
}

// Byte returns the next byte.
func (d *Decoder) Byte() byte {
	if b := d.Take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

// Bool reads what AppendBool wrote; any other byte is a fault.
func (d *Decoder) Bool() bool {
	switch d.Byte() {
	case 0:
		return false
	case 1:
		return true
	}
	d.fail()
	return false
}

// Varint returns the next signed number.
func (d *Decoder) Varint() int64 {
	v, n := binary.Varint(d.B)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.B = d.B[n:]
	return v
}

// Uvarint returns the next unsigned number.
func (d *Decoder) Uvarint() uint64 {
	v, n := binary.Uvarint(d.B)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.B = d.B[n:]
	return v
}

// LengthMax bounds a length; what is beyond was not written by us.
const LengthMax = 1 << 31

// Length returns the next unsigned number, at most LengthMax.
func (d *Decoder) Length() int {
	v := d.Uvarint()
	if v > LengthMax {
		d.fail()
		return 0
	}
	return int(v)
}

// Count reads the number of items that follow, each of at least size bytes.
func (d *Decoder) Count(size int) int {
	v := d.Length()
	if v > len(d.B)/size {
		d.fail()
		return 0
	}
	return v
}

// Bytes reads what AppendText wrote, borrowed.
func (d *Decoder) Bytes() []byte { return d.Take(d.Length()) }

// Text reads what AppendText wrote.
func (d *Decoder) Text() string { return string(d.Bytes()) }

// Texts reads what AppendTexts wrote; nil when there are none.
func (d *Decoder) Texts() []string {
	n := d.Count(1)
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = d.Text()
	}
	return out
}
