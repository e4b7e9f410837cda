package event

import "hash/maphash"

// shape is what is known of all trees with one skeleton: which nodes each slot
// has. Slots are resolved when first asked for.
type shape struct {
	pages []*page  // by slot/pageSlots, nil until one of them is asked for
	nodes []uint32 // the nodes of all slots resolved so far
	bytes int
	// table is an open-addressing index of members by (object, folded key).
	table []entry
	mask  uint64
	flags Flags  // those that keys alone decide
	twice uint32 // the member whose key an object has twice
	note  any    // the caller's, see [Reader.Note]
}

const pageSlots = 32

// page holds what is known of neighbouring slots: those that one view asks for
// were interned one after another.
type page [pageSlots]resolved

// resolved says where the value nodes of one slot stand in shape.nodes; end is
// 0 until they have been looked up, else one more than it.
type resolved struct{ off, end uint32 }

type entry struct {
	hash uint64
	node uint32 // member, plus one; 0 is empty
}

func newShape(p *Plan, t *Tree) *shape {
	s := &shape{pages: make([]*page, (len(p.slots)+pageSlots-1)/pageSlots)}
	size := 8
	for size < 2*t.Len() {
		size *= 2
	}
	s.table = make([]entry, size)
	s.mask = uint64(size - 1)
	s.bytes = 8*len(s.pages) + 16*size + len(t.shape) + 128
	var siblings []sibling
	for i := 0; i < t.Len(); i++ {
		if t.Kind(i) != Object {
			continue
		}
		for c := i + 1; c < t.End(i); c = t.End(c) {
			siblings = s.insert(p, t, i, c, siblings)
		}
	}
	s.doubtKeys(p, t, siblings)
	return s
}

func salted(hash uint64, object int) uint64 {
	return (hash ^ uint64(object)*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
}

// insert adds a member, and to siblings one whose key is spelt otherwise.
func (s *shape) insert(p *Plan, t *Tree, object, member int, siblings []sibling) []sibling {
	name := foldName(t.Key(member))
	h := salted(maphash.String(p.seed, name), object)
	for i := h >> 20 & s.mask; ; i = (i + 1) & s.mask {
		e := &s.table[i]
		if e.node == 0 {
			*e = entry{hash: h, node: uint32(member) + 1}
			return siblings
		}
		// A key that comes twice is found twice, in document order, because
		// the later entry stands further along the probe sequence.
		if e.hash != h || int(e.node-1) <= object {
			continue
		}
		switch first := t.Key(int(e.node - 1)); {
		case string(first) == string(t.Key(member)):
			if s.flags&DuplicateField == 0 {
				s.flags |= DuplicateField
				s.twice = uint32(member)
			}
		case len(siblings) <= siblingsMax && foldName(first) == name:
			siblings = append(siblings, sibling{fold: name, first: e.node - 1, second: uint32(member)})
		}
	}
}

// members calls f with each member of object o that r names, in document
// order.
func (s *shape) members(t *Tree, o int, r *run, folded bool, f func(member int)) {
	h := salted(r.hash, o)
	for i := h >> 20 & s.mask; s.table[i].node != 0; i = (i + 1) & s.mask {
		e := &s.table[i]
		if e.hash != h {
			continue
		}
		m := int(e.node - 1)
		if m <= o || m >= t.End(o) {
			continue
		}
		key := t.Key(m)
		if folded && foldName(key) == r.fold || !folded && string(key) == r.name {
			f(m)
		}
	}
}

// resolve returns the value nodes of a slot.
func (s *shape) resolve(p *Plan, t *Tree, sl *slot) []uint32 {
	var out []uint32
	add := func(n int) { out = append(out, uint32(n)) }
	for _, folded := range [...]bool{false, true} {
		for _, pi := range sl.paths {
			before := len(out)
			s.walk(p, t, 0, &p.paths[pi], 0, folded, add)
			if len(out) > before && !sl.all {
				break
			}
		}
		if len(out) > 0 {
			break
		}
	}
	if sl.leaves {
		return leaves(t, out)
	}
	return values(t, out)
}

// walk calls add for the nodes at steps[from:] below node i. Arrays on the way
// fan out.
func (s *shape) walk(p *Plan, t *Tree, i int, c *path, from int, folded bool, add func(int)) {
	if from == len(c.steps) {
		add(i)
		return
	}
	switch t.Kind(i) {
	case Array:
		for e := i + 1; e < t.End(i); e = t.End(e) {
			s.walk(p, t, e, c, from, folded, add)
		}
	case Object:
		if c.steps[from] == "*" {
			for m := i + 1; m < t.End(i); m = t.End(m) {
				s.walk(p, t, m, c, from+1, folded, add)
			}
			return
		}
		// The longest literal key first: {"id.orig_h":…} before {"id":{…}}.
		found := false
		for n := len(c.steps) - from; n >= 1 && !found; n-- {
			s.members(t, i, &c.runs[from][n-1], folded, func(m int) {
				s.walk(p, t, m, c, from+n, folded, func(v int) {
					found = true
					add(v)
				})
			})
		}
	}
}

// values flattens arrays into their items; an empty array stays as a node of
// its own, since it counts as null [D17].
func values(t *Tree, nodes []uint32) []uint32 {
	var out []uint32
	var flatten func(i int)
	flatten = func(i int) {
		if t.Kind(i) != Array || t.End(i) == i+1 {
			out = append(out, uint32(i))
			return
		}
		for c := i + 1; c < t.End(i); c = t.End(c) {
			flatten(c)
		}
	}
	for _, n := range nodes {
		flatten(int(n))
	}
	return out
}

// leaves returns the scalars below nodes, each once, in document order of the
// nodes given.
func leaves(t *Tree, nodes []uint32) []uint32 {
	var out []uint32
	seen := map[uint32]bool{}
	for _, n := range nodes {
		for i := int(n); i < t.End(int(n)); i++ {
			if k := t.Kind(i); k == Object || k == Array || seen[uint32(i)] {
				continue
			}
			seen[uint32(i)] = true
			out = append(out, uint32(i))
		}
	}
	return out
}
