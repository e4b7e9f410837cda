package pipeline

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
)

// spooled is a hit on its way to stage 2.
type spooled struct {
	time   int64
	seq    uint64
	id     event.ID
	rule   int
	fields [][]string
}

func (a *spooled) compare(b *spooled) int {
	switch {
	case a.time != b.time:
		if a.time < b.time {
			return -1
		}
		return 1
	case a.seq != b.seq:
		if a.seq < b.seq {
			return -1
		}
		return 1
	}
	if c := bytes.Compare(a.id[:], b.id[:]); c != 0 {
		return c
	}
	return a.rule - b.rule
}

// spoolHits is how many hits are sorted in memory, some 20 MB, before they go to
// a file; runsMax is how many such files are merged at once, one buffer each.
const (
	spoolHits = 50_000
	runsMax   = 512
)

// errSpoolFull ends a scan that found more than can be sorted: 25 million
// matches.
var errSpoolFull = fmt.Errorf("more than %d matches; narrow the scan with --min-level, --from and --to", spoolHits*runsMax)

// spool sorts hits by event time in bounded memory: sorted runs in files, merged
// at the end.
type spool struct {
	fs     vfs.FS
	prefix string
	hits   []spooled
	runs   []string
}

func (s *spool) add(h spooled) error {
	s.hits = append(s.hits, h)
	if len(s.hits) < spoolHits {
		return nil
	}
	return s.flush()
}

func (s *spool) sort() {
	slices.SortStableFunc(s.hits, func(a, b spooled) int { return a.compare(&b) })
}

// flush writes the hits in memory as a run.
func (s *spool) flush() (err error) {
	if len(s.runs) == runsMax {
		return errSpoolFull
	}
	s.sort()
	name := s.prefix + strconv.Itoa(len(s.runs))
	f, err := s.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("write a temporary file: %w", err)
	}
	s.runs = append(s.runs, name)
	w := bufio.NewWriter(f)
	var buf []byte
	for i := range s.hits {
		buf = s.hits[i].append(buf[:0])
		if _, err = w.Write(buf); err != nil {
			break
		}
	}
	err = errors.Join(err, w.Flush(), f.Close())
	if err != nil {
		return fmt.Errorf("write temporary file %s: %w", name, err)
	}
	clear(s.hits)
	s.hits = s.hits[:0]
	return nil
}

// each calls f for all hits in order of event time.
func (s *spool) each(f func(*spooled)) error {
	s.sort()
	if len(s.runs) == 0 {
		for i := range s.hits {
			f(&s.hits[i])
		}
		return nil
	}
	if len(s.hits) > 0 {
		if err := s.flush(); err != nil {
			return err
		}
	}
	var m merge
	defer func() {
		for _, r := range m {
			_ = r.file.Close() // read only
		}
	}()
	for _, name := range s.runs {
		file, err := s.fs.Open(name)
		if err != nil {
			return fmt.Errorf("read temporary file %s: %w", name, err)
		}
		r := &sortedRun{file: file, r: bufio.NewReader(file)}
		if err := r.next(); err != nil {
			_ = file.Close()
			return fmt.Errorf("read temporary file %s: %w", name, err)
		}
		m = append(m, r)
	}
	heap.Init(&m)
	for len(m) > 0 {
		r := m[0]
		f(&r.hit)
		switch err := r.next(); {
		case errors.Is(err, io.EOF):
			_ = r.file.Close()
			heap.Pop(&m)
		case err != nil:
			return fmt.Errorf("read a temporary file: %w", err)
		default:
			heap.Fix(&m, 0)
		}
	}
	return nil
}

// remove deletes the runs.
func (s *spool) remove() {
	for _, name := range s.runs {
		_ = s.fs.Remove(name) // nothing depends on it
	}
	s.runs = nil
}

// append encodes a hit.
func (a *spooled) append(b []byte) []byte {
	b = binary.AppendVarint(b, a.time)
	b = binary.AppendUvarint(b, a.seq)
	b = append(b, a.id[:]...)
	b = binary.AppendUvarint(b, uint64(a.rule))
	b = binary.AppendUvarint(b, uint64(len(a.fields)))
	for _, values := range a.fields {
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = binary.AppendUvarint(b, uint64(len(v)))
			b = append(b, v...)
		}
	}
	return b
}

// sortedRun is a sorted file that is being read.
type sortedRun struct {
	file vfs.File
	r    *bufio.Reader
	hit  spooled
}

// next reads the next hit. The files are the program's own and as long as it
// runs, so what they hold is trusted but for their length.
func (r *sortedRun) next() error {
	t, err := binary.ReadVarint(r.r)
	if err != nil {
		return err // io.EOF at the end of the run
	}
	h := spooled{time: t}
	read := func() uint64 {
		var n uint64
		if err == nil {
			n, err = binary.ReadUvarint(r.r)
		}
		return n
	}
	h.seq = read()
	if err == nil {
		_, err = io.ReadFull(r.r, h.id[:])
	}
	h.rule = int(read())
	for n := read(); n > 0 && err == nil; n-- {
		var values []string
		for k := read(); k > 0 && err == nil; k-- {
			text := make([]byte, read())
			if err == nil {
				_, err = io.ReadFull(r.r, text)
			}
			values = append(values, string(text))
		}
		h.fields = append(h.fields, values)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	r.hit = h
	return err
}

// merge is a heap of runs by their next hit.
type merge []*sortedRun

func (m merge) Len() int           { return len(m) }
func (m merge) Less(i, j int) bool { return m[i].hit.compare(&m[j].hit) < 0 }
func (m merge) Swap(i, j int)      { m[i], m[j] = m[j], m[i] }
func (m *merge) Push(x any)        { *m = append(*m, x.(*sortedRun)) }
func (m *merge) Pop() any {
	old := *m
	x := old[len(old)-1]
	*m = old[:len(old)-1]
	return x
}
