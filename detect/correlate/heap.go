package correlate

// dueHeap orders the groups of a detector by when the watermark next has
// something to settle in them, then by key.
type dueHeap struct{ groups []*group }

func (h *dueHeap) len() int      { return len(h.groups) }
func (h *dueHeap) first() *group { return h.groups[0] }

func (h *dueHeap) less(a, b *group) bool {
	if a.due != b.due {
		return a.due < b.due
	}
	return a.key < b.key
}

// set puts a group where its due time belongs.
func (h *dueHeap) set(g *group, due int64) {
	if g.at < 0 {
		g.due = due
		g.at = int32(len(h.groups))
		h.groups = append(h.groups, g)
		h.up(int(g.at))
		return
	}
	if g.due == due {
		return
	}
	g.due = due
	h.up(int(g.at))
	h.down(int(g.at))
}

func (h *dueHeap) pop() *group {
	g := h.groups[0]
	h.cut(g)
	return g
}

func (h *dueHeap) cut(g *group) {
	i, last := int(g.at), len(h.groups)-1
	h.swap(i, last)
	h.groups[last] = nil
	h.groups = h.groups[:last]
	if i < last {
		h.up(i)
		h.down(i)
	}
	g.at = -1
}

func (h *dueHeap) swap(i, j int) {
	h.groups[i], h.groups[j] = h.groups[j], h.groups[i]
	h.groups[i].at, h.groups[j].at = int32(i), int32(j)
}

func (h *dueHeap) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !h.less(h.groups[i], h.groups[p]) {
			return
		}
		h.swap(i, p)
		i = p
	}
}

func (h *dueHeap) down(i int) {
	for {
		least := i
		for c := 2*i + 1; c <= 2*i+2 && c < len(h.groups); c++ {
			if h.less(h.groups[c], h.groups[least]) {
				least = c
			}
		}
		if least == i {
			return
		}
		h.swap(i, least)
		i = least
	}
}
