// Package lines cuts a stream of text into blocks of whole lines: the ground
// that every line-based format stands on.
//
// Text is UTF-8, with or without a byte order mark, or UTF-16 with one, which
// is transcoded; positions count the bytes of the text after that. A line ends
// at LF, and a CR before it is not part of it. A line longer than a record may
// be is reported once with its position and read past without being kept, so
// memory stays below a few times [event.RecordBytesMax] whatever the input.
package lines

import (
	"bytes"
	"errors"
	"io"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// Reader fills blocks with the lines of a stream. It belongs to one goroutine.
type Reader struct {
	src    io.Reader
	carry  []byte // bytes read and not yet handed out; they begin at offset
	offset int64
	line   int64 // number of the first line in carry
	full   int   // bytes of the block filled last, its cut-off tail included
	err    error // why src ended
	start  bool  // the byte order mark was looked at
}

// NewReader returns a Reader of r.
func NewReader(r io.Reader) *Reader { return &Reader{src: r, line: 1} }

// Fill resets b and fills it with whole lines, one frame each, about
// [format.BlockBytes] of them. Lines of white space alone have no frame. The
// bytes of a block are contiguous, so what lies between two frames are line
// ends and blank lines. Fill reads until the block is full, so a slow stream
// is not handed on before. It returns io.EOF when nothing is left, and any
// other error of the stream after the last whole line was handed out.
func (r *Reader) Fill(b *format.Block) error {
	b.Reset()
	r.begin()
	b.Offset = r.offset
	b.Data = append(b.Data, r.carry...)
	r.carry = r.carry[:0]
	target := max(format.BlockBytes, 2*len(b.Data))
	scanned := 0 // no line end before here
	for {
		for len(b.Data) < target && r.err == nil {
			b.Data = r.read(b.Data, target)
		}
		if len(b.Data) == 0 {
			return r.err
		}
		last := len(b.Data)
		if r.err == nil {
			last = bytes.LastIndexByte(b.Data[scanned:], '\n') + 1
			if last > 0 {
				last += scanned
			}
		}
		if last > 0 {
			r.full = len(b.Data)
			r.carry = append(r.carry, b.Data[last:]...)
			b.Data = b.Data[:last]
			r.cut(b)
			r.offset += int64(last)
			return nil
		}
		if len(b.Data) > event.RecordBytesMax+1 {
			r.skipLine(b)
			return nil
		}
		scanned = len(b.Data)
		target *= 2
	}
}

// read appends what one call of the source gives, up to limit bytes in all.
func (r *Reader) read(dst []byte, limit int) []byte {
	if cap(dst) < limit {
		grown := make([]byte, len(dst), limit)
		copy(grown, dst)
		dst = grown
	}
	n, err := r.src.Read(dst[len(dst):limit])
	dst = dst[:len(dst)+n]
	if err != nil {
		r.err = err
	}
	return dst
}

// cut frames the lines of b.Data.
func (r *Reader) cut(b *format.Block) {
	data := b.Data
	for i := 0; i < len(data); {
		end := bytes.IndexByte(data[i:], '\n')
		next := i + end + 1
		if end < 0 {
			end, next = len(data), len(data)
		} else {
			end += i
		}
		if end > i && data[end-1] == '\r' {
			end--
		}
		switch {
		case end-i > event.RecordBytesMax:
			b.Problems = append(b.Problems, format.Problem{Offset: b.Offset + int64(i), Line: r.line, Err: errLong})
		case !Blank(data[i:end]):
			b.Frames = append(b.Frames, format.Frame{Start: i, End: end, Offset: b.Offset + int64(i), Line: r.line})
		}
		r.line++
		i = next
	}
}

var errLong error = &event.LimitError{What: "size of one record in bytes", Limit: event.RecordBytesMax}

// skipLine reads past the rest of a line that is too long, and reports it.
func (r *Reader) skipLine(b *format.Block) {
	b.Problems = append(b.Problems, format.Problem{Offset: r.offset, Line: r.line, Err: errLong})
	size := int64(len(b.Data))
	for {
		b.Data = b.Data[:0]
		if r.err != nil {
			break
		}
		b.Data = r.read(b.Data, format.BlockBytes)
		if i := bytes.IndexByte(b.Data, '\n'); i >= 0 {
			size += int64(i) + 1
			r.carry = append(r.carry, b.Data[i+1:]...)
			break
		}
		size += int64(len(b.Data))
	}
	b.Data = b.Data[:0]
	r.full = 0
	r.line++
	r.offset += size
}

// PushBack takes the frames from index i on out of b, which the last Fill
// filled, and gives their lines to the next Fill again, with what follows
// them: for a record of several lines that may go on behind the block. The
// next block is at least twice as long as what is pushed back. Problems of
// those lines are taken out too.
func (r *Reader) PushBack(b *format.Block, i int) {
	f := b.Frames[i]
	r.carry = append(r.carry[:0], b.Data[f.Start:r.full]...)
	r.offset, r.line = f.Offset, f.Line
	b.Data, b.Frames = b.Data[:f.Start], b.Frames[:i]
	for n := len(b.Problems); n > 0 && b.Problems[n-1].Offset >= f.Offset; n-- {
		b.Problems = b.Problems[:n-1]
	}
}

// Resume returns a Reader of a stream taken up at a place, the beginning of a
// line.
func Resume(r io.Reader, at format.Place) *Reader {
	return &Reader{src: r, offset: at.Offset, line: at.Line + 1, start: at.Offset > 0}
}

// Place is where the next Fill begins.
func (r *Reader) Place() format.Place { return format.Place{Offset: r.offset, Line: r.line - 1} }

// Waits reports whether all of a stream that grows has been handed out, so that
// a record may go on behind the block and more of it cannot be had now.
func (r *Reader) Waits() bool { return len(r.carry) == 0 && errors.Is(r.err, format.ErrMore) }

// Done reports whether the last line of the stream has been handed out, so
// that no record goes on behind the block.
func (r *Reader) Done() bool { return r.err != nil && len(r.carry) == 0 && !r.Waits() }

// Blank reports whether s is white space alone.
func Blank(s []byte) bool {
	for _, c := range s {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return false
		}
	}
	return true
}

// Decode looks at the byte order mark that r may begin with and returns a
// reader of UTF-8 without it, and the number of bytes of a UTF-8 mark that
// were left out. The error is why nothing could be read; io.EOF for an empty
// stream.
func Decode(r io.Reader) (text io.Reader, skipped int, err error) {
	var head [3]byte
	n, err := io.ReadFull(r, head[:])
	if n == 0 {
		return r, 0, err
	}
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		// The first bytes are handed on, then the error.
		return io.MultiReader(bytes.NewReader(head[:n]), failing{err}), 0, nil
	}
	rest := io.MultiReader(bytes.NewReader(head[:n]), r)
	switch {
	case n == 3 && string(head[:]) == "\xef\xbb\xbf":
		return r, 3, nil
	case n >= 2 && head[0] == 0xff && head[1] == 0xfe:
		return &utf16Reader{src: rest}, 0, nil
	case n >= 2 && head[0] == 0xfe && head[1] == 0xff:
		return &utf16Reader{src: rest, big: true}, 0, nil
	}
	return rest, 0, nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Peek returns the next bytes of the text without taking them: n of them, or
// all that are left. The slice is valid until the next call. It is for looking
// at how a file begins, before the first Fill.
func (r *Reader) Peek(n int) []byte {
	r.begin()
	for len(r.carry) < n && r.err == nil {
		r.carry = r.read(r.carry, n)
	}
	return r.carry[:min(n, len(r.carry))]
}

// Rest hands the stream over to a reader that does not want lines: a reader of
// all that was not handed out, and the offset at which it begins. The Reader
// must not be used any more.
func (r *Reader) Rest() (text io.Reader, offset int64) {
	r.begin()
	end := r.src
	if r.err != nil {
		end = failing{r.err}
	}
	return io.MultiReader(bytes.NewReader(r.carry), end), r.offset
}

func (r *Reader) begin() {
	if r.start {
		return
	}
	r.start = true
	var skipped int
	r.src, skipped, r.err = Decode(r.src)
	r.offset += int64(skipped)
}
