package json

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// structureSplitter cuts text into the objects that stand one after another at
// its top, in arrays at its top, and in envelopes.
type structureSplitter struct {
	src    io.Reader
	err    error
	win    []byte // the text in hand
	pos    int    // next byte to look at
	offset int64  // offset of win[0]
	line   int64  // line number at win[lineAt]
	lineAt int

	inArray  bool // elements are divided by commas and end at ]
	envelope bool // the array stands in an envelope
	tail     bool // behind the array of an envelope, before its end
	tailScan scanner

	// How the first element began, by which a new beginning is known.
	sign   bool
	indent []byte // line end and white space before it; nil when it followed on a line
	key    []byte // its first key with quotes

	seeking bool // behind something broken, before the next beginning
	// Bytes looked at in vain and bytes left behind: their ratio bounds the
	// work that broken text can cause.
	wasted, consumed int64
}

func newStructureSplitter(r io.Reader, offset int64) *structureSplitter {
	return &structureSplitter{src: r, offset: offset, line: 1}
}

// wastedRatioMax bounds the bytes looked at again after something broken, as
// a multiple of the bytes of the file so far (and one record for a beginning).
const wastedRatioMax = 8

var (
	errEndsInside = errors.New("the text ends inside a value")
	errEndsArray  = errors.New("the text ends inside an array")
	errMismatch   = errors.New("a bracket closes another one than was opened")
	errLong       = &event.LimitError{What: "size of one record in bytes", Limit: event.RecordBytesMax}
)

// more reads further text; false at the end of the stream.
func (s *structureSplitter) more() bool {
	if s.err != nil {
		return false
	}
	if len(s.win)+format.BlockBytes/4 > cap(s.win) {
		grown := make([]byte, len(s.win), max(2*cap(s.win), 2*format.BlockBytes))
		copy(grown, s.win)
		s.win = grown
	}
	n, err := s.src.Read(s.win[len(s.win):cap(s.win)])
	s.win = s.win[:len(s.win)+n]
	s.err = err
	return n > 0 || err == nil
}

// drop forgets the text before n.
func (s *structureSplitter) drop(n int) {
	s.lineTo(n)
	s.consumed += int64(n)
	s.offset += int64(n)
	s.win = s.win[:copy(s.win, s.win[n:])]
	s.pos -= n
	s.lineAt = 0
}

func (s *structureSplitter) lineTo(n int) int64 {
	if n > s.lineAt {
		s.line += int64(bytes.Count(s.win[s.lineAt:n], []byte{'\n'}))
		s.lineAt = n
	}
	return s.line
}

func (s *structureSplitter) problem(b *format.Block, at int, err error) {
	b.Problems = append(b.Problems, format.Problem{Offset: s.offset + int64(at), Line: s.lineTo(at), Err: err})
}

// Next implements format.Splitter.
func (s *structureSplitter) Next(b *format.Block) error {
	b.Reset()
	s.drop(s.pos)
	b.Offset = s.offset
	for s.pos < format.BlockBytes {
		if !s.step(b) {
			break
		}
	}
	// The block is the text up to here, frames and what lies between.
	if n := len(b.Frames); n > 0 {
		b.Data = append(b.Data, s.win[:b.Frames[n-1].End]...)
	}
	if len(b.Frames) == 0 && len(b.Problems) == 0 && s.err != nil && s.pos >= len(s.win) {
		return s.err
	}
	return nil
}

// step reads one thing; false when the block is to be handed out.
func (s *structureSplitter) step(b *format.Block) bool {
	if s.seeking {
		return s.seek(b)
	}
	for {
		if s.pos = skipSpace(s.win, s.pos); s.pos < len(s.win) {
			break
		}
		if len(b.Frames) == 0 {
			s.drop(s.pos)
			b.Offset = s.offset
		} else if s.pos >= format.BlockBytes {
			return false
		}
		if !s.more() {
			if s.inArray || s.tail {
				s.inArray, s.tail = false, false
				s.problem(b, s.pos, errEndsArray)
			}
			return false
		}
	}
	c := s.win[s.pos]
	switch {
	case s.tail:
		end, state := s.tailScan.scan(s.win, s.pos)
		s.pos = end
		if state != scanMore {
			s.tail = false
		}
	case c == ',':
		s.pos++
	case s.inArray && c == ']':
		s.pos++
		s.inArray = false
		if s.envelope {
			s.envelope, s.tail, s.tailScan = false, true, scanner{depth: 1}
		}
	case !s.inArray && c == '[':
		s.pos++
		s.inArray = true
	case c == '{':
		if !s.inArray {
			for len(s.win)-s.pos < headBytes && s.more() {
			}
			if n := envelope(s.win[s.pos:]); n > 0 {
				s.pos += n
				s.inArray, s.envelope = true, true
				return true
			}
		}
		s.element(b)
	default:
		s.problem(b, s.pos, fmt.Errorf("expected an object, found %q", rune(c)))
		s.pos++
		s.seeking = true
	}
	return true
}

// element frames the object at pos.
func (s *structureSplitter) element(b *format.Block) {
	var scan scanner
	at := s.pos
	state := scanMore
	for {
		at, state = scan.scan(s.win, at)
		if state != scanMore || at-s.pos > event.RecordBytesMax || !s.more() {
			break
		}
	}
	if !s.sign {
		s.remember()
	}
	if state == scanEnd && at-s.pos <= event.RecordBytesMax {
		b.Frames = append(b.Frames, format.Frame{
			Start: s.pos, End: at, Offset: s.offset + int64(s.pos), Line: s.lineTo(s.pos),
		})
		s.pos = at
		return
	}
	switch {
	case state == scanBroken:
		s.problem(b, s.pos, errMismatch)
	case state == scanEnd || at-s.pos > event.RecordBytesMax:
		s.problem(b, s.pos, errLong)
	default:
		s.problem(b, s.pos, errEndsInside)
	}
	s.seeking = true
	s.wasted += int64(at - s.pos)
	if state == scanEnd || s.wasted > wastedRatioMax*(s.consumed+int64(s.pos)+event.RecordBytesMax) {
		s.pos = at
	} else {
		s.pos++
	}
}

// remember keeps how the element at pos begins.
func (s *structureSplitter) remember() {
	s.sign = true
	i := s.pos
	for i > 0 && (s.win[i-1] == ' ' || s.win[i-1] == '\t') {
		i--
	}
	if i > 0 && s.win[i-1] == '\n' {
		s.indent = append([]byte(nil), s.win[i-1:s.pos+1]...)
	}
	key, _ := firstKey(s.win[s.pos:])
	s.key = append([]byte(nil), key...)
}

// seekKeepBytes is how much text before the end of the window is looked at
// again with the text behind it, so that no beginning is missed.
const seekKeepBytes = 8 << 10

// seek moves to the next beginning of an element.
func (s *structureSplitter) seek(b *format.Block) bool {
	if i := s.beginning(); i >= 0 {
		s.pos = i
		s.seeking = false
		return true
	}
	if s.err != nil {
		s.pos = len(s.win)
		s.seeking = false
		// A damaged array has been reported already.
		s.inArray, s.tail = false, false
		return false
	}
	s.pos = max(s.pos, len(s.win)-seekKeepBytes)
	if len(b.Frames) > 0 {
		s.more()
		return false
	}
	s.drop(s.pos)
	b.Offset = s.offset
	s.more()
	return true
}

// beginning returns the next index from pos at which an element may begin, or
// -1.
func (s *structureSplitter) beginning() int {
	if len(s.indent) > 0 {
		// One byte back, because the line end may stand just before pos.
		from := max(0, s.pos-len(s.indent))
		for {
			i := bytes.Index(s.win[from:], s.indent)
			if i < 0 {
				return -1
			}
			if at := from + i + len(s.indent) - 1; at >= s.pos {
				return at
			}
			from += i + 1
		}
	}
	for from := s.pos; ; {
		i := bytes.IndexByte(s.win[from:], '{')
		if i < 0 {
			return -1
		}
		at := from + i
		if s.follows(at) {
			if len(s.key) == 0 || bytes.HasPrefix(s.win[skipSpace(s.win, at+1):], s.key) {
				return at
			}
		}
		from = at + 1
	}
}

// follows reports whether what stands before i may stand before an element:
// white space, and before that a comma, a bracket or an end.
func (s *structureSplitter) follows(i int) bool {
	j := i
	for j > 0 && skipSpace(s.win[:j], j-1) == j {
		j--
	}
	return j == 0 || j < i && s.win[j-1] != ':' || s.win[j-1] == ',' || s.win[j-1] == '}' || s.win[j-1] == '['
}
