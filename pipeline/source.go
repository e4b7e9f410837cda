package pipeline

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/format"
)

// detectBytes is how much of a file its format is told by.
const detectBytes = 64 << 10

func lookup(formats []format.Format, name string) *format.Format {
	for i := range formats {
		if formats[i].Name == name {
			return &formats[i]
		}
	}
	return nil
}

// detect returns the format that is surest of a file, or nil.
func detect(formats []format.Format, head []byte, name string) *format.Format {
	var best *format.Format
	sure := 0
	for i := range formats {
		if n := formats[i].Detect(head, name); n > sure {
			best, sure = &formats[i], n
		}
	}
	return best
}

// read opens a file, cuts its members into blocks and closes f.streams.
func (s *scan) read(f *file) {
	defer close(f.streams)
	defer func() {
		if p := recover(); p != nil {
			s.fail(f, f.path, fmt.Errorf("internal error, the rest of the file is not read; please report it: %v", p))
		}
	}()
	if f.err != nil {
		return
	}
	if s.config.Progress != nil {
		s.config.Progress.Files.Add(1)
	}
	var r io.Reader
	var modified time.Time
	if f.path == "-" {
		if s.config.Stdin == nil {
			s.fail(f, f.path, errors.New("there is no standard input"))
			return
		}
		r = interruptible(s.ctx, s.config.Stdin)
		modified = s.config.Env.Clock.Now()
	} else {
		opened, err := s.config.Env.FS.Open(f.path)
		if err != nil {
			s.fail(f, f.path, plain(err))
			return
		}
		defer opened.Close()
		r = opened
		if info, err := opened.Stat(); err == nil {
			modified = info.ModTime()
		}
	}
	r = &watched{ctx: s.ctx, r: r, progress: s.config.Progress}
	s.member(f, f.path, modified, r)
}

// fail sends a stream that has only its failure.
func (s *scan) fail(f *file, name string, err error) {
	if s.ctx.Err() != nil {
		return
	}
	st := &stream{path: name, tasks: make(chan *task), failed: &format.Problem{Err: err}}
	close(st.tasks)
	f.streams <- st
}

// member cuts one plain file into blocks.
func (s *scan) member(f *file, name string, modified time.Time, r io.Reader) {
	head := bufio.NewReaderSize(r, detectBytes)
	peek, err := head.Peek(detectBytes)
	if err != nil && !errors.Is(err, io.EOF) && len(peek) == 0 {
		s.fail(f, name, plain(err))
		return
	}
	if len(peek) == 0 {
		return // an empty file holds no records, which is no problem
	}
	base := path.Base(strings.ReplaceAll(name, `\`, "/"))
	var kind *format.Format
	if s.config.Format != "" {
		kind = lookup(s.config.Formats, s.config.Format)
	} else {
		kind = detect(s.config.Formats, peek, base)
	}
	if kind == nil {
		s.fail(f, name, errors.New("not a log in a known format; name one with --format if it is"))
		return
	}
	st := &stream{
		path:    name,
		format:  *kind,
		options: format.Options{Zone: s.config.Zone, Reference: modified, Name: base},
		tasks:   make(chan *task, blocksOwned+cap(s.shared)),
		own:     make(chan struct{}, blocksOwned),
	}
	f.streams <- st
	s.split(st, head)
}

// watched counts what is read and ends with the context.
type watched struct {
	ctx      context.Context
	r        io.Reader
	progress *Progress
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(p)
	if w.progress != nil {
		w.progress.Bytes.Add(int64(n))
	}
	return n, err
}

// interruptible makes a reader that ends with ctx even while r, a terminal or
// a pipe, waits. The goroutine that reads r then stays until r gives
// something; it touches nothing that is used again.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	in, out := io.Pipe()
	go func() {
		buf := make([]byte, 64<<10)
		_, err := io.CopyBuffer(out, struct{ io.Reader }{r}, buf)
		out.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return in
}
