package segment

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/store"
)

const (
	// commitBytesMax bounds what one sync takes on beyond the first call, and
	// with it how long the calls behind wait.
	commitBytesMax = 4 << 20
	// gatherBytes is how much of small frames goes into one write; larger frames
	// are written from where they are.
	gatherBytes = 256 << 10
	// tickQuiet and tickFull are how often an idle committer looks after
	// retention, and after a disk that was full.
	tickQuiet = time.Minute
	tickFull  = time.Second
)

// committer is the state of the one goroutine that writes. Nobody else touches
// it.
type committer struct {
	epoch    uint32
	number   uint64
	sequence uint64
	// previous is the last segment that counts, previousEnd how much of it.
	previous    uint64
	previousEnd int64

	// live is the segment that is written, nil when there is none.
	live *file
	w    vfs.File
	// fresh tells that neither the file's name nor anything in it is durable yet.
	fresh   bool
	created time.Time
	// written is the length of the file, planned with what is gathered, synced
	// what is known to be durable.
	written, planned, synced int64
	gathered                 []byte
	// unmarked are the partitions that got entries since the last mark.
	unmarked map[*partition]struct{}
	disk     disk
	// leftover are the files of segments that do not count and may still be there.
	leftover []string
	// complained is when a failure was logged last.
	complained time.Time
}

func (c *committer) init(x *loaded) {
	c.epoch, c.number, c.sequence = x.epoch+1, x.number, x.lastSeq
	c.unmarked = make(map[*partition]struct{})
	if n := len(x.files); n > 0 {
		c.previous, c.previousEnd = x.files[n-1].number, x.files[n-1].end
	}
}

func (l *Log) commitLoop() {
	defer close(l.done)
	timer := l.cfg.Clock.NewTimer(tickQuiet)
	defer timer.Stop()
	for {
		calls, ended := l.queue.take(commitBytesMax)
		if len(calls) > 0 {
			l.commit(calls)
			continue
		}
		if ended {
			l.seal()
			return
		}
		l.mark()
		l.maintain(l.cfg.Clock.Now())
		tick := tickQuiet
		if l.full.Load() {
			tick = tickFull
		}
		timer.Reset(tick)
		select {
		case <-l.queue.wake:
		case <-timer.C():
			if l.full.Load() {
				l.room(0, l.cfg.Clock.Now())
			}
		}
	}
}

// batch is what one sync makes durable.
type batch struct {
	calls []*call
	// heads are the next offsets of the partitions in it; fresh are those that the
	// index does not know yet.
	heads map[*partition]int64
	fresh map[partitionKey]*partition
	parts []*partition
	bytes int
	seal  bool
	later []headNext
}

// commit writes and syncs what was queued, and answers.
func (l *Log) commit(calls []*call) {
	c := &l.committer
	now := l.cfg.Clock.Now()
	size := int64(0)
	for _, call := range calls {
		size += call.bytes
	}
	if !l.room(size, now) {
		var rest []*call
		for _, c := range calls {
			if c.essential {
				rest = append(rest, c)
			} else {
				answer([]*call{c}, func(*call) error { return store.ErrFull })
			}
		}
		if calls = rest; len(calls) == 0 {
			return
		}
	}
	if c.live == nil {
		if err := l.begin(now); err != nil {
			l.fail(err, calls, true)
			return
		}
	}
	b := &batch{calls: calls, heads: make(map[*partition]int64), fresh: make(map[partitionKey]*partition)}
	if err := l.write(b, now); err != nil {
		l.fail(fmt.Errorf("write to segment %s: %w", c.live.name, err), calls, false)
		return
	}
	if l.cfg.sabotage.ackEarly {
		answer(calls, func(*call) error { return nil })
	}
	if err := l.sync(); err != nil && !l.cfg.sabotage.trustFailedSync {
		// After a sync no write is known to have failed alone.
		l.fail(fmt.Errorf("sync segment %s: %w", c.live.name, err), calls, true)
		return
	}
	c.synced = c.written
	l.publish(b, now)
	if l.cfg.OnSync != nil {
		l.cfg.OnSync(l.cfg.Clock.Now().Sub(now), b.bytes)
	}
	if !l.cfg.sabotage.ackEarly {
		answer(calls, func(*call) error { return nil })
	}
	select {
	case l.changed <- struct{}{}:
	default:
	}
	if b.seal {
		l.sealed()
		l.maintain(now)
	}
}

func answer(calls []*call, verdict func(*call) error) {
	for _, call := range calls {
		call.done <- verdict(call)
	}
}

// begin creates a segment; its header is gathered, and written with the first
// entries.
func (l *Log) begin(now time.Time) error {
	c := &l.committer
	if c.number == math.MaxUint32 {
		return fmt.Errorf("the numbers of segments are used up (%s is the last): configure a new folder for the log", numberName(c.number))
	}
	c.number++
	t, err := l.tag(now)
	if err != nil {
		return fmt.Errorf("draw the tag of a new segment: %w", err)
	}
	h := segmentHeader{epoch: c.epoch, tag: t, number: c.number, previous: c.previous, previousEnd: c.previousEnd, createdNanos: now.UnixNano()}
	name := numberName(c.number) + segmentSuffix
	w, err := l.cfg.FS.Create(l.cfg.FS.PathJoin(l.cfg.Dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("create segment %s: %w", name, err)
	}
	held := &contents{header: h, headerSound: true, startKnown: true}
	heads := l.heads()
	held.start = held.partNexts(heads)
	c.live = &file{number: c.number, name: name, tag: t, live: held, last: make(map[*partition]int64), lastNanos: now.UnixNano()}
	c.w, c.fresh, c.created = w, true, now
	c.written, c.planned, c.synced = 0, segmentStartBytes, 0
	c.gathered = append(c.gathered[:0], make([]byte, segmentStartBytes)...)
	h.put(c.gathered)
	h.put(c.gathered[headerBytes:])
	clear(c.unmarked)
	return c.gather(c.note(kindHeads, heads, now))
}

// tag draws the tag of a new file.
func (l *Log) tag(now time.Time) (t tag, err error) {
	if l.cfg.Rand != nil {
		_, err = io.ReadFull(l.cfg.Rand, t[:])
	} else {
		seed := binary.LittleEndian.AppendUint64([]byte(l.cfg.Dir), uint64(now.UnixNano()))
		seed = binary.LittleEndian.AppendUint64(seed, l.committer.number)
		sum := sha256.Sum256(binary.LittleEndian.AppendUint32(seed, l.committer.epoch))
		copy(t[:], sum[:])
	}
	// A tag of zeros would be found in every hole of a file.
	t[0] |= 1
	return t, err
}

// heads are the heads of all partitions. Only the committer changes them.
func (l *Log) heads() []headNext {
	heads := make([]headNext, 0, len(l.index.sorted))
	for _, p := range l.index.sorted {
		heads = append(heads, headNext{key: p.key, next: p.next})
	}
	return heads
}

// note makes a frame that carries heads, for the next position.
func (c *committer) note(k kind, heads []headNext, now time.Time) []byte {
	payload := appendHeads(nil, heads)
	f := frame{
		kind: k, stored: uint32(len(payload)), plain: uint32(len(payload)), payloadCRC: checksum(payload), epoch: c.epoch,
		sequence: c.sequence, position: c.planned, synced: c.synced, timeNanos: now.UnixNano(),
	}
	b := make([]byte, frameFixedBytes, frameFixedBytes+len(payload))
	f.put(b, c.live.tag)
	return append(b, payload...)
}

// gather takes bytes for the next position.
func (c *committer) gather(b []byte) error {
	if len(b) <= gatherBytes && len(c.gathered)+len(b) <= gatherBytes {
		c.gathered = append(c.gathered, b...)
		c.planned += int64(len(b))
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.planned += int64(len(b))
	if len(b) < gatherBytes {
		c.gathered = append(c.gathered, b...)
		return nil
	}
	return c.put(b)
}

func (c *committer) flush() error {
	if len(c.gathered) == 0 {
		return nil
	}
	err := c.put(c.gathered)
	c.gathered = c.gathered[:0]
	return err
}

func (c *committer) put(b []byte) error {
	n, err := c.w.Write(b)
	c.written += int64(max(0, min(n, len(b))))
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

// write gives the entries their places and writes them.
func (l *Log) write(b *batch, now time.Time) error {
	c := &l.committer
	before := c.written
	for _, call := range b.calls {
		for i := range call.frames {
			p := &call.frames[i]
			part := l.index.partitions[p.header.key]
			if part == nil {
				if part = b.fresh[p.header.key]; part == nil {
					part = newIndex(l.cfg.Tenants).get(p.header.key)
					b.fresh[p.header.key] = part
				}
			}
			next, ok := b.heads[part]
			if !ok {
				next = part.next
			}
			b.heads[part] = next + 1
			b.parts = append(b.parts, part)
			c.sequence++
			call.offsets[i] = next
			h := &p.header
			h.offset, h.sequence, h.epoch = next, c.sequence, c.epoch
			h.position, h.synced, h.timeNanos = c.planned, c.synced, now.UnixNano()
			h.put(p.buf, c.live.tag)
			if err := c.gather(p.buf); err != nil {
				return err
			}
		}
	}
	if c.planned >= l.cfg.SegmentBytes {
		b.seal = true
		b.later = l.headsWith(b)
		if err := c.gather(c.note(kindSeal, b.later, now)); err != nil {
			return err
		}
	}
	err := c.flush()
	b.bytes = int(c.written - before)
	return err
}

// headsWith are the heads once a batch is in.
func (l *Log) headsWith(b *batch) []headNext {
	heads := l.heads()
	for i := range heads {
		if next, ok := b.heads[l.index.partitions[heads[i].key]]; ok {
			heads[i].next = next
		}
	}
	for k, p := range b.fresh {
		heads = append(heads, headNext{key: k, next: b.heads[p]})
	}
	return heads
}

// sync makes the file durable, and its name when it is new.
func (l *Log) sync() error {
	c := &l.committer
	if l.cfg.sabotage.skipSync {
		c.fresh = false
		return nil
	}
	if !c.fresh {
		return c.w.SyncData()
	}
	if err := c.w.Sync(); err != nil {
		return err
	}
	if !l.cfg.sabotage.skipDirSync {
		if err := syncDir(l.cfg.FS, l.cfg.Dir); err != nil {
			return fmt.Errorf("its folder: %w", err)
		}
	}
	c.fresh = false
	return nil
}

// publish lets readers see what is durable.
func (l *Log) publish(b *batch, now time.Time) {
	c := &l.committer
	l.mu.Lock()
	defer l.mu.Unlock()
	if files := l.index.files; len(files) == 0 || files[len(files)-1] != c.live {
		l.index.files = append(files, c.live)
	}
	for _, p := range b.fresh {
		l.index.insert(p)
	}
	held, i := c.live.live, 0
	for _, call := range b.calls {
		for _, p := range call.frames {
			h := &p.header
			e := found{
				part: held.part(h.key), offset: h.offset, sequence: h.sequence, position: h.position,
				head: uint32(h.headBytes()), stored: h.stored, meta: append([]byte(nil), h.meta...),
			}
			held.entries = append(held.entries, e)
			l.index.put(b.parts[i], c.live, e)
			c.unmarked[b.parts[i]] = struct{}{}
			i++
		}
	}
	held.lastNanos, held.lastSeq = now.UnixNano(), c.sequence
	c.live.end, c.live.bytes, c.live.lastNanos = c.synced, c.written, now.UnixNano()
	if b.seal {
		held.later, held.sealed = held.partNexts(b.later), true
	}
	l.failed = nil
}

// mark writes a mark when entries were synced since the last. It is not
// synced: it speaks of what is.
func (l *Log) mark() {
	c := &l.committer
	if c.live == nil || len(c.unmarked) == 0 || c.written != c.synced {
		return
	}
	heads := make([]headNext, 0, len(c.unmarked))
	for p := range c.unmarked {
		heads = append(heads, headNext{key: p.key, next: p.next})
	}
	clear(c.unmarked)
	if err := errors.Join(c.gather(c.note(kindMark, heads, l.cfg.Clock.Now())), c.flush()); err != nil {
		l.fail(fmt.Errorf("write a mark to segment %s: %w", c.live.name, err), nil, false)
	}
}

// seal closes the live segment in order.
func (l *Log) seal() {
	c := &l.committer
	if c.live == nil {
		return
	}
	now := l.cfg.Clock.Now()
	heads := l.heads()
	err := errors.Join(c.gather(c.note(kindSeal, heads, now)), c.flush())
	if err == nil {
		err = l.sync()
	}
	if err != nil {
		l.fail(fmt.Errorf("seal segment %s: %w", c.live.name, err), nil, true)
		return
	}
	c.synced = c.written
	l.mu.Lock()
	held := c.live.live
	held.later, held.sealed = held.partNexts(heads), true
	l.mu.Unlock()
	l.sealed()
}

// sealed closes the file of the live segment, all of which is durable, and
// writes its index.
func (l *Log) sealed() {
	c := &l.committer
	f, held := c.live, c.live.live
	if err := c.w.Close(); err != nil {
		l.log.Warn("a sealed segment could not be closed", "file", f.name, "error", err)
	}
	held.size, held.end = c.synced, c.synced
	err := writeIndex(l.cfg.FS, l.cfg.Dir, held)
	if err != nil {
		l.log.Warn("an index file could not be written", "file", f.name, "error", err)
	}
	l.mu.Lock()
	f.end, f.bytes, f.clean, f.indexed, f.live = c.synced, c.synced, true, err == nil, nil
	l.mu.Unlock()
	c.previous, c.previousEnd = f.number, f.end
	c.live, c.w = nil, nil
}
