package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
)

// DetectionOutputs are the formats in which detections can be written.
var DetectionOutputs = []string{"table", "jsonl"}

// detectionRule is what a detection says of its rule.
type detectionRule struct {
	ID      string   `json:"id"`
	Title   string   `json:"title"`
	Type    string   `json:"type"`
	Level   string   `json:"level"`
	Tags    []string `json:"tags"`
	Author  string   `json:"author"`
	License string   `json:"license"`
	File    string   `json:"file"`
}

type groupValue struct {
	Field string `json:"field"`
	Value string `json:"value"`
}

// detectionLine is a detection as JSON.
type detectionLine struct {
	ID         string        `json:"id"`
	Rule       detectionRule `json:"rule"`
	Group      []groupValue  `json:"group"`
	Anchor     string        `json:"anchor"`
	AnchorTime string        `json:"anchor_time"`
	First      string        `json:"first_time"`
	Last       string        `json:"last_time"`
	Count      uint64        `json:"count"`
	ByRule     []ruleCount   `json:"by_rule,omitempty"`
	Value      *float64      `json:"value,omitempty"`
	Values     []string      `json:"values,omitempty"`
	Evidence   []string      `json:"evidence"`
	Children   []string      `json:"children,omitempty"`
	Truncated  bool          `json:"truncated,omitempty"`
	Suppressed bool          `json:"suppressed,omitempty"`
}

type ruleCount struct {
	Rule  string `json:"rule"`
	Count uint64 `json:"count"`
}

// cellMax bounds, in bytes, what a table shows of one text.
const cellMax = 200

// Detections writes final detections, one after another. It belongs to one
// goroutine.
type Detections struct {
	w     *bufio.Writer
	json  bool
	count int
}

// NewDetections makes a writer of detections in one of DetectionOutputs.
func NewDetections(output string, w io.Writer) (*Detections, error) {
	if output != "table" && output != "jsonl" {
		return nil, fmt.Errorf("detections cannot be written as %q; choose one of %s", output, strings.Join(DetectionOutputs, ", "))
	}
	return &Detections{w: bufio.NewWriter(w), json: output == "jsonl"}, nil
}

// Detection writes one detection.
func (d *Detections) Detection(x *pipeline.Detection) error {
	d.count++
	about := describeRule(x)
	if !d.json {
		return d.table(x, &about)
	}
	line := detectionLine{
		ID: x.ID.String(), Rule: about, Group: []groupValue{}, Anchor: x.Anchor.String(), AnchorTime: micros(x.AnchorTime),
		First: micros(x.First), Last: micros(x.Last), Count: x.Count, Values: x.Values,
		Evidence: ids(x.Evidence), Children: ids(x.Children), Truncated: x.Truncated, Suppressed: x.Suppressed,
	}
	for _, g := range x.Group {
		line.Group = append(line.Group, groupValue(g))
	}
	if c := x.Correlation; c != nil {
		line.Value = &x.Value
		for i, n := range x.ByRule {
			line.ByRule = append(line.ByRule, ruleCount{c.Rules[i].ID(), n})
		}
	}
	enc := json.NewEncoder(d.w)
	enc.SetEscapeHTML(false)
	return enc.Encode(line)
}

func describeRule(x *pipeline.Detection) detectionRule {
	if c := x.Correlation; c != nil {
		return detectionRule{ID: c.ID, Title: c.Title, Type: string(c.Type), Level: c.Level.String(), Tags: list(c.Tags), Author: c.Author, File: c.File}
	}
	r := x.Rule
	return detectionRule{ID: r.ID, Title: r.Title, Type: "rule", Level: r.Level.String(), Tags: list(r.Tags), Author: r.Author, License: r.License, File: r.File}
}

func list(tags []string) []string {
	if tags == nil {
		return []string{}
	}
	return tags
}

func ids(list []event.ID) []string {
	out := []string{}
	for _, id := range list {
		out = append(out, id.String())
	}
	return out
}

func micros(t int64) string { return time.UnixMicro(t).UTC().Format(time.RFC3339Nano) }

func (d *Detections) table(x *pipeline.Detection, about *detectionRule) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-13s %s\n", micros(x.AnchorTime), about.Level, Clean(about.Title, cellMax))
	for _, g := range x.Group {
		if g.Value != "" {
			fmt.Fprintf(&b, "    %s: %s\n", strings.TrimPrefix(Clean(g.Field, cellMax), "@"), Clean(g.Value, cellMax))
		}
	}
	events := "events"
	if x.Count == 1 {
		events = "event"
	}
	fmt.Fprintf(&b, "    %d %s from %s to %s\n", x.Count, events, micros(x.First), micros(x.Last))
	if c := x.Correlation; c != nil {
		for i, n := range x.ByRule {
			fmt.Fprintf(&b, "      %d × %s\n", n, Clean(title(c.Rules[i]), cellMax))
		}
		if len(x.Values) > 0 {
			fmt.Fprintf(&b, "    %s: %s\n", strings.Join(c.Fields, ", "), Clean(strings.Join(x.Values, "; "), cellMax))
		}
	}
	if x.Suppressed {
		b.WriteString("    suppressed: an earlier detection stands for it\n")
	}
	fmt.Fprintf(&b, "    rule %s by %s%s, detection %s\n\n", about.ID, Clean(authorOr(about.Author), cellMax), license(about.License), x.ID)
	_, err := d.w.WriteString(b.String())
	return err
}

func authorOr(author string) string {
	if author == "" {
		return "an unnamed author"
	}
	return author
}

func license(name string) string {
	if name == "" {
		return ""
	}
	return " (" + Clean(name, cellMax) + ")"
}

func title(r rule.Reference) string {
	if r.Rule != nil {
		return r.Rule.Title
	}
	return r.Correlation.Title
}

// Close completes the output.
func (d *Detections) Close() error {
	if !d.json {
		noun := "detections"
		if d.count == 1 {
			noun = "detection"
		}
		fmt.Fprintf(d.w, "%d %s\n", d.count, noun)
	}
	return d.w.Flush()
}
