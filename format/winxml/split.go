package winxml

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// problemsMax bounds the problems of one block.
const problemsMax = 1024

// splitter finds the events of a file.
type splitter struct {
	src  source
	buf  []byte
	pos  int   // buf[pos:] is not consumed
	off  int64 // of buf[pos] in the file
	line int64 // of buf[pos], from 1
	err  error // of the source, io.EOF included

	skipping bool // behind the start of a broken event
	junk     junk

	// unended[k] is a stretch of text, counted from the file's first byte of
	// text, in which the end of hidden[k] was sought in vain. It keeps a file
	// full of openings from being searched once for each.
	unended [len(hidden)]struct{ from, to int64 }
	base    int64 // text before buf[0]
}

// junk is a run of text outside of events, from its first byte to behind its
// last that is no space. Its end is 0 when there is none.
type junk struct{ off, line, end int64 }

// hidden are the sections in which tags do not count.
var hidden = [...]struct{ begin, end string }{
	{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"},
}

func newSplitter(r io.Reader) *splitter { return &splitter{src: source{r: r}, line: 1} }

func (s *splitter) Next(b *format.Block) error {
	b.Reset()
	for len(b.Data) < format.BlockBytes && len(b.Problems) < problemsMax {
		var more bool
		if s.skipping {
			more = s.skip()
		} else {
			more = s.outside(b)
		}
		if more {
			continue
		}
		s.endJunk(b)
		if !errors.Is(s.err, io.EOF) {
			return fmt.Errorf("read at byte %d: %w", s.off, s.err)
		}
		if len(b.Frames) == 0 && len(b.Problems) == 0 {
			return io.EOF
		}
		return nil
	}
	return nil
}

// fill reads more text behind buf and reports whether there was any.
func (s *splitter) fill() bool {
	for s.err == nil {
		if cap(s.buf)-len(s.buf) < 2*readBytes && s.pos > cap(s.buf)/2 {
			s.base += int64(s.pos)
			s.buf = s.buf[:copy(s.buf, s.buf[s.pos:])]
			s.pos = 0
		}
		n := len(s.buf)
		var mark int
		s.buf, mark, s.err = s.src.read(s.buf)
		s.off += int64(mark)
		if len(s.buf) > n {
			return true
		}
	}
	return false
}

// have reports whether n bytes stand behind buf[*i], filling as needed. Filling
// may move the text, and *i with it.
func (s *splitter) have(i *int, n int) bool {
	rel := *i - s.pos
	more := true
	for more && len(s.buf)-s.pos-rel < n {
		more = s.fill()
	}
	*i = s.pos + rel
	return more
}

// advance consumes n bytes.
func (s *splitter) advance(n int) {
	b := s.buf[s.pos : s.pos+n]
	s.off += s.src.fileBytes(b)
	s.line += int64(bytes.Count(b, []byte{'\n'}))
	s.pos += n
}

func (s *splitter) problem(b *format.Block, off, line int64, text string, args ...any) {
	b.Problems = append(b.Problems, format.Problem{Offset: off, Line: line, Err: fmt.Errorf(text, args...)})
}

// longestTag is how much of a tag must be in hand to know what it is.
const longestTag = len("</Events>")

// mark is the byte order mark in UTF-8.
const mark = "\ufeff"

// outside consumes one thing between events, or an event. It returns false at
// the end of the file.
func (s *splitter) outside(b *format.Block) bool {
	i := s.pos
	if !s.have(&i, 1) {
		return false
	}
	switch c := s.buf[s.pos]; {
	case isSpace(c):
		n := 1
		for s.pos+n < len(s.buf) && isSpace(s.buf[s.pos+n]) {
			n++
		}
		s.advance(n)
		return true
	case c == mark[0] && s.have(&i, len(mark)) && string(s.buf[i:i+len(mark)]) == mark:
		s.advance(len(mark)) // of a file that was joined to another
		return true
	case c != '<':
		n := 1
		for s.pos+n < len(s.buf) && !isSpace(s.buf[s.pos+n]) && s.buf[s.pos+n] != '<' && s.buf[s.pos+n] != mark[0] {
			n++
		}
		s.addJunk(n)
		return true
	}
	s.have(&i, longestTag+1)
	rest := s.buf[s.pos:]
	switch {
	case isTag(rest, "<Event"):
		s.endJunk(b)
		s.event(b)
	case isTag(rest, "<Events"), isTag(rest, "</Events"):
		s.endJunk(b)
		s.skipPast(">")
	case bytes.HasPrefix(rest, []byte("<?")):
		s.endJunk(b)
		s.skipPast("?>")
	case bytes.HasPrefix(rest, []byte("<!--")):
		s.endJunk(b)
		s.skipPast("-->")
	case bytes.HasPrefix(rest, []byte("<!")):
		s.endJunk(b)
		s.problem(b, s.off, s.line, "a document type or other declaration: event logs have none, and it is skipped")
		s.skipDeclaration()
	default:
		s.addJunk(1)
	}
	return true
}

// addJunk consumes n bytes that are no event.
func (s *splitter) addJunk(n int) {
	if s.junk.end == 0 {
		s.junk = junk{off: s.off, line: s.line}
	}
	s.advance(n)
	s.junk.end = s.off
}

func (s *splitter) endJunk(b *format.Block) {
	if s.junk.end > 0 {
		s.problem(b, s.junk.off, s.junk.line, "%d bytes outside of events are skipped", s.junk.end-s.junk.off)
		s.junk = junk{}
	}
}

// skipPast consumes text up to and with end.
func (s *splitter) skipPast(end string) {
	for {
		if i := bytes.Index(s.buf[s.pos:], []byte(end)); i >= 0 {
			s.advance(i + len(end))
			return
		}
		s.advance(max(0, len(s.buf)-s.pos-len(end)+1))
		if !s.fill() {
			s.advance(len(s.buf) - s.pos)
			return
		}
	}
}

// skipDeclaration consumes a declaration with its internal subset.
func (s *splitter) skipDeclaration() {
	for {
		if i := bytes.IndexAny(s.buf[s.pos:], "[>"); i >= 0 {
			subset := s.buf[s.pos+i] == '['
			s.advance(i + 1)
			if subset {
				s.skipPast("]")
				s.skipPast(">")
			}
			return
		}
		s.advance(len(s.buf) - s.pos)
		if !s.fill() {
			return
		}
	}
}

// event makes a frame of the event at buf[pos], or a problem when it has no
// end.
func (s *splitter) event(b *format.Block) {
	depth := 0
	for i := s.pos; ; {
		if i-s.pos > event.RecordBytesMax {
			s.broken(b, "an event of more than %d bytes", event.RecordBytesMax)
			return
		}
		n := bytes.IndexByte(s.buf[i:], '<')
		if n < 0 {
			i = len(s.buf)
			if !s.have(&i, 1) {
				s.broken(b, "the file ends inside an event, after %d bytes", len(s.buf)-s.pos)
				return
			}
			continue
		}
		i += n
		s.have(&i, longestTag+1)
		rest := s.buf[i:]
		switch {
		case isTag(rest, "</Event"), isTag(rest, "<Event"):
			end, ok := s.tag(&i)
			if !ok {
				s.broken(b, "a tag of an event does not end")
				return
			}
			tag := s.buf[i : end+1]
			switch {
			case tag[1] == '/':
				depth--
			case i > s.pos && bytes.Contains(tag, []byte(namespace)):
				s.problem(b, s.off, s.line, "an event without end: the next one begins %d bytes on", i-s.pos)
				s.advance(i - s.pos)
				return
			case tag[len(tag)-2] != '/':
				depth++
			}
			i = end + 1
			if depth > 0 {
				continue
			}
			if i-s.pos > event.RecordBytesMax {
				continue
			}
			if len(b.Frames) == 0 {
				b.Offset = s.off
			}
			start := len(b.Data)
			b.Data = append(b.Data, s.buf[s.pos:i]...)
			b.Frames = append(b.Frames, format.Frame{Start: start, End: len(b.Data), Offset: s.off, Line: s.line})
			s.advance(i - s.pos)
			return
		default:
			k := -1
			for j := range hidden {
				if bytes.HasPrefix(rest, []byte(hidden[j].begin)) {
					k = j
				}
			}
			if k < 0 {
				i++
				continue
			}
			if !s.pastHidden(&i, k) {
				s.broken(b, "an event in which %s has no end", hidden[k].begin)
				return
			}
		}
	}
}

// tag returns the index of the last byte of the tag at *i.
func (s *splitter) tag(i *int) (end int, ok bool) {
	for {
		end := tagEnd(s.buf, *i)
		if end >= 0 {
			return end, s.buf[end] == '>'
		}
		if len(s.buf)-s.pos > event.RecordBytesMax+readBytes || !s.have(i, len(s.buf)-*i+1) {
			return 0, false
		}
	}
}

// pastHidden moves *i past the section of kind k that begins there. It
// reports false when the section does not end within the largest event.
func (s *splitter) pastHidden(i *int, k int) bool {
	end := []byte(hidden[k].end)
	known := &s.unended[k]
	from := *i + len(hidden[k].begin)
	for {
		at := s.base + int64(from)
		if known.from <= at && at < known.to {
			from = int(known.to - s.base)
		} else {
			known.from, known.to = at, at
		}
		if from <= len(s.buf) {
			if n := bytes.Index(s.buf[from:], end); n >= 0 {
				*i = from + n + len(end)
				return true
			}
			known.to = max(known.to, s.base+int64(len(s.buf)-len(end)+1))
		}
		if len(s.buf)-s.pos > event.RecordBytesMax {
			return false
		}
		base := s.base
		if !s.fill() {
			return false
		}
		*i -= int(s.base - base)
		from = max(*i+len(hidden[k].begin), int(known.to-s.base))
	}
}

// broken reports the event at buf[pos] and goes on behind its first tag's name,
// looking for its end or the next event.
func (s *splitter) broken(b *format.Block, text string, args ...any) {
	s.problem(b, s.off, s.line, text+"; it is skipped", args...)
	s.advance(len("<Event"))
	s.skipping = true
}

// skip consumes text up to the end of a broken event or the start of the next.
// It returns false at the end of the file.
func (s *splitter) skip() bool {
	n := bytes.IndexByte(s.buf[s.pos:], '<')
	if n < 0 {
		s.advance(len(s.buf) - s.pos)
		return s.fill()
	}
	s.advance(n)
	i := s.pos
	s.have(&i, longestTag+1)
	rest := s.buf[s.pos:]
	start, end := isTag(rest, "<Event"), isTag(rest, "</Event")
	if start || end {
		last, ok := s.tag(&i)
		if ok && start && bytes.Contains(s.buf[i:last], []byte(namespace)) {
			s.skipping = false
			return true
		}
		if ok && end {
			s.advance(last + 1 - s.pos)
			s.skipping = false
			return true
		}
	}
	s.advance(1)
	return true
}
