package httpin

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/tiercel-io/tiercel/ingest/httpin/inflate"
)

// membersMax bounds the members of a gzip body. Block-wise compressors write
// one for each 64 KiB, so that the largest body has a quarter of it.
const membersMax = 4 << 10

// windowBytesMax bounds the memory that a zstd frame can ask for; RFC 8878,
// 3.1.1.1.2, tells decoders to support 8 MiB.
const windowBytesMax = 8 << 20

// encodingOf is the one encoding of a request's body, in lower case and
// without the x- of old clients; "" is identity.
func encodingOf(h http.Header) (string, error) {
	name := ""
	for _, value := range h["Content-Encoding"] {
		for part := range strings.SplitSeq(value, ",") {
			part = strings.ToLower(strings.TrimSpace(part))
			switch {
			case part == "" || part == "identity":
			case name != "":
				return "", Faultf(http.StatusUnsupportedMediaType, ReasonEncoding, "the body has more than one Content-Encoding; send one")
			default:
				name = strings.TrimPrefix(part, "x-")
			}
		}
	}
	switch name {
	case "", "gzip", "deflate", "zstd", "snappy":
		return name, nil
	}
	return "", Faultf(http.StatusUnsupportedMediaType, ReasonEncoding, "Content-Encoding %.32q is not known; send identity, gzip, deflate, zstd or snappy", name)
}

// Inflate appends to dst what src holds in an encoding: gzip (members one
// after another), deflate (zlib or raw), zstd (window up to 8 MiB), or snappy
// (framed or one block). Nothing but zeros may follow a gzip body: an
// acknowledgement means that all of it was read. At most limit bytes come out.
// The error is a *Fault: 413 beyond the limit, 400 for bytes that are not in
// the encoding, 415 for an encoding that is unknown.
func Inflate(dst, src []byte, encoding string, limit int64) ([]byte, error) {
	var err error
	switch encoding {
	case "gzip":
		dst, err = gunzip(dst, src, limit)
	case "deflate":
		dst, err = undeflate(dst, src, limit)
	case "zstd":
		dst, err = unzstd(dst, src, limit)
	case "snappy":
		dst, err = unsnappy(dst, src, limit)
	default:
		return dst, Faultf(http.StatusUnsupportedMediaType, ReasonEncoding, "encoding %.32q is not known", encoding)
	}
	switch {
	case err == nil:
		return dst, nil
	case errors.Is(err, inflate.ErrLimit):
		return dst, Faultf(http.StatusRequestEntityTooLarge, ReasonTooLarge, "a body of %d bytes inflates beyond %d; send smaller batches", len(src), limit)
	}
	return dst, &Fault{Status: http.StatusBadRequest, Reason: ReasonEncoding, Err: fmt.Errorf("the body is not %s: %w", encoding, err)}
}

// readAll appends r to dst. base is where this inflation began in dst.
func readAll(dst []byte, base int, r io.Reader, limit int64) ([]byte, error) {
	top := int64(base) + min(limit, math.MaxInt64/2)
	for {
		if int64(len(dst)) == top {
			// One byte more decides between an end and too much.
			var one [1]byte
			for {
				n, err := r.Read(one[:])
				switch {
				case n > 0:
					return dst, inflate.ErrLimit
				case err == io.EOF:
					return dst, nil
				case err != nil:
					return dst, err
				}
			}
		}
		dst = grow(dst, top)
		room := dst[len(dst):min(int64(cap(dst)), top)]
		n, err := r.Read(room)
		dst = dst[:len(dst)+n]
		switch {
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst, err
		}
	}
}

func gunzip(dst, src []byte, limit int64) ([]byte, error) {
	base := len(dst)
	for member := 0; member == 0 || !zeros(src); member++ {
		if member == membersMax {
			return dst, fmt.Errorf("more than %d members", membersMax)
		}
		out, used, err := inflate.AppendGzip(dst, src, limit-int64(len(dst)-base))
		if dst = out; err != nil {
			return dst, fmt.Errorf("member %d: %w", member+1, err)
		}
		src = src[used:]
	}
	return dst, nil
}

func zeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// undeflate reads what Content-Encoding calls deflate: zlib by RFC 9110,
// 8.4.1.2, and raw deflate by the habit of many clients.
func undeflate(dst, src []byte, limit int64) ([]byte, error) {
	base := len(dst)
	if inflate.IsZlib(src) {
		out, used, err := inflate.AppendZlib(dst, src, limit)
		if err == nil && used < len(src) {
			err = fmt.Errorf("%d bytes follow its end", len(src)-used)
		}
		if err == nil || errors.Is(err, inflate.ErrLimit) {
			return out, err
		}
		dst = out[:base]
	}
	out, used, err := inflate.Append(dst, src, limit)
	if err == nil && used < len(src) {
		err = fmt.Errorf("%d bytes follow its end", len(src)-used)
	}
	return out, err
}

var zstds = sync.Pool{New: func() any {
	// With a concurrency of 1 a decoder has no goroutine and need not be closed.
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowBytesMax))
	if err != nil {
		panic("httpin: constant options of zstd are refused: " + err.Error())
	}
	return z
}}

func unzstd(dst, src []byte, limit int64) ([]byte, error) {
	z := zstds.Get().(*zstd.Decoder)
	defer func() {
		if z.Reset(nil) == nil {
			zstds.Put(z)
		}
	}()
	if len(src) == 0 {
		return dst, io.ErrUnexpectedEOF
	}
	if err := z.Reset(bytes.NewReader(src)); err != nil {
		return dst, err
	}
	return readAll(dst, len(dst), z, limit)
}

// snappyBlockBytes is the largest block of a framed stream (framing format,
// section 4.2).
const snappyBlockBytes = 64 << 10

var snappies = sync.Pool{New: func() any {
	return s2.NewReader(nil, s2.ReaderMaxBlockSize(snappyBlockBytes), s2.ReaderAllocBlock(snappyBlockBytes))
}}

// streamID begins a framed stream (framing format, section 4.1).
var streamID = []byte("\xff\x06\x00\x00sNaPpY")

func unsnappy(dst, src []byte, limit int64) ([]byte, error) {
	base := len(dst)
	if bytes.HasPrefix(src, streamID) {
		z := snappies.Get().(*s2.Reader)
		defer func() {
			z.Reset(nil)
			snappies.Put(z)
		}()
		z.Reset(bytes.NewReader(src))
		return readAll(dst, base, z, limit)
	}
	n, err := s2.DecodedLen(src)
	if err != nil {
		return dst, err
	}
	if int64(n) > limit {
		return dst, inflate.ErrLimit
	}
	if cap(dst)-base < n {
		bigger := make([]byte, base, base+n)
		copy(bigger, dst)
		dst = bigger
	}
	out, err := s2.Decode(dst[base:base+n], src)
	if err != nil {
		return dst, err
	}
	return dst[:base+len(out)], nil
}
