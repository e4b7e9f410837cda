package json

import (
	"fmt"

	"github.com/tiercel-io/tiercel/event"
)

// Members walks the object that begins at b[i], behind white space, one level
// deep and without building anything: visit is called with each key, decoded,
// and where its value begins; it returns the index behind the value, found with
// [ValueEnd] or by walking on. key is valid until visit returns. Members
// returns the index behind the object. What is wrong is an
// *[event.SyntaxError] that counts from b[0], or the error of visit. Keys may
// come twice.
//
// Values that visit passes over with ValueEnd are checked for brackets and
// quotes only.
func Members(b []byte, i int, visit func(key []byte, at int) (end int, err error)) (end int, err error) {
	if i, err = expect(b, i, '{'); err != nil {
		return i, err
	}
	if i = skipSpace(b, i); i < len(b) && b[i] == '}' {
		return i + 1, nil
	}
	for {
		from := skipSpace(b, i)
		if i, err = expect(b, from, '"'); err != nil {
			return i, err
		}
		var s scanner
		var ok bool
		s.quoted = true
		if i, ok = s.skipString(b, i); !ok {
			return i, ended(b)
		}
		key, err := keyText(b[from:i])
		if err != nil {
			return from, moved(err, from)
		}
		if i, err = expect(b, i, ':'); err != nil {
			return i, err
		}
		if i, err = visit(key, skipSpace(b, i)); err != nil {
			return i, err
		}
		switch i = skipSpace(b, i); {
		case i >= len(b):
			return i, ended(b)
		case b[i] == '}':
			return i + 1, nil
		case b[i] != ',':
			return i, unexpected(b, i, "',' or '}' after a member")
		}
		i++
	}
}

// Items walks the array that begins at b[i], behind white space, as [Members]
// does an object.
func Items(b []byte, i int, visit func(at int) (end int, err error)) (end int, err error) {
	if i, err = expect(b, i, '['); err != nil {
		return i, err
	}
	if i = skipSpace(b, i); i < len(b) && b[i] == ']' {
		return i + 1, nil
	}
	for {
		if i, err = visit(skipSpace(b, i)); err != nil {
			return i, err
		}
		switch i = skipSpace(b, i); {
		case i >= len(b):
			return i, ended(b)
		case b[i] == ']':
			return i + 1, nil
		case b[i] != ',':
			return i, unexpected(b, i, "',' or ']' after an item")
		}
		i++
	}
}

// ValueEnd returns the index behind the value that begins at b[i]. Brackets and
// quotes are followed; what is between them is not checked. The error is an
// *[event.SyntaxError] that counts from b[0].
func ValueEnd(b []byte, i int) (end int, err error) {
	if i >= len(b) {
		return i, ended(b)
	}
	switch c := b[i]; c {
	case '{', '[':
		var s scanner
		end, state := s.scan(b, i)
		switch state {
		case scanEnd:
			return end, nil
		case scanBroken:
			return end, &event.SyntaxError{Offset: end - 1, Reason: errMismatch.Error()}
		}
		return end, ended(b)
	case '"':
		s := scanner{quoted: true}
		end, ok := s.skipString(b, i+1)
		if !ok {
			return end, ended(b)
		}
		return end, nil
	case ',', ':', '}', ']':
		return i, unexpected(b, i, "a value")
	}
	end = i
	for end < len(b) {
		switch b[end] {
		case ',', ':', '}', ']', '{', '[', '"', ' ', '\t', '\r', '\n':
			return end, nil
		}
		end++
	}
	return end, nil
}

func expect(b []byte, i int, c byte) (int, error) {
	i = skipSpace(b, i)
	if i >= len(b) {
		return i, ended(b)
	}
	if b[i] != c {
		return i, unexpected(b, i, fmt.Sprintf("%q", rune(c)))
	}
	return i + 1, nil
}

func ended(b []byte) error {
	return &event.SyntaxError{Offset: len(b), Reason: errEndsInside.Error()}
}

func unexpected(b []byte, i int, want string) error {
	return &event.SyntaxError{Offset: i, Reason: fmt.Sprintf("expected %s, found %q", want, rune(b[i]))}
}

// keyText decodes a key in its quotes.
func keyText(quoted []byte) ([]byte, error) {
	for _, c := range quoted {
		if c == '\\' {
			var t event.Tree
			if err := t.ParseJSON(quoted); err != nil {
				return nil, err
			}
			return t.AppendText(nil, 0), nil
		}
	}
	return quoted[1 : len(quoted)-1], nil
}
