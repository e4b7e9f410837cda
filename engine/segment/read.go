package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/tiercel-io/tiercel/store"
)

const (
	// planMax is how many entries are looked up under the lock at once.
	planMax = 64
	// gapsMax bounds the gaps of a page: each damaged entry takes a read.
	gapsMax = 1000
	// A read that fails is an error to the caller, who tries again, until it has
	// failed so often over so long that the bytes count as damaged: a disk with a
	// bad sector must not stop the stream.
	readFailuresMax = 5
	readFailuresFor = 10 * time.Second
	// readFailuresKept bounds what is remembered of them.
	readFailuresKept = 10_000
)

type readKey struct {
	segment, position uint32
}

type readFailure struct {
	count int
	first time.Time
}

// step is one thing to do for a page.
type step struct {
	// gap is set when there is nothing to read.
	gap  *store.Gap
	at   location
	file *file
}

// errRetired tells that retention took the file while it was being read.
var errRetired = errors.New("the segment was retired meanwhile")

// Read implements [store.Log]. A partition that was never written is
// [store.ErrNotFound]. A reader that stands beyond the end, because what it had
// seen was lost with the end of the newest file, is sent back: Next is the end.
func (l *Log) Read(p store.Partition, from int64, bytesMax int) (store.Page, error) {
	page := store.Page{Next: max(from, 0)}
	total := 0
	for {
		steps, next, err := l.plan(p, page.Next, int64(bytesMax-total))
		if err != nil {
			return store.Page{}, err
		}
		if len(steps) == 0 {
			page.Next = next
			return page, nil
		}
		for _, s := range steps {
			if s.gap != nil {
				page.Gaps = append(page.Gaps, *s.gap)
				page.Next = s.gap.To
				continue
			}
			if len(page.Entries) > 0 && total >= bytesMax || len(page.Gaps) >= gapsMax {
				return page, nil
			}
			e, gap, err := l.readEntry(p, s.at, s.file)
			switch {
			case errors.Is(err, errRetired):
				// The next plan begins with what retention left.
			case err != nil:
				return store.Page{}, fmt.Errorf("read partition %q at offset %d: %w", p, s.at.offset, err)
			case gap != nil:
				page.Gaps = append(page.Gaps, *gap)
				page.Next = gap.To
			default:
				page.Entries = append(page.Entries, e)
				page.Next = e.Offset + 1
				total += len(e.Payload)
			}
			if errors.Is(err, errRetired) {
				break
			}
		}
		if len(page.Entries) > 0 && total >= bytesMax || len(page.Gaps) >= gapsMax {
			return page, nil
		}
	}
}

// plan looks up what stands at an offset and behind it, about bytesMax of it,
// and where the partition ends.
func (l *Log) plan(name store.Partition, from, bytesMax int64) (steps []step, next int64, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return nil, 0, store.ErrClosed
	}
	p := l.index.partitions[keyOf(name)]
	if p == nil || !p.served {
		return nil, 0, fmt.Errorf("partition %q: %w", name, store.ErrNotFound)
	}
	if from < p.first {
		steps = append(steps, step{gap: &store.Gap{From: from, To: p.first, Why: "removed by retention"}})
		from = p.first
	}
	sum := int64(0)
	for i := p.at(from); from < p.next && len(steps) < planMax; {
		if i < len(p.entries) && p.entries[i].offset == from {
			if sum > 0 && sum >= bytesMax {
				break
			}
			steps = append(steps, step{at: p.entries[i], file: l.index.file(p.entries[i].segment)})
			sum += int64(p.entries[i].stored)
			from++
			i++
			continue
		}
		to := p.next
		if i < len(p.entries) {
			to = p.entries[i].offset
		}
		steps = append(steps, step{gap: &store.Gap{From: from, To: to, Why: p.why(from)}})
		from = to
	}
	return steps, p.next, nil
}

// why is why the entry at an offset is missing.
func (p *partition) why(offset int64) string {
	for _, h := range p.holes {
		if h.from <= offset && offset < h.to {
			return h.why
		}
	}
	return "the entries are missing"
}

// readEntry reads one entry. A damaged one is a gap.
func (l *Log) readEntry(name store.Partition, at location, in *file) (store.Stored, *store.Gap, error) {
	f, err := l.files.get(in)
	if err != nil {
		if l.retired(in) {
			return store.Stored{}, nil, errRetired
		}
		if errors.Is(err, os.ErrNotExist) {
			return store.Stored{}, l.damaged(name, at, in, "the file is missing"), nil
		}
		return store.Stored{}, nil, err
	}
	defer l.files.put(f)
	buf := buffer(int(at.bytes()))
	kept := false
	defer func() {
		if !kept {
			recycle(buf)
		}
	}()
	b := *buf
	if n, err := f.ReadAt(b, int64(at.position)); n < len(b) {
		switch {
		case errors.Is(err, io.EOF):
			return store.Stored{}, l.damaged(name, at, in, "the file was cut short"), nil
		case !l.hopeless(at):
			return store.Stored{}, nil, fmt.Errorf("segment %s at byte %d: %w", in.name, at.position, err)
		}
		return store.Stored{}, l.damaged(name, at, in, "the file system cannot read it"), nil
	}
	h, head, ok := parseFrame(b, in.tag, int64(at.position))
	if !ok || head != int(at.head) || h.offset != at.offset || h.stored != at.stored || h.key != keyOf(name) {
		return store.Stored{}, l.damaged(name, at, in, "the header is damaged"), nil
	}
	meta := bytes.Clone(h.meta)
	bad := func(why string) (store.Stored, *store.Gap, error) {
		gap := l.damaged(name, at, in, why)
		gap.Metas = map[int64][]byte{at.offset: meta}
		return store.Stored{}, gap, nil
	}
	stored := b[head:]
	if checksum(stored) != h.payloadCRC && !l.cfg.sabotage.trustPayload {
		return bad("the payload is damaged")
	}
	if h.flags&flagCompressed == 0 {
		// A copy lets the buffer go back to the pool; a rare giant is handed over.
		if cap(b) > pooledBytesMax {
			kept = true
			return store.Stored{Offset: at.offset, Meta: meta, Payload: stored}, nil, nil
		}
		return store.Stored{Offset: at.offset, Meta: meta, Payload: append(make([]byte, 0, len(stored)), stored...)}, nil, nil
	}
	if n, err := s2.DecodedLen(stored); err != nil || n != int(h.plain) {
		return bad("the payload is damaged: its length is not what its header says")
	}
	payload, err := s2.Decode(make([]byte, h.plain), stored)
	if err != nil {
		return bad("the payload is damaged: it cannot be decompressed")
	}
	return store.Stored{Offset: at.offset, Meta: meta, Payload: payload}, nil, nil
}

func (l *Log) retired(f *file) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return f.removed
}

// damaged notes a damaged entry and is the gap in its place, with its meta if
// the index has it.
func (l *Log) damaged(name store.Partition, at location, in *file, why string) *store.Gap {
	d := badEntry(keyOf(name), at.offset, in.name, int64(at.position), at.bytes())
	d.Why = why
	l.mu.Lock()
	fresh := l.index.damages.add(d)
	l.mu.Unlock()
	if fresh {
		l.log.Error("the log is damaged", "partition", d.Partition, "from", d.From, "to", d.To, "file", d.File, "position", d.Position, "bytes", d.Bytes, "why", why)
	}
	gap := &store.Gap{From: at.offset, To: at.offset + 1, Why: why}
	if held := l.held(in); held != nil {
		held.each(keyOf(name), at.offset, func(offset int64, meta []byte) bool {
			if offset == at.offset {
				gap.Metas = map[int64][]byte{offset: bytes.Clone(meta)}
			}
			return false
		})
	}
	return gap
}

// hopeless counts a failed read and reports whether it is to count as damage.
func (l *Log) hopeless(at location) bool {
	now := l.cfg.Clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	k := readKey{at.segment, at.position}
	r, ok := l.reads[k]
	if !ok {
		if len(l.reads) >= readFailuresKept {
			clear(l.reads)
		}
		r.first = now
	}
	r.count++
	l.reads[k] = r
	return r.count >= readFailuresMax && now.Sub(r.first) >= readFailuresFor
}
