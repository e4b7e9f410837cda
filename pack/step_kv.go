package pack

import "bytes"

// kvParser reads key=value pairs: FortiGate, auditd and many appliances. A value
// that begins with the quote runs to the closing one, in which a backslash
// before the quote or another backslash escapes it. Words without the equals
// sign are passed over.
type kvParser struct {
	pairs, equals []byte
	open, closing byte // 0: no quotes
}

func newKV(d kvDoc) parser {
	p := kvParser{pairs: []byte(" "), equals: []byte("="), open: '"', closing: '"'}
	if d.Pairs != "" {
		p.pairs = []byte(d.Pairs)
	}
	if d.Equals != "" {
		p.equals = []byte(d.Equals)
	}
	if d.Quote != "" {
		p.open, p.closing = d.Quote[0], d.Quote[len(d.Quote)-1]
	}
	return p
}

func (p kvParser) parse(text []byte, out *fields) bool {
	found := false
	for len(text) > 0 && !out.full() {
		eq := bytes.Index(text, p.equals)
		if eq < 0 {
			break
		}
		// A word before the key is not part of it.
		key := text[:eq]
		if i := bytes.LastIndex(key, p.pairs); i >= 0 {
			key = key[i+len(p.pairs):]
		}
		key = bytes.TrimSpace(key)
		text = text[eq+len(p.equals):]
		var value []byte
		if len(text) > 0 && text[0] == p.open {
			var ok bool
			if value, text, ok = p.quoted(text, out); !ok {
				value, text = text[1:], nil
			}
			if i := bytes.Index(text, p.pairs); i >= 0 {
				text = text[i+len(p.pairs):]
			} else {
				text = nil
			}
		} else if i := bytes.Index(text, p.pairs); i >= 0 {
			value, text = text[:i], text[i+len(p.pairs):]
		} else {
			value, text = text, nil
		}
		if len(key) > 0 {
			found = true
			out.addKey(key, value)
		}
	}
	return found
}

// quoted reads a quoted value; ok is false when it is never closed.
func (p kvParser) quoted(text []byte, out *fields) (value, rest []byte, ok bool) {
	start := len(out.buf)
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == p.closing || text[i+1] == '\\'):
			out.buf = append(out.buf, text[1:i]...)
			return p.escaped(text, i, start, out)
		case c == p.closing:
			return text[1:i], text[i+1:], true
		}
	}
	return nil, text, false
}

// escaped goes on from text[i] once an escape was met: the value is built in
// the buffer from start.
func (p kvParser) escaped(text []byte, i, start int, out *fields) (value, rest []byte, ok bool) {
	for ; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && (text[i+1] == p.closing || text[i+1] == '\\'):
			i++
			out.buf = append(out.buf, text[i])
		case c == p.closing:
			return out.buf[start:len(out.buf):len(out.buf)], text[i+1:], true
		default:
			out.buf = append(out.buf, c)
		}
	}
	return nil, text, false
}
