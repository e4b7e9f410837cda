// Package pebble is the embedded engine of documents: the port store.Records on
// cockroachdb/pebble, one folder with one owner.
//
// A document is one key of Pebble: tenant and kind, each with its length in
// front, then the id, so that ids keep their order and no two names meet. Its
// value begins with its version, a counter that is written in the same batch, so
// that versions need no clock and a document that was deleted and made again
// never has an old one. Conditions are checked and the batch is handed to Pebble
// under one lock, which makes compare-and-set exact; the wait for the disk is
// outside of it, so that calls at the same time share a sync.
//
// Durability is that of Pebble's log of writes: what is relaxed is lost from the
// end or not at all. When a write or a sync of that log fails, the engine is
// stuck on purpose: whether the bytes are on disk is unknown, so that every later
// write is refused with store.ErrFailed until the folder is opened again. A
// failure to write Pebble's own manifest in the background ends the process,
// since it cannot go on and a restart recovers.
//
// A damaged folder is told from other trouble by [ErrDamaged]; the owner moves
// it aside with [SetAside] and rebuilds from snapshots and the log. There is one
// damage that Pebble cannot tell: in the last 32 KiB of its newest log, where a
// flipped bit looks like the torn end of a power cut. Then the documents end
// earlier, at a call's boundary, and what follows is made again from the log of
// events. An Engine is safe for concurrent use.
package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	upstream "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/store"
)

// ErrDamaged tells, with errors.Is, that files of the folder are damaged or
// missing: it will not get better by trying again. Move the folder aside with
// [SetAside] and build a new one.
var ErrDamaged = errors.New("the folder of documents is damaged")

// Defaults of [Config].
const (
	// CacheBytesDefault holds the blocks that a process at rest reads again and
	// again; more of them would not fit beside the rest into 100 MB.
	CacheBytesDefault = 32 << 20
	// MemTableBytesDefault lets a snapshot of some megabytes pass without a
	// flush. Pebble begins with 256 KiB and grows towards it.
	MemTableBytesDefault = 16 << 20
)

// openFilesMax bounds the table files that are held open. Documents are few
// gigabytes at most, in files of 2 MB and more.
const openFilesMax = 256

// walUnsyncedBytesMax is how much of relaxed writes may wait for a sync; with
// it "soon" has a bound in bytes on a busy store, as the operating system gives
// one in time on an idle one.
const walUnsyncedBytesMax = 1 << 20

// bloomBitsPerKey gives 1 % false positives (Pebble's own recommendation): most
// conditions ask for documents that are not there.
const bloomBitsPerKey = 10

// format is the version of the keys and values in this package. Raise it with
// any change to them that an older program would misread.
const format = 1

// Config says where the documents are and what they may cost.
type Config struct {
	// FS holds the folder Dir, which is made when it is missing.
	FS  vfs.FS
	Dir string
	// CacheBytes bounds the cache of blocks; 0 is [CacheBytesDefault].
	CacheBytes int64
	// MemTableBytes bounds one memtable, of which there are two at most; 0 is
	// [MemTableBytesDefault].
	MemTableBytes uint64
	// Logger receives what Pebble reports; nil drops it.
	Logger *slog.Logger
	// Clock times the pauses of a disk that is full; nil makes none.
	Clock env.Clock
}

// Engine is an open folder of documents. It implements store.Records and is
// safe for concurrent use.
type Engine struct {
	db    *upstream.DB
	files vfs.FS
	log   *slog.Logger
	dir   string

	// life guards closed; inflight counts the calls under way, for which Close
	// waits.
	life     sync.Mutex
	closed   bool
	inflight sync.WaitGroup

	// writing serialises check and commit. It is taken before failing.
	writing sync.Mutex
	version uint64 // the last one given; guarded by writing

	// failing guards failure, which is set once.
	failing sync.Mutex
	failure error
	failed  chan struct{}
	damaged chan struct{}

	// nosync makes durable writes relaxed: the planted bug by which the
	// power-cut test shows that it can fail.
	nosync bool
}

// Open opens or makes the folder. Its error is [ErrDamaged] when files of it are
// damaged; a folder that a newer version has written, and one that another
// process has open, are refused with a message that says so.
func Open(cfg Config) (*Engine, error) {
	if cfg.FS == nil || cfg.Dir == "" {
		return nil, errors.New("open documents: a file system and a folder are needed")
	}
	if cfg.CacheBytes <= 0 {
		cfg.CacheBytes = CacheBytesDefault
	}
	if cfg.MemTableBytes == 0 {
		cfg.MemTableBytes = MemTableBytesDefault
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if err := unseal(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("open documents in %q: %w", cfg.Dir, err)
	}
	e := &Engine{files: cfg.FS, log: cfg.Logger, dir: cfg.Dir, failed: make(chan struct{}), damaged: make(chan struct{})}
	db, err := openDB(cfg, &journal{log: cfg.Logger, fatal: e.fail, damaged: sync.OnceFunc(func() { close(e.damaged) })})
	if err != nil {
		return nil, fmt.Errorf("open documents in %q: %w", cfg.Dir, err)
	}
	e.db = db
	if err := e.begin(); err != nil {
		return nil, fmt.Errorf("open documents in %q: %w", cfg.Dir, errors.Join(err, db.Close()))
	}
	return e, nil
}

// openDB opens Pebble. Damaged bytes can make it panic in places that have no
// error to return; that is damage too.
func openDB(cfg Config, log *journal) (db *upstream.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("%w: %.300v", ErrDamaged, r)
		}
	}()
	var files vfs.FS = orderedFS{cfg.FS}
	if cfg.Clock != nil {
		files = patientFS{files, cfg.Clock}
	}
	opts := &upstream.Options{
		FS:                 files,
		CacheSize:          cfg.CacheBytes,
		MemTableSize:       cfg.MemTableBytes,
		MaxOpenFiles:       openFilesMax,
		WALBytesPerSync:    walUnsyncedBytesMax,
		Logger:             log,
		FormatMajorVersion: upstream.FormatTableFormatV6,
		// Without a handler of ours Pebble would end the process at a damaged
		// block; the read that met it returns the error anyway.
		EventListener: &upstream.EventListener{
			BackgroundError: func(err error) { log.Errorf("background: %v", err) },
			DataCorruption: func(info upstream.DataCorruptionInfo) {
				log.Errorf("%v", info)
				log.damaged()
			},
		},
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBitsPerKey)
	}
	db, err = upstream.Open(cfg.Dir, opts)
	if err != nil {
		return nil, judge(err)
	}
	return db, nil
}

// judge adds ErrDamaged to an error of Pebble that comes from damaged or missing
// files. Anything else, such as a disk that does not answer, stays what it is:
// moving a folder aside for it would lose sound documents.
func judge(err error) error {
	switch {
	case err == nil:
		return nil
	case upstream.IsCorruptionError(err),
		errors.Is(err, fs.ErrNotExist),
		errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, record.ErrInvalidChunk),
		errors.Is(err, record.ErrZeroedChunk),
		// The marker of the format is missing, and the folder looks half new.
		errors.Is(err, upstream.ErrDBNotPristine),
		errors.Is(err, upstream.ErrDBAlreadyExists),
		// A table that was cut has no error of its own to ask for.
		strings.Contains(err.Error(), "object size mismatch"):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}

// begin reads the format and the counter of versions, or writes them into an
// empty folder.
func (e *Engine) begin() error {
	value, err := e.read(formatKey)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return e.initialise()
	case err != nil:
		return err
	}
	n, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil {
		return fmt.Errorf("%w: its format reads %.20q", ErrDamaged, value)
	}
	if n > format {
		return fmt.Errorf("it was written by a newer version of Tiercel (format %d, this one knows %d): start that version, or restore a backup that this one made", n, format)
	}
	value, err = e.read(counterKey)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(value) != versionBytes {
		return fmt.Errorf("%w: its counter of versions has %d bytes", ErrDamaged, len(value))
	}
	e.version = binary.BigEndian.Uint64(value)
	return nil
}

func (e *Engine) initialise() error {
	it, err := e.db.NewIter(&upstream.IterOptions{LowerBound: []byte{documents}})
	if err != nil {
		return judge(err)
	}
	found := it.First()
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return judge(err)
	}
	if found {
		return fmt.Errorf("%w: it has documents and no format", ErrDamaged)
	}
	return e.db.Set(formatKey, strconv.AppendUint(nil, format, 10), upstream.Sync)
}

// enter begins a call; the caller ends it with e.inflight.Done.
func (e *Engine) enter() error {
	e.life.Lock()
	defer e.life.Unlock()
	if e.closed {
		return store.ErrClosed
	}
	e.inflight.Add(1)
	return nil
}

// fail records the first failure of a write.
func (e *Engine) fail(err error) {
	e.failing.Lock()
	defer e.failing.Unlock()
	if e.failure == nil {
		e.failure = err
		close(e.failed)
	}
}

func (e *Engine) refused() error {
	e.failing.Lock()
	defer e.failing.Unlock()
	return e.failure
}

// Failed is closed once a write has failed: every later one is refused with
// store.ErrFailed, and the owner must close the engine and open it again.
func (e *Engine) Failed() <-chan struct{} { return e.failed }

// Damaged is closed once a damaged block was met, by a call or in the
// background: what stands in it is lost, and the owner does best to close the
// engine and to move the folder aside with [SetAside].
func (e *Engine) Damaged() <-chan struct{} { return e.damaged }

// Close waits for calls under way, then closes the folder; relaxed writes are
// synced. A Scan's visit must not call it. A second Close does nothing.
func (e *Engine) Close() error {
	e.life.Lock()
	if e.closed {
		e.life.Unlock()
		return nil
	}
	e.closed = true
	e.life.Unlock()
	e.inflight.Wait()
	if err := e.db.Close(); err != nil {
		return fmt.Errorf("close documents in %q: %w", e.dir, err)
	}
	if err := seal(e.files, e.dir); err != nil {
		e.log.Warn("documents were closed without a seal", "error", err.Error())
	}
	return nil
}

// Checkpoint writes a copy of the folder as it is now, everything applied
// before included, into dir, which must not exist and must be on the same file
// system: tables are linked, not copied. [Open] opens it.
func (e *Engine) Checkpoint(dir string) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.inflight.Done()
	if err := e.db.Checkpoint(dir, upstream.WithFlushedWAL()); err != nil {
		return fmt.Errorf("copy documents of %q to %q: %w", e.dir, dir, judge(err))
	}
	return nil
}

// asideMax bounds the folders that were set aside under one suffix.
const asideMax = 1000

// SetAside renames a damaged folder to its name, a dot and suffix, and a number
// when there is such a folder already, and returns the new name. Nothing may
// have it open. The rename is durable when it returns.
func SetAside(files vfs.FS, dir, suffix string) (string, error) {
	for n := 1; n <= asideMax; n++ {
		to := dir + "." + suffix
		if n > 1 {
			to += "-" + strconv.Itoa(n)
		}
		if _, err := files.Stat(to); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("set %q aside: %w", dir, err)
		}
		if err := files.Rename(dir, to); err != nil {
			return "", fmt.Errorf("set %q aside: %w", dir, err)
		}
		parent, err := files.OpenDir(files.PathDir(dir))
		if err != nil {
			return "", fmt.Errorf("set %q aside: %w", dir, err)
		}
		if err := errors.Join(parent.Sync(), parent.Close()); err != nil {
			return "", fmt.Errorf("set %q aside: %w", dir, err)
		}
		return to, nil
	}
	return "", fmt.Errorf("set %q aside: %d folders were set aside as %q before; remove some", dir, asideMax, suffix)
}
