package lines

import (
	"sort"

	"github.com/tiercel-io/tiercel/format"
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
