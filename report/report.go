// Package report writes the matches of a scan: as a table for people, as JSON
// lines, CSV and OCSF for programs, and as one HTML page for a case file.
//
// Every writer streams: a match is written when it arrives and nothing is kept
// but the rules met so far. Whatever an attacker put into an event stays
// text: terminals see no control characters, spreadsheets no formulas, browsers
// no markup. Writers belong to one goroutine.
package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/pipeline"
)

// Writer writes matches in one format.
type Writer interface {
	// Match writes one match, which it does not keep.
	Match(m *pipeline.Match) error
	// Close completes the output. It does not close the io.Writer beneath.
	Close(s *pipeline.Stats) error
}

// Options are what writers need to know besides the matches.
type Options struct {
	// Color lets the table use ANSI colours.
	Color bool
	// Version is Tiercel's own, for formats that name the producer.
	Version string
}

// Output is one format of output.
type Output struct {
	Name, About string
	open        func(io.Writer, Options) Writer
}

// Outputs are the formats that --output takes, the default first.
var Outputs = []Output{
	{"table", "for people: a few lines a match, with the fields that decided", newTable},
	{"jsonl", "one JSON object a line, with the whole event", newJSONL},
	{"csv", "for spreadsheets; cells that would be formulas are quoted", newCSV},
	{"html", "one self-contained page with a timeline, which opens offline", newHTML},
	{"ocsf", "OCSF 1.8.0 Detection Finding (2004), one a line", newOCSF},
}

// New makes the writer called name, or says which names there are.
func New(name string, w io.Writer, o Options) (Writer, error) {
	i := slices.IndexFunc(Outputs, func(o Output) bool { return o.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown output %q; choose one of %s", name, strings.Join(Names(), ", "))
	}
	return Outputs[i].open(w, o), nil
}

// Names are the names of Outputs in order.
func Names() []string {
	var names []string
	for _, o := range Outputs {
		names = append(names, o.Name)
	}
	return names
}

// timeText is the time as outputs show it: UTC, RFC 3339, as many digits as
// it has; "" when it is missing.
func timeText(m *pipeline.Match) string {
	if m.Time.IsZero() {
		return ""
	}
	return m.Time.UTC().Format(time.RFC3339Nano)
}

// place is the position inside a file in words.
func place(s pipeline.Source) string {
	switch {
	case s.Record > 0:
		return fmt.Sprintf("record %d", s.Record)
	case s.Line > 0:
		return fmt.Sprintf("line %d", s.Line)
	}
	return fmt.Sprintf("byte %d", s.Offset)
}
