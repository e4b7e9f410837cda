package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/container"
	"github.com/tiercel-io/tiercel/format/files"
	"github.com/tiercel-io/tiercel/ingest"
)

// once reads one file whole, all that it contains included.
type once struct {
	s *Source
	// ctx is that of the reading, which ends with it.
	ctx   context.Context
	file  files.File
	shard uint32
	// skip is how many batches were taken before, count how many were made, and
	// hash of those.
	skip, count int
	hash        *[sha256.Size]byte
	// taken is called when a batch was taken.
	taken func() error
	// follow says that a member may be one that was followed before.
	follow bool
}

// readWhole reads a file that has been found stable.
func (s *Source) readWhole(ctx context.Context, t *tracked, f files.File) error {
	o := &once{s: s, ctx: ctx, file: f, shard: t.shard, skip: t.batches, follow: true, hash: new([sha256.Size]byte)}
	o.taken = func() error {
		t.batches = o.count
		s.dirty = true
		if o.count%saveEvery == 0 {
			return s.save()
		}
		return nil
	}
	if err := o.read(); err != nil {
		return err
	}
	t.done, s.dirty = true, true
	return nil
}

// read hands out all batches of the file behind the first skip. The error is
// that ctx has ended, or of taken.
func (o *once) read() error {
	file, err := o.s.o.Env.FS.Open(o.file.Path)
	if err != nil {
		o.s.problem(o.file.Path, files.Plain(err))
		return nil
	}
	defer file.Close()
	o.s.fine(o.file.Path)
	in := container.Input{Name: o.file.Path, Reader: reading{o.ctx, file}, At: file, Size: o.file.Size}
	return container.Walk(in, o.member, func(name string, p format.Problem) { o.s.problem(name, p) })
}

// reading is a reader that ends with a context.
type reading struct {
	ctx context.Context
	r   io.Reader
}

func (r reading) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// member reads one plain file in it.
func (o *once) member(e container.Entry) error {
	s := o.s
	head, err := e.Reader.Peek(container.HeadBytes)
	if err != nil && !errors.Is(err, io.EOF) && len(head) == 0 {
		if o.ctx.Err() != nil {
			return o.ctx.Err()
		}
		s.problem(e.Name, files.Plain(err))
		return nil
	}
	if len(head) == 0 {
		return nil // an empty file holds no records, which is no problem
	}
	kind := s.formatOf(head, base(e.Name))
	m := &member{path: e.Name, kind: kind, shard: o.shard, modified: e.Modified}
	if m.modified.IsZero() {
		m.modified = o.file.Modified
	}
	if o.follow {
		if before := s.past(head); before != nil {
			return o.resume(e, m, before)
		}
	}
	if kind == nil {
		s.problem(e.Name, errNoLog)
		return nil
	}
	// Two event logs may have the same first 4 KiB, which is their header
	// alone; what is read whole is known by more of it.
	m.identity = event.Fingerprint(head)
	if len(head) > event.FingerprintBytes {
		m.identity = sha256.Sum256(head)
	}
	return o.split(m, kind.NewSplitter(e.Reader, m.options()))
}

// split delivers what a splitter gives.
func (o *once) split(m *member, split format.Splitter) error {
	s := o.s
	for {
		err := split.Next(&s.block)
		if failed := s.deliver(o.ctx, m, &s.block, o.add, o.taken); failed != nil {
			return failed
		}
		if o.ctx.Err() != nil {
			return o.ctx.Err()
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.problem(m.path, err)
			}
			return nil
		}
	}
}

// add counts a batch; false when it was taken before.
func (o *once) add(key []byte) bool {
	o.count++
	if o.count <= o.skip {
		return false
	}
	*o.hash = sha256.Sum256(append(o.hash[:], key...))
	return true
}

// resume reads a member that was followed before it was packed: nothing of it
// while the file itself is still there, else what was not read of that.
func (o *once) resume(e container.Entry, m *member, before *tracked) error {
	s := o.s
	if before.gone.IsZero() {
		return nil
	}
	m.kind, m.identity, m.shard = s.format(before.format), before.identity, before.shard
	if m.kind == nil {
		return nil
	}
	var behind io.Reader = e.Reader
	if before.skipping {
		// The rest of the line that is too long.
		if _, err := io.CopyN(io.Discard, e.Reader, before.offset); err != nil {
			return nil
		}
		n, err := skipLine(e.Reader)
		before.offset += n
		before.line++
		before.skipping, before.seen = false, before.offset
		if err != nil {
			return nil
		}
	} else if _, err := io.CopyN(io.Discard, e.Reader, before.offset); err != nil {
		return nil // it ends before what was read of it
	}
	// A window that was on its way is cut as it was, so that the sink knows it.
	if n := before.pending - before.offset; n > 0 && n <= pendingBytesMax {
		data, err := io.ReadAll(io.LimitReader(e.Reader, n))
		if err != nil {
			s.problem(e.Name, err)
			return nil
		}
		if int64(len(data)) == n {
			from := before.offset
			if err := s.hand(o.ctx, before, m, &window{data: data, end: before.pending, final: before.final}); err != nil {
				return err
			}
			data = data[before.offset-from:]
		}
		behind = io.MultiReader(bytes.NewReader(data), e.Reader)
	}
	before.pending, before.final = 0, false
	counted := &counter{r: behind}
	split := m.kind.Resume(counted, m.options(), s.place(before, m.kind))
	start := before.offset
	if err := s.pour(o.ctx, before, m, split, 0); err != nil {
		return err
	}
	before.seen = max(before.offset, start+counted.n)
	return o.ctx.Err()
}

// pendingBytesMax is more than any window has: what is read again, a line of the
// largest size and a step.
const pendingBytesMax = heldBytesMax + 2*event.RecordBytesMax + 2*windowBytes

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// skipLine reads behind the next line end and returns how much that was.
func skipLine(r io.ByteReader) (n int64, err error) {
	for {
		c, err := r.ReadByte()
		if err != nil {
			return n, err
		}
		n++
		if c == '\n' {
			return n, nil
		}
	}
}

// importSet reads the files of the paths once.
func (s *Source) importSet(ctx context.Context) error {
	if s.set.done {
		return nil
	}
	list := s.list()
	// What stands before the file that was being read has been read.
	from := 0
	for i, f := range list {
		if f.Path == s.set.path {
			from = i
		}
	}
	if from == 0 && (len(list) == 0 || list[0].Path != s.set.path) {
		s.set.batches = 0
	}
	for _, f := range list[from:] {
		if f.Path != s.set.path {
			s.set.path, s.set.batches = f.Path, 0
			s.dirty = true
		}
		hash := s.set.hash
		o := &once{s: s, ctx: ctx, file: f, skip: s.set.batches, hash: &hash}
		o.taken = func() error {
			s.set.batches, s.set.hash = o.count, hash
			s.dirty = true
			if o.count%saveEvery == 0 {
				return s.save()
			}
			return nil
		}
		if err := o.read(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.dirty {
			if err := s.save(); err != nil {
				return err
			}
		}
	}
	last := &ingest.Batch{
		Tenant: s.o.Grant.Tenant, Source: s.o.Grant.Source, Protocol: Protocol,
		Key: append([]byte("last"), s.set.hash[:]...), File: &ingest.File{Last: true, Reference: time.Time{}},
	}
	if err := s.send(ctx, last); err != nil {
		return err
	}
	s.set.done = true
	return s.save()
}
