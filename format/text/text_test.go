package text

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formattest"
)

func messages(t *testing.T, text string) []string {
	t.Helper()
	res := formattest.Text(t, Format(), text, format.Options{Name: "app.log"})
	formattest.Verbatim(t, []byte(text), res)
	if len(res.Problems) > 0 {
		t.Errorf("problems: %v", res.Problems)
	}
	var got []string
	for _, r := range res.Records {
		got = append(got, r.Raw)
	}
	return got
}

func TestRecords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"lines", "a\nb\r\n\nc", []string{"a", "b", "c"}},
		{"white space", "a\n  b\n\tc\nd\n", []string{"a\n  b\n\tc", "d"}},
		{"white space first", "  a\nb", []string{"  a", "b"}},
		{
			"stack trace", "2026-01-02 03:04:05 ERROR x\njava.lang.Error: y\n\tat z\nCaused by: q\n\n\t... 3 more\n2026-01-02 03:04:06 INFO v\n",
			[]string{"2026-01-02 03:04:05 ERROR x\njava.lang.Error: y\n\tat z\nCaused by: q\n\n\t... 3 more", "2026-01-02 03:04:06 INFO v"},
		},
		{"brackets", "[10/Oct/2000:13:55:36 -0700] a\nb\n[10/Oct/2000:13:55:36 -0700] c\n", []string{"[10/Oct/2000:13:55:36 -0700] a\nb", "[10/Oct/2000:13:55:36 -0700] c"}},
		{"mostly without a time", "2026-01-02 a\nb\nc\nd\n", []string{"2026-01-02 a", "b", "c", "d"}},
		{
			"access log", "192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1\n192.0.2.2 - -\n",
			[]string{"192.0.2.1 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.0\" 200 1", "192.0.2.2 - -"},
		},
		{"NUL and invalid UTF-8", "a\x00\xff\nb", []string{"a\x00\xff", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, messages(t, tt.text)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	res := formattest.Text(t, Format(), "a\x00\xff\"\n", format.Options{Name: "app.log"})
	if len(res.Records) != 1 || res.Records[0].JSON != "{\"message\":\"a\\u0000\uFFFD\\\"\"}" || res.Records[0].Hint != "app" {
		t.Errorf("%+v", res.Records)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	got := messages(t, "a\n"+strings.Repeat(" b\n", 2500))
	if len(got) != 3 {
		t.Errorf("%d records", len(got))
	}
	for i, want := range []int{1000, 1000, 501} {
		if n := strings.Count(got[i], "\n") + 1; n != want {
			t.Errorf("record %d has %d lines, want %d", i, n, want)
		}
	}
	line := " " + strings.Repeat("b", 100_000) + "\n"
	total := 0
	for _, r := range messages(t, "a\n"+strings.Repeat(line, 50)) {
		if len(r) > event.RecordBytesMax {
			t.Errorf("a record of %d bytes", len(r))
		}
		total += strings.Count(r, "b")
	}
	if total != 5_000_000 {
		t.Errorf("%d bytes came out", total)
	}
}

// Records that stand across the ends of blocks are whole.
func TestManyBlocks(t *testing.T) {
	t.Parallel()
	const n = 20_000
	got := messages(t, strings.Repeat("2026-01-02 03:04:05 x\nmore of it\n\tand more\n", n))
	if len(got) != n {
		t.Fatalf("%d records", len(got))
	}
	for _, r := range got {
		if strings.Count(r, "\n") != 2 {
			t.Fatalf("%q", r)
		}
	}
}

func FuzzText(f *testing.F) {
	f.Add([]byte("a\n b\nc"))
	f.Add([]byte("2026-01-02 a\nb\n\n[2026-01-02 03:04:05] c\n"))
	f.Fuzz(func(t *testing.T, data []byte) { formattest.Fuzz(t, Format(), data, format.Options{}) })
}
