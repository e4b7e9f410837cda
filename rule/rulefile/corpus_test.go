package rulefile_test

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// sigmaFolders are the rule folders of the corpus.
func sigmaFolders(t testing.TB) []string {
	t.Helper()
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		t.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	paths, err := filepath.Glob(filepath.Join(dir, "sigma", "rules*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no rule folders in %s (%v)", dir, err)
	}
	return paths
}

// corpusNeedsValues are the public rules with placeholders and the lists that
// they ask for: all that is not enabled out of the box.
var corpusNeedsValues = map[string][]string{
	"0000": nil,
}

// Every public rule loads; nothing is refused, and those that are not enabled
// lack a list.
func TestCorpusLoads(t *testing.T) {
	t.Parallel()
	r, err := rulefile.Load(vfs.Default, sigmaFolders(t), rulefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Files != 3780 || len(r.Documents) != 3780 || len(r.Set.Rules) != 3755 {
		t.Errorf("%d files, %d documents, %d rules; want 3780, 3780, 3755", r.Files, len(r.Documents), len(r.Set.Rules))
	}
	needs := map[string][]string{}
	for _, d := range r.Set.Disabled {
		if d.Reason != rule.DisabledNeedsValues {
			t.Errorf("%s is off because of %s", d.ID, d.Reason)
		}
		needs[d.ID] = d.NeedsValues
	}
	if diff := cmp.Diff(corpusNeedsValues, needs); diff != "" {
		t.Errorf("rules that need values (-want +got):\n%s", diff)
	}
	codes := map[rule.Code]int{}
	for _, d := range r.Diagnostics {
		codes[d.Code]++
		if d.Severity == rule.Error {
			t.Error(d)
		}
		if d.Line == 0 || d.Message == "" {
			t.Errorf("no line or message: %s", d)
		}
	}
	want := map[rule.Code]int{rule.CodeIdentifierInvalid: 2, rule.CodePatternAll: 8, rule.CodePlaceholderMissing: 25}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("diagnostics (-want +got):\n%s", diff)
	}
}

// With the lists, they are enabled too.
func TestCorpusWithValues(t *testing.T) {
	t.Parallel()
	folders := sigmaFolders(t)
	values := map[string]rule.ValueList{}
	for _, names := range corpusNeedsValues {
		for _, n := range names {
			values[n] = rule.ValueList{Values: []string{"alpha*", "beta"}}
		}
	}
	// Lists of addresses for items with the modifier cidr.
	for name := range maps.Keys(values) {
		if strings.Contains(strings.ToLower(name), "ip") {
			values[name] = rule.ValueList{Values: []string{"192.0.2.0/24", "2001:db8::1"}}
		}
	}
	r, err := rulefile.Load(vfs.Default, folders, rulefile.Options{Link: rule.Options{Values: values}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range r.Diagnostics {
		if d.Severity == rule.Error {
			t.Error(d)
		}
	}
	if len(r.Set.Rules) != 3780 {
		t.Errorf("%d rules, want 3780", len(r.Set.Rules))
	}
}

// The number of workers changes nothing.
func TestCorpusDeterministic(t *testing.T) {
	t.Parallel()
	folders := sigmaFolders(t)
	var first []string
	for _, workers := range []int{1, 2, 8} {
		slices.Reverse(folders)
		r, err := rulefile.Load(vfs.Default, folders, rulefile.Options{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range r.Set.Rules {
			got = append(got, x.Position.String()+" "+x.ID+" "+x.SemanticHash)
		}
		for _, d := range r.Diagnostics {
			got = append(got, d.String())
		}
		if first == nil {
			first = got
		} else if !slices.Equal(first, got) {
			t.Errorf("%d workers give another result", workers)
		}
	}
}

func BenchmarkLoadCorpus(b *testing.B) {
	folders := sigmaFolders(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rulefile.Load(vfs.Default, folders, rulefile.Options{Workers: 1}); err != nil {
			b.Fatal(err)
		}
	}
}
