package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
)

// member is what is being read: a file, or one inside a container.
type member struct {
	path     string
	kind     *format.Format
	identity [sha256.Size]byte
	shard    uint32
	modified time.Time
	// at returns bytes of the member from an offset on, as far as they are at
	// hand, for what is kept of bytes that are no record; it may be nil.
	at func(offset int64) []byte
}

// base is the last part of a path, inside an archive or not.
func base(name string) string { return path.Base(strings.ReplaceAll(name, `\`, "/")) }

func (m *member) options() format.Options {
	return format.Options{Reference: m.modified, Name: base(m.path)}
}

// deliver hands a block to the sink as one batch, or several if it has more
// records than a batch may have. add is called with each batch's key. The error
// is that ctx has ended.
func (s *Source) deliver(ctx context.Context, m *member, b *format.Block, add func(key []byte) bool, taken func() error) error {
	frames, problems := b.Frames, b.Problems
	for len(frames) > 0 || len(problems) > 0 {
		n := min(len(frames), ingest.BatchEventsMax)
		k := min(len(problems), ingest.BatchEventsMax-n)
		batch := s.batch(m, b, frames[:n], problems[:k])
		frames, problems = frames[n:], problems[k:]
		if !add(batch.Key) {
			continue
		}
		if err := s.send(ctx, batch); err != nil {
			return err
		}
		if err := taken(); err != nil {
			return err
		}
	}
	return nil
}

// batch makes one of a part of a block.
func (s *Source) batch(m *member, b *format.Block, frames []format.Frame, problems []format.Problem) *ingest.Batch {
	name := base(m.path)
	batch := &ingest.Batch{
		Tenant: s.o.Grant.Tenant, Source: s.o.Grant.Source, Shard: m.shard, Protocol: Protocol,
		Format: m.kind.Name, Dataset: format.Stem(name),
		File:   &ingest.File{Path: m.path, Name: name, Fingerprint: m.identity, Base: b.Offset, Reference: m.modified},
		Frames: frames,
	}
	if m.kind.AppendContext != nil {
		batch.File.Context = m.kind.AppendContext(nil, b.Context)
	}
	// What is kept of bytes that are no record stands in the block, or behind it.
	data := b.Data
	for _, p := range problems {
		start, end, inside := m.kept(b, p)
		if !inside {
			text := m.elsewhere(p)
			start, end = len(data), len(data)+len(text)
			data = append(data, text...)
		}
		reason := ingest.ReasonUnparsed
		var limit *event.LimitError
		if errors.As(p.Err, &limit) {
			if reason = ingest.ReasonLimit; limit.Limit == event.RecordBytesMax {
				reason = ingest.ReasonTooLarge
			}
		}
		batch.Refused = append(batch.Refused, ingest.Refused{Start: start, End: end, Reason: reason, Detail: clip(p.Error())})
	}
	b.Data = data[:len(b.Data)]
	batch.Data = data

	h := sha256.New()
	h.Write(m.identity[:])
	first, last := b.Offset, int64(-1)
	if len(frames) > 0 {
		first, last = frames[0].Offset, frames[len(frames)-1].Offset
	}
	for _, n := range []int64{b.Offset, int64(len(b.Data)), first, last, int64(len(frames)), int64(len(problems))} {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(n)))
	}
	h.Write(batch.Data)
	batch.Key = h.Sum(nil)
	return batch
}

// detailBytesMax bounds what is said of a problem.
const detailBytesMax = 500

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), detailBytesMax)], "") }

// refusedLineMax bounds what is kept of bytes that are no record, when nothing
// tells where they end.
const refusedLineMax = 4 << 10

// kept is where the bytes of a problem stand in the block, up to their line end
// or the next record; inside is false when they are not in it.
func (m *member) kept(b *format.Block, p format.Problem) (start, end int, inside bool) {
	i := p.Offset - b.Offset
	if i < 0 || i >= int64(len(b.Data)) {
		return 0, 0, false
	}
	end = len(b.Data)
	for _, f := range b.Frames {
		if f.Offset != b.Offset+int64(f.Start) || f.Start <= int(i) && int(i) < f.End {
			return 0, 0, false // the block is put together from pieces
		}
		if f.Offset > p.Offset {
			end = min(end, f.Start)
		}
	}
	start = int(i)
	return start, start + len(shorten(b.Data[start:max(start, end)], p)), true
}

// elsewhere is what there is at hand of the bytes of a problem outside of the
// block.
func (m *member) elsewhere(p format.Problem) []byte {
	if m.at == nil {
		return nil
	}
	return shorten(m.at(p.Offset), p)
}

func shorten(text []byte, p format.Problem) []byte {
	text = text[:min(len(text), ingest.RefusedBytesMax)]
	if p.Line == 0 {
		return text[:min(len(text), refusedLineMax)]
	}
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	return text
}

// send gives a batch to the sink and returns once it is durable, or once the
// sink has said that it never will be, which is counted. The error is that ctx
// has ended.
func (s *Source) send(ctx context.Context, b *ingest.Batch) error {
	for {
		err := s.offer(ctx, b)
		var busy *ingest.Busy
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &busy):
			if err := env.Sleep(ctx, s.o.Env.Clock, busy.Wait); err != nil {
				return err
			}
		default:
			s.o.Metrics.IngestRejected.WithLabelValues(Protocol, "batch").Add(float64(b.Records()))
			s.problem(b.File.Path, err)
			return nil
		}
	}
}

func (s *Source) offer(ctx context.Context, b *ingest.Batch) error {
	release, err := s.o.Sink.Admit(b.Tenant, b.Source, int64(len(b.Data)))
	if err != nil {
		return err
	}
	defer release()
	return s.o.Sink.Accept(ctx, b)
}

// shardOf keeps a file in one partition.
func shardOf(path string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, path) // a hash never fails
	return h.Sum32()
}

// readAt appends up to n bytes of a file from an offset on; fewer where it ends.
func readAt(f vfs.File, dst []byte, offset int64, n int) ([]byte, error) {
	start := len(dst)
	dst = slices.Grow(dst, n)[:start+n]
	got := 0
	for got < n {
		k, err := f.ReadAt(dst[start+got:], offset+int64(got))
		got += k
		if errors.Is(err, io.EOF) || k == 0 && err == nil {
			break
		}
		if err != nil {
			return dst[:start], err
		}
	}
	return dst[:start+got], nil
}
