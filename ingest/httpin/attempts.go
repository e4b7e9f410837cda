package httpin

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// failuresMax is how many addresses have a counter of their own, and how many
// good tokens are remembered. Beyond it addresses share counters: the table
// never grows, whoever knocks.
const failuresMax = 8 << 10

// failures counts failed tokens by address and minute. A counter is one word:
// the minute in its upper half, the count in its lower.
type failures struct {
	counts [failuresMax]atomic.Uint64
	good   [failuresMax]atomic.Uint64
}

// block is what one client can choose addresses from: a whole address, or an
// IPv6 /64 (RFC 4291, 2.5.4).
func block(peer netip.Addr) netip.Addr {
	if peer.Is6() && !peer.Is4In6() {
		if p, err := peer.Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return peer.Unmap()
}

func minute(now time.Time) uint64 { return uint64(now.Unix()/60) & 0xffffffff }

func (f *failures) slot(seed maphash.Seed, peer netip.Addr) *atomic.Uint64 {
	return &f.counts[maphash.Comparable(seed, block(peer))%failuresMax]
}

// spent reports whether an address used up its budget of this minute.
func (f *failures) spent(seed maphash.Seed, peer netip.Addr, now time.Time, budget int) bool {
	v := f.slot(seed, peer).Load()
	return v>>32 == minute(now) && v&0xffffffff >= uint64(budget)
}

func (f *failures) fail(seed maphash.Seed, peer netip.Addr, now time.Time) {
	slot, m := f.slot(seed, peer), minute(now)
	for {
		old := slot.Load()
		next := m<<32 | 1
		if old>>32 == m {
			if old&0xffffffff == 0xffffffff {
				return
			}
			next = old + 1
		}
		if slot.CompareAndSwap(old, next) {
			return
		}
	}
}

// pair is an address and a token that was good from it.
type pair struct {
	peer  netip.Addr
	token string
}

// pairKey is never 0, which stands for an empty slot. Two pairs with one key
// cost no safety: the authenticator is asked either way.
func pairKey(seed maphash.Seed, peer netip.Addr, token string) uint64 {
	return maphash.Comparable(seed, pair{block(peer), token}) | 1<<63
}

func (f *failures) knows(key uint64) bool { return f.good[key%failuresMax].Load() == key }

func (f *failures) learn(key uint64) {
	if slot := &f.good[key%failuresMax]; slot.Load() != key {
		slot.Store(key)
	}
}
