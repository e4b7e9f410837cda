package container

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formattest"
)

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	write(t, w, data)
	return b.Bytes()
}

func write(t testing.TB, w io.WriteCloser, data []byte) {
	t.Helper()
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func zstded(t testing.TB, data []byte, o ...zstd.EOption) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, o...)
	if err != nil {
		t.Fatal(err)
	}
	write(t, w, data)
	return b.Bytes()
}

var modified = time.Date(2026, 3, 4, 5, 6, 8, 0, time.UTC)

// files is name, content, name, content, …
func zipOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w, err := zw.CreateHeader(&zip.FileHeader{Name: files[i], Method: zip.Deflate, Modified: modified})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		h := &tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o600, ModTime: modified, Typeflag: tar.TypeReg}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(tw, files[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, h := range []*tar.Header{
		{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink},
		{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o700},
	} {
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type found struct {
	files    []string // name=content, or name=content+error
	problems []string
}

func walkAll(t testing.TB, name string, data []byte, atOnce bool) found {
	t.Helper()
	var f found
	in := Input{Name: name, Reader: bytes.NewReader(data)}
	if atOnce {
		in.At, in.Size = bytes.NewReader(data), int64(len(data))
	}
	err := Walk(in, func(e Entry) error {
		content, err := io.ReadAll(e.Reader)
		s := e.Name + "=" + string(content)
		if err != nil {
			s += "+" + err.Error()
		}
		f.files = append(f.files, s)
		return nil
	}, func(name string, p format.Problem) {
		f.problems = append(f.problems, name+": "+p.Error())
	})
	if err != nil {
		t.Fatalf("Walk: %v", err)
	}
	return f
}

func TestWalk(t *testing.T) {
	t.Parallel()
	const text = "one\ntwo\n"
	g := gzipped(t, []byte(text))
	z := zstded(t, []byte(text))
	skippable := append([]byte{0x5a, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'x', 'y'}, z...)
	// printf 'one\ntwo\n' | bzip2 -9
	bz := []byte("\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\xa7\x14\x2b\x77\x00\x00\x02\xc1\x80\x00\x10\x02\x01\x84\x80\x20\x00\x21\x80\x0c\x02\x38\xf5\x1b\x8b\xb9\x22\x9c\x28\x48\x53\x8a\x15\xbb\x80")
	tests := []struct {
		name string
		data []byte
		want []string
	}{
		{"empty", nil, []string{"f="}},
		{"plain", []byte(text), []string{"f=" + text}},
		{"gzip", g, []string{"f=" + text}},
		{"gzip, two members", append(bytes.Clone(g), g...), []string{"f=" + text + text}},
		{"gzip, padded", append(bytes.Clone(g), make([]byte, 1000)...), []string{"f=" + text}},
		{"zstd", z, []string{"f=" + text}},
		{"zstd, two frames", append(bytes.Clone(z), z...), []string{"f=" + text + text}},
		{"zstd, skippable frame", skippable, []string{"f=" + text}},
		{"bzip2", bz, []string{"f=" + text}},
		{"zip", zipOf(t, "d/a.log", "A", "b.log", "B"), []string{"f!/d/a.log=A", "f!/b.log=B"}},
		{"zip of nothing", zipOf(t), nil},
		{"tar", tarOf(t, "d/a.log", "A", "b.log", text), []string{"f!/d/a.log=A", "f!/b.log=" + text}},
		{"tar.gz", gzipped(t, tarOf(t, "a", "A")), []string{"f!/a=A"}},
		{"names are labels", zipOf(t, "../../etc/passwd", "A"), []string{"f!/../../etc/passwd=A"}},
		{
			"four deep", zipOf(t, "t.tgz", string(gzipped(t, tarOf(t, "a.gz", string(g), "b", "B")))),
			[]string{"f!/t.tgz!/a.gz=" + text, "f!/t.tgz!/b=B"},
		},
		{"zip in tar", tarOf(t, "z.zip", string(zipOf(t, "a", "A")), "b", "B"), []string{"f!/z.zip!/a=A", "f!/b=B"}},
	}
	for _, tt := range tests {
		for _, atOnce := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s %v", tt.name, atOnce), func(t *testing.T) {
				t.Parallel()
				got := walkAll(t, "f", tt.data, atOnce)
				if diff := cmp.Diff(tt.want, got.files); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
				if len(got.problems) > 0 {
					t.Errorf("problems: %v", got.problems)
				}
			})
		}
	}
}

func TestWalkDamage(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", 1<<14)
	g := gzipped(t, []byte(long))
	flipped := bytes.Clone(g)
	flipped[len(flipped)-6] ^= 1 // in the checksum
	deep := []byte("x")
	for range DepthMax + 1 {
		deep = gzipped(t, deep)
	}
	tarred := tarOf(t, "a", "A", "b", strings.Repeat("B", 2000), "c", "C")
	tests := []struct {
		name     string
		data     []byte
		files    []string // prefixes of name=content, and what the error holds
		errs     []string
		problems []string
	}{
		{"gzip cut off", g[:len(g)/2], []string{"f=0123456789abcdef"}, []string{"gzip data cannot be read behind compressed byte"}, nil},
		{"gzip checksum", flipped, []string{"f=" + long}, []string{"gzip data cannot be read behind compressed byte"}, nil},
		{"gzip, text behind", append(bytes.Clone(g), "tail"...), []string{"f=" + long}, []string{"followed by something else"}, nil},
		{"gzip head alone", g[:5], nil, nil, []string{"f: byte 5: gzip data cannot be read behind compressed byte 5: the data ends early"}},
		{"too deep", deep, nil, nil, []string{"f: byte 0: containers stand in each other more than 4 deep"}},
		{
			"tar cut off", tarred[:1024+512+100],
			[]string{"f!/a=A", "f!/b=BBB"},
			[]string{"", "tar data cannot be read behind compressed byte 1636"},
			[]string{"f: byte 1636: tar data cannot be read behind compressed byte 1636: the data ends early"},
		},
		{"zip cut off", zipOf(t, "a", "A")[:20], nil, nil, []string{"f: byte 20: zip data cannot be read behind compressed byte 20: zip: not a valid zip file"}},
		{"xz", []byte("\xfd7zXZ\x00rest"), nil, nil, []string{"f: byte 0: xz is not supported; unpack it first"}},
		{
			"zstd window", zstded(t, []byte(strings.Repeat(long, 150)), zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false)),
			[]string{"f="},
			[]string{"unpack it first with zstd -d --long=31"},
			nil,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := walkAll(t, "f", tt.data, true)
			if len(got.files) != len(tt.files) {
				t.Fatalf("%d files, want %d; problems %v", len(got.files), len(tt.files), got.problems)
			}
			for i, want := range tt.files {
				if !strings.HasPrefix(got.files[i], want) || !strings.Contains(got.files[i], tt.errs[i]) {
					t.Errorf("file %d: %.100q … %q", i, got.files[i], got.files[i][max(0, len(got.files[i])-200):])
				}
			}
			if len(got.problems) != len(tt.problems) {
				t.Fatalf("problems %q", got.problems)
			}
			for i, want := range tt.problems {
				if !strings.HasPrefix(got.problems[i], want) {
					t.Errorf("problem %q", got.problems[i])
				}
			}
		})
	}
}

func TestWalkLimits(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 12 {
		many = append(many, fmt.Sprintf("f%d", i), strings.Repeat("x", 100_000))
	}
	for _, data := range [][]byte{zipOf(t, many...), tarOf(t, many...), gzipped(t, tarOf(t, many...))} {
		for _, tt := range []struct {
			entries  int
			inflated int64
		}{{5, 1 << 30}, {100, 300_000}} {
			visits, reports, errs := 0, 0, 0
			w := &walk{
				visit: func(e Entry) error {
					visits++
					if n, err := io.Copy(io.Discard, e.Reader); err != nil || n != 100_000 {
						errs++
					}
					return nil
				},
				report:     func(string, format.Problem) { reports++ },
				entriesMax: tt.entries, inflatedMax: tt.inflated,
			}
			if err := w.open(Input{Name: "f", Reader: bytes.NewReader(data)}, time.Time{}, 0); err != nil {
				t.Fatal(err)
			}
			if tt.entries == 5 && (visits != 5 || reports != 1 || errs != 0) {
				t.Errorf("entries: %d visits, %d reports, %d errors", visits, reports, errs)
			}
			if sniff(data) != tarred && tt.entries == 100 && (visits > 4 || reports+errs == 0) {
				t.Errorf("inflated: %d visits, %d reports, %d errors", visits, reports, errs)
			}
		}
	}
}

// A gigabyte of zeros in a few kilobytes goes through without being kept.
func TestWalkBomb(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.Copy(w, formattest.Repeat("\x00", 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var size int64
	err := Walk(Input{Name: "f", Reader: &b}, func(e Entry) error {
		var err error
		size, err = io.Copy(io.Discard, e.Reader)
		return err
	}, func(string, format.Problem) {})
	runtime.ReadMemStats(&after)
	if err != nil || size != 64<<20 {
		t.Fatalf("%d bytes, %v", size, err)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestWalkStops(t *testing.T) {
	t.Parallel()
	stop := errors.New("stop")
	for _, data := range [][]byte{[]byte("x"), gzipped(t, []byte("x")), zipOf(t, "a", "A", "b", "B"), tarOf(t, "a", "A", "b", "B")} {
		visits := 0
		err := Walk(Input{Name: "f", Reader: bytes.NewReader(data)}, func(Entry) error { visits++; return stop }, func(string, format.Problem) {})
		if !errors.Is(err, stop) || visits != 1 {
			t.Errorf("%v after %d visits", err, visits)
		}
	}
}

func TestWalkModified(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{zipOf(t, "a", "A"), tarOf(t, "a", "A"), zipOf(t, "a.gz", string(gzipped(t, []byte("A"))))} {
		err := Walk(Input{Name: "f", Reader: bytes.NewReader(data)}, func(e Entry) error {
			if !e.Modified.Equal(modified) {
				t.Errorf("modified %v", e.Modified)
			}
			return nil
		}, func(name string, p format.Problem) { t.Errorf("%s: %v", name, p) })
		if err != nil {
			t.Error(err)
		}
	}
}

// A zip on a disk is read in place.
func TestWalkFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.zip")
	if err := os.WriteFile(path, zipOf(t, "a", "A"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = Walk(Input{Name: "a.zip", Reader: f, At: f, Size: info.Size()}, func(e Entry) error { n++; return nil },
		func(name string, p format.Problem) { t.Errorf("%s: %v", name, p) })
	if err != nil || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
}

func FuzzWalk(f *testing.F) {
	f.Add(gzipped(f, []byte("abc")))
	f.Add(zstded(f, []byte("abc")))
	f.Add(zipOf(f, "a", "A", "b.gz", string(gzipped(f, []byte("B")))))
	f.Add(gzipped(f, tarOf(f, "a", "A", "z", string(zipOf(f, "q", "Q")))))
	f.Add([]byte("BZh91AY&SY"))
	f.Fuzz(func(t *testing.T, data []byte) {
		one := walkSome(t, data)
		two := walkSome(t, data)
		if one != two {
			t.Fatalf("%q, then %q", one, two)
		}
	})
}

func walkSome(t *testing.T, data []byte) string {
	t.Helper()
	var out strings.Builder
	w := &walk{
		visit: func(e Entry) error {
			n, err := io.Copy(io.Discard, e.Reader)
			fmt.Fprintln(&out, e.Name, n, err)
			return nil
		},
		report:     func(name string, p format.Problem) { fmt.Fprintln(&out, name, p) },
		entriesMax: 100, inflatedMax: 8 << 20,
	}
	if err := w.open(Input{Name: "f", Reader: bytes.NewReader(data), At: bytes.NewReader(data), Size: int64(len(data))}, time.Time{}, 0); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// io.ReadFull answers io.ErrUnexpectedEOF for any short stream, which readers
// of logs take for the end of the file: a cut-off container must not look so.
func TestDamageIsNoShortFile(t *testing.T) {
	t.Parallel()
	long := []byte(strings.Repeat("0123456789abcdef", 1<<12))
	for _, data := range [][]byte{
		gzipped(t, long),
		zstded(t, long),
		tarOf(t, "a", string(long))[:5000],
	} {
		data = data[:len(data)-10]
		err := Walk(Input{Name: "f", Reader: bytes.NewReader(data)}, func(e Entry) error {
			_, err := io.ReadFull(e.Reader, make([]byte, len(long)+1))
			var damage *Error
			if !errors.As(err, &damage) || errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("read of cut-off container: %v", err)
			}
			return nil
		}, func(string, format.Problem) {})
		if err != nil {
			t.Error(err)
		}
	}
}

// A walk asks once before it takes much memory, and not for what is small.
func TestWalkAsksForMemory(t *testing.T) {
	t.Parallel()
	text := make([]byte, 12<<20)
	for i := range text {
		text[i] = byte(i * i >> 7)
	}
	small := zstded(t, text, zstd.WithWindowSize(SmallBytes))
	stored := func(n int) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		e, err := w.CreateHeader(&zip.FileHeader{Name: "a", Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Write(text[:n]); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, tt := range []struct {
		name string
		data []byte
		want int
	}{
		{"small window", small, 0},
		{"large window", zstded(t, text, zstd.WithWindowSize(2*SmallBytes)), 1},
		{"large windows", tarOf(t, "a", string(zstded(t, text, zstd.WithWindowSize(2*SmallBytes))), "b", string(small)), 1},
		{"small zip", stored(1 << 20), 0},
		{"large zip", stored(len(text)), 1},
	} {
		asked := 0
		err := Walk(Input{Name: "f", Reader: bytes.NewReader(tt.data), Large: func() { asked++ }}, func(e Entry) error {
			_, err := io.Copy(io.Discard, e.Reader)
			return err
		}, func(name string, p format.Problem) { t.Errorf("%s: %s: %v", tt.name, name, p.Error()) })
		if err != nil || asked != tt.want {
			t.Errorf("%s: asked %d times, want %d; error %v", tt.name, asked, tt.want, err)
		}
	}
}
