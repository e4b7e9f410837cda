package rule

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Limits of one expression.
const (
	// RegexBytesMax bounds the pattern; the longest in public use has under
	// 1 KiB.
	RegexBytesMax = 4 << 10
	// RegexSizeMax bounds the compiled program, in instructions, as estimated
	// before it is compiled. Repeats count once per repetition. It keeps an
	// expression under about 1 MiB and one event's worth of work bounded.
	RegexSizeMax = 10_000
	// RegexTotalMax bounds all expressions of a rule together, in the same
	// unit.
	RegexTotalMax = 100_000
)

// regexError is a fault of an expression: what, and what to write instead.
type regexError struct{ what, hint string }

// compileRegex compiles an expression with flags out of "ims", anchored at
// the start or end of the text if asked. budget is what the rule's expressions
// may still take; the size of this one is taken off.
func compileRegex(src, flags string, anchorStart, anchorEnd bool, budget *int) (*regexp.Regexp, *regexError) {
	if len(src) > RegexBytesMax {
		return nil, &regexError{
			fmt.Sprintf("the expression has %d bytes, more than the limit of %d", len(src), RegexBytesMax),
			"split it into several values of a list",
		}
	}
	tree, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return nil, explainRegex(src, err)
	}
	size := regexSize(tree)
	if size > RegexSizeMax {
		return nil, &regexError{
			fmt.Sprintf("the expression is too large: about %d steps, more than the limit of %d", size, RegexSizeMax),
			"lower its repeat counts",
		}
	}
	if *budget -= size; *budget < 0 {
		return nil, &regexError{
			fmt.Sprintf("the expressions of the rule are too large together: more than %d steps", RegexTotalMax),
			"split the rule",
		}
	}
	full := src
	if anchorStart || anchorEnd {
		full = "(?:" + full + ")"
		if anchorStart {
			full = `\A` + full
		}
		if anchorEnd {
			full += `\z`
		}
	}
	if flags != "" {
		full = "(?" + flags + ")" + full
	}
	re, err := regexp.Compile(full)
	if err != nil {
		return nil, explainRegex(src, err)
	}
	return re, nil
}

// regexSize estimates the instructions of the program.
func regexSize(re *syntax.Regexp) int {
	const saturated = 1 << 30
	size := 1
	switch re.Op {
	case syntax.OpLiteral:
		size = len(re.Rune)
	case syntax.OpCharClass:
		size = 1 + len(re.Rune)/64
	}
	for _, sub := range re.Sub {
		size = min(size+regexSize(sub), saturated)
	}
	if re.Op == syntax.OpRepeat {
		n := re.Max
		if n < 0 {
			n = re.Min + 1
		}
		size = min(size*max(n, 1), saturated)
	}
	return size
}

// explainRegex says what in an expression that does not compile is at fault.
// Constructs of other flavours are named; nothing is rewritten, since a
// rewritten expression would match something else in silence.
func explainRegex(src string, err error) *regexError {
	if name, hint := foreignConstruct(src); name != "" {
		return &regexError{"regular expressions here run in linear time and have no " + name, hint}
	}
	var se *syntax.Error
	if errors.As(err, &se) {
		switch se.Code {
		case syntax.ErrInvalidRepeatSize:
			return &regexError{fmt.Sprintf("the repeat %s is beyond the limit of 1000, nested repeats multiplied", quote(se.Expr)), "lower the count, or use * or +"}
		case syntax.ErrInvalidRepeatOp:
			return &regexError{fmt.Sprintf("the repeat operators %s cannot follow each other", quote(se.Expr)), "escape the second with a backslash if it is meant as text"}
		}
		return &regexError{fmt.Sprintf("the expression does not compile: %s in %s", se.Code, quote(se.Expr)), "see the syntax of RE2"}
	}
	return &regexError{"the expression does not compile: " + err.Error(), "see the syntax of RE2"}
}

const splitHint = "match the parts with several items or selections, and exclude with 'not' in the condition"

// groupConstructs are what may follow "(?" in other flavours.
var groupConstructs = []struct{ prefix, name, hint string }{
	{"=", "lookahead (?=…)", splitHint},
	{"!", "negative lookahead (?!…)", splitHint},
	{"<=", "lookbehind (?<=…)", splitHint},
	{"<!", "negative lookbehind (?<!…)", splitHint},
	{">", "atomic group (?>…)", "write (?:…); without backtracking there is nothing to cut"},
	{"|", "branch reset (?|…)", "write (?:…|…)"},
	{"#", "comment (?#…)", "write a YAML comment"},
	{"(", "conditional (?(…)…)", "write the two cases as two values of a list"},
	{"R", "recursion (?R)", splitHint},
	{"&", "recursion (?&…)", splitHint},
	{"P>", "recursion (?P>…)", splitHint},
	{"P=", "back-reference (?P=…)", splitHint},
	{"x", "flag x", "write the expression without spaces and comments"},
}

// foreignConstruct finds the first construct of Perl, Python or .NET that RE2
// lacks, outside character classes.
func foreignConstruct(s string) (name, hint string) {
	inClass := false
	quantified := false // the last token was a quantifier
	for i := 0; i < len(s); i++ {
		wasQuantified := quantified
		quantified = false
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			if name, hint = foreignEscape(s[i:], inClass); name != "" {
				return name, hint
			}
		case inClass:
			inClass = c != ']'
		case c == '[':
			inClass = true
			// A bracket first in a class is a member of it.
			if strings.HasPrefix(s[i+1:], "^]") {
				i += 2
			} else if strings.HasPrefix(s[i+1:], "]") {
				i++
			}
		case c == '(' && strings.HasPrefix(s[i:], "(?"):
			for _, g := range groupConstructs {
				if strings.HasPrefix(s[i+2:], g.prefix) {
					return g.name, g.hint
				}
			}
			i++ // The question mark is no quantifier.
		case c == '+' && wasQuantified:
			return "possessive quantifier " + s[i-1:i+1], "drop the second +; without backtracking it changes nothing here but speed"
		case c == '*' || c == '+' || c == '?' || c == '}':
			quantified = true
		}
	}
	return "", ""
}

// foreignEscape judges the escape whose character after the backslash begins s.
func foreignEscape(s string, inClass bool) (name, hint string) {
	switch c := s[0]; {
	case c >= '1' && c <= '9' && !inClass:
		return `back-reference \` + s[:1], splitHint
	case (c == 'k' || c == 'g') && len(s) > 1 && strings.ContainsRune("<{'0123456789", rune(s[1])):
		return `back-reference \` + s[:1], splitHint
	case c == 'Z':
		return `\Z`, `write \z or $ for the end of the text`
	case c == 'G':
		return `\G`, `write ^ for the start of the text`
	case c == 'K':
		return `\K`, "leave it out; only whether the expression matches counts"
	case c == 'h':
		return `\h`, `write [ \t]`
	case c == 'R':
		return `\R`, `write \r?\n`
	case c == 'X':
		return `\X`, `write .`
	case c == 'u':
		return `\u escape`, `write \x{…} with the code point in hexadecimal`
	}
	return "", ""
}
