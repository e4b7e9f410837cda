package ledger

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A store may hold what an older program wrote.
func TestCellOfVersion1(t *testing.T) {
	t.Parallel()
	old := []byte{1, 1} // version, incomplete
	for n := range byte(10) {
		old = append(old, n+1)
	}
	old = append(old, 1, 1, 'a', 20, 21) // types
	old = append(old, 1, 1, 'p', 22)     // partitions
	h, err := decodeHalf(old)
	if err != nil {
		t.Fatal(err)
	}
	want := &half{
		counts: Counts{
			Received: 1, ReceivedBytes: 2, Duplicates: 3, Evaluated: 4, Late: 5, Quarantined: 6, Damaged: 7, Unrouted: 8, Matches: 9, DroppedFieldBytes: 10,
		},
		types: map[string]Volume{"a": {20, 21}}, through: map[string]int64{"p": 22}, incomplete: true,
	}
	if diff := cmp.Diff(want, h, cmp.AllowUnexported(half{})); diff != "" {
		t.Error(diff)
	}
	h.counts.DuplicateFields, h.counts.InvalidTexts = 11, 12
	again, err := decodeHalf(h.encode())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h, again, cmp.AllowUnexported(half{})); diff != "" {
		t.Error(diff)
	}
	old[0] = 3
	if _, err := decodeHalf(old); err == nil {
		t.Error("a version to come was read")
	}
}
