package detect

import (
	"regexp/syntax"
	"unicode/utf8"

	"github.com/tiercel-io/tiercel/event"
)

// A prefilter holds what every text that a regular expression is found in must
// have, so that the expression itself runs on few texts: Go's matcher needs 30
// to 100 ns a byte, the prefilter less than one.
type prefilter struct {
	// ordered are folded literals that occur one after another, without
	// overlap.
	ordered []string
	// runs are stretches of bytes of one class.
	runs []classRun
	// bytesMin is the length of the shortest match.
	bytesMin int
}

// classRun asks for n bytes of a class in a row.
type classRun struct {
	class [256]bool
	n     int
}

// newPrefilter analyses the syntax of a pattern.
func newPrefilter(pattern string) prefilter {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return prefilter{}
	}
	w := requirements{}
	w.walk(re, 0)
	w.flush()
	return prefilter{ordered: w.ordered, runs: w.runs, bytesMin: shortest(re)}
}

// orderedMax bounds the literals of a prefilter; more would cost more than they
// save.
const orderedMax = 32

// requirements gathers the literals of an expression from left to right. run
// is the literal that grows while what follows touches it.
type requirements struct {
	run     string
	ordered []string
	runs    []classRun
}

// runBytesMin is the least stretch worth looking for: shorter ones are common.
const runBytesMin = 4

// repeat notes a class that repeats at least n times.
func (w *requirements) repeat(re *syntax.Regexp, n int) {
	if n < runBytesMin || re.Op != syntax.OpCharClass {
		return
	}
	run := classRun{n: n}
	for i := 0; i+1 < len(re.Rune); i += 2 {
		for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
			if r >= utf8.RuneSelf {
				for b := utf8.RuneSelf; b < 256; b++ {
					run.class[b] = true
				}
				break
			}
			run.class[r] = true
		}
	}
	w.runs = append(w.runs, run)
}

// in reports whether text has such a stretch. It looks at every n-th byte
// only, as long as those are not of the class.
func (r *classRun) in(text []byte) bool {
	for end := r.n; end <= len(text); {
		i := end
		for i > end-r.n && r.class[text[i-1]] {
			i--
		}
		if i == end-r.n {
			return true
		}
		end = i + r.n
	}
	return false
}

func (w *requirements) flush() {
	if w.run != "" && len(w.ordered) < orderedMax {
		w.ordered = append(w.ordered, w.run)
	}
	w.run = ""
}

func (w *requirements) walk(re *syntax.Regexp, depth int) {
	switch re.Op {
	case syntax.OpLiteral:
		w.run += event.FoldString(string(re.Rune))
	case syntax.OpCapture:
		w.walk(re.Sub[0], depth)
	case syntax.OpConcat:
		for _, s := range re.Sub {
			w.walk(s, depth)
		}
	case syntax.OpPlus:
		// One repetition is there and touches what stands before it; what
		// comes behind touches the last one, which may be another.
		w.walk(re.Sub[0], depth)
		w.flush()
	case syntax.OpRepeat:
		w.repeat(re.Sub[0], re.Min)
		for range min(re.Min, orderedMax) {
			w.walk(re.Sub[0], depth+1)
		}
		if re.Max != re.Min {
			w.flush()
		}
	case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary, syntax.OpEmptyMatch:
		// Empty: what stands before and after it touches.
	default:
		w.flush()
	}
}

// longest returns the longest literal, or "".
func (f *prefilter) longest() string {
	best := ""
	for _, l := range f.ordered {
		if len(l) > len(best) {
			best = l
		}
	}
	return best
}

// admits reports whether the expression may be found in a text, given folded
// and as it stands.
func (f *prefilter) admits(folded, raw []byte) bool {
	if len(raw) < f.bytesMin {
		return false
	}
	for i := range f.runs {
		if !f.runs[i].in(raw) {
			return false
		}
	}
	for _, l := range f.ordered {
		i := indexLiteral(folded, l)
		if i < 0 {
			return false
		}
		folded = folded[i+len(l):]
	}
	return true
}

// longLine recognises an expression that only asks for n characters in a row,
// any but a newline: .{1000,}. Such a count is one state a character for the
// general matcher.
func longLine(pattern string) (n int, ok bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || re.Op != syntax.OpRepeat || re.Sub[0].Op != syntax.OpAnyCharNotNL {
		return 0, false
	}
	return re.Min, true
}

// hasLongLine reports whether text has n characters without a newline between
// them.
func hasLongLine(text []byte, n int) bool {
	count := 0
	for len(text) > 0 && count < n {
		r, size := utf8.DecodeRune(text)
		if count++; r == '\n' {
			count = 0
		}
		text = text[size:]
	}
	return count >= n
}

// lengthMax is where counting the shortest match stops.
const lengthMax = 1 << 20

// shortest returns the number of bytes of the shortest match.
func shortest(re *syntax.Regexp) int {
	n := 0
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			if re.Flags&syntax.FoldCase != 0 {
				n++ // a letter of the orbit may be shorter: k for the Kelvin sign
			} else {
				n += utf8.RuneLen(r)
			}
		}
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		n = 1
	case syntax.OpCapture, syntax.OpPlus:
		n = shortest(re.Sub[0])
	case syntax.OpConcat:
		for _, s := range re.Sub {
			n += shortest(s)
		}
	case syntax.OpRepeat:
		n = re.Min * shortest(re.Sub[0])
	case syntax.OpAlternate:
		n = lengthMax
		for _, s := range re.Sub {
			n = min(n, shortest(s))
		}
	}
	return min(n, lengthMax)
}
