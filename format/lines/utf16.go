package lines

import (
	"bytes"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// utf16Reader transcodes UTF-16 to UTF-8. The byte order mark is left out, a
// lone surrogate or an odd last byte becomes U+FFFD.
type utf16Reader struct {
	src  io.Reader
	big  bool
	in   [8192]byte
	n    int    // bytes in in
	out  []byte // transcoded and not yet read
	pos  int
	err  error
	done bool // the mark was dropped
}

// Read implements io.Reader.
func (u *utf16Reader) Read(p []byte) (int, error) {
	for u.pos == len(u.out) {
		if u.err != nil && u.n == 0 {
			return 0, u.err
		}
		if u.err == nil {
			var n int
			n, u.err = u.src.Read(u.in[u.n:])
			u.n += n
		}
		u.out, u.pos = u.out[:0], 0
		u.transcode()
	}
	n := copy(p, u.out[u.pos:])
	u.pos += n
	return n, nil
}

func (u *utf16Reader) unit(i int) rune {
	if u.big {
		return rune(u.in[i])<<8 | rune(u.in[i+1])
	}
	return rune(u.in[i+1])<<8 | rune(u.in[i])
}

func (u *utf16Reader) transcode() {
	i := 0
	for i+2 <= u.n {
		r := u.unit(i)
		size := 2
		if r >= 0xd800 && r < 0xdc00 {
			if i+4 > u.n && u.err == nil {
				break // its other half is not here yet
			}
			low := rune(-1)
			if i+4 <= u.n {
				low = u.unit(i + 2)
			}
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				size = 4
			}
		}
		i += size
		if !u.done {
			u.done = true
			if r == 0xfeff {
				continue
			}
		}
		u.out = utf8.AppendRune(u.out, r) // a lone low surrogate becomes U+FFFD
	}
	if i < u.n && u.err != nil {
		u.out = utf8.AppendRune(u.out, utf8.RuneError)
		i = u.n
	}
	u.n = copy(u.in[:], u.in[i:u.n])
}

// Head returns the beginning of a file as UTF-8 text without byte order mark,
// for detection: head itself, or a transcoded copy of UTF-16.
func Head(head []byte) []byte {
	if len(head) >= 2 && (head[0] == 0xff && head[1] == 0xfe || head[0] == 0xfe && head[1] == 0xff) {
		text, err := io.ReadAll(&utf16Reader{src: bytes.NewReader(head), big: head[0] == 0xfe})
		if err != nil {
			return head
		}
		return text
	}
	return bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
}
