package rule

import "strings"

// ParsePattern reads a value by Sigma's escapes, left to right: \* and \? are
// the characters themselves, \\ is one backslash, * and ? are wildcards, and a
// backslash before anything else, or last, stands for itself.
func ParsePattern(s string) []Part {
	// Nearly all values hold neither wildcard nor doubled backslash.
	if !strings.ContainsAny(s, `*?`) && !strings.Contains(s, `\\`) {
		if s == "" {
			return nil
		}
		return []Part{{Kind: Literal, Lit: s}}
	}
	var p patternBuilder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && (s[i+1] == '*' || s[i+1] == '?' || s[i+1] == '\\'):
			i++
			p.literal.WriteByte(s[i])
		case c == '*':
			p.add(Star)
		case c == '?':
			p.add(One)
		default:
			p.literal.WriteByte(c)
		}
	}
	return p.done()
}

// FormatPattern writes a pattern so that [ParsePattern] reads the same parts
// again. A Dash, which no text can express, is written as the hyphen-minus
// that the modifier windash turns into it.
func FormatPattern(parts []Part) string {
	var b strings.Builder
	for _, p := range parts {
		switch p.Kind {
		case Literal:
			escapePattern(&b, p.Lit)
		case Star:
			b.WriteByte('*')
		case One:
			b.WriteByte('?')
		case Dash:
			b.WriteByte('-')
		}
	}
	return b.String()
}

func escapePattern(b *strings.Builder, lit string) {
	for i := 0; i < len(lit); i++ {
		if c := lit[i]; c == '\\' || c == '*' || c == '?' {
			b.WriteByte('\\')
		}
		b.WriteByte(lit[i])
	}
}

// patternBuilder joins parts so that no two Stars and no two Literals are
// neighbours.
type patternBuilder struct {
	parts   []Part
	literal strings.Builder
}

func (p *patternBuilder) add(k PartKind) {
	p.flush()
	if k == Star && len(p.parts) > 0 && p.parts[len(p.parts)-1].Kind == Star {
		return
	}
	p.parts = append(p.parts, Part{Kind: k})
}

func (p *patternBuilder) flush() {
	if p.literal.Len() > 0 {
		p.parts = append(p.parts, Part{Kind: Literal, Lit: p.literal.String()})
		p.literal.Reset()
	}
}

func (p *patternBuilder) append(parts []Part) {
	for _, part := range parts {
		if part.Kind == Literal {
			p.literal.WriteString(part.Lit)
			continue
		}
		p.add(part.Kind)
	}
}

func (p *patternBuilder) done() []Part {
	p.flush()
	return p.parts
}

// surround adds a Star before and after, where asked and not there already.
func surround(parts []Part, before, after bool) []Part {
	out := make([]Part, 0, len(parts)+2)
	if before && (len(parts) == 0 || parts[0].Kind != Star) {
		out = append(out, Part{Kind: Star})
	}
	out = append(out, parts...)
	if after && out[len(out)-1].Kind != Star {
		out = append(out, Part{Kind: Star})
	}
	return out
}

// onlyStars reports whether a pattern matches every text.
func onlyStars(parts []Part) bool {
	return len(parts) == 1 && parts[0].Kind == Star
}

// plain returns the text of a pattern without wildcards.
func plain(parts []Part) (string, bool) {
	switch {
	case len(parts) == 0:
		return "", true
	case len(parts) == 1 && parts[0].Kind == Literal:
		return parts[0].Lit, true
	}
	return "", false
}
