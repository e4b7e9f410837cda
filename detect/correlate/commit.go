package correlate

import (
	"bytes"
	"cmp"
	"math"
	"slices"

	"github.com/tiercel-io/tiercel/event"
)

// settle puts a group where the watermark will next have something to do.
func (e *Engine) settle(g *group) {
	d := g.det
	switch {
	case d.windowed:
		if open := g.opening(); open < len(g.hits) {
			d.due.set(g, addTime(g.hits[open].t, d.timespan))
			return
		}
		// Nothing opens a window yet; what is there may go once nothing can
		// come before it.
		last := g.earliest
		if n := len(g.hits); n > 0 {
			last = g.hits[n-1].t
		}
		d.due.set(g, addTime(last, 1))
	case g.pending():
		d.due.set(g, addTime(g.hits[g.done].t, 1))
	default:
		d.due.set(g, addTime(addTime(g.committed.last, d.timespan), 1))
	}
}

// addTime adds without overflow.
func addTime(t, d int64) int64 {
	if t > 0 && d > math.MaxInt64-t {
		return math.MaxInt64
	}
	return t + d
}

// commit does what the watermark asks of a group that was due.
func (e *Engine) commit(g *group, limit int64, s Sink) {
	if g.det.windowed {
		e.decideWindow(g, limit, s)
		return
	}
	n := int(g.done)
	for n < len(g.hits) && (g.hits[n].t < limit || limit == forever) {
		n++
	}
	e.commitHits(g, n)
	g.trim(limit)
	if g.pending() {
		e.settle(g)
		return
	}
	g.ahead = nil
	if last := addTime(g.committed.last, g.det.timespan); last < limit || limit == forever {
		if x := g.committed.open; x != nil {
			e.decided = append(e.decided, decision{at: last, anchor: x.anchor, group: g, episode: x, phase: Closed})
			g.committed.open = nil
		}
		e.forget(g)
		return
	}
	e.settle(g)
	e.touch(g)
}

// commitHits walks the committed state over hits[:n].
func (e *Engine) commitHits(g *group, n int) {
	w := &g.committed
	for int(w.next) < n {
		at := g.hits[w.next].t
		r := g.step(w, n)
		if x := r.closed; x != nil {
			e.decided = append(e.decided, decision{at: at, anchor: x.anchor, group: g, episode: x, phase: Closed})
		}
		for _, x := range [...]*episode{r.opened, r.ended} {
			if x == nil {
				continue
			}
			key := g.settled(x)
			x.key = key
			e.decided = append(e.decided, decision{at: at, anchor: x.anchor, group: g, episode: x, phase: Final})
			said := g.say()
			if key != x.id {
				said.use(key, x.keyTime, g.det.settled)
			}
			said.lastFinal, said.finalKey, said.finalCount = x.id, key, x.count
		}
		if x := r.ended; x != nil {
			e.decided = append(e.decided, decision{at: at, anchor: x.anchor, group: g, episode: x, phase: Closed})
		}
	}
	g.done = max(g.done, int32(n))
}

// use remembers that a key has become another detection's, as long as its
// namesake, whose anchor was at the given time, may come back.
func (s *emitted) use(key event.ID, namesake, settled int64) {
	s.used = slices.DeleteFunc(s.used, func(u usedKey) bool { return u.namesake < settled })
	s.used = append(s.used, usedKey{key, namesake})
}

// settled takes an episode off those announced and returns its notification's
// key.
func (g *group) settled(x *episode) event.ID {
	for i, a := range g.said().announced {
		if a.id == x.id {
			x.keyTime = a.keyTime
			g.emitted.announced = slices.Delete(g.emitted.announced, i, i+1)
			return a.key
		}
	}
	return x.id
}

// compactMin is the number of committed hits below which giving up those that
// no window needs is not worth it; they also show an event delivered again.
const compactMin = 256

// trim forgets committed hits that no window can hold any more.
func (g *group) trim(limit int64) {
	w, d := &g.committed, g.det
	if limit == forever {
		return
	}
	for w.lo < g.done && g.hits[w.lo].t < limit-d.timespan {
		w.drop(g, int(w.lo))
		w.lo++
	}
	if keep := d.keep * d.refs; keep > 0 && int(g.done-w.lo) > max(keep, compactMin) {
		w.lo = g.done - int32(keep)
		if w.aux != nil {
			w.aux.tally = nil // it counted them
		}
	}
	cut := int(w.lo)
	if g.ahead != nil {
		cut = min(cut, int(g.ahead.lo))
	}
	if cut > 0 {
		g.cutFront(cut)
	}
}

// decideWindow decides the window that is due, and the next ones.
func (e *Engine) decideWindow(g *group, limit int64, s Sink) {
	d := g.det
	for {
		// What stands before the hit that opens the window is in none, unless
		// one that opens another can still come before it.
		idle := g.opening()
		for idle > 0 && g.hits[idle-1].t >= limit {
			idle--
		}
		g.remove(0, idle)
		open := g.opening()
		if open == len(g.hits) && open > 0 {
			e.settle(g)
			return
		}
		if len(g.hits) == 0 {
			// What would come now comes late, or opens a group anew.
			e.forget(g)
			return
		}
		end := addTime(g.hits[open].t, d.timespan)
		if end > limit {
			e.settle(g)
			return
		}
		n := 0
		for n < len(g.hits) && g.hits[n].t <= end {
			n++
		}
		if v, from, ok := g.window(n); ok {
			last := &g.hits[n-1]
			x := &episode{anchor: g.hits[0].order, completing: last.id, completed: last.order, value: v}
			for k := from; k < n; k++ {
				x.add(g, k)
			}
			x.values = g.shownValues(0, n)
			x.id = g.detectionID(x.anchor)
			x.key = x.id
			if m := g.extra(n - 1); m != nil {
				x.fields = m.fields
			}
			e.decided = append(e.decided, decision{at: end, anchor: x.anchor, group: g, episode: x, phase: Closed})
			e.fire(g, x, s)
		}
		g.say().decided = end
		g.remove(0, n)
	}
}

// opening returns the index of the first hit that opens a window.
func (g *group) opening() int {
	if d := g.det; d.kind == orderedKind && len(d.positive) > 0 {
		for i := range g.hits {
			if int(g.hits[i].ref) != d.positive[0] {
				continue
			}
			for i > 0 && g.hits[i-1].order == g.hits[i].order {
				i-- // the same event, for another rule
			}
			return i
		}
		return len(g.hits)
	}
	return 0
}

// inWindow reports whether a time falls into the window that is open.
func (g *group) inWindow(t int64) bool {
	open := g.opening()
	return open < len(g.hits) && t >= g.hits[open].t && t <= addTime(g.hits[open].t, g.det.timespan)
}

// window evaluates hits[:n] as a whole.
func (g *group) window(n int) (v float64, from int, holds bool) {
	d := g.det
	switch d.kind {
	case countKind:
		for k := range n {
			if !g.shadow(k) {
				v++
			}
		}
		return v, 0, d.meets(v)
	case temporalKind:
		present := func(ref int) bool {
			return slices.ContainsFunc(g.hits[:n], func(h hit) bool { return int(h.ref) == ref })
		}
		for ref := range d.refs {
			if present(ref) {
				v++
			}
		}
		if d.expr != nil {
			return v, 0, d.holdsExpr(d.expr, present)
		}
		return v, 0, d.meets(v)
	case orderedKind:
		return g.absence(n)
	case distinctKind:
		seen := map[string]bool{}
		for k := range n {
			if g.shadow(k) {
				continue
			}
			for _, s := range g.load.values[k].texts {
				seen[s] = true
			}
		}
		v = float64(len(seen))
		return v, 0, d.meets(v)
	}
	var numbers []float64
	for k := range n {
		if g.shadow(k) {
			continue
		}
		numbers = append(numbers, g.load.values[k].numbers...)
	}
	switch d.kind {
	case sumKind, avgKind:
		for _, x := range numbers {
			v += x
		}
		if d.kind == avgKind {
			v /= float64(len(numbers))
		}
	default:
		v = percentile(numbers, d.percentile)
	}
	return v, 0, d.meets(v)
}

// percentile interpolates linearly between the closest ranks.
func percentile(numbers []float64, p float64) float64 {
	slices.Sort(numbers)
	rank := p / 100 * float64(len(numbers)-1)
	low := int(math.Floor(rank))
	if low+1 >= len(numbers) {
		return numbers[len(numbers)-1]
	}
	return numbers[low] + (rank-float64(low))*(numbers[low+1]-numbers[low])
}

// absence evaluates a sequence with rules that must not follow: hits[0] opened
// the window.
func (g *group) absence(n int) (v float64, from int, holds bool) {
	d := g.det
	step := 1
	for k := 1; k < n; k++ {
		h := &g.hits[k]
		if h.order == g.hits[0].order {
			continue
		}
		if slices.Contains(d.negative, int(h.ref)) {
			return 0, 0, false
		}
		if step < len(d.positive) && int(h.ref) == d.positive[step] {
			step++
		}
	}
	return float64(step), 0, step == len(d.positive)
}

// decide emits what a step of the watermark settled, in event time, those
// suppressed marked.
func (e *Engine) decide(s Sink) {
	slices.SortStableFunc(e.decided, func(a, b decision) int {
		return cmp.Or(cmp.Compare(a.at, b.at), a.anchor.compare(b.anchor), cmp.Compare(a.group.det.index, b.group.det.index),
			cmp.Compare(a.group.key, b.group.key), bytes.Compare(a.episode.id[:], b.episode.id[:]))
	})
	for i := range e.decided {
		c := &e.decided[i]
		g, x := c.group, c.episode
		first := c.phase == Final || g.det.windowed
		if sup := g.det.suppress; sup != nil && first && e.suppressed(g, c.at) {
			g.say().suppressed = x.id
		}
		if w := g.ahead; c.phase == Final && w != nil && w.open != nil && w.open.id == x.id {
			// More is known of it already than is committed.
			g.say().finalCount = w.open.count
			s.Detection(g.detection(w.open, Final, x.key))
			continue
		}
		s.Detection(g.detection(x, c.phase, x.key))
	}
	clear(e.decided)
	e.decided = e.decided[:0]
}

// suppressed reports whether an earlier detection stands for one decided at
// the given time, and otherwise makes this one stand.
func (e *Engine) suppressed(g *group, at int64) bool {
	d := g.det
	key := ""
	for i, c := range components(g.key) {
		if slices.Contains(d.suppressBy, i) {
			key += c + "\x00"
		}
	}
	if last, ok := d.stood[key]; ok && at-last <= d.suppress.Window.Microseconds() {
		return true
	}
	d.stood[key] = at
	if len(d.stood) > Shards*e.cfg.Budget.GroupsPerShard {
		for k, last := range d.stood {
			if at-last > d.suppress.Window.Microseconds() {
				delete(d.stood, k)
			}
		}
	}
	return false
}
