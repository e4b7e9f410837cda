package pack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"strings"
)

// The functions of this file bring what vendors write in their own way into
// the form that rules expect: URLs whole and in pieces, and lists of name and
// value pairs.

// plusAsSpace emits each value, and once more with its plus signs as blanks
// when it has any: IIS writes the blanks of a header so.
func plusAsSpace(in [][][]byte, _ []string, emit func([]byte)) {
	b := takeBuffer()
	out := *b
	for _, v := range in[0] {
		emit(v)
		if bytes.IndexByte(v, '+') < 0 || bytes.IndexByte(v, ' ') >= 0 {
			continue
		}
		out = append(out[:0], v...)
		for i, c := range out {
			if c == '+' {
				out[i] = ' '
			}
		}
		emit(out)
	}
	giveBuffer(b, out)
}

// schemeEnd returns where the authority of an absolute URL begins, or -1 for
// what is not one (RFC 3986, 3.1).
func schemeEnd(s []byte) int {
	i := bytes.Index(s, []byte("://"))
	if i <= 0 {
		return -1
	}
	for j, c := range s[:i] {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (j == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return -1
		}
	}
	return i + len("://")
}

// splitURL cuts an absolute URL, or a request target, into its authority and
// the target that follows it. A CONNECT target, host:port, is an authority.
func splitURL(s []byte) (authority, target []byte) {
	i := schemeEnd(s)
	if i < 0 {
		if len(s) > 0 && s[0] != '/' && s[0] != '*' && !bytes.ContainsAny(s, "/?#") {
			return s, nil
		}
		return nil, s
	}
	rest := s[i:]
	if j := bytes.IndexAny(rest, "/?#"); j >= 0 {
		return rest[:j], rest[j:]
	}
	return rest, nil
}

// wholeURL makes the full URL of a host and a target; one that is absolute
// already stays as it is. The target alone is a value too, since rules are
// written for either.
func wholeURL(in [][][]byte, params []string, emit func([]byte)) {
	var host []byte
	if len(in[0]) > 0 {
		host = in[0][0]
	}
	b := takeBuffer()
	out := *b
	for _, v := range in[1] {
		authority, target := splitURL(v)
		if len(host) > 0 && authority == nil {
			out = append(append(append(out[:0], params[0]...), "://"...), host...)
			if len(target) > 0 && target[0] != '/' {
				out = append(out, '/')
			}
			out = append(out, target...)
			emit(out)
			emit(v)
			continue
		}
		emit(v)
		if authority != nil && len(target) > 0 {
			emit(target)
		}
	}
	giveBuffer(b, out)
}

// urlHost makes the host of a URL or of host:port, without port and user.
func urlHost(dst, in []byte) ([]byte, bool) {
	authority, _ := splitURL(in)
	if i := bytes.LastIndexByte(authority, '@'); i >= 0 {
		authority = authority[i+1:]
	}
	if len(authority) == 0 {
		return nil, false
	}
	if authority[0] == '[' { // an IPv6 literal keeps its colons
		if i := bytes.IndexByte(authority, ']'); i > 0 {
			return append(dst, authority[1:i]...), true
		}
	}
	if i := bytes.IndexByte(authority, ':'); i >= 0 && i == bytes.LastIndexByte(authority, ':') {
		authority = authority[:i]
	}
	return append(dst, authority...), len(authority) > 0
}

// urlTarget makes what follows the authority of a URL: path and query.
func urlTarget(dst, in []byte) ([]byte, bool) {
	_, target := splitURL(in)
	if i := bytes.IndexByte(target, '#'); i >= 0 {
		target = target[:i]
	}
	return append(dst, target...), len(target) > 0
}

// urlPath makes the path of a URL or request target.
func urlPath(dst, in []byte) ([]byte, bool) {
	_, target := splitURL(in)
	if i := bytes.IndexAny(target, "?#"); i >= 0 {
		target = target[:i]
	}
	return append(dst, target...), len(target) > 0
}

// requestTarget joins a path and a query, either of which may be a dash for
// none, as W3C logs keep them.
func requestTarget(in [][][]byte, _ []string, emit func([]byte)) {
	if len(in[0]) == 0 {
		return
	}
	b := takeBuffer()
	out := append((*b)[:0], in[0][0]...)
	if len(in[1]) > 0 {
		if q := in[1][0]; len(q) > 0 && string(q) != "-" {
			if q[0] != '?' {
				out = append(out, '?')
			}
			out = append(out, q...)
		}
	}
	emit(out)
	giveBuffer(b, out)
}

// hostOfAddress drops the port of an address with one: 192.0.2.1:443,
// [2001:db8::1]:443; any other text stays.
func hostOfAddress(dst, in []byte) ([]byte, bool) {
	if host, _, err := net.SplitHostPort(string(in)); err == nil && host != "" {
		return append(dst, host...), true
	}
	return append(dst, in...), true
}

// union emits the values of all arguments, each text once.
func union(in [][][]byte, _ []string, emit func([]byte)) {
	var seen [][]byte
	for _, arg := range in {
	value:
		for _, v := range arg {
			for _, s := range seen {
				if bytes.Equal(s, v) {
					continue value
				}
			}
			if len(seen) < unionSeenMax {
				seen = append(seen, v)
			}
			emit(v)
		}
	}
}

// unionSeenMax bounds the quadratic search for repeats; values beyond it are
// emitted without it.
const unionSeenMax = 64

// mapValue gives each value the text of the first parameter GLOB=TEXT that
// fits it; & in TEXT stands for the value, and an empty TEXT drops it.
func mapValue(in [][][]byte, params []string, emit func([]byte)) {
	b, f := takeBuffer(), takeBuffer()
	out, fold := *b, *f
	for _, v := range in[0] {
		for _, p := range params {
			pattern, text, _ := strings.Cut(p, "=")
			g := newGlob(pattern)
			if !(globs{g}).match(v, &fold) {
				continue
			}
			out = out[:0]
			for {
				before, after, more := strings.Cut(text, "&")
				out = append(out, before...)
				if !more {
					break
				}
				out = append(out, v...)
				text = after
			}
			if len(out) > 0 {
				emit(out)
			}
			break
		}
	}
	giveBuffer(b, out)
	giveBuffer(f, fold)
}

func checkMapValue(params []string) error {
	for _, p := range params {
		if pattern, _, ok := strings.Cut(p, "="); !ok || pattern == "" {
			return fmt.Errorf("parameter %q: expected PATTERN=TEXT", p)
		}
	}
	return nil
}

// successUnless emits its first parameter when the first argument has a value
// and the second has none, and its second parameter when both have one.
func successUnless(in [][][]byte, params []string, emit func([]byte)) {
	if len(in[0]) == 0 {
		return
	}
	if len(in[1]) == 0 {
		emit([]byte(params[0]))
		return
	}
	emit([]byte(params[1]))
}

// namedValue searches objects that each hold a name and a value, as
// {"Name":"x","Value":"y"}. Its parameters are the name wanted, the key of the
// name and the keys under which a value may stand; all are compared
// case-folded. A value that is itself JSON text of one string, as Entra writes
// them, is emitted without its quotes.
func namedValue(in [][][]byte, params []string, emit func([]byte)) {
	for _, v := range in[0] {
		var object map[string]json.RawMessage
		if json.Unmarshal(v, &object) != nil {
			continue
		}
		name, _ := member(object, params[1])
		if !equalFold(params[0], textOf(name)) {
			continue
		}
		for _, key := range params[2:] {
			value, ok := member(object, key)
			if !ok {
				continue
			}
			var list []json.RawMessage
			if json.Unmarshal(value, &list) != nil {
				list = []json.RawMessage{value}
			}
			for _, item := range list {
				if string(item) == "null" {
					continue
				}
				text := textOf(item)
				if inner := textOf(text); len(inner) > 0 {
					text = inner
				}
				emit(text)
			}
			break
		}
	}
}

// member finds a key, exactly or else case-folded; of several that fit only
// by folding it takes the least, so that the choice does not depend on chance.
func member(object map[string]json.RawMessage, key string) (json.RawMessage, bool) {
	if v, ok := object[key]; ok {
		return v, true
	}
	best, found := "", false
	for k := range object {
		if equalFold(key, []byte(k)) && (!found || k < best) {
			best, found = k, true
		}
	}
	return object[best], found
}

// textOf is a JSON string's text, and of anything else its spelling.
func textOf(raw []byte) []byte {
	var s string
	if len(raw) > 1 && raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return []byte(s)
	}
	return raw
}

// pimAlertKind makes the kind of a privileged identity alert from the OData
// types of its incidents or, without one, from the last part of its
// definition's id, of which the incident's and the configuration's type names
// are made.
func pimAlertKind(in [][][]byte, _ []string, emit func([]byte)) {
	found := false
	for _, v := range in[0] {
		kind := v[bytes.LastIndexByte(v, '.')+1:]
		if bytes.Contains(kind, []byte("Alert")) {
			found = true
			emit(kind)
		}
	}
	if found {
		return
	}
	for _, v := range in[1] {
		kind := v[bytes.LastIndexByte(v, '_')+1:]
		if !bytes.HasSuffix(kind, []byte("Alert")) {
			continue
		}
		lead := bytes.ToLower(kind[:1])
		for _, end := range [...]string{"Incident", "Configuration"} {
			emit(append(append(append([]byte(nil), lead...), kind[1:]...), end...))
		}
	}
}
