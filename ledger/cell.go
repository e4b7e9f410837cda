package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Bounds of a cell.
const (
	// TypesMax bounds the event types counted by name in a cell; the others
	// count as [OtherType].
	TypesMax = 64
	// TypeBytesMax bounds the name of a type; a longer one counts as
	// [OtherType].
	TypeBytesMax = 128
	// PartitionsMax bounds the partitions that may count into one cell: the
	// shards of one source.
	PartitionsMax = 256
	// PartitionBytesMax bounds the name of a partition; tenant, kind, source and
	// shard fit.
	PartitionBytesMax = 512
	// SourceBytesMax bounds the name of a source, as the log does.
	SourceBytesMax = 200
)

// OtherType is the event type that stands for those beyond the bounds.
const OtherType = "other"

// Volume is a number of events and their bytes.
type Volume struct {
	Events uint64 `json:"events"`
	Bytes  uint64 `json:"bytes"`
}

// Counts is what a cell counts, in records unless said otherwise. Every figure
// stops at 2^64-1.
type Counts struct {
	// Received and ReceivedBytes are what was acknowledged and stored.
	Received      uint64 `json:"received"`
	ReceivedBytes uint64 `json:"received_bytes"`
	// Duplicates were acknowledged and not stored, for their batch was there
	// already; they are not part of Received and are the only figure that a crash
	// can make too low.
	Duplicates uint64 `json:"duplicates"`
	// Evaluated met the rules in time, Late behind the watermark; Quarantined
	// were kept raw with a reason; Damaged stood in a part of the log that can no
	// longer be read. Each received record is in exactly one of the four.
	Evaluated   uint64 `json:"evaluated"`
	Late        uint64 `json:"late"`
	Quarantined uint64 `json:"quarantined"`
	Damaged     uint64 `json:"damaged"`
	// Unrouted of the evaluated or late ones fitted no view of the source's pack.
	Unrouted uint64 `json:"unrouted"`
	// Matches is how often a rule met one of them.
	Matches uint64 `json:"matches"`
	// DroppedFieldBytes is what the source's configuration made us drop.
	DroppedFieldBytes uint64 `json:"dropped_field_bytes"`
	// DuplicateFields of the evaluated or late ones had a field twice, and
	// InvalidTexts text that is not Unicode; one may have both.
	DuplicateFields uint64 `json:"duplicate_fields"`
	InvalidTexts    uint64 `json:"invalid_texts"`
}

// figures lists the counts in the order of the encoding, which is part of it: of
// version 1 are the first figuresV1.
func (c *Counts) figures() [12]*uint64 {
	return [...]*uint64{
		&c.Received, &c.ReceivedBytes, &c.Duplicates, &c.Evaluated, &c.Late, &c.Quarantined, &c.Damaged,
		&c.Unrouted, &c.Matches, &c.DroppedFieldBytes, &c.DuplicateFields, &c.InvalidTexts,
	}
}

// add adds, stopping at the greatest number.
func (c *Counts) add(o *Counts) {
	from := o.figures()
	for i, to := range c.figures() {
		*to = sum(*to, *from[i])
	}
}

func sum(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// accounted is what became of the received ones.
func (c *Counts) accounted() uint64 {
	return sum(sum(c.Evaluated, c.Late), sum(c.Quarantined, c.Damaged))
}

// Cell names one cell of the ledger.
type Cell struct {
	Tenant event.Tenant
	Source string
	// Minute of receive time, since 1970.
	Minute int64
}

// minuteMax is the last minute that an id can hold; the year 21,000.
const minuteMax = 9_999_999_999

func cellID(source string, minute int64) string { return fmt.Sprintf("%010d/%s", minute, source) }

// cellOf reads the name of a cell back from the id of its document.
func cellOf(id string) (source string, minute int64, ok bool) {
	head, source, ok := strings.Cut(id, "/")
	minute, err := strconv.ParseInt(head, 10, 64)
	return source, minute, ok && err == nil
}

// half is one half of a cell: what one side counted.
type half struct {
	counts Counts
	types  map[string]Volume
	// through is, per partition, the position up to which it counts.
	through map[string]int64
	// incomplete is set when the stored half could not be read, so that what it
	// had counted is not known.
	incomplete bool
}

func (h *half) add(d *Delta) {
	h.counts.add(&d.Counts)
	for _, name := range slices.Sorted(maps.Keys(d.Types)) {
		h.addType(name, d.Types[name])
	}
}

func (h *half) addType(name string, v Volume) {
	if h.types == nil {
		h.types = map[string]Volume{}
	}
	if _, known := h.types[name]; !known && (len(name) > TypeBytesMax || named(h.types) >= TypesMax) {
		name = OtherType
	}
	name = strings.Clone(name)
	have := h.types[name]
	h.types[name] = Volume{Events: sum(have.Events, v.Events), Bytes: sum(have.Bytes, v.Bytes)}
}

// named counts the types that stand for themselves.
func named(types map[string]Volume) int {
	n := len(types)
	if _, ok := types[OtherType]; ok {
		n--
	}
	return n
}

// cellVersion is the version of the encoding of half a cell. Version 1, which is
// read too, had no figures behind the first figuresV1.
const (
	cellVersion = 2
	figuresV1   = 10
)

// errCell is returned for bytes that are no half of a cell.
var errCell = errors.New("not a cell of the ledger")

// encode writes: version, flags, the figures, the types and the partitions in
// order of name. Numbers are varints, texts have their length in front.
func (h *half) encode() []byte {
	b := []byte{cellVersion, 0}
	if h.incomplete {
		b[1] = 1
	}
	for _, n := range h.counts.figures() {
		b = binary.AppendUvarint(b, *n)
	}
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = binary.AppendUvarint(b, uint64(len(h.types)))
	for _, name := range slices.Sorted(maps.Keys(h.types)) {
		text(name)
		b = binary.AppendUvarint(b, h.types[name].Events)
		b = binary.AppendUvarint(b, h.types[name].Bytes)
	}
	b = binary.AppendUvarint(b, uint64(len(h.through)))
	for _, name := range slices.Sorted(maps.Keys(h.through)) {
		text(name)
		b = binary.AppendUvarint(b, uint64(h.through[name]))
	}
	return b
}

func decodeHalf(b []byte) (*half, error) {
	if len(b) < 2 || b[0] < 1 || b[0] > cellVersion || b[1] > 1 {
		return nil, errCell
	}
	h := &half{incomplete: b[1] == 1, through: map[string]int64{}}
	figures := h.counts.figures()
	known := figures[:]
	if b[0] == 1 {
		known = known[:figuresV1]
	}
	b = b[2:]
	bad := false
	num := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			bad, b = true, nil
			return 0
		}
		b = b[size:]
		return n
	}
	text := func() string {
		n := num()
		if n > uint64(len(b)) {
			bad, b = true, nil
			return ""
		}
		s := string(b[:n])
		b = b[n:]
		return s
	}
	for _, n := range known {
		*n = num()
	}
	types := num()
	bad = bad || types > TypesMax+1
	for i := uint64(0); i < types && !bad; i++ {
		if h.types == nil {
			h.types = map[string]Volume{}
		}
		name := text()
		h.types[name] = Volume{Events: num(), Bytes: num()}
	}
	partitions := num()
	bad = bad || partitions > PartitionsMax
	for i := uint64(0); i < partitions && !bad; i++ {
		name := text()
		n := num()
		bad = bad || n > math.MaxInt64
		h.through[name] = int64(n)
	}
	if bad || len(b) > 0 {
		return nil, errCell
	}
	return h, nil
}

func (c Cell) key(kind string) store.Key {
	return store.Key{Tenant: c.Tenant, Kind: kind, ID: cellID(c.Source, c.Minute)}
}
