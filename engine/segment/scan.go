package segment

import (
	"bytes"
	"errors"
	"io"
)

// found is an entry as a scan or an index knows it.
type found struct {
	// part is an index into the keys of its contents.
	part     int
	offset   int64
	sequence uint64
	position int64
	// head and stored are the lengths of header and payload.
	head, stored uint32
	// bad tells that the payload is damaged while the header is sound.
	bad  bool
	meta []byte
}

// stretch is a part of a file that could not be read: from <= position < to.
type stretch struct{ from, to int64 }

// partNext is a head with its partition as index into the keys.
type partNext struct {
	part int
	next int64
}

// contents is what a segment holds, read from it or from its index.
type contents struct {
	header segmentHeader
	// headerSound is false when only the tag could be recovered.
	headerSound bool
	// size is the length of the file when it was read, end where what counts
	// ends: behind it are torn writes, or nothing.
	size, end int64
	// sealed tells that the segment was closed in order.
	sealed    bool
	lastNanos int64
	lastSeq   uint64
	keys      []partitionKey
	entries   []found
	// start are the heads at the beginning; startKnown tells that they could be
	// read. later are those of marks and the seal.
	start      []partNext
	startKnown bool
	later      []partNext
	// stretches are damaged places within what counts, torn what was left out
	// behind it.
	stretches []stretch
	torn      stretch
	// tornEntries are the entries known to be among the torn.
	tornEntries []found
	// unreadable counts the bytes that the file system failed to give; if there
	// are any, the result must not be kept.
	unreadable int64

	parts map[partitionKey]int
}

func (c *contents) part(k partitionKey) int {
	if i, ok := c.parts[k]; ok {
		return i
	}
	if c.parts == nil {
		c.parts = make(map[partitionKey]int)
	}
	c.keys = append(c.keys, k)
	c.parts[k] = len(c.keys) - 1
	return len(c.keys) - 1
}

func (c *contents) partNexts(heads []headNext) []partNext {
	list := make([]partNext, 0, len(heads))
	for _, h := range heads {
		list = append(list, partNext{part: c.part(h.key), next: h.next})
	}
	return list
}

// windowBytes is how much a scan reads at once.
const windowBytes = 256 << 10

// window reads a file in pieces. Bytes that the file system fails to give
// after three tries count as zeros: one bad block must not hide the file.
type window struct {
	r      io.ReaderAt
	size   int64
	start  int64
	buf    []byte
	failed int64
}

// at returns n bytes at a position, fewer at the end of the file; n is at most
// windowBytes. They are valid until the next call.
func (w *window) at(position int64, n int) []byte {
	n = int(max(0, min(int64(n), w.size-position)))
	if position < w.start || position+int64(n) > w.start+int64(len(w.buf)) {
		w.fill(position)
	}
	return w.buf[position-w.start : position-w.start+int64(n)]
}

func (w *window) fill(position int64) {
	if w.buf == nil {
		w.buf = make([]byte, max(0, min(windowBytes, w.size)))
	}
	w.start = position
	w.buf = w.buf[:max(0, min(int64(cap(w.buf)), w.size-position))]
	if w.read(w.buf, position) {
		return
	}
	const block = 4096
	for i := 0; i < len(w.buf); i += block {
		b := w.buf[i:min(i+block, len(w.buf))]
		if !w.read(b, position+int64(i)) {
			clear(b)
			w.failed += int64(len(b))
		}
	}
}

func (w *window) read(b []byte, position int64) bool {
	for range 3 {
		n, err := w.r.ReadAt(b, position)
		if n == len(b) {
			return true
		}
		if errors.Is(err, io.EOF) {
			// The file is shorter than it said: what is missing is zeros.
			clear(b[n:])
			return true
		}
	}
	return false
}

// payload reads a payload of n bytes at a position, up to keep bytes of which
// are returned, and reports whether its checksum holds.
func (w *window) payload(position, n int64, crc uint32, keep int64) ([]byte, bool) {
	if n > w.size-position {
		return nil, false
	}
	var kept []byte
	var sum uint32
	for done := int64(0); done < n; {
		b := w.at(position+done, int(min(n-done, windowBytes)))
		sum = update(sum, b)
		if done < keep {
			kept = append(kept, b...)
		}
		done += int64(len(b))
	}
	return kept, sum == crc
}

// unlimited is the limit of a segment that has no successor.
const unlimited = int64(-1)

// scan reads a whole segment. limit is how much of it counts by the word of its
// successor, or unlimited: then the end is found, and bad bytes at it that
// nothing proves to have been synced are torn writes. The tag stands in the
// header; scan takes that of the first frame when both copies are damaged, or
// fallback if it is not nil. A newer version is reported as newerError.
func scan(r io.ReaderAt, size int64, limit int64, fallback *tag) (*contents, error) {
	w := &window{r: r, size: size}
	c := &contents{size: size}
	if err := c.readHeader(w, fallback); err != nil {
		return nil, err
	}
	counted := size
	if limit != unlimited {
		counted = min(size, limit)
		w.size = counted
	}
	s := scanner{contents: c, window: w}
	s.frames()
	c.unreadable = w.failed
	if limit != unlimited {
		// Everything below the limit was synced.
		s.proven, c.end = limit, limit
		if size < limit {
			s.bad = append(s.bad, badPlace{stretch: stretch{size, limit}})
		}
	} else {
		c.end = counted
		if w.failed > 0 {
			// What cannot be read was not torn.
			s.proven = size
		}
	}
	s.judge()
	return c, nil
}

func (c *contents) readHeader(w *window, fallback *tag) error {
	b := w.at(0, segmentStartBytes+tagBytes)
	for i := range 2 {
		if len(b) < (i+1)*headerBytes {
			break
		}
		h, v, ok := parseHeader(b[i*headerBytes:])
		if ok && v > version {
			return newerError(v)
		}
		if ok && v == version {
			c.header, c.headerSound = h, true
			return nil
		}
	}
	switch {
	case fallback != nil:
		c.header.tag = *fallback
	case len(b) == segmentStartBytes+tagBytes:
		c.header.tag = tag(b[segmentStartBytes:])
	}
	return nil
}

// badPlace is a stretch without a sound header, or an entry with a bad payload.
type badPlace struct {
	stretch
	// entry is an index into the entries, or -1.
	entry   int
	isEntry bool
}

type scanner struct {
	*contents
	window *window
	// proven is the position below which all was synced.
	proven int64
	bad    []badPlace
	// valid is the end of the last frame that is sound as a whole.
	valid int64
}

func (s *scanner) frames() {
	if s.header.tag == (tag{}) {
		// No frame has a tag of zeros, which a hole in the file would match.
		if s.window.size > 0 {
			s.bad = append(s.bad, badPlace{stretch: stretch{0, s.window.size}})
		}
		return
	}
	for position := int64(segmentStartBytes); position < s.window.size; {
		f, head, ok := parseFrame(s.window.at(position, frameHeadBytesMax), s.header.tag, position)
		if !ok {
			next := s.resync(position + 1)
			s.bad = append(s.bad, badPlace{stretch: stretch{position, next}})
			position = next
			continue
		}
		s.proven = max(s.proven, f.synced)
		end := position + int64(head) + int64(f.stored)
		sound := s.frame(&f, position, int64(head), end)
		if sound {
			s.valid = end
			s.proven = max(s.proven, f.synced)
			s.lastNanos = max(s.lastNanos, f.timeNanos)
		}
		position = min(end, s.window.size)
	}
}

// frame takes in one frame with a sound header and reports whether its payload
// is sound too.
func (s *scanner) frame(f *frame, position, head, end int64) bool {
	if f.kind == kindEntry {
		// The names and the meta outlive the window.
		e := found{
			part: s.part(f.key), offset: f.offset, sequence: f.sequence, position: position,
			head: uint32(head), stored: f.stored, meta: bytes.Clone(f.meta),
		}
		_, sound := s.window.payload(position+head, int64(f.stored), f.payloadCRC, 0)
		e.bad = !sound
		s.entries = append(s.entries, e)
		if sound {
			s.lastSeq = max(s.lastSeq, f.sequence)
		} else {
			s.bad = append(s.bad, badPlace{stretch: stretch{position, min(end, s.window.size)}, entry: len(s.entries) - 1, isEntry: true})
		}
		return sound
	}
	payload, sound := s.window.payload(position+head, int64(f.stored), f.payloadCRC, int64(f.stored))
	var heads []headNext
	if sound {
		heads, sound = parseHeads(payload)
	}
	if !sound {
		s.bad = append(s.bad, badPlace{stretch: stretch{position, min(end, s.window.size)}})
		return false
	}
	if f.kind == kindHeads {
		s.start, s.startKnown = s.partNexts(heads), true
	} else {
		s.later = append(s.later, s.partNexts(heads)...)
	}
	s.sealed = f.kind == kindSeal
	return true
}

// resync finds the next sound header at or behind a position, or the end.
func (s *scanner) resync(position int64) int64 {
	for position+frameFixedBytes <= s.window.size {
		b := s.window.at(position, windowBytes)
		i := bytes.Index(b, s.header.tag[:])
		if i < 0 {
			// A tag may lie across the end of what was looked at.
			position += int64(max(len(b)-tagBytes+1, 1))
			continue
		}
		position += int64(i)
		if _, _, ok := parseFrame(s.window.at(position, frameHeadBytesMax), s.header.tag, position); ok {
			return position
		}
		position++
	}
	return s.window.size
}

// judge tells damage from torn writes: bad places behind the last sound frame
// that no header proves to have been synced are torn, and the segment ends before
// them.
func (s *scanner) judge() {
	for i, b := range s.bad {
		if b.from >= s.valid && b.from >= s.proven {
			s.torn = stretch{b.from, s.end}
			s.end = b.from
			s.bad = s.bad[:i]
			break
		}
	}
	for i := range s.entries {
		if s.entries[i].position >= s.end {
			s.tornEntries = append(s.tornEntries, s.entries[i:]...)
			s.entries = s.entries[:i]
			break
		}
	}
	for _, e := range s.entries {
		s.lastSeq = max(s.lastSeq, e.sequence)
	}
	for _, b := range s.bad {
		if !b.isEntry {
			s.stretches = append(s.stretches, b.stretch)
		}
	}
}
