package pack

import "bytes"

// accessLogParser reads a line of a web server in the common or the combined
// log format of the NCSA and Apache, which nginx and Caddy write as well, also
// with the virtual host in front:
//
//	[host[:port]] remote_addr ident remote_user [time] "request" status bytes ["referer" "user_agent" …]
//
// A quote inside quotes is escaped by a backslash. A dash stands for nothing
// and makes no field.
type accessLogParser struct{}

func (accessLogParser) parse(text []byte, out *fields) bool {
	open := bytes.IndexByte(text, '[')
	if open < 0 {
		return false
	}
	head := bytes.Fields(text[:open])
	if len(head) == 4 {
		out.add("host", head[0])
		head = head[1:]
	}
	if len(head) < 3 {
		return false
	}
	out.add("remote_addr", head[0])
	// A user's name may hold blanks.
	user := text[:open]
	user = bytes.TrimSpace(user[bytes.Index(user, head[1])+len(head[1]):])
	if len(head) == 3 {
		user = head[2]
	}
	addPresent(out, "remote_user", user)
	text = text[open+1:]
	closing := bytes.IndexByte(text, ']')
	if closing < 0 {
		return false
	}
	out.add("time", text[:closing])
	request, rest, ok := quotedText(text[closing+1:], out)
	if !ok {
		return false
	}
	out.add("request", request)
	splitRequest(request, out)
	numbers := rest
	if i := bytes.IndexByte(rest, '"'); i >= 0 {
		numbers, rest = rest[:i], rest[i:]
	} else {
		rest = nil
	}
	words := bytes.Fields(numbers)
	if len(words) == 0 {
		return false
	}
	out.add("status", words[0])
	if len(words) > 1 {
		addPresent(out, "bytes", words[1])
	}
	for _, name := range [...]string{"referer", "user_agent", "forwarded_for"} {
		value, after, ok := quotedText(rest, out)
		if !ok {
			break
		}
		addPresent(out, name, value)
		rest = after
	}
	return true
}

func addPresent(out *fields, name string, value []byte) {
	if len(value) > 0 && string(value) != "-" {
		out.add(name, value)
	}
}

// splitRequest takes a request line apart: method, target, protocol.
func splitRequest(request []byte, out *fields) {
	method, target, ok := bytes.Cut(request, []byte(" "))
	if !ok || len(target) == 0 {
		return
	}
	out.add("method", method)
	if i := bytes.LastIndexByte(target, ' '); i >= 0 && bytes.HasPrefix(target[i+1:], []byte("HTTP/")) {
		out.add("protocol", target[i+1:])
		target = target[:i]
	}
	out.add("target", target)
	if i := bytes.IndexByte(target, '?'); i >= 0 {
		out.add("uri_query", target[i+1:])
		target = target[:i]
	}
	out.add("uri_path", target)
}

// quotedText reads the next quoted text. \" and \\ are unescaped; the \xNN of
// bytes that a server would not print stay as they are.
func quotedText(text []byte, out *fields) (value, rest []byte, ok bool) {
	open := bytes.IndexByte(text, '"')
	if open < 0 {
		return nil, nil, false
	}
	text = text[open+1:]
	escaped := false
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			if i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\\') {
				escaped = true
				i++
			}
		case '"':
			if !escaped {
				return text[:i], text[i+1:], true
			}
			start := len(out.buf)
			for j := 0; j < i; j++ {
				if text[j] == '\\' && j+1 < i && (text[j+1] == '"' || text[j+1] == '\\') {
					j++
				}
				out.buf = append(out.buf, text[j])
			}
			return out.buf[start:len(out.buf):len(out.buf)], text[i+1:], true
		}
	}
	return nil, nil, false
}
