package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/files"
	"github.com/tiercel-io/tiercel/ingest"
)

// window is a stretch of a file that is to be cut: from the tracked offset to
// end. final says that no more of its last record is waited for.
type window struct {
	data  []byte
	end   int64
	final bool
	// long says that it is the beginning of a line that is too long.
	long bool
}

// readLines reads what a file has more than was read before.
func (s *Source) readLines(ctx context.Context, t *tracked, modified time.Time, size int64) error {
	f, err := s.o.Env.FS.Open(t.path)
	if err != nil {
		s.problem(t.path, files.Plain(err))
		return nil
	}
	defer f.Close()
	for ctx.Err() == nil {
		w, err := s.window(f, t, size)
		if err != nil {
			s.problem(t.path, files.Plain(err))
			return nil
		}
		s.fine(t.path)
		if w == nil {
			return nil
		}
		if err := s.cut(ctx, t, w, modified); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// window returns what is to be cut next, or nil when there is nothing now.
func (s *Source) window(f vfs.File, t *tracked, size int64) (*window, error) {
	take := func(end int64, final bool) (*window, error) {
		b, err := readAt(f, s.data[:0], t.offset, int(end-t.offset))
		s.data = b
		if err == nil && int64(len(b)) < end-t.offset {
			return nil, nil // it was cut short meanwhile, which the next look finds
		}
		return &window{data: b, end: end, final: final}, err
	}
	if t.pending > size {
		t.pending, t.final = 0, false // it was cut short: what was to come is gone
	}
	if t.pending > 0 {
		return take(t.pending, t.final)
	}
	for t.skipping {
		b, err := readAt(f, s.data[:0], t.offset, windowBytes)
		s.data = b
		if err != nil || len(b) == 0 {
			return nil, err
		}
		s.dirty = true
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			b, t.skipping = b[:i+1], false
			t.line++
		}
		t.offset += int64(len(b))
		t.seen = t.offset
	}
	seen := max(t.seen, t.offset)
	if seen-t.offset > heldBytesMax {
		return take(seen, true)
	}
	b, err := readAt(f, s.data[:0], t.offset, int(seen-t.offset))
	for limit := seen; err == nil && limit < size; {
		n := int(min(size-limit, windowBytes))
		from := len(b)
		if b, err = readAt(f, b, limit, n); err != nil || len(b) == from {
			break
		}
		limit += int64(len(b) - from)
		if i := bytes.LastIndexByte(b[from:], '\n'); i >= 0 {
			s.data = b
			end := from + i + 1
			return &window{data: b[:end], end: t.offset + int64(end)}, nil
		}
		if limit-seen > event.RecordBytesMax+1 { // a CR may belong to the line end
			s.data = b
			if seen > t.offset {
				return take(seen, true)
			}
			return &window{data: b[:ingest.RefusedBytesMax], end: limit, long: true}, nil
		}
	}
	s.data = b
	if err != nil {
		return nil, err
	}
	silent := s.o.Env.Clock.Now().Sub(t.changed)
	switch {
	case size > seen && silent >= LastLineWait:
		return take(size, true)
	case seen > t.offset && silent >= HeldWait:
		return take(seen, true)
	}
	return nil, nil
}

// ended is the end of a window.
type ended struct{ err error }

func (e ended) Read([]byte) (int, error) { return 0, e.err }

// cut hands a window out, and moves on behind what was whole in it.
func (s *Source) cut(ctx context.Context, t *tracked, w *window, modified time.Time) error {
	kind := s.format(t.format)
	m := &member{path: t.path, kind: kind, identity: t.identity, shard: t.shard, modified: modified}
	if w.long {
		s.block.Reset()
		s.block.Offset = t.offset
		s.block.Data = append(s.block.Data, w.data...)
		problem := format.Problem{Offset: t.offset, Line: t.line + 1, Err: &event.LimitError{What: "size of one record in bytes", Limit: event.RecordBytesMax}}
		b := s.batch(m, &s.block, nil, []format.Problem{problem})
		b.Data, b.Refused[0].Start, b.Refused[0].End = w.data, 0, len(w.data)
		if err := s.send(ctx, b); err != nil {
			return err
		}
		t.offset, t.seen, t.skipping = w.end, w.end, true
		return s.save()
	}
	t.pending, t.final = w.end, w.final
	if err := s.save(); err != nil {
		return err
	}
	return s.hand(ctx, t, m, w)
}

// place is where the splitter of a file goes on.
func (s *Source) place(t *tracked, kind *format.Format) format.Place {
	at := format.Place{Offset: t.offset, Line: t.line}
	if kind.ParseContext != nil {
		var err error
		if at.Context, err = kind.ParseContext(t.context); err != nil {
			s.problem(t.path, err)
		}
	}
	return at
}

// hand gives a window to the splitter and what comes of it to the sink.
func (s *Source) hand(ctx context.Context, t *tracked, m *member, w *window) error {
	last := error(format.ErrMore)
	if w.final {
		last = io.EOF
	}
	from := t.offset
	m.at = func(offset int64) []byte {
		if offset < from || offset > from+int64(len(w.data)) {
			return nil
		}
		return w.data[offset-from:]
	}
	split := m.kind.Resume(io.MultiReader(bytes.NewReader(w.data), ended{last}), m.options(), s.place(t, m.kind))
	err := s.pour(ctx, t, m, split, w.end)
	m.at = nil
	return err
}

// pour delivers all that a splitter gives of the file up to end, and moves the
// tracked file on.
func (s *Source) pour(ctx context.Context, t *tracked, m *member, split format.Resumable, end int64) error {
	all := func([]byte) bool { return true }
	none := func() error { return nil }
	for {
		err := split.Next(&s.block)
		b := &s.block
		if err := s.deliver(ctx, m, b, all, none); err != nil {
			return err
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, format.ErrMore) {
				s.problem(m.path, err)
			}
			break
		}
	}
	rest := split.Rest()
	t.offset, t.line, t.context = rest.Offset, rest.Line, nil
	if m.kind.AppendContext != nil {
		t.context = m.kind.AppendContext(nil, rest.Context)
	}
	t.seen, t.pending, t.final = end, 0, false
	s.dirty = true
	return nil
}
