package pack

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestUserPack shows that a pack outside the embedded ones, of a log that
// nobody else knows, is loaded, wins its records and passes its own samples.
func TestUserPack(t *testing.T) {
	t.Parallel()
	report, err := Test(vfs.Default, []string{"testdata/user-pack"})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Packs) != 1 || report.Packs[0].Pack != "tollgate" || report.Packs[0].Records != 2 {
		t.Fatalf("tested %+v, expected the pack tollgate with two records", report.Packs)
	}
	for _, f := range report.Packs[0].Failures {
		t.Error(f)
	}
}
