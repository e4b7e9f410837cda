package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/tiercel-io/tiercel/format"
)

// filesInFlightMax bounds the files open at once: enough to hide the latency
// of opening small ones. Each has buffers and blocks of its own, and eight were
// no faster than four.
const filesInFlightMax = 4

// blocksOwned is what each open file may always have in flight: one being
// filled while one is worked on.
const blocksOwned = 2

// stream is one file, or one member of an archive, on its way to the
// collector.
type stream struct {
	path    string
	format  format.Format
	options format.Options
	// fingerprint is that of the first bytes.
	fingerprint [sha256.Size]byte
	// tasks are the stream's blocks in order; closed by its reader.
	tasks chan *task
	// own holds the stream's own budget of blocks.
	own chan struct{}
	// failed is set before tasks is closed: what ended the stream early.
	failed *format.Problem
	// collected is set once the collector has taken the last block.
	collected atomic.Bool
}

// file is one path on its way: its streams in order, one for each member of an
// archive. A stream without a format only carries its failure.
type file struct {
	walked
	streams chan *stream
	// turn is closed when the collector comes to the file.
	turn chan struct{}
}

// scan is one run of Scan.
type scan struct {
	config Config
	ctx    context.Context
	stop   context.CancelFunc

	files  chan *file // to the collector, in order
	work   chan *task
	shared chan struct{} // budget of blocks beyond the streams' own
	pool   chan *task    // blocks to use again

	readers, workers sync.WaitGroup
}

// Scan reads the files of c, matches their records and hands matches and
// problems out in order. It returns what it counted, also with an error. A
// cancelled ctx ends it early, with the matches found so far handed out and
// ctx's error returned; otherwise the only errors are those of c itself and of
// c.Match. Input that cannot be read is a problem, not an error.
func Scan(ctx context.Context, c Config) (Stats, error) {
	if c.Engine == nil || c.Match == nil || len(c.Formats) == 0 {
		return Stats{}, errors.New("pipeline: a scan needs an engine, formats and a receiver of matches")
	}
	if c.Format != "" && lookup(c.Formats, c.Format) == nil {
		return Stats{}, fmt.Errorf("unknown format %q", c.Format)
	}
	c.Jobs = min(max(c.Jobs, 1), JobsMax)
	start := c.Env.Clock.Now()
	inFlight := min(c.Jobs+1, filesInFlightMax)
	s := &scan{
		config: c,
		files:  make(chan *file, inFlight),
		work:   make(chan *task, c.Jobs),
		shared: make(chan struct{}, c.Jobs),
		pool:   make(chan *task, blocksOwned*inFlight+c.Jobs),
	}
	s.ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	for range c.Jobs {
		s.workers.Add(1)
		go func() {
			defer s.workers.Done()
			newWorker(&s.config).run(s.work)
		}()
	}
	s.readers.Add(1)
	go s.walk(inFlight)

	col := newCollector(&s.config)
	err := s.collect(col)
	s.stop()
	s.readers.Wait()
	close(s.work)
	s.workers.Wait()
	if err == nil {
		err = ctx.Err()
	}
	col.stats.Elapsed = c.Env.Clock.Now().Sub(start)
	return col.stats, err
}

// walk names the files in order and starts a reader for each, inFlight at most
// at a time.
func (s *scan) walk(inFlight int) {
	defer s.readers.Done()
	defer close(s.files)
	slots := make(chan struct{}, inFlight)
	walk(s.config.Env, s.config.Paths, func(w walked) bool {
		select {
		case slots <- struct{}{}:
		case <-s.ctx.Done():
			return false
		}
		f := &file{walked: w, streams: make(chan *stream, 1), turn: make(chan struct{})}
		select {
		case s.files <- f:
		case <-s.ctx.Done():
			return false
		}
		s.readers.Add(1)
		go func() {
			defer s.readers.Done()
			s.read(f)
			<-slots
		}()
		return true
	})
}

// acquire takes a block for st, of its own budget or of the shared one. It
// returns nil when the scan has ended.
func (s *scan) acquire(st *stream) *task {
	var shared bool
	select {
	case st.own <- struct{}{}:
	default:
		select {
		case st.own <- struct{}{}:
		case s.shared <- struct{}{}:
			shared = true
		case <-s.ctx.Done():
			return nil
		}
	}
	if s.ctx.Err() != nil {
		s.free(st, shared)
		return nil
	}
	var t *task
	select {
	case t = <-s.pool:
	default:
		t = &task{done: make(chan struct{}, 1)}
	}
	t.stream, t.shared = st, shared
	return t
}

func (s *scan) free(st *stream, shared bool) {
	if shared {
		<-s.shared
	} else {
		<-st.own
	}
}

// release gives a block back.
func (s *scan) release(t *task) {
	s.free(t.stream, t.shared)
	t.stream = nil
	if cap(t.block.Data) > 4*format.BlockBytes {
		t.block = format.Block{} // grown by one giant record
	}
	select {
	case s.pool <- t:
	default:
	}
}

// split cuts r into blocks and sends them to the workers, then closes the
// stream.
func (s *scan) split(st *stream, r io.Reader) {
	defer close(st.tasks)
	var t *task
	defer func() {
		if p := recover(); p != nil {
			st.failed = &format.Problem{Err: fmt.Errorf("internal error, the rest of the file is not read; please report it: %v", p)}
		}
		if t != nil {
			s.release(t)
		}
	}()
	splitter := st.format.NewSplitter(r, st.options)
	for {
		if t = s.acquire(st); t == nil {
			return
		}
		err := splitter.Next(&t.block)
		end := t.block.Offset + int64(len(t.block.Data))
		if len(t.block.Frames) > 0 || len(t.block.Problems) > 0 {
			st.tasks <- t // never blocks: it holds the whole budget of blocks
			s.work <- t
			t = nil
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && s.ctx.Err() == nil {
				st.failed = &format.Problem{Offset: end, Err: err}
			}
			return
		}
		if t != nil {
			s.release(t)
			t = nil
		}
	}
}

// collect takes the results in order. On an error of Match it stops the scan
// and drains what is under way.
func (s *scan) collect(col *collector) error {
	var failed error
	keep := func(err error) {
		if err != nil && failed == nil {
			failed = err
			s.stop()
		}
	}
	for f := range s.files {
		close(f.turn)
		if f.err != nil {
			col.problems(f.path, "", []format.Problem{{Err: f.err}}, 1)
		}
		for st := range f.streams {
			col.begin(st)
			for t := range st.tasks {
				<-t.done
				if failed == nil {
					keep(col.take(t))
				}
				s.release(t)
			}
			st.collected.Store(true)
			if failed == nil {
				keep(col.finish())
			}
			if st.failed != nil {
				col.problems(st.path, st.format.Name, []format.Problem{*st.failed}, 1)
			}
			col.end()
		}
	}
	return failed
}
