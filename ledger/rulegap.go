package ledger

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Reason says why a rule did not run.
type Reason string

// The reasons, a closed set since they label a metric.
const (
	ReasonAdded      Reason = "added"       // before it was there
	ReasonRemoved    Reason = "removed"     // the content has it no longer
	ReasonDisabled   Reason = "disabled"    // somebody switched it off
	ReasonRefused    Reason = "refused"     // it could not be loaded
	ReasonPaused     Reason = "paused"      // a person or a policy halted it for a time
	ReasonOverBudget Reason = "over_budget" // it cost more than it may
	ReasonStopped    Reason = "stopped"     // nothing was evaluated: the process did not run
)

// Reasons lists them.
func Reasons() []Reason {
	return []Reason{ReasonAdded, ReasonRemoved, ReasonDisabled, ReasonRefused, ReasonPaused, ReasonOverBudget, ReasonStopped}
}

// Bounds of the intervals.
const (
	// OpenGapsMax bounds the intervals open at once of one tenant: every rule of
	// a large set for some reasons.
	OpenGapsMax = 100_000
	// RuleBytesMax bounds the id of a rule.
	RuleBytesMax = 200
	// ListMax bounds the entries of one answer.
	ListMax = 10_000
)

// Interval is a time in which a rule did not run.
type Interval struct {
	Rule string `json:"rule"`
	// Source limits it to one source; empty means all.
	Source string `json:"source,omitempty"`
	Reason Reason `json:"reason"`
	// From and To are receive times in microseconds since 1970; what was received
	// at From is the first that was missed, and To the first that was not. To is 0
	// while it lasts.
	From int64 `json:"from_us"`
	To   int64 `json:"to_us,omitempty"`
}

// id is the document's: it cannot be the same for two intervals, and the same
// interval opened again after a restart is the same document.
func (i Interval) id() string {
	return fmt.Sprintf("%020d/%s/%d:%s/%s", i.From, i.Reason, len(i.Source), i.Source, i.Rule)
}

func (i Interval) compare(o Interval) int {
	return cmp.Or(cmp.Compare(i.From, o.From), strings.Compare(i.Rule, o.Rule), strings.Compare(i.Source, o.Source), strings.Compare(string(i.Reason), string(o.Reason)))
}

// during tells whether it has a part of the time from <= t < to.
func (i Interval) during(from, to int64) bool {
	return i.From < to && (i.To == 0 || i.To > max(from, i.From))
}

// RuleGaps knows the open intervals of one tenant. It is not safe for
// concurrent use.
type RuleGaps struct {
	tenant  event.Tenant
	open    map[Interval]int64
	changed map[string]Interval
	handed  []store.Write
}

// OpenRuleGaps makes it from the stored intervals, so that those open at the
// last stop go on. The error is that of scan, or tells of a document that
// cannot be read.
func OpenRuleGaps(scan Scan, tenant event.Tenant) (*RuleGaps, error) {
	g := &RuleGaps{tenant: tenant, open: map[Interval]int64{}, changed: map[string]Interval{}}
	err := intervals(scan, tenant, 0, func(i Interval) bool {
		if i.To == 0 {
			g.open[i.subject()] = i.From
		}
		return len(g.open) < OpenGapsMax
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

// subject is the interval without its times: there is one open of each.
func (i Interval) subject() Interval {
	return Interval{Rule: i.Rule, Source: i.Source, Reason: i.Reason}
}

// Open begins an interval at a receive time in microseconds. One that is open
// already goes on; so opening again is free.
func (g *RuleGaps) Open(rule, source string, reason Reason, from int64) error {
	i := Interval{Rule: strings.Clone(rule), Source: strings.Clone(source), Reason: reason, From: from}
	if rule == "" || len(rule) > RuleBytesMax || len(source) > SourceBytesMax || from < 0 || !slices.Contains(Reasons(), reason) {
		return fmt.Errorf("no interval of a rule: rule %.80q, source %.80q, reason %.80q, from %d", rule, source, reason, from)
	}
	if _, ok := g.open[i.subject()]; ok {
		return nil
	}
	if len(g.open) >= OpenGapsMax || len(g.changed) >= OpenGapsMax {
		return fmt.Errorf("%d intervals in which rules do not run are open or not yet written; no more can be kept", OpenGapsMax)
	}
	g.open[i.subject()] = from
	g.changed[i.id()] = i
	return nil
}

// Close ends an interval at a receive time in microseconds, not before its
// beginning. It tells whether there was one open.
func (g *RuleGaps) Close(rule, source string, reason Reason, to int64) bool {
	i := Interval{Rule: rule, Source: source, Reason: reason}
	from, ok := g.open[i]
	if !ok {
		return false
	}
	delete(g.open, i)
	i.From = from
	// An end of 0 would mean that it lasts.
	i.To = max(to, from, 1)
	g.changed[i.id()] = i
	return true
}

// Current returns the open intervals in order of their beginning.
func (g *RuleGaps) Current() []Interval {
	list := make([]Interval, 0, len(g.open))
	for i, from := range g.open {
		i.From = from
		list = append(list, i)
	}
	slices.SortFunc(list, Interval.compare)
	return list
}

// Writes returns the intervals opened and closed, in order. They are given
// again until [RuleGaps.Written] is called.
func (g *RuleGaps) Writes() []store.Write {
	g.handed = g.handed[:0]
	for id, i := range g.changed {
		// A struct of texts and numbers always encodes.
		value, _ := json.Marshal(i)
		g.handed = append(g.handed, store.Write{Key: store.Key{Tenant: g.tenant, Kind: KindRuleGap, ID: id}, Value: value})
	}
	slices.SortFunc(g.handed, func(a, b store.Write) int { return compareKeys(a.Key, b.Key) })
	return slices.Clone(g.handed)
}

// Written tells that the last Writes have been applied.
func (g *RuleGaps) Written() {
	for _, w := range g.handed {
		if value, _ := json.Marshal(g.changed[w.Key.ID]); string(value) == string(w.Value) {
			delete(g.changed, w.Key.ID)
		}
	}
	g.handed = g.handed[:0]
}

// intervals visits the stored intervals that begin before a time (0: all), in
// order of their beginning.
func intervals(scan Scan, tenant event.Tenant, before int64, visit func(Interval) bool) error {
	r := store.Range{Tenant: tenant, Kind: KindRuleGap}
	if before > 0 {
		r.To = fmt.Sprintf("%020d", before)
	}
	return documents(scan, r, func(_ string, i Interval) bool { return visit(i) })
}

// documents visits JSON documents; one that cannot be read is an error that
// names it.
func documents[T any](scan Scan, r store.Range, visit func(id string, v T) bool) error {
	var fault error
	err := scan(r, func(d store.Document) bool {
		var v T
		if err := json.Unmarshal(d.Value, &v); err != nil {
			fault = fmt.Errorf("document %q of kind %s of tenant %q cannot be read (%w); remove it", d.ID, r.Kind, r.Tenant, err)
			return false
		}
		return visit(d.ID, v)
	})
	if err != nil {
		return fmt.Errorf("read the ledger of tenant %q: %w", r.Tenant, err)
	}
	return fault
}

// ListRuleGaps returns the intervals that have a part of the time from <= t <
// to in microseconds, of one rule or of all (""), in order of their beginning:
// at most [ListMax], and whether there are more.
func ListRuleGaps(scan Scan, tenant event.Tenant, rule string, from, to int64) (list []Interval, more bool, err error) {
	if to <= 0 {
		return nil, false, nil
	}
	err = intervals(scan, tenant, to, func(i Interval) bool {
		if rule != "" && i.Rule != rule || !i.during(from, to) {
			return true
		}
		if len(list) == ListMax {
			more = true
			return false
		}
		list = append(list, i)
		return true
	})
	return list, more, err
}
