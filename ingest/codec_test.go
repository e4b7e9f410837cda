package ingest

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// drawBatch makes any batch that a receiver may hand over.
func drawBatch(t *rapid.T) (*Batch, Meta) {
	text := rapid.StringN(0, 20, 40)
	b := &Batch{Format: text.Draw(t, "format"), Dataset: text.Draw(t, "dataset"), Peer: text.Draw(t, "peer"), Protocol: text.Draw(t, "protocol")}
	b.Data = rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "data")
	micros := rapid.Int64Range(0, 4e15).Draw(t, "received")
	b.Received = time.UnixMicro(micros).UTC()
	span := func(label string) (int, int) {
		start := rapid.IntRange(0, len(b.Data)).Draw(t, label)
		return start, rapid.IntRange(start, len(b.Data)).Draw(t, label)
	}
	if rapid.Bool().Draw(t, "file") {
		b.File = &File{
			Path: text.Draw(t, "path"), Name: text.Draw(t, "name"), Fingerprint: sha256.Sum256(b.Data),
			Base: rapid.Int64Min(0).Draw(t, "base"), Last: rapid.Bool().Draw(t, "last"),
			Context: rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "context"),
		}
		if rapid.Bool().Draw(t, "reference") {
			b.File.Reference = time.UnixMicro(rapid.Int64Range(1, 4e15).Draw(t, "reference")).UTC()
		}
	}
	for range rapid.IntRange(0, 5).Draw(t, "frames") {
		var f format.Frame
		f.Start, f.End = span("frame")
		if b.File != nil {
			f.Offset, f.Line = rapid.Int64Range(0, 1<<40).Draw(t, "offset"), rapid.Int64Range(0, 1<<30).Draw(t, "line")
		}
		b.Frames = append(b.Frames, f)
	}
	if rapid.Bool().Draw(t, "native") {
		for range b.Frames {
			b.Native = append(b.Native, []byte(text.Draw(t, "id")))
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "refused") {
		r := Refused{Reason: text.Draw(t, "reason"), Detail: text.Draw(t, "detail")}
		r.Start, r.End = span("refused")
		b.Refused = append(b.Refused, r)
	}
	m := Meta{Kind: KindBatch, Protocol: b.Protocol, Received: micros, Key: sha256.Sum256([]byte("k")), Records: b.Records(), Bytes: len(b.Data), Retry: rapid.Bool().Draw(t, "retry")}
	b.Key = m.Key[:]
	return b, m
}

func TestCodecRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want, m := drawBatch(t)
		gotMeta, err := ParseMeta(AppendMeta(nil, m))
		if err != nil || gotMeta != m {
			t.Fatalf("meta %+v came back as %+v, %v", m, gotMeta, err)
		}
		var got Batch
		if err := ParsePayload(AppendPayload(nil, want), gotMeta, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, &got, cmpopts.EquateEmpty(), cmp.AllowUnexported(event.Tenant{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

// A cut or changed encoding is an error or another batch, never a panic or a
// frame outside the data.
func FuzzParsePayload(f *testing.F) {
	f.Add(AppendPayload(nil, &Batch{Data: []byte("ab"), Frames: []format.Frame{{Start: 0, End: 2}}, Native: [][]byte{[]byte("x")}, Refused: []Refused{{0, 1, ReasonTooLarge, "d"}}, File: &File{Path: "p"}}))
	f.Add([]byte{codecVersion, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 7})
	f.Fuzz(func(t *testing.T, data []byte) {
		var b Batch
		if ParsePayload(data, Meta{}, &b) != nil {
			return
		}
		for _, fr := range b.Frames {
			_ = b.Data[fr.Start:fr.End]
		}
		for _, r := range b.Refused {
			_ = b.Data[r.Start:r.End]
		}
		var again Batch
		if err := ParsePayload(AppendPayload(nil, &b), Meta{}, &again); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}

func FuzzParseMeta(f *testing.F) {
	f.Add(AppendMeta(nil, Meta{Kind: KindContent, Protocol: "elastic", Received: 1, Records: 3}))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseMeta(data)
		if err != nil {
			return
		}
		if again, err := ParseMeta(AppendMeta(nil, m)); err != nil || again != m {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}
