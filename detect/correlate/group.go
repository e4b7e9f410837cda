package correlate

import (
	"slices"

	"github.com/tiercel-io/tiercel/event"
)

// hit is a match as a group keeps it.
type hit struct {
	order
	ref    uint16
	rank   uint16 // place among the hits of one event
	late   bool
	copies uint16 // of fires: how many episodes of the child stand behind it
}

// value is what a hit of a value detector carries.
type value struct {
	texts   []string // folded, distinct
	shown   []string // as spelled
	numbers []float64
}

// more is what only some hits carry.
type more struct {
	fields [][]string // for parents
	child  event.ID   // of a fire: the child's detection
}

// group is the state of one group key of one detector.
// There may be millions: what few groups have stands behind pointers.
type group struct {
	det *detector
	key string // folded components, each behind its length
	// spelled are the components as the earliest hit spelled them, encoded
	// like key; earliest is that hit's time.
	spelled  string
	earliest int64

	// hits are sorted; hits[:done] are committed, what is behind may still
	// get company.
	hits []hit
	load *load
	done int32
	at   int32 // in the heap, or -1

	committed walk
	ahead     *walk // committed and all that is behind; nil when that is the same
	emitted   *emitted

	due        int64
	prev, next *group
	chain      *group // next in the shard with the same hash
	class      uint8
	shard      uint8
	live       bool // in its shard
	dirty      bool
	truncated  bool
	integers   bool // all numbers so far are integers
	wasAhead   bool // in a snapshot: ahead was known
}

// load is what hits carry besides: both are parallel to the hits where the
// detector asks for them.
type load struct {
	values []value
	extras []more
}

// emitted is what was said of a group so far.
type emitted struct {
	announced []announced
	decided   int64 // end of the last window decided
	// Of the episode that became final last: its id, the key of its
	// notification, the count it was last emitted with.
	lastFinal, finalKey event.ID
	finalCount          uint64
	suppressed          event.ID
	// floor is the last hit committed before its time for the budget: nothing
	// up to it is taken any more.
	floor order
	// used are keys under which another detection than their namesake became
	// final.
	used []usedKey
}

// usedKey is a key with the time of the anchor of the detection it is named for.
type usedKey struct {
	key      event.ID
	namesake int64
}

// nothing is what was said of a group of which nothing was said.
var nothing = emitted{decided: never}

// said returns what was said, to be read.
func (g *group) said() *emitted {
	if g.emitted == nil {
		return &nothing
	}
	return g.emitted
}

// say returns what was said, to be changed.
func (g *group) say() *emitted {
	if g.emitted == nil {
		g.emitted = &emitted{decided: never}
	}
	return g.emitted
}

// home is the group's shard.
func (g *group) home() *shard { return &g.det.shards[g.shard] }

// shown are the components of the group key as first spelled.
func (g *group) shown() []string { return components(g.spelled) }

// announced is a provisional detection that stands.
type announced struct {
	id    event.ID
	order order // of the anchor, which completes it
	count uint64
	key   event.ID // of the notification
	// keyTime is the time of the anchor of the detection the key is named for.
	keyTime int64
	fields  [][]string // handed to parents
}

// newHit makes a hit of the detector. Of one event that matches several rules the
// hit of the first stands first; in a sequence that of the last, so that no
// event can be two of its steps.
func (d *detector) newHit(o order, ref int) hit {
	h := hit{order: o, ref: uint16(ref), rank: uint16(ref), copies: 1}
	if d.kind == orderedKind {
		h.rank = uint16(d.refs - ref)
	}
	return h
}

// compareHits orders the hits of a group.
func compareHits(a, b *hit) int {
	if c := a.order.compare(b.order); c != 0 {
		return c
	}
	return int(a.rank) - int(b.rank)
}

// shadow reports whether hit i is of the event of the hit before it, which
// stands for it: only temporal types count an event for each of its rules.
func (g *group) shadow(i int) bool {
	k := g.det.kind
	return i > 0 && k != temporalKind && k != orderedKind && g.hits[i-1].order == g.hits[i].order
}

// find returns where a hit stands or belongs.
func (g *group) find(h *hit) (int, bool) {
	if n := len(g.hits); n == 0 || compareHits(&g.hits[n-1], h) < 0 {
		return n, false
	}
	lo, hi := 0, len(g.hits)
	for lo < hi {
		mid := (lo + hi) / 2
		if compareHits(&g.hits[mid], h) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(g.hits) && compareHits(&g.hits[lo], h) == 0
}

func (g *group) insert(at int, h hit, v value, m more) {
	g.hits = slices.Insert(g.hits, at, h)
	if g.load == nil && (g.det.values || g.det.extras()) {
		g.load = &load{}
	}
	if g.det.values {
		g.load.values = slices.Insert(g.load.values, at, v)
	}
	if g.det.extras() {
		g.load.extras = slices.Insert(g.load.extras, at, m)
	}
}

func (g *group) remove(from, to int) {
	g.hits = slices.Delete(g.hits, from, to)
	if g.load == nil {
		return
	}
	if g.det.values {
		g.load.values = slices.Delete(g.load.values, from, to)
	}
	if g.det.extras() {
		g.load.extras = slices.Delete(g.load.extras, from, to)
	}
}

// extras reports whether hits carry more.
func (d *detector) extras() bool { return len(d.parents) > 0 || d.chained }

// pending reports whether a hit is not committed yet.
func (g *group) pending() bool { return int(g.done) < len(g.hits) }
