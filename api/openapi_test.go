package api

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the committed OpenAPI document")

const committed = "../docs/reference/openapi.json"

// The committed document is the one that is served.
func TestDocumentIsCommitted(t *testing.T) {
	t.Parallel()
	text, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(committed, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(committed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(old), string(text)); diff != "" {
		t.Errorf("%s is not what the code says; run 'tiercel docs docs/reference':\n%s", committed, diff)
	}
}
