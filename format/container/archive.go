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
		data, err := io.ReadAll(io.LimitReader(br, InnerZipBytesMax+1))
		switch {
		case err != nil:
			w.problem(in.Name, &Error{Kind: string(zipped), Offset: int64(len(data)), Err: err})
			return nil
		case len(data) > InnerZipBytesMax:
			w.problem(in.Name, fmt.Errorf("a zip in another container or a pipe may have at most %d MiB; unpack it first", InnerZipBytesMax>>20))
			return nil
		}
		at, size = bytes.NewReader(data), int64(len(data))
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
	zr.RegisterDecompressor(zstd.ZipMethodWinZip, zstd.ZipDecompressor(zstdOptions()...))
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
