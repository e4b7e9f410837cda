package pack

import (
	"bytes"
	"strconv"
)

// leefParser reads QRadar's Log Event Extended Format. Version 1.0 has five
// header fields and attributes separated by tabs; version 2.0 a sixth field
// that names the separator, as the character or as its code (x5E, 0x5E).
type leefParser struct{}

var leefHeader = [...]string{"leefVersion", "vendor", "product", "version", "eventId"}

func (leefParser) parse(text []byte, out *fields) bool {
	i := bytes.Index(text, []byte("LEEF:"))
	if i < 0 {
		return false
	}
	text = text[i+len("LEEF:"):]
	var version []byte
	for n, name := range leefHeader {
		value, rest, ok := headerField(text, out)
		if !ok {
			return false
		}
		if n == 0 {
			version = value
		}
		out.add(name, value)
		text = rest
	}
	separator := byte('\t')
	if bytes.HasPrefix(version, []byte("2")) {
		// The delimiter may be left out together with its bar.
		if j := bytes.IndexByte(text, '|'); j >= 0 && j <= 4 {
			if c, ok := leefSeparator(text[:j]); ok {
				separator = c
				text = text[j+1:]
			}
		}
	}
	for len(text) > 0 && !out.full() {
		pair := text
		if j := bytes.IndexByte(text, separator); j >= 0 {
			pair, text = text[:j], text[j+1:]
		} else {
			text = nil
		}
		key, value, ok := bytes.Cut(pair, []byte("="))
		if !ok {
			continue
		}
		if bytes.IndexByte(value, '\\') >= 0 {
			value = unescapeEquals(value, out)
		}
		out.addKey(bytes.TrimSpace(key), value)
	}
	return true
}

// leefSeparator reads the sixth header field; empty means the tab.
func leefSeparator(field []byte) (byte, bool) {
	switch {
	case len(field) == 0:
		return '\t', true
	case len(field) == 1:
		return field[0], true
	}
	digits := field
	if digits[0] == '0' {
		digits = digits[1:]
	}
	if len(digits) < 2 || digits[0]|0x20 != 'x' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(digits[1:]), 16, 8)
	return byte(n), err == nil
}

// unescapeEquals undoes \=; other backslashes are part of Windows paths.
func unescapeEquals(text []byte, out *fields) []byte {
	start := len(out.buf)
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) && text[i+1] == '=' {
			i++
		}
		out.buf = append(out.buf, text[i])
	}
	return out.buf[start:len(out.buf):len(out.buf)]
}
