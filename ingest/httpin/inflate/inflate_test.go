package inflate

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	fast "github.com/klauspost/compress/flate"
)

// samples are data of different kinds, by name.
func samples() map[string][]byte {
	rng := rand.New(rand.NewPCG(3, 4))
	random := make([]byte, 80_000)
	skewed := make([]byte, 80_000)
	for i := range random {
		random[i] = byte(rng.Uint32())
		skewed[i] = byte(rng.ExpFloat64() * 8)
	}
	var text strings.Builder
	for text.Len() < 150_000 {
		fmt.Fprintf(&text, "{\"n\":%d,\"host\":\"ws-%04d\",\"image\":\"C:\\\\Windows\\\\x.exe\"}\n", rng.IntN(1e6), rng.IntN(5000))
	}
	return map[string][]byte{
		"nothing": nil, "one byte": {7}, "zeros": make([]byte, 300_000), "random": random, "skewed": skewed, "text": []byte(text.String()),
		"period 3": bytes.Repeat([]byte("abc"), 100_000), "period 7": bytes.Repeat([]byte("abcdefg"), 50_000), "period 8": bytes.Repeat([]byte("abcdefgh"), 50_000),
		"far": append(append(bytes.Clone(random[:32768]), random[:32768]...), random[:300]...),
	}
}

func deflated(t testing.TB, level int, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 { // several flushed blocks
		n := min(len(data), 70_000)
		_, _ = w.Write(data[:n])
		_ = w.Flush()
		data = data[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestAppend(t *testing.T) {
	t.Parallel()
	for name, data := range samples() {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 6, 9} {
			sent := append(deflated(t, level, data), "behind"...)
			size := int64(len(data))
			for _, dst := range [][]byte{nil, []byte("before"), make([]byte, 0, len(data)), append(make([]byte, 0, len(data)+5000), "before"...)} {
				for _, limit := range []int64{size, size + 1, 1 << 40} {
					got, used, err := Append(dst, sent, limit)
					if err != nil || used != len(sent)-len("behind") || !bytes.Equal(got[len(dst):], data) || !bytes.Equal(got[:len(dst)], dst) {
						t.Fatalf("%s, level %d, limit %d: %d bytes of %d, used %d of %d, %v", name, level, limit, len(got)-len(dst), size, used, len(sent), err)
					}
				}
				for _, limit := range []int64{size - 1, size / 2, 0} {
					if limit < 0 || limit == size {
						continue
					}
					got, _, err := Append(dst, sent, limit)
					if !errors.Is(err, ErrLimit) || int64(len(got)-len(dst)) > limit {
						t.Fatalf("%s, level %d, limit %d of %d: %d bytes, %v", name, level, limit, size, len(got)-len(dst), err)
					}
				}
			}
		}
	}
}

// Data that are cut off anywhere are short, and never taken as whole.
func TestShort(t *testing.T) {
	t.Parallel()
	data := samples()["text"][:3000]
	for _, level := range []int{flate.HuffmanOnly, 0, 1, 9} {
		sent := deflated(t, level, data)
		for cut := range sent {
			if _, _, err := Append(nil, sent[:cut], 1<<20); !errors.Is(err, ErrShort) {
				t.Errorf("level %d cut at %d of %d: %v", level, cut, len(sent), err)
			}
		}
	}
}

func TestCorrupt(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string][]byte{
		"a block of no kind":           {0x07},
		"a stored length that differs": {0x01, 0x05, 0x00, 0x00, 0x00},
		"a distance beyond the start":  {0x03, 0x02, 0x00, 0x00, 0x00},
	} {
		if out, _, err := Append([]byte("a window that is none"), sent, 1<<20); err == nil {
			t.Errorf("%s: %q", name, out)
		}
	}
}

func TestGzipHeader(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Name, w.Comment, w.Extra = strings.Repeat("n", 5000), "c", []byte("extra")
	_, _ = io.WriteString(w, "data")
	_ = w.Close()
	sent := out.Bytes()
	if got, used, err := AppendGzip(nil, sent, 4); err != nil || string(got) != "data" || used != len(sent) {
		t.Errorf("%q, %d, %v", got, used, err)
	}
	for cut := range sent {
		if _, _, err := AppendGzip(nil, sent[:cut], 4); err == nil {
			t.Fatalf("cut at %d is taken", cut)
		}
	}
	for _, at := range []int{0, 1, 2, 3, len(sent) - 1, len(sent) - 5} {
		bad := bytes.Clone(sent)
		bad[at] ^= 0x80
		if _, _, err := AppendGzip(nil, bad, 4); err == nil {
			t.Errorf("a flipped bit in byte %d is taken", at)
		}
	}
	// RFC 1952, 2.3.1: CRC16 of the header.
	header := []byte{0x1f, 0x8b, 8, flagHeaderSum, 0, 0, 0, 0, 0, 3}
	if _, err := gzipHeader(append(bytes.Clone(header), 0, 0)); !errors.Is(err, ErrChecksum) {
		t.Errorf("%v", err)
	}
}

// inflateSlowly is the judge: the standard library.
func inflateSlowly(src []byte, limit int) (out []byte, used int, err error) {
	in := bytes.NewReader(src)
	out, err = io.ReadAll(io.LimitReader(flate.NewReader(in), int64(limit)+1))
	return out, len(src) - in.Len(), err
}

// FuzzAppend compares with the standard library: what it takes is taken with
// the same bytes, what it refuses is refused.
func FuzzAppend(f *testing.F) {
	for _, data := range samples() {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 9} {
			f.Add(deflated(f, level, data[:min(len(data), 2000)]))
		}
	}
	f.Add([]byte{0x03, 0x00})
	f.Fuzz(compare)
}

func compare(t *testing.T, src []byte) {
	const limit = 1 << 16
	want, wantUsed, wantErr := inflateSlowly(src, limit)
	got, used, err := Append([]byte("kept"), src, limit)
	if string(got[:4]) != "kept" || len(got)-4 > limit {
		t.Fatalf("%d bytes", len(got))
	}
	switch {
	case len(want) > limit:
		if err == nil {
			t.Fatal("the limit is passed")
		}
	case (wantErr == nil) != (err == nil):
		t.Fatalf("error %v, want %v for %x", err, wantErr, src)
	case err == nil && (!bytes.Equal(got[4:], want) || used != wantUsed):
		t.Fatalf("%d bytes, used %d; want %d, %d for %x", len(got)-4, used, len(want), wantUsed, src)
	}
}

// Data with flipped bits are judged as the standard library judges them. The
// header of a block is where most of the rules are, so most flips go there.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	var seeds [][]byte
	for _, data := range samples() {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 9} {
			seeds = append(seeds, deflated(t, level, data[:min(len(data), 400)]))
		}
	}
	for range 5_000 {
		src := bytes.Clone(seeds[rng.IntN(len(seeds))])
		for range 1 + rng.IntN(3) {
			src[rng.IntN(min(len(src), 1+rng.IntN(100)))] ^= 1 << rng.IntN(8)
		}
		compare(t, src)
	}
}

func BenchmarkAppend(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	var words strings.Builder
	for words.Len() < 500_000 {
		words.WriteString([...]string{"process ", "created ", "with ", "command ", "line ", "parent ", "integrity "}[rng.IntN(7)])
		if rng.IntN(4) == 0 {
			fmt.Fprintf(&words, "%08x ", rng.Uint32())
		}
	}
	for name, data := range map[string][]byte{"records": samples()["text"], "words": []byte(words.String())} {
		var packed bytes.Buffer
		w, _ := fast.NewWriter(&packed, 1)
		_, _ = w.Write(data)
		_ = w.Close()
		b.Run(name+"/memory", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportMetric(float64(len(data))/float64(packed.Len()), "ratio")
			var out []byte
			for b.Loop() {
				out, _, _ = Append(out[:0], packed.Bytes(), 1<<30)
			}
		})
		b.Run(name+"/stream", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			r := fast.NewReader(bytes.NewReader(nil))
			out := make([]byte, len(data))
			for b.Loop() {
				_ = r.(fast.Resetter).Reset(bytes.NewReader(packed.Bytes()), nil)
				_, _ = io.ReadFull(r, out)
			}
		})
	}
}
