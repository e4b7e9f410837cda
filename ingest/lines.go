package ingest

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/tiercel-io/tiercel/format"
)

// ErrTooMany is the answer to a body with more than [RequestEventsMax] records.
var ErrTooMany = fmt.Errorf("the body has more than %d records; send smaller batches", RequestEventsMax)

// CutLines frames the lines of b.Data, each without its line end, LF or CR LF; a
// byte order mark of UTF-8 before the first and lines of white space alone are
// passed over, and a line of more than [EventBytesMax] is refused with its
// first [RefusedBytesMax] bytes. The error is [ErrTooMany].
func (b *Batch) CutLines() error {
	data := b.Data
	i := 0
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		i = 3
	}
	for i < len(data) {
		end, next := len(data), len(data)
		if n := bytes.IndexByte(data[i:], '\n'); n >= 0 {
			end, next = i+n, i+n+1
		}
		if end > i && data[end-1] == '\r' {
			end--
		}
		if !blank(data[i:end]) {
			b.Put(i, end)
		}
		if b.Records() > RequestEventsMax {
			return ErrTooMany
		}
		i = next
	}
	return nil
}

// Put frames Data[start:end], or refuses it when it is larger than
// [EventBytesMax]: its first [RefusedBytesMax] bytes are kept.
func (b *Batch) Put(start, end int) {
	if end-start <= EventBytesMax {
		b.Frames = append(b.Frames, format.Frame{Start: start, End: end})
		return
	}
	b.Refused = append(b.Refused, Refused{Start: start, End: start + RefusedBytesMax, Reason: ReasonTooLarge, Detail: LargeDetail(b.Data[start:end])})
}

// LargeDetail tells of a record beyond [EventBytesMax] what its first bytes alone
// do not: its length, and the SHA-256 by which it can be known.
func LargeDetail(record []byte) string {
	return LargeSum(len(record), sha256.Sum256(record))
}

// LargeSum is [LargeDetail] of a record of n bytes that is known by its sum.
func LargeSum(n int, sum [sha256.Size]byte) string {
	return fmt.Sprintf("a record of %d bytes, SHA-256 %x, of which the first %d are kept", n, sum, RefusedBytesMax)
}

func blank(s []byte) bool {
	for _, c := range s {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}
