package stream

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store/wire"
)

// A log may hold what an older program wrote.
func TestSectionOfVersion1(t *testing.T) {
	t.Parallel()
	old := wire.AppendText(wire.AppendText([]byte{1, byte(ingest.KindBatch)}, "web"), "otlp")
	old = binary.AppendUvarint(old, 2)           // shard
	for _, n := range []int64{7, 8, 1_000, -1} { // offset, next, received, watermark
		old = binary.AppendVarint(old, n)
	}
	old = wire.AppendBool(old, true)
	for n := range uint64(9) {
		old = binary.AppendUvarint(old, 300+n)
	}
	old = binary.AppendUvarint(old, 1) // one type
	old = binary.AppendUvarint(binary.AppendUvarint(wire.AppendText(old, "syslog"), 5), 50)
	old = append(old, 0, 0) // no evidence, no hits
	old = binary.AppendUvarint(old, 1)
	old = binary.AppendUvarint(old, 4)
	for _, text := range []string{"unparsed", "d", "f", "p"} {
		old = wire.AppendText(old, text)
	}
	old = binary.AppendUvarint(old, 3)
	old = wire.AppendText(old, "raw")
	old = append(old, 0) // no gaps
	want := &Section{
		Kind: ingest.KindBatch, Source: "web", Protocol: "otlp", Shard: 2, Offset: 7, Next: 8, Received: 1_000, Watermark: -1, Last: true,
		Counts: Counts{
			Records: 300, Evaluated: 301, Late: 302, Quarantined: 303, Damaged: 304, Unrouted: 305, Unparsed: 306, Matches: 307, DroppedBytes: 308,
			Types: []TypeCount{{Name: "syslog", Events: 5, Bytes: 50}},
		},
		Quarantine: []Unread{{Index: 4, Reason: "unparsed", Detail: "d", Format: "f", Peer: "p", Bytes: 3, Raw: []byte("raw")}},
	}
	d := wire.Decoder{B: bytes.Clone(old)}
	got, err := parseSection(&d)
	if err != nil || len(d.B) > 0 {
		t.Fatalf("%v, %d bytes left", err, len(d.B))
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	old[0] = 3
	if _, err := parseSection(&wire.Decoder{B: old}); err == nil {
		t.Error("a version to come was read")
	}
}

func TestSectionKeepsWhatIsDoubtful(t *testing.T) {
	t.Parallel()
	want := &Section{
		Kind: ingest.KindBatch, Source: "web", Watermark: never,
		Counts:   Counts{Records: 9, Evaluated: 8, Quarantined: 1, DuplicateFields: 2, InvalidTexts: 3, Flagged: 4},
		Doubtful: Doubtful{ID: event.ID{1, 2, 3}, Index: 300, Time: -5, Key: "Image"},
	}
	d := wire.Decoder{B: want.append(nil)}
	got, err := parseSection(&d)
	if err != nil || len(d.B) > 0 {
		t.Fatalf("%v, %d bytes left", err, len(d.B))
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}
