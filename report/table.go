package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
)

// What the table shows of one value: enough to recognise a command line.
const valueCharsMax = 300

// nameWidthMax bounds the column of field names; longer ones stick out.
const nameWidthMax = 28

type table struct {
	w       *bufio.Writer
	color   bool
	matches int
}

func newTable(w io.Writer, o Options) Writer {
	return &table{w: bufio.NewWriter(w), color: o.Color}
}

// SGR codes by level, chosen to be readable on dark and light grounds.
var levelColor = [...]string{
	rule.Informational: "36", rule.Low: "32", rule.Medium: "33", rule.High: "31", rule.Critical: "1;35",
}

func (t *table) paint(code, text string) string {
	if !t.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (t *table) Match(m *pipeline.Match) error {
	t.matches++
	at := "no time"
	if !m.Time.IsZero() {
		at = m.Time.UTC().Format("2006-01-02 15:04:05Z")
		if q := m.TimeQuality.String(); q != "parsed" {
			at += " (" + q + ")"
		}
	}
	level := fmt.Sprintf("%-13s", m.Rule.Level)
	fmt.Fprintf(t.w, "%s  %s  %s\n", at, t.paint(levelColor[m.Rule.Level], level), t.paint("1", Clean(m.Rule.Title, valueCharsMax)))
	where := Clean(m.Source.Path, valueCharsMax) + ", " + place(m.Source)
	if m.Host != "" {
		where = "on " + Clean(m.Host, valueCharsMax) + ", " + where
	}
	fmt.Fprintf(t.w, "    %s\n", t.paint("2", where))
	names := make([]string, len(m.Fields))
	width := 0
	for i, f := range m.Fields {
		if names[i] = Clean(f.Name, valueCharsMax); names[i] == "" {
			names[i] = "(any)"
		}
		width = max(width, min(len(names[i]), nameWidthMax))
	}
	for i, f := range m.Fields {
		fmt.Fprintf(t.w, "    %-*s  %s\n", width, names[i], Clean(f.Value, valueCharsMax))
	}
	var by []string
	if m.Rule.ID != "" {
		by = append(by, "rule "+Clean(m.Rule.ID, 64))
	}
	if m.Rule.Author != "" {
		by = append(by, "by "+Clean(m.Rule.Author, valueCharsMax))
	}
	if m.Rule.License != "" {
		by = append(by, Clean(m.Rule.License, 64))
	}
	fmt.Fprintf(t.w, "    %s\n\n", t.paint("2", strings.Join(by, ", ")))
	return t.w.Flush()
}

func (t *table) Close(s *pipeline.Stats) error {
	if t.matches == 0 {
		fmt.Fprintln(t.w, "no matches")
		return t.w.Flush()
	}
	var levels []string
	for l := int(rule.Critical); l >= 0; l-- {
		if n := s.Matches[l]; n > 0 {
			levels = append(levels, fmt.Sprintf("%d %s", n, rule.Level(l)))
		}
	}
	noun := "matches"
	if t.matches == 1 {
		noun = "match"
	}
	fmt.Fprintf(t.w, "%d %s: %s\n", t.matches, noun, strings.Join(levels, ", "))
	return t.w.Flush()
}
