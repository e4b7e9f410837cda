package segment

import (
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Report is what [Verify] found.
type Report struct {
	Segments   int
	Partitions int
	// Entries are the sound ones and Bytes what they take.
	Entries, Bytes int64
	// Damage lists what is damaged, the first 1,000 of Damages.
	Damage  []Damage
	Damages int
}

// Verify reads every byte of a log that no process has open, and changes
// nothing. It takes no lock, so that it can check a backup on a medium that is
// read-only.
func Verify(fs vfs.FS, dir string) (Report, error) {
	none, err := event.NewTenants(nil)
	if err != nil {
		return Report{}, err
	}
	x, err := load(fs, dir, none, nil)
	if err != nil {
		return Report{}, fmt.Errorf("verify segment log %q: %w", dir, err)
	}
	return Report{
		Segments: len(x.files), Partitions: len(x.partitions), Entries: x.entries, Bytes: x.bytes,
		Damage: x.damages.list, Damages: x.damages.total,
	}, nil
}

// Checkpoint puts a copy of the log into a folder that is empty or does not
// exist: every entry that was acknowledged when it was called, and maybe later
// ones. Sealed segments are linked where the file system can, so the copy must
// not be written to; the newest is copied. The copy is durable when Checkpoint
// returns. Appends go on meanwhile, retention waits.
func (l *Log) Checkpoint(dir string) (err error) {
	fs := l.cfg.FS
	defer func() {
		if err != nil {
			err = fmt.Errorf("copy segment log %q to %q: %w", l.cfg.Dir, dir, err)
		}
	}()
	if err := fs.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("the folder is not empty (it has %q); choose another", names[0])
	}
	type part struct {
		file
		last bool
	}
	var parts []part
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return store.ErrClosed
	}
	l.pins++
	for i, f := range l.index.files {
		parts = append(parts, part{file: *f, last: i == len(l.index.files)-1})
	}
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		l.pins--
		l.mu.Unlock()
		l.queue.poke()
	}()
	for _, f := range parts {
		from, to := fs.PathJoin(l.cfg.Dir, f.name), fs.PathJoin(dir, f.name)
		// The word of the next file says how much of one counts that failed; for
		// the last there is no such word.
		if f.live == nil && (f.clean || !f.last) && fs.Link(from, to) == nil {
			continue
		}
		n := f.end
		if f.live == nil && !f.last {
			n = -1
		}
		if err := copyFile(fs, from, to, n, f.live != nil); err != nil {
			return err
		}
	}
	if err := syncDir(fs, dir); err != nil {
		return err
	}
	return syncParents(fs, dir)
}

// copyFile copies the first n bytes of a file, or all if n is negative, and
// syncs the copy. A file that is shorter is an error if it must be whole.
func copyFile(fs vfs.FS, from, to string, n int64, whole bool) (err error) {
	r, err := fs.Open(from, vfs.SequentialReadsOption)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	w, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	var in io.Reader = r
	if n >= 0 {
		in = io.LimitReader(r, n)
	}
	// The buffer is given, and the reader hidden, so that no more than it is read
	// at once.
	copied, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{in}, make([]byte, windowBytes))
	if err != nil {
		return err
	}
	if whole && copied < n {
		return fmt.Errorf("segment %q has %d bytes of %d", from, copied, n)
	}
	return w.Sync()
}
