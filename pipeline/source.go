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

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/container"
	"github.com/tiercel-io/tiercel/format/files"
)

// detectBytes is how much of a file its format is told by.
const detectBytes = container.HeadBytes

func lookup(formats []format.Format, name string) *format.Format {
	for i := range formats {
		if formats[i].Name == name {
			return &formats[i]
		}
	}
	return nil
}

// surest is [files.Surest].
func surest(formats []format.Format, head []byte, name string) *format.Format {
	best, _ := files.Surest(formats, head, name)
	return best
}

// read opens a file, cuts its members into blocks and closes f.streams.
func (s *scan) read(f *file) {
	defer close(f.streams)
	defer func() {
		if p := recover(); p != nil {
			s.fail(f, f.path, format.Problem{Err: fmt.Errorf("internal error, the rest of the file is not read; please report it: %v", p)})
		}
	}()
	if f.err != nil {
		return
	}
	if s.config.Progress != nil {
		s.config.Progress.Files.Add(1)
	}
	// One file at a time takes much memory: the one whose matches are due, since
	// no other waits for it to go on.
	in := container.Input{Name: f.path, Large: func() {
		select {
		case <-f.turn:
		case <-s.ctx.Done():
		}
	}}
	var modified time.Time
	if f.path == "-" {
		if s.config.Stdin == nil {
			s.fail(f, f.path, format.Problem{Err: errors.New("there is no standard input")})
			return
		}
		in.Reader = interruptible(s.ctx, func() (io.ReadCloser, error) { return io.NopCloser(s.config.Stdin), nil })
		modified = s.config.Env.Clock.Now()
	} else if f.stream {
		in.Reader = interruptible(s.ctx, func() (io.ReadCloser, error) { return s.config.Env.FS.Open(f.path) })
		modified = s.config.Env.Clock.Now()
	} else {
		opened, err := s.config.Env.FS.Open(f.path)
		if err != nil {
			s.fail(f, f.path, format.Problem{Err: plain(err)})
			return
		}
		defer opened.Close()
		in.Reader = opened
		if info, err := opened.Stat(); err == nil {
			modified = info.ModTime()
			if info.Mode().IsRegular() {
				in.At, in.Size = &watched{ctx: s.ctx, at: opened, progress: s.config.Progress}, info.Size()
			}
		}
	}
	in.Reader = &watched{ctx: s.ctx, r: in.Reader, progress: s.config.Progress}
	err := container.Walk(in, func(e container.Entry) error {
		at := e.Modified
		if at.IsZero() {
			at = modified
		}
		s.member(f, e.Name, at, e.Reader)
		return s.ctx.Err()
	}, func(name string, p format.Problem) {
		s.fail(f, name, p)
	})
	if err != nil && s.ctx.Err() == nil {
		s.fail(f, f.path, format.Problem{Err: err})
	}
}

// fail sends a stream that has only its failure.
func (s *scan) fail(f *file, name string, p format.Problem) {
	if s.ctx.Err() != nil {
		return
	}
	st := &stream{path: name, tasks: make(chan *task), failed: &p}
	close(st.tasks)
	f.streams <- st
}

// member cuts one plain file into blocks.
func (s *scan) member(f *file, name string, modified time.Time, head *bufio.Reader) {
	peek, err := head.Peek(detectBytes)
	if err != nil && !errors.Is(err, io.EOF) && len(peek) == 0 {
		s.fail(f, name, format.Problem{Err: plain(err)})
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
		kind = surest(s.config.Formats, peek, base)
	}
	if kind == nil {
		s.fail(f, name, format.Problem{Err: errors.New("not a log in a known format; name one with --format if it is")})
		return
	}
	st := &stream{
		path:        name,
		format:      *kind,
		options:     format.Options{Zone: s.config.Zone, Reference: modified, Name: base},
		fingerprint: event.Fingerprint(peek),
		tasks:       make(chan *task, blocksOwned+cap(s.shared)),
		own:         make(chan struct{}, blocksOwned),
	}
	f.streams <- st
	s.split(st, head)
}

// watched counts what is read and ends with the context.
type watched struct {
	ctx      context.Context
	r        io.Reader
	at       io.ReaderAt
	progress *Progress
}

// ReadAt implements io.ReaderAt for zip files.
func (w *watched) ReadAt(p []byte, off int64) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.at.ReadAt(p, off)
	if w.progress != nil {
		w.progress.read(n)
	}
	return n, err
}

func (w *watched) Read(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(p)
	if w.progress != nil {
		w.progress.read(n)
	}
	return n, err
}

// interruptible makes a reader that ends with ctx even while open or what it
// opened, a named pipe, a terminal or another device, waits. The goroutine then
// stays until the wait is over; it touches nothing that is used again.
func interruptible(ctx context.Context, open func() (io.ReadCloser, error)) io.Reader {
	in, out := io.Pipe()
	go func() {
		r, err := open()
		if err == nil {
			buf := make([]byte, 64<<10)
			_, err = io.CopyBuffer(out, struct{ io.Reader }{r}, buf)
			err = errors.Join(err, r.Close())
		}
		out.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(ctx.Err()) })
	return in
}
