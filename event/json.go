package event

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// SyntaxError says where and why a record is not JSON.
type SyntaxError struct {
	Offset int    // byte offset into the record, from 0
	Reason string // what was found and what was expected
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("invalid JSON at byte %d: %s", e.Offset, e.Reason)
}

// errTrailing is the reason of a SyntaxError for bytes after the value.
const reasonTrailing = "unexpected text after the value"

// ParseJSON parses raw, one JSON value with optional white space around it,
// into the tree. The tree borrows raw. Raw control characters inside strings
// are accepted, since agents write them; everything else is RFC 8259. It
// returns a [*SyntaxError] or a [*LimitError]; the tree must not be read
// after an error.
func (t *Tree) ParseJSON(raw []byte) error {
	n, err := t.ParseJSONPrefix(raw)
	if err != nil {
		return err
	}
	for ; n < len(raw); n++ {
		switch raw[n] {
		case ' ', '\t', '\n', '\r':
		default:
			return &SyntaxError{Offset: n, Reason: reasonTrailing}
		}
	}
	return nil
}

// ParseJSONPrefix parses the first JSON value of raw and returns the number
// of bytes it took.
func (t *Tree) ParseJSONPrefix(raw []byte) (int, error) {
	t.Reset(raw)
	if len(raw) > 1<<31 {
		return 0, &LimitError{What: "size of one record in bytes", Limit: 1 << 31}
	}
	n, err := t.parse(raw)
	if err == nil {
		err = t.err
	}
	if err == nil {
		return n, nil
	}
	if errors.Is(err, errUnexpectedEnd) {
		err = &SyntaxError{Offset: len(raw), Reason: "the text ends inside a value"}
	}
	return n, err
}

var errUnexpectedEnd = errors.New("unexpected end")

func skipSpace(b []byte, i int) int {
	for i < len(b) {
		switch b[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

func (t *Tree) parse(b []byte) (int, error) {
	i := skipSpace(b, 0)
value:
	if t.err != nil {
		return i, t.err
	}
	if i >= len(b) {
		return i, errUnexpectedEnd
	}
	switch c := b[i]; c {
	case '"':
		end, form, err := scanString(b, i+1)
		if err != nil {
			return i, err
		}
		if form&textBroken != 0 {
			t.repaired = true
		}
		t.stringRaw(i+1, end-i-1, form != textPlain)
		i = end + 1
	case '{':
		t.BeginObject()
		if t.err != nil {
			return i, t.err
		}
		if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
			t.EndContainer()
			i++
			goto after
		}
		goto key
	case '[':
		t.BeginArray()
		if t.err != nil {
			return i, t.err
		}
		if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
			t.EndContainer()
			i++
			goto after
		}
		goto value
	case 't':
		if len(b)-i < 4 || string(b[i:i+4]) != "true" {
			return i, &SyntaxError{Offset: i, Reason: "expected true"}
		}
		t.PutBool(true)
		i += 4
	case 'f':
		if len(b)-i < 5 || string(b[i:i+5]) != "false" {
			return i, &SyntaxError{Offset: i, Reason: "expected false"}
		}
		t.PutBool(false)
		i += 5
	case 'n':
		if len(b)-i < 4 || string(b[i:i+4]) != "null" {
			return i, &SyntaxError{Offset: i, Reason: "expected null"}
		}
		t.PutNull()
		i += 4
	default:
		n := numberLen(b[i:])
		if n == 0 {
			return i, &SyntaxError{Offset: i, Reason: fmt.Sprintf("expected a value, found %q", rune(c))}
		}
		t.numberRaw(i, n)
		i += n
	}
after:
	if len(t.open) == 0 {
		return i, nil
	}
	i = skipSpace(b, i)
	if i >= len(b) {
		return i, errUnexpectedEnd
	}
	if top := t.open[len(t.open)-1]; t.nodes[top].kind == Object {
		switch b[i] {
		case ',':
			i = skipSpace(b, i+1)
			goto key
		case '}':
			t.EndContainer()
			i++
			goto after
		}
		return i, &SyntaxError{Offset: i, Reason: fmt.Sprintf("expected ',' or '}' after a member, found %q", rune(b[i]))}
	}
	switch b[i] {
	case ',':
		i = skipSpace(b, i+1)
		goto value
	case ']':
		t.EndContainer()
		i++
		goto after
	}
	return i, &SyntaxError{Offset: i, Reason: fmt.Sprintf("expected ',' or ']' after an item, found %q", rune(b[i]))}
key:
	if i >= len(b) {
		return i, errUnexpectedEnd
	}
	if b[i] != '"' {
		return i, &SyntaxError{Offset: i, Reason: fmt.Sprintf("expected a key in quotes, found %q", rune(b[i]))}
	}
	end, form, err := scanString(b, i+1)
	if err != nil {
		return i, err
	}
	if form&textBroken != 0 {
		t.repaired = true
	}
	if form != textPlain {
		t.PutArenaKey(appendUnescaped(t.arena, b[i+1:end]))
	} else {
		t.keyRaw(i+1, end-i-1)
	}
	i = skipSpace(b, end+1)
	if i >= len(b) {
		return i, errUnexpectedEnd
	}
	if b[i] != ':' {
		return i, &SyntaxError{Offset: i, Reason: fmt.Sprintf("expected ':' after a key, found %q", rune(b[i]))}
	}
	i = skipSpace(b, i+1)
	goto value
}

const (
	lanes01 = 0x0101010101010101
	lanes80 = 0x8080808080808080
)

// textForm says what must be done with the text of a string.
type textForm uint8

const (
	textPlain   textForm = 0 // as it stands
	textEscaped textForm = 1 // it has escapes
	// textBroken may stand beside it: there are bytes that are not UTF-8, or
	// escapes of half a surrogate pair.
	textBroken textForm = 2
)

// scanString returns the index of the closing quote of the string whose text
// starts at i, and whether the text needs decoding.
func scanString(b []byte, i int) (end int, form textForm, err error) {
	j := special(b, i)
	if j < len(b) && b[j] == '"' {
		return j, textPlain, nil
	}
	return scanUnusual(b, j)
}

// special returns the index from i of the first quote, backslash or byte of
// more than ASCII, or len(b). Eight bytes are looked at at once: subtracting 1
// from a byte below 0x80 sets its top bit only if it was zero, and the borrow
// that follows disturbs higher bytes only, so the lowest mark is right.
func special(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		m := (((w ^ lanes01*'"') - lanes01) | ((w ^ lanes01*'\\') - lanes01) | w) & lanes80
		if m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for i < len(b) && b[i] != '"' && b[i] != '\\' && b[i] < utf8.RuneSelf {
		i++
	}
	return i
}

// escapeLen is the length of an escape by the byte behind its backslash; zero
// for what is none.
var escapeLen = [256]uint8{'"': 2, '\\': 2, '/': 2, 'b': 2, 'f': 2, 'n': 2, 'r': 2, 't': 2, 'u': 6}

// scanUnusual is scanString from index i, the first special one, of a text that
// does not end there. It takes 64 bytes at once and walks the marks of the
// special ones among them: a loop that stops at each escape is mispredicted at
// each, and a Windows message has one in fifteen bytes.
func scanUnusual(b []byte, i int) (end int, form textForm, err error) {
	high := -1 // the first byte of more than ASCII
	low := -1  // where the second half of a surrogate pair stands
	for i < len(b) {
		var marks uint64
		step := 64
		if i+64 < len(b) {
			marks = specials((*[64]byte)(b[i:]))
		} else {
			// The last bytes one special byte at a time.
			j := special(b, i)
			if j == len(b) {
				break
			}
			i, step, marks = j, 1, 1
		}
		for ; marks != 0; marks &= marks - 1 {
			k := bits.TrailingZeros64(marks)
			j := i + k
			switch c := b[j]; {
			case c == '\\':
				form |= textEscaped
				if j+1 >= len(b) {
					return j, form, errUnexpectedEnd
				}
				switch escapeLen[b[j+1]] {
				case 2:
				case 6:
					if j+6 > len(b) {
						return j, form, errUnexpectedEnd
					}
					r, ok := hex4(b[j+2:])
					if !ok {
						return j, form, &SyntaxError{Offset: j, Reason: `\u must be followed by four hexadecimal digits`}
					}
					if utf16.IsSurrogate(r) && j != low {
						if low = j + 6; !pairs(r, b[low:]) {
							form |= textBroken
							low = -1
						}
					}
				default:
					return j, form, &SyntaxError{Offset: j, Reason: fmt.Sprintf("unknown escape %q", b[j:j+2])}
				}
				// The byte behind the backslash has lost its meaning.
				marks &^= 2 << k
				if k == step-1 {
					step++
				}
			case c == '"':
				if high >= 0 && !utf8.Valid(b[high:j]) {
					form |= textBroken
				}
				return j, form, nil
			case c >= utf8.RuneSelf:
				if high < 0 {
					high = j
				}
			}
		}
		i += step
	}
	return len(b), form, errUnexpectedEnd
}

// pairs reports whether an escape follows that makes a character with a
// surrogate.
func pairs(high rune, b []byte) bool {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return false
	}
	low, ok := hex4(b[2:])
	return ok && utf16.DecodeRune(high, low) != utf8.RuneError
}

// specials marks the quotes, backslashes and bytes of more than ASCII of b, bit
// n for byte n. It may mark a byte that is none of them.
func specials(b *[64]byte) (marks uint64) {
	for n := 0; n < 64; n += 8 {
		w := binary.LittleEndian.Uint64(b[n : n+8 : n+8])
		m := (((w ^ lanes01*'"') - lanes01) | ((w ^ lanes01*'\\') - lanes01) | w) & lanes80
		// The multiplication gathers the top bits of the bytes in the top byte.
		marks |= (m >> 7) * 0x0102040810204080 >> 56 << n
	}
	return marks
}

func hex4(b []byte) (rune, bool) {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends the decoded text of a JSON string that scanString
// has accepted. A lone surrogate and each invalid byte become U+FFFD.
func appendUnescaped(dst, s []byte) []byte {
	dst = slices.Grow(dst, len(s))
	for i := 0; i < len(s); {
		// Eight bytes at a time while they are plain, copied before it is
		// known how many of them are: what is too many is overwritten.
		for i+8 <= len(s) && cap(dst)-len(dst) >= 8 {
			w := binary.LittleEndian.Uint64(s[i:])
			binary.LittleEndian.PutUint64(dst[len(dst):len(dst)+8], w)
			if m := ((w ^ lanes01*'\\') - lanes01 | w) & lanes80; m != 0 {
				n := bits.TrailingZeros64(m) >> 3
				dst, i = dst[:len(dst)+n], i+n
				break
			}
			dst, i = dst[:len(dst)+8], i+8
		}
		if i >= len(s) {
			break
		}
		c := s[i]
		switch {
		case c == '\\':
			switch s[i+1] {
			case 'b':
				dst = append(dst, '\b')
			case 'f':
				dst = append(dst, '\f')
			case 'n':
				dst = append(dst, '\n')
			case 'r':
				dst = append(dst, '\r')
			case 't':
				dst = append(dst, '\t')
			case 'u':
				r, _ := hex4(s[i+2:])
				i += 6
				if utf16.IsSurrogate(r) {
					low := rune(-1)
					if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
						low, _ = hex4(s[i+2:])
					}
					if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
						i += 6
					}
				}
				dst = utf8.AppendRune(dst, r)
				continue
			default:
				dst = append(dst, s[i+1])
			}
			i += 2
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, size := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
		}
	}
	return dst
}
