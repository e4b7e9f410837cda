package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes text from outside safe to show on a terminal, and hides none of
// it: ESC, with which sequences that a terminal obeys begin, becomes U+241B (␛)
// and what follows stays to be read, since text that vanishes is a place to
// hide in, and two names must not look like one. Line breaks and tabs become
// spaces; other control characters, and those that reorder or hide text
// (Unicode category Cf), become U+FFFD. At most max characters are kept, and
// "…" says that there were more.
func Clean(text string, max int) string {
	var b strings.Builder
	n := 0
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == 0x1b:
			r = '␛'
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
