package ingest

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/format"
)

// Pieces hold every record once, in order, with its bytes, and keys that differ
// and are the same the next time.
func TestPieces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SampledFrom([]int{0, 1, BatchEventsMax - 1, BatchEventsMax, BatchEventsMax + 1, 3*BatchEventsMax + 7}).Draw(t, "records")
		step := rapid.IntRange(1, 9).Draw(t, "refused each")
		withNative := rapid.Bool().Draw(t, "native")
		make := func() *Batch {
			b := &Batch{Protocol: "ndjson", Dataset: "d"}
			for i := range n {
				b.Data = append(b.Data, "--"...)
				at := len(b.Data)
				b.Data = append(b.Data, "0123456789"[i%10], byte(i), byte(i>>8))
				if i%step == 0 && step > 1 {
					b.Refused = append(b.Refused, Refused{Start: at, End: len(b.Data), Reason: ReasonTooLarge})
					continue
				}
				b.Frames = append(b.Frames, format.Frame{Start: at, End: len(b.Data)})
				if withNative {
					b.Native = append(b.Native, b.Data[at:])
				}
			}
			b.Data = append(b.Data, "tail"...)
			return b
		}
		read := func(b *Batch) (all, native []byte, refused int, keys map[string]bool) {
			keys = map[string]bool{}
			for p := range b.Pieces() {
				if p.Records() > BatchEventsMax || p.Protocol != b.Protocol || p.Dataset != b.Dataset {
					t.Fatalf("%d records of %s", p.Records(), p.Protocol)
				}
				if keys[string(p.Key)] || len(p.Key) == 0 {
					t.Fatalf("key %x", p.Key)
				}
				keys[string(p.Key)] = true
				f := 0
				for i, r := 0, 0; i < p.Records(); i++ {
					if r < len(p.Refused) && (f == len(p.Frames) || p.Refused[r].Start < p.Frames[f].Start) {
						all = append(all, p.Data[p.Refused[r].Start:p.Refused[r].End]...)
						r++
						refused++
						continue
					}
					all = append(all, p.Data[p.Frames[f].Start:p.Frames[f].End]...)
					f++
				}
				for _, id := range p.Native {
					native = append(native, id...)
				}
			}
			return all, native, refused, keys
		}
		b := make()
		all, native, refused, keys := read(b)
		var want []byte
		for i := range n {
			want = append(want, "0123456789"[i%10], byte(i), byte(i>>8))
		}
		if !bytes.Equal(all, want) || refused != len(b.Refused) {
			t.Fatalf("%d bytes and %d refused, want %d and %d", len(all), refused, len(want), len(b.Refused))
		}
		if withNative && n > 0 && !bytes.Equal(native, bytes.Join(b.Native, nil)) {
			t.Fatal("native ids are lost")
		}
		_, _, _, again := read(make())
		for k := range keys {
			if !again[k] {
				t.Fatal("the keys changed")
			}
		}
	})
}

// A piece has no more bytes than it may, unless it is one record; what stands
// around the records of a large body (the rest of one that is too large) is not
// stored with them, and is part of the key.
func TestPiecesOfManyBytes(t *testing.T) {
	t.Parallel()
	const long = EventBytesMax
	make := func(sizes ...int) *Batch {
		b := &Batch{Protocol: "ndjson"}
		for i, n := range sizes {
			start := len(b.Data)
			b.Data = append(b.Data, bytes.Repeat([]byte{'a' + byte(i)}, n)...)
			if n > EventBytesMax {
				b.Refused = append(b.Refused, Refused{Start: start, End: start + RefusedBytesMax, Reason: ReasonTooLarge})
			} else {
				b.Frames = append(b.Frames, format.Frame{Start: start, End: len(b.Data)})
			}
			b.Data = append(b.Data, '\n')
		}
		return b
	}
	for _, c := range []struct {
		sizes []int
		want  []int // the bytes of each piece
	}{
		{[]int{long, long, long, 1000}, []int{3*long + 1000 + 4}}, // as it is
		{[]int{long, long, long, long, long, 5}, []int{3*long + 2, 2*long + 1 + 6}},
		{[]int{40 << 20}, []int{RefusedBytesMax}},
		{[]int{10, 40 << 20, 20, 30}, []int{11 + RefusedBytesMax, 20 + 1 + 30}},
	} {
		var got []int
		var text []byte
		for p := range make(c.sizes...).SmallPieces() {
			got = append(got, len(p.Data))
			for _, f := range p.Frames {
				text = append(text, p.Data[f.Start], p.Data[f.End-1])
			}
			for _, r := range p.Refused {
				text = append(text, p.Data[r.Start], p.Data[r.End-1])
			}
		}
		if !slices.Equal(got, c.want) || len(text) != 2*len(c.sizes) {
			t.Errorf("%v: pieces of %v with %q, want %v", c.sizes, got, text, c.want)
		}
	}
	key := func(b *Batch) string {
		for p := range b.SmallPieces() {
			return string(p.Key)
		}
		return ""
	}
	one, other := make(40<<20), make(40<<20)
	other.Data[30<<20] = 'z'
	if key(one) == key(other) || key(one) != key(make(40<<20)) {
		t.Error("the key is not of the whole")
	}
}

func TestKeyOf(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, parts := range [][]string{{}, {""}, {"a"}, {"a", "b"}, {"ab"}, {"", "ab"}, {"a", "b", ""}} {
		k := string(KeyOf([]byte("ab"), parts...))
		if seen[k] {
			t.Errorf("%q has the key of another list", parts)
		}
		seen[k] = true
	}
}
