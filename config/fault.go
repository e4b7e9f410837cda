package config

import (
	"fmt"
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
)

// Place says where a value comes from.
type Place struct {
	// File, Line and Column are set for what stands in the file.
	File         string
	Line, Column int
	// Name is the variable or the flag; both are empty for a default.
	Name string
}

// String gives file:line:column, the name of the variable or flag, or
// "default".
func (p Place) String() string {
	switch {
	case p.File != "" && p.Line > 0 && p.Column > 0:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	case p.File != "" && p.Line > 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	case p.File != "":
		return p.File
	case p.Name != "":
		return p.Name
	}
	return "default"
}

// Fault is one thing that is wrong, and what to do about it.
type Fault struct {
	Place Place
	// Key is the path of the setting, as sources[0].zone; empty for the file
	// as a whole.
	Key string
	// Msg says what is wrong, Hint what to write.
	Msg, Hint string
}

// String gives place, key, what is wrong and what to write, on one line.
func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.Place.String())
	b.WriteString(": ")
	if f.Key != "" {
		b.WriteString(f.Key)
		b.WriteString(": ")
	}
	b.WriteString(f.Msg)
	if f.Hint != "" {
		b.WriteString("; ")
		b.WriteString(f.Hint)
	}
	return b.String()
}

// Warning is something that works and is probably not meant.
type Warning = Fault

// Faults is the error of [Load]: everything that is wrong, at most
// [FaultsMax].
type Faults []Fault

// FaultsMax bounds the faults of one configuration.
const FaultsMax = 100

// Error gives one line for each fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "\n")
}

// nearest is the name most like word, or "" when none is: at most a third of it
// and one differs, or it differs in case only.
func nearest(word string, names []string) string {
	if len(word) > 100 {
		return ""
	}
	best, distance := "", len(word)/3+2
	for _, n := range names {
		if d := doctree.EditDistance(strings.ToLower(word), strings.ToLower(n)); d < distance {
			best, distance = n, d
		}
	}
	return best
}
