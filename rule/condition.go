package rule

import (
	"fmt"
	"strings"
)

// Grammar of conditions, weakest first:
//
//	or   = and { "or" and }
//	and  = not { "and" not }
//	not  = "not" not | unit
//	unit = "(" or ")" | ( "1" | "any" | "all" ) "of" ( "them" | pattern ) | name
//
// Names and patterns are made of letters, digits, underscores and hyphens,
// patterns of stars besides. Operators are accepted in any case.

// cond is a parsed condition before its names are resolved: condAnd, condOr,
// condNot, condName or condOf.
type cond interface{ print(b *strings.Builder) }

type (
	condAnd  struct{ x []cond }
	condOr   struct{ x []cond }
	condNot  struct{ x cond }
	condName struct{ name string }
	// condOf is a selector; pattern is "them" for them.
	condOf struct {
		all     bool
		pattern string
	}
)

// conditionTokensMax bounds one condition; the longest in public use has under
// 100 words.
const conditionTokensMax = 4_096

var reservedWords = []string{"and", "or", "not", "of", "them", "all", "any"}

// isReserved reports whether a word belongs to the language.
func isReserved(word string) bool {
	word = strings.ToLower(word)
	for _, r := range reservedWords {
		if word == r {
			return true
		}
	}
	return false
}

func isNameByte(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return s != ""
}

type token struct {
	text string
	at   int // offset in bytes
}

type conditionParser struct {
	tokens []token
	pos    int
	lints  []*fault
	cased  bool // the lint on upper case was made
}

// parseCondition reads a condition. Messages say where by character.
func parseCondition(s string) (x cond, lints []*fault, err *fault) {
	p := conditionParser{}
	if err := p.scan(s); err != nil {
		return nil, nil, err
	}
	if len(p.tokens) == 0 {
		return nil, nil, faultf(CodeConditionMissing, "write the name of a selection", "the condition is empty")
	}
	x, err = p.or(0)
	if err == nil && p.pos < len(p.tokens) {
		t := p.tokens[p.pos]
		hint := "join them with and or or"
		if t.text == ")" {
			hint = "remove it, or open it before"
		}
		err = p.syntax(t, hint, "unexpected %s", quote(t.text))
	}
	return x, p.lints, err
}

func (p *conditionParser) syntax(t token, hint, format string, args ...any) *fault {
	return faultf(CodeConditionSyntax, hint, format+" at character %d of the condition", append(args, t.at+1)...)
}

func (p *conditionParser) scan(s string) *fault {
	for i := 0; i < len(s); {
		c := s[i]
		start := i
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case c == '(' || c == ')':
			i++
		case isNameByte(c) || c == '*':
			for i < len(s) && (isNameByte(s[i]) || s[i] == '*') {
				i++
			}
		case c == '|':
			return faultf(CodeConditionAggregate, "end the condition before the | and write a correlation document of type event_count, value_count or temporal that names this rule",
				"the aggregation behind | at character %d of the condition is of Sigma before 2.0", i+1)
		default:
			return faultf(CodeConditionSyntax, "use names, and, or, not, 1 of, all of and parentheses", "unexpected %s at character %d of the condition", quote(firstRune(s[i:])), i+1)
		}
		if len(p.tokens) == conditionTokensMax {
			return faultf(CodeConditionSize, "split the rule", "the condition has more than %d words", conditionTokensMax)
		}
		p.tokens = append(p.tokens, token{s[start:i], start})
	}
	return nil
}

func firstRune(s string) string {
	for i := range s {
		if i > 0 {
			return s[:i]
		}
	}
	return s
}

// accept takes the next token if it is that word in any case.
func (p *conditionParser) accept(word string) bool {
	if p.pos == len(p.tokens) || !strings.EqualFold(p.tokens[p.pos].text, word) {
		return false
	}
	if t := p.tokens[p.pos]; t.text != word && !p.cased {
		p.cased = true
		p.lints = append(p.lints, faultf(CodeConditionCase, "write "+word, "the operator %s at character %d of the condition is not in lower case", t.text, t.at+1))
	}
	p.pos++
	return true
}

func (p *conditionParser) or(depth int) (cond, *fault) {
	if depth > ExprDepthMax {
		return nil, faultf(CodeConditionSize, "split the rule", "the condition is nested more than %d deep", ExprDepthMax)
	}
	first, err := p.and(depth)
	if err != nil {
		return nil, err
	}
	x := []cond{first}
	for p.accept("or") {
		next, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		x = append(x, next)
	}
	if len(x) == 1 {
		return first, nil
	}
	return condOr{x}, nil
}

func (p *conditionParser) and(depth int) (cond, *fault) {
	first, err := p.not(depth)
	if err != nil {
		return nil, err
	}
	x := []cond{first}
	for p.accept("and") {
		next, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		x = append(x, next)
	}
	if len(x) == 1 {
		return first, nil
	}
	return condAnd{x}, nil
}

func (p *conditionParser) not(depth int) (cond, *fault) {
	if depth > ExprDepthMax {
		return nil, faultf(CodeConditionSize, "split the rule", "the condition is nested more than %d deep", ExprDepthMax)
	}
	if p.accept("not") {
		x, err := p.not(depth + 1)
		if err != nil {
			return nil, err
		}
		return condNot{x}, nil
	}
	return p.unit(depth)
}

func (p *conditionParser) unit(depth int) (cond, *fault) {
	if p.pos == len(p.tokens) {
		return nil, faultf(CodeConditionSyntax, "write the name of a selection there", "the condition ends where a selection is expected")
	}
	t := p.tokens[p.pos]
	if t.text == "(" {
		p.pos++
		x, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.pos == len(p.tokens) || p.tokens[p.pos].text != ")" {
			if p.pos < len(p.tokens) {
				next := p.tokens[p.pos]
				return nil, p.syntax(next, "join them with and or or, or close the parenthesis", "unexpected %s", quote(next.text))
			}
			return nil, p.syntax(t, "close it", "an open parenthesis is not closed, it stands")
		}
		p.pos++
		return x, nil
	}
	if p.pos+1 < len(p.tokens) && strings.EqualFold(p.tokens[p.pos+1].text, "of") {
		return p.selector(t)
	}
	switch {
	case t.text == ")":
		return nil, p.syntax(t, "write the name of a selection before it", `unexpected ")"`)
	case isReserved(t.text):
		return nil, p.syntax(t, "write the name of a selection there", "unexpected %s", quote(t.text))
	case strings.Contains(t.text, "*"):
		return nil, p.syntax(t, fmt.Sprintf("write 1 of %s or all of %s", t.text, t.text), "the pattern %s stands without 1 of or all of", quote(t.text))
	}
	p.pos++
	return condName{t.text}, nil
}

// selector reads "1 of x*" and the like; t is its first token.
func (p *conditionParser) selector(t token) (cond, *fault) {
	x := condOf{}
	switch {
	case p.accept("1"), p.accept("any"):
	case p.accept("all"):
		x.all = true
	default:
		return nil, faultf(CodeConditionCount, "write 1 of, any of or all of, and other counts as combinations with and and or",
			"%s of at character %d of the condition is not a count that Sigma knows", quote(t.text), t.at+1)
	}
	p.accept("of")
	if p.pos == len(p.tokens) {
		return nil, faultf(CodeConditionSyntax, "write them or a pattern such as selection_*", "the condition ends after of")
	}
	if p.accept("them") {
		x.pattern = "them"
		return x, nil
	}
	next := p.tokens[p.pos]
	if next.text == "(" || next.text == ")" || isReserved(next.text) {
		return nil, p.syntax(next, "write them or a pattern such as selection_*", "unexpected %s after of", quote(next.text))
	}
	p.pos++
	x.pattern = next.text
	return x, nil
}

func printCondition(x cond) string {
	var b strings.Builder
	x.print(&b)
	return b.String()
}

func (x condOr) print(b *strings.Builder) {
	for i, c := range x.x {
		if i > 0 {
			b.WriteString(" or ")
		}
		_, nested := c.(condOr)
		printNested(b, c, nested)
	}
}

func (x condAnd) print(b *strings.Builder) {
	for i, c := range x.x {
		if i > 0 {
			b.WriteString(" and ")
		}
		printNested(b, c, isAndOr(c))
	}
}

func (x condNot) print(b *strings.Builder) {
	b.WriteString("not ")
	printNested(b, x.x, isAndOr(x.x))
}

func (x condName) print(b *strings.Builder) { b.WriteString(x.name) }

func (x condOf) print(b *strings.Builder) {
	if x.all {
		b.WriteString("all of ")
	} else {
		b.WriteString("1 of ")
	}
	b.WriteString(x.pattern)
}

func isAndOr(c cond) bool {
	switch c.(type) {
	case condAnd, condOr:
		return true
	}
	return false
}

func printNested(b *strings.Builder, c cond, parentheses bool) {
	if parentheses {
		b.WriteByte('(')
	}
	c.print(b)
	if parentheses {
		b.WriteByte(')')
	}
}
