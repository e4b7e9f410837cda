package detect

import (
	"regexp/syntax"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// requiredLiteral returns the longest folded text that every match of a
// pattern must contain, or "" when there is none. A text that lacks it, folded,
// cannot match, so the pattern itself runs on few values only.
func requiredLiteral(pattern string) string {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return ""
	}
	best, run := "", ""
	flush := func() {
		if len(run) > len(best) {
			best = run
		}
		run = ""
	}
	var walk func(re *syntax.Regexp)
	walk = func(re *syntax.Regexp) {
		switch re.Op {
		case syntax.OpLiteral:
			run += event.FoldString(string(re.Rune))
		case syntax.OpCapture:
			walk(re.Sub[0])
		case syntax.OpConcat:
			for _, s := range re.Sub {
				walk(s)
			}
		case syntax.OpPlus:
			// The first and the last repetition are there, what is between
			// is not known.
			walk(re.Sub[0])
			flush()
		case syntax.OpRepeat:
			if re.Min > 0 {
				walk(re.Sub[0])
			}
			flush()
		case syntax.OpBeginLine, syntax.OpEndLine, syntax.OpBeginText, syntax.OpEndText,
			syntax.OpWordBoundary, syntax.OpNoWordBoundary, syntax.OpEmptyMatch:
			// Empty: what stands before and after touches.
		default:
			flush()
		}
	}
	walk(re)
	flush()
	return strings.Clone(best)
}
