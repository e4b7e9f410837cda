// Package store holds the ports behind which engines stand, and the errors by
// which a caller knows what it can do.
//
// The ports know partitions, documents with a kind, and bytes; they do not know
// what an event, a match or a detection is. An engine implements those that it
// is good at and passes the contract in package storetest. Nothing is stored or
// read without a tenant.
package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// The errors of all ports, to be found with errors.Is.
var (
	// ErrNotFound: there is no such document or partition.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the document changed since it was read; read it again.
	ErrConflict = errors.New("conflict: it was changed meanwhile")
	// ErrUnsupported: this engine does not do that.
	ErrUnsupported = errors.New("not supported by this engine")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("store is closed")
	// ErrFull: the disk has no room beyond what is held in reserve. Nothing was
	// written; it passes by itself once there is room.
	ErrFull = errors.New("disk is nearly full")
	// ErrFailed: a write or a sync failed, and whether its bytes are on disk is
	// unknown. They must be counted as lost; the store has set the damaged
	// file aside and later writes go to a new one.
	ErrFailed = errors.New("write failed")
)

// Partition names one ordered part of a log.
type Partition struct {
	Tenant event.Tenant
	// Kind is what it carries: events or matches.
	Kind string
	// Source is the configured feed, or the scope of matches; at most 200
	// bytes, any text.
	Source string
	// Shard counts from 0.
	Shard int
}

// String is for messages.
func (p Partition) String() string {
	return fmt.Sprintf("%s/%s/%s/%d", p.Tenant, p.Kind, p.Source, p.Shard)
}

// Entry is what is appended: one batch, opaque to the log.
type Entry struct {
	Partition Partition
	// Meta is a small header that can be had without the payload (see
	// [Log.Metas]), at most [MetaBytesMax].
	Meta []byte
	// Payload is the batch, at most [PayloadBytesMax].
	Payload []byte
}

// Bounds of an entry: a batch is at most a request body of 64 MiB with its
// framing, a meta a batch key and some counts.
const (
	MetaBytesMax    = 4 << 10
	PayloadBytesMax = 96 << 20
)

// Stored is an entry as it is read.
type Stored struct {
	// Offset counts the entries of the partition from 0, without gaps while
	// nothing is damaged.
	Offset  int64
	Meta    []byte
	Payload []byte
}

// Gap is a run of offsets, From <= offset < To, whose entries cannot be read.
// Metas holds those of the entries whose header is sound, by offset.
type Gap struct {
	From, To int64
	Why      string
	Metas    map[int64][]byte
}

// Page is what one read of a partition gives, in order of offset.
type Page struct {
	Entries []Stored
	// Gaps are the damaged runs among or directly behind what was asked for.
	// A reader that has taken the page goes on at Next.
	Gaps []Gap
	Next int64
}

// Head is where a partition stands.
type Head struct {
	Partition Partition
	// First is the oldest offset kept, Next the offset of the next entry:
	// everything below Next is durable. Bytes is what the entries take.
	First, Next int64
	Bytes       int64
}

// Log is the port of the event log. It is safe for concurrent use.
type Log interface {
	// Append makes entries durable, in the order given, and returns their
	// offsets. When it returns without error the entries survive power loss;
	// calls at the same time share one sync. The arguments may be reused once it
	// returns. ErrFull means that nothing was written, ErrFailed that the outcome
	// is unknown and must not be acknowledged.
	Append(entries []Entry) ([]int64, error)
	// Read returns entries of a partition from an offset on: at least one if
	// there is any, and no further one once bytesMax of payload are reached. A
	// page without entries and gaps says that the reader is at the end. An
	// offset below First gives a gap up to First whose Why says that it was
	// removed by retention. The caller owns the page's memory.
	Read(p Partition, from int64, bytesMax int) (Page, error)
	// Metas calls visit with offset and meta of each entry of a partition from
	// an offset on, without reading payloads, until visit returns false. meta
	// is valid until visit returns.
	Metas(p Partition, from int64, visit func(offset int64, meta []byte) bool) error
	// Heads lists the partitions in an order that does not change.
	Heads() []Head
	// Changed receives after new entries became durable; several changes may
	// come as one. There is one channel for the log and one who waits on it.
	Changed() <-chan struct{}
	// Release tells that no reader needs what is below an offset any more.
	// Retention removes only what is released.
	Release(p Partition, below int64)
	// Close waits for appends under way.
	Close() error
}

// Key names a document. Documents of one tenant and kind are ordered by ID,
// byte by byte.
type Key struct {
	Tenant event.Tenant
	Kind   string
	ID     string
}

// Document is a document as it is read.
type Document struct {
	ID    string
	Value []byte
	// Version changes with each write of the document; it is never 0.
	Version uint64
}

// Write is one change: Value replaces the document, nil deletes it.
type Write struct {
	Key   Key
	Value []byte
	// If makes the write depend on the document's version: nil writes whatever
	// there is, a version only over that one, and 0 only where there is none.
	If *uint64
}

// Durability says when a change of Records must be on disk.
type Durability bool

const (
	// Relaxed: soon. A crash may lose it, but never a part of one Apply, nor
	// one that came before another that is kept.
	Relaxed Durability = false
	// Durable: before the call returns, and with it all that came before.
	Durable Durability = true
)

// Range selects documents of one tenant and kind: From <= ID < To, where an
// empty To is without end.
type Range struct {
	Tenant   event.Tenant
	Kind     string
	From, To string
	// Reverse visits from the end.
	Reverse bool
}

// Records is the port of documents. It is safe for concurrent use.
type Records interface {
	// Get returns a document, or ErrNotFound. The caller owns its value.
	Get(k Key) (Document, error)
	// Apply makes all changes or none: ErrConflict when the condition of one
	// does not hold.
	Apply(writes []Write, d Durability) error
	// Scan visits the documents of a range in order until visit returns
	// false. The document is valid until visit returns; writes made meanwhile are
	// not seen.
	Scan(r Range, visit func(Document) bool) error
	// DeleteRange deletes the documents of a range.
	DeleteRange(r Range, d Durability) error
}

// Space is how much room a disk has.
type Space struct {
	// FreeBytes is what is left for this process, of TotalBytes.
	FreeBytes, TotalBytes uint64
	At                    time.Time
}
