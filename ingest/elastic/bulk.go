package elastic

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
)

// datasetsMax bounds the indices of one request that become batches of their
// own, each with its name as the hint for routing; what names further ones goes
// into one batch without a hint.
const datasetsMax = 64

// item is one action of a body, and the place of its answer.
type item struct {
	index, id span
	op        op
	refused   bool
	// again says that the batch of its group was stored before.
	again bool
	group int16
}

// bulk is a body that was cut up. It is reused from request to request.
type bulk struct {
	items   []item
	frames  []format.Frame
	native  [][]byte
	refused []ingest.Refused
	// datasets are the indices named, in order of appearance.
	datasets []string
	// natives says whether any frame has an id.
	natives bool
	// creations counts the frames that are to be created under an id.
	creations int
	// last is the group of the last item whose index is known.
	last int16
	// text is scratch for names with escapes, ids what native points into.
	text, ids []byte
}

// idsKeptMax bounds the ids' memory that goes from request to request.
const idsKeptMax = 1 << 20

var bulks = sync.Pool{New: func() any { return new(bulk) }}

func (b *bulk) reset() {
	clear(b.native)
	clear(b.datasets)
	clear(b.refused)
	b.items, b.frames, b.native, b.refused, b.datasets = b.items[:0], b.frames[:0], b.native[:0], b.refused[:0], b.datasets[:0]
	b.natives, b.creations, b.last = false, 0, -1
	if b.ids = b.ids[:0]; cap(b.ids) > idsKeptMax {
		b.ids = nil
	}
}

// The details of what is refused.
const (
	detailAction   = "the line cannot be read as an action of create, index, update or delete"
	detailName     = "the action names an index or id that cannot be one"
	detailDocument = "the action has no document line"
	detailUpdate   = "update changes a document; events are only added"
	detailDelete   = "delete removes a document; events are only added"
)

// split cuts a body into actions and documents by its newlines. Documents are
// not looked into: each is one line. index is what the URL names, for actions
// that name none. It reports false for a body of more than
// [ingest.RequestEventsMax] items.
//
// A line where an action should be and is not is refused together with the
// line behind it, unless that is an action: so one bad line costs one item and
// the body comes back into step.
func (b *bulk) split(data []byte, index string) bool {
	b.reset()
	var previous action
	prevStart, prevEnd := 0, 0
	for at := 0; at < len(data); {
		start, end, next := line(data, at)
		at = next
		if blank(data[start:end]) {
			continue
		}
		if len(b.items) == ingest.RequestEventsMax {
			return false
		}
		a, ok := previous, true
		// Most clients send one action line over and over.
		if prevEnd == 0 || !bytes.Equal(data[start:end], data[prevStart:prevEnd]) {
			if a, ok = parseAction(data, start, end); ok {
				previous, prevStart, prevEnd = a, start, end
			}
		}
		if !ok {
			if at < len(data) {
				s, e, n := line(data, at)
				if _, isAction := parseAction(data, s, e); !isAction {
					end, at = e, n
				}
			}
			b.refuse(item{group: -1}, start, end, ingest.ReasonNotRecord, detailAction)
			continue
		}
		it := item{op: a.op, index: a.index, id: a.id}
		native, named := b.names(data, a, &it, index)
		if a.op == opDelete {
			b.refuse(it, start, end, ingest.ReasonUnsupported, detailDelete)
			continue
		}
		if at >= len(data) {
			b.refuse(it, start, end, ingest.ReasonNotRecord, detailDocument)
			continue
		}
		docStart, docEnd, next := line(data, at)
		at = next
		switch {
		case blank(data[docStart:docEnd]):
			b.refuse(it, start, end, ingest.ReasonNotRecord, detailDocument)
		case a.op == opUpdate:
			b.refuse(it, start, docEnd, ingest.ReasonUnsupported, detailUpdate)
		case !named:
			b.refuse(it, start, docEnd, ingest.ReasonNotRecord, detailName)
		case docEnd-docStart > ingest.EventBytesMax:
			b.refuse(it, docStart, docEnd, ingest.ReasonTooLarge, ingest.LargeDetail(data[docStart:docEnd]))
		default:
			b.items = append(b.items, it)
			b.frames = append(b.frames, format.Frame{Start: docStart, End: docEnd})
			b.native = append(b.native, native)
			b.natives = b.natives || native != nil
			if a.op == opCreate && native != nil {
				b.creations++
			}
		}
	}
	b.settle(index)
	return true
}

// line is the line at: its bytes without the newline and a carriage return
// before it, and where the next begins.
func line(data []byte, at int) (start, end, next int) {
	end, next = len(data), len(data)
	if n := bytes.IndexByte(data[at:], '\n'); n >= 0 {
		end, next = at+n, at+n+1
	}
	if end > at && data[end-1] == '\r' {
		end--
	}
	return at, end, next
}

func blank(b []byte) bool {
	for _, c := range b {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}

func (b *bulk) refuse(it item, start, end int, reason, detail string) {
	it.refused = true
	if it.group < 0 {
		it.group = b.last
	}
	b.items = append(b.items, it)
	b.refused = append(b.refused, ingest.Refused{Start: start, End: min(end, start+ingest.RefusedBytesMax), Reason: reason, Detail: detail})
}

// names finds the item's group by its index, and its native id. It reports false when
// one of them cannot be a name; the item then echoes neither.
func (b *bulk) names(data []byte, a action, it *item, index string) (native []byte, ok bool) {
	dataset, id := a.index.of(data), a.id.of(data)
	if a.escaped {
		b.text = b.text[:0]
		if b.text, ok = unescape(b.text, dataset); !ok {
			return b.unnamed(it)
		}
		n := len(b.text)
		if b.text, ok = unescape(b.text, id); !ok {
			return b.unnamed(it)
		}
		dataset, id = b.text[:n], b.text[n:]
	}
	for _, c := range dataset {
		if c < ' ' || c == 0x7f {
			return b.unnamed(it)
		}
	}
	if len(dataset) == 0 {
		it.group = b.group(index, nil)
	} else {
		it.group = b.group("", dataset)
	}
	if len(id) == 0 {
		return nil, true
	}
	from := len(b.ids)
	if len(dataset) == 0 {
		b.ids = append(b.ids, index...)
	} else {
		b.ids = append(b.ids, dataset...)
	}
	b.ids = append(append(b.ids, 0), id...)
	return b.ids[from:len(b.ids):len(b.ids)], true
}

// nativeID is what names a document: an id is one in its index. No index holds
// a NUL.
func nativeID(index, id string) []byte {
	return append(append([]byte(index), 0), id...)
}

func (b *bulk) unnamed(it *item) ([]byte, bool) {
	it.index, it.id, it.group = span{}, span{}, b.last
	return nil, false
}

// group is the number of the batch for an index, given as a string or as
// bytes that become one when they are new.
func (b *bulk) group(name string, raw []byte) int16 {
	same := func(dataset string) bool {
		if raw != nil {
			return dataset == string(raw)
		}
		return dataset == name
	}
	if b.last >= 0 && int(b.last) < len(b.datasets) && same(b.datasets[b.last]) {
		return b.last
	}
	at := slices.IndexFunc(b.datasets, same)
	if at < 0 {
		at = min(len(b.datasets), datasetsMax)
		if at < datasetsMax {
			if raw != nil {
				name = string(raw)
			}
			b.datasets = append(b.datasets, name)
		}
	}
	b.last = int16(at)
	return b.last
}

// settle gives items that came before any index was known to the first group.
func (b *bulk) settle(index string) {
	if len(b.datasets) == 0 {
		b.datasets = append(b.datasets, index)
	}
	for i := range b.items {
		if b.items[i].group >= 0 {
			return
		}
		b.items[i].group = 0
	}
}

// one reports whether all items are of one index.
func (b *bulk) one() bool {
	return len(b.datasets) == 1
}

// indexText is what an item's answer calls its index: as the action spells it, or
// what the URL names, ready to stand in a JSON string.
func (it *item) indexText(data, url []byte) []byte {
	if it.index.empty() {
		return url
	}
	return it.index.of(data)
}

// fill puts everything into a batch whose data is the body.
func (b *bulk) fill(batch *ingest.Batch) {
	batch.Dataset, batch.Frames, batch.Refused = b.datasets[0], b.frames, b.refused
	if b.natives {
		batch.Native = b.native
	}
	if b.identified() {
		batch.Key = idsKey(batch.Dataset, batch.Native)
	} else {
		// The URL may name the index, which the bytes then do not.
		batch.Key = partKey(batch.Dataset, batch.Data)
	}
}

// itemsKeptMax bounds the items of a bulk that goes from request to request.
const itemsKeptMax = 2 * ingest.BatchEventsMax

// release gives the bulk back, unless it is one of the rare large ones.
func (b *bulk) release() {
	if cap(b.items) <= itemsKeptMax {
		bulks.Put(b)
	}
}

// itemBytes is about what an item takes besides its bytes in the body: itself, its
// frame, its id's place and what is encoded of them.
const itemBytes = 100

// bytes is about what the bulk takes besides the body.
func (b *bulk) bytes() int64 { return itemBytes*int64(len(b.items)) + int64(cap(b.ids)) }

// known marks the items of a group whose batch was taken.
func (b *bulk) known(group int, batch *ingest.Batch) {
	if !batch.Again {
		return
	}
	for i := range b.items {
		if int(b.items[i].group) == group {
			b.items[i].again = true
		}
	}
}

// identified reports whether every item is to be created under an id. Creating
// an id that exists does nothing, so that the ids alone say whether the body
// came before: Beats write the fields of a document in another order each time
// they send it. In the batch of all indices beyond datasetsMax the same id can
// stand for two documents.
func (b *bulk) identified() bool {
	return len(b.items) > 0 && b.creations == len(b.items) && len(b.datasets) < datasetsMax
}

// parts makes a batch for each index, with its own bytes copied from data into
// room, which is returned grown, and tells the group of each. Each has a key of its index and bytes: the
// same documents under two indices are two batches, and a body sent again has
// the same keys.
func (b *bulk) parts(batch *ingest.Batch, room []byte) (all []*ingest.Batch, groups []int, grown []byte) {
	data := batch.Data
	room = slices.Grow(room, len(data)+len(b.items))
	for group := range datasetsMax + 1 {
		part := *batch
		part.Frames, part.Native, part.Refused, part.Dataset = nil, nil, nil, ""
		if group < len(b.datasets) {
			part.Dataset = b.datasets[group]
		}
		base, frame, refused := len(room), 0, 0
		for _, it := range b.items {
			mine := int(it.group) == group
			switch {
			case it.refused:
				if r := b.refused[refused]; mine {
					start := len(room) - base
					room = append(append(room, data[r.Start:r.End]...), '\n')
					r.Start, r.End = start, len(room)-base-1
					part.Refused = append(part.Refused, r)
				}
				refused++
			default:
				if f := b.frames[frame]; mine {
					start := len(room) - base
					room = append(append(room, data[f.Start:f.End]...), '\n')
					part.Frames = append(part.Frames, format.Frame{Start: start, End: len(room) - base - 1})
					if b.natives {
						part.Native = append(part.Native, b.native[frame])
					}
				}
				frame++
			}
		}
		if part.Records() == 0 {
			continue
		}
		if !slices.ContainsFunc(part.Native, func(id []byte) bool { return id != nil }) {
			part.Native = nil
		}
		part.Data = room[base:len(room):len(room)]
		if b.identified() {
			part.Key = idsKey(part.Dataset, part.Native)
		} else {
			part.Key = partKey(part.Dataset, part.Data)
		}
		all, groups = append(all, &part), append(groups, group)
	}
	return all, groups, room
}

func partKey(dataset string, data []byte) []byte {
	h := sha256.New()
	_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(dataset))))
	_, _ = h.Write([]byte(dataset))
	_, _ = h.Write(data)
	return h.Sum(nil)
}

// idsKey is the key of documents that are known by their ids. What it hashes
// begins with a length that no dataset has, so that partKey never hashes the same.
func idsKey(dataset string, ids [][]byte) []byte {
	h := sha256.New()
	text := func(t []byte) {
		_, _ = h.Write(binary.AppendUvarint(nil, uint64(len(t))))
		_, _ = h.Write(t)
	}
	_, _ = h.Write(binary.AppendUvarint(nil, ingest.BodyBytesMax))
	text([]byte(dataset))
	for _, id := range ids {
		text(id)
	}
	return h.Sum(nil)
}
