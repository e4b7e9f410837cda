package lines

import (
	"math"
	"sort"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/keep"
)

// Sections is the Context of blocks of a format whose header lines stand
// between its records: which header holds for which frames of the block.
type Sections[H any] struct {
	starts  []int // where in the block's data each header begins to hold
	headers []*H
}

// At returns the header that holds for a frame, or nil before the first one.
func (s *Sections[H]) At(f format.Frame) *H {
	i := sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > f.Start })
	if i == 0 {
		return nil
	}
	return s.headers[i-1]
}

// Sectioned is a splitter of lines of which those that begin with # are
// headers and no records.
type Sectioned[H any] struct {
	lines  *Reader
	header func(old *H, line []byte) *H
	now    *H
	ctx    *Sections[H]
}

// NewSectioned returns a splitter of the lines of r. header is called with
// each header line and what holds so far, nil at first; it returns what holds
// behind the line: old itself when nothing changed, else a new value, because
// old may be in use by a parser. line is borrowed.
func NewSectioned[H any](r *Reader, header func(old *H, line []byte) *H) *Sectioned[H] {
	return &Sectioned[H]{lines: r, header: header, ctx: &Sections[H]{}}
}

// ResumeSectioned is NewSectioned for a stream taken up at a place whose context
// is a *Sections[H], or nil at the beginning.
func ResumeSectioned[H any](r *Reader, header func(old *H, line []byte) *H, at format.Place) *Sectioned[H] {
	s := NewSectioned(r, header)
	if before, ok := at.Context.(*Sections[H]); ok && before != nil && len(before.headers) > 0 {
		s.now = before.headers[len(before.headers)-1]
		s.ctx = &Sections[H]{starts: []int{0}, headers: []*H{s.now}}
	}
	return s
}

// Rest implements format.Resumable.
func (s *Sectioned[H]) Rest() format.Place { return s.lines.Place().With(s.ctx) }

// AppendSections appends the encoding of a *Sections[H], or of nothing when
// context is not one. A header that holds in several places is encoded once
// for each.
func AppendSections[H any](dst []byte, context any, header func(dst []byte, h *H) []byte) []byte {
	s, _ := context.(*Sections[H])
	if s == nil {
		s = &Sections[H]{}
	}
	dst = keep.AppendNumber(dst, int64(len(s.starts)))
	for i, start := range s.starts {
		dst = keep.AppendNumber(dst, int64(start))
		dst = header(dst, s.headers[i])
	}
	return dst
}

// ParseSections reads what AppendSections wrote, as a *Sections[H].
func ParseSections[H any](context []byte, header func(r *keep.Reader) *H) (any, error) {
	r := keep.NewReader(context)
	s := &Sections[H]{}
	last := int64(0) // a block may begin with a header
	for range r.Count() {
		start := r.Number()
		if start < last || start > math.MaxInt32 {
			r.Fail()
		}
		if h := header(r); r.Failed() {
			break
		} else {
			s.starts, s.headers = append(s.starts, int(start)), append(s.headers, h)
		}
		last = start
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// Next implements format.Splitter. The Context of a block is a *Sections[H].
func (s *Sectioned[H]) Next(b *format.Block) error {
	if err := s.lines.Fill(b); err != nil {
		return err
	}
	ctx := s.ctx
	kept := b.Frames[:0]
	for _, f := range b.Frames {
		if b.Data[f.Start] != '#' {
			kept = append(kept, f)
			continue
		}
		h := s.header(s.now, b.Data[f.Start:f.End])
		if h == s.now {
			continue
		}
		if s.now = h; ctx == s.ctx {
			ctx = &Sections[H]{starts: append([]int(nil), s.ctx.starts...), headers: append([]*H(nil), s.ctx.headers...)}
		}
		ctx.starts = append(ctx.starts, f.Start)
		ctx.headers = append(ctx.headers, h)
	}
	b.Frames = kept
	b.Context = ctx
	if ctx != s.ctx {
		// The next block begins under the last header of this one.
		s.ctx = &Sections[H]{starts: []int{0}, headers: []*H{s.now}}
	}
	return nil
}
