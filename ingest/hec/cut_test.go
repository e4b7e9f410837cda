package hec

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/ingesttest"
)

func cutText(body string) (raw, refused []string, err error) {
	b := &ingest.Batch{Data: []byte(body)}
	err = cut(b)
	for _, f := range b.Frames {
		raw = append(raw, body[f.Start:f.End])
	}
	for _, r := range b.Refused {
		refused = append(refused, body[r.Start:r.End])
	}
	return raw, refused, err
}

func TestCut(t *testing.T) {
	t.Parallel()
	const a, b, c = `{"event":"a}{\""}`, `{"event":{"b":[1,{}]},"time":"1"}`, `{"event":"c"}`
	tests := []struct {
		name, body   string
		raw, refused []string
	}{
		{"nothing between", a + b + c, []string{a, b, c}, nil},
		{"lines", a + "\r\n" + b + "\n\n" + c + "\n", []string{a, b, c}, nil},
		{"blanks, BOM, NUL", "\xef\xbb\xbf " + a + "\t" + b, []string{a, b}, nil},
		{"an array", "[" + a + ",\n" + b + "]", []string{a, b}, nil},
		{"pretty", "{\n  \"event\": {\n    \"b\": 1\n  }\n}\n" + c, []string{"{\n  \"event\": {\n    \"b\": 1\n  }\n}", c}, nil},
		{"pretty without indent", "{\n\"event\":\n{\"b\": 1}\n}\n" + c, []string{"{\n\"event\":\n{\"b\": 1}\n}", c}, nil},
		{"balanced and broken", a + `{"event":}` + c, []string{a, `{"event":}`, c}, nil},
		{"cut in an object", a + "\n{\"event\":{\"b\":1\n" + b + "\n" + c, []string{a, b, c}, []string{"{\"event\":{\"b\":1\n"}},
		{"cut in a string", a + "\n{\"event\":\"cut\n" + b + "\n" + c + "\n" + c, []string{a, b, c, c}, []string{"{\"event\":\"cut\n"}},
		{"cut in a string, other parity", "{\"event\":\"cut\n" + c + "\n{\"event\":5}", []string{c, `{"event":5}`}, []string{"{\"event\":\"cut\n"}},
		{"a bracket that closes another", "{\"event\":[}\n" + c, []string{c}, []string{"{\"event\":[}\n"}},
		{"the last is cut", a + c[:8], []string{a}, []string{c[:8]}},
		{"bytes before", "oops" + a + "x\ny" + c, []string{a, c}, []string{"oops", "x", "y"}},
		{"no object at all", "hello\nworld\n", nil, []string{"hello", "world"}},
	}
	for _, tt := range tests {
		raw, refused, err := cutText(tt.body)
		if err != nil || !slices.Equal(raw, tt.raw) || !slices.Equal(refused, tt.refused) {
			t.Errorf("%s:\n got %q\nwant %q\nrefused %q\n   want %q (%v)", tt.name, raw, tt.raw, refused, tt.refused, err)
		}
	}
}

func TestCutLimits(t *testing.T) {
	t.Parallel()
	object := func(n int) string { return `{"event":"` + strings.Repeat("x", n-len(`{"event":""}`)) + `"}` }
	for _, n := range []int{ingest.EventBytesMax, ingest.EventBytesMax + 1, 30 * ingest.EventBytesMax} {
		raw, refused, _ := cutText(`{"event":1}` + object(n) + `{"event":2}`)
		switch {
		case n <= ingest.EventBytesMax && (len(raw) != 3 || len(refused) != 0):
			t.Errorf("%d bytes: %d frames", n, len(raw))
		case n > ingest.EventBytesMax && (len(raw) != 2 || len(refused) != 1 || refused[0] != object(n)[:ingest.RefusedBytesMax]):
			t.Errorf("%d bytes: %d frames, %d refused", n, len(raw), len(refused))
		}
	}
	if _, _, err := cutText(strings.Repeat("{}", ingest.RequestEventsMax)); err != nil {
		t.Error(err)
	}
	if _, _, err := cutText(strings.Repeat("{}", ingest.RequestEventsMax+1)); !errors.Is(err, ingest.ErrTooMany) {
		t.Errorf("%v", err)
	}
}

// Openings that never close are not searched for their ends over and over.
func TestCutIsLinear(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("{\"a\":[\n", 1<<20)
	raw, refused, err := cutText(body)
	if err != nil || len(raw) != 0 || len(refused) == 0 || len(refused) > 2*wastedRatioMax {
		t.Errorf("%d frames, %d refused, %v", len(raw), len(refused), err)
	}
}

// Frames and refused pieces account for all bytes but separators, and an object
// that stands between others on its line is framed exactly.
func FuzzCut(f *testing.F) {
	for _, s := range []string{`{"event":"a"}{"event":{}}`, "{\"a\":\"x\n{\"b\":1}\n{\"c\":2}", "x{\n\"a\":{\"b\":[}", "[{},\n{]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > ingest.RefusedBytesMax {
			return // what is kept of a piece is bounded
		}
		b := &ingest.Batch{Data: bytes.Clone(body)}
		if err := cut(b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b.Data, body) {
			t.Fatal("the body was changed")
		}
		if err := ingesttest.CheckPieces(b); err != nil {
			t.Fatal(err)
		}
		left := bytes.Clone(body)
		for _, fr := range b.Frames {
			clear(left[fr.Start:fr.End])
			b := &ingest.Batch{Data: body[fr.Start:fr.End]}
			if err := cut(b); err != nil || len(b.Frames) != 1 || b.Frames[0].End != fr.End-fr.Start {
				t.Fatalf("cut alone, %q gives %v", b.Data, b.Frames)
			}
		}
		for _, r := range b.Refused {
			clear(left[r.Start:r.End])
		}
		left = bytes.TrimPrefix(left, []byte("\xef\xbb\xbf"))
		if i := bytes.IndexFunc(left, func(c rune) bool { return !strings.ContainsRune("\x00 \t\r\n,[]\x1e", c) }); i >= 0 {
			t.Fatalf("byte %q is nowhere", left[i])
		}
		// A whole body that is one object stays one.
		var tree event.Tree
		if n, err := tree.ParseJSONPrefix(body); err == nil && tree.Kind(0) == event.Object && n > 0 {
			if len(b.Frames) == 0 || b.Frames[0].End != n {
				t.Fatalf("the first object ends at %d: %v", n, b.Frames)
			}
		}
	})
}
