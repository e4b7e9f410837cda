package auditd

import (
	"cmp"
	"errors"
	"math"
	"slices"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/keep"
	"github.com/tiercel-io/tiercel/format/lines"
)

// outMax is how many lines handed out are remembered before those that stand
// before all open events are forgotten.
const outMax = 100_000

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

type splitter struct {
	lines  *lines.Reader
	in     format.Block
	next   int // frame of in to look at
	joiner *Joiner[[]position]
	ended  bool
	endErr error
	// The block under way.
	block   *format.Block
	context *context
	// Of a stream that grows: the lines handed out, in no order, and those that
	// were handed out before this splitter began, by offset.
	keeps  bool
	out    []position
	before []position
}

func newSplitter(r *lines.Reader) *splitter {
	s := &splitter{lines: r}
	s.joiner = NewJoiner(s.finish)
	return s
}

var errNotAudit = errors.New("it is not an audit record: expected type=… msg=audit(…)")

// Next implements format.Splitter.
func (s *splitter) Next(b *format.Block) error {
	b.Reset()
	ctx := &context{}
	b.Context = ctx
	s.block, s.context = b, ctx
	if len(s.out) > outMax {
		s.Rest()
	}
	for len(b.Data) < format.BlockBytes {
		if s.next < len(s.in.Frames) {
			s.take(s.in.Frames[s.next])
			s.next++
			continue
		}
		if s.ended {
			if errors.Is(s.endErr, format.ErrMore) {
				break // what is open may go on
			}
			if !s.joiner.FinishOldest() {
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
	s.joiner.All(func(e *Open[[]position]) bool {
		earlier(e.More[0].offset, e.More[0].line)
		return true
	})
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
func (s *splitter) take(f format.Frame) {
	if s.was(f.Offset) {
		return
	}
	e, at, ok := s.joiner.Take(s.in.Data[f.Start:f.End])
	if !ok {
		if s.keeps {
			s.out = append(s.out, position{offset: f.Offset, line: f.Line})
		}
		s.block.Problems = append(s.block.Problems, format.Problem{Offset: f.Offset, Line: f.Line, Err: errNotAudit})
		return
	}
	if e.Lines == 1 {
		e.More = e.More[:0]
	}
	e.More = append(e.More, position{start: at, offset: f.Offset, line: f.Line})
	if e.Ended() {
		s.joiner.Finish(e)
	}
}

// finish makes a frame of an event.
func (s *splitter) finish(e *Open[[]position]) {
	b := s.block
	start := len(b.Data)
	b.Data = append(b.Data, e.Data...)
	if s.keeps {
		s.out = append(s.out, e.More...)
	}
	for _, p := range e.More {
		s.context.positions = append(s.context.positions, position{start: start + p.start, offset: p.offset, line: p.line})
	}
	b.Frames = append(b.Frames, format.Frame{
		Start: start, End: len(b.Data) - 1, Offset: e.More[0].offset, Line: e.More[0].line,
	})
}
