package syslog

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/ingest"
)

type framed struct{ Text, Detail string }

// cutAll gives text to a framer in pieces of n bytes.
func cutAll(text string, n int) []framed {
	var f framer
	var out []framed
	for len(text) > 0 {
		n := min(n, len(text))
		f.write([]byte(text[:n]))
		text = text[n:]
		for {
			msg, detail, ok := f.next()
			if !ok {
				break
			}
			out = append(out, framed{string(msg), detail})
		}
	}
	if msg, detail := f.end(); msg != nil {
		out = append(out, framed{string(msg), detail})
	}
	return out
}

func whole(texts ...string) []framed {
	var out []framed
	for _, s := range texts {
		out = append(out, framed{Text: s})
	}
	return out
}

func TestFraming(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MessageBytesMax)
	kept := long[:ingest.RefusedBytesMax]
	// refused is how a whole record is told of that is too large.
	refused := func(record string) framed {
		return framed{kept, fmt.Sprintf("a record of %d bytes, SHA-256 %x, of which the first 65536 are kept", len(record), sha256.Sum256([]byte(record)))}
	}
	endless := strings.Repeat("x", ingest.BodyBytesMax)
	returns := strings.Repeat("\r", readBytes)
	tests := []struct {
		name, in string
		want     []framed
	}{
		{"lines", "<13>a\n<13>b\r\n<13>c\n", whole("<13>a", "<13>b", "<13>c")},
		{"NUL", "<13>a\x00<13>b\x00", whole("<13>a", "<13>b")},
		{"counted", "5 <13>a6 <13>bc", whole("<13>a", "<13>bc")},
		{"counted with line feeds inside and behind", "7 <13>a\nb\n5 <13>c\n", whole("<13>a\nb", "<13>c")},
		{"mixed", "5 <13>a<13>b\n5 <13>c\n<13>d\x00", whole("<13>a", "<13>b", "<13>c", "<13>d")},
		{"no line end", "<13>a\n<13>b", whole("<13>a", "<13>b")},
		{"blank lines", "\n\n  \n\t\r\n<13>a\n\n", whole("<13>a")},
		{"a line that begins with a date", "2026-01-02 x\n<13>a\n", whole("2026-01-02 x", "<13>a")},
		{"a zero is no count", "05 <13>\n", whole("05 <13>")},
		{"eight digits are no count", "12345678 <13>a\n<13>b\n", whole("12345678 <13>a", "<13>b")},
		{"counted, cut short", "99 <13>a", whole("<13>a")},
		{"a count alone", "99", whole("99")},
		{"garbage", "\xff\xfe{}\n<13>a\n", whole("\xff\xfe{}", "<13>a")},
		{"a line at the limit", long + "\r\n<13>a\n", whole(long, "<13>a")},
		{"a line beyond it", long + "y\n<13>a\n", []framed{refused(long + "y"), {"<13>a", ""}}},
		{"a line far beyond it", strings.Repeat(long, 4) + "\n<13>a\n", []framed{refused(strings.Repeat(long, 4)), {"<13>a", ""}}},
		{"a line far beyond it with CR LF", long + "yy\r\n5 <13>a", []framed{refused(long + "yy"), {"<13>a", ""}}},
		{"a line far beyond it with CRs inside", long + "y" + returns + "z\r\r\x00<13>a\n", []framed{refused(long + "y" + returns + "z"), {"<13>a", ""}}},
		{"a line far beyond it without an end", long + "yy\r", []framed{refused(long + "yy")}},
		{"a line as long as is summed", endless + "\r\n<13>a\n", []framed{refused(endless), {"<13>a", ""}}},
		{"a line that is longer", endless + "\r\ry\n<13>a\n", []framed{
			{kept, fmt.Sprintf("a record of more than 67108864 bytes, SHA-256 of so many %x, of which the first 65536 are kept", sha256.Sum256([]byte(endless)))},
			{"<13>a", ""},
		}},
		{"counted at the limit", "1048576 " + long + "5 <13>a", whole(long, "<13>a")},
		{"counted beyond it", "1048577 " + long + "y5 <13>a", []framed{refused(long + "y"), {"<13>a", ""}}},
		{"counted beyond it with a line feed", "1048578 " + long + "y\n5 <13>a", []framed{refused(long + "y\n"), {"<13>a", ""}}},
		{"counted beyond it and cut short", "9999999 xyz", []framed{{"xyz", fmt.Sprintf("a record of 9999999 bytes by its count, of which 3 came, SHA-256 %x, and the first 3 are kept", sha256.Sum256([]byte("xyz")))}}},
		{"counted beyond it and cut short later", "9999999 " + kept + "zz", []framed{{kept, fmt.Sprintf("a record of 9999999 bytes by its count, of which 65538 came, SHA-256 %x, and the first 65536 are kept", sha256.Sum256([]byte(kept+"zz")))}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sizes := []int{readBytes, 1 << 30}
			if len(tt.in) < 100 {
				sizes = append(sizes, 1, 2, 3, 5)
			}
			for _, n := range sizes {
				if diff := cmp.Diff(tt.want, cutAll(tt.in, n)); diff != "" {
					t.Fatalf("in pieces of %d (-want +got):\n%.2000s", n, diff)
				}
			}
		})
	}
}

// Whatever comes in whatever pieces, the same messages come out, and a framer
// holds no more than a message and a piece.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("5 <13>a<13>b\n\n3 x"), 3)
	f.Add([]byte("9999999 a\n\x00"), 1)
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		n = n&1023 + 1
		at, pieces := cutAll(string(data), 1<<30), cutAll(string(data), n)
		if diff := cmp.Diff(at, pieces); diff != "" {
			t.Fatal(diff)
		}
		size := 0
		for _, m := range at {
			size += len(m.Text)
		}
		if size > len(data) {
			t.Fatal("more came out than went in")
		}
	})
}
