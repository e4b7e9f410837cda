package segment

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/tiercel-io/tiercel/store"
)

// metasCache keeps the index that was read last: Metas goes through the
// partitions of a segment one after the other.
type metasCache struct {
	mu   sync.Mutex
	file *file
	held *contents
}

// Metas implements [store.Log]. Entries whose payload is damaged are visited
// as long as their meta is known. It returns [store.ErrNotFound] as Read does.
func (l *Log) Metas(name store.Partition, from int64, visit func(offset int64, meta []byte) bool) error {
	key := keyOf(name)
	l.mu.RLock()
	p := l.index.partitions[key]
	closed := l.closed
	var files []*file
	first := int64(0)
	if p != nil {
		first = p.first
		for _, f := range l.index.files {
			if last, ok := f.last[p]; ok && last >= from {
				files = append(files, f)
			}
		}
	}
	l.mu.RUnlock()
	if closed {
		return store.ErrClosed
	}
	if p == nil || !p.served {
		return fmt.Errorf("partition %q: %w", name, store.ErrNotFound)
	}
	from = max(from, first)
	for _, f := range files {
		next, goOn := from, true
		if held := l.held(f); held != nil {
			goOn = held.each(key, from, func(offset int64, meta []byte) bool {
				next = offset + 1
				return visit(offset, meta)
			})
		} else {
			var err error
			if next, goOn, err = l.metasOf(f, p, from, visit); err != nil {
				return fmt.Errorf("read metas of partition %q: %w", name, err)
			}
		}
		if !goOn {
			return nil
		}
		from = next
	}
	return nil
}

// Sound reports whether the entry at an offset is there and, as far as is known,
// whole: false where a power cut tore its payload, or damage was found when the
// log was opened. It reads nothing.
func (l *Log) Sound(name store.Partition, offset int64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	p := l.index.partitions[keyOf(name)]
	if p == nil {
		return false
	}
	i := p.at(offset)
	return i < len(p.entries) && p.entries[i].offset == offset && !p.entries[i].bad
}

// held is what a segment holds, from memory or its index; nil when there is no
// sound index.
func (l *Log) held(f *file) *contents {
	l.mu.RLock()
	live, indexed := f.live, f.indexed
	if live != nil {
		// What is in the slices now does not change any more.
		live = &contents{keys: live.keys, entries: live.entries}
	}
	l.mu.RUnlock()
	if live != nil || !indexed {
		return live
	}
	l.metas.mu.Lock()
	defer l.metas.mu.Unlock()
	if l.metas.file == f {
		return l.metas.held
	}
	c := readIndex(l.cfg.FS, l.cfg.Dir, f.number)
	if c == nil || c.header.tag != f.tag {
		return nil
	}
	l.metas.file, l.metas.held = f, c
	return c
}

// each visits the entries of a partition from an offset on.
func (c *contents) each(key partitionKey, from int64, visit func(int64, []byte) bool) bool {
	part := -1
	for i, k := range c.keys {
		if k == key {
			part = i
		}
	}
	for i := range c.entries {
		if e := &c.entries[i]; e.part == part && e.offset >= from && !visit(e.offset, e.meta) {
			return false
		}
	}
	return true
}

// metasOf reads the headers of a partition's entries from a segment.
func (l *Log) metasOf(f *file, p *partition, from int64, visit func(int64, []byte) bool) (next int64, goOn bool, err error) {
	l.mu.RLock()
	var list []location
	for _, at := range p.entries[p.at(from):] {
		if at.segment == uint32(f.number) {
			list = append(list, at)
		} else if at.segment > uint32(f.number) {
			break
		}
	}
	l.mu.RUnlock()
	o, err := l.files.get(f)
	if err != nil {
		if l.retired(f) || errors.Is(err, os.ErrNotExist) {
			return from, true, nil
		}
		return from, false, err
	}
	defer l.files.put(o)
	var b [frameHeadBytesMax]byte
	for _, at := range list {
		from = at.offset + 1
		head := b[:at.head]
		if n, _ := o.ReadAt(head, int64(at.position)); n < len(head) {
			continue
		}
		h, _, ok := parseFrame(head, f.tag, int64(at.position))
		if ok && h.offset == at.offset && h.key == p.key && !visit(at.offset, h.meta) {
			return from, false, nil
		}
	}
	return from, true, nil
}
