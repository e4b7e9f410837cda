// Package ruletest reads the micro cases of the Sigma language, which the
// tests of the parser and of the engine share: a small event, a small rule,
// and what must come of them.
//
// The format is described at the head of rule/testdata/micro.txt. The package
// is for tests, knows no YAML, and its functions are pure.
package ruletest

import (
	"fmt"
	"strings"
)

// Outcome is what a case expects.
type Outcome uint8

// The outcomes.
const (
	// Match: the rule loads and matches the event.
	Match Outcome = iota
	// Miss: the rule loads and does not match the event.
	Miss
	// Refused: an error refuses the rule.
	Refused
	// NeedsValues: the rule is well formed and lacks a value list.
	NeedsValues
)

// String names the outcome as the cases do.
func (o Outcome) String() string { return [...]string{"match", "miss", "refused", "needs"}[o] }

// View is the logsource by which an event in its vendor's shape is known.
type View struct{ Product, Category, Service string }

// Case is one micro case.
type Case struct {
	// ID is its name in the specification, and Trap what can go wrong.
	ID, Trap string
	// Line is where it begins in the file.
	Line int
	// Event is the event as JSON.
	Event []byte
	// View is nil when the fields of the rule are those of the event.
	View *View
	// YAML is the rule with all it needs, and the filters behind it, as one
	// file.
	YAML []byte
	// Lists are the value lists for placeholders.
	Lists map[string][]string
	// Want is the outcome, and Detail the code of the error or the name of the
	// placeholder.
	Want   Outcome
	Detail string
	// Lints are the codes of the warnings expected, no more and no fewer.
	Lints []string
}

// block is a case while it is read.
type block struct {
	Case
	selections []string
	condition  string
	logsource  string
	filters    []string
	wanted     bool
}

// Parse reads a file of cases. An error names the line.
func Parse(text string) ([]Case, error) {
	var cases []Case
	var cur *block
	seen := map[string]bool{}
	finish := func() error {
		if cur == nil {
			return nil
		}
		if cur.Event == nil || len(cur.selections) == 0 || !cur.wanted {
			return fmt.Errorf("line %d: the case %s lacks an event, a selection or an outcome", cur.Line, cur.ID)
		}
		cur.YAML = cur.document(len(cases))
		cases = append(cases, cur.Case)
		return nil
	}
	for i, line := range strings.Split(text, "\n") {
		if cur != nil && len(cur.filters) > 0 && strings.HasPrefix(line, "    ") {
			cur.filters[len(cur.filters)-1] += strings.TrimPrefix(line, "    ") + "\n"
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		if word == "==" {
			if err := finish(); err != nil {
				return nil, err
			}
			id, trap, _ := strings.Cut(rest, " ")
			if id == "" || seen[id] {
				return nil, fmt.Errorf("line %d: the case has no id, or that of another", i+1)
			}
			seen[id] = true
			cur = &block{Case: Case{ID: id, Trap: trap, Line: i + 1}, condition: "s", logsource: "{category: test}"}
			continue
		}
		if cur == nil {
			return nil, fmt.Errorf("line %d: text before the first case", i+1)
		}
		if err := cur.directive(word, rest); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return cases, finish()
}

func (b *block) directive(word, rest string) error {
	fields := strings.Fields(rest)
	switch word {
	case "event":
		b.Event = []byte(rest)
	case "s":
		b.selections = append(b.selections, "s: "+rest)
	case "selection":
		name, value, _ := strings.Cut(rest, " ")
		b.selections = append(b.selections, name+": "+value)
	case "condition":
		b.condition = rest
	case "logsource":
		b.logsource = rest
	case "filter":
		b.filters = append(b.filters, "")
	case "lint":
		b.Lints = fields
	case "view":
		if len(fields) != 3 {
			return fmt.Errorf("a view has a product, a category and a service")
		}
		for i, f := range fields {
			fields[i] = strings.TrimPrefix(f, "-")
		}
		b.View = &View{fields[0], fields[1], fields[2]}
	case "list":
		if len(fields) == 0 {
			return fmt.Errorf("a list has a name")
		}
		if b.Lists == nil {
			b.Lists = map[string][]string{}
		}
		b.Lists[fields[0]] = fields[1:]
	case "want":
		return b.want(fields)
	default:
		return fmt.Errorf("unknown directive %q", word)
	}
	return nil
}

func (b *block) want(fields []string) error {
	b.wanted = true
	details := 0
	switch {
	case len(fields) == 0:
		return fmt.Errorf("no outcome")
	case fields[0] == "match":
		b.Want = Match
	case fields[0] == "miss":
		b.Want = Miss
	case fields[0] == "refused":
		b.Want, details = Refused, 1
	case fields[0] == "needs":
		b.Want, details = NeedsValues, 1
	default:
		return fmt.Errorf("unknown outcome %q", fields[0])
	}
	if len(fields) != 1+details {
		return fmt.Errorf("the outcome %s takes %d details", fields[0], details)
	}
	if details == 1 {
		b.Detail = fields[1]
	}
	return nil
}

// document writes the case as a rule with the keys that every rule has, so
// that only the trap can be at fault.
func (b *block) document(n int) []byte {
	var y strings.Builder
	fmt.Fprintf(&y, "title: %s\nid: 7d1c0f6e-0000-4000-8000-%012d\nstatus: test\nlevel: low\nlogsource: %s\ndetection:\n", b.ID, n, b.logsource)
	for _, s := range b.selections {
		fmt.Fprintf(&y, "    %s\n", s)
	}
	fmt.Fprintf(&y, "    condition: %s\n", b.condition)
	for _, f := range b.filters {
		fmt.Fprintf(&y, "---\n%s", f)
	}
	return []byte(y.String())
}
