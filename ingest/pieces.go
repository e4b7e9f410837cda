package ingest

import (
	"crypto/sha256"
	"encoding/binary"
	"iter"

	"github.com/tiercel-io/tiercel/format"
)

// RequestEventsMax bounds the records of one request that is taken in pieces:
// what frames them then takes an eighth of a body of 64 MiB. Agents gather up
// to some ten thousand.
const RequestEventsMax = 250_000

// PieceBytesMax bounds the data of a piece with more than one record. A body is in
// memory once; what encodes, stores, reads and evaluates it holds a piece of it
// at a time, and some hundred bytes for each of its lines.
const PieceBytesMax = 4 << 20

// KeyOf is a batch's key for clients that give none: the SHA-256 of the data and
// of what else makes two batches different, as the dataset they are sent to.
// Parts are hashed with their lengths, so that no two lists are alike.
func KeyOf(data []byte, parts ...string) []byte {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		binary.LittleEndian.PutUint64(size[:], uint64(len(p)))
		_, _ = h.Write(size[:]) // a hash never fails
		_, _ = h.Write([]byte(p))
	}
	_, _ = h.Write(data)
	return h.Sum(nil)
}

// Pieces cuts a batch with more records than [BatchEventsMax] into batches that
// have fewer; a smaller one comes back as it is. The frames and the refused
// pieces of b must each be in order of position, and none may overlap another.
//
// What was sent again unchanged is cut at the same places: when b.Key is empty
// it is set first, to [KeyOf] with the protocol, the format and the dataset, and
// the key of a piece is made of that and the piece's number. So a client that
// was told to come again after some pieces were taken stores none of them
// twice. A piece borrows b's memory and is valid until the next one is asked
// for.
func (b *Batch) Pieces() iter.Seq[*Batch] { return b.pieces(len(b.Data)) }

// SmallPieces is Pieces for a batch whose frames stand for themselves: nothing
// that stands between them is read with them. It also cuts where a piece would
// have more data than [PieceBytesMax], and what stands before, between and behind
// its pieces is in none of them.
func (b *Batch) SmallPieces() iter.Seq[*Batch] { return b.pieces(PieceBytesMax) }

// pieces cuts pieces of at most so many bytes; what stands between them is left out
// of pieces that are cut for their bytes.
func (b *Batch) pieces(bytesMax int) iter.Seq[*Batch] {
	return func(yield func(*Batch) bool) {
		if len(b.Key) == 0 {
			b.Key = KeyOf(b.Data, b.Protocol, b.Format, b.Dataset)
		}
		if b.Records() == 0 || b.Records() <= BatchEventsMax && len(b.Data) <= bytesMax {
			yield(b)
			return
		}
		frames, refused, native, to := b.Frames, b.Refused, b.Native, 0
		alone := bytesMax < len(b.Data)
		var (
			kept  []format.Frame
			moved []Refused
		)
		for n := 0; len(frames)+len(refused) > 0; n++ {
			from := to
			f, r := 0, 0
			for f+r < BatchEventsMax && (f < len(frames) || r < len(refused)) {
				framed := r == len(refused) || f < len(frames) && frames[f].Start <= refused[r].Start
				var start, end int
				if framed {
					start, end = frames[f].Start, frames[f].End
				} else {
					start, end = refused[r].Start, refused[r].End
				}
				if f+r == 0 && alone {
					from = start
				}
				if f+r > 0 && end-from > bytesMax {
					break
				}
				to = max(to, end)
				if framed {
					f++
				} else {
					r++
				}
			}
			if f == len(frames) && r == len(refused) && !alone {
				to = len(b.Data)
			}
			kept, moved = kept[:0], moved[:0]
			for _, one := range frames[:f] {
				one.Start -= from
				one.End -= from
				kept = append(kept, one)
			}
			for _, one := range refused[:r] {
				one.Start -= from
				one.End -= from
				moved = append(moved, one)
			}
			piece := *b
			piece.Data, piece.Frames, piece.Native, piece.Refused = b.Data[from:to:to], kept, nil, moved
			if len(native) > 0 {
				piece.Native, native = native[:f], native[f:]
			}
			var number [8]byte
			binary.LittleEndian.PutUint64(number[:], uint64(n))
			piece.Key = KeyOf(number[:], string(b.Key))
			if !yield(&piece) {
				return
			}
			frames, refused = frames[f:], refused[r:]
		}
	}
}
