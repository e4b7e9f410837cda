package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/store/wire"
)

// Kind says what an entry of an events partition is.
type Kind uint8

// The kinds. Entries that are no batch are what time and content look like to
// a pure function: recorded in the log, so that an offset always meets the same.
const (
	// KindBatch is a batch of records.
	KindBatch Kind = 1 + iota
	// KindHeartbeat says that nothing came until its receive time.
	KindHeartbeat
	// KindContent says which content decides what stands behind it; its key is
	// the content's version.
	KindContent
)

// Meta is what can be known of an entry without its payload.
type Meta struct {
	Kind     Kind
	Protocol string
	// Received is when the entry was taken, in microseconds since 1970.
	Received int64
	// Key identifies the batch, or is the content's version.
	Key [sha256.Size]byte
	// Records is Batch.Records of the batch, Bytes the length of its data.
	Records int
	Bytes   int
	// Retry says that the batch comes from quarantine.
	Retry bool
}

// codecVersion is the version of both encodings.
const codecVersion = 1

// ErrEncoding is returned for bytes that are no entry of this version.
var ErrEncoding = errors.New("not an ingest entry that this version reads")

// AppendMeta appends the encoding of m.
func AppendMeta(dst []byte, m Meta) []byte {
	flags := byte(0)
	if m.Retry {
		flags = 1
	}
	dst = append(dst, codecVersion, byte(m.Kind), flags)
	dst = binary.AppendVarint(dst, m.Received)
	dst = append(dst, m.Key[:]...)
	dst = binary.AppendUvarint(dst, uint64(m.Records))
	dst = binary.AppendUvarint(dst, uint64(m.Bytes))
	return wire.AppendText(dst, m.Protocol)
}

// ParseMeta reads a meta.
func ParseMeta(b []byte) (Meta, error) {
	d := wire.Decoder{B: b}
	if d.Byte() != codecVersion {
		return Meta{}, ErrEncoding
	}
	m := Meta{Kind: Kind(d.Byte())}
	m.Retry = d.Byte() == 1
	m.Received = d.Varint()
	copy(m.Key[:], d.Take(sha256.Size))
	m.Records = d.Length()
	m.Bytes = d.Length()
	m.Protocol = d.Text()
	if d.Failed || len(d.B) != 0 || m.Kind < KindBatch || m.Kind > KindContent {
		return Meta{}, ErrEncoding
	}
	return m, nil
}

// AppendPayload appends the encoding of what the meta does not hold of b. The
// data stands at its end.
func AppendPayload(dst []byte, b *Batch) []byte {
	dst = append(dst, codecVersion)
	for _, s := range []string{b.Format, b.Dataset, b.Peer} {
		dst = wire.AppendText(dst, s)
	}
	if f := b.File; f == nil {
		dst = append(dst, 0)
	} else {
		flags := byte(1)
		if f.Last {
			flags = 3
		}
		dst = append(dst, flags)
		dst = wire.AppendText(dst, f.Path)
		dst = wire.AppendText(dst, f.Name)
		dst = append(dst, f.Fingerprint[:]...)
		dst = binary.AppendVarint(dst, f.Base)
		reference := int64(0)
		if !f.Reference.IsZero() {
			reference = f.Reference.UnixMicro()
		}
		dst = binary.AppendVarint(dst, reference)
		dst = wire.AppendText(dst, f.Context)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Frames)))
	var last format.Frame
	for _, f := range b.Frames {
		dst = binary.AppendVarint(dst, int64(f.Start-last.End))
		dst = binary.AppendUvarint(dst, uint64(f.End-f.Start))
		if b.File != nil {
			dst = binary.AppendVarint(dst, f.Offset-last.Offset)
			dst = binary.AppendVarint(dst, f.Line-last.Line)
		}
		last = f
	}
	native := len(b.Native) == len(b.Frames) && len(b.Native) > 0
	if native {
		dst = append(dst, 1)
		for _, id := range b.Native {
			dst = wire.AppendText(dst, id)
		}
	} else {
		dst = append(dst, 0)
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Refused)))
	for _, r := range b.Refused {
		dst = binary.AppendUvarint(dst, uint64(r.Start))
		dst = binary.AppendUvarint(dst, uint64(r.End))
		dst = wire.AppendText(dst, r.Reason)
		dst = wire.AppendText(dst, r.Detail)
	}
	return append(dst, b.Data...)
}

// ParsePayload fills b with what AppendPayload wrote, and m with what the meta
// holds. b borrows payload.
func ParsePayload(payload []byte, m Meta, b *Batch) error {
	*b = Batch{Frames: b.Frames[:0], Native: b.Native[:0], Refused: b.Refused[:0], Protocol: m.Protocol, Received: time.UnixMicro(m.Received).UTC(), Key: m.Key[:]}
	d := wire.Decoder{B: payload}
	if d.Byte() != codecVersion {
		return ErrEncoding
	}
	b.Format, b.Dataset, b.Peer = d.Text(), d.Text(), d.Text()
	if flags := d.Byte(); flags != 0 {
		f := &File{Last: flags == 3, Path: d.Text(), Name: d.Text()}
		copy(f.Fingerprint[:], d.Take(sha256.Size))
		f.Base = d.Varint()
		if micros := d.Varint(); micros != 0 {
			f.Reference = time.UnixMicro(micros).UTC()
		}
		f.Context = d.Bytes()
		b.File = f
	}
	n := d.Count(2)
	var last format.Frame
	for range n {
		var f format.Frame
		f.Start = last.End + int(d.Varint())
		f.End = f.Start + d.Length()
		if b.File != nil {
			f.Offset = last.Offset + d.Varint()
			f.Line = last.Line + d.Varint()
		}
		b.Frames = append(b.Frames, f)
		last = f
		if d.Failed {
			return ErrEncoding
		}
	}
	if d.Byte() == 1 {
		for range n {
			id := d.Bytes()
			if len(id) == 0 {
				id = nil
			}
			b.Native = append(b.Native, id)
		}
	}
	for range d.Count(4) {
		b.Refused = append(b.Refused, Refused{Start: d.Length(), End: d.Length(), Reason: d.Text(), Detail: d.Text()})
	}
	if d.Failed {
		return ErrEncoding
	}
	b.Data = d.B
	for _, f := range b.Frames {
		if f.Start < 0 || f.End < f.Start || f.End > len(b.Data) {
			return fmt.Errorf("%w: a frame lies outside the data", ErrEncoding)
		}
	}
	for _, r := range b.Refused {
		if r.End < r.Start || r.End > len(b.Data) {
			return fmt.Errorf("%w: a refused piece lies outside the data", ErrEncoding)
		}
	}
	return nil
}
