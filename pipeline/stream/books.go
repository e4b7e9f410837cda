package stream

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/store"
)

// kindReceivedThrough holds, by partition, up to which offset the received side
// of the ledger has counted.
const kindReceivedThrough = "ledger.through"

// books keep the received side of the ledger: what stands in the metas of the
// log, whatever becomes of it later. The other side is kept by the scopes.
type books struct {
	node *Node

	mu    sync.Mutex
	book  *ledger.Book
	next  map[store.Partition]int64 // the next offset to count
	dirty map[store.Partition]bool
}

func newBooks(n *Node) *books {
	return &books{node: n, book: ledger.NewBook(getter(n.records)), next: make(map[store.Partition]int64), dirty: make(map[store.Partition]bool)}
}

// getter reads documents for a ledger.
func getter(records store.Records) ledger.Get {
	return func(k store.Key) ([]byte, error) {
		doc, err := records.Get(k)
		return doc.Value, err
	}
}

// cell is the cell of the ledger that a receive time falls into.
func cell(t event.Tenant, source string, received int64) ledger.Cell {
	return ledger.Cell{Tenant: t, Source: source, Minute: max(0, received) / time.Minute.Microseconds()}
}

// received counts what came to a partition up to an offset.
func (b *books) received(f *feed, head int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := f.partition
	next, known := b.next[p]
	if !known {
		doc, err := b.node.records.Get(throughKey(p))
		switch {
		case err == nil:
			next, _ = binary.Varint(doc.Value)
		case !errors.Is(err, store.ErrNotFound):
			return fmt.Errorf("ledger of %v: %w", p, err)
		}
		b.next[p] = next
	}
	if next >= head {
		return nil
	}
	name := p.String()
	var failed error
	err := b.node.log.Metas(p, next, func(offset int64, meta []byte) bool {
		if offset >= head {
			return false
		}
		m, err := ingest.ParseMeta(meta)
		if err != nil || m.Kind != ingest.KindBatch {
			return true
		}
		if failed = b.count(name, offset, cell(p.Tenant, p.Source, m.Received), m); failed != nil {
			return false
		}
		f.seen(offset, m)
		b.node.spoke(f, m.Received, m.Records)
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("ledger of %v: %w", p, err)
	}
	b.next[p] = head
	b.dirty[p] = true
	return nil
}

func (b *books) count(name string, offset int64, c ledger.Cell, m ingest.Meta) error {
	err := b.book.Received(name, offset, c, uint64(m.Records), uint64(m.Bytes))
	if errors.Is(err, ledger.ErrUnwritten) {
		if err = b.write(); err == nil {
			err = b.book.Received(name, offset, c, uint64(m.Records), uint64(m.Bytes))
		}
	}
	return err
}

func throughKey(p store.Partition) store.Key {
	return store.Key{Tenant: p.Tenant, Kind: kindReceivedThrough, ID: feedID(p)}
}

// write writes what changed.
func (b *books) write() error {
	writes := b.book.Writes()
	for p := range b.dirty {
		writes = append(writes, store.Write{Key: throughKey(p), Value: binary.AppendVarint(nil, b.next[p])})
	}
	if len(writes) == 0 {
		return nil
	}
	if err := b.node.records.Apply(writes, store.Relaxed); err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	b.book.Written()
	clear(b.dirty)
	return nil
}

// Duplicate counts a batch that was acknowledged and not stored again.
func (n *Node) Duplicate(batch *ingest.Batch) {
	n.ledger.mu.Lock()
	defer n.ledger.mu.Unlock()
	at := cell(batch.Tenant, batch.Source, batch.Received.UnixMicro())
	err := n.ledger.book.Duplicated(at, uint64(batch.Records()))
	if errors.Is(err, ledger.ErrUnwritten) {
		if err = n.ledger.write(); err == nil {
			err = n.ledger.book.Duplicated(at, uint64(batch.Records()))
		}
	}
	if err != nil {
		n.logger.Warn("a duplicate was not counted", "error", err.Error())
	}
}

// Dropped notes datagrams that the kernel dropped before a source read them: a
// gap that nobody numbered.
func (n *Node) Dropped(t event.Tenant, source string, count int64) {
	now := n.clock.Now().UnixMicro()
	id := event.FindingID(t, "udp drops", source, strconv.FormatInt(now, 10))
	gap := ledger.UpstreamGap{ID: id.String(), Source: source, Kind: "udp_drops", Missing: uint64(count), FoundAt: now}
	if err := n.records.Apply([]store.Write{gap.Write(t)}, store.Relaxed); err != nil {
		n.logger.Error("dropped datagrams were not noted", "source", source, "count", count, "error", err.Error())
	}
}

// flush writes what changed.
func (b *books) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.write()
}

// account adds what became of the records of sections to a scope's book and
// returns the writes.
func (s *scope) account(sections []*Section) ([]store.Write, error) {
	t := s.partition.Tenant
	for _, x := range sections {
		// Time that passes can make an event whole, which then matches.
		if x.Counts.Records == 0 && x.Counts.Matches == 0 {
			continue
		}
		d := ledger.Delta{
			Cell: cell(t, x.Source, x.Received),
			Counts: ledger.Counts{
				Evaluated: x.Counts.Evaluated, Late: x.Counts.Late, Quarantined: x.Counts.Quarantined, Damaged: x.Counts.Damaged,
				Unrouted: x.Counts.Unrouted, Matches: x.Counts.Matches, DroppedFieldBytes: x.Counts.DroppedBytes,
				DuplicateFields: x.Counts.DuplicateFields, InvalidTexts: x.Counts.InvalidTexts,
			},
		}
		if len(x.Counts.Types) > 0 {
			d.Types = make(map[string]ledger.Volume, len(x.Counts.Types))
			for _, k := range x.Counts.Types {
				d.Types[k.Name] = ledger.Volume{Events: k.Events, Bytes: k.Bytes}
			}
		}
		partition := store.Partition{Tenant: t, Kind: ingest.KindEvents, Source: x.Source, Shard: x.Shard}.String()
		if err := s.book.Evaluated(partition, x.Offset, []ledger.Delta{d}); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
	}
	return s.book.Writes(), nil
}
