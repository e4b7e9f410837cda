package segment

import (
	"errors"
	"io/fs"
	"time"
)

// disk is what the committer knows of the disk's room.
type disk struct {
	known       bool
	free, total int64
	// since is how much was written since the disk was looked at.
	since int64
}

// lookBytes is how much is written before the disk is looked at again, however
// short ago that was: an eighth of the least reserve by default.
const lookBytes = 32 << 20

const (
	reserveLeast = 256 << 20
	// hysteresisLeast is how much beyond the reserve must be free before a full
	// disk is written to again, or an eighth of the reserve if that is less.
	hysteresisLeast = 16 << 20
)

// reserve is how much is left free of a disk of a size.
func (l *Log) reserve(total int64) int64 {
	if l.cfg.Reserve != 0 {
		return max(l.cfg.Reserve, 0)
	}
	return min(max(reserveLeast, total/50), total/4)
}

// room reports whether n bytes may be written, and keeps the state of the disk.
// When there is no room, segments that nobody needs go first.
func (l *Log) room(n int64, now time.Time) bool {
	d := &l.committer.disk
	due := now.UnixNano() >= l.nextLook.Load()
	if !due && l.full.Load() {
		return false
	}
	if due || d.since+n > lookBytes {
		l.look(now)
	}
	if !d.known {
		l.full.Store(false)
		return true
	}
	reserve := l.reserve(d.total)
	need := reserve + n
	if l.full.Load() {
		need += min(hysteresisLeast, reserve/8)
	}
	if d.free-d.since < need && l.retain(now, need-(d.free-d.since)) {
		l.look(now)
	}
	full := d.known && d.free-d.since < need
	if !full {
		d.since += n
	}
	if was := l.full.Swap(full); full != was {
		if full {
			l.log.Error("the disk is nearly full: new data is refused", "free_bytes", d.free, "reserve_bytes", reserve)
		} else {
			l.log.Info("the disk has room again", "free_bytes", d.free, "reserve_bytes", reserve)
		}
	}
	return !full
}

func (l *Log) look(now time.Time) {
	d := &l.committer.disk
	usage, err := l.cfg.FS.GetDiskUsage(l.cfg.Dir)
	// A file system that cannot tell says so in time: a write fails.
	*d = disk{known: err == nil, free: int64(min(usage.AvailBytes, 1<<62)), total: int64(min(usage.TotalBytes, 1<<62))}
	l.nextLook.Store(now.Add(time.Second).UnixNano())
}

// maintain seals a segment that is too old to wait for more, and retires old
// ones.
func (l *Log) maintain(now time.Time) {
	c := &l.committer
	if age := l.cfg.Retention.Age; age > 0 && c.live != nil && now.Sub(c.created) > age/2 {
		l.seal()
	}
	l.retain(now, 0)
}

// retain removes segments that nobody needs, oldest first, while there are
// more or older ones than wanted, and beyond that until it has freed a number of
// bytes. It reports whether it removed any.
func (l *Log) retain(now time.Time, free int64) bool {
	removed := false
	for {
		if !l.clearLeftover() {
			return removed
		}
		f := l.retire(now, free)
		if f == nil {
			return removed
		}
		removed = true
		free -= f.bytes
		l.files.drop(f)
		fs, dir := l.cfg.FS, l.cfg.Dir
		name := numberName(f.number)
		err := fs.Remove(fs.PathJoin(dir, name+segmentSuffix))
		if err == nil {
			if f.indexed {
				_ = fs.Remove(fs.PathJoin(dir, name+indexSuffix)) // without its segment it is removed when the log is next opened
			}
			// Names go one by one: a power cut must not bring an older segment back
			// without a younger one, which would look like a loss.
			err = syncDir(fs, dir)
		}
		if err != nil {
			l.log.Warn("a retired segment could not be removed; it is tried again before any other goes", "file", f.name, "error", err)
			l.committer.leftover = append(l.committer.leftover, f.name)
			return removed
		}
	}
}

// clearLeftover removes what is left over of segments that do not count, and reports
// whether all of it is gone for good. Until then no other may go: that they do
// not count stands in those that follow them, and without these a start would
// take in what was never acknowledged, or find a loss where there is none.
func (l *Log) clearLeftover() bool {
	c := &l.committer
	if len(c.leftover) == 0 {
		return true
	}
	for _, name := range c.leftover {
		if err := l.cfg.FS.Remove(l.cfg.FS.PathJoin(l.cfg.Dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	if err := syncDir(l.cfg.FS, l.cfg.Dir); err != nil {
		return false
	}
	c.leftover = nil
	return true
}

// retire takes the oldest segment out of the index if it may go.
func (l *Log) retire(now time.Time, free int64) *file {
	l.mu.Lock()
	defer l.mu.Unlock()
	files := l.index.files
	// The newest stays: the offsets of partitions without entries stand in it.
	if len(files) <= 1 || l.pins > 0 {
		return nil
	}
	f, keep := files[0], l.cfg.Retention
	if free <= 0 {
		total := int64(0)
		for _, f := range files {
			total += f.bytes
		}
		over := keep.Bytes > 0 && total > keep.Bytes
		old := keep.Age > 0 && now.UnixNano()-f.lastNanos > int64(keep.Age)
		if !over && !old {
			return nil
		}
	}
	for p, last := range f.last {
		if p.served && last >= p.released {
			return nil
		}
	}
	for p, last := range f.last {
		i := p.at(last + 1)
		for _, e := range p.entries[:i] {
			p.bytes -= e.bytes()
		}
		p.entries = append([]location(nil), p.entries[i:]...)
		p.first = max(p.first, last+1)
		for len(p.holes) > 0 && p.holes[0].to <= p.first {
			p.holes = p.holes[1:]
		}
	}
	f.removed = true
	l.index.files = append([]*file(nil), files[1:]...)
	return f
}
