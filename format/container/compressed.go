package container

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// decompressor returns a reader of what r holds, and a function that gives its
// memory back.
func (w *walk) decompressor(k kind, r *bufio.Reader) (io.Reader, func(), error) {
	switch k {
	case gz:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		z.Multistream(false)
		return &gzipMembers{z: z, r: r}, func() {}, nil
	case zst:
		window := uint64(SmallBytes)
		if zstdWindow(r) > window {
			w.large()
			window = ZstdWindowBytesMax
		}
		z, err := zstd.NewReader(r, zstdOptions(window)...)
		if err != nil {
			return nil, nil, err
		}
		return zstdReader{z, window}, z.Close, nil
	default:
		return bzip2.NewReader(r), func() {}, nil
	}
}

// zstdWindow returns the window that the first frame of a stream asks for, or 0
// if it cannot be told. Frames behind it hardly ask for more: they are written
// by the same program, and refused with a message if they do.
func zstdWindow(r *bufio.Reader) uint64 {
	head, _ := r.Peek(zstd.HeaderMaxSize) // an error comes again when it is read
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return 0
	}
	if h.Skippable {
		return ZstdWindowBytesMax // what follows is not in sight
	}
	if h.SingleSegment {
		return h.FrameContentSize // RFC 8878, 3.1.1.1.2
	}
	return h.WindowSize
}

func zstdOptions(window uint64) []zstd.DOption {
	return []zstd.DOption{
		zstd.WithDecoderConcurrency(1), // a stream is read by one goroutine
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(window),
	}
}

// zstdReader says what to do about a window that is too large.
type zstdReader struct {
	z      *zstd.Decoder
	window uint64 // the most that it takes
}

// Read implements io.Reader.
func (r zstdReader) Read(p []byte) (int, error) {
	n, err := r.z.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("it was compressed with a window of more than %d MiB (--long or --ultra); unpack it first with zstd -d --long=31", r.window>>20)
	}
	return n, err
}

// gzipMembers reads the members of a gzip file one after another, as RFC 1952
// has it. Zeros behind the last one are padding, which tapes and block devices
// leave; anything else is damage.
type gzipMembers struct {
	z   *gzip.Reader
	r   *bufio.Reader
	err error
}

// Read implements io.Reader.
func (g *gzipMembers) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.z.Read(p)
	if errors.Is(err, io.EOF) {
		err = g.next()
	}
	g.err = err
	return n, err
}

var errBehind = errors.New("the gzip data is followed by something else")

// next moves to the next member: nil when there is one, io.EOF when not.
func (g *gzipMembers) next() error {
	for {
		head, err := g.r.Peek(2)
		if len(head) == 0 {
			return err
		}
		if head[0] != 0 {
			if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
				return errBehind
			}
			if err := g.z.Reset(g.r); err != nil {
				return err
			}
			g.z.Multistream(false)
			return nil
		}
		if _, err := g.r.Discard(1); err != nil {
			return err
		}
	}
}
