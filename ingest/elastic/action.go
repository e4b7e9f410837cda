package elastic

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of what an action may name, as Elasticsearch has them.
const (
	indexBytesMax = 255
	idBytesMax    = 512
	// depthMax bounds the nesting of what an action carries besides its names.
	depthMax = 64
)

// op is what an action asks for.
type op uint8

const (
	opNone op = iota
	opCreate
	opIndex
	opUpdate
	opDelete
)

// names are the ops' keys; an action that cannot be read is answered as the
// most common of them.
var opNames = [...]string{opNone: "index", opCreate: "create", opIndex: "index", opUpdate: "update", opDelete: "delete"}

func opOf(key []byte) op {
	switch string(key) {
	case "create":
		return opCreate
	case "index":
		return opIndex
	case "update":
		return opUpdate
	case "delete":
		return opDelete
	}
	return opNone
}

// span is a piece of the body: the inside of a JSON string or a number, as the
// client spelled it. Bodies are below 2 GiB.
type span struct{ start, end int32 }

func (s span) empty() bool { return s.start == s.end }

func (s span) of(data []byte) []byte { return data[s.start:s.end] }

// action is an action line.
type action struct {
	op op
	// index and id are empty when the line does not name them.
	index, id span
	// escaped says that one of them has a backslash.
	escaped bool
}

// scanner reads one line of JSON, strictly by RFC 8259. It allocates nothing
// but for keys that are spelled with escapes.
type scanner struct {
	data    []byte
	at, end int
}

// parseAction reads data[start:end] as {"op":{…}}. It refuses what a lenient
// reader might take in two ways: duplicates of the names, a second op, bytes
// behind the object, text that is not UTF-8.
func parseAction(data []byte, start, end int) (action, bool) {
	if !utf8.Valid(data[start:end]) {
		return action{}, false
	}
	s := scanner{data: data, at: start, end: end}
	var a action
	if !s.open('{') {
		return a, false
	}
	key, ok := s.key()
	if !ok {
		return a, false
	}
	if a.op = opOf(key); a.op == opNone || !s.names(&a) {
		return action{}, false
	}
	if !s.open('}') {
		return action{}, false
	}
	s.space()
	if s.at != s.end {
		return action{}, false
	}
	return a, true
}

// names reads the object of an op.
func (s *scanner) names(a *action) bool {
	if !s.open('{') {
		return false
	}
	if s.open('}') {
		return true
	}
	var seenIndex, seenID bool
	for {
		key, ok := s.key()
		if !ok {
			return false
		}
		switch string(key) {
		case "_index":
			if seenIndex || !s.name(&a.index, a, indexBytesMax) {
				return false
			}
			seenIndex = true
		case "_id":
			if seenID || !s.name(&a.id, a, idBytesMax) {
				return false
			}
			seenID = true
		default:
			if !s.skip(depthMax) {
				return false
			}
		}
		if s.open('}') {
			return true
		}
		if !s.open(',') {
			return false
		}
	}
}

// name reads a name: a string, a whole number as some clients write an id, or
// null for none.
func (s *scanner) name(into *span, a *action, bytesMax int) bool {
	s.space()
	if s.at == s.end {
		return false
	}
	begin := s.at
	switch c := s.data[s.at]; {
	case c == '"':
		escaped, ok := s.text()
		if !ok {
			return false
		}
		*into = span{int32(begin + 1), int32(s.at - 1)}
		a.escaped = a.escaped || escaped
	case c == '-' || c >= '0' && c <= '9':
		if !s.number() {
			return false
		}
		*into = span{int32(begin), int32(s.at)}
	default:
		return s.literal("null")
	}
	return int(into.end-into.start) <= bytesMax
}

func (s *scanner) space() {
	for s.at < s.end {
		switch s.data[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

// open takes c if it comes next.
func (s *scanner) open(c byte) bool {
	s.space()
	if s.at == s.end || s.data[s.at] != c {
		return false
	}
	s.at++
	return true
}

// key takes a key and its colon, unescaped.
func (s *scanner) key() ([]byte, bool) {
	s.space()
	begin := s.at + 1
	escaped, ok := s.text()
	if !ok {
		return nil, false
	}
	key := s.data[begin : s.at-1]
	if escaped {
		if key, ok = unescape(nil, key); !ok {
			return nil, false
		}
	}
	return key, s.open(':')
}

// text takes a string and reports whether it has escapes.
func (s *scanner) text() (escaped, ok bool) {
	if s.at == s.end || s.data[s.at] != '"' {
		return false, false
	}
	for s.at++; s.at < s.end; s.at++ {
		switch c := s.data[s.at]; {
		case c == '"':
			s.at++
			return escaped, true
		case c < ' ':
			return escaped, false
		case c == '\\':
			escaped = true
			s.at++
			if s.at == s.end {
				return escaped, false
			}
			switch s.data[s.at] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if s.end-s.at < 5 {
					return escaped, false
				}
				if _, ok := hex4(s.data[s.at+1:]); !ok {
					return escaped, false
				}
				s.at += 4
			default:
				return escaped, false
			}
		}
	}
	return escaped, false
}

func (s *scanner) digits() bool {
	begin := s.at
	for s.at < s.end && s.data[s.at] >= '0' && s.data[s.at] <= '9' {
		s.at++
	}
	return s.at > begin
}

func (s *scanner) number() bool {
	if s.data[s.at] == '-' {
		s.at++
	}
	begin := s.at
	if !s.digits() || s.data[begin] == '0' && s.at > begin+1 {
		return false
	}
	if s.at < s.end && s.data[s.at] == '.' {
		s.at++
		if !s.digits() {
			return false
		}
	}
	if s.at < s.end && s.data[s.at]|0x20 == 'e' {
		s.at++
		if s.at < s.end && (s.data[s.at] == '+' || s.data[s.at] == '-') {
			s.at++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) literal(word string) bool {
	if s.end-s.at < len(word) || string(s.data[s.at:s.at+len(word)]) != word {
		return false
	}
	s.at += len(word)
	return true
}

// skip takes any value of up to depth levels.
func (s *scanner) skip(depth int) bool {
	s.space()
	if s.at == s.end || depth == 0 {
		return false
	}
	switch c := s.data[s.at]; {
	case c == '"':
		_, ok := s.text()
		return ok
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == 't':
		return s.literal("true")
	case c == 'f':
		return s.literal("false")
	case c == 'n':
		return s.literal("null")
	case c == '{':
		s.at++
		if s.open('}') {
			return true
		}
		for {
			if _, ok := s.key(); !ok || !s.skip(depth-1) {
				return false
			}
			if s.open('}') {
				return true
			}
			if !s.open(',') {
				return false
			}
		}
	case c == '[':
		s.at++
		if s.open(']') {
			return true
		}
		for {
			if !s.skip(depth - 1) {
				return false
			}
			if s.open(']') {
				return true
			}
			if !s.open(',') {
				return false
			}
		}
	}
	return false
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// unescape appends what the inside of a checked JSON string means. Half of a
// surrogate pair means nothing: two such names would become one.
func unescape(dst, raw []byte) ([]byte, bool) {
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		if i == len(raw) {
			return dst, false
		}
		switch raw[i] {
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
			r, ok := hex4(raw[i+1:])
			if !ok {
				return dst, false
			}
			i += 4
			if utf16.IsSurrogate(r) {
				if len(raw)-i < 7 || raw[i+1] != '\\' || raw[i+2] != 'u' {
					return dst, false
				}
				low, ok := hex4(raw[i+3:])
				if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
					return dst, false
				}
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, raw[i])
		}
	}
	return dst, true
}
