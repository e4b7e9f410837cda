package stream

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// describe turns a revision into the document that people see.
func (s *scope) describe(d revision) (*detection.Detection, error) {
	out := &detection.Detection{
		ID: d.ID.String(), Revision: d.Revision.String(), Phase: phaseNames[d.Phase],
		FirstTime: at(d.First), LastTime: at(d.Last), AnchorTime: at(d.AnchorTime),
		Count: d.Count, Value: d.Value, Values: d.Values, Late: d.Late, Truncated: d.Truncated, Suppressed: d.Suppressed,
		NotifyKey: d.NotifyKey.String(),
	}
	if d.SupersededBy != (event.ID{}) {
		out.SupersededBy = d.SupersededBy.String()
	}
	for _, g := range d.Group {
		if g.Value != "" {
			out.Group = append(out.Group, detection.Field{Field: strings.TrimPrefix(g.Field, "@"), Value: g.Value})
		}
	}
	for _, id := range d.Children {
		out.Children = append(out.Children, id.String())
	}
	var shown *detection.Evidence
	for _, id := range d.Evidence {
		e := detection.Evidence{EventID: id.String()}
		if known := s.recent.evidence[id]; known != nil {
			e = *known
			e.Event = nil // kept once, with the event
		}
		out.Evidence = append(out.Evidence, e)
	}
	shown, err := s.recent.get(s.node.records, s.partition.Tenant, d.Completing)
	if err != nil {
		return nil, fmt.Errorf("evidence of a detection: %w", err)
	}
	if d.Correlation >= 0 {
		c := d.content.Correlations[d.Correlation]
		out.Rule = detection.Rule{ID: c.ID, Title: c.Title, Kind: "correlation", Level: c.Level.String(), Description: c.Description, Tags: c.Tags}
		out.Reason = correlationReason(c, d.Detection, out.Group)
		return out, nil
	}
	r := d.content.deciding()[d.Rule]
	out.Rule = detection.Rule{ID: r.ID, Title: r.Title, Kind: "rule", Level: r.Level.String(), Description: r.Description, Tags: r.Tags}
	out.Reason = ruleReason(d.Detection, shown)
	return out, nil
}

var phaseNames = map[correlate.Phase]string{
	correlate.Provisional: "provisional", correlate.Final: "final", correlate.Closed: "closed", correlate.Superseded: "superseded",
}

func at(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// Bounds of a sentence: what a person takes in at a glance.
const (
	reasonFieldsMax = 4
	reasonValueMax  = 160
)

// quoted writes a value that came with an event so that it stays on its line:
// cut where it is long, and with an escape for what would not be seen. Quotes
// and backslashes stay as they are; a person reads it, no program.
func quoted(v string) string {
	cut := ""
	if len(v) > reasonValueMax {
		v, cut = strings.ToValidUTF8(v[:reasonValueMax], ""), "…"
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range v {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	b.WriteByte('"')
	return b.String() + cut
}

// ruleReason says what decided: the fields of the deciding event.
func ruleReason(d *correlate.Detection, e *detection.Evidence) string {
	var b strings.Builder
	if e != nil && len(e.Fields) > 0 {
		for i, f := range e.Fields {
			if i == reasonFieldsMax {
				fmt.Fprintf(&b, " and %d more", len(e.Fields)-i)
				break
			}
			if i > 0 {
				b.WriteString(", ")
			}
			name := f.Field
			if name == "" {
				name = "the text"
			}
			if f.Value == "" {
				fmt.Fprintf(&b, "%s is empty or not there", name)
				continue
			}
			fmt.Fprintf(&b, "%s is %s", name, quoted(f.Value))
		}
	} else {
		b.WriteString("an event meets the rule")
	}
	if e != nil && e.Host != "" {
		fmt.Fprintf(&b, " on %s", quoted(e.Host))
	}
	if d.Count > 1 {
		fmt.Fprintf(&b, "; %d such events", d.Count)
	}
	return b.String()
}

// correlationReason says what was counted, over what, and what it came to.
func correlationReason(c *rule.Correlation, d *correlate.Detection, group []detection.Field) string {
	var b strings.Builder
	switch c.Type {
	case rule.EventCount:
		fmt.Fprintf(&b, "%d events", d.Count)
	case rule.ValueCount:
		fmt.Fprintf(&b, "%s different values of %s", figure(d.Value), strings.Join(c.Fields, ", "))
	case rule.Temporal:
		fmt.Fprintf(&b, "%d kinds of event together", contributing(d))
	case rule.TemporalOrdered:
		fmt.Fprintf(&b, "%d kinds of event in order", contributing(d))
	default:
		fmt.Fprintf(&b, "%s of %s came to %s", strings.TrimPrefix(string(c.Type), "value_"), strings.Join(c.Fields, ", "), figure(d.Value))
	}
	if c.Timespan > 0 {
		fmt.Fprintf(&b, " within %s", c.Timespan)
	}
	for i, g := range group {
		if i == 0 {
			b.WriteString(" for ")
		} else {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", g.Field, quoted(g.Value))
	}
	if n := len(d.ByRule); n > 0 {
		b.WriteString(": ")
		for i, count := range d.ByRule {
			if i > 0 {
				b.WriteString(", ")
			}
			if i == reasonFieldsMax && n > i+1 {
				fmt.Fprintf(&b, "and %d more", n-i)
				break
			}
			fmt.Fprintf(&b, "%d × %s", count, referenceTitle(c.Rules[i]))
		}
	}
	return b.String()
}

func contributing(d *correlate.Detection) int {
	n := 0
	for _, count := range d.ByRule {
		if count > 0 {
			n++
		}
	}
	return n
}

func figure(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

func referenceTitle(r rule.Reference) string {
	if r.Rule != nil {
		return r.Rule.Title
	}
	return r.Correlation.Title
}
