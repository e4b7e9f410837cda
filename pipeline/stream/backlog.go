package stream

import (
	"sync/atomic"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
)

// backlog knows which entries of a partition came and are not evaluated yet. The
// feed's lock guards it, but for what is atomic.
type backlog struct {
	entries []arrival // in order of offset, from head on
	head    int
	next    int64 // the next offset to take in

	oldest atomic.Int64 // receive time of the first, or 0
	bytes  atomic.Int64
}

type arrival struct {
	offset, received, bytes int64
}

// add takes in an entry.
func (b *backlog) add(offset int64, m ingest.Meta) {
	if offset < b.next {
		return
	}
	b.next = offset + 1
	if m.Kind != ingest.KindBatch {
		return
	}
	b.entries = append(b.entries, arrival{offset, m.Received, int64(m.Bytes)})
	b.bytes.Add(int64(m.Bytes))
	if len(b.entries)-b.head == 1 {
		b.oldest.Store(m.Received)
	}
}

// done drops the entries before an offset.
func (b *backlog) done(before int64) {
	for b.head < len(b.entries) && b.entries[b.head].offset < before {
		b.bytes.Add(-b.entries[b.head].bytes)
		b.head++
	}
	if b.head == len(b.entries) {
		b.entries, b.head = b.entries[:0], 0
		b.oldest.Store(0)
		return
	}
	b.oldest.Store(b.entries[b.head].received)
	if b.head > 1024 && b.head > len(b.entries)/2 {
		b.entries = append(b.entries[:0], b.entries[b.head:]...)
		b.head = 0
	}
}

// waiting is the number of entries that wait.
func (b *backlog) waiting() int { return len(b.entries) - b.head }

// Backlog says how far evaluation is behind for a tenant: the bytes that wait
// and the age of the oldest.
func (n *Node) Backlog(t event.Tenant) (bytes int64, age time.Duration) {
	now := n.clock.Now()
	for _, f := range n.scheduler.all() {
		if f.partition.Tenant != t {
			continue
		}
		bytes += f.backlog.bytes.Load()
		if at := f.backlog.oldest.Load(); at > 0 && !f.source.Import {
			age = max(age, now.Sub(time.UnixMicro(at)))
		}
	}
	return bytes, age
}
