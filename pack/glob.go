package pack

import (
	"bytes"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// glob is a pattern of match and when: text compared case-folded over the
// whole value, in which * stands for any run of characters.
type glob struct {
	parts []string // folded; between the stars
	exact bool     // no star: parts has one element
}

func newGlob(s string) glob {
	folded := event.FoldString(s)
	return glob{parts: strings.Split(folded, "*"), exact: !strings.Contains(folded, "*")}
}

// matchFolded reports whether folded text fits.
func (g *glob) matchFolded(s []byte) bool {
	if g.exact {
		return string(s) == g.parts[0]
	}
	first, last := g.parts[0], g.parts[len(g.parts)-1]
	if len(s) < len(first)+len(last) || string(s[:len(first)]) != first || string(s[len(s)-len(last):]) != last {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, p := range g.parts[1 : len(g.parts)-1] {
		i := bytes.Index(s, []byte(p))
		if i < 0 {
			return false
		}
		s = s[i+len(p):]
	}
	return true
}

type globs []glob

func newGlobs(list []string) globs {
	out := make(globs, 0, len(list))
	for _, s := range list {
		out = append(out, newGlob(s))
	}
	return out
}

// match reports whether any pattern fits text; fold is a buffer to fold it in.
func (g globs) match(text []byte, fold *[]byte) bool {
	*fold, _ = event.AppendFold((*fold)[:0], text)
	for i := range g {
		if g[i].matchFolded(*fold) {
			return true
		}
	}
	return false
}
