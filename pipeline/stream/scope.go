package stream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/wire"
)

// Metas of entries in partitions of matches.
const (
	metaSections = 'S'
	metaContent  = 'C' // followed by the version
)

// scope is stage 2 for one partition of matches. It belongs to one goroutine.
type scope struct {
	node      *Node
	partition store.Partition
	imported  bool

	next int64 // the next offset to read
	// gapped says that entries could not be read, or may not have been by the
	// process before.
	gapped  bool
	content *Content
	engine  *correlate.Engine
	rules   map[string]int
	// marks are the next offsets expected of producers, and sources their
	// numbers, by name.
	marks   map[string]int64
	sources []string

	recent    *recent
	integrity *health.Integrity
	level     level
	book      *ledger.Book
	// expects is the content that decides behind all that is in the log; the
	// node's lock guards it.
	expects Version
	// Of the commit under way:
	changed  map[event.ID]revision
	order    []event.ID
	received map[string]int64 // by detection id: receive times of the entries that completed them
	now      int64            // receive time of the section under way
	place    event.ID         // its producer and offset

	snapshotAt    time.Time
	snapshotNext  int64
	snapshotBytes int
	bytesSince    int
}

// revision is one with the content that its rule is looked up in: the commit
// may have met another since.
type revision struct {
	*correlate.Detection
	content *Content
}

// producer names a partition among the producers of a scope.
func producer(source string, shard int) string { return fmt.Sprintf("%s#%d", source, shard) }

// settle gives the scope the content that decides what comes next.
func (s *scope) settle(c *Content) error {
	cfg := c.correlateConfig(s.partition.Tenant, s.node.settings(s.partition.Tenant))
	if s.engine == nil {
		s.engine = correlate.New(cfg)
	} else {
		var kept bytes.Buffer
		if err := s.engine.Snapshot(&kept); err != nil {
			return err
		}
		engine, err := correlate.Restore(cfg, &kept)
		if err != nil {
			return fmt.Errorf("carry correlations over to new content: %w", err)
		}
		s.engine = engine
	}
	s.use(c)
	return nil
}

// use makes c the content whose rules hits are looked up in.
func (s *scope) use(c *Content) {
	s.content = c
	s.level.evicted = s.engine.Counters().EvictedGroups
	s.level.next.Store(s.next)
	s.rules = make(map[string]int)
	for i, r := range c.deciding() {
		s.rules[r.ID] = i
	}
}

// source returns the number of a producer.
func (s *scope) source(name string) int {
	if i := slices.Index(s.sources, name); i >= 0 {
		return i
	}
	s.sources = append(s.sources, name)
	return len(s.sources) - 1
}

// Detection implements correlate.Sink.
func (s *scope) Detection(d *correlate.Detection) {
	if _, known := s.changed[d.ID]; !known {
		s.order = append(s.order, d.ID)
		s.received[d.ID.String()] = s.now
	}
	if d.Phase == correlate.Superseded {
		// It has no evidence to derive a revision from. A detection can be taken
		// back, live again and be taken back again: the second time must not pass
		// for the first one read again.
		d.Revision = event.RevisionID([]event.ID{d.ID, s.place})
	}
	s.changed[d.ID] = revision{d, s.content}
}

// Late implements correlate.Sink. What is late is counted by the engine; its
// windows are decided over stored history where that is kept.
func (s *scope) Late(correlate.Late) {}

// read takes one page of sections and commits what came of it. It reports
// whether there was any.
func (s *scope) read() (bool, error) {
	page, err := s.node.log.Read(s.partition, s.next, pageBytes)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil // nothing was ever found
	}
	if err != nil {
		return false, fmt.Errorf("read matches of %v: %w", s.partition, err)
	}
	if page.Next == s.next {
		return false, nil
	}
	c := &commit{}
	gaps := page.Gaps
	for i := range page.Entries {
		for len(gaps) > 0 && gaps[0].From < page.Entries[i].Offset {
			if err := s.gap(&gaps[0]); err != nil {
				return false, err
			}
			gaps = gaps[1:]
		}
		if err := s.entry(&page.Entries[i], c); err != nil {
			return false, err
		}
	}
	for i := range gaps {
		if err := s.gap(&gaps[i]); err != nil {
			return false, err
		}
	}
	s.engine.Flush(s)
	s.next = page.Next
	return true, s.commit(c)
}

// pageBytes is what stage 2 takes at once: enough to make commits few under
// load, little enough to be quick.
const pageBytes = 1 << 20

// commit gathers what one write of stage 2 holds besides detections.
type commit struct {
	sections []*Section
	writes   []store.Write
}

// entry applies one entry of the log.
func (s *scope) entry(e *store.Stored, c *commit) error {
	s.bytesSince += len(e.Payload)
	if len(e.Meta) == 0 {
		return fmt.Errorf("an entry of %v at %d has no meta", s.partition, e.Offset)
	}
	switch e.Meta[0] {
	case metaContent:
		return s.turn(e.Meta)
	case metaSections:
		d := wire.Decoder{B: e.Payload}
		for len(d.B) > 0 {
			section, err := parseSection(&d)
			if err != nil {
				return fmt.Errorf("an entry of %v at %d: %w", s.partition, e.Offset, err)
			}
			if err := s.section(section, c); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("an entry of %v at %d is of an unknown kind", s.partition, e.Offset)
}

// turn makes the content that a meta names decide what comes next.
func (s *scope) turn(meta []byte) error {
	var v Version
	copy(v[:], meta[1:])
	content, err := s.node.contents.get(v)
	if err != nil {
		return err
	}
	s.engine.Flush(s)
	return s.settle(content)
}

// section applies what stage 1 found in one entry, unless it was applied
// before. What is missing in front of it is found once more.
func (s *scope) section(x *Section, c *commit) error {
	name := producer(x.Source, x.Shard)
	expected, known := s.marks[name]
	if x.Offset < expected {
		return nil
	}
	if !known {
		expected = x.Offset
		p := store.Partition{Tenant: s.partition.Tenant, Kind: ingest.KindEvents, Source: x.Source, Shard: x.Shard}
		if f := s.node.scheduler.feed(p); f != nil {
			expected = f.since
		}
	}
	if x.Offset > expected {
		if err := s.again(x.Source, x.Shard, expected, x.Offset, c); err != nil {
			return err
		}
	}
	s.apply(x, c)
	return nil
}

// apply applies a section that is due.
func (s *scope) apply(x *Section, c *commit) {
	name := producer(x.Source, x.Shard)
	s.marks[name] = x.Next
	s.now = x.Received
	c.sections = append(c.sections, x)
	source := s.source(name)
	binary.BigEndian.PutUint64(s.place[:], uint64(source))
	binary.BigEndian.PutUint64(s.place[8:], uint64(x.Offset))
	for i := range x.Evidence {
		s.recent.add(s.partition.Tenant, x, &x.Evidence[i])
	}
	for i := range x.Hits {
		h := &x.Hits[i]
		e := &x.Evidence[h.Evidence]
		s.recent.hit(e.ID, h)
		r, ok := s.rules[h.Rule]
		if !ok || !s.engine.Feeds(r) {
			continue
		}
		s.engine.Hit(&correlate.Hit{
			Rule: r, Source: source, Time: e.Time, Seq: e.Seq, ID: e.ID, Fields: fieldsFor(s.engine.Needs(r), x.Needs[h.Rule], h.Key),
		}, s)
	}
	// Behind each section, so that what is said on the way does not depend on how
	// many of them were read at once: what is provisional must be said again, and
	// taken back, when they are read again.
	s.engine.Flush(s)
	switch {
	case s.imported && x.Last:
		s.engine.Close(s)
		s.engine = correlate.New(s.content.correlateConfig(s.partition.Tenant, s.node.settings(s.partition.Tenant)))
	case !s.imported && x.Watermark != never:
		s.engine.Watermark(source, x.Watermark, s)
	}
}

// fieldsFor puts the values of a hit, named by had, in the order of needs.
func fieldsFor(needs, had []string, values [][]string) [][]string {
	if slices.Equal(needs, had) && len(values) == len(needs) {
		return values
	}
	out := make([][]string, len(needs))
	for i, name := range needs {
		if at := slices.Index(had, name); at >= 0 && at < len(values) {
			out[i] = values[at]
		}
	}
	return out
}

// commit writes what came of a page: detections, evidence, quarantine, the
// ledger and notifications, all or nothing.
func (s *scope) commit(c *commit) error {
	n := s.node
	t := s.partition.Tenant
	now := n.clock.Now()
	writes := c.writes
	writes = append(writes, s.recent.writes(t)...)
	var unread []quarantine.Entry
	for _, x := range c.sections {
		for i := range x.Quarantine {
			unread = append(unread, quarantineEntry(t, x, &x.Quarantine[i]))
		}
	}
	if len(unread) > 0 {
		more, err := n.quarantine.Writes(t, unread)
		if err != nil {
			return fmt.Errorf("quarantine: %w", err)
		}
		writes = append(writes, more...)
	}
	counted, err := s.account(c.sections)
	if err != nil {
		return err
	}
	writes = append(writes, counted...)
	list, gaps := missing(t, c.sections)
	writes = append(writes, gaps...)
	doubtful, states := s.doubtful(c.sections)
	list, writes = append(list, doubtful...), append(writes, states...)
	for _, id := range s.order {
		d, err := s.describe(s.changed[id])
		if err != nil {
			return err
		}
		list = append(list, d)
	}
	if len(writes) > 0 || len(list) > 0 {
		// What people see must not go back: after a crash it would come again, and
		// be seen twice. The rest is made again from the log.
		kept := store.Relaxed
		if len(list) > 0 {
			kept = store.Durable
		}
		changes, err := n.detections.PutWith(t, list, func(changes []detection.Change) ([]store.Write, error) {
			if n.cfg.Outbox == nil || len(changes) == 0 {
				return writes, nil
			}
			notify, err := n.cfg.Outbox(t, changes)
			return append(slices.Clip(writes), notify...), err
		}, kept)
		if err != nil {
			return fmt.Errorf("store detections: %w", err)
		}
		s.book.Written()
		n.metrics.detected(changes, s.received, now)
		n.count(t, c.sections)
	}
	n.metrics.count(t.String(), c.sections)
	s.tell(now)
	n.traceDecided(t, c.sections, now)
	clear(s.changed)
	clear(s.received)
	s.order = s.order[:0]
	return nil
}

// counts notes up to where the ledger reached at a snapshot.
func (n *Node) counts(t event.Tenant, marks map[string]int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, next := range marks {
		i := strings.LastIndexByte(name, '#')
		shard, err := strconv.Atoi(name[i+1:])
		if i < 0 || err != nil {
			continue
		}
		n.counted[store.Partition{Tenant: t, Kind: ingest.KindEvents, Source: name[:i], Shard: shard}] = next
	}
}

// count notes up to where the ledger of a commit reaches.
func (n *Node) count(t event.Tenant, sections []*Section) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range sections {
		n.counted[store.Partition{Tenant: t, Kind: ingest.KindEvents, Source: x.Source, Shard: x.Shard}] = x.Next
	}
}

func quarantineEntry(t event.Tenant, x *Section, q *Unread) quarantine.Entry {
	return quarantine.Entry{
		Source: x.Source, Protocol: x.Protocol, Format: q.Format, Reason: q.Reason, Detail: q.Detail, Peer: q.Peer,
		Received:  time.UnixMicro(x.Received).UTC(),
		Partition: store.Partition{Tenant: t, Kind: ingest.KindEvents, Source: x.Source, Shard: x.Shard}.String(),
		Offset:    x.Offset, Index: q.Index, Bytes: q.Bytes, Raw: q.Raw,
	}
}

// A snapshot is taken when what would have to be read again is worth it: more
// than this, and more than the snapshot itself, or this long ago.
const (
	snapshotBytesMin = 8 << 20
	snapshotAfter    = 30 * time.Second
	snapshotChunk    = 1 << 20
	snapshotVersion  = 1
	kindScope        = "scope"
)

// snapshot writes the scope's state when it is due, or when now is set.
func (s *scope) snapshot(force bool) error {
	now := s.node.clock.Now()
	due := force || s.bytesSince > max(snapshotBytesMin, s.snapshotBytes) || now.Sub(s.snapshotAt) > snapshotAfter
	if !due || s.next == s.snapshotNext {
		return nil
	}
	var state bytes.Buffer
	head := []byte{snapshotVersion}
	head = binary.AppendVarint(head, s.next)
	head = append(head, s.content.Version[:]...)
	head = wire.AppendTexts(head, s.sources)
	head = binary.AppendUvarint(head, uint64(len(s.marks)))
	for _, name := range sortedKeys(s.marks) {
		head = binary.AppendVarint(wire.AppendText(head, name), s.marks[name])
	}
	state.Write(head)
	if err := s.engine.Snapshot(&state); err != nil {
		return fmt.Errorf("snapshot of %v: %w", s.partition, err)
	}
	if err := saveState(s.node.records, s.partition.Tenant, kindScope, s.partition.Source, state.Bytes()); err != nil {
		return fmt.Errorf("snapshot of %v: %w", s.partition, err)
	}
	s.snapshotAt, s.snapshotNext, s.snapshotBytes, s.bytesSince = now, s.next, state.Len(), 0
	s.node.log.Release(s.partition, s.next)
	return nil
}

var errScope = errors.New("unusable snapshot of a scope")

// restore loads the last snapshot. Without one, or with one that is damaged, the
// scope starts anew at the oldest entry that the log has.
func (s *scope) restore(first int64, current *Content) error {
	s.marks = map[string]int64{}
	s.snapshotAt, s.snapshotNext = s.node.clock.Now(), -1
	state, err := loadState(s.node.records, s.partition.Tenant, kindScope, s.partition.Source)
	if err == nil {
		if err = s.decode(state); err == nil {
			return nil
		}
	}
	fresh := errors.Is(err, store.ErrNotFound)
	if !fresh {
		s.node.logger.Error("the state of correlations is lost and is made again from the log", "partition", s.partition.String(), "error", err.Error())
	}
	s.marks, s.sources, s.engine = map[string]int64{}, nil, nil
	s.next = first
	if err := s.settle(current); err != nil {
		return err
	}
	return s.snapshot(true)
}

func (s *scope) decode(state []byte) error {
	d := wire.Decoder{B: state}
	if d.Byte() != snapshotVersion {
		return errScope
	}
	s.next = d.Varint()
	var v Version
	copy(v[:], d.Take(len(v)))
	s.sources = d.Texts()
	for range d.Count(2) {
		s.marks[d.Text()] = d.Varint()
	}
	if d.Failed {
		return errScope
	}
	c, err := s.node.contents.get(v)
	if err != nil {
		return err
	}
	engine, err := correlate.Restore(c.correlateConfig(s.partition.Tenant, s.node.settings(s.partition.Tenant)), bytes.NewReader(d.B))
	if err != nil {
		return err
	}
	s.engine = engine
	s.use(c)
	s.node.counts(s.partition.Tenant, s.marks)
	s.snapshotNext, s.snapshotBytes = s.next, len(state)
	return nil
}
