package inflate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"hash/crc32"
)

// The errors of the formats around deflate.
var (
	// ErrHeader is returned for bytes that do not begin as the format does.
	ErrHeader = errors.New("not a header of the format")
	// ErrChecksum is returned for data that are not what was compressed.
	ErrChecksum = errors.New("checksum does not fit")
)

// The flags of a gzip header (RFC 1952, 2.3.1).
const (
	flagHeaderSum = 1 << 1
	flagExtra     = 1 << 2
	flagName      = 1 << 3
	flagComment   = 1 << 4
	flagReserved  = 0xe0
)

// gzipHeader is the length of the header that src begins with.
func gzipHeader(src []byte) (int, error) {
	if len(src) < 10 {
		return 0, ErrShort
	}
	if src[0] != 0x1f || src[1] != 0x8b || src[2] != 8 || src[3]&flagReserved != 0 {
		return 0, ErrHeader
	}
	flags, at := src[3], 10
	if flags&flagExtra != 0 {
		if len(src)-at < 2 {
			return 0, ErrShort
		}
		at += 2 + int(binary.LittleEndian.Uint16(src[at:]))
		if at > len(src) {
			return 0, ErrShort
		}
	}
	for _, text := range [...]byte{flagName, flagComment} {
		if flags&text != 0 {
			n := bytes.IndexByte(src[at:], 0)
			if n < 0 {
				return 0, ErrShort
			}
			at += n + 1
		}
	}
	if flags&flagHeaderSum != 0 {
		if len(src)-at < 2 {
			return 0, ErrShort
		}
		if binary.LittleEndian.Uint16(src[at:]) != uint16(crc32.ChecksumIEEE(src[:at])) {
			return 0, ErrChecksum
		}
		at += 2
	}
	return at, nil
}

// AppendGzip appends what the gzip member that src begins with holds, and says
// how many bytes of src it was; see [Append].
func AppendGzip(dst, src []byte, limit int64) (out []byte, used int, err error) {
	at, err := gzipHeader(src)
	if err != nil {
		return dst, 0, err
	}
	base := len(dst)
	out, used, err = Append(dst, src[at:], limit)
	if err != nil {
		return out, 0, err
	}
	at += used
	if len(src)-at < 8 {
		return out, 0, ErrShort
	}
	if binary.LittleEndian.Uint32(src[at:]) != crc32.ChecksumIEEE(out[base:]) || binary.LittleEndian.Uint32(src[at+4:]) != uint32(len(out)-base) {
		return out, 0, ErrChecksum
	}
	return out, at + 8, nil
}

// IsZlib reports whether src begins as zlib data without a dictionary do (RFC
// 1950, 2.2). Raw deflate data may, by chance.
func IsZlib(src []byte) bool {
	return len(src) >= 2 && src[0]&0x0f == 8 && src[0]>>4 <= 7 && binary.BigEndian.Uint16(src)%31 == 0 && src[1]&0x20 == 0
}

// AppendZlib is [AppendGzip] for zlib data.
func AppendZlib(dst, src []byte, limit int64) (out []byte, used int, err error) {
	if !IsZlib(src) {
		return dst, 0, ErrHeader
	}
	base := len(dst)
	out, used, err = Append(dst, src[2:], limit)
	if err != nil {
		return out, 0, err
	}
	used += 2
	if len(src)-used < 4 {
		return out, 0, ErrShort
	}
	if binary.BigEndian.Uint32(src[used:]) != adler32.Checksum(out[base:]) {
		return out, 0, ErrChecksum
	}
	return out, used + 4, nil
}
