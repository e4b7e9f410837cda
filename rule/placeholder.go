package rule

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
)

// piece is a part of a value with the modifier expand: text as written, or the
// name of a placeholder.
type piece struct {
	text, name string
}

// splitPlaceholders cuts a value at its placeholders, %name%, where a name is
// made of letters, digits, underscores, hyphens and dots and begins with a
// letter or underscore. A backslash takes the meaning from a percent sign.
// unescape drops that backslash; an expression reads \% as % by itself.
func splitPlaceholders(s string, unescape bool) []piece {
	var out []piece
	var text strings.Builder
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			if s[i+1] != '%' || !unescape {
				text.WriteByte('\\')
			}
			text.WriteByte(s[i+1])
			i += 2
		case s[i] == '%':
			n := placeholderLen(s[i:])
			if n == 0 {
				text.WriteByte('%')
				i++
				continue
			}
			if text.Len() > 0 {
				out = append(out, piece{text: text.String()})
				text.Reset()
			}
			out = append(out, piece{name: s[i+1 : i+n-1]})
			i += n
		default:
			text.WriteByte(s[i])
			i++
		}
	}
	if text.Len() > 0 {
		out = append(out, piece{text: text.String()})
	}
	return out
}

// placeholderLen returns the length of the placeholder that s begins with, or
// 0.
func placeholderLen(s string) int {
	for i := 1; i < len(s); i++ {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_'
		switch {
		case letter, i > 1 && (c >= '0' && c <= '9' || c == '-' || c == '.'):
		case c == '%' && i > 1:
			return i + 1
		default:
			return 0
		}
	}
	return 0
}

// resolve looks a placeholder's list up and notes what is missing.
func (b *builder) resolve(n *doctree.Node, name string) (ValueList, bool) {
	b.placeholders = true
	l, ok := b.lists[name]
	if !ok && !slices.Contains(b.needs, name) {
		b.needs = append(b.needs, name)
	}
	return l, ok
}

// expand returns the patterns that a value with placeholders stands for: every
// combination of their lists' values. There are none when a list is missing.
func (b *builder) expand(n *doctree.Node) [][]Part {
	pieces := splitPlaceholders(n.Value, true)
	if !strings.Contains(n.Value, "%") {
		b.report(n, CodePlaceholderNone, "remove |expand, or write a placeholder as %name%", "the value %s has no placeholder", quote(n.Value))
	}
	out := [][]Part{nil}
	missing := false
	for _, p := range pieces {
		var options [][]Part
		if p.name == "" {
			options = [][]Part{ParsePattern(p.text)}
		} else {
			list, ok := b.resolve(n, p.name)
			missing = missing || !ok
			for _, v := range list.Values {
				if list.Literal {
					options = append(options, literal(v))
				} else {
					options = append(options, ParsePattern(v))
				}
			}
		}
		if len(out)*len(options) > ListValuesMax {
			b.chargeList(n, ListValuesMax+1, 0)
			return nil
		}
		next := make([][]Part, 0, len(out)*len(options))
		for _, head := range out {
			for _, tail := range options {
				var pb patternBuilder
				pb.append(head)
				pb.append(tail)
				parts := pb.done()
				if !b.chargeList(n, 0, patternBytes(parts)) {
					return nil
				}
				next = append(next, parts)
			}
		}
		out = next
	}
	if missing {
		return nil
	}
	return out
}

func literal(s string) []Part {
	if s == "" {
		return nil
	}
	return []Part{{Kind: Literal, Lit: s}}
}

func patternBytes(parts []Part) int {
	n := 0
	for _, p := range parts {
		n += len(p.Lit) + 1
	}
	return n
}

// expandRegex is expand for expressions: a list's values become groups that
// match what the values match as patterns.
func (b *builder) expandRegex(n *doctree.Node) []string {
	out := []string{""}
	missing := false
	for _, p := range splitPlaceholders(n.Value, false) {
		options := []string{p.text}
		if p.name != "" {
			list, ok := b.resolve(n, p.name)
			missing = missing || !ok
			options = nil
			for _, v := range list.Values {
				parts := literal(v)
				if !list.Literal {
					parts = ParsePattern(v)
				}
				options = append(options, patternRegex(parts))
			}
		}
		if len(out)*len(options) > ValuesMax {
			b.charge(n, ValuesMax+1, 0)
			return nil
		}
		next := make([]string, 0, len(out)*len(options))
		for _, head := range out {
			for _, tail := range options {
				if !b.charge(n, 0, len(head)+len(tail)) {
					return nil
				}
				next = append(next, head+tail)
			}
		}
		out = next
	}
	if missing {
		return nil
	}
	return out
}

// patternRegex writes a pattern as a group of a regular expression.
func patternRegex(parts []Part) string {
	var b strings.Builder
	b.WriteString("(?:")
	for _, p := range parts {
		switch p.Kind {
		case Literal:
			b.WriteString(regexp.QuoteMeta(p.Lit))
		case Star:
			b.WriteString(`(?s:.*)`)
		case One:
			b.WriteString(`(?s:.)`)
		}
	}
	b.WriteByte(')')
	return b.String()
}

// IsPlaceholderName reports whether a name can stand between percent signs: it
// begins with a letter or underscore and has letters, digits, underscores,
// hyphens and dots.
func IsPlaceholderName(s string) bool {
	return placeholderLen("%"+s+"%") == len(s)+2
}
