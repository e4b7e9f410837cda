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
func decompressor(k kind, r *bufio.Reader) (io.Reader, func(), error) {
	switch k {
	case gz:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		z.Multistream(false)
		return &gzipMembers{z: z, r: r}, func() {}, nil
	case zst:
		z, err := zstd.NewReader(r, zstdOptions()...)
		if err != nil {
			return nil, nil, err
		}
		return zstdReader{z}, z.Close, nil
	default:
		return bzip2.NewReader(r), func() {}, nil
	}
}

func zstdOptions() []zstd.DOption {
	return []zstd.DOption{
		zstd.WithDecoderConcurrency(1), // a stream is read by one goroutine
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(ZstdWindowBytesMax),
	}
}

// zstdReader says what to do about a window that is too large.
type zstdReader struct{ z *zstd.Decoder }

// Read implements io.Reader.
func (r zstdReader) Read(p []byte) (int, error) {
	n, err := r.z.Read(p)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = fmt.Errorf("it was compressed with a window of more than %d MiB (--long or --ultra); unpack it first with zstd -d --long=31", ZstdWindowBytesMax>>20)
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
