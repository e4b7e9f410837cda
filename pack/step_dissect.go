package pack

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// dissect cuts text at fixed delimiters: "%{a} %{b}" puts what precedes the
// first blank into a and the rest into b. %{} and %{?x} take text and keep
// nothing; %{x->} also takes repetitions of the delimiter behind it.
type dissect struct {
	lead  string
	parts []dissectPart
}

type dissectPart struct {
	name  string // empty: not kept
	until string // delimiter behind; empty for the last part
	pad   bool
}

func newDissect(pattern string) (parser, error) {
	lead, rest, ok := strings.Cut(pattern, "%{")
	if !ok {
		return nil, errors.New("the pattern has no %{field}")
	}
	d := &dissect{lead: lead}
	for {
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return nil, fmt.Errorf("%%{%s is not closed by }", rest)
		}
		p := dissectPart{name: name}
		if strings.HasSuffix(p.name, "->") {
			p.name, p.pad = strings.TrimSuffix(p.name, "->"), true
		}
		if strings.HasPrefix(p.name, "?") {
			p.name = ""
		}
		if err := checkFieldName(p.name); err != nil {
			return nil, err
		}
		var more bool
		p.until, rest, more = strings.Cut(after, "%{")
		if more && p.until == "" {
			return nil, fmt.Errorf("%%{%s} is followed by another field without text between them, so its end is unknown", name)
		}
		d.parts = append(d.parts, p)
		if !more {
			return d, nil
		}
	}
}

func (d *dissect) parse(text []byte, out *fields) bool {
	if !bytes.HasPrefix(text, []byte(d.lead)) {
		return false
	}
	text = text[len(d.lead):]
	for _, p := range d.parts {
		value := text
		if p.until == "" {
			text = nil
		} else {
			i := bytes.Index(text, []byte(p.until))
			if i < 0 {
				return false
			}
			value, text = text[:i], text[i+len(p.until):]
			for p.pad && bytes.HasPrefix(text, []byte(p.until)) {
				text = text[len(p.until):]
			}
		}
		if p.name != "" {
			out.add(p.name, value)
		}
	}
	return true
}
