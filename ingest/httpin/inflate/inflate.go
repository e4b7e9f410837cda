// Package inflate expands deflate data (RFC 1951) that is whole in memory.
//
// A reader that streams must keep a window apart from its output and ask for
// its input byte by byte. When both are in memory the output is the window and
// eight bytes of input are taken at a time, which halves the cost; inflating is
// nine tenths of what a receiver spends on a compressed body. Memory is bounded
// by the caller's limit on the output; the tables are fixed. Functions are safe
// for concurrent use.
package inflate

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
)

// The errors of this package.
var (
	// ErrLimit is returned for data that inflate beyond the limit.
	ErrLimit = errors.New("inflates beyond its limit")
	// ErrCorrupt is returned for bytes that are not deflate.
	ErrCorrupt = errors.New("corrupt deflate data")
	// ErrShort is returned for data that end before their last block does.
	ErrShort = errors.New("deflate data end too early")
)

// Sizes of the tables. A code is looked up by its first bits and, when it is
// longer, by its others in a second table behind the first. The bounds on both
// together are those that zlib's program enough.c finds for 288 symbols of up
// to 15 bits with 11 first bits (2,342 entries), and 32 with 8 (402).
const (
	litBits  = 11
	distBits = 8
	litSize  = 2342
	distSize = 402

	codeBitsMax = 15
	litSymbols  = 286
	distSymbols = 30
	matchMax    = 258
	// slack is the room behind the output that a match may write into: its
	// length and the rest of its last eight bytes.
	slack = matchMax + 16
)

// An entry of a table holds in its low byte the bits of its code, in the next
// four the extra bits that follow, then what kind it is, and in its upper half
// the literal, the base of a length or distance, or where the second table
// begins. No code has the entry 0.
const (
	entryLiteral = 1 << 12
	entryEnd     = 1 << 13
	entryTable   = 1 << 14
	entryValue   = 16
)

type decoder struct {
	lit  [litSize]uint32
	dist [distSize]uint32
	lens [litSymbols + 2 + distSymbols + 2]uint8
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// order is that of the lengths of the code length codes (RFC 1951, 3.2.7).
var order = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// lengthBase and the others are the tables of RFC 1951, 3.2.5.
var (
	lengthBase  = [29]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthExtra = [29]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase    = [30]uint16{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distExtra   = [30]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

// kinds of alphabets.
const (
	kindCodes = iota
	kindLit
	kindDist
)

// entry is what a symbol's code leads to, without its bits; 0 for symbols that
// have no meaning.
func entry(kind, symbol int) uint32 {
	switch {
	case kind == kindCodes:
		return entryLiteral | uint32(symbol)<<entryValue
	case kind == kindDist:
		if symbol >= distSymbols {
			return 0
		}
		return uint32(distExtra[symbol])<<8 | uint32(distBase[symbol])<<entryValue
	case symbol < 256:
		return entryLiteral | uint32(symbol)<<entryValue
	case symbol == 256:
		return entryEnd
	case symbol < litSymbols:
		return uint32(lengthExtra[symbol-257])<<8 | uint32(lengthBase[symbol-257])<<entryValue
	}
	return 0
}

// build fills a table for the code lengths of an alphabet, with root first
// bits. The code must be complete, but for one code of one bit and for none at
// all, which compressors write for distances that they do not use.
func build(table []uint32, root int, kind int, lens []uint8) bool {
	var count, offset [codeBitsMax + 2]int
	for _, l := range lens {
		count[l]++
	}
	longest := codeBitsMax
	for longest > 0 && count[longest] == 0 {
		longest--
	}
	clear(table[:1<<root])
	if longest == 0 {
		return kind == kindDist
	}
	left := 1
	for l := 1; l <= codeBitsMax; l++ {
		if left = left<<1 - count[l]; left < 0 {
			return false
		}
		offset[l+1] = offset[l] + count[l]
	}
	if left > 0 && (kind == kindCodes || longest != 1) {
		return false
	}
	var sorted [litSymbols + 2]uint16
	for symbol, l := range lens {
		if l != 0 {
			sorted[offset[l]] = uint16(symbol)
			offset[l]++
		}
	}
	code, index := 0, 0
	next := 1 << root // where the next second table begins
	prefix, subBits, subBase := -1, 0, 0
	for l := 1; l <= longest; l++ {
		for remaining := count[l]; remaining > 0; remaining-- {
			e := entry(kind, int(sorted[index]))
			index++
			reversed := int(bits.Reverse16(uint16(code)) >> (16 - l))
			if l <= root {
				if e != 0 {
					e |= uint32(l)
				}
				for i := reversed; i < 1<<root; i += 1 << l {
					table[i] = e
				}
			} else {
				if first := reversed & (1<<root - 1); first != prefix {
					prefix = first
					subBits = l - root
					for room := 1<<subBits - remaining; root+subBits < longest && room > 0; {
						subBits++
						room = room<<1 - count[root+subBits]
					}
					subBase = next
					next += 1 << subBits
					if next > len(table) {
						return false
					}
					clear(table[subBase:next])
					table[prefix] = entryTable | uint32(root) | uint32(subBits)<<8 | uint32(subBase)<<entryValue
				}
				if e != 0 {
					e |= uint32(l - root)
				}
				for i := reversed >> root; i < 1<<subBits; i += 1 << (l - root) {
					table[subBase+i] = e
				}
			}
			code++
		}
		code <<= 1
	}
	return true
}

// Append appends what src inflates to, and says how many bytes of src it was.
// At most limit bytes are appended. What stands in dst before is no part of the
// window. On an error the bytes that were made until then are appended.
func Append(dst, src []byte, limit int64) (out []byte, used int, err error) {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	s := state{src: src, buf: dst[:cap(dst)], base: len(dst), out: len(dst), top: int64(len(dst)) + limit}
	for last := false; !last && err == nil; {
		s.refill()
		if s.n < 3 {
			err = ErrShort
			break
		}
		last = s.bits&1 == 1
		kind := s.bits >> 1 & 3
		s.drop(3)
		switch kind {
		case 0:
			err = s.stored()
		case 1:
			err = s.block(fixed())
		case 2:
			if err = s.header(d); err == nil {
				err = s.block(d)
			}
		default:
			err = ErrCorrupt
		}
	}
	if int64(s.out) > s.top {
		s.out, err = int(s.top), ErrLimit
	}
	// Whole bytes that were taken into the bits and not used go back.
	return s.buf[:s.out], s.pos - s.n/8, err
}

// state is where one inflation stands.
type state struct {
	src  []byte
	pos  int
	bits uint64
	n    int // how many of bits are valid
	buf  []byte
	base int
	out  int
	top  int64
}

// refill makes n at least 56, or all that is left.
func (s *state) refill() {
	if s.pos+8 <= len(s.src) {
		s.bits |= binary.LittleEndian.Uint64(s.src[s.pos:]) << s.n
		s.pos += (63 - s.n) >> 3
		s.n |= 56
		return
	}
	for s.n <= 56 && s.pos < len(s.src) {
		s.bits |= uint64(s.src[s.pos]) << s.n
		s.pos++
		s.n += 8
	}
}

func (s *state) drop(n int) {
	s.bits >>= n
	s.n -= n
}

// room makes place for n more bytes, or says that the limit is passed.
func (s *state) room(n int) error {
	if int64(s.out) > s.top {
		return ErrLimit
	}
	if len(s.buf)-s.out >= n {
		return nil
	}
	size := max(2*len(s.buf), s.out+n, 64<<10)
	if most := s.top + slack; int64(size) > most {
		size = max(int(most), s.out+n)
	}
	bigger := make([]byte, size)
	copy(bigger, s.buf[:s.out])
	s.buf = bigger
	return nil
}

// stored copies a block that is not compressed.
func (s *state) stored() error {
	s.drop(s.n & 7)
	s.pos -= s.n / 8
	s.bits, s.n = 0, 0
	if len(s.src)-s.pos < 4 {
		return ErrShort
	}
	n := int(binary.LittleEndian.Uint16(s.src[s.pos:]))
	if n != int(^binary.LittleEndian.Uint16(s.src[s.pos+2:])) {
		return ErrCorrupt
	}
	s.pos += 4
	if len(s.src)-s.pos < n {
		return ErrShort
	}
	if int64(s.out+n) > s.top {
		return ErrLimit
	}
	if err := s.room(n); err != nil {
		return err
	}
	copy(s.buf[s.out:], s.src[s.pos:s.pos+n])
	s.out += n
	s.pos += n
	return nil
}

// header reads the codes of a dynamic block (RFC 1951, 3.2.7).
func (s *state) header(d *decoder) error {
	s.refill()
	nlit, ndist, ncodes := int(s.bits&31)+257, int(s.bits>>5&31)+1, int(s.bits>>10&15)+4
	if s.drop(14); s.n < 0 {
		return ErrShort
	}
	if nlit > litSymbols || ndist > distSymbols {
		return ErrCorrupt
	}
	var codes [19]uint8
	for i := range ncodes {
		s.refill()
		codes[order[i]] = uint8(s.bits & 7)
		if s.drop(3); s.n < 0 {
			return ErrShort
		}
	}
	var table [1 << 7]uint32
	if !build(table[:], 7, kindCodes, codes[:]) {
		return ErrCorrupt
	}
	lens := d.lens[:nlit+ndist]
	for i := 0; i < len(lens); {
		s.refill()
		e := table[s.bits&127]
		if e == 0 {
			return badCode(s.n, s.pos, s.src)
		}
		s.drop(int(e & 0xff))
		symbol := e >> entryValue
		if symbol < 16 {
			if s.n < 0 {
				return ErrShort
			}
			lens[i] = uint8(symbol)
			i++
			continue
		}
		var repeat int
		var value uint8
		switch symbol {
		case 16:
			if i == 0 {
				return badCode(s.n, s.pos, s.src)
			}
			value, repeat = lens[i-1], 3+int(s.bits&3)
			s.drop(2)
		case 17:
			repeat = 3 + int(s.bits&7)
			s.drop(3)
		default:
			repeat = 11 + int(s.bits&127)
			s.drop(7)
		}
		if s.n < 0 {
			return ErrShort
		}
		if repeat > len(lens)-i {
			return ErrCorrupt
		}
		for range repeat {
			lens[i] = value
			i++
		}
	}
	// A block without an end could not end.
	if lens[256] == 0 || !build(d.lit[:], litBits, kindLit, lens[:nlit]) || !build(d.dist[:], distBits, kindDist, lens[nlit:]) {
		return ErrCorrupt
	}
	return nil
}

// fixed are the codes of RFC 1951, 3.2.6.
var fixed = sync.OnceValue(func() *decoder {
	d := new(decoder)
	var lens [litSymbols + 2]uint8
	for i := range lens {
		switch {
		case i < 144:
			lens[i] = 8
		case i < 256:
			lens[i] = 9
		case i < 280:
			lens[i] = 7
		default:
			lens[i] = 8
		}
	}
	build(d.lit[:], litBits, kindLit, lens[:])
	var dists [distSymbols + 2]uint8
	for i := range dists {
		dists[i] = 5
	}
	build(d.dist[:], distBits, kindDist, dists[:])
	return d
})
