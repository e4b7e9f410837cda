package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
)

// The checks tell of rules that are not used, and of a disk that is full, which
// leaves the server ready: it does all but to take more.
func TestStatusTellsOfDiskAndRules(t *testing.T) {
	t.Parallel()
	rules := t.TempDir()
	for name, text := range map[string]string{"good.yml": retryRule, "bad.yml": "title: No detection\nlogsource: {product: windows}\n"} {
		if err := os.WriteFile(filepath.Join(rules, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const notUsed = "1 document of the content cannot be used; 'tiercel rule lint' says why"
	for free, disk := range map[uint64]api.Check{
		1 << 40: {Name: "disk", OK: true},
		2 << 20: {Name: "disk", Detail: "it is nearly full, and new data is refused until there is room again; senders keep theirs"},
	} {
		stderr, err := serveAs(t, serveFlags{rules: []string{rules}}, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", func(s *server) {
			s.world.FS = smallDisk{s.world.FS, free, nil}
		}, func(s *server) error {
			// The log looks when something is to be written.
			err := s.gate.Resubmit(&ingest.Batch{Tenant: s.tenants.All()[0], Source: "a", Protocol: "ndjson", Format: "json", Data: []byte("{}"), Frames: []format.Frame{{End: 2}}})
			if (err == nil) != disk.OK {
				return fmt.Errorf("a record: %v", err)
			}
			want := []api.Check{{Name: "log", OK: true}, disk, {Name: "rules", OK: true, Detail: notUsed}, {Name: "state", OK: true}}
			if got := s.Status(event.Tenant{}); !got.Ready || cmp.Diff(want, got.Checks) != "" {
				return fmt.Errorf("ready %v, %s", got.Ready, cmp.Diff(want, got.Checks))
			}
			return nil
		})
		if err != nil {
			t.Errorf("%d bytes free: %v\n%s", free, err, stderr)
		}
	}
}
