// Package container opens what logs are packed in: gzip, zstd, bzip2, zip and
// tar, inside each other up to four deep, as streams.
//
// Limits on what is unpacked are those of files on a disk, which somebody chose
// to read, and not those of requests from a network: a day of one host's logs
// may well shrink a hundredfold, so no ratio is refused. Nothing is kept in
// memory but windows and zips inside another container, which have bounds of
// their own, so a bomb costs time alone, and [InflatedBytesMax] and [EntriesMax] bound that.
package container

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/format"
)

// Limits of one container, all that it contains included.
const (
	// DepthMax is how deep containers may stand in each other: a zip of
	// tar.gz files of gz files is four.
	DepthMax = 4
	// EntriesMax bounds the entries of all its archives.
	EntriesMax = 10_000
	// InflatedBytesMax bounds what all its layers inflate to.
	InflatedBytesMax = 64 << 30
	// InnerZipBytesMax bounds the zips inside another container that are open
	// at once. A zip is read from its end, so it must be in memory when it is
	// not a file.
	InnerZipBytesMax = 32 << 20
	// SmallBytes is what one walk may keep of inner zips, and as window of a
	// zstd stream, without asking: the window that RFC 8878 wants every
	// decoder to have, and the most that levels up to 19 use.
	SmallBytes = 8 << 20
	// ZipDirectoryBytesMax bounds the directory of a zip, which is read into
	// memory whole: 10,000 entries with names of 1,000 bytes fit.
	ZipDirectoryBytesMax = 16 << 20
	// ZstdWindowBytesMax is the memory a zstd stream may ask for. RFC 8878
	// asks for 8 MiB at least; levels up to 20 need 32 MiB. Files made with
	// --long or --ultra -21 may ask for more and are refused with a message.
	ZstdWindowBytesMax = 32 << 20
	// HeadBytes can be peeked at from the reader of an entry.
	HeadBytes = 64 << 10
)

// Input is a file to open.
type Input struct {
	// Name is the file's name, with or without folders.
	Name string
	// Reader gives its bytes from the beginning.
	Reader io.Reader
	// At and Size give access to a file whose bytes can be read in any
	// order, as a zip needs. At may be nil; a zip is then read into memory.
	At   io.ReaderAt
	Size int64
	// Large, if not nil, is called before the walk takes more memory than
	// [SmallBytes], at most once. It may wait for other walks to end, so that
	// not all of them are large at the same time.
	Large func()
}

// Entry is one file found.
type Entry struct {
	// Name is the name of the file, with that of the archives it stands in
	// before it: a.zip!/b.log.gz. It comes from the archive and may hold
	// anything.
	Name string
	// Modified is when the innermost archive says that it was changed last;
	// the zero time if it does not say.
	Modified time.Time
	// Reader gives its bytes, unpacked. Up to HeadBytes of them can be
	// peeked at. It is valid until Visit returns, and its error, other than
	// io.EOF, is an [*Error] if the container is at fault.
	Reader *bufio.Reader
}

// Error is damage in a container.
type Error struct {
	// Kind is the container's: gzip, zstd, bzip2, zip or tar.
	Kind string
	// Offset is how many bytes of the container had been read.
	Offset int64
	Err    error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s data cannot be read behind compressed byte %d: %v", e.Kind, e.Offset, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// What is wrong with a container, besides what its reader finds.
var (
	errDepth    = fmt.Errorf("containers stand in each other more than %d deep; unpack the outer ones first", DepthMax)
	errEntries  = fmt.Errorf("more than %d entries in one container; unpack it first", EntriesMax)
	errEnds     = errors.New("the data ends early")
	errInflated = fmt.Errorf("more than %d GiB unpacked from one container; unpack it first", InflatedBytesMax>>30)
)

// Walk opens in and calls visit for each file in it, or for in itself when it
// is no container, one after another in the order in which they stand. What
// cannot be opened is given to report with its name, and the walk goes on
// behind it. Links, folders and devices in archives are left out. An error of
// visit ends the walk and is returned; Walk returns no other.
func Walk(in Input, visit func(Entry) error, report func(name string, p format.Problem)) error {
	w := &walk{visit: visit, report: report, ask: in.Large, entriesMax: EntriesMax, inflatedMax: InflatedBytesMax}
	defer w.release()
	return w.open(in, time.Time{}, 0)
}

// buffers keeps read buffers from one walk to the next: most walks are of one
// small file.
var buffers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, HeadBytes) }}

// release hands the buffers back. Readers given to visit end with the visit, so
// nothing reads them any more.
func (w *walk) release() {
	for _, br := range w.buffers {
		if br != nil {
			br.Reset(nil)
			buffers.Put(br)
		}
	}
}

type walk struct {
	visit       func(Entry) error
	report      func(name string, p format.Problem)
	buffers     [DepthMax + 2]*bufio.Reader
	entries     int
	entriesMax  int
	inflated    int64
	inflatedMax int64
	stopped     bool // a limit of the whole container was reached
	ask         func()
	kept        int64 // bytes of inner zips in memory
}

// large asks for the memory beyond SmallBytes.
func (w *walk) large() {
	if w.ask != nil {
		w.ask()
		w.ask = nil
	}
}

// kind of container, by the bytes it begins with.
type kind string

const (
	plain  kind = ""
	gz     kind = "gzip"
	zst    kind = "zstd"
	bz2    kind = "bzip2"
	zipped kind = "zip"
	tarred kind = "tar"
	xz     kind = "xz"
	lz4    kind = "lz4"
	seven  kind = "7z"
	rar    kind = "rar"
)

var magics = []struct {
	magic string
	kind  kind
}{
	{"\x1f\x8b\x08", gz},                  // RFC 1952
	{"\x28\xb5\x2f\xfd", zst},             // RFC 8878
	{"PK\x03\x04", zipped},                // first entry
	{"PK\x05\x06", zipped},                // no entry
	{"\xfd7zXZ\x00", xz},                  // .xz file format 1.2
	{"\x04\x22\x4d\x18", lz4},             // LZ4 frame format
	{"7z\xbc\xaf\x27\x1c", seven},         // 7z format
	{"Rar!\x1a\x07", rar},                 // RAR 4 and 5
	{"BZh1\x31\x41\x59\x26\x53\x59", bz2}, // the digit may be 1 to 9
}

const tarBlockBytes = 512

func sniff(head []byte) kind {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.kind
		}
	}
	if len(head) >= 10 && string(head[:3]) == "BZh" && head[3] >= '1' && head[3] <= '9' && string(head[4:10]) == "\x31\x41\x59\x26\x53\x59" {
		return bz2
	}
	// A skippable zstd frame may come first (magic 0x184D2A50 to …5F).
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18 {
		return zst
	}
	if len(head) >= tarBlockBytes && tarHeader(head[:tarBlockBytes]) {
		return tarred
	}
	return plain
}

// Packed reports whether a file that begins with head, its first 512 bytes or
// all of it, is a container, known or not.
func Packed(head []byte) bool { return sniff(head) != plain }

// tarHeader reports whether b is the header of a tar entry: its checksum, the
// sum of all bytes with the checksum itself taken as blanks, stands in it in
// octal (POSIX 1003.1, ustar).
func tarHeader(b []byte) bool {
	const at, size = 148, 8
	want, err := strconv.ParseUint(strings.Trim(string(b[at:at+size]), " \x00"), 8, 32)
	if err != nil || b[0] == 0 {
		return false
	}
	sum := uint64(size * ' ')
	for i, c := range b {
		if i < at || i >= at+size {
			sum += uint64(c)
		}
	}
	return sum == want
}

// open visits what in holds, which stands depth containers deep.
func (w *walk) open(in Input, modified time.Time, depth int) error {
	br := w.buffers[depth]
	if br == nil {
		br = buffers.Get().(*bufio.Reader)
		w.buffers[depth] = br
	}
	counted := &counter{r: in.Reader}
	br.Reset(counted)
	head, _ := br.Peek(tarBlockBytes) // an error comes again when it is read
	k := sniff(head)
	switch {
	case k == plain:
		return w.visit(Entry{Name: in.Name, Modified: modified, Reader: br})
	case k == xz, k == lz4, k == seven, k == rar:
		w.problem(in.Name, fmt.Errorf("%s is not supported; unpack it first", k))
		return nil
	case depth >= DepthMax:
		w.problem(in.Name, errDepth)
		return nil
	}
	switch k {
	case zipped:
		return w.zip(in, br, depth)
	case tarred:
		return w.tar(in.Name, &layer{w: w, kind: k, in: counted, buffered: br, r: br}, depth)
	}
	l := &layer{w: w, kind: k, in: counted, buffered: br, inflates: true}
	var err error
	var done func()
	if l.r, done, err = w.decompressor(k, br); err != nil {
		w.problem(in.Name, l.damage(err))
		return nil
	}
	defer done()
	return w.open(Input{Name: in.Name, Reader: l}, modified, depth+1)
}

func (w *walk) problem(name string, err error) {
	p := format.Problem{Err: err}
	var damage *Error
	if errors.As(err, &damage) {
		p.Offset = damage.Offset
	}
	w.report(name, p)
}

// counter counts the bytes that were read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// layer is the stream inside a container: it counts what is unpacked and says
// where the container is damaged.
type layer struct {
	w        *walk
	kind     kind
	in       *counter
	buffered *bufio.Reader
	r        io.Reader
	inflates bool
}

// Read implements io.Reader.
func (l *layer) Read(p []byte) (int, error) {
	if l.inflates && l.w.inflated >= l.w.inflatedMax {
		l.w.stopped = true
		return 0, l.damage(errInflated)
	}
	n, err := l.r.Read(p)
	if l.inflates {
		l.w.inflated += int64(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = l.damage(err)
	}
	return n, err
}

func (l *layer) damage(err error) error {
	var inner *Error
	if errors.As(err, &inner) {
		return err // of the container around this one
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		// io.ReadFull gives the same error for any stream that is short, so
		// a reader of logs would take the damage for the end of its file.
		err = errEnds
	}
	offset := l.in.n
	if l.buffered != nil {
		offset -= int64(l.buffered.Buffered())
	}
	return &Error{Kind: string(l.kind), Offset: offset, Err: err}
}
