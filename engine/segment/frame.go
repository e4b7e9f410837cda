package segment

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"

	"github.com/tiercel-io/tiercel/store"
)

// castagnoli is the polynomial with hardware support on amd64 and arm64.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func update(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

const (
	frameFixedBytes = 80
	// frameHeadBytesMax is the longest header with names and meta.
	frameHeadBytesMax = frameFixedBytes + 3*math.MaxUint8 + store.MetaBytesMax
	// storedBytesMax bounds a payload in the file: of an entry, compressed only
	// when that makes it smaller, or of heads.
	storedBytesMax = store.PayloadBytesMax

	tagBytes = 8
)

type kind uint8

const (
	kindEntry kind = 1
	kindHeads kind = 2
	kindMark  kind = 3
	kindSeal  kind = 4
)

const flagCompressed = 1

type tag [tagBytes]byte

// partitionKey is a partition by name: the tenant may no longer be configured.
type partitionKey struct {
	tenant, kind, source string
	shard                int
}

func keyOf(p store.Partition) partitionKey {
	return partitionKey{tenant: p.Tenant.String(), kind: p.Kind, source: p.Source, shard: p.Shard}
}

// frame is the header of a frame. Key and meta are set for entries.
type frame struct {
	kind             kind
	flags            uint8
	stored, plain    uint32
	payloadCRC       uint32
	epoch            uint32
	sequence         uint64
	offset           int64
	position, synced int64
	timeNanos        int64
	key              partitionKey
	meta             []byte
}

func (f *frame) headBytes() int {
	return frameFixedBytes + len(f.key.tenant) + len(f.key.kind) + len(f.key.source) + len(f.meta)
}

// put writes the header into b, which has room for it.
func (f *frame) put(b []byte, t tag) {
	le := binary.LittleEndian
	copy(b, t[:])
	b[12], b[13] = byte(f.kind), f.flags
	le.PutUint16(b[14:], uint16(len(f.meta)))
	le.PutUint32(b[16:], f.stored)
	le.PutUint32(b[20:], f.plain)
	le.PutUint32(b[24:], f.payloadCRC)
	le.PutUint32(b[28:], f.epoch)
	le.PutUint64(b[32:], f.sequence)
	le.PutUint64(b[40:], uint64(f.offset))
	le.PutUint64(b[48:], uint64(f.position))
	le.PutUint64(b[56:], uint64(f.synced))
	le.PutUint64(b[64:], uint64(f.timeNanos))
	le.PutUint32(b[72:], uint32(f.key.shard))
	b[76], b[77], b[78], b[79] = byte(len(f.key.tenant)), byte(len(f.key.kind)), byte(len(f.key.source)), 0
	n := frameFixedBytes
	n += copy(b[n:], f.key.tenant)
	n += copy(b[n:], f.key.kind)
	n += copy(b[n:], f.key.source)
	n += copy(b[n:], f.meta)
	le.PutUint32(b[8:], checksum(b[12:n]))
}

// parseFrame reads the header at the beginning of b, which holds what the file
// has at position, up to frameHeadBytesMax. It reports the header's length, and
// false when there is no sound header. The meta aliases b.
func parseFrame(b []byte, t tag, position int64) (f frame, head int, ok bool) {
	if len(b) < frameFixedBytes || !bytes.Equal(b[:tagBytes], t[:]) {
		return f, 0, false
	}
	le := binary.LittleEndian
	nt, nk, ns, nm := int(b[76]), int(b[77]), int(b[78]), int(le.Uint16(b[14:]))
	head = frameFixedBytes + nt + nk + ns + nm
	if nm > store.MetaBytesMax || head > len(b) || checksum(b[12:head]) != le.Uint32(b[8:]) {
		return f, 0, false
	}
	f = frame{
		kind:       kind(b[12]),
		flags:      b[13],
		stored:     le.Uint32(b[16:]),
		plain:      le.Uint32(b[20:]),
		payloadCRC: le.Uint32(b[24:]),
		epoch:      le.Uint32(b[28:]),
		sequence:   le.Uint64(b[32:]),
		offset:     int64(le.Uint64(b[40:])),
		position:   int64(le.Uint64(b[48:])),
		synced:     int64(le.Uint64(b[56:])),
		timeNanos:  int64(le.Uint64(b[64:])),
	}
	if f.position != position || position > math.MaxUint32 || f.kind < kindEntry || f.kind > kindSeal || f.stored > storedBytesMax || f.plain > storedBytesMax ||
		f.offset < 0 || f.offset == math.MaxInt64 || f.synced < 0 || f.synced > position {
		return f, 0, false
	}
	names := b[frameFixedBytes:]
	f.key = partitionKey{tenant: string(names[:nt]), kind: string(names[nt : nt+nk]), source: string(names[nt+nk : nt+nk+ns]), shard: int(int32(le.Uint32(b[72:])))}
	f.meta = b[head-nm : head : head]
	return f, head, true
}

const (
	version           = 1
	headerBytes       = 64
	segmentStartBytes = 2 * headerBytes
)

var segmentMagic = []byte("TIERCLOG")

// segmentHeader begins a segment. previousEnd is meaningful when previous is
// not 0.
type segmentHeader struct {
	epoch        uint32
	tag          tag
	number       uint64
	previous     uint64
	previousEnd  int64
	createdNanos int64
}

func (h *segmentHeader) put(b []byte) {
	clear(b[:headerBytes])
	le := binary.LittleEndian
	copy(b, segmentMagic)
	le.PutUint16(b[8:], version)
	le.PutUint32(b[12:], h.epoch)
	copy(b[16:], h.tag[:])
	le.PutUint64(b[24:], h.number)
	le.PutUint64(b[32:], h.previous)
	le.PutUint64(b[40:], uint64(h.previousEnd))
	le.PutUint64(b[48:], uint64(h.createdNanos))
	le.PutUint32(b[60:], checksum(b[:60]))
}

// parseHeader reads one copy of a header. A sound header of another version
// gives that version and nothing else: magic, version and checksum keep their
// place in all of them.
func parseHeader(b []byte) (h segmentHeader, v int, ok bool) {
	le := binary.LittleEndian
	if len(b) < headerBytes || !bytes.Equal(b[:8], segmentMagic) || checksum(b[:60]) != le.Uint32(b[60:]) {
		return h, 0, false
	}
	if v = int(le.Uint16(b[8:])); v != version {
		return h, v, true
	}
	h = segmentHeader{
		epoch:        le.Uint32(b[12:]),
		tag:          tag(b[16:24]),
		number:       le.Uint64(b[24:]),
		previous:     le.Uint64(b[32:]),
		previousEnd:  int64(le.Uint64(b[40:])),
		createdNanos: int64(le.Uint64(b[48:])),
	}
	return h, v, h.previousEnd >= 0
}

// headNext is a partition and the offset of its next entry.
type headNext struct {
	key  partitionKey
	next int64
}

// appendHeads encodes heads as the payload of a frame: their number u32, then
// for each the lengths of the names u8, shard u32, next u64, the names.
func appendHeads(b []byte, heads []headNext) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(heads)))
	for _, h := range heads {
		b = append(b, byte(len(h.key.tenant)), byte(len(h.key.kind)), byte(len(h.key.source)))
		b = le.AppendUint32(b, uint32(h.key.shard))
		b = le.AppendUint64(b, uint64(h.next))
		b = append(b, h.key.tenant...)
		b = append(b, h.key.kind...)
		b = append(b, h.key.source...)
	}
	return b
}

func parseHeads(b []byte) ([]headNext, bool) {
	const least = 3 + 4 + 8
	le := binary.LittleEndian
	if len(b) < 4 {
		return nil, false
	}
	n := int(le.Uint32(b))
	if b = b[4:]; n > len(b)/least || n > PartitionsMax {
		return nil, false
	}
	heads := make([]headNext, 0, n)
	for range n {
		if len(b) < least {
			return nil, false
		}
		nt, nk, ns := int(b[0]), int(b[1]), int(b[2])
		shard, next := int(int32(le.Uint32(b[3:]))), int64(le.Uint64(b[7:]))
		if b = b[least:]; len(b) < nt+nk+ns || next < 0 {
			return nil, false
		}
		heads = append(heads, headNext{
			key:  partitionKey{tenant: string(b[:nt]), kind: string(b[nt : nt+nk]), source: string(b[nt+nk : nt+nk+ns]), shard: shard},
			next: next,
		})
		b = b[nt+nk+ns:]
	}
	return heads, len(b) == 0
}
