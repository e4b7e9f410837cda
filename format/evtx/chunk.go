package evtx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/tiercel-io/tiercel/format"
)

// recordBytesMin is a record's header of 24 bytes and the copy of its size at
// the end.
const recordBytesMin = 28

// walker cuts one chunk into records.
type walker struct {
	b    *format.Block
	data []byte // the chunk, cut short where the file ends in it
	base int64  // of the chunk in the file
}

func (w *walker) problem(off int, id uint64, text string, args ...any) {
	w.b.Problems = append(w.b.Problems, format.Problem{
		Offset: w.base + int64(off), RecordID: id, Err: fmt.Errorf(text, args...),
	})
}

// walk appends the frames and problems of the chunk.
func (w *walker) walk() {
	d := w.data
	if !bytes.HasPrefix(d, chunkMagic) {
		if allZero(d) {
			return // a slot that was reserved and never used
		}
		w.problem(0, 0, "chunk has no ElfChnk magic; whole records in it are read")
		w.carve(0, len(d), true)
		return
	}
	if len(d) < chunkHeaderBytes {
		w.problem(0, 0, "the file ends inside a chunk header, after %d of %d bytes", len(d), chunkHeaderBytes)
		return
	}
	end, damaged := len(d), false
	free := int(binary.LittleEndian.Uint32(d[48:]))
	want, got := binary.LittleEndian.Uint32(d[124:]), crc32.ChecksumIEEE(d[:120])
	got = crc32.Update(got, crc32.IEEETable, d[128:chunkHeaderBytes])
	switch {
	case want != got:
		// The offset of free space may be wrong, and records may lie behind it.
		w.problem(0, 0, "chunk header checksum: expected %08x, got %08x; whole records in it are read", want, got)
		damaged = true
	case free < chunkHeaderBytes || free > chunkBytes:
		w.problem(0, 0, "chunk header puts free space at %d, outside %d to %d; whole records in it are read",
			free, chunkHeaderBytes, chunkBytes)
		damaged = true
	case free > len(d):
		w.problem(0, 0, "the file ends inside a chunk, after %d of %d bytes; records begin at %d and end at %d",
			len(d), chunkBytes, chunkHeaderBytes, free)
		damaged = true
	default:
		end = free
	}
	if free >= chunkHeaderBytes && free <= len(d) {
		if want, got := binary.LittleEndian.Uint32(d[52:]), crc32.ChecksumIEEE(d[chunkHeaderBytes:free]); want != got {
			w.problem(0, 0, "chunk records checksum: expected %08x, got %08x; whole records in it are read", want, got)
			damaged = true
		}
	}
	last, ok := w.carve(chunkHeaderBytes, end, damaged)
	// In a log that was copied while in use, the header may lag behind the
	// records. What lies behind free space is one of them when it continues
	// the count; else it is left of the slot's former use.
	for ok && end < len(d) {
		size := wholeRecord(d, end, len(d))
		if size == 0 || recordID(d, end) != last+1 {
			break
		}
		w.frame(end, size)
		last++
		end += size
	}
}

// carve appends the frames of the whole records in data[pos:end]: one behind
// the other where the chunk is sound, found by their magic where it is not. It
// returns the id of the last one. damaged says that a problem of the chunk is
// already reported, so that gaps of zeros need none.
func (w *walker) carve(pos, end int, damaged bool) (last uint64, ok bool) {
	for pos < end {
		if size := wholeRecord(w.data, pos, end); size > 0 {
			w.frame(pos, size)
			last, ok = recordID(w.data, pos), true
			pos += size
			continue
		}
		gap := pos
		for pos++; pos < end; pos++ {
			i := bytes.Index(w.data[pos:end], recordMagic)
			if i < 0 {
				pos = end
				break
			}
			if pos += i; wholeRecord(w.data, pos, end) > 0 {
				break
			}
		}
		pos = min(pos, end)
		w.gap(gap, pos, damaged)
	}
	return last, ok
}

// gap reports bytes that are no whole record, with the id of the broken record
// when they begin with one.
func (w *walker) gap(from, to int, damaged bool) {
	g := w.data[from:to]
	switch {
	case allZero(g):
		if !damaged {
			w.problem(from, 0, "%d bytes of zeros where records should be", len(g))
		}
	case bytes.HasPrefix(g, recordMagic) && len(g) >= 16:
		w.problem(from, recordID(g, 0), "record of size %d is cut short or its header is broken; %d bytes are skipped",
			binary.LittleEndian.Uint32(g[4:]), len(g))
	default:
		w.problem(from, 0, "%d bytes are no record and are skipped", len(g))
	}
}

func (w *walker) frame(pos, size int) {
	w.b.Frames = append(w.b.Frames, format.Frame{Start: pos, End: pos + size, Offset: w.base + int64(pos)})
}

// wholeRecord returns the size of the record at data[pos:end], or 0 when there
// is none: its magic, a size that fits, and the copy of the size at its end.
func wholeRecord(data []byte, pos, end int) int {
	if end-pos < recordBytesMin || !bytes.HasPrefix(data[pos:end], recordMagic) {
		return 0
	}
	size := int64(binary.LittleEndian.Uint32(data[pos+4:]))
	if size < recordBytesMin || size > int64(end-pos) {
		return 0
	}
	if int64(binary.LittleEndian.Uint32(data[pos+int(size)-4:])) != size {
		return 0
	}
	return int(size)
}

func recordID(data []byte, pos int) uint64 { return binary.LittleEndian.Uint64(data[pos+8:]) }

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
