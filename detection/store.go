package detection

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// The kinds of document. A detection's own document holds all of it; its state
// is the little that deciding about the next revision takes; the indexes carry
// the state too, so that a filter reads no document it does not show.
const (
	kindDetection = "detection"
	kindState     = "detection/state"
	kindCreated   = "detection/created" // by time of creation and id
	kindRule      = "detection/rule"    // by rule, time of creation and id
	kindSeq       = "detection/seq"     // by number in the feed
	kindFeed      = "detection/feed"    // one document: the feed's counter
)

const feedID = "feed"

// idBytesMax bounds an id; ours have 32 digits.
const idBytesMax = 128

// reserveNumbers is how many numbers of the feed are set aside at once for
// relaxed writes: one of so many waits for the disk, and a crash leaves a hole of
// at most so many.
const reserveNumbers = 1024

// attemptsMax bounds how often Put starts again because another process wrote
// between its read and its write.
const attemptsMax = 8

// The phases of a detection.
const (
	Provisional = "provisional"
	Final       = "final"
	Closed      = "closed"
	Superseded  = "superseded"
)

// Store keeps detections on a store of documents. There is one Store for a
// store.Records: readers of the feed are woken by it. It is safe for concurrent
// use; calls of Put for one tenant run one after the other, which is what keeps
// the feed in order.
type Store struct {
	records store.Records
	clock   env.Clock

	mu      sync.Mutex
	tenants map[event.Tenant]*feed

	dropped atomic.Uint64
}

// feed is what is known of one tenant's feed.
type feed struct {
	// mu serialises changes of the tenant's detections. It is taken before
	// waking.
	mu     sync.Mutex
	loaded bool
	feedCounter
	version uint64 // of the counter's document, 0 while there is none

	waking  sync.Mutex
	changed chan struct{} // closed and replaced with each change
}

// feedCounter is the counter's document: Last is the newest number in use,
// Reserved the highest that may have been used by writes that a crash took back.
// Numbers up to it are not given again, so that a reader never meets one twice.
type feedCounter struct {
	Last     uint64
	Reserved uint64
}

func (c feedCounter) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, c.Last)
	return binary.BigEndian.AppendUint64(b, c.Reserved)
}

// Open makes a store. The records stay the caller's to close.
func Open(records store.Records, clock env.Clock) *Store {
	return &Store{records: records, clock: clock, tenants: map[event.Tenant]*feed{}}
}

func (s *Store) feed(t event.Tenant) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.tenants[t]
	if f == nil {
		f = &feed{changed: make(chan struct{})}
		s.tenants[t] = f
	}
	return f
}

// load reads the counter. The caller holds mu.
func (f *feed) load(s *Store, t event.Tenant) error {
	if f.loaded {
		return nil
	}
	d, err := s.records.Get(store.Key{Tenant: t, Kind: kindFeed, ID: feedID})
	switch {
	case errors.Is(err, store.ErrNotFound):
		f.feedCounter, f.version = feedCounter{}, 0
	case err != nil:
		return fmt.Errorf("read the detections' feed: %w", err)
	case len(d.Value) != 16:
		return fmt.Errorf("read the detections' feed: its counter has %d bytes, not 16", len(d.Value))
	default:
		f.feedCounter = feedCounter{binary.BigEndian.Uint64(d.Value), binary.BigEndian.Uint64(d.Value[8:])}
		f.Last = max(f.Last, f.Reserved)
		f.version = d.Version
	}
	f.loaded = true
	return nil
}

func (f *feed) wake() {
	f.waking.Lock()
	defer f.waking.Unlock()
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *feed) wait() <-chan struct{} {
	f.waking.Lock()
	defer f.waking.Unlock()
	return f.changed
}

// Dropped is how many events were left out of detections because they were too
// large to keep there, since the store was opened.
func (s *Store) Dropped() uint64 { return s.dropped.Load() }

// Change is a detection that Put has changed.
type Change struct {
	// Detection is what is stored now. The receiver must not change it.
	Detection *Detection
	// First: it was never seen before.
	First bool
	// Previous is its phase before, or empty.
	Previous string
	// WasSuppressed: until now an earlier detection stood for it.
	WasSuppressed bool
}

// Put stores revisions, each under its id, together with more in one Apply, and
// returns those that changed something that can be seen, in the order of list. One that
// is stored already, or is older than what is stored, changes nothing: after a
// restart the same revisions may be put again. A phase never goes back, but a
// superseded detection lives again when its id fires with evidence that it has
// not had. Created and Updated are set here, and Seq, whose numbers follow the order
// of changes but may have holes.
//
// ErrConflict is that of a condition in more; then nothing was written. The
// arguments are not changed and may be used again.
func (s *Store) Put(t event.Tenant, list []*Detection, more []store.Write, d store.Durability) ([]Change, error) {
	return s.PutWith(t, list, func([]Change) ([]store.Write, error) { return more, nil }, d)
}

// PutWith is Put for a caller whose own writes depend on what changes, as
// notifications do: more is given the changes before they are stored, once for
// each attempt, and must not call the store's Put or Latest. Its error ends the
// call, and nothing is written.
func (s *Store) PutWith(t event.Tenant, list []*Detection, more func([]Change) ([]store.Write, error), d store.Durability) ([]Change, error) {
	f := s.feed(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	for attempt := 1; ; attempt++ {
		if err := f.load(s, t); err != nil {
			return nil, err
		}
		changes, err := s.put(t, f, list, more, d)
		if err == nil {
			if len(changes) > 0 {
				f.wake()
			}
			return changes, nil
		}
		f.loaded = false
		if !errors.Is(err, store.ErrConflict) || attempt == attemptsMax {
			return nil, err
		}
		version := f.version
		if err := f.load(s, t); err != nil {
			return nil, err
		}
		if f.version == version {
			return nil, err // the condition was one of more
		}
	}
}

func (s *Store) put(t event.Tenant, f *feed, list []*Detection, also func([]Change) ([]store.Write, error), d store.Durability) ([]Change, error) {
	b := batch{tenant: t, now: s.clock.Now().UTC().Round(0), last: f.Last, states: map[string]*state{}}
	var changes []Change
	for _, in := range list {
		c, changed, err := b.add(s, in)
		if err != nil {
			return nil, err
		}
		if changed {
			changes = append(changes, c)
		}
	}
	more, err := also(changes)
	if err != nil {
		return nil, err
	}
	if len(changes) == 0 {
		if len(more) == 0 && d == store.Relaxed {
			return nil, nil
		}
		return nil, s.records.Apply(more, d)
	}
	next := feedCounter{Last: b.last, Reserved: f.Reserved}
	switch {
	case d == store.Durable:
		next.Reserved = next.Last
	case next.Last > next.Reserved:
		next.Reserved = next.Last + reserveNumbers
		d = store.Durable
	}
	version := f.version
	writes := append(b.writes, store.Write{Key: store.Key{Tenant: t, Kind: kindFeed, ID: feedID}, Value: next.encode(), If: &version})
	if err := s.records.Apply(append(writes, more...), d); err != nil {
		return nil, fmt.Errorf("store %d detections: %w", len(changes), err)
	}
	s.dropped.Add(b.dropped)
	// Its version is only known by reading it, which costs less than a
	// conflict.
	doc, err := s.records.Get(store.Key{Tenant: t, Kind: kindFeed, ID: feedID})
	f.feedCounter, f.version, f.loaded = next, doc.Version, err == nil
	return changes, nil
}

// batch is one Put under way.
type batch struct {
	tenant  event.Tenant
	now     time.Time
	last    uint64
	dropped uint64
	states  map[string]*state // of this batch, by id
	writes  []store.Write
}

func (b *batch) key(kind, id string) store.Key {
	return store.Key{Tenant: b.tenant, Kind: kind, ID: id}
}

func (b *batch) write(kind, id string, value []byte) {
	b.writes = append(b.writes, store.Write{Key: b.key(kind, id), Value: value})
}

// before is the state of an id before this revision, or nil.
func (b *batch) before(s *Store, id string) (*state, error) {
	if st := b.states[id]; st != nil {
		return st, nil
	}
	doc, err := s.records.Get(b.key(kindState, id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read detection %.40q: %w", id, err)
	}
	st := &state{}
	if err := json.Unmarshal(doc.Value, st); err != nil {
		return nil, fmt.Errorf("read detection %.40q: %w", id, err)
	}
	return st, nil
}

func (b *batch) add(s *Store, in *Detection) (Change, bool, error) {
	if in.ID == "" || len(in.ID) > idBytesMax {
		return Change{}, false, fmt.Errorf("a detection needs an id of 1 to %d bytes, not %d", idBytesMax, len(in.ID))
	}
	if rank(in.Phase) < 0 {
		return Change{}, false, fmt.Errorf("detection %s: %.20q is not a phase", in.ID, in.Phase)
	}
	old, err := b.before(s, in.ID)
	if err != nil {
		return Change{}, false, err
	}
	phase, changed := decide(old, in)
	if !changed {
		return Change{}, false, nil
	}
	out, dropped := bounded(in)
	out.Phase = phase
	b.dropped += dropped
	b.last++
	out.Seq, out.Created, out.Updated = b.last, b.now, b.now
	c := Change{Detection: out, First: old == nil}
	st := summary(out)
	if old != nil {
		c.Previous, c.WasSuppressed = old.Phase, old.Suppressed
		out.Created, st.Created = old.Created, old.Created
		st.Seen = old.Seen
		b.write(kindSeq, seqID(old.Seq), nil)
	}
	st.saw(signature(in, in.Phase), signature(out, out.Phase))
	b.states[in.ID] = st

	doc, err := json.Marshal(out)
	if err != nil {
		return Change{}, false, fmt.Errorf("detection %s: %w", in.ID, err)
	}
	full, err := json.Marshal(st)
	if err != nil {
		return Change{}, false, fmt.Errorf("detection %s: %w", in.ID, err)
	}
	row, err := json.Marshal(st.row)
	if err != nil {
		return Change{}, false, fmt.Errorf("detection %s: %w", in.ID, err)
	}
	if old != nil && old.Rule != st.Rule {
		b.write(kindRule, ruleID(old.Rule, old.Created, old.ID), nil)
	}
	b.write(kindDetection, in.ID, doc)
	b.write(kindState, in.ID, full)
	b.write(kindCreated, createdID(st.Created, st.ID), row)
	b.write(kindRule, ruleID(st.Rule, st.Created, st.ID), row)
	b.write(kindSeq, seqID(st.Seq), []byte(st.ID))
	return c, true, nil
}
