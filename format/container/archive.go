package container

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// next counts an entry and reports whether it may be opened.
func (w *walk) next(name string) bool {
	if w.stopped {
		return false
	}
	if w.entries++; w.entries > w.entriesMax {
		w.stopped = true
		w.problem(name, errEntries)
	}
	return !w.stopped
}

func (w *walk) tar(name string, l *layer, depth int) error {
	tr := tar.NewReader(l)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			w.problem(name, l.damage(err))
			return nil
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if !w.next(name) {
			return nil
		}
		entry := &layer{w: w, kind: tarred, in: l.in, buffered: l.buffered, r: tr}
		if err := w.open(Input{Name: name + "!/" + h.Name, Reader: entry}, h.ModTime, depth+1); err != nil {
			return err
		}
	}
}

func (w *walk) zip(in Input, br *bufio.Reader, depth int) error {
	at, size := in.At, in.Size
	if at == nil {
		kept, err := w.keep(br)
		defer func() { w.kept -= kept.size }()
		switch {
		case errors.Is(err, errInnerZip):
			w.problem(in.Name, errInnerZip)
			return nil
		case err != nil:
			w.problem(in.Name, &Error{Kind: string(zipped), Offset: kept.size, Err: err})
			return nil
		}
		at, size = kept, kept.size
	}
	if n := zipDirectoryBytes(at, size); n > ZipDirectoryBytesMax {
		w.problem(in.Name, fmt.Errorf("the zip's directory has %d bytes, more than %d; unpack it first", n, ZipDirectoryBytesMax))
		return nil
	}
	zr, err := zip.NewReader(at, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are labels here
		w.problem(in.Name, &Error{Kind: string(zipped), Offset: size, Err: err})
		return nil
	}
	zr.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstdOptions(SmallBytes)...))
	for _, f := range zr.File {
		if !f.Mode().IsRegular() {
			continue
		}
		if !w.next(in.Name) {
			return nil
		}
		if err := w.zipEntry(in.Name+"!/"+f.Name, f, depth); err != nil {
			return err
		}
	}
	return nil
}

var errInnerZip = fmt.Errorf("zips in another container or a pipe may have at most %d MiB together; unpack them first", InnerZipBytesMax>>20)

// keep reads an inner zip into memory.
func (w *walk) keep(r io.Reader) (*pieces, error) {
	p := &pieces{}
	for {
		if w.kept >= SmallBytes {
			w.large()
		}
		piece := make([]byte, pieceBytes)
		n, err := io.ReadFull(r, piece)
		if n > 0 {
			p.list = append(p.list, piece[:n])
			p.size += int64(n)
			w.kept += int64(n)
		}
		switch {
		case w.kept > InnerZipBytesMax:
			return p, errInnerZip
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return p, nil
		case err != nil:
			return p, err
		}
	}
}

// pieces are bytes in memory that grow without being copied.
type pieces struct {
	list [][]byte // of pieceBytes each but the last
	size int64
}

const pieceBytes = 256 << 10

// ReadAt implements io.ReaderAt.
func (p *pieces) ReadAt(dst []byte, off int64) (int, error) {
	n := 0
	for n < len(dst) {
		if off < 0 || off >= p.size {
			return n, io.EOF
		}
		k := copy(dst[n:], p.list[off/pieceBytes][off%pieceBytes:])
		n += k
		off += int64(k)
	}
	return n, nil
}

func (w *walk) zipEntry(name string, f *zip.File, depth int) error {
	offset, err := f.DataOffset()
	if err != nil {
		w.problem(name, &Error{Kind: string(zipped), Offset: 0, Err: err})
		return nil
	}
	const encrypted = 1 // APPNOTE 4.4.4, bit 0
	if f.Flags&encrypted != 0 {
		w.problem(name, errors.New("the entry is encrypted; unpack it first"))
		return nil
	}
	r, err := f.Open()
	if err != nil {
		w.problem(name, &Error{Kind: string(zipped), Offset: offset, Err: err})
		return nil
	}
	entry := &layer{w: w, kind: zipped, in: &counter{n: offset}, r: r, inflates: true}
	err = w.open(Input{Name: name, Reader: entry}, f.Modified, depth+1)
	if cerr := r.Close(); cerr != nil && err == nil {
		w.problem(name, &Error{Kind: string(zipped), Offset: offset, Err: cerr})
	}
	return err
}

// zipDirectoryBytes returns the size of a zip's directory as its end record
// says (APPNOTE 4.3.16, and 4.3.14 for zip64), or 0 when there is none, which
// the zip reader then reports.
func zipDirectoryBytes(r io.ReaderAt, size int64) uint64 {
	const (
		endBytes     = 22
		commentMax   = 65_535
		locatorBytes = 20
		end64Bytes   = 56
	)
	n := min(size, endBytes+commentMax+locatorBytes)
	tail := make([]byte, n)
	if _, err := r.ReadAt(tail, size-n); err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	i := bytes.LastIndex(tail, []byte("PK\x05\x06"))
	if i < 0 || i+endBytes > len(tail) {
		return 0
	}
	directory := uint64(binary.LittleEndian.Uint32(tail[i+12:]))
	if directory != 0xffffffff {
		return directory
	}
	if i < locatorBytes || string(tail[i-locatorBytes:i-locatorBytes+4]) != "PK\x06\x07" {
		return directory
	}
	at := binary.LittleEndian.Uint64(tail[i-locatorBytes+8:])
	var end [end64Bytes]byte
	if at > uint64(size) {
		return directory
	}
	if _, err := r.ReadAt(end[:], int64(at)); err != nil {
		return directory
	}
	return binary.LittleEndian.Uint64(end[40:])
}
