package segment

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/tiercel-io/tiercel/store"
)

// An index file is the contents of a segment: magic, then unsigned varints
// and length-prefixed bytes in the order of encodeIndex, then a checksum of all
// before it. It names the segment by tag, number and length, so that an index of
// another file is not believed.
var indexMagic = []byte("TIERCIDX\x01")

// indexBytesMax bounds an index file that is read: entries of a segment with
// nothing but metas, many times over.
const indexBytesMax = 512 << 20

const (
	indexSealed = 1 << iota
	indexStartKnown
	indexHeaderSound
)

func encodeIndex(c *contents) []byte {
	b := bytes.Clone(indexMagic)
	num := func(v int64) { b = binary.AppendUvarint(b, uint64(v)) }
	text := func(s string) {
		num(int64(len(s)))
		b = append(b, s...)
	}
	flags := int64(0)
	if c.sealed {
		flags |= indexSealed
	}
	if c.startKnown {
		flags |= indexStartKnown
	}
	if c.headerSound {
		flags |= indexHeaderSound
	}
	num(flags)
	num(int64(c.header.epoch))
	b = append(b, c.header.tag[:]...)
	for _, v := range []int64{
		int64(c.header.number), int64(c.header.previous), c.header.previousEnd, c.header.createdNanos,
		c.size, c.end, c.lastNanos, int64(c.lastSeq), c.torn.from, c.torn.to,
	} {
		num(v)
	}
	num(int64(len(c.keys)))
	for _, k := range c.keys {
		text(k.tenant)
		text(k.kind)
		text(k.source)
		num(int64(uint32(k.shard)))
	}
	for _, heads := range [][]partNext{c.start, c.later} {
		num(int64(len(heads)))
		for _, h := range heads {
			num(int64(h.part))
			num(h.next)
		}
	}
	num(int64(len(c.stretches)))
	for _, s := range c.stretches {
		num(s.from)
		num(s.to)
	}
	for _, list := range [][]found{c.entries, c.tornEntries} {
		num(int64(len(list)))
		for _, e := range list {
			bad := int64(0)
			if e.bad {
				bad = 1
			}
			num(int64(e.part)<<1 | bad)
			num(e.offset)
			num(int64(e.sequence))
			num(e.position)
			num(int64(e.head))
			num(int64(e.stored))
			num(int64(len(e.meta)))
			b = append(b, e.meta...)
		}
	}
	return binary.LittleEndian.AppendUint32(b, checksum(b))
}

// indexReader takes values from the front of b; after the first that is not
// there, or out of bounds, bad is set and all others are 0.
type indexReader struct {
	b   []byte
	bad bool
}

func (r *indexReader) num(limit uint64) int64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || v > limit {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

// count is a number of things that take at least one byte each.
func (r *indexReader) count() int { return int(r.num(uint64(len(r.b)))) }

func (r *indexReader) bytes(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *indexReader) text() string { return string(r.bytes(int(r.num(math.MaxUint8)))) }

// decodeIndex reads an index. Metas alias b.
func decodeIndex(b []byte) (*contents, bool) {
	if len(b) < len(indexMagic)+4 || !bytes.HasPrefix(b, indexMagic) {
		return nil, false
	}
	body := b[:len(b)-4]
	if checksum(body) != binary.LittleEndian.Uint32(b[len(body):]) {
		return nil, false
	}
	r := &indexReader{b: body[len(indexMagic):]}
	c := &contents{}
	flags := r.num(math.MaxUint8)
	c.sealed, c.startKnown, c.headerSound = flags&indexSealed != 0, flags&indexStartKnown != 0, flags&indexHeaderSound != 0
	c.header.epoch = uint32(r.num(math.MaxUint32))
	copy(c.header.tag[:], r.bytes(tagBytes))
	const most = math.MaxInt64
	c.header.number, c.header.previous = uint64(r.num(most)), uint64(r.num(most))
	for _, v := range []*int64{&c.header.previousEnd, &c.header.createdNanos, &c.size, &c.end, &c.lastNanos} {
		*v = r.num(most)
	}
	c.lastSeq = uint64(r.num(most))
	c.torn.from, c.torn.to = r.num(most), r.num(most)
	for range r.count() {
		k := partitionKey{tenant: r.text(), kind: r.text(), source: r.text(), shard: int(int32(uint32(r.num(math.MaxUint32))))}
		if r.bad {
			return nil, false
		}
		c.keys = append(c.keys, k)
	}
	part := func(v int64) int {
		if v >= int64(len(c.keys)) {
			r.bad = true
		}
		return int(v)
	}
	for _, heads := range []*[]partNext{&c.start, &c.later} {
		for range r.count() {
			*heads = append(*heads, partNext{part: part(r.num(most)), next: r.num(most)})
			if r.bad {
				return nil, false
			}
		}
	}
	for range r.count() {
		c.stretches = append(c.stretches, stretch{r.num(most), r.num(most)})
		if r.bad {
			return nil, false
		}
	}
	for _, list := range []*[]found{&c.entries, &c.tornEntries} {
		n := r.count()
		*list = make([]found, 0, n/7) // an entry takes at least seven bytes
		for range n {
			v := r.num(most)
			e := found{part: part(v >> 1), bad: v&1 != 0, offset: r.num(math.MaxInt64 - 1), sequence: uint64(r.num(most)), position: r.num(math.MaxUint32)}
			e.head, e.stored = uint32(r.num(frameHeadBytesMax)), uint32(r.num(storedBytesMax))
			e.meta = r.bytes(int(r.num(store.MetaBytesMax)))
			if r.bad || e.head < frameFixedBytes {
				return nil, false
			}
			*list = append(*list, e)
		}
	}
	if r.bad || len(r.b) != 0 {
		return nil, false
	}
	return c, true
}
