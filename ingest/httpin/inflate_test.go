package httpin

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// pack compresses data in one of the forms that clients send.
func pack(t testing.TB, form string, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch form {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zlib":
		w = zlib.NewWriter(&out)
	case "deflate":
		w, err = flate.NewWriter(&out, 6)
	case "zstd":
		w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	case "snappy framed":
		w = s2.NewWriter(&out, s2.WriterSnappyCompat())
	case "snappy block":
		return s2.EncodeSnappy(nil, data)
	default:
		t.Fatalf("no form %q", form)
	}
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var forms = []string{"gzip", "zlib", "deflate", "zstd", "snappy framed", "snappy block"}

func encoding(form string) string {
	switch form {
	case "zlib":
		return "deflate"
	case "snappy framed", "snappy block":
		return "snappy"
	}
	return form
}

func TestInflate(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Repeat("a line of a log that repeats itself, ", 5000))
	for _, form := range forms {
		t.Run(form, func(t *testing.T) {
			t.Parallel()
			enc := encoding(form)
			sent := pack(t, form, text)
			size := int64(len(text))
			for _, limit := range []int64{size, size + 1, 1 << 40} {
				if got, err := Inflate(nil, sent, enc, limit); err != nil || !bytes.Equal(got, text) {
					t.Errorf("limit %d: %d bytes, %v", limit, len(got), err)
				}
			}
			if got, err := Inflate([]byte("before"), sent, enc, size); err != nil || string(got) != "before"+string(text) {
				t.Errorf("appended: %d bytes, %v", len(got), err)
			}
			for _, limit := range []int64{size - 1, size / 100, 1, 0} {
				got, err := Inflate(nil, sent, enc, limit)
				wantFault(t, err, 413, ReasonTooLarge)
				if int64(len(got)) > limit {
					t.Errorf("limit %d: %d bytes came out", limit, len(got))
				}
			}
			for _, cut := range []int{0, 1, len(sent) / 2, len(sent) - 1} {
				_, err := Inflate(nil, sent[:cut], enc, size)
				wantFault(t, err, 400, ReasonEncoding)
			}
			// Framed snappy of nothing is no byte, and a body of none is no body.
			if nothing := pack(t, form, nil); len(nothing) > 0 {
				if got, err := Inflate(nil, nothing, enc, 10); err != nil || len(got) != 0 {
					t.Errorf("nothing: %q, %v", got, err)
				}
			}
		})
	}
	_, err := Inflate(nil, nil, "br\r\n", 10)
	wantFault(t, err, 415, ReasonEncoding)
}

func TestGzipMembers(t *testing.T) {
	t.Parallel()
	a, b := pack(t, "gzip", []byte("a\n")), pack(t, "gzip", []byte("b\n"))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, sent := range map[string][]byte{"two": join(a, b), "zeros behind": join(a, b, make([]byte, 512)), "an empty one between": join(a, pack(t, "gzip", nil), b)} {
		if got, err := Inflate(nil, sent, "gzip", 4); err != nil || string(got) != "a\nb\n" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	broken := bytes.Clone(b)
	broken[len(broken)-5] ^= 1
	for name, sent := range map[string][]byte{
		"garbage behind":           join(a, []byte("garbage")),
		"zeros, then garbage":      join(a, make([]byte, 8), b),
		"a broken second":          join(a, broken),
		"a second that is cut off": join(a, b[:len(b)-1]),
		"no gzip":                  []byte("{\"create\":{}}\n"),
	} {
		_, err := Inflate(nil, sent, "gzip", 4)
		wantFault(t, err, 400, ReasonEncoding)
		_ = name
	}
	_, err := Inflate(nil, join(a, b), "gzip", 3)
	wantFault(t, err, 413, ReasonTooLarge)
	empty := pack(t, "gzip", nil)
	if _, err := Inflate(nil, bytes.Repeat(empty, membersMax), "gzip", 4); err != nil {
		t.Error(err)
	}
	_, err = Inflate(nil, bytes.Repeat(empty, membersMax+1), "gzip", 4)
	wantFault(t, err, 400, ReasonEncoding)
}

// A raw deflate body may begin like a zlib one.
func TestDeflateThatLooksLikeZlib(t *testing.T) {
	t.Parallel()
	// A stored block whose unused bits make the first byte 0x78, then 0x01 as
	// the low byte of its length: 0x7801 is a multiple of 31.
	data := bytes.Repeat([]byte("x"), 0x0101)
	sent := append([]byte{0x78, 0x01, 0x01, 0xfe, 0xfe}, data...)
	sent = append(sent, 0x03, 0x00) // an empty last block
	if got, err := Inflate([]byte("kept"), sent, "deflate", 1000); err != nil || string(got) != "kept"+string(data) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestZstdWindow(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<20) // 16 MiB
	for window, ok := range map[int]bool{windowBytesMax: true, 2 * windowBytesMax: false} {
		var out bytes.Buffer
		w, err := zstd.NewWriter(&out, zstd.WithWindowSize(window), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		// Two writes keep the encoder from declaring the size in one segment.
		_, _ = w.Write(data[:1<<20])
		_, _ = w.Write(data[1<<20:])
		_ = w.Close()
		got, err := Inflate(nil, out.Bytes(), "zstd", 64<<20)
		if (err == nil) != ok || ok && len(got) != len(data) {
			t.Errorf("window %d: %d bytes, %v", window, len(got), err)
		}
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"": "", "identity": "", "gzip": "gzip", "x-gzip": "gzip", " GZIP ": "gzip", "identity, zstd": "zstd", "deflate": "deflate", "snappy": "snappy"} {
		if got, err := encodingOf(map[string][]string{"Content-Encoding": {value}}); err != nil || got != want {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
	for _, values := range [][]string{{"gzip, gzip"}, {"gzip", "zstd"}, {"br"}, {"gzip\r\nX: y"}, {strings.Repeat("x", 10000)}} {
		_, err := encodingOf(map[string][]string{"Content-Encoding": values})
		fault := wantFault(t, err, 415, ReasonEncoding)
		if msg := fault.Error(); len(msg) > 200 || strings.ContainsAny(msg, "\r\n") {
			t.Errorf("the message is %q", msg)
		}
	}
}

// FuzzInflate checks that no bytes make it panic, pass its limit, change what
// stood before, or read differently the second time; and that what was packed
// comes back.
func FuzzInflate(f *testing.F) {
	for i, form := range forms {
		f.Add(pack(f, form, []byte("a line\nanother line\n")), uint8(i), uint16(100))
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8, limit uint16) {
		form := forms[int(which)%len(forms)]
		enc := encoding(form)
		got, err := Inflate([]byte("kept"), data, enc, int64(limit))
		if string(got[:4]) != "kept" || len(got)-4 > int(limit) {
			t.Fatalf("%d bytes of at most %d", len(got)-4, limit)
		}
		again, err2 := Inflate([]byte("kept"), data, enc, int64(limit))
		if fmt.Sprint(err) != fmt.Sprint(err2) || err == nil && !bytes.Equal(got, again) {
			t.Fatalf("%v and %v", err, err2)
		}
		packed := pack(t, form, data)
		if len(packed) == 0 {
			return
		}
		back, err := Inflate(nil, packed, enc, int64(len(data)))
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%s: %v", form, err)
		}
	})
}
