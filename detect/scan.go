package detect

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// scan finds the witnesses that one slot bears. Literals stand in the table
// that reads least: equal texts in a map, beginnings and ends by their first or
// last eight bytes, what may stand anywhere by one of its grams.
type scan struct {
	slot    int32
	exists  []int32          // predicates that presence decides
	present []hit            // predicates that any value may satisfy
	equal   map[string][]hit // whole folded text
	heads   *edgeTable       // beginnings
	tails   *edgeTable       // ends
	grams   []*gramTable     // ASCII literals
	wide    []*gramTable     // literals with other characters
}

// hit is a predicate that a found literal speaks for. When it is not exact,
// the predicate itself must be evaluated still.
type hit struct {
	pred  int32
	exact bool
}

// literal is one literal to find.
type literal struct {
	text string
	hit
}

// buildScans makes the tables for all predicates that are witnesses.
func (b *builder) buildScans(pairs [][]int32) {
	bySlot := map[int32]*slotLiterals{}
	order := []int32{}
	for id := range b.preds {
		if len(pairs[id]) == 0 {
			continue
		}
		p := &b.preds[id]
		s := bySlot[p.slot]
		if s == nil {
			s = &slotLiterals{equal: map[string][]hit{}}
			bySlot[p.slot] = s
			order = append(order, p.slot)
		}
		s.add(p, int32(id))
	}
	slices.Sort(order)
	for _, slot := range order {
		b.scans = append(b.scans, bySlot[slot].scan(slot))
	}
}

// slotLiterals gathers what one slot must be searched for.
type slotLiterals struct {
	exists       []int32
	present      []hit
	equal        map[string][]hit
	heads, tails []literal
	inside       []literal
}

func (s *slotLiterals) add(p *predicate, id int32) {
	exact := hit{id, !p.cased}
	p.indexed = !p.cased
	switch p.kind {
	case predEquals:
		s.addEqual(event.FoldString(p.lit), exact)
	case predPrefix:
		s.heads = append(s.heads, literal{text: event.FoldString(p.lit), hit: exact})
	case predSuffix:
		s.tails = append(s.tails, literal{text: event.FoldString(p.lit), hit: exact})
	case predContains:
		lit := event.FoldString(p.lit)
		p.indexed = exact.exact && len(lit) >= insideBytesMin
		s.addInside(lit, exact)
	case predNumber:
		source := p.arg.(*rule.NumberValue).Source
		// Folding makes no difference to digits, signs and points.
		exact.exact = !strings.ContainsFunc(source+p.lit, isLetter)
		p.indexed = exact.exact
		s.addEqual(event.FoldString(p.lit), exact)
		if folded := event.FoldString(source); folded != event.FoldString(p.lit) {
			s.addEqual(folded, exact)
		}
	case predBool:
		p.indexed = false // a number never spells a boolean, but let holds say so
		s.addEqual(p.lit, hit{id, false})
	case predText:
		s.present = append(s.present, hit{id, true})
	case predExists:
		s.exists = append(s.exists, id)
	case predGlob:
		p.indexed = s.addGlob(p, id)
	case predRegexp:
		p.indexed = false
		s.addInside(p.lit, hit{id, false})
	default:
		p.indexed = false
		s.present = append(s.present, hit{id, false})
	}
}

func isLetter(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' || r >= 0x80 }

func (s *slotLiterals) addEqual(text string, h hit) { s.equal[text] = append(s.equal[text], h) }

// insideBytesMin is the least literal that grams can find; a shorter one is on
// nearly every value anyway.
const insideBytesMin = 2

func (s *slotLiterals) addInside(text string, h hit) {
	if len(text) < insideBytesMin {
		h.exact = false
		s.present = append(s.present, h)
		return
	}
	s.inside = append(s.inside, literal{text: text, hit: h})
}

var dashes = [...]string{"-", "/", "\u2013", "\u2014", "\u2015"}

// addGlob adds a pattern by a literal it contains. A pattern that is one run of
// literals and a single dash is spelled out with each dash instead, and then
// decided by the scan alone; addGlob reports whether it is.
func (s *slotLiterals) addGlob(p *predicate, id int32) bool {
	g := p.arg.(*glob)
	if variants, ok := spellOut(g); ok && !p.cased {
		for _, v := range variants {
			l := literal{text: v, hit: hit{id, true}}
			switch {
			case g.anchorStart && g.anchorEnd:
				s.addEqual(v, l.hit)
			case g.anchorStart:
				s.heads = append(s.heads, l)
			case g.anchorEnd:
				s.tails = append(s.tails, l)
			default:
				s.addInside(v, l.hit)
			}
		}
		return slices.IndexFunc(variants, func(v string) bool { return len(v) < insideBytesMin }) < 0
	}
	s.addInside(event.FoldString(longestLiteral(g)), hit{id, false})
	return false
}

// spellOut returns the literals that a pattern with one segment and one dash
// stands for.
func spellOut(g *glob) ([]string, bool) {
	if len(g.segments) != 1 {
		return nil, false
	}
	before, after, seen := "", "", 0
	for _, p := range g.segments[0].parts {
		switch {
		case p.Kind == rule.One:
			return nil, false
		case p.Kind == rule.Dash:
			seen++
		case seen == 0:
			before += p.Lit
		default:
			after += p.Lit
		}
	}
	if seen != 1 {
		return nil, false
	}
	out := make([]string, len(dashes))
	for i, d := range dashes {
		out[i] = before + d + after
	}
	return out, true
}

func (s *slotLiterals) scan(slot int32) *scan {
	out := &scan{slot: slot, exists: s.exists, present: s.present}
	if len(s.equal) > 0 {
		out.equal = s.equal
	}
	out.heads = newEdgeTable(s.heads, headKey)
	out.tails = newEdgeTable(s.tails, tailKey)
	var ascii, wide []literal
	for _, l := range s.inside {
		if isASCII(l.text) {
			ascii = append(ascii, l)
		} else {
			wide = append(wide, l)
		}
	}
	out.grams = newGramTables(ascii)
	out.wide = newGramTables(wide)
	return out
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// edgeTable finds literals at one end of a text: by the up to eight bytes at
// that end, then by comparison.
type edgeTable struct {
	lengths []int // distinct key lengths, at most eight
	slots   []edgeSlot
	shift   uint
	entries []literal
	edge    func(text string, n int) uint64
}

type edgeSlot struct {
	key        uint64
	length     int32 // of the key in bytes; 0 is empty
	first, end int32 // entries
}

// headKey and tailKey return the first and the last n bytes of text, n ≤ 8, as
// a number whose least significant bytes are the leftmost.
func headKey(text string, n int) uint64 {
	var k uint64
	for i := n - 1; i >= 0; i-- {
		k = k<<8 | uint64(text[i])
	}
	return k
}

func tailKey(text string, n int) uint64 { return headKey(text[len(text)-n:], n) }

func newEdgeTable(lits []literal, edge func(string, int) uint64) *edgeTable {
	if len(lits) == 0 {
		return nil
	}
	t := &edgeTable{edge: edge, entries: slices.Clone(lits)}
	type group struct {
		length int
		key    uint64
	}
	of := func(l literal) group {
		n := min(len(l.text), 8)
		return group{n, edge(l.text, n)}
	}
	slices.SortStableFunc(t.entries, func(a, b literal) int {
		x, y := of(a), of(b)
		if x.length != y.length {
			return x.length - y.length
		}
		return compareUint(x.key, y.key)
	})
	size := 8
	for size < 2*len(lits) {
		size *= 2
	}
	t.slots = make([]edgeSlot, size)
	t.shift = uint(64 - bits.TrailingZeros(uint(size)))
	for i := 0; i < len(t.entries); {
		g := of(t.entries[i])
		j := i + 1
		for j < len(t.entries) && of(t.entries[j]) == g {
			j++
		}
		if !slices.Contains(t.lengths, g.length) {
			t.lengths = append(t.lengths, g.length)
		}
		h := edgeHash(g.key, g.length) >> t.shift
		for t.slots[h].length != 0 {
			h = (h + 1) & uint64(size-1)
		}
		t.slots[h] = edgeSlot{g.key, int32(g.length), int32(i), int32(j)}
		i = j
	}
	return t
}

func compareUint(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func edgeHash(key uint64, length int) uint64 {
	return (key + uint64(length)) * 0x9e3779b97f4a7c15
}

// find returns the entries whose key is the n bytes key.
func (t *edgeTable) find(key uint64, n int) []literal {
	mask := uint64(len(t.slots) - 1)
	for h := edgeHash(key, n) >> t.shift; ; h = (h + 1) & mask {
		s := &t.slots[h]
		if s.length == 0 {
			return nil
		}
		if s.key == key && int(s.length) == n {
			return t.entries[s.first:s.end]
		}
	}
}

// slack is how many readable bytes follow each folded text, so that eight can
// be loaded at any of its positions.
const slack = 8

// gramTable finds literals anywhere in a text: each stands under grams, four
// bytes of it that are rare among the literals. A literal of seven bytes or
// more has a whole gram at every fourth position of any text, whatever its
// alignment, so that only each fourth position is looked at and the literal
// stands under four neighbouring grams; one of five or six bytes likewise with
// every second. (Wu and Manber's block idea, "A fast algorithm for
// multi-pattern searching", 1994, with a fixed stride instead of a shift.)
type gramTable struct {
	n       int    // bytes of a gram, 2 to 4
	stride  int    // 1, 2 or 4
	mask    uint32 // of the n bytes within a 32-bit load
	bitmap  []uint64
	shift   uint     // hash to bitmap position
	fine    uint     // bitmap position to bucket
	buckets []uint32 // entries[buckets[i]:buckets[i+1]]
	entries []gramEntry
	// few holds the literals instead when they are so few that looking for
	// each is faster.
	few []literal
}

type gramEntry struct {
	head, headMask uint64 // the literal's first eight bytes
	rest           string // what follows them
	off            int32  // of the gram in the literal
	length         int32
	hit
}

const gramMultiplier = 0x9e3779b1

// fewMax is the number of literals up to which a table searches for each in
// turn: about 0.2 ns a byte and literal, against 1 ns a byte for the grams.
const fewMax = 4

// newGramTables makes up to five tables: for literals of two bytes, of three,
// of four, of five or six, and longer.
func newGramTables(lits []literal) []*gramTable {
	var classes [5][]literal
	for _, l := range lits {
		c := 4
		switch n := len(l.text); {
		case n <= 4:
			c = n - 2
		case n <= 6:
			c = 3
		}
		classes[c] = append(classes[c], l)
	}
	var out []*gramTable
	for c, lits := range classes {
		if len(lits) == 0 {
			continue
		}
		n, stride := min(c+2, 4), max(1, 2*(c-2))
		if len(lits) <= fewMax {
			out = append(out, &gramTable{few: lits})
		} else {
			out = append(out, newGramTable(n, stride, lits))
		}
	}
	return out
}

func gramAt(text string, i, n int) uint32 {
	var g uint32
	for k := n - 1; k >= 0; k-- {
		g = g<<8 | uint32(text[i+k])
	}
	return g
}

func newGramTable(n, stride int, lits []literal) *gramTable {
	t := &gramTable{n: n, stride: stride, mask: ^uint32(0) >> (32 - 8*n)}
	common := newGramCounts(n, lits)
	bitmapBits := max(10, min(17, bits.Len(uint(len(lits)*stride*16))))
	bucketBits := max(4, min(bitmapBits, bits.Len(uint(len(lits)*stride))))
	t.shift = uint(32 - bitmapBits)
	t.fine = uint(bitmapBits - bucketBits)
	t.bitmap = make([]uint64, 1<<bitmapBits/64)
	// Entries are laid out by bucket: counted first, then put in place.
	type place struct {
		literal, off int
		hash         uint32
	}
	places := make([]place, 0, len(lits)*stride)
	t.buckets = make([]uint32, 1<<bucketBits+1)
	for i, l := range lits {
		first := rarestGrams(l.text, n, stride, common)
		for off := first; off < first+stride; off++ {
			h := gramAt(l.text, off, n) * gramMultiplier >> t.shift
			t.bitmap[h>>6] |= 1 << (h & 63)
			t.buckets[h>>t.fine+1]++
			places = append(places, place{i, off, h})
		}
	}
	for i := 1; i < len(t.buckets); i++ {
		t.buckets[i] += t.buckets[i-1]
	}
	next := slices.Clone(t.buckets)
	t.entries = make([]gramEntry, len(places))
	for _, p := range places {
		l := &lits[p.literal]
		k := min(len(l.text), 8)
		at := &next[p.hash>>t.fine]
		t.entries[*at] = gramEntry{head: headKey(l.text, k), headMask: ^uint64(0) >> (64 - 8*k), rest: l.text[k:], off: int32(p.off), length: int32(len(l.text)), hit: l.hit}
		*at++
	}
	return t
}

// gramCounts counts, by hash, how many times a gram stands in the literals of
// a table: what is common among the literals is common in what they look for.
type gramCounts [1 << 12]uint16

func newGramCounts(n int, lits []literal) *gramCounts {
	c := new(gramCounts)
	for _, l := range lits {
		for i := 0; i+n <= len(l.text); i++ {
			if k := c.at(gramAt(l.text, i, n)); *k < 1<<15 {
				*k++
			}
		}
	}
	return c
}

func (c *gramCounts) at(gram uint32) *uint16 { return &c[gram*gramMultiplier>>20] }

// rarestGrams returns the offset of the first of the count neighbouring grams
// under which a literal is kept: those least common among the literals and made
// of the bytes least common in paths and command lines.
func rarestGrams(text string, n, count int, common *gramCounts) int {
	score := func(i int) int {
		s := 0
		for k := range n {
			s += byteCommonness(text[i+k])
		}
		return s * (2 + int(*common.at(gramAt(text, i, n))))
	}
	sum := 0
	for i := range count {
		sum += score(i)
	}
	best, bestSum := 0, sum
	for i := 1; i+count-1+n <= len(text); i++ {
		sum += score(i+count-1) - score(i-1)
		if sum < bestSum {
			best, bestSum = i, sum
		}
	}
	return best
}

// byteCommonness grades how common a folded byte is in paths and command
// lines: letters by their rank in English text, separators as the commonest.
func byteCommonness(c byte) int {
	switch c {
	case ' ', '\\', 'E', 'S', 'T', 'O', 'I', 'N', 'R', 'A':
		return 16
	case '.', 'C', 'D', 'L', 'M', 'P', 'U', '0', '-', '/', ':', '"', 'W', 'X', '3', '2':
		return 8
	case 'B', 'F', 'G', 'H', 'K', 'V', 'Y', '1', '4', '5', '6', '7', '8', '9', '_', '{', '}', '=', ',':
		return 4
	}
	return 2
}

// find calls m.fire for each literal that text holds. padded is text with slack
// behind it.
func (t *gramTable) find(m *Matcher, text, padded []byte) {
	for i := range t.few {
		if l := &t.few[i]; indexLiteral(text, l.text) >= 0 {
			m.fire(l.hit)
		}
	}
	if t.bitmap == nil {
		return
	}
	// Kept in registers: the loop is most of the time of a scan.
	bitmap, mask, shift, stride := t.bitmap, t.mask, t.shift&31, t.stride
	for i, last := 0, len(text)-t.n; i <= last; i += stride {
		h := binary.LittleEndian.Uint32(padded[i:]) & mask * gramMultiplier >> shift
		if bitmap[h>>6]>>(h&63)&1 == 0 {
			continue
		}
		bucket := h >> t.fine
		entries := t.entries[t.buckets[bucket]:t.buckets[bucket+1]]
		for k := range entries {
			e := &entries[k]
			at := i - int(e.off)
			if at < 0 || at+int(e.length) > len(text) {
				continue
			}
			if binary.LittleEndian.Uint64(padded[at:])&e.headMask != e.head {
				continue
			}
			if len(e.rest) > 0 && string(text[at+8:at+8+len(e.rest)]) != e.rest {
				continue
			}
			m.fire(e.hit)
		}
	}
}
