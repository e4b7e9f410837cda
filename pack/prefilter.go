package pack

import (
	"bytes"
	"regexp"
	"regexp/syntax"
)

// textSearch is a regular expression with texts of which at least one stands in
// whatever it matches. Looking for those is some fifty times cheaper than the
// expression, and nearly every line of a log fails there for nearly every pack.
type textSearch struct {
	re *regexp.Regexp
	// needs are the texts; none means that the expression needs none.
	needs [][]byte
}

// needsMax bounds the texts of one expression: beyond it, the expression is
// searched for directly.
const needsMax = 64

func newTextSearch(re *regexp.Regexp) textSearch {
	s := textSearch{re: re}
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return s // regexp has compiled it, so this does not happen
	}
	for _, need := range needed(tree.Simplify()) {
		s.needs = append(s.needs, []byte(need))
	}
	return s
}

func (s *textSearch) match(text []byte) bool {
	if len(s.needs) == 0 {
		return s.re.Match(text)
	}
	for _, need := range s.needs {
		if bytes.Contains(text, need) {
			return s.re.Match(text)
		}
	}
	return false
}

// needed returns texts of which every match of re contains at least one, or
// none when that cannot be said.
func needed(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return nil
		}
		return []string{string(re.Rune)}
	case syntax.OpCapture, syntax.OpPlus:
		return needed(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needed(re.Sub[0])
		}
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if list := needed(sub); rarer(list, best) {
				best = list
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			list := needed(sub)
			if len(list) == 0 || len(all)+len(list) > needsMax {
				return nil
			}
			all = append(all, list...)
		}
		return all
	}
	return nil
}

// rarer reports whether texts a are likely to be found less often than b: a
// longer shortest text, then fewer texts.
func rarer(a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) > 0
	}
	if x, y := shortest(a), shortest(b); x != y {
		return x > y
	}
	return len(a) < len(b)
}

func shortest(list []string) int {
	n := len(list[0])
	for _, s := range list[1:] {
		n = min(n, len(s))
	}
	return n
}
