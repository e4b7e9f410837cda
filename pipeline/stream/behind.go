package stream

import (
	"cmp"
	"slices"

	"github.com/tiercel-io/tiercel/store"
)

// Behind is a partition of which entries stand in the log that were not taken
// in yet.
type Behind struct {
	Partition store.Partition
	Entries   int64
}

// Behind lists the partitions that are read on by Run, the one with the most
// entries first. Before Run, that is what a start has to read again.
func (n *Node) Behind() []Behind {
	next := map[store.Partition]int64{}
	for _, f := range n.scheduler.all() {
		f.mu.Lock()
		next[f.partition] = f.collected
		f.mu.Unlock()
	}
	n.mu.Lock()
	for p, s := range n.scopes {
		next[p] = s.level.next.Load()
	}
	n.mu.Unlock()
	var out []Behind
	for _, h := range n.log.Heads() {
		if at, known := next[h.Partition]; known && h.Next > at {
			out = append(out, Behind{h.Partition, h.Next - at})
		}
	}
	slices.SortFunc(out, func(a, b Behind) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), cmp.Compare(a.Partition.String(), b.Partition.String()))
	})
	return out
}
