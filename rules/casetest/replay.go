package casetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

// offered is what became of one event.
type offered struct {
	faults []string
	packs  []string
	views  []string
	proves bool // one of the views is one of the rule asked about
	time   time.Time
	seq    uint64
	hits   []correlate.Hit // one a rule, without ids
	near   *nearness       // for the rule asked about, when it does not match
}

// offer puts one event through packs and rules. about is a rule to explain when
// it does not match, or -1.
func (r *Runner) offer(e rulecase.Event, about int) offered {
	name, data := "json", e.JSON
	if e.Format != "" {
		name, data = e.Format, []byte(e.Text)
	}
	var out offered
	f, ok := r.bench.formats[name]
	if !ok {
		out.faults = append(out.faults, fmt.Sprintf("there is no format %s", name))
		return out
	}
	o := format.Options{Reference: reference}
	splitter, parser := f.NewSplitter(strings.NewReader(string(data)), o), f.NewParser(o)
	for {
		var block format.Block
		err := splitter.Next(&block)
		for _, p := range block.Problems {
			out.faults = append(out.faults, p.Error())
		}
		for _, frame := range block.Frames {
			if err := parser.Parse(&block, frame, func(rec *event.Record) { r.record(rec, about, &out) }); err != nil {
				out.faults = append(out.faults, err.Error())
			}
		}
		if err != nil {
			return out
		}
	}
}

// record decides one record of an event.
func (r *Runner) record(rec *event.Record, about int, out *offered) {
	b := r.bench
	views, p := r.session.Route(rec, r.reader)
	if p == nil {
		return
	}
	if !slices.Contains(out.packs, p.Name) {
		out.packs = append(out.packs, p.Name)
	}
	if out.time.IsZero() && !rec.Time.IsZero() {
		out.time, out.seq = rec.Time.UTC(), rec.RecordID
	}
	matches := slices.Clone(r.matcher.Match(r.reader, views))
	for _, m := range matches {
		if slices.ContainsFunc(out.hits, func(h correlate.Hit) bool { return h.Rule == m.Rule }) {
			continue
		}
		h := correlate.Hit{Rule: m.Rule, Fields: make([][]string, len(b.needs[m.Rule]))}
		for i, tried := range b.slots[m.Rule][m.View] {
			for _, slot := range tried {
				for _, text := range r.reader.Texts(slot) {
					h.Fields[i] = append(h.Fields[i], string(text))
				}
				if len(h.Fields[i]) > 0 {
					break
				}
			}
		}
		out.hits = append(out.hits, h)
	}
	for _, v := range views {
		view := &b.engine.Views()[v]
		out.views = append(out.views, view.Name)
		if about < 0 || !detect.Proves(view, b.set.Rules[about]) {
			continue
		}
		out.proves = true
		for c := range b.set.Rules[about].Conditions {
			if t := r.matcher.Explain(r.reader, about, v, c); t != nil && !t.Holds {
				if n := newNearness(t, view.Name); out.near == nil || n.better(out.near) {
					out.near = n
				}
			}
		}
	}
}

func (o *offered) matched(ruleIndex int) bool {
	return slices.ContainsFunc(o.hits, func(h correlate.Hit) bool { return h.Rule == ruleIndex })
}

// waits says why no event can reach the rules that a subject rests on.
func (b *Bench) waits(s subject) string {
	var missing string
	leaves(s, b.index, func(i int) {
		if slices.Contains(b.engine.Unviewed(), i) {
			missing = fmt.Sprintf("no pack has a view for the logsource of %q", b.set.Rules[i].Title)
		}
	})
	return missing
}

// leaves calls f for each rule that a subject rests on.
func leaves(s subject, index map[*rule.Rule]int, f func(ruleIndex int)) {
	if s.rule >= 0 {
		f(s.rule)
		return
	}
	for _, ref := range s.correlation.Rules {
		if ref.Rule != nil {
			f(index[ref.Rule])
		} else {
			leaves(subject{rule: -1, correlation: ref.Correlation}, index, f)
		}
	}
}

// matches runs a case of events and the number that match.
func (r *Runner) matches(sc *scope, c *rulecase.Case) Result {
	res := Result{Case: c.Name}
	if sc.main.rule < 0 {
		res.Failures = append(res.Failures, "a correlation matches no single events; write the case with `steps` and `expect`")
		return res
	}
	if res.Waits = r.bench.waits(sc.main); res.Waits != "" {
		return res
	}
	got := 0
	var missed []string
	for i, e := range c.Events {
		o := r.offer(e, sc.main.rule)
		for _, f := range o.faults {
			res.Failures = append(res.Failures, fmt.Sprintf("event %d cannot be read: %s", i+1, f))
		}
		if o.matched(sc.main.rule) {
			got++
			continue
		}
		missed = append(missed, fmt.Sprintf("event %d does not match: %s", i+1, o.whyNot()))
	}
	if got != *c.Matches {
		res.Failures = append(res.Failures, fmt.Sprintf("%d of %d events match, want %d", got, len(c.Events), *c.Matches))
		if got < *c.Matches {
			res.WhyNot = missed
		}
	}
	return res
}

// ledger keeps the newest revision of each detection, in the order they first
// came.
type ledger struct {
	order []event.ID
	last  map[event.ID]*correlate.Detection
	late  int
}

// Detection implements correlate.Sink.
func (l *ledger) Detection(d *correlate.Detection) {
	was, known := l.last[d.ID]
	if !known {
		l.order = append(l.order, d.ID)
	}
	if known && d.Phase == correlate.Superseded {
		was.Phase = d.Phase // it stays what it was, and no longer stands
		return
	}
	c := *d
	c.Group = slices.Clone(d.Group)
	l.last[d.ID] = &c
}

// Late implements correlate.Sink.
func (l *ledger) Late(correlate.Late) { l.late++ }

// played is one event of a case and what became of it.
type played struct {
	line    int
	event   rulecase.Event
	id      event.ID
	offered offered
}

// steps runs a case of steps.
func (r *Runner) steps(s *rulecase.Suite, sc *scope, c *rulecase.Case) Result {
	res := Result{Case: c.Name}
	b := r.bench
	if res.Waits = b.waits(sc.main); res.Waits != "" {
		return res
	}
	cfg := correlate.Config{
		Tenant: event.LocalTenant, Rules: b.set.Rules, Correlations: sc.correlations,
		Alone: func(i int) bool { return sc.alone[i] }, Episode: correlate.DefaultEpisode,
	}
	engine := correlate.New(cfg)
	needs := fieldMap(b, engine)
	l := &ledger{last: map[event.ID]*correlate.Detection{}}
	watermark := c.Began().Add(-rulecase.SpanMax)
	advance := func(t time.Time) {
		if t.After(watermark) {
			watermark = t
			engine.Watermark(0, t.UnixMicro(), l)
		}
	}
	past := &history{ledger: l, correlations: cfg.Correlations}
	var key []byte
	key = append(append(key, s.Rule...), c.Name...)
	check := func(e *rulecase.Expect, atEnd bool) {
		failures, missing := r.compare(sc, c, e, l, cfg.Correlations, atEnd)
		res.Failures = append(res.Failures, failures...)
		for _, m := range missing {
			res.WhyNot = append(res.WhyNot, r.whyNot(m, past))
		}
	}
	for i := range c.Steps {
		step := &c.Steps[i]
		if !step.Watermark.IsZero() {
			advance(step.Watermark)
		}
		if step.Expect != nil {
			engine.Flush(l)
			check(step.Expect, false)
		}
		for _, d := range step.Deliveries {
			o := r.offer(d.Event, -1)
			for _, f := range o.faults {
				res.Failures = append(res.Failures, fmt.Sprintf("line %d: the event cannot be read: %s", d.Line, f))
			}
			switch {
			case o.time.IsZero() && len(o.hits) > 0:
				res.Failures = append(res.Failures, fmt.Sprintf("line %d: the event has no time that its pack can read", d.Line))
				continue
			case !d.Time.IsZero() && !o.time.IsZero() && !o.time.Equal(d.Time.Truncate(precision(o.time))):
				res.Failures = append(res.Failures, fmt.Sprintf("line %d: the event is of %s, but its own time reads %s", d.Line, stamp(d.Time), stamp(o.time)))
			}
			id := event.EventID(event.LocalTenant, "cases", event.BatchPosition(key, len(past.events)))
			for j := range o.hits {
				h := &o.hits[j]
				h.ID, h.Time, h.Seq = id, o.time.UnixMicro(), o.seq
				hit := *h
				hit.Fields = needs.fields(h)
				engine.Hit(&hit, l)
			}
			past.events = append(past.events, played{d.Line, d.Event, id, o})
			if !o.time.IsZero() {
				advance(o.time.Add(-c.LatenessOr()))
			}
		}
	}
	engine.Flush(l)
	engine.Close(l)
	check(c.Expect, true)
	return res
}

// precision is how finely a time is told apart in the event: a source that
// writes whole seconds cannot carry the rest.
func precision(t time.Time) time.Duration {
	switch {
	case t.Nanosecond() == 0:
		return time.Second
	case t.Nanosecond()%int(time.Millisecond) == 0:
		return time.Millisecond
	}
	return time.Microsecond
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999Z") }

// projection maps the fields that the bench reads to those that one engine asks
// for.
type projection [][]int

func fieldMap(b *Bench, e *correlate.Engine) projection {
	p := make(projection, len(b.needs))
	for i, all := range b.needs {
		for _, name := range e.Needs(i) {
			p[i] = append(p[i], slices.Index(all, name))
		}
	}
	return p
}

func (p projection) fields(h *correlate.Hit) [][]string {
	out := make([][]string, len(p[h.Rule]))
	for i, at := range p[h.Rule] {
		if at >= 0 && at < len(h.Fields) {
			out[i] = h.Fields[at]
		}
	}
	return out
}
