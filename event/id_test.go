package event

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"
)

// The vectors were computed outside this program from the description of the
// encoding: eight-byte big-endian lengths before each field, SHA-256, 0x01 in
// front of the first 15 bytes. They must never change.
func TestIDGoldenVectors(t *testing.T) {
	t.Parallel()
	native := EventID(LocalTenant, "dc01/security", NativePosition([]byte("4242")))
	file := EventID(LocalTenant, "web", FilePosition(Fingerprint([]byte("first bytes")), 1048576))
	for _, c := range []struct {
		name, want string
		got        ID
	}{
		{"native", "011e8e55761864a7fbe4f26bbcba7c76", native},
		{"file", "01d5caa841e33b96b8d2869563520f3a", file},
		{"batch", "01605ab2870940e0f93f5f108b9b1477", EventID(LocalTenant, "web", BatchPosition([]byte("chunk-7"), 3))},
		{"detection", "0169fb6dcf6a96ba3d9262c727063eaa", DetectionID(LocalTenant, "rule-1", strings.Repeat("ab", 32), []GroupValue{{"host", "ws1"}, {"user", "alice"}}, native)},
		{"revision", "013db5a3815717699ff43e7bd9937eaf", RevisionID([]ID{native, file})},
		{"revision, other order", "013db5a3815717699ff43e7bd9937eaf", RevisionID([]ID{file, native})},
		{"finding", "0138411eefce0ddcabc2dd14b1600a0c", FindingID(LocalTenant, "silence", "web", "29000000")},
	} {
		if c.got.String() != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
}

// Moving a byte from one field to its neighbour is another thing.
func TestIDFieldsDoNotRunTogether(t *testing.T) {
	t.Parallel()
	a := EventID(LocalTenant, "web1", NativePosition([]byte("2")))
	b := EventID(LocalTenant, "web", NativePosition([]byte("12")))
	if a == b {
		t.Errorf("both %s", a)
	}
	anchor := a
	x := DetectionID(LocalTenant, "r", "h", []GroupValue{{"a", "bc"}}, anchor)
	y := DetectionID(LocalTenant, "r", "h", []GroupValue{{"ab", "c"}}, anchor)
	if x == y {
		t.Errorf("both %s", x)
	}
}

// Two equal log lines at two places are two events, and the same place in a
// file that has grown is the same event.
func TestFilePositionSurvivesGrowth(t *testing.T) {
	t.Parallel()
	head := []byte(strings.Repeat("x", FingerprintBytes))
	grown := append(append([]byte{}, head...), "more"...)
	if Fingerprint(head) != Fingerprint(grown) {
		t.Error("the fingerprint covers more than its bound")
	}
	fp := Fingerprint(head)
	if EventID(LocalTenant, "s", FilePosition(fp, 0)) == EventID(LocalTenant, "s", FilePosition(fp, 10)) {
		t.Error("two offsets, one id")
	}
}

func TestSealKeepsRawAndSaysWhenTimeIsMissing(t *testing.T) {
	t.Parallel()
	raw := []byte(`{"a":1}`)
	var rec Record
	rec.Reset(raw)
	received := time.Date(2026, 3, 1, 13, 0, 0, 0, time.FixedZone("", 3600))
	e := Seal(LocalTenant, "s", BatchPosition([]byte("k"), 0), &rec, received)
	if e.RawHash != sha256.Sum256(raw) || string(e.Raw) != string(raw) {
		t.Errorf("raw %q hash %x", e.Raw, e.RawHash)
	}
	raw[1] = 'X'
	if string(e.Raw) != `{"a":1}` {
		t.Error("the envelope borrows the record's bytes")
	}
	if e.TimeQuality != TimeMissing || !e.Time.Equal(received) || e.Time.Location() != time.UTC {
		t.Errorf("time %v %v", e.Time, e.TimeQuality)
	}
	rec.Time, rec.TimeQuality = received.Add(-time.Hour), TimeAssumedZone
	if e = Seal(LocalTenant, "s", BatchPosition([]byte("k"), 0), &rec, received); e.TimeQuality != TimeAssumedZone || !e.Time.Equal(rec.Time) {
		t.Errorf("time %v %v", e.Time, e.TimeQuality)
	}
}
