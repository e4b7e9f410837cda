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
	"12310575-e8b1-475c-a976-57ed540b349c": {"internal_domains"},
	"28870ae4-6a13-4616-bd1a-235a7fad7458": {"KNOWN_LOCATION"},
	"2a9e4f17-6c3b-4d8a-e1f0-b57c2d94a631": {"legit_ips"},
	"313e72de-0c0d-4d65-8c95-87f4d546eceb": {"Legitimate_Countries", "Legitimate_IP_Ranges"},
	"3ff152b2-1388-4984-9cd9-a323323fdadf": {"ServerSystems", "DomainControllers", "Workstations"},
	"43311e65-84d8-42a5-b3d4-c94d9b67038f": {"userdomain"},
	"4ad97bf5-a514-41a4-abd3-4f3455ad4865": {"Approved_Inviters"},
	"5f521e4b-0105-4b72-845b-2198a54487b9": {"HomeTenantID"},
	"68fcba0d-73a5-475e-a915-e8b4c576827e": {"Admins_Workstations"},
	"6c9eb492-e477-4df9-b0f4-571fc9db29cd": {"Administrators"},
	"8b7e2c54-1f93-4a6d-b8e0-3c9d7f25a168": {"known_cdcs"},
	"8c944ecb-6970-4541-8496-be554b8e2846": {"Known_Location"},
	"94309181-d345-4cbf-b5fe-061769bdf9cb": {"Admins_Workstations"},
	"9c5d2b84-1f7e-4a3c-d6b8-e04f9a17c523": {"dc_machine_accounts", "dc_ip_addresses"},
	"b2e4a719-3c8f-4d1b-a507-f83c2d56e901": {"dc_machine_accounts", "dc_ip_addresses"},
	"c4a1f389-2e6b-4d9a-8f0c-b73e5a12d947": {"known_cdcs"},
	"c98184ba-4a27-4e10-b7b7-da48e71f4d25": {"ApprovedUserUpn"},
	"cf1e5687-84e1-41af-97a9-158094efef53": {"UnLegitCountries", "UnApprovedIp", "UnApprovedDevice"},
	"dd7876d8-0f09-11eb-adc1-0242ac120002": {"DC-MACHINE-NAME"},
	"e15bc294-ae2a-45ad-b7d6-637b33868bde": {"Administrators"},
	"e3f7c841-2a9d-4b5e-c018-d94b3e67f012": {"dc_machine_accounts", "dc_ip_addresses"},
	"f272fb46-25f2-422c-b667-45837994980f": {"Important_AppIds"},
	"f8d98d6c-7a07-4d74-b064-dd4a3c244528": {"Workstations"},
	"fda34293-718e-4b36-b018-38caab0d1209": {"domain_controller_hostnames"},
	"fe04b26b-0ac4-45d7-9404-4b9f16a440a9": {"legtimate_identifiers"},
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
