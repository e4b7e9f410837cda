package rule

import (
	"fmt"
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
)

// Severity says what a diagnostic does to its document.
type Severity uint8

// The severities.
const (
	// Lint is a warning: the document is used.
	Lint Severity = iota
	// Error refuses the document.
	Error
)

// String returns "warning" or "error".
func (s Severity) String() string {
	if s == Error {
		return "error"
	}
	return "warning"
}

// Diagnostic is something wrong, or doubtful, in a document.
type Diagnostic struct {
	Position
	// Severity is that of the code.
	Severity Severity
	// Code is one of [Codes], stable across versions.
	Code Code
	// Message says what was found, Hint what to write instead; Hint may be
	// empty.
	Message, Hint string
}

// String renders the diagnostic as "file:line:column: error: message; hint
// [code]", leaving out what is unknown.
func (d Diagnostic) String() string {
	var b strings.Builder
	b.WriteString(d.Position.String())
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	fmt.Fprintf(&b, "%s: %s", d.Severity, d.Message)
	if d.Hint != "" {
		b.WriteString("; ")
		b.WriteString(d.Hint)
	}
	fmt.Fprintf(&b, " [%s]", d.Code)
	return b.String()
}

// String renders the position as file:line:column, leaving out what is 0.
func (p Position) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	for _, n := range []int{p.Line, p.Column} {
		if n == 0 {
			break
		}
		if b.Len() > 0 {
			b.WriteByte(':')
		}
		fmt.Fprintf(&b, "%d", n)
	}
	return b.String()
}

// HasErrors reports whether any diagnostic refuses a document.
func HasErrors(ds []Diagnostic) bool {
	for i := range ds {
		if ds[i].Severity == Error {
			return true
		}
	}
	return false
}

// diagnose makes a diagnostic with the severity of its code.
func diagnose(at Position, code Code, hint, format string, args ...any) Diagnostic {
	return Diagnostic{Position: at, Severity: severityOf(code), Code: code, Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Nearest returns the candidate closest to word as messages suggest it, or
// nothing. It keeps neither and is safe for concurrent use.
func Nearest(word string, candidates []string) string { return nearest(word, candidates) }

// nearest returns the candidate closest to word by edit distance, if one is
// close enough to be a slip of the hand: at most a third of the word's length,
// and at most 3.
func nearest(word string, candidates []string) string {
	const wordBytesMax, candidatesMax = 40, 200
	candidates = candidates[:min(len(candidates), candidatesMax)]
	word = strings.ToLower(word)
	if word == "" || len(word) > wordBytesMax {
		return ""
	}
	best, bestDistance := "", min(3, (len(word)+2)/3)+1
	for _, c := range candidates {
		if len(c) > 2*wordBytesMax {
			continue
		}
		if d := doctree.EditDistance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// suggest makes a hint from the nearest candidate.
func suggest(word string, candidates []string) string {
	if n := nearest(word, candidates); n != "" {
		return fmt.Sprintf("did you mean %q?", n)
	}
	return ""
}

// quote shortens text for a message and quotes it.
func quote(s string) string {
	const runes = 80
	n := 0
	for i := range s {
		if n++; n > runes {
			return fmt.Sprintf("%q…", s[:i])
		}
	}
	return fmt.Sprintf("%q", s)
}
