package segment

import (
	"cmp"
	"fmt"
	"slices"
	"sort"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// PartitionsMax bounds the partitions of a log: each takes a place in the
// beginning of every segment. A thousand tenants with 64 sources are within.
const PartitionsMax = 1 << 16

// file is a segment as the index knows it.
type file struct {
	number uint64
	name   string
	tag    tag
	// end is how much counts, bytes what the file takes on disk.
	end, bytes int64
	lastNanos  int64
	// clean tells that the file has nothing behind end.
	clean bool
	// indexed tells that there is an index file.
	indexed bool
	// live holds the contents while the file is written to.
	live *contents
	// last is the highest offset of each partition in it.
	last map[*partition]int64
	// removed tells that retention took it.
	removed bool
}

// location is where an entry is. There is one for each entry of the log, so it
// is small (24 bytes) and has nothing that the garbage collector must follow.
type location struct {
	offset int64
	// segment is the number of the file, of which 32 bits are enough for 2^58
	// bytes of log by default.
	segment  uint32
	position uint32
	stored   uint32
	head     uint16
	// bad tells that the payload was found damaged when the file was scanned.
	bad bool
}

func (l location) bytes() int64 { return int64(l.head) + int64(l.stored) }

// hole is a run of offsets whose headers are lost.
type hole struct {
	from, to int64
	why      string
}

// partition is what is known of a partition. The log's lock guards it.
type partition struct {
	key partitionKey
	// name is the partition for callers; served tells that its tenant is
	// configured.
	name   store.Partition
	served bool
	first  int64
	next   int64
	bytes  int64
	// released is what no reader needs.
	released int64
	entries  []location
	holes    []hole
}

// at returns the index of the first entry at or behind an offset.
func (p *partition) at(offset int64) int {
	return sort.Search(len(p.entries), func(i int) bool { return p.entries[i].offset >= offset })
}

// cut forgets the entries from an offset on: a later segment says that they
// never counted.
func (p *partition) cut(next int64) {
	i := p.at(next)
	for _, l := range p.entries[i:] {
		p.bytes -= l.bytes()
	}
	p.entries = p.entries[:i]
	for len(p.holes) > 0 && p.holes[len(p.holes)-1].to > next {
		h := &p.holes[len(p.holes)-1]
		if h.from < next {
			h.to = next
			break
		}
		p.holes = p.holes[:len(p.holes)-1]
	}
	p.next = next
	p.first = min(p.first, next)
}

// spotsMax bounds the damaged places that are kept apart: each missing entry is
// traced to one of them by looking through all.
const spotsMax = 1000

// spot is a damaged place, in the order of the files.
type spot struct {
	file     *file
	from, to int64
	why      string
	used     bool
}

// index is all that is known of a folder of segments.
type index struct {
	tenants    *event.Tenants
	partitions map[partitionKey]*partition
	// sorted are the partitions in the order of their names.
	sorted  []*partition
	files   []*file
	damages damages
	spots   []spot
	// birthKnown tells that the oldest segment lists all partitions of its time,
	// so that one that is not on it began at 0.
	birthKnown bool
	lastSeq    uint64
}

func newIndex(tenants *event.Tenants) *index {
	return &index{tenants: tenants, partitions: make(map[partitionKey]*partition)}
}

// get returns a partition, making it if need be.
func (x *index) get(k partitionKey) *partition {
	if p := x.partitions[k]; p != nil {
		return p
	}
	p := &partition{key: k}
	if t, ok := x.tenants.Lookup(k.tenant); ok {
		p.served = true
		p.name = store.Partition{Tenant: t, Kind: k.kind, Source: k.source, Shard: k.shard}
	}
	x.insert(p)
	return p
}

func (x *index) insert(p *partition) {
	x.partitions[p.key] = p
	i, _ := slices.BinarySearchFunc(x.sorted, p, func(a, b *partition) int { return a.key.compare(b.key) })
	x.sorted = slices.Insert(x.sorted, i, p)
}

func (k partitionKey) String() string {
	return fmt.Sprintf("%s/%s/%s/%d", k.tenant, k.kind, k.source, k.shard)
}

func (k partitionKey) compare(o partitionKey) int {
	return cmp.Or(cmp.Compare(k.tenant, o.tenant), cmp.Compare(k.kind, o.kind), cmp.Compare(k.source, o.source), cmp.Compare(k.shard, o.shard))
}

// file finds a segment by its number; nil when retention took it.
func (x *index) file(number uint32) *file {
	i, ok := slices.BinarySearchFunc(x.files, number, func(f *file, n uint32) int { return cmp.Compare(uint32(f.number), n) })
	if !ok {
		return nil
	}
	return x.files[i]
}

// add takes in the next segment, oldest first.
func (x *index) add(f *file, c *contents) {
	oldest := len(x.files) == 0
	x.files = append(x.files, f)
	x.lastSeq = max(x.lastSeq, c.lastSeq)
	if oldest {
		x.birthKnown = c.startKnown
	}
	parts := make([]*partition, len(c.keys))
	born := make([]bool, len(c.keys))
	part := func(i int) *partition {
		if parts[i] == nil {
			_, known := x.partitions[c.keys[i]]
			parts[i], born[i] = x.get(c.keys[i]), !known
		}
		return parts[i]
	}
	for _, s := range c.stretches {
		why := "the bytes are damaged"
		switch {
		case s.from >= c.size:
			why = fmt.Sprintf("the file was cut short: it had %d bytes and has %d", c.end, c.size)
		case s.from < segmentStartBytes:
			why = "the file's beginning is damaged, and no entry can be found in it"
		}
		x.spot(spot{file: f, from: s.from, to: s.to, why: why})
	}
	for _, h := range c.start {
		p := part(h.part)
		switch {
		case born[h.part] && (oldest || !x.birthKnown):
			p.first, p.next = h.next, h.next
		case p.next > h.next:
			// Writes that failed: they were not acknowledged, and this segment gives
			// their offsets again.
			p.cut(h.next)
		default:
			x.lost(p, h.next, f, 0)
		}
		born[h.part] = false
	}
	for _, e := range c.entries {
		p := part(e.part)
		if born[e.part] && !x.birthKnown {
			p.first, p.next = e.offset, e.offset
		}
		born[e.part] = false
		if e.offset < p.next {
			p.cut(e.offset)
		}
		x.lost(p, e.offset, f, e.position)
		x.put(p, f, e)
		if e.bad {
			x.damages.add(badEntry(p.key, e.offset, f.name, e.position, int64(e.head)+int64(e.stored)))
		}
	}
	for _, h := range c.later {
		p := part(h.part)
		if born[h.part] && !x.birthKnown {
			p.first, p.next = h.next, h.next
		}
		born[h.part] = false
		x.lost(p, h.next, f, f.end)
	}
	if c.torn.to > c.torn.from {
		x.damages.add(Damage{
			File: f.name, Position: c.torn.from, Bytes: c.torn.to - c.torn.from, Torn: true,
			Why: "a write was cut off before it was acknowledged; it is left out",
		})
		for _, e := range c.tornEntries {
			k := c.keys[e.part]
			x.damages.add(Damage{
				Partition: k.String(), From: e.offset, To: e.offset + 1, File: f.name, Position: e.position, Bytes: int64(e.head) + int64(e.stored), Torn: true,
				Why: "a write was cut off before it was acknowledged; it is left out",
			})
		}
	}
}

func (x *index) spot(s spot) {
	if len(x.spots) < spotsMax {
		x.spots = append(x.spots, s)
	}
}

func badEntry(k partitionKey, offset int64, name string, position, bytes int64) Damage {
	return Damage{
		Partition: k.String(), From: offset, To: offset + 1, File: name, Position: position, Bytes: bytes,
		Why: "the payload is damaged",
	}
}

// put appends an entry.
func (x *index) put(p *partition, f *file, e found) {
	l := location{offset: e.offset, segment: uint32(f.number), position: uint32(e.position), stored: e.stored, head: uint16(e.head), bad: e.bad}
	p.entries = append(p.entries, l)
	p.next = e.offset + 1
	p.bytes += l.bytes()
	if f.last == nil {
		f.last = make(map[*partition]int64)
	}
	f.last[p] = e.offset
}

// lost notes that the entries of a partition up to next are missing: it was
// seen at position of f.
func (x *index) lost(p *partition, next int64, f *file, position int64) {
	if p.next >= next {
		return
	}
	d := Damage{Partition: p.key.String(), From: p.next, To: next, File: f.name, Position: position, Why: "entries are missing before this place"}
	if s := x.suspect(p); s != nil {
		s.used = true
		d.File, d.Position, d.Bytes, d.Why = s.file.name, s.from, s.to-s.from, s.why
	}
	p.holes = append(p.holes, hole{from: p.next, to: next, why: d.Why})
	p.next = next
	x.damages.add(d)
}

// suspect is the first damaged place behind the last sound entry of a
// partition, or the last there is.
func (x *index) suspect(p *partition) *spot {
	if len(x.spots) == 0 {
		return nil
	}
	if len(p.entries) > 0 {
		last := p.entries[len(p.entries)-1]
		for i := range x.spots {
			s := &x.spots[i]
			if n := uint32(s.file.number); n > last.segment || n == last.segment && s.from >= int64(last.position) {
				return s
			}
		}
	}
	return &x.spots[len(x.spots)-1]
}

// finish names the damaged places that no missing entry was traced to.
func (x *index) finish() {
	for _, s := range x.spots {
		if !s.used {
			x.damages.add(Damage{File: s.file.name, Position: s.from, Bytes: s.to - s.from, Why: s.why + "; no entry is known to be missing"})
		}
	}
	x.spots = nil
}
