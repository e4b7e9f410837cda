package pack

import "bytes"

// cefParser reads ArcSight's Common Event Format: seven header fields between
// bars, then an extension of key=value pairs whose values may hold blanks, so
// that a value ends at the last blank before the next key. Header fields
// escape | and \, extension values =, \, and line ends as \n and \r. A label
// renames its custom field: cs1Label=Policy cs1=x also gives Policy=x.
type cefParser struct{}

var cefHeader = [...]string{"cefVersion", "deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity"}

func (cefParser) parse(text []byte, out *fields) bool {
	i := bytes.Index(text, []byte("CEF:"))
	if i < 0 {
		return false
	}
	text = text[i+len("CEF:"):]
	for _, name := range cefHeader {
		value, rest, ok := headerField(text, out)
		if !ok {
			// The last header field may end the record: no extension.
			if name != cefHeader[len(cefHeader)-1] {
				return false
			}
			rest = nil
		}
		out.add(name, value)
		text = rest
	}
	before := len(out.list)
	cefExtension(text, out)
	labels(out, before)
	return true
}

// headerField reads up to the next bar that is not escaped; ok is false when
// there is none and value is the rest.
func headerField(text []byte, out *fields) (value, rest []byte, ok bool) {
	escaped := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i+1 < len(text) && (text[i+1] == '|' || text[i+1] == '\\') {
				escaped = true
				i++
			}
		case '|':
			if escaped {
				return unescape(text[:i], out), text[i+1:], true
			}
			return text[:i], text[i+1:], true
		}
	}
	if escaped {
		return unescape(text, out), nil, false
	}
	return text, nil, false
}

// unescape writes text without the backslashes of escapes to the buffer.
func unescape(text []byte, out *fields) []byte {
	start := len(out.buf)
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == '\\' && i+1 < len(text) {
			switch text[i+1] {
			case '|', '\\', '=':
				i++
				c = text[i]
			case 'n':
				i++
				c = '\n'
			case 'r':
				i++
				c = '\r'
			}
		}
		out.buf = append(out.buf, c)
	}
	return out.buf[start:len(out.buf):len(out.buf)]
}

func cefExtension(text []byte, out *fields) {
	key, at := nextCEFKey(text, 0)
	for key != nil && !out.full() {
		next, nextAt := nextCEFKey(text, at)
		end := len(text)
		if next != nil {
			end = nextAt - len(next) - 1
		}
		value := bytes.TrimRight(text[at:end], " ")
		if bytes.IndexByte(value, '\\') >= 0 {
			value = unescape(value, out)
		}
		out.addKey(key, value)
		key, at = next, nextAt
	}
}

// nextCEFKey finds the next key at or after from: a word of letters, digits and
// _ . - [ ] at the start or behind a blank, and an equals sign that is not
// escaped. at is where its value begins.
func nextCEFKey(text []byte, from int) (key []byte, at int) {
	for i := from; i < len(text); i++ {
		if text[i] != '=' {
			continue
		}
		start := i
		for start > from && cefKeyByte(text[start-1]) {
			start--
		}
		if start < i && (start == 0 || start > from && text[start-1] == ' ' || start == from && (from == 0 || text[from-1] == ' ' || text[from-1] == '|')) {
			return text[start:i], i + 1
		}
	}
	return nil, 0
}

func cefKeyByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' || c == '[' || c == ']'
}

// labels adds a field under the name that a …Label field gives it.
func labels(out *fields, from int) {
	end := len(out.list)
	for i := from; i < end; i++ {
		base, ok := bytes.CutSuffix(out.list[i].key, []byte("Label"))
		if !ok || len(base) == 0 {
			continue
		}
		for j := from; j < end; j++ {
			if bytes.Equal(out.list[j].key, base) {
				out.addKey(out.list[i].value, out.list[j].value)
				break
			}
		}
	}
}
