package pipeline

import (
	"strconv"
	"sync"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
)

// Sigma is the [Engine] of Sigma rules: packs route, package detect matches.
// It is safe for concurrent use.
type Sigma struct {
	detect  *detect.Engine
	router  *pack.Router
	plan    *event.Plan
	views   []event.View
	hosts   map[*pack.Pack][]int // slots that name the host
	scripts []*scriptSlots       // by view; nil for views without script blocks
	packs   []*pack.Pack
	numbers map[*pack.Pack]*numberSlots // packs whose records are counted
	keys    keySlots                    // nil when nothing correlates
	watched [][]watchedField            // by view
	set     *pack.Set

	now    func() int64
	mu     sync.Mutex
	meters [][]detect.Stats
}

// scriptSlots are the fields of a PowerShell script block (event 4104) in one
// view.
type scriptSlots struct{ number, total, id, text, computer int }

// numberSlots are where a record's own number stands and the fields that say
// which stream of numbers it belongs to.
type numberSlots struct {
	number int
	of     []int
}

// NewSigma compiles rules for the views of the packs in set. With now, a
// clock in nanoseconds, it also measures what each rule costs (see
// [Sigma.Costs]), which slows matching down; nil measures nothing.
func NewSigma(rules []*rule.Rule, set *pack.Set, now func() int64) *Sigma {
	s := &Sigma{views: set.Views(), hosts: make(map[*pack.Pack][]int), numbers: make(map[*pack.Pack]*numberSlots), set: set, now: now}
	s.plan = event.NewPlan(pack.Funcs())
	s.packs = set.Packs()
	s.router = set.Router(s.plan, pack.RouterOptions{})
	s.detect = detect.Compile(rules, s.views, s.plan)
	for _, p := range set.Packs() {
		views := p.Views()
		if len(views) == 0 {
			continue
		}
		for _, field := range p.Entities["host"] {
			s.hosts[p] = append(s.hosts[p], s.plan.Slot(views[0].Lookup(field)))
		}
		if p.Sequence != nil {
			n := &numberSlots{number: s.plan.Slot(views[0].Lookup(p.Sequence.Number))}
			for _, field := range p.Sequence.Of {
				n.of = append(n.of, s.plan.Slot(views[0].Lookup(field)))
			}
			s.numbers[p] = n
		}
	}
	s.watchFields(rules)
	s.scripts = make([]*scriptSlots, len(s.views))
	for i := range s.views {
		v := &s.views[i]
		if v.Category != "ps_script" {
			continue
		}
		slot := func(field string) int { return s.plan.Slot(v.Lookup(field)) }
		s.scripts[i] = &scriptSlots{
			number: slot("MessageNumber"), total: slot("MessageTotal"), id: slot("ScriptBlockId"),
			text: slot("ScriptBlockText"), computer: slot("Computer"),
		}
	}
	return s
}

// Rules implements [Engine].
func (s *Sigma) Rules() []*rule.Rule { return s.detect.Rules() }

// Detect is the match engine beneath.
func (s *Sigma) Detect() *detect.Engine { return s.detect }

// Unviewed returns the indices of rules that no pack's views can feed.
func (s *Sigma) Unviewed() []int { return s.detect.Unviewed() }

// Costs returns what each rule has cost so far, over all evaluators, or nil
// when nothing is measured. Call it when no evaluator is at work.
func (s *Sigma) Costs() []detect.Stats {
	if s.now == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	total := make([]detect.Stats, len(s.Rules()))
	for _, m := range s.meters {
		for i, c := range m {
			total[i].Evaluated += c.Evaluated
			total[i].Matched += c.Matched
			total[i].Nanos += c.Nanos
		}
	}
	return total
}

// Evaluator implements [Engine].
func (s *Sigma) Evaluator() Evaluator { return s.NewEvaluator() }

// NewEvaluator makes an evaluator that can also explain.
func (s *Sigma) NewEvaluator() *SigmaEvaluator {
	e := &SigmaEvaluator{sigma: s, session: s.router.Session(), reader: s.plan.Reader(), matcher: s.detect.Matcher()}
	if s.now != nil {
		stats := e.matcher.Meter(s.now, nil)
		s.mu.Lock()
		s.meters = append(s.meters, stats)
		s.mu.Unlock()
	}
	return e
}

// NewMeteredEvaluator makes an evaluator that measures what each rule costs, with
// a clock in nanoseconds, in the figures returned, by rule index; they belong to
// the evaluator's goroutine. took is called with the time of each evaluation.
func (s *Sigma) NewMeteredEvaluator(now func() int64, took func(nanos int64)) (*SigmaEvaluator, []detect.Stats) {
	e := &SigmaEvaluator{sigma: s, session: s.router.Session(), reader: s.plan.Reader(), matcher: s.detect.Matcher()}
	return e, e.matcher.Meter(now, took)
}

// Bound makes a metered evaluator count the evaluations that take longer than so
// many nanoseconds; 0 counts none.
func (e *SigmaEvaluator) Bound(nanos int64) { e.matcher.Bound(nanos) }

// Without compiles the rules anew but for those with the ids given. Nothing is
// shared that one of the two could change.
func (s *Sigma) Without(ids map[string]bool) *Sigma {
	var rules []*rule.Rule
	for _, r := range s.Rules() {
		if !ids[r.ID] {
			rules = append(rules, r)
		}
	}
	return NewSigma(rules, s.set, s.now)
}

// SigmaEvaluator decides records with Sigma rules. It belongs to one
// goroutine.
type SigmaEvaluator struct {
	sigma   *Sigma
	session *pack.Session
	reader  *event.Reader
	matcher *detect.Matcher
	views   []int
	pack    *pack.Pack
	carried carried
	audit   bool // the pack that the records are pinned to reads audit records
	twice   int  // the node of the member that the record has twice, or -1
}

// Source implements [Evaluator].
func (e *SigmaEvaluator) Source(o format.Options) {
	e.session.Source(o.Zone, o.Reference)
	e.carried.options = o
}

// Views are the indices of the views of the record last routed, and Pack its
// pack or nil.
func (e *SigmaEvaluator) Views() []int { return e.views }

// Pack is the pack of the record last routed, or nil.
func (e *SigmaEvaluator) Pack() *pack.Pack { return e.pack }

// ViewNames are the names of the views of the record last routed.
func (e *SigmaEvaluator) ViewNames() []string {
	var names []string
	for _, v := range e.views {
		names = append(names, e.sigma.views[v].Name)
	}
	return names
}

// Route implements [Evaluator]. A record of JSON that no pack knows and that
// carries a line of a file becomes the record of that line; so does one with an
// audit line that is pinned to a pack for those. A joined audit event
// made of a text of several lines has no views: the lines are joined once all of
// them have come.
func (e *SigmaEvaluator) Route(rec *event.Record) Routed {
	if e.audit && carriesAudit(rec) {
		e.carried.open(rec)
	}
	e.views, e.pack = e.session.Route(rec, e.reader)
	flags, twice := e.session.Flags()
	if e.pack == nil && e.carried.open(rec) {
		e.views, e.pack = e.session.Route(rec, e.reader)
		carrier := flags
		flags, twice = e.session.Flags()
		flags |= carrier
	}
	e.twice = twice
	if e.pack == nil {
		return Routed{Flags: flags}
	}
	routed := Routed{Claimed: true, Flags: flags}
	if rec.Group != 0 {
		var several bool
		if routed.Line, several = lineOf(rec); several {
			e.views = nil
		}
	}
	for _, v := range e.views {
		if s := e.sigma.scripts[v]; s != nil {
			routed.Part = e.script(s)
			break
		}
	}
	return routed
}

// text is the first text of a slot, or "".
func (e *SigmaEvaluator) text(slot int) string {
	for _, v := range e.reader.Values(slot) {
		if v.Kind != event.Null && v.Kind != event.Array {
			return string(v.Text)
		}
	}
	return ""
}

// script returns the part of a script block that the record is, or nil for a
// whole one.
func (e *SigmaEvaluator) script(s *scriptSlots) *Part {
	total, err := strconv.Atoi(e.text(s.total))
	if err != nil || total < 2 {
		return nil
	}
	number, err := strconv.Atoi(e.text(s.number))
	nodes := e.reader.Nodes(s.text)
	id := e.text(s.id)
	if err != nil || len(nodes) == 0 || id == "" {
		return nil
	}
	node := int(nodes[0])
	return &Part{
		Key:    e.text(s.computer) + "\x00" + id,
		Number: number, Total: total,
		Text: e.reader.Tree().AppendText(nil, node), Node: node,
	}
}

// Host implements [Evaluator].
func (e *SigmaEvaluator) Host() string {
	for _, slot := range e.sigma.hosts[e.pack] {
		if h := e.text(slot); h != "" {
			return h
		}
	}
	return ""
}

// Pin makes the next records those of a pack, by name; "" lets records decide.
func (e *SigmaEvaluator) Pin(name string) {
	e.session.Pin(name)
	e.audit = false
	for _, p := range e.sigma.packs {
		e.audit = e.audit || p.Name == name && p.Reads("auditd")
	}
}

// DuplicateKey is the key that the record last routed has twice, as it spells it
// the second time; nil when it has none, or had it around the line that it
// carries.
func (e *SigmaEvaluator) DuplicateKey() []byte {
	if e.twice < 0 {
		return nil
	}
	return e.reader.Tree().Key(e.twice)
}

// Unparsed counts the records routed so far whose text no step of their pack
// fitted.
func (e *SigmaEvaluator) Unparsed() uint64 { return e.session.Unparsed }

// Kind names what the record last routed is, for accounts of volume: the most
// specific of its views, else its pack, else "unrouted".
func (e *SigmaEvaluator) Kind() string {
	switch {
	case len(e.views) > 0:
		return e.sigma.views[e.views[len(e.views)-1]].Name
	case e.pack != nil:
		return e.pack.Name
	}
	return "unrouted"
}

// Number returns the number that the sender gave the record last routed, with
// the stream it counts in appended to dst: the values that tell streams apart,
// with NUL between. ok is false for a record without one.
func (e *SigmaEvaluator) Number(dst []byte) (stream []byte, number uint64, ok bool) {
	n := e.sigma.numbers[e.pack]
	if n == nil {
		return dst, 0, false
	}
	values := e.reader.Values(n.number)
	if len(values) == 0 {
		return dst, 0, false
	}
	number, err := strconv.ParseUint(string(values[0].Text), 10, 64)
	if err != nil {
		return dst, 0, false
	}
	for i, slot := range n.of {
		if i > 0 {
			dst = append(dst, 0)
		}
		if values := e.reader.Values(slot); len(values) > 0 {
			dst = append(dst, values[0].Text...)
		}
	}
	return dst, number, true
}

// Match implements [Evaluator].
func (e *SigmaEvaluator) Match() []Hit {
	matches := e.matcher.Match(e.reader, e.views)
	if len(matches) == 0 {
		return nil
	}
	hits := make([]Hit, len(matches))
	for i, m := range matches {
		hits[i] = Hit{Rule: m.Rule, View: e.sigma.views[m.View].Name, Key: e.key(m)}
		for _, f := range e.matcher.Decided(m) {
			hits[i].Fields = append(hits[i].Fields, Field(f))
		}
	}
	return hits
}

// Explain returns how each condition of a rule comes out on the record last
// routed, through the first of its views that the rule asks for; nil when none
// of them is such a view.
func (e *SigmaEvaluator) Explain(ruleIndex int) (view string, traces []*detect.Trace) {
	r := e.sigma.Rules()[ruleIndex]
	for _, v := range e.views {
		if !detect.Proves(&e.sigma.views[v], r) {
			continue
		}
		for c := range r.Conditions {
			t := e.matcher.Explain(e.reader, ruleIndex, v, c)
			if t == nil {
				return "", nil
			}
			if view == "" || t.Holds {
				view = e.sigma.views[v].Name
			}
			traces = append(traces, t)
		}
		return view, traces
	}
	return "", nil
}
