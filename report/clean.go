package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text from outside safe to show on a terminal: escape sequences
// are removed; line breaks and tabs become spaces; other control characters,
// and those that reorder or hide text (Unicode category Cf), become U+FFFD. At
// most max characters are kept, and "…" says that there were more.
func Clean(text string, max int) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == 0x1b || r == 0x9b:
			i += escapeLen(text[i:], size)
			continue
		case r == '\n' || r == '\r' || r == '\t':
			r = ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029':
			r = utf8.RuneError
		}
		if n == max {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
		n++
		i += size
	}
	return b.String()
}

// escapeLen is the length of the ECMA-48 control sequence that text begins
// with: CSI up to its final byte, strings (OSC, DCS, …) up to BEL or ST, else
// ESC and one byte. first is the length of its first character.
func escapeLen(text string, first int) int {
	kind := byte('[') // U+009B is CSI in one character
	i := first
	if text[0] == 0x1b {
		if len(text) == 1 {
			return 1
		}
		kind = text[1]
		i = 2
	}
	switch kind {
	case '[':
		for i < len(text) && text[i] >= 0x20 && text[i] <= 0x3f {
			i++
		}
		if i < len(text) && text[i] >= 0x40 && text[i] <= 0x7e {
			i++
		}
		return i
	case ']', 'P', 'X', '^', '_':
		for i < len(text) {
			if text[i] == 0x07 {
				return i + 1
			}
			if strings.HasPrefix(text[i:], "\x1b\\") {
				return i + 2
			}
			i++
		}
		return i
	}
	if kind >= utf8.RuneSelf {
		return 1
	}
	return i
}
