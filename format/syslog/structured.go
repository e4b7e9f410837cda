package syslog

import (
	"bytes"

	"github.com/tiercel-io/tiercel/event"
)

// structuredData cuts STRUCTURED-DATA (RFC 5424 section 6.3) from the message
// behind it; structured is nil for the NILVALUE.
func structuredData(b []byte) (structured, text []byte, ok bool) {
	if len(b) > 0 && b[0] == '-' && (len(b) == 1 || b[1] == ' ') {
		return nil, b[min(len(b), 2):], true
	}
	i := 0
	for i < len(b) && b[i] == '[' {
		end := element(b[i:], nil, nil)
		if end == 0 {
			return nil, nil, false
		}
		i += end
	}
	if i == 0 || i < len(b) && b[i] != ' ' {
		return nil, nil, false
	}
	return b[:i], b[min(len(b), i+1):], true
}

// element reads one [id name="value" …] and returns its length, or 0. begin
// and param, unless nil, are called with what it holds; value is still
// escaped.
func element(b []byte, begin func(id []byte), param func(name, value []byte)) int {
	i := 1
	start := i
	for i < len(b) && nameByte(b[i]) {
		i++
	}
	if i == start {
		return 0
	}
	if begin != nil {
		begin(b[start:i])
	}
	for i < len(b) && b[i] == ' ' {
		i++
		start = i
		for i < len(b) && nameByte(b[i]) {
			i++
		}
		name := b[start:i]
		if len(name) == 0 || i+1 >= len(b) || b[i] != '=' || b[i+1] != '"' {
			return 0
		}
		i += 2
		start = i
		for i < len(b) && b[i] != '"' {
			if b[i] == '\\' {
				i++
			}
			i++
		}
		if i >= len(b) {
			return 0
		}
		if param != nil {
			param(name, b[start:i])
		}
		i++
	}
	if i >= len(b) || b[i] != ']' {
		return 0
	}
	return i + 1
}

func nameByte(c byte) bool { return c > ' ' && c != '=' && c != ']' && c != '"' && c != 0x7f }

// putStructured adds checked STRUCTURED-DATA.
func putStructured(t *event.Tree, b []byte) {
	t.BeginObject()
	for len(b) > 0 {
		n := element(b, func(id []byte) {
			t.PutKey(id)
			t.BeginObject()
		}, func(name, value []byte) {
			t.PutKey(name)
			if bytes.IndexByte(value, '\\') < 0 {
				t.PutString(value)
				return
			}
			out := t.Arena()
			for i := 0; i < len(value); i++ {
				// Section 6.3.3: only these three are escapes.
				if value[i] == '\\' && i+1 < len(value) && (value[i+1] == '"' || value[i+1] == '\\' || value[i+1] == ']') {
					i++
				}
				out = append(out, value[i])
			}
			t.PutArenaText(out)
		})
		t.EndContainer()
		b = b[n:]
	}
	t.EndContainer()
}
