package elastic

import (
	"net/url"
	"strconv"
	"strings"
)

// fields are the parts of an answer that a filter_path keeps.
type fields uint16

const (
	keepTook fields = 1 << iota
	keepErrors
	keepIndex
	keepID
	keepVersion
	keepResult
	keepShards
	keepSeqNo
	keepTerm
	keepStatus

	keepItem = keepIndex | keepID | keepVersion | keepResult | keepShards | keepSeqNo | keepTerm | keepStatus
	keepAll  = keepTook | keepErrors | keepItem
)

// itemFields are the names that can follow items.*; error and failure_store
// are known and never there, since no item fails.
var itemFields = map[string]fields{
	"_index": keepIndex, "_id": keepID, "_version": keepVersion, "result": keepResult, "_shards": keepShards,
	"_seq_no": keepSeqNo, "_primary_term": keepTerm, "status": keepStatus, "error": 0, "failure_store": 0, "*": keepItem,
}

// filterOf reads filter_path. A pattern that is not understood turns filtering
// off: a client copes with more than it asked for, not with less.
func filterOf(rawQuery string) fields {
	if !strings.Contains(rawQuery, "filter_path") {
		return keepAll
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return keepAll
	}
	keep := fields(0)
	any := false
	for _, value := range values["filter_path"] {
		for pattern := range strings.SplitSeq(value, ",") {
			pattern = strings.TrimSpace(pattern)
			if pattern == "" {
				continue
			}
			any = true
			switch pattern {
			case "took":
				keep |= keepTook
			case "errors":
				keep |= keepErrors
			case "items", "items.*":
				keep |= keepItem
			default:
				rest, ok := strings.CutPrefix(pattern, "items.*.")
				name, _, _ := strings.Cut(rest, ".")
				f, known := itemFields[name]
				if !ok || !known {
					return keepAll
				}
				keep |= f
			}
		}
	}
	if !any {
		return keepAll
	}
	return keep
}

// What follows the names of an item.
const (
	tailCreated = `","_version":1,"result":"created","_shards":{"total":1,"successful":1,"failed":0},"_seq_no":1,"_primary_term":1,"status":201}}`
	tailNoop    = `","_version":1,"result":"noop","_shards":{"total":0,"successful":0,"failed":0},"_seq_no":1,"_primary_term":1,"status":200}}`
)

// appendAnswer appends the answer to a body whose items are all taken. url is
// the index of the URL, ready for a JSON string; request and the item's place
// make the ids of items that have none. errors stands before items and next to
// it: Fluent Bit looks for that text in the first bytes of an answer. Whenever
// dst holds [flushBytes] it is given to flush, unless that is nil, and begun anew;
// what is left comes back.
func (b *bulk) appendAnswer(dst, data, url []byte, request uint64, took int64, keep fields, flush func([]byte)) []byte {
	dst = append(dst, '{')
	if keep&keepTook != 0 {
		dst = append(dst, `"took":`...)
		dst = strconv.AppendInt(dst, max(took, 0), 10)
		dst = append(dst, ',')
	}
	if keep&keepErrors != 0 {
		dst = append(dst, `"errors":false,`...)
	}
	if keep&keepItem != 0 {
		dst = append(dst, `"items":[`...)
		var text [16]byte
		prefix := strconv.AppendUint(text[:0], request, 36)
		for i := range b.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = b.items[i].append(dst, data, url, prefix, i, keep)
			if flush != nil && len(dst) >= flushBytes {
				flush(dst)
				dst = dst[:0]
			}
		}
		return append(dst, `]}`...)
	}
	if dst[len(dst)-1] == ',' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, '}')
}

// flushBytes is how much of a large answer is in memory at once.
const flushBytes = 64 << 10

// append appends one item of the answer.
func (it *item) append(dst, data, url, prefix []byte, place int, keep fields) []byte {
	dst = append(dst, `{"`...)
	dst = append(dst, opNames[it.op]...)
	if keep&keepItem == keepItem {
		dst = append(dst, `":{"_index":"`...)
		dst = append(dst, it.indexText(data, url)...)
		dst = append(dst, `","_id":"`...)
		dst = it.appendID(dst, data, prefix, place)
		return append(dst, it.tail()...)
	}
	dst = append(dst, `":{`...)
	dst = it.appendSome(dst, data, url, prefix, place, keep)
	return append(dst, `}}`...)
}

// noop tells what is answered as without effect: what changes a document, and
// what creates one that is there.
func (it *item) noop() bool {
	return it.op == opUpdate || it.op == opDelete || it.op == opCreate && it.again
}

func (it *item) tail() string {
	if it.noop() {
		return tailNoop
	}
	return tailCreated
}

func (it *item) appendID(dst, data, prefix []byte, place int) []byte {
	if !it.id.empty() {
		return append(dst, it.id.of(data)...)
	}
	dst = append(dst, prefix...)
	dst = append(dst, '-')
	return strconv.AppendInt(dst, int64(place), 10)
}

// appendSome appends the fields that a filter keeps.
func (it *item) appendSome(dst, data, url, prefix []byte, place int, keep fields) []byte {
	begin := len(dst)
	if keep&keepIndex != 0 {
		dst = append(append(append(dst, `"_index":"`...), it.indexText(data, url)...), `",`...)
	}
	if keep&keepID != 0 {
		dst = append(it.appendID(append(dst, `"_id":"`...), data, prefix, place), `",`...)
	}
	rest := `"` + it.tail()[len(`","`):]
	for _, f := range [...]struct {
		keep fields
		key  string
	}{{keepVersion, `"_version":`}, {keepResult, `"result":`}, {keepShards, `"_shards":`}, {keepSeqNo, `"_seq_no":`}, {keepTerm, `"_primary_term":`}, {keepStatus, `"status":`}} {
		if keep&f.keep == 0 {
			continue
		}
		at := strings.Index(rest, f.key)
		end := strings.IndexAny(rest[at:], ",}")
		if f.keep == keepShards {
			end = strings.IndexByte(rest[at:], '}') + 1
		}
		dst = append(append(dst, rest[at:at+end]...), ',')
	}
	if len(dst) > begin {
		dst = dst[:len(dst)-1]
	}
	return dst
}
