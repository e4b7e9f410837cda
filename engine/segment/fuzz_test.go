package segment

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
)

// sample is a small segment with its index.
func sample(t testing.TB) (segment, index []byte) {
	t.Helper()
	fs := vfs.NewMem()
	l, p := retaining(t, fs, newClock(), Retention{}, "a", "b")
	fill(t, l, p[0], 2)
	fill(t, l, p[1], 1)
	must(t, l.Close())
	name := fs.PathJoin(logDir, numberName(1))
	return content(fs, name+segmentSuffix), content(fs, name+indexSuffix)
}

var compareContents = cmp.AllowUnexported(contents{}, found{}, partitionKey{}, partNext{}, stretch{}, segmentHeader{})

// A scan of any bytes ends, and what it says is within the file; as an index
// it says the same.
func FuzzScan(f *testing.F) {
	segment, _ := sample(f)
	f.Add(segment, int64(-1), 0, byte(0))
	f.Add(segment[:len(segment)-100], int64(-1), 500, byte(1))
	f.Add(segment, int64(len(segment)+50), 140, byte(255))
	f.Add([]byte(nil), int64(0), 0, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, limit int64, at int, flip byte) {
		b = bytes.Clone(b)
		if len(b) > 0 && at >= 0 {
			b[at%len(b)] ^= flip
		}
		limit = max(limit, unlimited)
		c, err := scan(bytes.NewReader(b), int64(len(b)), limit, nil)
		if err != nil {
			if _, newer := err.(newerError); !newer {
				t.Fatal(err)
			}
			return
		}
		if limit == unlimited && c.end > c.size || limit != unlimited && c.end > limit {
			t.Fatalf("it ends at %d of %d, limit %d", c.end, c.size, limit)
		}
		last := int64(0)
		for _, e := range c.entries {
			if e.position < last || e.position+int64(e.head) > c.size {
				t.Fatalf("entry at %d behind %d, size %d", e.position, last, c.size)
			}
			last = e.position + int64(e.head)
		}
		for _, s := range c.stretches {
			if s.from >= s.to || s.to > c.end {
				t.Fatalf("stretch %v of %d", s, c.end)
			}
		}
		again, ok := decodeIndex(encodeIndex(c))
		if !ok {
			t.Fatal("its index cannot be read")
		}
		c.parts = nil
		for i := range c.entries {
			c.entries[i].meta = append([]byte{}, c.entries[i].meta...)
		}
		for i := range again.entries {
			again.entries[i].meta = append([]byte{}, again.entries[i].meta...)
		}
		for i := range c.tornEntries {
			c.tornEntries[i].meta = append([]byte{}, c.tornEntries[i].meta...)
		}
		for i := range again.tornEntries {
			again.tornEntries[i].meta = append([]byte{}, again.tornEntries[i].meta...)
		}
		if diff := cmp.Diff(c, again, compareContents, equateEmpty); diff != "" {
			t.Fatal(diff)
		}
	})
}

// equateEmpty takes a nil slice for an empty one.
var equateEmpty = cmp.FilterValues(func(x, y any) bool { return emptySlice(x) && emptySlice(y) }, cmp.Comparer(func(_, _ any) bool { return true }))

func emptySlice(x any) bool {
	switch x := x.(type) {
	case []found:
		return len(x) == 0
	case []partNext:
		return len(x) == 0
	case []stretch:
		return len(x) == 0
	case []partitionKey:
		return len(x) == 0
	}
	return false
}

// An index of any bytes with a good checksum is refused or can be written
// again; and nothing of it makes the log panic.
func FuzzIndex(f *testing.F) {
	_, index := sample(f)
	f.Add(index[len(indexMagic) : len(index)-4])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append(bytes.Clone(indexMagic), b...)
		b = binary.LittleEndian.AppendUint32(b, checksum(b))
		c, ok := decodeIndex(b)
		if !ok {
			return
		}
		again, ok := decodeIndex(encodeIndex(c))
		if !ok {
			t.Fatal("what was read cannot be written")
		}
		if diff := cmp.Diff(c, again, compareContents, equateEmpty); diff != "" {
			t.Fatal(diff)
		}
		x := newIndex(mustTenants(t, "a"))
		x.add(&file{number: 1, name: "1"}, c)
		x.add(&file{number: 2, name: "2"}, again)
		x.finish()
	})
}

func FuzzHeads(f *testing.F) {
	f.Add(appendHeads(nil, []headNext{{key: partitionKey{"a", "events", "s", 1}, next: 7}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		heads, ok := parseHeads(b)
		if ok && !bytes.Equal(appendHeads(nil, heads), b) {
			t.Fatal("heads are not what they were written as")
		}
	})
}
