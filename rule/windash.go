package rule

import (
	"unicode"
	"unicode/utf8"
)

// Dashes are the characters that command lines accept before a flag and that
// the modifier windash treats as one: - / – — ―.
const Dashes = "-/\u2013\u2014\u2015"

func isDash(r rune) bool {
	return r == '-' || r == '/' || r == '\u2013' || r == '\u2014' || r == '\u2015'
}

// isWord is Python's \w, by which the rules for windash are written.
func isWord(r rune) bool {
	return r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r)
}

// windash turns every dash that begins a flag into a Dash part: one that does
// not follow a word character and that a word character follows. The start of
// the value and a wildcard count as not a word character.
func windash(parts []Part) []Part {
	var p patternBuilder
	for _, part := range parts {
		if part.Kind != Literal {
			p.add(part.Kind)
			continue
		}
		before := rune(-1)
		for i, n := 0, 0; i < len(part.Lit); i += n {
			var r rune
			r, n = utf8.DecodeRuneInString(part.Lit[i:])
			next, _ := utf8.DecodeRuneInString(part.Lit[i+n:])
			if isDash(r) && !isWord(before) && i+n < len(part.Lit) && isWord(next) {
				p.add(Dash)
			} else {
				p.literal.WriteString(part.Lit[i : i+n])
			}
			before = r
		}
	}
	return p.done()
}

// dashVariantsMax bounds the spellings of one value that an encoding must
// write out: four positions of five dashes.
const dashVariantsMax = 625

// dashVariants writes a pattern with Dash parts out as all its spellings, for
// encodings, which know no alternatives. ok is false when there are more than
// dashVariantsMax.
func dashVariants(parts []Part) (out [][]Part, ok bool) {
	out = [][]Part{nil}
	for _, part := range parts {
		if part.Kind != Dash {
			for i := range out {
				out[i] = append(out[i], part)
			}
			continue
		}
		if len(out)*5 > dashVariantsMax {
			return nil, false
		}
		next := make([][]Part, 0, len(out)*5)
		for _, o := range out {
			for _, dash := range Dashes {
				next = append(next, append(append([]Part(nil), o...), Part{Kind: Literal, Lit: string(dash)}))
			}
		}
		out = next
	}
	for i, o := range out {
		var p patternBuilder
		p.append(o)
		out[i] = p.done()
	}
	return out, true
}
