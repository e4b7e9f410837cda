package correlate

// shard holds the groups of one detector whose keys hash alike. A group is in
// one of the lists by its progress towards firing, the one touched last at the
// end; the first of the lowest list is given up first. So groups of an attacker
// who spends one hit a key push out one another, and to push out a group close
// to firing takes as many that are as close.
type shard struct {
	groups map[uint64]*group // by hash of the key; others of the same hash are chained
	n      int
	lists  [classes]list
	ghosts []uint32
}

// The classes of progress.
const (
	oneHit = iota
	someHits
	halfWay
	fired
	classes
)

type list struct {
	head, tail *group
	n          int
}

func (l *list) push(g *group) {
	g.prev, g.next = l.tail, nil
	if l.tail != nil {
		l.tail.next = g
	} else {
		l.head = g
	}
	l.tail = g
	l.n++
}

func (l *list) cut(g *group) {
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		l.head = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		l.tail = g.prev
	}
	g.prev, g.next = nil, nil
	l.n--
}

// ShardOf returns the shard of a group key in its canonical encoding. A
// partition owns the shards whose number it is modulo the number of
// partitions.
func ShardOf(key []byte) int { return int(hashKey(key) % Shards) }

// FNV-1a, 64 bit (Fowler, Noll and Vo), whose constants never change.
const (
	fnvOffset = 0xcbf29ce484222325
	fnvPrime  = 0x100000001b3
)

func hashKey(key []byte) uint64 {
	x := uint64(fnvOffset)
	for _, c := range key {
		x = (x ^ uint64(c)) * fnvPrime
	}
	x ^= x >> 32 // FNV's low bits alone distribute poorly
	x *= 0x9e3779b97f4a7c15
	return x ^ x>>29
}

// ghostSlots is the number of groups given up that a shard remembers by a
// fingerprint, so that one which comes again is known to have made progress:
// an attack that goes on under a flood of keys is admitted above it.
const ghostSlots = 1 << 15

func (s *shard) haunt(key string) {
	if s.ghosts == nil {
		s.ghosts = make([]uint32, ghostSlots)
	}
	h := hashKey([]byte(key)) / Shards
	s.ghosts[h%ghostSlots] = uint32(h/ghostSlots) | 1
}

func (s *shard) haunted(key string) bool {
	if s.ghosts == nil {
		return false
	}
	h := hashKey([]byte(key)) / Shards
	return s.ghosts[h%ghostSlots] == uint32(h/ghostSlots)|1
}

// get returns the group of a key, or nil.
func (s *shard) get(key []byte) *group {
	g := s.groups[hashKey(key)]
	for g != nil && g.key != string(key) {
		g = g.chain
	}
	return g
}

func (s *shard) put(g *group) {
	h := hashKey([]byte(g.key))
	g.chain = s.groups[h]
	s.groups[h] = g
	s.n++
}

func (s *shard) drop(g *group) {
	h := hashKey([]byte(g.key))
	s.n--
	if s.groups[h] == g {
		if g.chain == nil {
			delete(s.groups, h)
		} else {
			s.groups[h] = g.chain
		}
		return
	}
	for p := s.groups[h]; p != nil; p = p.chain {
		if p.chain == g {
			p.chain = g.chain
		}
	}
}

// admit makes a group, giving up another where the budget is spent. It returns
// nil when a hit at o is too late for the group to be of use.
func (e *Engine) admit(d *detector, number int, key string, o order, watermark int64) *group {
	s := &d.shards[number]
	if o.t < watermark-d.timespan && watermark != never && !d.single() {
		return nil
	}
	if s.groups == nil {
		s.groups = map[uint64]*group{}
	}
	if s.n >= e.cfg.Budget.GroupsPerShard {
		e.evict(d, s)
	}
	g := &group{det: d, shard: uint8(number), live: true, key: key, earliest: o.t, at: -1}
	if s.haunted(key) {
		g.class = someHits
	}
	s.put(g)
	s.lists[g.class].push(g)
	return g
}

// evict gives up the group with the least progress that was touched longest
// ago.
func (e *Engine) evict(d *detector, s *shard) {
	for c := range s.lists {
		if g := s.lists[c].head; g != nil {
			s.haunt(g.key)
			e.counters.EvictedGroups++
			e.giveUp(g)
			e.forget(g)
			return
		}
	}
}

// giveUp decides what a group has come to, as if the watermark had passed it.
func (e *Engine) giveUp(g *group) {
	if g.det.windowed {
		return
	}
	g.truncated = true
	e.commitHits(g, len(g.hits))
	if x := g.committed.open; x != nil {
		e.decided = append(e.decided, decision{at: g.committed.last, anchor: x.anchor, group: g, episode: x, phase: Closed})
	}
}

// forget drops a group.
func (e *Engine) forget(g *group) {
	s := g.home()
	s.lists[g.class].cut(g)
	s.drop(g)
	if g.at >= 0 {
		g.det.due.cut(g)
	}
	g.live = false
}

// touch moves a group to the end of the list of its progress.
func (e *Engine) touch(g *group) {
	if !g.live {
		return
	}
	class := g.progress()
	l := &g.home().lists[g.class]
	if class < int(g.class) {
		class = int(g.class) // progress made is kept while the group lives
	}
	if class == int(g.class) && l.tail == g {
		return
	}
	l.cut(g)
	g.class = uint8(class)
	g.home().lists[class].push(g)
}

func (g *group) progress() int {
	if len(g.said().announced) > 0 || g.committed.open != nil {
		return fired
	}
	n := len(g.hits)
	need := 2
	switch d := g.det; {
	case d.keep > 0:
		need = d.keep
	case d.kind == temporalKind || d.kind == orderedKind:
		need = len(d.positive)
	case len(d.thresholds) > 0 && d.kind == distinctKind:
		need = int(min(max(d.thresholds[0].N, 2), 1<<20))
	}
	switch {
	case n >= 2 && 2*n >= need:
		return halfWay
	case n >= 2:
		return someHits
	}
	return oneHit
}

// bound gives up the oldest hits of a group over its budget.
func (e *Engine) bound(g *group) {
	n := len(g.hits) - e.cfg.Budget.HitsPerGroup
	if n <= 0 {
		return
	}
	n = max(n, e.cfg.Budget.HitsPerGroup/10) // so that it is not done for each hit
	g.truncated = true
	e.counters.DroppedHits += uint64(n)
	if n > int(g.done) {
		// Hits not committed yet are looked at first, as if the watermark had
		// passed them.
		if g.det.windowed {
			g.remove(0, n)
			return
		}
		e.commitHits(g, n)
	}
	g.say().floor = g.hits[n-1].order
	g.cutFront(n)
	g.ahead = nil
	e.soil(g)
}

// cutFront forgets the first n hits, all of them committed.
func (g *group) cutFront(n int) {
	g.remove(0, n)
	g.done -= int32(n)
	for _, w := range [...]*walk{&g.committed, g.ahead} {
		if w == nil {
			continue
		}
		if int(w.lo) < n && w.aux != nil {
			w.aux.tally = nil // counted what is gone
		}
		w.lo = max(0, w.lo-int32(n))
		w.next = max(0, w.next-int32(n))
	}
}
