package detect

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/tiercel-io/tiercel/rule"
)

// setMin is from how many alternatives of one kind on the list of a placeholder
// becomes one question instead of many. Below it the index of literals finds
// them; lists have up to 500,000 entries, and asked one by one, as under a not,
// 100,000 took 1 to 20 ms an event.
const setMin = 256

// valueSet is many literals asked for in the same way.
type valueSet struct {
	// kind is predEquals, predPrefix, predSuffix or predContains.
	kind predKind
	// lens are the lengths of the literals, ascending, each once.
	lens []int
	lits map[string]struct{}
}

// matches reports whether a text, folded unless the literals are cased, fits
// one of them. Equality takes one look-up, a prefix or suffix one for each
// length, and contains one for each length and position.
func (s *valueSet) matches(text []byte) bool {
	if s.kind == predEquals {
		_, ok := s.lits[string(text)]
		return ok
	}
	for _, n := range s.lens {
		if n > len(text) {
			return false
		}
		first, last := 0, len(text)-n
		switch s.kind {
		case predPrefix:
			last = 0
		case predSuffix:
			first = last
		}
		for i := first; i <= last; i++ {
			if _, ok := s.lits[string(text[i:i+n])]; ok {
				return true
			}
		}
	}
	return false
}

// networkSet is many networks, disjoint and ascending.
type networkSet []netip.Prefix

// newNetworkSet drops networks inside others; of two networks either one
// contains the other or they are disjoint.
func newNetworkSet(list []netip.Prefix) networkSet {
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	out := list[:0]
	for _, p := range list {
		if len(out) == 0 || !out[len(out)-1].Overlaps(p) {
			out = append(out, p)
		}
	}
	return slices.Clip(out)
}

func (s networkSet) contains(a netip.Addr) bool {
	i, found := slices.BinarySearchFunc(s, a, func(p netip.Prefix, a netip.Addr) int { return p.Addr().Compare(a) })
	return found || i > 0 && s[i-1].Contains(a)
}

// alternatives makes the nodes of the alternatives of a placeholder or an
// encoding; many of one kind make one node.
func (b *builder) alternatives(x *rule.Item, item, slot int32, list []rule.Value) []int32 {
	if len(list) < setMin {
		var out []int32
		for _, v := range list {
			out = append(out, b.value(x, item, slot, v))
		}
		return out
	}
	type group struct {
		kind  predKind
		cased bool
	}
	counts := map[group]int{}
	preds := make([]predicate, len(list))
	for i, v := range list {
		preds[i], _ = newPredicate(v, slot, x.Field == "", b.slotOf)
		counts[group{preds[i].kind, preds[i].cased}]++
	}
	sets := map[group][]*predicate{}
	var order []group
	var out []int32
	for i, v := range list {
		g := group{preds[i].kind, preds[i].cased}
		if counts[g] < setMin || g.kind > predContains && g.kind != predCIDR {
			out = append(out, b.value(x, item, slot, v))
			continue
		}
		if sets[g] == nil {
			order = append(order, g)
		}
		sets[g] = append(sets[g], &preds[i])
	}
	for _, g := range order {
		p, key := newSetPredicate(slot, g.kind, g.cased, sets[g])
		out = append(out, b.predicate(p, key, item))
	}
	return out
}

// newSetPredicate makes one predicate of many of one kind. Rules that use the
// same list share it: the key is a hash of what is asked for.
func newSetPredicate(slot int32, kind predKind, cased bool, list []*predicate) (predicate, predKey) {
	p := predicate{slot: slot, cased: cased}
	h := sha256.New()
	var buf []byte
	add := func(text []byte) {
		buf = binary.AppendUvarint(buf[:0], uint64(len(text)))
		h.Write(append(buf, text...))
	}
	if kind == predCIDR {
		p.kind = predNetworks
		networks := make([]netip.Prefix, len(list))
		for i, q := range list {
			networks[i] = q.arg.(netip.Prefix)
		}
		set := newNetworkSet(networks)
		for _, n := range set {
			add(n.AppendTo(nil))
		}
		p.arg = set
		return p, predKey{p.kind, cased, slot, string(h.Sum(nil))}
	}
	p.kind = predSet
	set := &valueSet{kind: kind, lits: make(map[string]struct{}, len(list))}
	lens := map[int]bool{}
	add([]byte{byte(kind)})
	for _, q := range list {
		set.lits[q.lit] = struct{}{}
		if !lens[len(q.lit)] {
			lens[len(q.lit)] = true
			set.lens = append(set.lens, len(q.lit))
		}
		add([]byte(q.lit))
	}
	slices.Sort(set.lens)
	p.arg = set
	return p, predKey{p.kind, cased, slot, string(h.Sum(nil))}
}

// address reads an address strictly [D34]: its zone is ignored, an IPv4-mapped
// one is taken as IPv4.
func address(text []byte) (netip.Addr, bool) {
	const longest = 64 // an IPv6 address has at most 45 characters, a zone follows
	if len(text) == 0 || len(text) > longest {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(string(text))
	return addr.WithZone("").Unmap(), err == nil
}
