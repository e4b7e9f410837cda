package segment

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
)

const (
	segmentSuffix = ".seg"
	indexSuffix   = ".idx"
	unfinished    = ".tmp"
	lockName      = "LOCK"
)

// newerError is the format's version of a file that this build cannot read.
type newerError int

func (e newerError) Error() string {
	return fmt.Sprintf("it has format version %d and this build reads up to %d: start the newer Tiercel that wrote it, or restore a backup that was made before the upgrade", int(e), version)
}

func numberName(number uint64) string { return fmt.Sprintf("%016x", number) }

// segmentNumber reads the number of a segment from its file name.
func segmentNumber(name, suffix string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, suffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	n, err := strconv.ParseUint(hex, 16, 64)
	return n, err == nil && n > 0 && n <= math.MaxUint32 && numberName(n) == hex
}

// candidate is a segment file in the folder.
type candidate struct {
	number uint64
	size   int64
	header segmentHeader
	sound  bool
}

// loaded is a folder as it was read.
type loaded struct {
	*index
	epoch uint32
	// number is the highest segment number in use.
	number uint64
	// idle are the numbers of segments in which nothing counts, stray the names of
	// files that belong to nothing.
	idle  []uint64
	stray []string
	// entries and payload count what is sound.
	entries, bytes int64
}

// load reads the segments of a folder. With keep, it believes index files and
// reads only segments without one, whose contents it hands to keep, which reports
// whether they have an index now; without, it reads every byte.
func load(fs vfs.FS, dir string, tenants *event.Tenants, keep func(*contents) bool) (*loaded, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list the folder of the log: %w", err)
	}
	slices.Sort(names)
	x := &loaded{index: newIndex(tenants)}
	var list []candidate
	for _, name := range names {
		if n, ok := segmentNumber(name, segmentSuffix); ok {
			c, err := peek(fs, dir, n)
			if err != nil {
				return nil, fmt.Errorf("segment %s: %w", name, err)
			}
			list = append(list, c)
			x.number = max(x.number, n)
			x.epoch = max(x.epoch, c.header.epoch)
		}
	}
	for _, name := range names {
		n, ok := segmentNumber(name, indexSuffix)
		if ok && !slices.ContainsFunc(list, func(c candidate) bool { return c.number == n }) || strings.HasSuffix(name, unfinished) {
			x.stray = append(x.stray, name)
		}
	}
	for i, cand := range list {
		limit := unlimited
		// The next that tells speaks of all before it: one whose header was never
		// written must not hide that others before it do not count.
		if k := slices.IndexFunc(list[i+1:], func(c candidate) bool { return c.sound }); k >= 0 {
			switch next := list[i+1+k].header; {
			case next.previous == cand.number:
				limit = next.previousEnd
			case next.previous < cand.number:
				x.idle = append(x.idle, cand.number)
				continue
			}
		}
		if previous := cand.header.previous; cand.sound && len(x.files) > 0 && previous > x.files[len(x.files)-1].number {
			missing := &file{number: previous, name: numberName(previous) + segmentSuffix}
			x.spot(spot{file: missing, why: "the file is missing"})
		}
		if err := x.take(fs, dir, cand, limit, keep); err != nil {
			return nil, fmt.Errorf("segment %s: %w", numberName(cand.number)+segmentSuffix, err)
		}
	}
	x.finish()
	return x, nil
}

// peek reads the header of a segment, from its index when it is damaged.
func peek(fs vfs.FS, dir string, number uint64) (candidate, error) {
	f, err := fs.Open(fs.PathJoin(dir, numberName(number)+segmentSuffix))
	if err != nil {
		return candidate{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return candidate{}, err
	}
	cand := candidate{number: number, size: info.Size()}
	w := &window{r: f, size: min(cand.size, segmentStartBytes+tagBytes)}
	c := &contents{}
	if err := c.readHeader(w, nil); err != nil {
		return cand, err
	}
	if w.failed > 0 {
		return cand, errors.New("the file system cannot read its beginning")
	}
	cand.header, cand.sound = c.header, c.headerSound && c.header.number == number
	if !cand.sound {
		if c := readIndex(fs, dir, number); c != nil && c.headerSound && c.header.number == number {
			cand.header, cand.sound = c.header, true
		}
	}
	return cand, nil
}

// take adds one segment to the index.
func (x *loaded) take(fs vfs.FS, dir string, cand candidate, limit int64, keep func(*contents) bool) error {
	c := readIndex(fs, dir, cand.number)
	f := &file{number: cand.number, name: numberName(cand.number) + segmentSuffix}
	f.indexed = c != nil && c.header.number == cand.number && (!cand.sound || c.header == cand.header) && (limit == unlimited || c.end == limit)
	known := f.indexed && keep != nil
	if !known {
		var fallback *tag
		if f.indexed {
			// An index was written when all it lists was synced.
			fallback, limit = &c.header.tag, c.end
		}
		read, err := scanFile(fs, fs.PathJoin(dir, f.name), limit, fallback)
		if err != nil {
			return err
		}
		read.header.number = cand.number
		if f.indexed {
			c.reconcile(read)
		} else {
			c = read
			f.indexed = keep != nil && read.unreadable == 0 && keep(read)
		}
	}
	if cand.size < c.size {
		c.cutShort(cand.size)
	}
	if known {
		// What was torn was told when the index was made.
		c.torn, c.tornEntries = stretch{}, nil
	}
	f.tag, f.end, f.bytes, f.lastNanos = c.header.tag, c.end, cand.size, max(c.lastNanos, c.header.createdNanos)
	f.clean = c.size == c.end && c.size == cand.size
	x.epoch = max(x.epoch, c.header.epoch)
	for _, e := range c.entries {
		if !e.bad {
			x.entries++
			x.bytes += int64(e.head) + int64(e.stored)
		}
	}
	x.add(f, c)
	if limit == unlimited && c.unreadable > 0 {
		x.skip(f, c)
	}
	return nil
}

// skip leaves out, in each partition, as many offsets as there can be entries
// in the bytes of the newest segment that the file system did not give: an offset
// must not be given twice, and nobody knows which were in use.
func (x *loaded) skip(f *file, c *contents) {
	most := c.unreadable/frameFixedBytes + 1
	for _, p := range x.sorted {
		d := Damage{
			Partition: p.key.String(), From: p.next, To: p.next + most, File: f.name, Bytes: c.unreadable,
			Why: "the file system could not read a part of the newest segment; as many entries may be missing",
		}
		p.holes = append(p.holes, hole{from: d.From, to: d.To, why: d.Why})
		p.next = d.To
		x.damages.add(d)
	}
}

// reconcile takes over into the contents of an index what a scan of the file
// found to be damaged.
func (c *contents) reconcile(read *contents) {
	sound := make(map[int64]bool, len(read.entries))
	for _, e := range read.entries {
		sound[e.position] = !e.bad
	}
	for i := range c.entries {
		c.entries[i].bad = !sound[c.entries[i].position]
	}
	c.stretches = slices.DeleteFunc(read.stretches, func(s stretch) bool {
		// What is in a stretch is named entry by entry.
		return slices.ContainsFunc(c.entries, func(e found) bool { return s.from <= e.position && e.position < s.to })
	})
}

// cutShort notes that the file has fewer bytes than its index says.
func (c *contents) cutShort(size int64) {
	entries := false
	for i := range c.entries {
		e := &c.entries[i]
		if e.position+int64(e.head)+int64(e.stored) > size {
			e.bad, entries = true, true
		}
	}
	c.size = size
	if !entries && size < c.end && !slices.ContainsFunc(c.stretches, func(s stretch) bool { return s.to == c.end }) {
		c.stretches = append(c.stretches, stretch{size, c.end})
	}
}

func scanFile(fs vfs.FS, path string, limit int64, fallback *tag) (*contents, error) {
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return scan(f, info.Size(), limit, fallback)
}

// readIndex reads an index file; nil when there is none that is sound, which
// costs a scan and nothing else.
func readIndex(fs vfs.FS, dir string, number uint64) *contents {
	f, err := fs.Open(fs.PathJoin(dir, numberName(number)+indexSuffix))
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() > indexBytesMax {
		return nil
	}
	b := make([]byte, info.Size())
	if n, err := f.ReadAt(b, 0); n < len(b) || err != nil && !errors.Is(err, io.EOF) {
		return nil
	}
	c, ok := decodeIndex(b)
	if !ok {
		return nil
	}
	return c
}

// writeIndex writes an index file. It is not synced: one that a power cut
// damages is made again.
func writeIndex(fs vfs.FS, dir string, c *contents) error {
	path := fs.PathJoin(dir, numberName(c.header.number)+indexSuffix)
	f, err := fs.Create(path+unfinished, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(encodeIndex(c))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return fs.Rename(path+unfinished, path)
}

// syncDir makes names in a folder durable.
func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// syncParents makes the folder itself durable: its name stands in the folder
// above, whose name stands in the one above that, up to where the disk is mounted.
// A folder that we may not open was not made by us.
func syncParents(fs vfs.FS, dir string) error {
	for {
		parent := fs.PathDir(dir)
		if parent == dir {
			return nil
		}
		here, err := fs.Stat(dir)
		if err != nil {
			return err
		}
		above, err := fs.Stat(parent)
		if errors.Is(err, os.ErrPermission) || err == nil && above.DeviceID() != here.DeviceID() {
			return nil
		}
		if err == nil {
			err = syncDir(fs, parent)
		}
		if errors.Is(err, os.ErrPermission) {
			return nil
		}
		if err != nil {
			return err
		}
		dir = parent
	}
}
