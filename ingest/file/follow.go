package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/container"
	"github.com/tiercel-io/tiercel/format/files"
)

// look finds what has changed and reads it.
func (s *Source) look(ctx context.Context) error {
	now := s.o.Env.Clock.Now()
	s.heads = map[string][]byte{}
	defer func() { s.heads = nil }()
	list := s.list()
	found := s.match(list, now)
	// A file that was renamed is finished before the one that has its name.
	for _, moved := range []bool{true, false} {
		for _, f := range list {
			t := found[f.Path]
			if t == nil || t.moved != moved {
				continue
			}
			if err := s.read(ctx, t, f, now); err != nil {
				return err
			}
		}
	}
	for _, t := range found {
		t.moved = false
	}
	if s.dirty {
		return s.save()
	}
	return nil
}

// match finds the tracked file of each file, by path, or by its beginning when
// it has another path now, and tracks those that are new. The tracked files
// that are not found are gone.
func (s *Source) match(list []files.File, now time.Time) map[string]*tracked {
	byPath := make(map[string]files.File, len(list))
	for _, f := range list {
		byPath[f.Path] = f
	}
	found := make(map[string]*tracked, len(list))
	var lost []*tracked
	for _, t := range s.tracked {
		if f, ok := byPath[t.path]; ok && t.gone.IsZero() && found[t.path] == nil && s.same(t, f) {
			found[t.path] = t
		} else {
			lost = append(lost, t)
		}
	}
	for _, t := range lost {
		if f, ok := s.successor(t, list, found); ok {
			found[f.Path] = t
			t.path, t.moved, t.gone = f.Path, true, time.Time{}
			s.dirty = true
		} else if t.gone.IsZero() {
			t.gone, s.dirty = now, true
		}
	}
	var near *neighbours
	for _, f := range list {
		if found[f.Path] != nil || f.Size == 0 || len(s.tracked) >= TrackedMax {
			continue
		}
		if near == nil {
			near = s.neighbours(list, found)
		}
		if near.copies(f, byPath) {
			continue
		}
		t := &tracked{path: f.Path, shard: shardOf(f.Path)}
		s.tracked = append(s.tracked, t)
		found[f.Path] = t
		near.add(t)
	}
	kept := len(s.tracked)
	s.tracked = slices.DeleteFunc(s.tracked, func(t *tracked) bool {
		return !t.gone.IsZero() && (now.Sub(t.gone) > GoneMax || t.checked == 0)
	})
	s.dirty = s.dirty || len(s.tracked) < kept
	return found
}

// same reports whether the file at a tracked path is still the one that was
// read.
func (s *Source) same(t *tracked, f files.File) bool {
	modified := f.Modified.UnixNano()
	if t.checked == 0 || t.size == f.Size && t.modified == modified {
		return true
	}
	if t.whole {
		return !t.done && t.batches == 0 // once read, another one
	}
	head, err := s.head(f.Path)
	// What cannot be read now is not taken for another file.
	return err != nil || t.matches(head, f.Size)
}

// successor finds a tracked file under another path.
func (s *Source) successor(t *tracked, list []files.File, found map[string]*tracked) (files.File, bool) {
	for _, f := range list {
		if found[f.Path] != nil || t.whole && (f.Size != t.size || f.Modified.UnixNano() != t.modified) || f.Size < t.offset {
			continue
		}
		if head, err := s.head(f.Path); err == nil && t.matches(head, f.Size) {
			return f, true
		}
	}
	return files.File{}, false
}

// read takes what is new in a file.
func (s *Source) read(ctx context.Context, t *tracked, f files.File, now time.Time) error {
	modified := f.Modified.UnixNano()
	if !t.looked || t.size != f.Size || t.modified != modified {
		// How long one that was known has been silent is not.
		t.changed, t.ignored = now, false
		t.looked, t.size, t.modified = true, f.Size, modified
	} else if t.settled() {
		return nil
	}
	if t.format == "" && !t.whole && !s.recognise(t, f, now) {
		return nil
	}
	if !t.whole {
		if err := s.readLines(ctx, t, f.Modified, f.Size); err != nil {
			return err
		}
	} else if !t.done && now.Sub(t.changed) >= StableWait {
		if err := s.readWhole(ctx, t, f); err != nil {
			return err
		}
	}
	if t.checked < event.FingerprintBytes {
		if head, err := s.head(t.path); err == nil {
			t.recheck(head)
		}
	}
	return nil
}

// settled reports whether nothing is to be done until the file changes.
func (t *tracked) settled() bool {
	if t.whole || t.ignored {
		return t.done || t.ignored
	}
	return t.format != "" && t.offset >= t.size && t.pending == 0
}

// Bounds of when the beginning of a file tells what it is.
const (
	// sureEnough is the least certainty with which a format is taken at once; a
	// text is waited for to grow, since it may be the beginning of a table.
	sureEnough = 60
	// headEnough is how much of a file is enough in any case.
	headEnough = 16 << 10
)

// recognise finds out how a file is to be read; false when it is too early to
// tell, or it is no log.
func (s *Source) recognise(t *tracked, f files.File, now time.Time) bool {
	file, err := s.o.Env.FS.Open(t.path)
	if err != nil {
		s.problem(t.path, files.Plain(err))
		return false
	}
	defer file.Close()
	head, err := readAt(file, nil, 0, container.HeadBytes)
	if err != nil {
		s.problem(t.path, files.Plain(err))
		return false
	}
	silent := now.Sub(t.changed)
	wide := bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.HasPrefix(head, []byte{0xfe, 0xff})
	if container.Packed(head) || wide {
		t.whole = true
	} else {
		line := bytes.IndexByte(head, '\n') >= 0
		if !line && len(head) < headEnough && silent < LastLineWait {
			return false
		}
		kind, sure := s.format(s.o.Format), 100
		if s.o.Format == "" {
			kind, sure = files.Surest(s.o.Formats, head, base(t.path))
		}
		switch {
		case kind == nil:
			if silent >= HeldWait {
				t.ignored = true
				s.problem(t.path, errNoLog)
			}
			return false
		case sure < sureEnough && len(head) < headEnough && silent < HeldWait:
			return false
		}
		t.whole = kind.Resume == nil || kind.Follows != nil && !kind.Follows(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
		if !t.whole {
			t.format = kind.Name
		}
	}
	t.identify(head, now)
	t.checked = min(len(head), event.FingerprintBytes)
	t.check = sha256.Sum256(head[:t.checked])
	s.dirty = true
	return true
}

var errNoLog = errors.New("not a log in a known format; name one if it is")

// past returns the tracked file that was read by line and begins as head does.
func (s *Source) past(head []byte) *tracked {
	for _, t := range s.tracked {
		if !t.whole && t.format != "" && t.matches(head, t.offset) {
			return t
		}
	}
	return nil
}

// formatOf is the format of a member.
func (s *Source) formatOf(head []byte, name string) *format.Format {
	if s.o.Format != "" {
		return s.format(s.o.Format)
	}
	kind, _ := files.Surest(s.o.Formats, head, name)
	return kind
}
