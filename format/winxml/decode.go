package winxml

import (
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

type encoding uint8

const (
	utf8Text encoding = iota
	utf16LE
	utf16BE
)

// encodingOf tells the encoding from a byte order mark or, without one, from
// how the first < is written, and returns the size of the mark. What an XML
// declaration says is not asked: PowerShell copies it into files of another
// encoding.
func encodingOf(head []byte) (enc encoding, mark int) {
	switch {
	case len(head) >= 3 && string(head[:3]) == "\xef\xbb\xbf":
		return utf8Text, 3
	case len(head) < 2:
	case head[0] == 0xff && head[1] == 0xfe:
		return utf16LE, 2
	case head[0] == 0xfe && head[1] == 0xff:
		return utf16BE, 2
	case head[0] == '<' && head[1] == 0:
		return utf16LE, 0
	case head[0] == 0 && head[1] == '<':
		return utf16BE, 0
	}
	return utf8Text, 0
}

// decoder turns UTF-16 into UTF-8, a piece at a time. A lone surrogate becomes
// U+FFFD; bytes that are no whole character wait for the next piece.
type decoder struct {
	bigEndian bool
	rest      []byte // at most 3 bytes
}

func (d *decoder) decode(dst, b []byte) []byte {
	if len(d.rest) > 0 {
		b = append(d.rest, b...)
		d.rest = nil
	}
	for len(b) >= 2 {
		u := d.unit(b)
		size := 2
		if utf16.IsSurrogate(u) {
			if u < 0xdc00 {
				if len(b) < 4 {
					break
				}
				if r := utf16.DecodeRune(u, d.unit(b[2:])); r != utf8.RuneError {
					u, size = r, 4
				}
			}
			if size == 2 {
				u = utf8.RuneError
			}
		}
		dst = utf8.AppendRune(dst, u)
		b = b[size:]
	}
	d.rest = append([]byte(nil), b...)
	return dst
}

func (d *decoder) unit(b []byte) rune {
	if d.bigEndian {
		return rune(b[0])<<8 | rune(b[1])
	}
	return rune(b[1])<<8 | rune(b[0])
}

// source reads a file as UTF-8.
type source struct {
	r       io.Reader
	started bool
	wide    bool // the file is UTF-16
	dec     decoder
	in      []byte // what was read of a wide file
}

// readBytes is how much is read at once.
const readBytes = 64 << 10

// read appends the next piece of text to dst. On the first call it returns the
// size of the byte order mark as well, which is not text.
func (s *source) read(dst []byte) (_ []byte, mark int, err error) {
	if s.in == nil {
		s.in = make([]byte, readBytes)
	}
	var n int
	if s.started {
		n, err = s.r.Read(s.in)
	} else {
		n, err = io.ReadAtLeast(s.r, s.in, 4)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = io.EOF
		}
	}
	b := s.in[:n]
	if !s.started && (n > 0 || err == nil) {
		s.started = true
		var enc encoding
		enc, mark = encodingOf(b)
		s.wide, s.dec.bigEndian = enc != utf8Text, enc == utf16BE
		b = b[mark:]
	}
	if s.wide {
		return s.dec.decode(dst, b), mark, err
	}
	return append(dst, b...), mark, err
}

// fileBytes returns the bytes that text took in the file.
func (s *source) fileBytes(text []byte) int64 {
	if !s.wide {
		return int64(len(text))
	}
	n := int64(0)
	for _, c := range text {
		switch {
		case c >= 0xf0:
			n += 4
		case c < 0x80 || c >= 0xc0:
			n += 2
		}
	}
	return n
}
