package lines

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// readAll returns the lines and the problems of r.
func readAll(t *testing.T, r io.Reader) (got, problems []string, end error) {
	t.Helper()
	lr := NewReader(r)
	var b format.Block
	for {
		if err := lr.Fill(&b); err != nil {
			return got, problems, err
		}
		for _, f := range b.Frames {
			got = append(got, string(b.Data[f.Start:f.End]))
		}
		for _, p := range b.Problems {
			problems = append(problems, p.Error())
		}
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	limit := strings.Repeat("x", event.RecordBytesMax)
	const long = "size of one record in bytes exceeds the limit of 1048576"
	tests := []struct {
		name, text string
		want       []string
		problems   []string
	}{
		{"empty", "", nil, nil},
		{"line ends", "a\nb\r\n\n \r\nc\rd\ne", []string{"a", "b", "c\rd", "e"}, nil},
		{"mark", "\xef\xbb\xbfa\n", []string{"a"}, nil},
		{"half a mark", "\xef\xbb", []string{"\xef\xbb"}, nil},
		{"at the limit", "a\n" + limit + "\r\nb", []string{"a", limit, "b"}, nil},
		{"beyond it", "a\n" + limit + "x\nb", []string{"a", "b"}, []string{"line 2 (byte 2): " + long}},
		{"far beyond it", "a\n" + strings.Repeat(limit, 5) + "\nb", []string{"a", "b"}, []string{"line 2 (byte 2): " + long}},
		{"the last one", strings.Repeat(limit, 5), nil, []string{"line 1 (byte 0): " + long}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, problems, err := readAll(t, strings.NewReader(tt.text))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%.500s", diff)
			}
			if diff := cmp.Diff(tt.problems, problems); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
		})
	}
}

// A stream that breaks is read as far as it goes.
func TestBrokenStream(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, text := range []string{"", "a", "ab\nc", "abc\nd\n"} {
		got, _, err := readAll(t, io.MultiReader(strings.NewReader(text), failing{broken}))
		if !errors.Is(err, broken) || strings.Join(got, "\n") != strings.TrimSuffix(text, "\n") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// What is pushed back comes again, with what follows it.
func TestPushBack(t *testing.T) {
	t.Parallel()
	r := NewReader(strings.NewReader("a\n" + strings.Repeat("y", 2<<20) + "\nb\nc\n"))
	var b format.Block
	var got []string
	pushed := false
	for {
		if err := r.Fill(&b); err != nil {
			break
		}
		if n := len(b.Frames); n > 1 && !pushed {
			pushed = true
			r.PushBack(&b, n-1)
		}
		for _, f := range b.Frames {
			got = append(got, string(b.Data[f.Start:f.End]))
			if f.Line == 0 || f.Offset != b.Offset+int64(f.Start) {
				t.Errorf("%+v", f)
			}
		}
	}
	if strings.Join(got, " ") != "a b c" || !pushed {
		t.Errorf("%q", got)
	}
}

func TestPeekAndRest(t *testing.T) {
	t.Parallel()
	r := NewReader(strings.NewReader("\xef\xbb\xbfabc\ndef"))
	if got := string(r.Peek(2)); got != "ab" {
		t.Errorf("peeked at %q", got)
	}
	if got := string(r.Peek(100)); got != "abc\ndef" {
		t.Errorf("peeked at %q", got)
	}
	text, offset := r.Rest()
	all, err := io.ReadAll(text)
	if err != nil || string(all) != "abc\ndef" || offset != 3 {
		t.Errorf("%q at %d, %v", all, offset, err)
	}
}

func FuzzUTF16(f *testing.F) {
	f.Add([]byte("a\x00b\x00"), false)
	f.Add([]byte("\xd8\x3d\xde\x00\xd8\x00"), true)
	f.Fuzz(func(t *testing.T, data []byte, big bool) {
		// unicode/utf16 is the reference; it has no order of bytes.
		var units []uint16
		for i := 0; i+1 < len(data); i += 2 {
			u := uint16(data[i]) | uint16(data[i+1])<<8
			if big {
				u = u<<8 | u>>8
			}
			units = append(units, u)
		}
		want := string(utf16.Decode(units))
		if len(data)%2 == 1 {
			want += string(utf8.RuneError)
		}
		mark := []byte{0xff, 0xfe}
		if big {
			mark = []byte{0xfe, 0xff}
		}
		text := append(mark, data...)
		for _, src := range []io.Reader{bytes.NewReader(text), oneByte{bytes.NewReader(text)}} {
			r, _, err := Decode(src)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || string(got) != want {
				t.Fatalf("%q, want %q, %v", got, want, err)
			}
		}
		if got := string(Head(text)); got != want {
			t.Fatalf("head %q, want %q", got, want)
		}
	})
}

type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

func TestBlank(t *testing.T) {
	t.Parallel()
	if !Blank(nil) || !Blank([]byte(" \t\r\n")) || Blank([]byte(" x")) || Blank([]byte{0}) {
		t.Error("Blank is wrong")
	}
}
