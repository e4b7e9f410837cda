package detect

import (
	"encoding/binary"
	"slices"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// Match is one rule that one record meets.
type Match struct {
	// Rule is the rule's index in [Engine.Rules].
	Rule int
	// View is the index, in [Engine.Views], of the first view in which the
	// rule matched.
	View int
	// Condition is the index of the first of the rule's conditions that held.
	Condition int
}

// Matcher decides records, one after another. It belongs to one goroutine and
// keeps only buffers between records: the answer for a record never depends on
// those before it.
type Matcher struct {
	engine *Engine
	reader *event.Reader
	states []*state
	st     *state // of the view being matched
	prog   *program
	epoch  uint32 // of the record, 1 to epochMax
	pass   uint32 // of the view's turn on the record; never repeats until it wraps

	seen    []uint32 // by rule: epoch of the record it matched
	matches []Match

	folds  []span // by slot
	values []foldedValue
	buf    []byte
	meter  *meter
}

// state is what a matcher keeps for one program.
type state struct {
	memo  []uint32 // by predicate: pass<<1 | result
	rules []uint32 // by local rule: pass in which it became a candidate
	cands []int32
}

type span struct{ epoch, off, end uint32 }

// foldedValue is one value of a slot in the forms predicates read.
type foldedValue struct {
	text []byte // folded, with slack behind it
	raw  []byte // as it stands
	kind event.Kind
	none bool // null or empty array: no text at all
	wide bool // folded text has bytes beyond ASCII
}

// counterMax is where the 31-bit counters start anew.
const counterMax = 1<<31 - 1

// foldBytesKept bounds the folding buffer kept from record to record.
const foldBytesKept = 1 << 20

// Matcher makes a matcher for one goroutine.
func (e *Engine) Matcher() *Matcher {
	return &Matcher{
		engine: e,
		states: make([]*state, len(e.programs)),
		seen:   make([]uint32, len(e.rules)),
		folds:  make([]span, e.plan.Slots()),
	}
}

// Match returns the rules that the record bound to r meets in the given views
// (indices into [Engine.Views]), each rule once, ordered by rule. The slice is
// valid until the next call.
func (m *Matcher) Match(r *event.Reader, views []int) []Match {
	m.begin(r)
	for _, v := range views {
		m.run(v)
	}
	if len(m.matches) > 1 {
		slices.SortFunc(m.matches, func(a, b Match) int { return a.Rule - b.Rule })
	}
	return m.matches
}

// begin makes the matcher read the record that r is bound to.
func (m *Matcher) begin(r *event.Reader) {
	m.reader = r
	if m.epoch++; m.epoch > counterMax {
		clear(m.seen)
		clear(m.folds)
		m.epoch = 1
	}
	m.matches = m.matches[:0]
	m.values = m.values[:0]
	if cap(m.buf) > foldBytesKept {
		m.buf = nil
	}
	m.buf = m.buf[:0]
}

// enter makes view v the one whose predicates are asked.
func (m *Matcher) enter(v int) {
	p := m.engine.programs[v]
	m.engine.ready(p)
	st := m.states[v]
	if st == nil {
		st = &state{memo: make([]uint32, len(p.preds)), rules: make([]uint32, len(p.roots))}
		m.states[v] = st
	}
	if m.pass++; m.pass > counterMax {
		for _, s := range m.states {
			if s != nil {
				clear(s.memo)
				clear(s.rules)
			}
		}
		m.pass = 1
	}
	m.prog, m.st = p, st
	st.cands = st.cands[:0]
}

func (m *Matcher) run(v int) {
	m.enter(v)
	p, st := m.prog, m.st
	for _, r := range p.always {
		st.rules[r] = m.pass
		st.cands = append(st.cands, r)
	}
	for _, s := range p.scans {
		m.scan(s)
	}
	for _, r := range st.cands {
		id := p.ruleIDs[r]
		if m.seen[id] == m.epoch {
			continue
		}
		if c := m.decide(r); c >= 0 {
			m.seen[id] = m.epoch
			m.matches = append(m.matches, Match{Rule: int(id), View: v, Condition: c})
		}
	}
}

// decide returns the first condition of a local rule that holds, or -1.
func (m *Matcher) decide(r int32) int {
	if m.meter != nil {
		return m.metered(r)
	}
	return m.conditions(r)
}

func (m *Matcher) conditions(r int32) int {
	root := m.prog.roots[r]
	for i, n := range m.prog.kids[root.first:root.last] {
		if m.eval(n) {
			return i
		}
	}
	return -1
}

func (m *Matcher) eval(i int32) bool {
	n := &m.prog.nodes[i]
	switch n.op {
	case opPred:
		return m.ask(n.a)
	case opNot:
		return !m.eval(n.a)
	case opAnd:
		for _, k := range m.prog.kids[n.a:n.b] {
			if !m.eval(k) {
				return false
			}
		}
		return true
	}
	for _, k := range m.prog.kids[n.a:n.b] {
		if m.eval(k) {
			return true
		}
	}
	return false
}

// ask returns a predicate's result, found by the scan or computed once.
func (m *Matcher) ask(id int32) bool {
	memo := m.st.memo[id]
	if memo>>1 == m.pass {
		return memo&1 == 1
	}
	p := &m.prog.preds[id]
	if p.indexed {
		return false
	}
	ok := m.holds(p)
	memo = m.pass << 1
	if ok {
		memo |= 1
	}
	m.st.memo[id] = memo
	return ok
}

// fire notes that the scan found what speaks for a predicate.
func (m *Matcher) fire(h hit) {
	if h.exact {
		known := m.pass<<1 | 1
		if m.st.memo[h.pred] == known {
			return
		}
		m.st.memo[h.pred] = known
	}
	for _, r := range m.prog.watched.of(h.pred) {
		if m.st.rules[r] != m.pass {
			m.st.rules[r] = m.pass
			m.st.cands = append(m.st.cands, r)
		}
	}
}

func (m *Matcher) scan(s *scan) {
	if len(s.exists) > 0 && m.reader.Has(int(s.slot)) {
		for _, id := range s.exists {
			m.fire(hit{id, true})
		}
	}
	values := m.folded(int(s.slot))
	for i := range values {
		v := &values[i]
		if v.none {
			continue
		}
		for _, h := range s.present {
			m.fire(h)
		}
		text := v.text
		if s.equal != nil {
			for _, h := range s.equal[string(text)] {
				m.fire(h)
			}
		}
		if s.heads != nil {
			m.edges(s.heads, text, binary.LittleEndian.Uint64(text[:len(text)+slack]), false)
		}
		if s.tails != nil {
			var word uint64
			if n := len(text); n >= 8 {
				word = binary.LittleEndian.Uint64(text[n-8:])
			} else if n > 0 {
				word = binary.LittleEndian.Uint64(text[:slack]) << (64 - 8*n)
			}
			m.edges(s.tails, text, word, true)
		}
		if s.grams != nil || s.wide != nil {
			padded := text[: len(text)+slack : len(text)+slack]
			for _, g := range s.grams {
				g.find(m, text, padded)
			}
			if v.wide {
				for _, g := range s.wide {
					g.find(m, text, padded)
				}
			}
		}
	}
}

// edges fires what t finds at one end of text; word holds the eight bytes
// there, towards the least significant byte for a beginning and towards the
// most significant one for an end.
func (m *Matcher) edges(t *edgeTable, text []byte, word uint64, tail bool) {
	for _, n := range t.lengths {
		if n > len(text) {
			continue
		}
		key := word & (^uint64(0) >> (64 - 8*n))
		if tail {
			key = word >> (64 - 8*n)
		}
		for _, l := range t.find(key, n) {
			if len(l.text) > len(text) {
				continue
			}
			at := text[:len(l.text)]
			if tail {
				at = text[len(text)-len(l.text):]
			}
			if string(at) == l.text {
				m.fire(l.hit)
			}
		}
	}
}

// folded returns the values of a slot, folded once a record.
func (m *Matcher) folded(slot int) []foldedValue {
	c := &m.folds[slot]
	if c.epoch == m.epoch {
		return m.values[c.off:c.end:c.end]
	}
	off := len(m.values)
	for _, v := range m.reader.Values(slot) {
		f := foldedValue{raw: v.Text, kind: v.Kind}
		if v.Kind == event.Null || v.Kind == event.Array {
			f.none = true
		} else {
			at := len(m.buf)
			m.buf, f.wide = event.AppendFold(m.buf, v.Text)
			end := len(m.buf)
			m.buf = append(m.buf, zeros[:]...)
			f.text = m.buf[at:end:len(m.buf)]
		}
		m.values = append(m.values, f)
	}
	*c = span{epoch: m.epoch, off: uint32(off), end: uint32(len(m.values))}
	return m.values[off:len(m.values):len(m.values)]
}

var zeros [slack]byte

// Stats of one rule, as a meter counts them.
type Stats struct {
	// Evaluated counts the records on which the rule's condition was
	// evaluated: those that bore one of its witnesses.
	Evaluated uint64
	// Matched counts the evaluations that held.
	Matched uint64
	// Nanos is the time the evaluations took, by the clock given to Meter.
	Nanos int64
	// Slow counts the evaluations that took longer than the bound given to
	// [Matcher.Bound], and SlowNanos is the time they took.
	Slow      uint64
	SlowNanos int64
}

type meter struct {
	now   func() int64
	took  func(nanos int64)
	bound int64 // 0 is none
	stats []Stats
}

// Meter makes the matcher count and time the evaluations of each rule with
// now, a clock in nanoseconds. The slice returned is indexed as [Engine.Rules]
// and grows with each Match. took, unless nil, is called with the time of each
// evaluation, in nanoseconds.
func (m *Matcher) Meter(now func() int64, took func(nanos int64)) []Stats {
	m.meter = &meter{now: now, took: took, stats: make([]Stats, len(m.engine.rules))}
	return m.meter.stats
}

// Bound makes the meter count the evaluations that take longer than so many
// nanoseconds; 0 counts none. Call it behind Meter.
func (m *Matcher) Bound(nanos int64) { m.meter.bound = nanos }

func (m *Matcher) metered(r int32) int {
	s := &m.meter.stats[m.prog.ruleIDs[r]]
	start := m.meter.now()
	c := m.conditions(r)
	nanos := m.meter.now() - start
	s.Nanos += nanos
	s.Evaluated++
	if b := m.meter.bound; b > 0 && nanos > b {
		s.Slow++
		s.SlowNanos += nanos
	}
	if c >= 0 {
		s.Matched++
	}
	if m.meter.took != nil {
		m.meter.took(nanos)
	}
	return c
}

// Field is a field that decided, with the value that did.
type Field struct {
	Name, Value string
}

// Decided returns the fields that made the rule of a match true, in the rule's
// order, each with the first value that fits; for keywords the name is empty.
// Call it before the next Match. It allocates: it is for matches, not events.
func (m *Matcher) Decided(match Match) []Field {
	m.enter(match.View)
	p := m.prog
	local, ok := slices.BinarySearch(p.ruleIDs, int32(match.Rule))
	if !ok {
		return nil
	}
	// The scan's results of this view may be gone, so predicates are asked
	// anew, without the index.
	r := p.roots[local]
	d := decider{m: m, seen: map[Field]bool{}}
	d.walk(p.kids[r.first+int32(match.Condition)])
	return d.fields
}

type decider struct {
	m      *Matcher
	fields []Field
	seen   map[Field]bool
}

func (d *decider) holds(i int32) bool {
	p := d.m.prog
	n := &p.nodes[i]
	switch n.op {
	case opPred:
		return d.m.holds(&p.preds[n.a])
	case opNot:
		return !d.holds(n.a)
	case opAnd:
		return !slices.ContainsFunc(p.kids[n.a:n.b], func(k int32) bool { return !d.holds(k) })
	}
	return slices.ContainsFunc(p.kids[n.a:n.b], d.holds)
}

// walk gathers the fields of a node that holds.
func (d *decider) walk(i int32) {
	p := d.m.prog
	n := &p.nodes[i]
	switch n.op {
	case opPred:
		d.note(&p.preds[n.a], p.items[n.b])
	case opAnd:
		for _, k := range p.kids[n.a:n.b] {
			d.walk(k)
		}
	case opOr:
		for _, k := range p.kids[n.a:n.b] {
			if d.holds(k) {
				d.walk(k)
				return
			}
		}
	}
}

func (d *decider) note(q *predicate, item *rule.Item) {
	f := Field{Name: item.Field}
	switch q.kind {
	case predNull, predExists:
		if values := d.m.folded(int(q.slot)); len(values) > 0 {
			f.Value = string(values[0].raw)
		}
	case predFieldRef:
		if values := d.m.folded(int(q.slot)); len(values) > 0 {
			f.Value = string(values[0].raw)
		}
	default:
		if i := d.m.first(q); i >= 0 {
			f.Value = string(d.m.folded(int(q.slot))[i].raw)
		}
	}
	if !d.seen[f] {
		d.seen[f] = true
		d.fields = append(d.fields, f)
	}
}
