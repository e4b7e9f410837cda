package pack

import (
	"bytes"
	"regexp"
	"regexp/syntax"
)

// textSearch is a regular expression taken apart into its alternatives, each
// with texts of which at least one stands in whatever it matches. Looking for
// those is some fifty times cheaper than the expression, and nearly every line
// of a log fails there for nearly every pack.
type textSearch []alternative

type alternative struct {
	re *regexp.Regexp
	// needs are the texts; none means that the expression needs none.
	needs [][]byte
}

// needsMax bounds the texts of one expression: beyond it, the expression is
// searched for directly.
const needsMax = 64

func newTextSearch(re *regexp.Regexp) textSearch {
	tree, err := syntax.Parse(re.String(), syntax.Perl)
	if err != nil {
		return textSearch{{re: re}} // regexp has compiled it, so this does not happen
	}
	tree = tree.Simplify()
	if tree.Op != syntax.OpAlternate {
		return textSearch{{re, needs(tree)}}
	}
	s := make(textSearch, len(tree.Sub))
	for i, sub := range tree.Sub {
		part, err := regexp.Compile(sub.String())
		if err != nil {
			return textSearch{{re, needs(tree)}} // a part of what has compiled compiles
		}
		s[i] = alternative{part, needs(sub)}
	}
	return s
}

func needs(tree *syntax.Regexp) [][]byte {
	var list [][]byte
	for _, need := range needed(tree) {
		list = append(list, []byte(need))
	}
	return list
}

func (s textSearch) match(text []byte) bool {
	for i := range s {
		if s[i].match(text) {
			return true
		}
	}
	return false
}

func (a *alternative) match(text []byte) bool {
	if len(a.needs) == 0 {
		return a.re.Match(text)
	}
	for _, need := range a.needs {
		if bytes.Contains(text, need) {
			return a.re.Match(text)
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
