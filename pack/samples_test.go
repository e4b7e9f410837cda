package pack

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestSamples(t *testing.T) {
	t.Parallel()
	report, err := Test(vfs.Default, []string{"packs"})
	if err != nil {
		t.Fatal(err)
	}
	if report.Failed() {
		var b bytes.Buffer
		if _, err := report.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		t.Errorf("\n%s", b.String())
	}
}
