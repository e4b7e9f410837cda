package correlate

import (
	"slices"

	"github.com/tiercel-io/tiercel/event"
)

// walk is how far a sliding detector has gone through the hits of a group.
type walk struct {
	lo   int32 // first hit of the window
	next int32 // hit to look at next
	last int64 // time of the hit before it
	open *episode
	aux  *aux
}

// aux is what only some walks keep.
type aux struct {
	// chain holds, for temporal_ordered, by position the start of the latest
	// chain that has come so far.
	chain []link
	tally *tally
}

// tally returns the tally, or nil.
func (w *walk) tally() *tally {
	if w.aux == nil {
		return nil
	}
	return w.aux.tally
}

func (w *walk) setTally(t *tally) {
	if w.aux == nil {
		w.aux = &aux{}
	}
	w.aux.tally = t
}

type link struct {
	start order
	ok    bool
}

// tally counts what a large window holds, so that a step costs no walk
// through it.
type tally struct {
	texts  map[string]int
	refs   []int
	events int
	sum    float64
}

// tallyMin is the size of a window from which counting along pays.
const tallyMin = 32

// episode is one detection in the making.
type episode struct {
	id         event.ID
	anchor     order
	completing event.ID
	completed  order      // of the completing event
	fields     [][]string // of it, for parents
	key        event.ID   // of the notification
	keyTime    int64      // of the anchor of the detection the key is named for
	first      int64
	last       int64
	count      uint64
	byRule     []uint64
	value      float64
	values     []string
	head       []event.ID // first EvidenceFirst
	tail       []event.ID // last EvidenceLast, a ring once full
	tailAt     int
	children   []event.ID
	late       bool
	lastEvent  order // the last event counted
}

func (e *episode) clone() *episode {
	if e == nil {
		return nil
	}
	c := *e
	c.byRule = slices.Clone(e.byRule)
	c.head = slices.Clip(e.head)
	c.tail = slices.Clone(e.tail)
	c.children = slices.Clip(e.children)
	return &c
}

// add counts a contributing hit. Hits of one event come one after another.
func (e *episode) add(g *group, i int) {
	d, h, m := g.det, &g.hits[i], g.extra(i)
	e.late = e.late || h.late
	if m != nil && m.child != (event.ID{}) && len(e.children) < EvidenceLast {
		e.children = append(e.children, m.child)
	}
	if g.shadow(i) {
		return
	}
	if d.correlation >= 0 {
		if e.byRule == nil {
			e.byRule = make([]uint64, d.refs)
		}
		e.byRule[h.ref]++
	}
	if e.count > 0 && e.lastEvent == h.order {
		return
	}
	if e.count == 0 {
		e.first = h.t
	}
	e.lastEvent = h.order
	e.last = h.t
	e.keep(h.id)
}

// joinLate counts a hit that came when what stands behind it had been counted.
func (e *episode) joinLate(h *hit) {
	e.late = true
	e.first, e.last = min(e.first, h.t), max(e.last, h.t)
	e.keep(h.id)
}

// keep counts an event and keeps its id, if it is among the first or last.
func (e *episode) keep(id event.ID) {
	e.count++
	if len(e.head) < EvidenceFirst {
		e.head = append(e.head, id)
		return
	}
	if len(e.tail) < EvidenceLast {
		e.tail = append(e.tail, id)
		return
	}
	e.tail[e.tailAt] = id
	e.tailAt = (e.tailAt + 1) % EvidenceLast
}

// evidence returns the ids kept, in order.
func (e *episode) evidence() []event.ID {
	out := slices.Clone(e.head)
	out = append(out, e.tail[e.tailAt:]...)
	return append(out, e.tail[:e.tailAt]...)
}

func (w *walk) clone() *walk {
	c := *w
	c.open = w.open.clone()
	if w.aux != nil {
		c.aux = nil
		if w.aux.chain != nil {
			c.aux = &aux{chain: slices.Clone(w.aux.chain)}
		}
	}
	return &c
}

// result is what one step did: an episode closed, one opened, or one opened and
// ended at once.
type result struct {
	closed, opened, ended *episode
}

// step looks at the next hit of hits[:limit], or at the next hits where one
// event matches several rules. It must not be called for windowed detectors.
func (g *group) step(w *walk, limit int) (r result) {
	d, i := g.det, int(w.next)
	h := &g.hits[i]
	if w.open != nil {
		old := h.t-w.open.anchor.t > d.ageMax
		if old || h.t-w.last > d.timespan {
			r.closed, w.open = w.open, nil
		}
		if old {
			w.restart(i)
		}
	}
	for int(w.lo) < i && g.hits[w.lo].t < h.t-d.timespan {
		w.drop(g, int(w.lo))
		w.lo++
	}
	end := i + 1
	w.take(g, i)
	for end < limit && g.hits[end].order == h.order {
		w.take(g, end)
		end++
	}
	w.next, w.last = int32(end), h.t
	v, from, holds := w.condition(g, end)
	switch {
	case !holds:
		if w.open != nil {
			r.closed, w.open = w.open, nil
		}
	case w.open == nil:
		e := &episode{anchor: h.order, completing: h.id, completed: h.order, value: v}
		if m := g.extra(i); m != nil {
			e.fields = m.fields
		}
		for k := from; k < end; k++ {
			e.add(g, k)
		}
		e.values = g.shownValues(from, end)
		e.id = g.detectionID(e.anchor)
		r.opened, w.open = e, e
		if d.every || d.reset {
			r.opened, r.ended, w.open = nil, e, nil
			w.restart(end)
		}
	default:
		for k := i; k < end; k++ {
			w.open.add(g, k)
		}
	}
	return r
}

func (g *group) extra(i int) *more {
	if g.load == nil || g.load.extras == nil {
		return nil
	}
	return &g.load.extras[i]
}

// restart forgets all hits before the given one.
func (w *walk) restart(next int) {
	w.lo, w.aux = int32(next), nil
}

// take counts hit i into the window and its chains.
func (w *walk) take(g *group, i int) {
	d := g.det
	h := &g.hits[i]
	if d.kind == orderedKind {
		if w.aux == nil {
			w.aux = &aux{chain: make([]link, len(d.positive))}
		}
		chain := w.aux.chain
		if p := slices.Index(d.positive, int(h.ref)); p == 0 {
			chain[0] = link{h.order, true}
		} else if p > 0 && chain[p-1].ok {
			chain[p] = chain[p-1]
		}
	}
	if t := w.tally(); t != nil {
		t.add(g, i, 1)
	}
}

func (w *walk) drop(g *group, i int) {
	if t := w.tally(); t != nil {
		t.add(g, i, -1)
	}
}

func (t *tally) add(g *group, i, n int) {
	if g.shadow(i) {
		return
	}
	switch g.det.kind {
	case countKind:
		t.events += n
	case distinctKind:
		for _, s := range g.load.values[i].texts {
			if t.texts[s] += n; t.texts[s] == 0 {
				delete(t.texts, s)
			}
		}
	case sumKind:
		for _, v := range g.load.values[i].numbers {
			t.sum += float64(n) * v
		}
	case temporalKind:
		t.refs[g.hits[i].ref] += n
	}
}

// condition evaluates the window hits[w.lo:end], whose last hits are of the
// event in hand, and returns the value and the first contributing hit.
func (w *walk) condition(g *group, end int) (v float64, from int, holds bool) {
	d := g.det
	from = int(w.lo)
	if w.tally() == nil && end-from >= tallyMin && d.kind != orderedKind && (d.kind != countKind || d.refs > 1) {
		t := &tally{texts: map[string]int{}, refs: make([]int, d.refs)}
		for k := from; k < end; k++ {
			t.add(g, k, 1)
		}
		w.setTally(t)
	}
	switch d.kind {
	case countKind:
		v = float64(w.events(g, end))
	case distinctKind:
		v = float64(w.distinct(g, end))
	case sumKind:
		v = w.sum(g, end)
	case temporalKind:
		present := func(ref int) bool { return w.has(g, end, ref) }
		for ref := range d.refs {
			if present(ref) {
				v++
			}
		}
		if d.expr != nil {
			return v, from, d.holdsExpr(d.expr, present)
		}
	case orderedKind:
		last := len(d.positive) - 1
		l := w.aux.chain[last]
		if !l.ok || l.start.t < g.hits[end-1].t-d.timespan {
			return 0, from, false
		}
		for from < end && g.hits[from].order.compare(l.start) < 0 {
			from++
		}
		return float64(last + 1), from, true
	}
	return v, from, d.meets(v)
}

// events counts the events of the window hits[w.lo:end].
func (w *walk) events(g *group, end int) int {
	n := end - int(w.lo)
	if g.det.refs == 1 {
		return n
	}
	if t := w.tally(); t != nil {
		return t.events
	}
	for k := int(w.lo) + 1; k < end; k++ {
		if g.shadow(k) {
			n--
		}
	}
	return n
}

func (w *walk) distinct(g *group, end int) int {
	if t := w.tally(); t != nil {
		return len(t.texts)
	}
	n := 0
	for k := int(w.lo); k < end; k++ {
		if g.shadow(k) {
			continue
		}
		for _, s := range g.load.values[k].texts {
			if !g.valueBefore(int(w.lo), k, s) {
				n++
			}
		}
	}
	return n
}

func (g *group) valueBefore(from, to int, s string) bool {
	for k := from; k < to; k++ {
		if !g.shadow(k) && slices.Contains(g.load.values[k].texts, s) {
			return true
		}
	}
	return false
}

// exactSum is the greatest sum of integers that a float64 holds exactly.
const exactSum = 1 << 53

// sum adds the numbers of the window in order, so that the result depends on
// the window alone; the running sum serves while it is exact.
func (w *walk) sum(g *group, end int) float64 {
	if t := w.tally(); t != nil && g.integers && t.sum < exactSum && t.sum > -exactSum {
		return t.sum
	}
	s := 0.0
	for k := int(w.lo); k < end; k++ {
		if g.shadow(k) {
			continue
		}
		for _, v := range g.load.values[k].numbers {
			s += v
		}
	}
	return s
}

func (w *walk) has(g *group, end, ref int) bool {
	if t := w.tally(); t != nil {
		return t.refs[ref] > 0
	}
	for k := int(w.lo); k < end; k++ {
		if int(g.hits[k].ref) == ref {
			return true
		}
	}
	return false
}

// shownValues returns distinct values of hits[from:to], as first spelled.
func (g *group) shownValues(from, to int) []string {
	if g.det.kind != distinctKind {
		return nil
	}
	var folded, out []string
	for k := from; k < to; k++ {
		if g.shadow(k) {
			continue
		}
		for n, s := range g.load.values[k].texts {
			if len(out) == ValuesShownMax {
				return out
			}
			if !slices.Contains(folded, s) {
				folded = append(folded, s)
				out = append(out, g.load.values[k].shown[n])
			}
		}
	}
	return out
}
