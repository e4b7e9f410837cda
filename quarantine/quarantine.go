// Package quarantine keeps what could not be evaluated: its bytes, where they
// came from and why, so that a person can look at them and have them tried again.
//
// The writes of an entry belong into the commit of whoever gave it up, so that the
// ledger and the quarantine never disagree. An entry's id is derived from its
// place in the log and sorts by receive time: giving the same record up again
// after a restart writes nothing new. A list reads no raw bytes. Each tenant has a
// budget of bytes, beyond which the oldest go. A Store is safe for concurrent use.
package quarantine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Bounds of an entry and of the store.
const (
	// RawBytesMax is how much of a record is kept: what the largest event has.
	RawBytesMax = 1 << 20
	// BytesDefault is the budget of a tenant.
	BytesDefault = 1 << 30
	// LimitDefault and LimitMax are how many entries a page has.
	LimitDefault = 100
	LimitMax     = 1000

	// entryBytes is what an entry costs beside its raw bytes: its keys, in two
	// places, and what the engine adds.
	entryBytes = 256
	// textBytesMax bounds each text of an entry, detailBytesMax the detail.
	textBytesMax   = 256
	detailBytesMax = 4 << 10
	// rowsMax bounds how many entries are looked at for a page; one that nothing
	// fits has a cursor to go on with.
	rowsMax = 100_000
	// sumsMax bounds the pairs of source and reason that are told apart.
	sumsMax = 10_000
	// removeBatch bounds one write of Trim.
	removeBatch = 500
)

// The kinds of document: entry without and with its raw bytes.
const (
	kindEntry = "quarantine"
	kindRaw   = "quarantine/raw"
)

// headBytes stands before an entry's JSON: the length of its raw bytes, so that
// sums need not decode.
const headBytes = 4

// ErrCursor: the cursor is not one that a page gave.
var ErrCursor = errors.New("the cursor is not one of this list; start without one")

// Entry is one record that was given up. Its JSON form is the API's.
type Entry struct {
	// ID is set by [Store.Writes].
	ID string `json:"id" doc:"Derived from where the record stands in the log; sorts by receive time."`
	// Source, Protocol and Format say how it came; Format is empty where none
	// was recognised.
	Source   string `json:"source"`
	Protocol string `json:"protocol,omitempty"`
	Format   string `json:"format,omitempty"`
	// Reason is one of a closed set of words; Detail is a sentence.
	Reason string `json:"reason" doc:"Why it was given up, in a word."`
	Detail string `json:"detail,omitempty" doc:"Why it was given up, in a sentence."`
	// Peer is who sent it.
	Peer     string    `json:"peer,omitempty"`
	Received time.Time `json:"received"`
	// Partition, Offset and Index are its place in the log.
	Partition string `json:"partition"`
	Offset    int64  `json:"offset"`
	Index     int    `json:"index"`
	// Bytes is the size it had; Hash is the SHA-256 of what is kept, in
	// hexadecimal, and set by [Store.Writes].
	Bytes int    `json:"bytes" doc:"Its size when it was received; at most 1 MiB of it is kept."`
	Hash  string `json:"hash" doc:"SHA-256 of the bytes that are kept, in hexadecimal."`
	// Raw are its bytes; a list leaves them out.
	Raw []byte `json:"raw,omitempty" doc:"Its bytes, in base64."`
	// Retried is when it was last tried again, Outcome what came of it.
	Retried time.Time `json:"retried,omitzero"`
	Outcome string    `json:"outcome,omitempty"`
}

// ID derives the id of the record at a place in the log.
func ID(partition string, offset int64, index int, received time.Time) string {
	place := binary.BigEndian.AppendUint64(nil, uint64(len(partition)))
	place = append(place, partition...)
	place = binary.BigEndian.AppendUint64(place, uint64(offset))
	place = binary.BigEndian.AppendUint64(place, uint64(index))
	sum := sha256.Sum256(place)
	return hex.EncodeToString(append(timeKey(received), sum[:12]...))
}

// timeKey orders times, those before 1970 included. It covers the years 1678 to
// 2262, which a receive time is in.
func timeKey(t time.Time) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(t.UnixNano())^1<<63)
}

// Store keeps the entries of all tenants. It is safe for concurrent use.
type Store struct {
	records store.Records
	clock   env.Clock

	mu    sync.Mutex
	bytes map[event.Tenant]int64 // known totals
}

// Open makes a store. The records stay the caller's to close.
func Open(records store.Records, clock env.Clock) *Store {
	return &Store{records: records, clock: clock, bytes: map[event.Tenant]int64{}}
}

func entryKey(t event.Tenant, id string) store.Key {
	return store.Key{Tenant: t, Kind: kindEntry, ID: id}
}

func rawKey(t event.Tenant, id string) store.Key {
	return store.Key{Tenant: t, Kind: kindRaw, ID: id}
}

func cost(rawBytes, valueBytes int) int64 {
	return int64(rawBytes) + int64(valueBytes) + entryBytes
}

func encode(e *Entry, rawBytes int) ([]byte, error) {
	e.Raw = nil
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("quarantine entry %s: %w", e.ID, err)
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(rawBytes)), b...), nil
}

func decode(d store.Document) (e *Entry, rawBytes int, err error) {
	if len(d.Value) < headBytes {
		return nil, 0, fmt.Errorf("quarantine entry %.64q has %d bytes", d.ID, len(d.Value))
	}
	e = &Entry{}
	if err := json.Unmarshal(d.Value[headBytes:], e); err != nil {
		return nil, 0, fmt.Errorf("quarantine entry %.64q: %w", d.ID, err)
	}
	return e, int(binary.BigEndian.Uint32(d.Value)), nil
}

// Writes returns what stores the entries, for the caller's Apply. An entry that
// is stored already, with what became of it since, is left as it is. The entries
// are not changed; their raw bytes must stay as they are until the Apply. ID and
// Hash are set in what is stored; Bytes is the length of Raw where it is smaller.
func (s *Store) Writes(t event.Tenant, entries []Entry) ([]store.Write, error) {
	var writes []store.Write
	var added int64
	fresh := map[string]bool{}
	for _, e := range entries {
		e.ID = ID(e.Partition, e.Offset, e.Index, e.Received)
		if fresh[e.ID] {
			continue
		}
		if _, err := s.records.Get(entryKey(t, e.ID)); err == nil {
			continue
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, fmt.Errorf("quarantine: %w", err)
		}
		fresh[e.ID] = true
		raw := e.Raw[:min(len(e.Raw), RawBytesMax)]
		sum := sha256.Sum256(raw)
		e.Hash, e.Bytes = hex.EncodeToString(sum[:]), max(e.Bytes, len(e.Raw))
		e.Received = e.Received.UTC()
		for _, text := range []*string{&e.Source, &e.Protocol, &e.Format, &e.Reason, &e.Peer, &e.Partition, &e.Outcome} {
			*text = event.Clip(*text, textBytesMax)
		}
		e.Detail = event.Clip(e.Detail, detailBytesMax)
		value, err := encode(&e, len(raw))
		if err != nil {
			return nil, err
		}
		if raw == nil {
			raw = []byte{}
		}
		writes = append(writes, store.Write{Key: entryKey(t, e.ID), Value: value}, store.Write{Key: rawKey(t, e.ID), Value: raw})
		added += cost(len(raw), len(value))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if total, known := s.bytes[t]; known {
		s.bytes[t] = total + added
	}
	return writes, nil
}

// Get returns an entry with its raw bytes, or store.ErrNotFound.
func (s *Store) Get(t event.Tenant, id string) (*Entry, error) {
	if !isID(id) {
		return nil, fmt.Errorf("quarantine entry %.64q: %w", id, store.ErrNotFound)
	}
	doc, err := s.records.Get(entryKey(t, id))
	if err != nil {
		return nil, fmt.Errorf("quarantine entry %s: %w", id, err)
	}
	e, _, err := decode(doc)
	if err != nil {
		return nil, err
	}
	raw, err := s.records.Get(rawKey(t, id))
	if err != nil {
		return nil, fmt.Errorf("quarantine entry %s: its bytes: %w", id, err)
	}
	e.Raw = raw.Value
	return e, nil
}

// idDigits is the length of an id.
const idDigits = 2 * (8 + 12)

func isID(s string) bool {
	return len(s) == idDigits && strings.Trim(s, "0123456789abcdef") == ""
}

// Removal returns the writes that delete an entry, for a caller that deletes it
// in a commit of its own, and store.ErrNotFound where there is none. They hold
// only while nobody else changes it.
func (s *Store) Removal(t event.Tenant, id string) ([]store.Write, error) {
	if !isID(id) {
		return nil, fmt.Errorf("quarantine entry %.64q: %w", id, store.ErrNotFound)
	}
	doc, err := s.records.Get(entryKey(t, id))
	if err != nil {
		return nil, fmt.Errorf("quarantine entry %s: %w", id, err)
	}
	_, raw, err := decode(doc)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if total, known := s.bytes[t]; known {
		s.bytes[t] = total - cost(raw, len(doc.Value))
	}
	return []store.Write{{Key: entryKey(t, id), If: &doc.Version}, {Key: rawKey(t, id)}}, nil
}

// Delete deletes an entry; store.ErrNotFound where there is none.
func (s *Store) Delete(t event.Tenant, id string) error {
	writes, err := s.Removal(t, id)
	if err != nil {
		return err
	}
	if err := s.records.Apply(writes, store.Durable); err != nil {
		s.forget(t)
		return fmt.Errorf("delete quarantine entry %s: %w", id, err)
	}
	return nil
}

// MarkRetried records that an entry was tried again and what came of it, in a
// sentence.
func (s *Store) MarkRetried(t event.Tenant, id, outcome string) error {
	if !isID(id) {
		return fmt.Errorf("quarantine entry %.64q: %w", id, store.ErrNotFound)
	}
	doc, err := s.records.Get(entryKey(t, id))
	if err != nil {
		return fmt.Errorf("quarantine entry %s: %w", id, err)
	}
	e, raw, err := decode(doc)
	if err != nil {
		return err
	}
	e.Retried, e.Outcome = s.clock.Now().UTC().Round(0), event.Clip(outcome, detailBytesMax)
	value, err := encode(e, raw)
	if err != nil {
		return err
	}
	if err := s.records.Apply([]store.Write{{Key: entryKey(t, id), Value: value, If: &doc.Version}}, store.Relaxed); err != nil {
		return fmt.Errorf("mark quarantine entry %s: %w", id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if total, known := s.bytes[t]; known {
		s.bytes[t] = total + int64(len(value)-len(doc.Value))
	}
	return nil
}

// Filter selects entries; each field that is set must fit.
type Filter struct {
	Source, Reason string
	// From and To bound the receive time: From <= time < To.
	From, To time.Time
	// Limit bounds the page; 0 is [LimitDefault], and it is at most
	// [LimitMax].
	Limit int
	// Cursor is that of the page before, or empty.
	Cursor string
}

// Page is a part of a list.
type Page struct {
	// Entries are the caller's, without raw bytes. There may be fewer than the
	// limit, or none, although there are more.
	Entries []*Entry
	// Next goes on behind this page; empty at the end. It stays good whatever
	// is stored meanwhile.
	Next string
}

func (f *Filter) bounds(t event.Tenant) store.Range {
	r := store.Range{Tenant: t, Kind: kindEntry, Reverse: true}
	if !f.From.IsZero() {
		r.From = hex.EncodeToString(timeKey(f.From))
	}
	if !f.To.IsZero() {
		r.To = hex.EncodeToString(timeKey(f.To))
	}
	return r
}

// scan visits the entries that fit, in the range's order.
func (s *Store) scan(r store.Range, f *Filter, visit func(e *Entry, rawBytes int, fits bool) bool) error {
	var broken error
	err := s.records.Scan(r, func(d store.Document) bool {
		e, raw, err := decode(d)
		if err != nil {
			broken = err
			return false
		}
		return visit(e, raw, (f.Source == "" || e.Source == f.Source) && (f.Reason == "" || e.Reason == f.Reason))
	})
	return errors.Join(err, broken)
}

// List returns the entries that fit, the newest first by receive time.
func (s *Store) List(t event.Tenant, f Filter) (Page, error) {
	r := f.bounds(t)
	if f.Cursor != "" {
		if !isID(f.Cursor) {
			return Page{}, ErrCursor
		}
		if r.To == "" || f.Cursor < r.To {
			r.To = f.Cursor
		}
	}
	limit := min(f.Limit, LimitMax)
	if limit <= 0 {
		limit = LimitDefault
	}
	var page Page
	looked, last := 0, ""
	err := s.scan(r, &f, func(e *Entry, _ int, fits bool) bool {
		if len(page.Entries) == limit || looked == rowsMax {
			page.Next = last
			return false
		}
		looked++
		last = e.ID
		if fits {
			page.Entries = append(page.Entries, e)
		}
		return true
	})
	if err != nil {
		return Page{}, fmt.Errorf("list quarantine: %w", err)
	}
	return page, nil
}

// Sum is how much of a source is kept for a reason.
type Sum struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
	// Bytes is what is kept of them, without what the store itself needs.
	Bytes uint64 `json:"bytes"`
}

// Sums adds up the entries that fit, by source and reason in that order; Limit
// and Cursor do not matter. Beyond ten thousand pairs the rest is not counted.
func (s *Store) Sums(t event.Tenant, f Filter) ([]Sum, error) {
	type pair struct{ source, reason string }
	sums := map[pair]*Sum{}
	err := s.scan(f.bounds(t), &f, func(e *Entry, raw int, fits bool) bool {
		p := pair{e.Source, e.Reason}
		if !fits || sums[p] == nil && len(sums) == sumsMax {
			return true
		}
		if sums[p] == nil {
			sums[p] = &Sum{Source: e.Source, Reason: e.Reason}
		}
		sums[p].Count++
		sums[p].Bytes += uint64(raw)
		return true
	})
	if err != nil {
		return nil, fmt.Errorf("sum quarantine: %w", err)
	}
	list := make([]Sum, 0, len(sums))
	for _, sum := range sums {
		list = append(list, *sum)
	}
	slices.SortFunc(list, func(a, b Sum) int {
		if c := strings.Compare(a.Source, b.Source); c != 0 {
			return c
		}
		return strings.Compare(a.Reason, b.Reason)
	})
	return list, nil
}
