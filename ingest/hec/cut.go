package hec

import (
	"bytes"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/ingest"
)

// wastedRatioMax bounds the bytes looked at for objects that turn out broken,
// as a multiple of the body: behind that the rest of it is one refused piece.
const wastedRatioMax = 8

// cut frames the objects of a body, one behind the other with or without
// anything between them; commas and brackets, as of an array, are passed over.
// Nothing is parsed: brackets and quotes are followed.
//
// An object that does not close is refused up to the next line that begins
// with one, so that what follows a broken event is not lost with it. Since a
// quote that does not close can swallow the beginnings of lines, an object in
// which a line begins like one is taken as a whole only if it is JSON. Other
// bytes are refused up to the end of their line or the next object. The error
// is [ingest.ErrTooMany].
func cut(b *ingest.Batch) error {
	data := b.Data
	i, wasted := 0, 0
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		i = 3
	}
	for i < len(data) {
		switch c := data[i]; {
		case c == ' ', c == '\t', c == '\r', c == '\n', c == ',', c == '[', c == ']', c == 0x1e:
			i++
			continue
		case c != '{':
			end := bytes.IndexAny(data[i:], "{\n")
			if end < 0 {
				end = len(data) - i
			}
			refuse(b, i, i+end, "these bytes are no JSON object")
			i += end
		default:
			end, err := json.ValueEnd(data, i)
			if err == nil && hidesLines(data[i:end]) {
				var tree event.Tree
				err = tree.ParseJSON(data[i:end])
			}
			if err == nil {
				b.Put(i, end)
				i = end
				break
			}
			next := len(data)
			if wasted += end - i; wasted <= wastedRatioMax*len(data) {
				next = nextLine(data, i+1)
			}
			refuse(b, i, next, "this JSON object is broken or does not end")
			i = next
		}
		if b.Records() > ingest.RequestEventsMax {
			return ingest.ErrTooMany
		}
	}
	return nil
}

// hidesLines reports whether a line inside of an object begins like another.
func hidesLines(object []byte) bool {
	next := nextLine(object, 1)
	return next < len(object)
}

// nextLine returns the index from i on of a line's first byte that begins an
// object, or len(data).
func nextLine(data []byte, i int) int {
	for {
		n := bytes.Index(data[i:], []byte("\n{"))
		if n < 0 {
			return len(data)
		}
		i += n + 1
		j := i + 1
		for j < len(data) && (data[j] == ' ' || data[j] == '\t') {
			j++
		}
		if j < len(data) && data[j] == '"' {
			return i
		}
	}
}

func refuse(b *ingest.Batch, start, end int, detail string) {
	b.Refused = append(b.Refused, ingest.Refused{
		Start: start, End: min(end, start+ingest.RefusedBytesMax), Reason: ingest.ReasonUnparsed, Detail: detail,
	})
}
