package auditd

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/keep"
	"github.com/tiercel-io/tiercel/format/lines"
)

// Bounds of what is held back.
const (
	// waitMillis is how long in event time an event without EOE stays open.
	// auparse, which comes with the audit daemon, waits as long by default.
	waitMillis   = 2000
	openMax      = 1000
	openBytesMax = 8 << 20
	linesMax     = 1000
	// outMax is how many lines handed out are remembered before those that
	// stand before all open events are forgotten.
	outMax = 100_000
)

// position is where a line of a frame begins in the block's data, and where it
// stood in the file.
type position struct {
	start  int
	offset int64
	line   int64
}

// context holds the positions of all lines of a block, in order. That of a place
// holds the lines behind it that were handed out, since the lines of events
// stand between each other; start only numbers them.
type context struct{ positions []position }

// appendContext encodes the positions as their differences, which are small.
func appendContext(dst []byte, ctx any) []byte {
	c, _ := ctx.(*context)
	if c == nil {
		c = &context{}
	}
	dst = keep.AppendNumber(dst, int64(len(c.positions)))
	var last position
	for _, p := range c.positions {
		dst = keep.AppendNumber(dst, int64(p.start-last.start))
		dst = keep.AppendNumber(dst, p.offset-last.offset)
		dst = keep.AppendNumber(dst, p.line-last.line)
		last = p
	}
	return dst
}

// parseContext reads what appendContext wrote.
func parseContext(b []byte) (any, error) {
	r := keep.NewReader(b)
	c := &context{}
	var last position
	for i := range r.Count() {
		p := position{start: last.start + int(r.Number()), offset: last.offset + r.Number(), line: last.line + r.Number()}
		if i > 0 && p.start <= last.start || p.start < 0 || p.start > math.MaxInt32 {
			r.Fail()
			break
		}
		c.positions = append(c.positions, p)
		last = p
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// open is an event that may have more lines.
type open struct {
	stamp stamp
	data  []byte // its lines, each with a line end
	at    []position
	done  bool // it was handed out
}

type splitter struct {
	lines  *lines.Reader
	in     format.Block
	next   int // frame of in to look at
	byID   map[stamp]*open
	queue  []*open // by age; those that are done are left out later
	free   []*open
	bytes  int
	ended  bool
	endErr error
	// Of a stream that grows: the lines handed out, in no order, and those that
	// were handed out before this splitter began, by offset.
	keeps  bool
	out    []position
	before []position
}

func newSplitter(r *lines.Reader) *splitter {
	return &splitter{lines: r, byID: map[stamp]*open{}}
}

var errNotAudit = errors.New("it is not an audit record: expected type=… msg=audit(…)")

// Next implements format.Splitter.
func (s *splitter) Next(b *format.Block) error {
	b.Reset()
	ctx := &context{}
	b.Context = ctx
	if len(s.out) > outMax {
		s.Rest()
	}
	for len(b.Data) < format.BlockBytes {
		if s.next < len(s.in.Frames) {
			s.take(b, ctx, s.in.Frames[s.next])
			s.next++
			continue
		}
		if s.ended {
			if errors.Is(s.endErr, format.ErrMore) {
				break // what is open may go on
			}
			if !s.closeOldest(b, ctx) {
				break
			}
			continue
		}
		s.next = 0
		if err := s.lines.Fill(&s.in); err != nil {
			s.in.Reset()
			s.ended, s.endErr = true, err
			continue
		}
		b.Problems = append(b.Problems, s.in.Problems...)
	}
	if len(b.Frames) > 0 {
		b.Offset = b.Frames[0].Offset
		return nil
	}
	if len(b.Problems) > 0 || !s.ended {
		return nil
	}
	return s.endErr
}

// Rest implements format.Resumable: the first line of the oldest open event,
// or what has not been looked at.
func (s *splitter) Rest() format.Place {
	at := s.lines.Place()
	earlier := func(offset, line int64) {
		if offset < at.Offset {
			at = format.Place{Offset: offset, Line: line - 1}
		}
	}
	if s.next < len(s.in.Frames) {
		earlier(s.in.Frames[s.next].Offset, s.in.Frames[s.next].Line)
	}
	for _, e := range s.byID {
		earlier(e.at[0].offset, e.at[0].line)
	}
	s.forget(at.Offset)
	slices.SortFunc(s.out, func(a, b position) int { return cmp.Compare(a.offset, b.offset) })
	ctx := &context{positions: slices.Clone(s.out)}
	for i := range ctx.positions {
		ctx.positions[i].start = i
	}
	return at.With(ctx)
}

// forget drops the lines handed out before an offset.
func (s *splitter) forget(offset int64) {
	s.out = slices.DeleteFunc(s.out, func(p position) bool { return p.offset < offset })
}

// was reports whether a line was handed out before this splitter began.
func (s *splitter) was(offset int64) bool {
	_, found := slices.BinarySearchFunc(s.before, offset, func(p position, offset int64) int { return cmp.Compare(p.offset, offset) })
	return found
}

// take adds a line to its event.
func (s *splitter) take(b *format.Block, ctx *context, f format.Frame) {
	if s.was(f.Offset) {
		return
	}
	line := s.in.Data[f.Start:f.End]
	h, ok := parseStamp(line)
	if !ok {
		if s.keeps {
			s.out = append(s.out, position{offset: f.Offset, line: f.Line})
		}
		b.Problems = append(b.Problems, format.Problem{Offset: f.Offset, Line: f.Line, Err: errNotAudit})
		return
	}
	id := stamp{millis: h.millis, serial: h.number}
	if len(h.node) > 0 {
		id.node = string(h.node)
	}
	for len(s.queue) > 0 {
		if first := s.queue[0]; first.done {
			s.queue = s.queue[1:]
			s.recycle(first)
		} else if first.stamp.millis+waitMillis <= h.millis {
			s.closeOldest(b, ctx)
		} else {
			break
		}
	}
	e := s.byID[id]
	if e != nil && (len(e.at) >= linesMax || len(e.data)+len(line) >= event.RecordBytesMax) {
		s.finish(b, ctx, e)
		e = nil
	}
	if e == nil {
		for len(s.byID) >= openMax || len(s.byID) > 0 && s.bytes+len(line) > openBytesMax {
			s.closeOldest(b, ctx)
		}
		e = s.begin(id)
	}
	e.at = append(e.at, position{start: len(e.data), offset: f.Offset, line: f.Line})
	e.data = append(append(e.data, line...), '\n')
	s.bytes += len(line) + 1
	if string(h.kind) == "EOE" {
		s.finish(b, ctx, e)
	}
}

func (s *splitter) begin(id stamp) *open {
	var e *open
	if n := len(s.free); n > 0 {
		e, s.free = s.free[n-1], s.free[:n-1]
		*e = open{stamp: id, data: e.data[:0], at: e.at[:0]}
	} else {
		e = &open{stamp: id}
	}
	if len(s.queue) > 2*openMax {
		kept := s.queue[:0]
		for _, old := range s.queue {
			if old.done {
				s.recycle(old)
			} else {
				kept = append(kept, old)
			}
		}
		clear(s.queue[len(kept):])
		s.queue = kept
	}
	s.byID[id] = e
	s.queue = append(s.queue, e)
	return e
}

// closeOldest hands out the oldest open event; false when there is none.
func (s *splitter) closeOldest(b *format.Block, ctx *context) bool {
	for len(s.queue) > 0 {
		e := s.queue[0]
		s.queue = s.queue[1:]
		if e.done {
			s.recycle(e)
			continue
		}
		s.finish(b, ctx, e)
		s.recycle(e)
		return true
	}
	return false
}

// recycle keeps the memory of an event that has left the queue, unless it is
// much.
func (s *splitter) recycle(e *open) {
	const keepBytes, keepEvents = 16 << 10, 64
	if cap(e.data) <= keepBytes && len(s.free) < keepEvents {
		s.free = append(s.free, e)
	}
}

// finish makes a frame of an event.
func (s *splitter) finish(b *format.Block, ctx *context, e *open) {
	start := len(b.Data)
	b.Data = append(b.Data, e.data...)
	if s.keeps {
		s.out = append(s.out, e.at...)
	}
	for _, p := range e.at {
		ctx.positions = append(ctx.positions, position{start: start + p.start, offset: p.offset, line: p.line})
	}
	b.Frames = append(b.Frames, format.Frame{
		Start: start, End: len(b.Data) - 1, Offset: e.at[0].offset, Line: e.at[0].line,
	})
	s.bytes -= len(e.data)
	delete(s.byID, e.stamp)
	e.done = true
	if cap(e.data) > 1<<16 {
		e.data = nil // the queue may hold it for a while yet
	}
}
