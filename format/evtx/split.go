package evtx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/tiercel-io/tiercel/format"
)

// The fixed sizes of the file format.
const (
	fileHeaderBytes  = 4096
	chunkBytes       = 64 << 10
	chunkHeaderBytes = 512
)

// chunk is the Context of a block: its identity tells a parser when the
// templates it has compiled are those of another chunk. (It has a size, since
// pointers to values without one may be equal.)
type chunk struct{ offset int64 }

// splitter cuts an EVTX file into one block a chunk.
type splitter struct {
	r       io.Reader
	off     int64 // of the next slot
	started bool
	ended   bool
	pending []format.Problem // of the file header, for the next block
}

func (s *splitter) Next(b *format.Block) error {
	b.Reset()
	for {
		if s.ended {
			return io.EOF
		}
		err := s.slot(b)
		if errors.Is(err, io.EOF) {
			s.ended = true
		} else if err != nil {
			s.ended = true
			return fmt.Errorf("read chunk at byte %d: %w", s.off, err)
		}
		if len(b.Frames) > 0 || len(b.Problems) > 0 {
			return nil
		}
		b.Reset()
	}
}

// slot reads the next 64 KiB and cuts them into frames. It returns io.EOF when
// the file ends with them.
func (s *splitter) slot(b *format.Block) error {
	data := slices.Grow(b.Data[:0], chunkBytes)[:chunkBytes]
	n := 0
	if !s.started {
		s.started = true
		var err error
		if n, err = s.header(data); err != nil {
			b.Data = data[:0]
			b.Problems = append(b.Problems, s.pending...)
			return err
		}
	}
	m, err := io.ReadFull(s.r, data[n:])
	data = data[:n+m]
	if errors.Is(err, io.ErrUnexpectedEOF) || len(data) == 0 && err == nil {
		err = io.EOF
	}
	b.Data, b.Offset = data, s.off
	b.Problems = append(b.Problems, s.pending...)
	s.pending = nil
	if len(data) > 0 {
		b.Context = &chunk{offset: s.off}
		w := walker{b: b, data: data, base: s.off}
		w.walk()
		s.off += int64(len(data))
	}
	return err
}

// header reads the file header. Where the file begins with a chunk instead,
// it leaves the bytes it read at the front of data and returns their number.
func (s *splitter) header(data []byte) (n int, err error) {
	problem := func(text string, args ...any) {
		s.pending = append(s.pending, format.Problem{Err: fmt.Errorf(text, args...)})
	}
	n, err = io.ReadFull(s.r, data[:fileHeaderBytes])
	h := data[:n]
	switch {
	case bytes.HasPrefix(h, chunkMagic):
		problem("the file header is missing: the file begins with a chunk")
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil // the chunk is cut short and says so itself
		}
		return n, err
	case errors.Is(err, io.EOF):
		problem("the file is empty: an event log begins with a header of %d bytes", fileHeaderBytes)
		return 0, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		problem("the file ends inside its header, after %d of %d bytes", n, fileHeaderBytes)
		return 0, io.EOF
	case err != nil:
		return 0, err
	case !bytes.HasPrefix(h, fileMagic):
		problem("the file header has no ElfFile magic; reading goes on with the chunks")
	default:
		if want, got := binary.LittleEndian.Uint32(h[124:]), crc32.ChecksumIEEE(h[:120]); want != got {
			problem("file header checksum: expected %08x, got %08x; reading goes on with the chunks", want, got)
		}
	}
	s.off = fileHeaderBytes
	return 0, nil
}
