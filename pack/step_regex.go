package pack

import (
	"errors"
	"regexp"
)

// regexParser makes a field of each named group that took part in the match.
type regexParser struct {
	re    *regexp.Regexp
	names []string
}

func newRegexParser(pattern string) (parser, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	p := &regexParser{re: re, names: re.SubexpNames()}
	for _, n := range p.names {
		if n != "" {
			return p, nil
		}
	}
	return nil, errors.New("the pattern has no named group; write (?P<name>…) around what becomes a field")
}

func (p *regexParser) parse(text []byte, out *fields) bool {
	m := p.re.FindSubmatchIndex(text)
	if m == nil {
		return false
	}
	for i, name := range p.names {
		if name != "" && m[2*i] >= 0 {
			out.add(name, text[m[2*i]:m[2*i+1]])
		}
	}
	return true
}
