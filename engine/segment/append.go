package segment

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"

	"github.com/tiercel-io/tiercel/store"
)

// pooledBytesMax is the largest buffer kept for the next append: a batch of a
// busy client is below, and a rare giant must not stay.
const pooledBytesMax = 4 << 20

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// buffer returns a buffer of n bytes, of unknown content.
func buffer(n int) *[]byte {
	b := buffers.Get().(*[]byte)
	if cap(*b) < n {
		*b = make([]byte, n)
	}
	*b = (*b)[:n]
	return b
}

func recycle(b *[]byte) {
	if cap(*b) <= pooledBytesMax {
		buffers.Put(b)
	}
}

// Append implements [store.Log]. All entries of a call go to one segment;
// together they have at most 256 MiB.
func (l *Log) Append(entries []store.Entry) ([]int64, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	size := int64(0)
	for i := range entries {
		if err := l.check(&entries[i]); err != nil {
			return nil, fmt.Errorf("append to log partition %q: %w", entries[i].Partition, err)
		}
		size += int64(len(entries[i].Payload)) + frameHeadBytesMax
	}
	if size > queueBytesMax {
		return nil, fmt.Errorf("append to log: %d entries of together %d bytes, more than the %d of one call; append them in several", len(entries), size, queueBytesMax)
	}
	essential := l.essential(entries)
	if !essential && l.full.Load() && l.cfg.Clock.Now().UnixNano() < l.nextLook.Load() {
		return nil, store.ErrFull
	}
	if err := l.queue.enter(size); err != nil {
		return nil, err
	}
	defer l.queue.leave(size)
	c := &call{frames: make([]pending, len(entries)), offsets: make([]int64, len(entries)), essential: essential, done: make(chan error, 1)}
	taken := make([]*[]byte, 0, len(entries))
	for i := range entries {
		b, p := l.encode(&entries[i])
		taken = append(taken, b)
		c.frames[i] = p
		c.bytes += int64(len(p.buf))
	}
	l.queue.put(c)
	err := <-c.done
	if !l.cfg.sabotage.ackEarly {
		for _, b := range taken {
			recycle(b)
		}
	}
	if err != nil {
		return nil, err
	}
	return c.offsets, nil
}

// essential reports whether all entries may use the reserve of the disk.
func (l *Log) essential(entries []store.Entry) bool {
	if l.cfg.Essential == nil {
		return false
	}
	for i := range entries {
		if !l.cfg.Essential(entries[i].Partition) {
			return false
		}
	}
	return true
}

func (l *Log) check(e *store.Entry) error {
	p := &e.Partition
	switch {
	case p.Tenant.IsZero():
		return errors.New("it has no tenant")
	case len(p.Kind) == 0 || len(p.Kind) > kindBytesMax:
		return fmt.Errorf("a kind has 1 to %d bytes", kindBytesMax)
	case len(p.Source) > sourceBytesMax:
		return fmt.Errorf("the source has %d bytes, more than %d", len(p.Source), sourceBytesMax)
	case p.Shard < 0 || p.Shard > shardMax:
		return errors.New("the shard is out of range")
	case len(e.Meta) > store.MetaBytesMax:
		return fmt.Errorf("the meta has %d bytes, more than %d", len(e.Meta), store.MetaBytesMax)
	case len(e.Payload) > store.PayloadBytesMax:
		return fmt.Errorf("the payload has %d bytes, more than %d", len(e.Payload), store.PayloadBytesMax)
	}
	if t, ok := l.cfg.Tenants.Lookup(p.Tenant.String()); !ok || t != p.Tenant {
		return errors.New("the tenant is not one that the log was opened for")
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return store.ErrClosed
	}
	if len(l.index.partitions) >= PartitionsMax && l.index.partitions[keyOf(*p)] == nil {
		return fmt.Errorf("the log has %d partitions, and no room for a further one; use fewer sources or shards", PartitionsMax)
	}
	return nil
}

// encode makes the frame of an entry in a buffer of the pool, in the
// goroutine of the caller: compression and checksums run beside each other.
func (l *Log) encode(e *store.Entry) (*[]byte, pending) {
	h := frame{kind: kindEntry, key: keyOf(e.Partition), meta: e.Meta, plain: uint32(len(e.Payload))}
	head := h.headBytes()
	if l.cfg.Compression == CompressS2 {
		b := buffer(head + s2.MaxEncodedLen(len(e.Payload)))
		out := s2.Encode((*b)[head:], e.Payload)
		// An eighth is the least that is worth the work of reading it again.
		if len(out) <= len(e.Payload)-len(e.Payload)/8 && len(e.Payload) > 0 {
			h.flags, h.stored, h.payloadCRC = flagCompressed, uint32(len(out)), checksum(out)
			return b, pending{header: h, buf: (*b)[:head+len(out)]}
		}
		recycle(b)
	}
	b := buffer(head + len(e.Payload))
	copy((*b)[head:], e.Payload)
	h.stored, h.payloadCRC = uint32(len(e.Payload)), checksum(e.Payload)
	return b, pending{header: h, buf: *b}
}
