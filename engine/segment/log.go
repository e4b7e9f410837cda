package segment

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Retention says what is kept of what no reader needs any more; what is not
// released is always kept. A zero is no limit.
type Retention struct {
	// Bytes is how much disk the log may take.
	Bytes int64
	// Age is how old, by the clock, the newest entry of a segment may be. An entry
	// may stay up to half as long again.
	Age time.Duration
}

// Compression says whether payloads are compressed.
type Compression int

const (
	// CompressS2 compresses payloads with S2, where that makes them smaller.
	CompressS2 Compression = iota
	// CompressNone keeps payloads as they are.
	CompressNone
)

// Config is how a log is opened.
type Config struct {
	// FS holds the log in folder Dir, which is made if need be.
	FS  vfs.FS
	Dir string
	// Clock dates entries and paces looks at the disk.
	Clock env.Clock
	// Rand gives the tags of files (see the package). Without it they are made
	// from the clock.
	Rand io.Reader
	// Tenants are the tenants that are served.
	Tenants *event.Tenants
	// SegmentBytes is when a new file is begun: 64 MiB if 0, at most 1 GiB.
	SegmentBytes int64
	Retention    Retention
	// Reserve is how many bytes of the disk are left free. If 0 it is the greater
	// of 256 MiB and 2 % of the disk, but at most a quarter of it; negative is
	// none.
	Reserve int64
	// Essential, if not nil, tells the partitions that may use the reserve: what
	// must still be written when new data is refused. A call counts as essential
	// when all its entries are.
	Essential func(store.Partition) bool
	// Compression is S2 unless said otherwise.
	Compression Compression
	// OnSync, if not nil, is told how long each write with its sync took and
	// how many bytes it made durable. It is called by the committer and must not
	// block.
	OnSync func(d time.Duration, bytes int)
	// Logger is told of recovery, damage and failures; nil is silent.
	Logger *slog.Logger

	sabotage sabotage
}

// sabotage plants bugs, so that a test can show that the tests find them.
type sabotage struct {
	skipSync, skipDirSync, ackEarly, trustFailedSync, trustPayload bool
}

const (
	segmentBytesDefault = 64 << 20
	segmentBytesMax     = 1 << 30
	// queueBytesMax bounds what waits to be written, and one call of Append.
	queueBytesMax = 256 << 20
	// kindBytesMax and sourceBytesMax bound names; store.Partition has the reason
	// of the second.
	kindBytesMax   = 64
	sourceBytesMax = 200
	shardMax       = 1<<31 - 1
)

// Log is a segment log. It is safe for concurrent use.
type Log struct {
	cfg     Config
	log     *slog.Logger
	lock    io.Closer
	queue   queue
	changed chan struct{}
	files   pool
	done    chan struct{}
	metas   metasCache

	// mu guards what follows.
	mu     sync.RWMutex
	index  *index
	closed bool
	// pins keeps retention away while files are copied.
	pins   int
	failed error
	// failures counts writes and syncs that failed.
	failures int64
	reads    map[readKey]readFailure

	// full tells appends that the disk was full when it was last looked at.
	full atomic.Bool
	// nextLook is when the disk may be looked at again, in Unix nanoseconds.
	nextLook atomic.Int64

	committer committer
}

var _ store.Log = (*Log)(nil)

// Open opens the log in a folder, or begins one. It returns an error when
// another process has it open, when a file was written by a newer version, or
// when the file system cannot be read; damaged files are no error (see
// [Log.Damage]).
func Open(cfg Config) (*Log, error) {
	if cfg.FS == nil || cfg.Clock == nil || cfg.Tenants == nil || cfg.Dir == "" {
		return nil, errors.New("open segment log: FS, Dir, Clock and Tenants must be given")
	}
	if cfg.SegmentBytes <= 0 {
		cfg.SegmentBytes = segmentBytesDefault
	}
	cfg.SegmentBytes = min(cfg.SegmentBytes, segmentBytesMax)
	l := &Log{
		cfg: cfg, log: cfg.Logger, changed: make(chan struct{}, 1), done: make(chan struct{}),
		reads: make(map[readKey]readFailure),
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	l.files.init(cfg.FS, cfg.Dir)
	l.queue.init()
	if err := l.open(); err != nil {
		if l.lock != nil {
			err = errors.Join(err, l.lock.Close())
		}
		return nil, fmt.Errorf("open segment log %q: %w", cfg.Dir, err)
	}
	go l.commitLoop()
	return l, nil
}

func (l *Log) open() error {
	fs, dir := l.cfg.FS, l.cfg.Dir
	if err := fs.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if err := syncParents(fs, dir); err != nil {
		return fmt.Errorf("make the folder durable: %w", err)
	}
	lock, err := fs.Lock(fs.PathJoin(dir, lockName))
	if err != nil {
		return fmt.Errorf("another process has this folder open, or it cannot be written to; stop the other one or choose another data folder: %w", err)
	}
	l.lock = lock
	x, err := load(fs, dir, l.cfg.Tenants, func(c *contents) bool {
		err := writeIndex(fs, dir, c)
		if err != nil {
			l.log.Warn("an index file could not be written", "segment", numberName(c.header.number), "error", err)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	l.index = x.index
	l.committer.init(x)
	l.tidy(x)
	for _, d := range x.damages.list {
		if d.Torn {
			l.log.Info("a write was cut off before it was acknowledged", "file", d.File, "position", d.Position, "bytes", d.Bytes, "partition", d.Partition)
		} else {
			l.log.Error("the log is damaged", "partition", d.Partition, "from", d.From, "to", d.To, "file", d.File, "position", d.Position, "bytes", d.Bytes, "why", d.Why)
		}
	}
	for _, u := range l.Unserved() {
		l.log.Warn("the log holds a partition of a tenant that is not configured", "tenant", u.Tenant, "kind", u.Kind, "source", u.Source, "shard", u.Shard, "bytes", u.Bytes)
	}
	return nil
}

// tidy makes what is served durable, since a process that was killed may have
// left it in the kernel's memory only, and removes what belongs to nothing.
// Nothing of it is needed for reading, so a failure is only told; what it leaves
// of segments goes before any other.
func (l *Log) tidy(x *loaded) {
	fs, dir := l.cfg.FS, l.cfg.Dir
	if n := len(x.files); n > 0 {
		f, err := fs.OpenReadWrite(fs.PathJoin(dir, x.files[n-1].name), vfs.WriteCategoryUnspecified)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			l.log.Error("the newest segment could not be synced", "file", x.files[n-1].name, "error", err)
		}
	}
	for _, n := range x.idle {
		x.stray = append(x.stray, numberName(n)+indexSuffix)
		l.committer.leftover = append(l.committer.leftover, numberName(n)+segmentSuffix)
	}
	for _, name := range x.stray {
		if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
			l.log.Debug("a file that belongs to nothing could not be removed", "file", name, "error", err)
		}
	}
	if !l.clearLeftover() {
		l.log.Warn("segments that do not count could not be removed; they are tried again before any other goes", "segments", len(l.committer.leftover))
	}
	if err := syncDir(fs, dir); err != nil {
		l.log.Error("the folder of the log could not be synced", "error", err)
	}
}

// Changed implements [store.Log].
func (l *Log) Changed() <-chan struct{} { return l.changed }

// Heads implements [store.Log]. The order is that of the names. Partitions of
// tenants that are not configured are left out (see [Log.Unserved]).
func (l *Log) Heads() []store.Head {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var heads []store.Head
	for _, p := range l.index.sorted {
		if p.served {
			heads = append(heads, store.Head{Partition: p.name, First: p.first, Next: p.next, Bytes: p.bytes})
		}
	}
	return heads
}

// Unserved is a partition of a tenant that is not configured. It is served
// again once the tenant is; until then retention treats it as released.
type Unserved struct {
	Tenant, Kind, Source string
	Shard                int
	First, Next, Bytes   int64
}

// Unserved lists the partitions of tenants that are not configured, in the
// order of their names.
func (l *Log) Unserved() []Unserved {
	l.mu.RLock()
	defer l.mu.RUnlock()
	var list []Unserved
	for _, p := range l.index.sorted {
		if !p.served {
			list = append(list, Unserved{
				Tenant: p.key.tenant, Kind: p.key.kind, Source: p.key.source, Shard: p.key.shard,
				First: p.first, Next: p.next, Bytes: p.bytes,
			})
		}
	}
	return list
}

// Stats is the state of a log.
type Stats struct {
	// Segments and Bytes are what is on disk, indexes apart.
	Segments int
	Bytes    int64
	// Partitions counts those known, served or not.
	Partitions int
	// Waiting is how many appends wait for their sync.
	Waiting int
	// DamagedEntries counts entries that are lost, Damages what [Log.Damage]
	// lists or would list if it had room.
	DamagedEntries int64
	Damages        int
	// Failures counts writes and syncs that failed. Failed is not nil while the
	// log cannot write: a new segment failed too. It is nil again after the next
	// append that succeeds.
	Failures int64
	Failed   error
	// Full tells that appends are refused with [store.ErrFull].
	Full bool
}

// Stats returns the state of the log.
func (l *Log) Stats() Stats {
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := Stats{
		Segments: len(l.index.files), Partitions: len(l.index.partitions), Waiting: l.queue.waiting(),
		DamagedEntries: l.index.damages.entries, Damages: l.index.damages.total,
		Failures: l.failures, Failed: l.failed, Full: l.full.Load(),
	}
	for _, f := range l.index.files {
		s.Bytes += f.bytes
	}
	return s
}

// Damage lists what was found damaged since the log was opened, the first
// 1,000. What nobody has read since is checked by [Verify]. The caller owns it.
func (l *Log) Damage() []Damage {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return append([]Damage(nil), l.index.damages.list...)
}

// Release implements [store.Log].
func (l *Log) Release(p store.Partition, below int64) {
	l.mu.Lock()
	part := l.index.partitions[keyOf(p)]
	more := part != nil && below > part.released
	if more {
		part.released = below
	}
	l.mu.Unlock()
	if more {
		l.queue.poke()
	}
}

// Close implements [store.Log]: it waits for appends under way, seals the
// segment and gives the folder free. Other calls return [store.ErrClosed] from
// then on. A second call does nothing.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		<-l.done
		return nil
	}
	l.queue.close()
	<-l.done
	l.files.close()
	return l.lock.Close()
}
