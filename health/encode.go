package health

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// ErrState is returned for encoded state that is damaged, of another version or
// beyond the bounds. The finder starts anew: it costs what it had learned,
// never a wrong finding.
var ErrState = errors.New("unusable state of a health finder")

// encoder writes varints and texts behind a header; the checksum comes last.
type encoder struct{ buf []byte }

func newEncoder(magic string, version uint64) *encoder {
	e := &encoder{buf: []byte(magic)}
	e.num(version)
	return e
}

func (e *encoder) num(n uint64)  { e.buf = binary.AppendUvarint(e.buf, n) }
func (e *encoder) int(n int64)   { e.buf = binary.AppendVarint(e.buf, n) }
func (e *encoder) byte(b uint8)  { e.buf = append(e.buf, b) }
func (e *encoder) raw(b []byte)  { e.buf = append(e.buf, b...) }
func (e *encoder) text(s string) { e.num(uint64(len(s))); e.buf = append(e.buf, s...) }

func (e *encoder) share(f float64) { e.buf = binary.BigEndian.AppendUint64(e.buf, math.Float64bits(f)) }

func (e *encoder) bool(b bool) {
	if b {
		e.byte(1)
		return
	}
	e.byte(0)
}

func (e *encoder) done() []byte {
	return binary.BigEndian.AppendUint32(e.buf, crc32.ChecksumIEEE(e.buf))
}

// decoder reads what an encoder wrote. After the first error it gives zeros and
// keeps the error.
type decoder struct {
	buf []byte
	err error
}

func newDecoder(data []byte, magic string, version uint64) *decoder {
	d := &decoder{}
	n := len(data) - crc32.Size
	if n < len(magic) || string(data[:len(magic)]) != magic {
		d.fail("it does not begin as one")
		return d
	}
	if crc32.ChecksumIEEE(data[:n]) != binary.BigEndian.Uint32(data[n:]) {
		d.fail("the checksum is wrong")
		return d
	}
	d.buf = data[len(magic):n]
	if v := d.num(); d.err == nil && v != version {
		d.fail(fmt.Sprintf("it has version %d, this program reads %d", v, version))
	}
	return d
}

func (d *decoder) fail(why string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrState, why)
	}
	d.buf = nil
}

func (d *decoder) num() uint64 {
	n, size := binary.Uvarint(d.buf)
	if size <= 0 {
		d.fail("it ends too early")
		return 0
	}
	d.buf = d.buf[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.buf)
	if size <= 0 {
		d.fail("it ends too early")
		return 0
	}
	d.buf = d.buf[size:]
	return n
}

func (d *decoder) raw(n int) []byte {
	if n > len(d.buf) {
		d.fail("it ends too early")
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *decoder) byte() uint8 {
	if b := d.raw(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) share() float64 {
	b := d.raw(8)
	if len(b) < 8 {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

func (d *decoder) bool() bool { return d.byte() != 0 }

func (d *decoder) text() string { return string(d.raw(d.count(1 << 16))) }

// count reads how many things follow, at most as many as there are bytes left
// and as the bound allows, so that no allocation exceeds the input.
func (d *decoder) count(most int) int {
	n := d.num()
	if n > uint64(most) || n > uint64(len(d.buf)) {
		d.fail("a count is beyond its bound")
		return 0
	}
	return int(n)
}

func (d *decoder) done() error {
	if d.err == nil && len(d.buf) > 0 {
		d.fail("something follows its end")
	}
	return d.err
}
