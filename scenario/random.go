package scenario

// random is SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom
// Number Generators, OOPSLA 2014): eight bytes of state, the same numbers on
// every machine and in every release. All arithmetic on its numbers is in
// integers, because floating point may be fused on some processors and the
// bytes of a scenario must not depend on the one it is made on.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	return mix(r.state)
}

// mix is the finalizer of SplitMix64; it also serves to derive stable numbers
// (hashes, ids) from small ones.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below is a number from 0 to n-1; n must be positive. The bias of the
// multiplication is under 2^-32, which no test of a generated log can see.
func (r *random) below(n int) int {
	return int(r.next() >> 32 * uint64(n) >> 32)
}

// between is a number from low to high, both included.
func (r *random) between(low, high int64) int64 {
	return low + int64(r.next()%uint64(high-low+1))
}

// chance is true in percent of 100 cases.
func (r *random) chance(percent int) bool { return r.below(100) < percent }
