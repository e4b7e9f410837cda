package pack

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/tiercel-io/tiercel/event"
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
	named := false
	for _, n := range p.names {
		if err := checkFieldName(n); err != nil {
			return nil, err
		}
		named = named || n != ""
	}
	if !named {
		return nil, errors.New("the pattern has no named group; write (?P<name>…) around what becomes a field")
	}
	return p, nil
}

// checkFieldName refuses names that a record cannot hold.
func checkFieldName(name string) error {
	if !event.KeyFits([]byte(name)) {
		return fmt.Errorf("a field's name has more than %d bytes; shorten it", event.KeyBytesMax)
	}
	return nil
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
