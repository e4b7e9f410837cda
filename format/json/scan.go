package json

import (
	"bytes"

	"github.com/tiercel-io/tiercel/event"
)

// scanner follows the brackets and quotes of one value, over as many pieces of
// text as it comes in. The zero scanner stands before the value.
type scanner struct {
	depth  int
	kinds  [(event.DepthMax + 63) / 64]uint64 // bit set: the container at that depth is an array
	quoted bool
	slash  bool // the byte before was a backslash inside quotes
}

type scanState uint8

const (
	scanMore   scanState = iota // the value goes on behind the text
	scanEnd                     // the value ended
	scanBroken                  // a bracket closes what it did not open
)

// structural marks the bytes that mean something outside quotes.
var structural = [256]bool{'"': true, '{': true, '}': true, '[': true, ']': true}

// scan reads on at b[i:], which must begin with a bracket for a new scanner,
// and returns the index behind the value's end, or behind what was read.
func (s *scanner) scan(b []byte, i int) (int, scanState) {
	for {
		if s.quoted {
			var ok bool
			if i, ok = s.skipString(b, i); !ok {
				return len(b), scanMore
			}
		}
		for i < len(b) && !structural[b[i]] {
			i++
		}
		if i >= len(b) {
			return len(b), scanMore
		}
		c := b[i]
		i++
		switch c {
		case '"':
			s.quoted = true
		case '{', '[':
			if s.depth < event.DepthMax {
				bit := uint64(1) << (s.depth % 64)
				s.kinds[s.depth/64] &^= bit
				if c == '[' {
					s.kinds[s.depth/64] |= bit
				}
			}
			s.depth++
		default:
			s.depth--
			// Deeper than a tree may be, only the number of brackets is
			// known; the parser refuses such a record anyway.
			if s.depth >= 0 && s.depth < event.DepthMax {
				if isArray := s.kinds[s.depth/64]>>(s.depth%64)&1 == 1; isArray != (c == ']') {
					return i, scanBroken
				}
			}
			if s.depth <= 0 {
				return i, scanEnd
			}
		}
	}
}

// skipString moves behind the closing quote of the string that i is in.
func (s *scanner) skipString(b []byte, i int) (int, bool) {
	if s.slash && i < len(b) {
		s.slash = false
		i++
	}
	for i < len(b) {
		n := bytes.IndexByte(b[i:], '"')
		text := b[i:]
		if n >= 0 {
			text = b[i : i+n]
		}
		slashes := 0
		for slashes < len(text) && text[len(text)-1-slashes] == '\\' {
			slashes++
		}
		if n < 0 {
			s.slash = slashes%2 == 1
			return len(b), false
		}
		i += n + 1
		if slashes%2 == 0 {
			s.quoted = false
			return i, true
		}
	}
	return i, false
}

// firstKey returns the first key of the object that b begins with, with its
// quotes, and the index behind it; nil when there is none.
func firstKey(b []byte) ([]byte, int) {
	if len(b) == 0 || b[0] != '{' {
		return nil, 0
	}
	return stringAt(b, skipSpace(b, 1))
}

// stringAt returns the string at b[i:] with its quotes and the index behind
// it; nil when there is none that is short enough for a key.
func stringAt(b []byte, i int) ([]byte, int) {
	if i >= len(b) || b[i] != '"' {
		return nil, 0
	}
	s := scanner{quoted: true}
	limit := min(len(b), i+2+6*event.KeyBytesMax)
	end, ok := s.skipString(b[:limit], i+1)
	if !ok {
		return nil, 0
	}
	return b[i:end], end
}

// odataMembersMax bounds the "@odata…" members before the records of a
// Microsoft Graph answer; there are two or three.
const odataMembersMax = 16

// envelope returns how many bytes of b, which begins with an object, come
// before the first record of an envelope; 0 when it is not one.
func envelope(b []byte) int {
	key, i := firstKey(b)
	odata := false
	for range odataMembersMax {
		if key == nil {
			return 0
		}
		i = skipSpace(b, i)
		if i >= len(b) || b[i] != ':' {
			return 0
		}
		i = skipSpace(b, i+1)
		switch {
		case string(key) == `"Records"`, string(key) == `"records"`, string(key) == `"value"`:
			if i >= len(b) || b[i] != '[' {
				return 0
			}
			j := skipSpace(b, i+1)
			if j < len(b) && b[j] == '{' {
				return i + 1
			}
			if j < len(b) && b[j] == ']' {
				if j = skipSpace(b, j+1); odata || j < len(b) && b[j] == '}' {
					return i + 1
				}
			}
			return 0
		case bytes.HasPrefix(key, []byte(`"@odata`)):
			odata = true
		default:
			return 0
		}
		// The member's value is a string or a number.
		if i < len(b) && b[i] == '"' {
			if _, i = stringAt(b, i); i == 0 {
				return 0
			}
		} else {
			for i < len(b) && b[i] >= '0' && b[i] <= '9' {
				i++
			}
		}
		if i = skipSpace(b, i); i >= len(b) || b[i] != ',' {
			return 0
		}
		key, i = stringAt(b, skipSpace(b, i+1))
	}
	return 0
}
