package api

import (
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"strings"
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

// Every error points to a heading of the reference page.
func TestErrorsAreExplained(t *testing.T) {
	t.Parallel()
	text := Reference()
	for _, row := range ErrorCodes {
		if !strings.Contains(text, "\n### "+string(row.Code)+"\n") {
			t.Errorf("no heading for %s", row.Code)
		}
	}
	for _, r := range routes {
		if !strings.Contains(text, "`"+r.pattern()+"`") {
			t.Errorf("no row for %s", r.pattern())
		}
	}
}

// The document is a sound one: references lead somewhere, ids are given once.
func TestDocumentIsSound(t *testing.T) {
	t.Parallel()
	text, err := Document()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %q", doc.OpenAPI)
	}
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s has the id %q", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	if len(ids) != len(routes) {
		t.Errorf("%d operations, %d routes", len(ids), len(routes))
	}
	for _, m := range regexp.MustCompile(`"\$ref": "([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		name, ok := strings.CutPrefix(m[1], "#/components/schemas/")
		if _, there := doc.Components.Schemas[name]; !ok || !there {
			t.Errorf("reference to %s, which is not there", m[1])
		}
	}
	for _, foreign := range []string{"ErrorModel", "unpkg", "huma.rocks"} {
		if strings.Contains(string(text), foreign) {
			t.Errorf("the document mentions %s", foreign)
		}
	}
}
