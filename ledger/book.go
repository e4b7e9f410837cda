package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/store"
)

// Bounds of a [Book].
const (
	// ChangedMax bounds the changed halves that wait to be written, at some
	// hundred bytes each.
	ChangedMax = 65_536
	// KeptMax is how many halves stay in memory after they were written, so that
	// the next delta of the same minute reads nothing.
	KeptMax = 4_096
	// DeltasMax bounds the deltas of one position, so that the cells of a call
	// stay in memory until it ends. A batch has one source and minute.
	DeltasMax = 1_024
)

// ErrUnwritten is returned when [ChangedMax] halves wait to be written. Apply
// [Book.Writes], call [Book.Written], and hand the delta over again.
var ErrUnwritten = errors.New("too many changed cells of the ledger are not written yet")

// Delta is what one position of a partition adds to one cell.
type Delta struct {
	Cell
	Counts Counts
	// Types are the events by type, of the evaluating side. It is not kept.
	Types map[string]Volume
}

// slot is where a half stands.
type slot struct {
	key store.Key
	*half
	// changed is the number of the last change not yet written, or 0; used that
	// of the last use.
	changed, used uint64
}

// Book accumulates deltas and gives the changed cells as writes.
//
// A delta has a position: an offset in a partition. The positions of one
// partition must be handed over in ascending order and may be handed over again
// from any earlier one: a half of a cell skips what it has counted. After a
// restart a new Book reads the stored cells, and each side begins again at or
// before the first position whose write may be lost.
//
// It is not safe for concurrent use; each side may have its own.
type Book struct {
	get   Get
	slots map[store.Key]*slot
	// ticks numbers uses and changes; handed is its value at the last Writes.
	ticks, handed uint64
	changed       int
	restarted     uint64
}

// NewBook makes a book over the cells that get reads.
func NewBook(get Get) *Book {
	return &Book{get: get, slots: map[store.Key]*slot{}}
}

// Received counts what a batch brought, at its offset in its partition. Of the
// counts only Received and ReceivedBytes are taken.
func (b *Book) Received(partition string, offset int64, cell Cell, records, bytes uint64) error {
	return b.apply(KindReceived, partition, offset, []Delta{{Cell: cell, Counts: Counts{Received: records, ReceivedBytes: bytes}}})
}

// Duplicated counts records that were acknowledged without being stored. They
// have no position: they count once while the process lives, and those not yet
// written are lost with it.
func (b *Book) Duplicated(cell Cell, records uint64) error {
	s, err := b.slot(KindReceived, cell)
	if err != nil {
		return err
	}
	s.counts.Duplicates = sum(s.counts.Duplicates, records)
	b.touch(s)
	return nil
}

// Evaluated counts what became of the records of one position: offset is that
// of the batch in the log of events, or a later one of the same partition when
// several batches are handed over as one; they must then be one again whenever
// they are repeated. Everything that the position adds must
// come in one call; Received, ReceivedBytes and Duplicates are not taken. When
// an error is returned the call may be repeated.
func (b *Book) Evaluated(partition string, offset int64, deltas []Delta) error {
	return b.apply(KindEvaluated, partition, offset, deltas)
}

func (b *Book) apply(kind, partition string, offset int64, deltas []Delta) error {
	if offset < 0 || len(partition) > PartitionBytesMax {
		return fmt.Errorf("position %d of partition %.80q cannot be counted: the offset is negative or the name longer than %d bytes", offset, partition, PartitionBytesMax)
	}
	if len(deltas) > DeltasMax {
		return fmt.Errorf("position %d of partition %.80q has %d deltas; at most %d are taken", offset, partition, len(deltas), DeltasMax)
	}
	// All cells are found before one is changed, so that an error leaves nothing
	// half done.
	slots := make([]*slot, len(deltas))
	for i := range deltas {
		s, err := b.slot(kind, deltas[i].Cell)
		if err != nil {
			return err
		}
		if _, known := s.through[partition]; !known && len(s.through) >= PartitionsMax {
			return fmt.Errorf("cell %q counts from %d partitions already; give the source fewer shards", s.key.ID, PartitionsMax)
		}
		slots[i] = s
	}
	// A cell that stands in the call twice is judged by its first.
	var fresh []*slot
	for i, s := range slots {
		if !slices.Contains(slots[:i], s) {
			if through, known := s.through[partition]; !known || through < offset {
				fresh = append(fresh, s)
			}
		}
	}
	for i, s := range slots {
		if !slices.Contains(fresh, s) {
			continue
		}
		d := deltas[i]
		if kind == KindEvaluated {
			d.Counts.Received, d.Counts.ReceivedBytes, d.Counts.Duplicates = 0, 0, 0
		}
		s.add(&d)
		if _, known := s.through[partition]; !known {
			partition = strings.Clone(partition)
		}
		s.through[partition] = offset
		b.touch(s)
	}
	return nil
}

// touch marks a half as changed.
func (b *Book) touch(s *slot) {
	if s.changed == 0 {
		b.changed++
	}
	b.ticks++
	s.changed = b.ticks
}

// slot returns a half from memory or from the store.
func (b *Book) slot(kind string, cell Cell) (*slot, error) {
	if cell.Tenant.IsZero() || len(cell.Source) > SourceBytesMax || cell.Minute < 0 || cell.Minute > minuteMax {
		return nil, fmt.Errorf("no cell of the ledger: tenant %q, source %.80q, minute %d", cell.Tenant, cell.Source, cell.Minute)
	}
	key := cell.key(kind)
	s := b.slots[key]
	if s == nil {
		if b.changed >= ChangedMax {
			return nil, ErrUnwritten
		}
		h := &half{through: map[string]int64{}}
		value, err := b.get(key)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return nil, fmt.Errorf("read cell %q of the ledger: %w", key.ID, err)
		default:
			if h, err = decodeHalf(value); err != nil {
				// Standing still would stop the stream for one unreadable cell; it begins
				// anew and says that it is incomplete.
				h = &half{through: map[string]int64{}, incomplete: true}
				b.restarted++
			}
		}
		if len(b.slots) >= ChangedMax+KeptMax {
			b.shrink()
		}
		s = &slot{key: key, half: h}
		b.slots[key] = s
	}
	b.ticks++
	s.used = b.ticks
	return s, nil
}

// Changed is how many halves wait to be written.
func (b *Book) Changed() int { return b.changed }

// Restarted is how many stored halves could not be read and began anew; their
// cells are marked incomplete.
func (b *Book) Restarted() uint64 { return b.restarted }

// Writes returns the changed halves with their whole value, in order of key.
// They stay changed until [Book.Written]: when applying them fails, the next
// Writes gives them again.
func (b *Book) Writes() []store.Write {
	b.handed = b.ticks
	var list []store.Write
	for _, s := range b.slots {
		if s.changed != 0 {
			list = append(list, store.Write{Key: s.key, Value: s.encode()})
		}
	}
	slices.SortFunc(list, func(a, b store.Write) int { return compareKeys(a.Key, b.Key) })
	return list
}

func compareKeys(a, b store.Key) int {
	return cmp.Or(strings.Compare(a.Tenant.String(), b.Tenant.String()), strings.Compare(a.Kind, b.Kind), strings.Compare(a.ID, b.ID))
}

// Written tells that the last Writes have been applied. Halves changed since
// then stay changed.
func (b *Book) Written() {
	for _, s := range b.slots {
		if s.changed != 0 && s.changed <= b.handed {
			s.changed = 0
			b.changed--
		}
	}
	b.shrink()
}

// shrink forgets written halves beyond what is kept, the least used first.
func (b *Book) shrink() {
	var clean []*slot
	for _, s := range b.slots {
		if s.changed == 0 {
			clean = append(clean, s)
		}
	}
	if len(clean) <= KeptMax {
		return
	}
	slices.SortFunc(clean, func(a, b *slot) int { return cmp.Compare(a.used, b.used) })
	for _, s := range clean[:len(clean)-KeptMax] {
		delete(b.slots, s.key)
	}
}
