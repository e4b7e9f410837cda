package detect

import (
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// glob is a text pattern in the form it is matched: segments between stars.
type glob struct {
	segments []segment
	// anchorStart and anchorEnd say that the first segment begins the text
	// and the last one ends it.
	anchorStart, anchorEnd bool
}

// segment is a run of literals, single characters and dashes.
type segment struct {
	parts []rule.Part
}

// newGlob turns the parts of a pattern into a glob. Literals are folded unless
// the pattern is cased, and are then compared with folded text.
func newGlob(parts []rule.Part, cased bool) *glob {
	g := &glob{anchorStart: true, anchorEnd: true}
	var cur []rule.Part
	for i, p := range parts {
		switch p.Kind {
		case rule.Star:
			if i == 0 {
				g.anchorStart = false
			}
			if i == len(parts)-1 {
				g.anchorEnd = false
			}
			if len(cur) > 0 {
				g.segments = append(g.segments, segment{cur})
				cur = nil
			}
		case rule.Literal:
			if !cased {
				p.Lit = event.FoldString(p.Lit)
			}
			if n := len(cur); n > 0 && cur[n-1].Kind == rule.Literal {
				cur[n-1].Lit += p.Lit
			} else {
				cur = append(cur, p)
			}
		default:
			cur = append(cur, p)
		}
	}
	if len(cur) > 0 {
		g.segments = append(g.segments, segment{cur})
	}
	return g
}

// literal returns the pattern's only literal when it has no part but one
// literal and stars, or the empty pattern.
func (g *glob) literal() (string, bool) {
	switch {
	case len(g.segments) == 0:
		return "", g.anchorStart && g.anchorEnd
	case len(g.segments) == 1 && len(g.segments[0].parts) == 1 && g.segments[0].parts[0].Kind == rule.Literal:
		return g.segments[0].parts[0].Lit, true
	}
	return "", false
}

// match reports whether text as a whole fits the pattern. Segments between
// stars are taken leftmost, which is enough: whatever a later choice leaves
// for the rest, an earlier one leaves too. Cost is the length of the text times
// that of the pattern at worst.
func (g *glob) match(text []byte) bool {
	segs := g.segments
	if len(segs) == 0 {
		return !g.anchorStart || !g.anchorEnd || len(text) == 0
	}
	if g.anchorStart {
		n, ok := segs[0].prefix(text)
		if !ok {
			return false
		}
		text = text[n:]
		segs = segs[1:]
		if len(segs) == 0 {
			return !g.anchorEnd || len(text) == 0
		}
	}
	if g.anchorEnd {
		last := segs[len(segs)-1]
		n, ok := last.suffix(text)
		if !ok {
			return false
		}
		text = text[:len(text)-n]
		segs = segs[:len(segs)-1]
	}
	for _, s := range segs {
		end, ok := s.find(text)
		if !ok {
			return false
		}
		text = text[end:]
	}
	return true
}

// prefix reports how many bytes at the start of text the segment takes.
func (s segment) prefix(text []byte) (int, bool) {
	n := 0
	for _, p := range s.parts {
		rest := text[n:]
		if p.Kind == rule.Literal {
			if len(rest) < len(p.Lit) || string(rest[:len(p.Lit)]) != p.Lit {
				return 0, false
			}
			n += len(p.Lit)
			continue
		}
		if len(rest) == 0 {
			return 0, false
		}
		r, size := utf8.DecodeRune(rest)
		if p.Kind == rule.Dash && !isDash(r) {
			return 0, false
		}
		n += size
	}
	return n, true
}

// suffix reports how many bytes at the end of text the segment takes.
func (s segment) suffix(text []byte) (int, bool) {
	n := 0
	for i := len(s.parts) - 1; i >= 0; i-- {
		p := s.parts[i]
		rest := text[:len(text)-n]
		if p.Kind == rule.Literal {
			if len(rest) < len(p.Lit) || string(rest[len(rest)-len(p.Lit):]) != p.Lit {
				return 0, false
			}
			n += len(p.Lit)
			continue
		}
		if len(rest) == 0 {
			return 0, false
		}
		r, size := utf8.DecodeLastRune(rest)
		if p.Kind == rule.Dash && !isDash(r) {
			return 0, false
		}
		n += size
	}
	return n, true
}

// find returns the end of the segment's first occurrence in text.
func (s segment) find(text []byte) (int, bool) {
	first := s.parts[0]
	if first.Kind == rule.Literal {
		for at := 0; ; {
			i := indexLiteral(text[at:], first.Lit)
			if i < 0 {
				return 0, false
			}
			at += i
			if n, ok := s.prefix(text[at:]); ok {
				return at + n, true
			}
			at++
		}
	}
	for at := 0; at < len(text); {
		if n, ok := s.prefix(text[at:]); ok {
			return at + n, true
		}
		_, size := utf8.DecodeRune(text[at:])
		at += size
	}
	return 0, false
}

// indexLiteral returns where lit first stands in text, or -1.
func indexLiteral(text []byte, lit string) int {
	if len(text) == 0 {
		return -1
	}
	return strings.Index(unsafe.String(&text[0], len(text)), lit)
}

// isDash reports whether r introduces a command-line flag [D31].
func isDash(r rune) bool {
	switch r {
	case '-', '/', '\u2013', '\u2014', '\u2015':
		return true
	}
	return false
}
