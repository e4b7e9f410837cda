package ruleset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

const (
	statesDir = ".states"
	newPrefix = "new-"
	// writers is how many files are written and synced at a time: syncs of
	// files wait for the disk, which takes many at once.
	writers = 16
)

// Errors that a caller can act on.
var (
	// ErrUnknown: the store has no rule set of that name.
	ErrUnknown = errors.New("there is no such rule set")
	// ErrNoState: there is no state before the current one.
	ErrNoState = errors.New("no state before the current one is kept")
	// ErrDamaged: the files of a state are not those its hash is of.
	ErrDamaged = errors.New("the files are not those that the lock file pins")
)

// Store is a folder of rule sets.
type Store struct {
	fs   vfs.FS
	dir  string
	lock *Lock
}

// IsStore reports whether a folder is a store: whether it has a lock file.
func IsStore(files vfs.FS, dir string) bool {
	info, err := files.Stat(files.PathJoin(dir, LockName))
	return err == nil && !info.IsDir()
}

// Open reads a store; a folder that does not exist, or has no lock file, is an
// empty one.
func Open(files vfs.FS, dir string) (*Store, error) {
	s := &Store{fs: files, dir: dir, lock: &Lock{Version: lockVersion}}
	f, err := files.Open(files.PathJoin(dir, LockName))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	defer f.Close()
	if s.lock, err = parseLock(f); err != nil {
		return nil, fmt.Errorf("read the lock file %q: %w", files.PathJoin(dir, LockName), err)
	}
	return s, nil
}

// Lock returns what is in use. It must not be changed.
func (s *Store) Lock() *Lock { return s.lock }

// Dir returns the store's folder.
func (s *Store) Dir() string { return s.dir }

func (s *Store) stateDir(hash string) string { return s.fs.PathJoin(s.dir, statesDir, hash) }

// Folders returns the folders of the current states, in the order of the
// sets' names, to load rules from.
func (s *Store) Folders() []string {
	var out []string
	for i := range s.lock.Sets {
		out = append(out, s.stateDir(s.lock.Sets[i].Current().Hash))
	}
	return out
}

// Relative shortens the path of a file in a state of this store to that in its
// rule set; others it returns as they are.
func (s *Store) Relative(file string) string {
	prefix := s.fs.PathJoin(s.dir, statesDir)
	rest, ok := strings.CutPrefix(file, prefix)
	if !ok || len(rest) < 2 {
		return file
	}
	rest = strings.ReplaceAll(rest[1:], `\`, "/")
	if hash, path, ok := strings.Cut(rest, "/"); ok && isHash(hash) {
		return path
	}
	return file
}

// Documents loads the documents of a state.
func (s *Store) Documents(hash string) ([]*rule.Document, error) {
	files, err := s.files(hash)
	if err != nil {
		return nil, err
	}
	var docs []*rule.Document
	for _, f := range files {
		if isRule(strings.ToLower(f.Path)) && !isCases(f.Path) {
			more, _ := rulefile.ParseBytes(f.Path, f.Data)
			docs = append(docs, more...)
		}
	}
	return docs, nil
}

// All loads the documents of the current states of all sets but one.
func (s *Store) All(but string) ([]*rule.Document, error) {
	var docs []*rule.Document
	for i := range s.lock.Sets {
		if set := &s.lock.Sets[i]; set.Name != but {
			more, err := s.Documents(set.Current().Hash)
			if err != nil {
				return nil, fmt.Errorf("load the rule set %q: %w", set.Name, err)
			}
			docs = append(docs, more...)
		}
	}
	return docs, nil
}

// Verify checks that the files of a set's current state are those pinned. The
// error is ErrUnknown, ErrDamaged or one of reading.
func (s *Store) Verify(name string) error {
	set := s.lock.Set(name)
	if set == nil {
		return fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	return s.verify(set.Current().Hash)
}

func (s *Store) verify(hash string) error {
	files, err := s.files(hash)
	if err != nil {
		return err
	}
	if got := Hash(files); got != hash {
		return fmt.Errorf("%w: the hash of %q is %s", ErrDamaged, s.stateDir(hash), got)
	}
	return nil
}

// files reads a state from disk.
func (s *Store) files(hash string) ([]File, error) {
	var out []File
	var total int64
	var walk func(dir, below string, depth int) error
	walk = func(dir, below string, depth int) error {
		names, err := s.fs.List(dir)
		if err != nil {
			return err
		}
		if depth > depthMax+1 || len(out)+len(names) > FilesMax {
			return fmt.Errorf("%w: %q holds more than a state can", ErrDamaged, dir)
		}
		slices.Sort(names)
		for _, name := range names {
			full := s.fs.PathJoin(dir, name)
			info, err := s.fs.Stat(full)
			if err != nil {
				return err
			}
			if info.IsDir() {
				if err := walk(full, below+name+"/", depth+1); err != nil {
					return err
				}
				continue
			}
			data, err := s.read(full)
			if err != nil {
				return err
			}
			if total += int64(len(data)); total > SourceBytesMax || len(data) > FileBytesMax {
				return fmt.Errorf("%w: %q is larger than a state can be", ErrDamaged, full)
			}
			out = append(out, File{below + name, data})
		}
		return nil
	}
	if err := walk(s.stateDir(hash), "", 0); err != nil {
		return nil, fmt.Errorf("read the state %s: %w", hash[:12], err)
	}
	return out, nil
}

func (s *Store) read(path string) ([]byte, error) {
	f, err := s.fs.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, FileBytesMax+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return data, err
}

// Install makes what was read the current state of a set, new or known, and
// pins lists, which may be nil. at is the time to write down. States beyond
// StatesMax, and those that a rollback left, are dropped. When it fails, or the
// machine does, the state before is in use.
func (s *Store) Install(name string, src *Source, pins map[string]string, at time.Time) error {
	if err := CheckName(name); err != nil {
		return err
	}
	return s.write(func(l *Lock) error {
		if err := s.writeState(src); err != nil {
			return fmt.Errorf("write the state %s: %w", src.Hash[:12], err)
		}
		set := l.Set(name)
		if set == nil {
			if len(l.Sets) == SetsMax {
				return fmt.Errorf("there are %d rule sets already", SetsMax)
			}
			l.Sets = append(l.Sets, Set{Name: name})
			set = &l.Sets[len(l.Sets)-1]
		}
		states := []State{{
			Hash: src.Hash, Source: src.Path, Kind: src.Kind, Commit: src.Commit, Time: at.UTC(),
			Files: len(src.Files), Documents: len(src.Documents),
		}}
		for _, old := range set.States {
			if !old.RolledBack && old.Hash != src.Hash && len(states) < StatesMax {
				states = append(states, old)
			}
		}
		set.States = states
		l.Time, l.Lookups = at.UTC(), pins
		return nil
	})
}

// Rollback makes the state before the current one current again and returns
// both. It is checked first.
func (s *Store) Rollback(name string, at time.Time) (from, to State, err error) {
	if from, to, err = s.Before(name); err != nil {
		return from, to, err
	}
	if err := s.verify(to.Hash); err != nil {
		return from, to, fmt.Errorf("the state before cannot be used: %w", err)
	}
	err = s.write(func(l *Lock) error {
		set := l.Set(name)
		set.States[set.current()].RolledBack = true
		l.Time = at.UTC()
		return nil
	})
	return from, to, err
}

// Before returns the current state of a set and the one that a rollback would
// go to.
func (s *Store) Before(name string) (current, before State, err error) {
	set := s.lock.Set(name)
	if set == nil {
		return current, before, fmt.Errorf("%w: %q", ErrUnknown, name)
	}
	i := set.current()
	if i+1 == len(set.States) {
		return current, before, fmt.Errorf("%w: %q", ErrNoState, name)
	}
	return set.States[i], set.States[i+1], nil
}

// write changes the lock file: change works on a copy, which replaces the file
// at once. Then states that nobody refers to are removed.
func (s *Store) write(change func(*Lock) error) error {
	if err := s.makeDir(); err != nil {
		return fmt.Errorf("make the folder %q: %w", s.dir, err)
	}
	guard, err := s.fs.Lock(s.fs.PathJoin(s.dir, statesDir, "LOCK"))
	if err != nil {
		return fmt.Errorf("the store %q is being changed by another process: %w", s.dir, err)
	}
	defer guard.Close()
	// Another process may have changed it since it was opened.
	fresh, err := Open(s.fs, s.dir)
	if err != nil {
		return err
	}
	if !slices.EqualFunc(fresh.lock.Sets, s.lock.Sets, func(a, b Set) bool { return a.Name == b.Name && slices.Equal(a.States, b.States) }) {
		return fmt.Errorf("the store %q was changed by another process in between; try again", s.dir)
	}
	next := fresh.lock
	if err := change(next); err != nil {
		return err
	}
	text, err := next.encode()
	if err != nil {
		return err
	}
	aside := s.fs.PathJoin(s.dir, "."+LockName+".new")
	if err := s.writeFile(aside, text); err != nil {
		return fmt.Errorf("write the lock file: %w", err)
	}
	if err := s.fs.Rename(aside, s.fs.PathJoin(s.dir, LockName)); err != nil {
		return fmt.Errorf("replace the lock file: %w", err)
	}
	if err := s.syncDir(s.dir); err != nil {
		return fmt.Errorf("replace the lock file: %w", err)
	}
	s.lock = next
	s.sweep()
	return nil
}

// makeDir makes the store's folder and that of the states, durably.
func (s *Store) makeDir() error {
	states := s.fs.PathJoin(s.dir, statesDir)
	var missing []string
	for dir := states; ; dir = s.fs.PathDir(dir) {
		if _, err := s.fs.Stat(dir); err == nil || s.fs.PathDir(dir) == dir {
			break
		}
		missing = append(missing, dir)
	}
	if len(missing) == 0 {
		return nil
	}
	if err := s.fs.MkdirAll(states, 0o755); err != nil {
		return err
	}
	for _, dir := range missing {
		if err := s.syncDir(s.fs.PathDir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// sweep removes what the lock file does not refer to. It is durable by then,
// so that a failure costs space alone and the next change tries again.
func (s *Store) sweep() {
	kept := map[string]bool{"LOCK": true}
	for _, set := range s.lock.Sets {
		for _, x := range set.States {
			kept[x.Hash] = true
		}
	}
	names, err := s.fs.List(s.fs.PathJoin(s.dir, statesDir))
	if err != nil {
		return
	}
	for _, name := range names {
		if !kept[name] && (isHash(name) || strings.HasPrefix(name, newPrefix)) {
			_ = s.fs.RemoveAll(s.fs.PathJoin(s.dir, statesDir, name))
		}
	}
}

// writeState puts the files of a source where its hash says, complete or not
// at all: they are written aside, synced, and moved there together.
func (s *Store) writeState(src *Source) error {
	final := s.stateDir(src.Hash)
	if _, err := s.fs.Stat(final); err == nil {
		if s.verify(src.Hash) == nil {
			return nil
		}
		if err := s.fs.RemoveAll(final); err != nil {
			return err
		}
	}
	aside := s.fs.PathJoin(s.dir, statesDir, newPrefix+src.Hash)
	if err := s.fs.RemoveAll(aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.fs.MkdirAll(aside, 0o755); err != nil {
		return err
	}
	dirs := map[string]bool{"": true}
	for _, f := range src.Files {
		for dir := f.Path; dir != ""; {
			dir = strings.TrimSuffix(folderOf(dir), "/")
			dirs[dir] = true
		}
	}
	for dir := range maps.Keys(dirs) {
		if err := s.fs.MkdirAll(s.fs.PathJoin(aside, dir), 0o755); err != nil {
			return err
		}
	}
	if err := s.writeFiles(aside, src.Files); err != nil {
		return err
	}
	// Every folder behind those in it, so that a synced one has synced content.
	order := slices.Sorted(maps.Keys(dirs))
	slices.Reverse(order)
	for _, dir := range order {
		if err := s.syncDir(s.fs.PathJoin(aside, dir)); err != nil {
			return err
		}
	}
	if err := s.fs.Rename(aside, final); err != nil {
		return err
	}
	return s.syncDir(s.fs.PathJoin(s.dir, statesDir))
}

func (s *Store) writeFiles(dir string, files []File) error {
	var next atomic.Int64
	var group sync.WaitGroup
	failed := make([]error, min(writers, len(files)))
	for w := range failed {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(files) {
					return
				}
				if err := s.writeFile(s.fs.PathJoin(dir, files[i].Path), files[i].Data); err != nil {
					failed[w] = err
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(failed...)
}

func (s *Store) writeFile(path string, data []byte) error {
	f, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(bytes.Clone(data)) // which may change what it is given
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s *Store) syncDir(path string) error {
	d, err := s.fs.OpenDir(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
