package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/rule"
)

// reasonCharsMax bounds what is shown of a reason or a description: a
// paragraph.
const reasonCharsMax = 2000

// Stored writes detections of a server for people, in the look of a scan's
// table, or as JSON lines. It belongs to one goroutine.
type Stored struct {
	w     *bufio.Writer
	color bool
	json  bool
}

// NewStored makes a writer. asJSON makes it write one JSON object a line, in the
// form of the API.
func NewStored(w io.Writer, o Options, asJSON bool) *Stored {
	return &Stored{w: bufio.NewWriter(w), color: o.Color && !asJSON, json: asJSON}
}

func (s *Stored) paint(code, text string) string { return (&table{color: s.color}).paint(code, text) }

// level is a level in its colour, padded to a column.
func (s *Stored) level(name string) string {
	code := "0"
	if l, ok := rule.ParseLevel(name); ok {
		code = levelColor[l]
	}
	return s.paint(code, fmt.Sprintf("%-13s", Clean(name, 13)))
}

func when(t time.Time) string {
	if t.IsZero() {
		return "no time"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// Line writes a detection in a few lines: when, what, why and where.
func (s *Stored) Line(d *detection.Detection) error {
	if s.json {
		return s.object(d)
	}
	s.head(d)
	fmt.Fprintf(s.w, "    %s\n", s.paint("2", s.about(d)))
	fmt.Fprintln(s.w)
	return s.w.Flush()
}

// head writes what every view of a detection begins with.
func (s *Stored) head(d *detection.Detection) {
	fmt.Fprintf(s.w, "%s  %s  %s\n", when(d.AnchorTime), s.level(d.Rule.Level), s.paint("1", Clean(d.Rule.Title, valueCharsMax)))
	if d.Reason != "" {
		fmt.Fprintf(s.w, "    %s\n", Clean(d.Reason, reasonCharsMax))
	}
	var group []string
	for _, g := range d.Group {
		if g.Value != "" {
			group = append(group, strings.TrimPrefix(Clean(g.Field, valueCharsMax), "@")+" "+Clean(g.Value, valueCharsMax))
		}
	}
	if len(group) > 0 {
		fmt.Fprintf(s.w, "    %s\n", strings.Join(group, ", "))
	}
}

// about is how large, how settled and which.
func (s *Stored) about(d *detection.Detection) string {
	events := fmt.Sprintf("%d events", d.Count)
	if d.Count == 1 {
		events = "1 event"
	}
	parts := []string{events, Clean(d.Phase, 40)}
	if d.SupersededBy != "" {
		parts = append(parts, "superseded by "+Clean(d.SupersededBy, 64))
	}
	for _, note := range []struct {
		holds bool
		text  string
	}{{d.Late, "a late event had a part in it"}, {d.Truncated, "the group was larger than its budget"}, {d.Suppressed, "suppressed: an earlier detection stands for it"}} {
		if note.holds {
			parts = append(parts, note.text)
		}
	}
	return strings.Join(append(parts, "detection "+Clean(d.ID, 128)), ", ")
}

// Full writes a detection with all that is known of it. events adds the
// events themselves.
func (s *Stored) Full(d *detection.Detection, events bool) error {
	if s.json {
		return s.object(d)
	}
	s.head(d)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(s.w, "    %-12s %s\n", name, Clean(fmt.Sprintf(format, args...), reasonCharsMax))
	}
	fmt.Fprintln(s.w)
	line("detection", "%s", d.ID)
	line("phase", "%s", d.Phase)
	if d.SupersededBy != "" {
		line("", "superseded by %s", d.SupersededBy)
	}
	line("events", "%d, from %s to %s", d.Count, when(d.FirstTime), when(d.LastTime))
	if d.Rule.Kind == "correlation" {
		line("measured", "%g when it fired", d.Value)
	}
	if len(d.Values) > 0 {
		line("values", "%s", strings.Join(d.Values, "; "))
	}
	for _, note := range []struct {
		holds bool
		text  string
	}{
		{d.Late, "a late event had a part in it"},
		{d.Truncated, "the group was larger than its budget; count and evidence are lower bounds"},
		{d.Suppressed, "suppressed: an earlier detection stands for it"},
	} {
		if note.holds {
			line("note", "%s", note.text)
		}
	}
	line("stored", "%s, changed %s", when(d.Created), when(d.Updated))
	line("rule", "%s (%s)", d.Rule.ID, d.Rule.Kind)
	if d.Rule.Description != "" {
		line("about", "%s", strings.Join(strings.Fields(d.Rule.Description), " "))
	}
	if len(d.Rule.Tags) > 0 {
		line("tags", "%s", strings.Join(d.Rule.Tags, ", "))
	}
	for _, id := range d.Children {
		line("rests on", "%s", id)
	}
	for i := range d.Evidence {
		s.evidence(i+1, len(d.Evidence), &d.Evidence[i], events)
	}
	fmt.Fprintln(s.w)
	return s.w.Flush()
}

func (s *Stored) evidence(n, of int, e *detection.Evidence, events bool) {
	head := fmt.Sprintf("evidence %d of %d, %s", n, of, when(e.Time))
	if e.Host != "" {
		head += ", on " + Clean(e.Host, valueCharsMax)
	}
	fmt.Fprintf(s.w, "\n    %s\n", s.paint("1", head))
	width := 0
	for _, f := range e.Fields {
		width = max(width, min(utf8.RuneCountInString(Clean(f.Field, valueCharsMax)), nameWidthMax))
	}
	for _, f := range e.Fields {
		name := Clean(f.Field, valueCharsMax)
		if name == "" {
			name = "(any)"
		}
		fmt.Fprintf(s.w, "      %-*s  %s\n", width, name, Clean(f.Value, reasonCharsMax))
	}
	from := []string{"event " + Clean(e.EventID, 128)}
	if e.Source != "" {
		from = append(from, "source "+Clean(e.Source, valueCharsMax))
	}
	if !e.Received.IsZero() {
		from = append(from, "received "+when(e.Received))
	}
	if len(e.Rules) > 0 {
		from = append(from, "met "+Clean(strings.Join(e.Rules, " "), valueCharsMax))
	}
	fmt.Fprintf(s.w, "      %s\n", s.paint("2", strings.Join(from, ", ")))
	if e.RawHash != "" {
		fmt.Fprintf(s.w, "      %s\n", s.paint("2", "sha256 "+Clean(e.RawHash, 128)))
	}
	if !events {
		return
	}
	var pretty bytes.Buffer
	if len(e.Event) == 0 || json.Indent(&pretty, e.Event, "", "  ") != nil {
		fmt.Fprintln(s.w, "      (the event was too large to be kept here)")
		return
	}
	for line := range strings.Lines(pretty.String()) {
		fmt.Fprintf(s.w, "      %s\n", Clean(strings.TrimSuffix(line, "\n"), 1<<20))
	}
}

func (s *Stored) object(d *detection.Detection) error {
	text, err := JSON(d)
	if err != nil {
		return err
	}
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.w.Flush()
}

// JSON encodes a value in one line, with its line feed. Characters that a
// terminal would obey or hide stand as escapes, which means the same to a
// program.
func JSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if !bytes.ContainsFunc(text, unruly) {
		return append(text, '\n'), nil
	}
	out := make([]byte, 0, len(text)+64)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case !unruly(r):
			out = append(out, text[:size]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return append(out, '\n'), nil
}

// unruly are the characters that [Clean] does not let through.
func unruly(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}
