package inflate

import "encoding/binary"

// block reads a compressed block. What it works on is kept in local variables,
// which the compiler keeps in registers.
func (s *state) block(d *decoder) error {
	src, pos, acc, n := s.src, s.pos, s.bits, s.n
	buf, out := s.buf, s.out
	var err error
	for {
		if len(buf)-out < slack {
			s.buf, s.out = buf, out
			if err = s.room(slack); err != nil {
				break
			}
			buf = s.buf
		}
		// At least 56 bits, or all that is left.
		if pos+8 <= len(src) {
			acc |= binary.LittleEndian.Uint64(src[pos:]) << (uint(n) & 63)
			pos += (63 - n) >> 3
			n |= 56
		} else {
			for n <= 56 && pos < len(src) {
				acc |= uint64(src[pos]) << (uint(n) & 63)
				pos++
				n += 8
			}
		}
		e := d.lit[acc&(1<<litBits-1)]
		// Up to two literals of the first table leave bits for a third code.
		if e&entryLiteral != 0 && n >= 2*litBits {
			acc >>= e & 63
			n -= int(e & 0xff)
			buf[out] = byte(e >> entryValue)
			out++
			e = d.lit[acc&(1<<litBits-1)]
			if e&entryLiteral != 0 {
				acc >>= e & 63
				n -= int(e & 0xff)
				buf[out] = byte(e >> entryValue)
				out++
				e = d.lit[acc&(1<<litBits-1)]
				if e&entryLiteral != 0 && n >= litBits {
					acc >>= e & 63
					n -= int(e & 0xff)
					buf[out] = byte(e >> entryValue)
					out++
				}
				continue
			}
			if n < 48 {
				continue
			}
		}
		if e&entryTable != 0 {
			acc >>= litBits
			n -= litBits
			e = d.lit[e>>entryValue+uint32(acc)&(1<<(e>>8&15)-1)]
		}
		acc >>= e & 63
		n -= int(e & 0xff)
		if e&(entryLiteral|entryEnd) != 0 {
			if n < 0 {
				err = ErrShort
				break
			}
			if e&entryEnd != 0 {
				break
			}
			buf[out] = byte(e >> entryValue)
			out++
			continue
		}
		if e == 0 {
			err = badCode(n, pos, src)
			break
		}
		extra := e >> 8 & 15
		length := int(e>>entryValue) + int(acc&(1<<extra-1))
		acc >>= extra
		n -= int(extra)

		e = d.dist[acc&(1<<distBits-1)]
		if e&entryTable != 0 {
			acc >>= distBits
			n -= distBits
			e = d.dist[e>>entryValue+uint32(acc)&(1<<(e>>8&15)-1)]
		}
		if e == 0 {
			err = badCode(n, pos, src)
			break
		}
		acc >>= e & 63
		n -= int(e & 0xff)
		extra = e >> 8 & 15
		distance := int(e>>entryValue) + int(acc&(1<<extra-1))
		acc >>= extra
		n -= int(extra)
		if n < 0 {
			err = ErrShort
			break
		}
		if distance > out-s.base {
			err = ErrCorrupt
			break
		}
		from := out - distance
		if distance >= 8 {
			// Eight bytes at a time, up to seven too many: the slack has room,
			// and what comes next overwrites them.
			for i := 0; i < length; i += 8 {
				binary.LittleEndian.PutUint64(buf[out+i:], binary.LittleEndian.Uint64(buf[from+i:]))
			}
		} else {
			for i := range length {
				buf[out+i] = buf[from+i]
			}
		}
		out += length
	}
	s.pos, s.bits, s.n, s.buf, s.out = pos, acc, n, buf, out
	return err
}

// badCode tells a code that does not exist from one that is cut off.
func badCode(n, pos int, src []byte) error {
	if n < codeBitsMax && pos == len(src) {
		return ErrShort
	}
	return ErrCorrupt
}
