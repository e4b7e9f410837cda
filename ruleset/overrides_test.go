package ruleset_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/ruleset"
)

// load reads the invented pair of states and the team's overrides.
func load(t testing.TB, state string) *ruleset.Source {
	t.Helper()
	src, err := ruleset.Read(vfs.Default, filepath.Join("testdata", state))
	if err != nil || len(src.Diagnostics) > 0 {
		t.Fatal(err, src.Diagnostics)
	}
	return src
}

func loadOverrides(t testing.TB) *ruleset.Overrides {
	t.Helper()
	o, diags, err := ruleset.LoadOverrides(vfs.Default, "testdata/overrides.yml")
	if err != nil || len(diags) > 0 {
		t.Fatal(err, diags)
	}
	return o
}

// Thirty overrides over two states of a rule set: what becomes of each stands
// behind it in the file.
func TestReview(t *testing.T) {
	t.Parallel()
	o, before, after := loadOverrides(t), load(t, "before"), load(t, "after")
	findings := ruleset.Review(o, before.Documents, after.Documents)
	if len(o.Entries) != 30 || len(findings) != 30 {
		t.Fatalf("%d overrides, %d findings, want 30", len(o.Entries), len(findings))
	}
	var counts [3]int
	said := map[string]string{}
	for i, f := range findings {
		counts[f.Standing]++
		if f.Override != &o.Entries[i] || f.Standing.String() != f.Override.Comment {
			t.Errorf("line %d, %s: %s %v, want %s", f.Override.Line, f.Override, f.Standing, f.Reasons, f.Override.Comment)
		}
		if (f.Standing == ruleset.Intact) != (len(f.Reasons) == 0) {
			t.Errorf("%s: %s because of %v", f.Override, f.Standing, f.Reasons)
		}
		var next []string
		for _, s := range f.Successors {
			next = append(next, s.Title+" ("+s.How+")")
		}
		said[strings.TrimPrefix(f.Override.String(), "id 5e700000-0000-4000-8000-")] = strings.Join(next, ", ")
	}
	if want := [3]int{16, 6, 8}; counts != want {
		t.Errorf("intact, changed, orphaned %v, want %v", counts, want)
	}
	for override, want := range map[string]string{
		"000000000003":           "Task made from a temporary folder (renamed)",
		"000000000007":           "Group of administrators changed (obsolete)",
		"000000000010":           "Shell started by a server (obsolete)",
		"000000000012":           "",
		"name web_shell":         "Shell started by a server (obsolete)",
		"name credential_dialog": "Credential dialog shown by a script (same id)",
	} {
		if said[override] != want {
			t.Errorf("%s: successors %q, want %q", override, said[override], want)
		}
	}
	for _, f := range ruleset.Review(o, after.Documents, after.Documents) {
		if f.Standing == ruleset.Reconsider {
			t.Errorf("%s: no update, and yet %v", f.Override, f.Reasons)
		}
	}
}

// prepared links the documents of a state for a site.
func prepared(t testing.TB, site *ruleset.Site, docs []*rule.Document) (map[string]*rule.Rule, *rule.Set, []rule.Diagnostic) {
	t.Helper()
	docs, diags := site.Prepare(docs)
	set, more := rule.Link(docs, rule.Options{})
	rules := map[string]*rule.Rule{}
	for _, r := range set.Rules {
		rules[strings.TrimLeft(strings.TrimPrefix(r.ID, "5e700000-0000-4000-8000-"), "0")] = r
	}
	return rules, set, append(diags, more...)
}

// The same overrides, applied.
func TestPrepare(t *testing.T) {
	t.Parallel()
	before := load(t, "before")
	plain, _, _ := prepared(t, &ruleset.Site{}, before.Documents)
	if len(plain) != 16 {
		t.Fatal(len(plain))
	}
	site := &ruleset.Site{Overrides: loadOverrides(t)}
	rules, set, diags := prepared(t, site, before.Documents)
	var off []string
	for _, d := range set.Disabled {
		off = append(off, strings.TrimLeft(d.ID[24:], "0")+" "+string(d.Reason))
	}
	slices.Sort(off)
	if diff := cmp.Diff([]string{"1 override", "11 override", "12 override", "15 override", "16 override", "3 override", "9 override"}, off); diff != "" {
		// 11: its name switches it off, its id says the level alone. 9: its
		// folder switches it off. 12: by id and by tag.
		t.Errorf("off (-want +got):\n%s", diff)
	}
	for id, want := range map[string]rule.Level{"2": rule.Medium, "5": rule.High, "10": rule.High, "6": rule.Critical, "8": rule.High, "13": rule.High, "14": rule.High} {
		if rules[id].Level != want {
			t.Errorf("rule %s has level %s, want %s", id, rules[id].Level, want)
		}
	}
	// Tags change from the weakest override to the strongest.
	if got, want := strings.Join(rules["4"].Tags, " "), "attack.t1543.003 team.persistence team.windows team.servers"; got != want {
		t.Errorf("tags %s, want %s", got, want)
	}
	// A filter changes the identity of detections, nothing else does.
	for id, r := range rules {
		filtered := id == "4" || id == "6"
		if (r.SemanticHash != plain[id].SemanticHash) != filtered {
			t.Errorf("rule %s: another hash %v, want %v", id, r.SemanticHash != plain[id].SemanticHash, filtered)
		}
		if _, ok := r.Conditions[0].(*rule.And); ok != filtered {
			t.Errorf("rule %s: filtered %v, want %v", id, ok, filtered)
		}
	}
	suppress := map[string]string{}
	for id, s := range site.Suppress {
		suppress[strings.TrimLeft(id[24:], "0")] = fmt.Sprint(strings.Join(s.Fields, "+"), " ", s.Window)
	}
	if diff := cmp.Diff(map[string]string{"6": "Computer+User 30m0s", "8": "Computer 1h0m0s", "13": "Computer 24h0m0s", "14": "Computer 24h0m0s"}, suppress); diff != "" {
		t.Errorf("suppressions (-want +got):\n%s", diff)
	}
	if len(diags) != 1 || diags[0].Code != rule.CodeOverrideUnused || !strings.Contains(diags[0].Message, "000000000999") {
		t.Errorf("%v", diags)
	}
}

// One test of each step of the order in which overrides are stronger.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	docs := load(t, "before").Documents
	const ruleID = "id: 5e700000-0000-4000-8000-000000000001"
	const name, path, tag = "name: office_shell", "path: rules/windows/*", "tag: attack.t1059"
	for _, c := range []struct {
		name, tenant string
		entries      []string
		want         rule.Level
	}{
		{"id over name", "", []string{ruleID + ", level: low", name + ", level: critical"}, rule.Low},
		{"name over path", "", []string{path + ", level: low", name + ", level: critical"}, rule.Critical},
		{"path over tag", "", []string{path + ", level: low", tag + ", level: critical"}, rule.Low},
		{"later over earlier", "", []string{tag + ", level: low", tag + ", level: critical"}, rule.Critical},
		{"tenant over all", "acme", []string{tag + ", level: low, tenants: [acme]", tag + ", level: critical"}, rule.Low},
		{"id over tenant", "acme", []string{tag + ", level: low, tenants: [acme]", ruleID + ", level: critical"}, rule.Critical},
		{"other tenant", "umbra", []string{ruleID + ", level: low, tenants: [acme]"}, rule.High},
		{"no tenant", "", []string{ruleID + ", level: low, tenants: [acme]"}, rule.High},
		{"priority over all", "acme", []string{tag + ", level: low, priority: 1", ruleID + ", level: critical, tenants: [acme]"}, rule.Low},
		{"key by key", "", []string{ruleID + ", tags: {add: [a.b]}", tag + ", level: low"}, rule.Low},
	} {
		text := "overrides:\n"
		for _, e := range c.entries {
			text += "  - {" + e + "}\n"
		}
		o, diags := ruleset.ParseOverrides("o.yml", []byte(text))
		if len(diags) > 0 {
			t.Fatal(c.name, diags)
		}
		rules, _, _ := prepared(t, &ruleset.Site{Overrides: o, Tenant: c.tenant}, docs)
		if rules["1"].Level != c.want {
			t.Errorf("%s: %s, want %s", c.name, rules["1"].Level, c.want)
		}
	}
}

func TestParseOverrides(t *testing.T) {
	t.Parallel()
	const ok = "  - {id: 5e700000-0000-4000-8000-000000000001, enabled: false}\n"
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"overrides:\n", ""},
		{"overrides: []\n", ""},
		{"overrides:\n" + ok, "1 entries"},
		{"[]", "1:1 overrides-invalid"},
		{"override: []", "1:1 overrides-invalid"},
		{"overrides: {}", "1:12 overrides-invalid"},
		{"overrides: []\n---\noverrides: []\n", "3:1 overrides-invalid"},
		{"overrides:\n  - id: 1\n   x", "3:0 yaml-invalid"},
		{"overrides:\n  - word\n" + ok, "1 entries 2:5 overrides-invalid"},
		{"overrides:\n  - {enabled: false}\n", "2:5 overrides-invalid"},
		{"overrides:\n  - {id: 5e700000-0000-4000-8000-000000000001}\n", "2:5 overrides-invalid"},
		{"overrides:\n  - {id: 5e7, enabled: false}\n", "2:10 overrides-invalid"},
		{"overrides:\n  - {name: a, tag: b.c, enabled: false}\n", "2:15 overrides-invalid"},
		{"overrides:\n  - {name: a, enable: false}\n", "2:15 overrides-invalid"},
		{"overrides:\n  - {name: a, enabled: no}\n", "2:24 overrides-invalid"},
		{"overrides:\n  - {name: a, level: urgent}\n", "2:22 overrides-invalid"},
		{"overrides:\n  - {name: a, enabled: true, priority: 1.5}\n", "2:40 overrides-invalid"},
		{"overrides:\n  - {name: a, enabled: true, tenants: acme}\n", "2:39 overrides-invalid"},
		{"overrides:\n  - {name: a, enabled: true, tenants: []}\n", "2:39 overrides-invalid"},
		{"overrides:\n  - {path: '/a', enabled: true}\n", "2:12 overrides-invalid"},
		{"overrides:\n  - {tag: '[a', enabled: true}\n", "2:11 overrides-invalid"},
		{"overrides:\n  - {name: a, tags: [b.c]}\n", "2:21 overrides-invalid"},
		{"overrides:\n  - {name: a, tags: {add: [word]}}\n", "2:27 overrides-invalid"},
		{"overrides:\n  - {name: a, suppress: {fields: [A]}}\n", "2:25 overrides-invalid"},
		{"overrides:\n  - {name: a, suppress: {fields: [A], window: 31d}}\n", "2:47 overrides-invalid"},
		{"overrides:\n  - {name: a, suppress: {fields: [A], window: 1x}}\n", "2:47 overrides-invalid"},
		{"overrides:\n  - {name: a, filter: {rules: any, s: {A: b}, condition: not s}}\n", "2:31 overrides-invalid"},
		{"overrides:\n  - name: a\n    filter:\n      s: {A|nothing: b}\n      condition: not s\n", "4:11 modifier-unknown"},
		{"overrides:\n  - name: a\n    filter:\n      s: {A: b}\n      condition: not t\n", "5:18 condition-identifier"},
		{"overrides:\n  - name: a\n    filter:\n      s: {A: b}\n      condition: s\n", "1 entries 5:18 filter-without-not"},
		{"overrides:\n  - {name: a, name: b, enabled: true}\n", "2:15 yaml-invalid"},
	} {
		o, diags := ruleset.ParseOverrides("o.yml", []byte(c.text))
		var got []string
		if len(o.Entries) > 0 {
			got = append(got, fmt.Sprintf("%d entries", len(o.Entries)))
		}
		for _, d := range diags {
			got = append(got, fmt.Sprintf("%d:%d %s", d.Line, d.Column, d.Code))
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%q\ngot  %s %v\nwant %s", c.text, s, diags, c.want)
		}
	}
}

func TestPathPatterns(t *testing.T) {
	t.Parallel()
	docs := func(path string) []*rule.Document {
		src := source(t, vfs.NewMem(), "/s", map[string]string{path: ruleText(1, "a")})
		return src.Documents
	}
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"rules/windows/**", "rules/windows/a.yml", true},
		{"rules/windows/**", "rules/windows/b/c/a.yml", true},
		{"rules/windows/**", "rules/linux/a.yml", false},
		{"rules/windows/*", "rules/windows/b/a.yml", false},
		{"windows/**", "rules/windows/a.yml", true},
		{"**/a.yml", "a.yml", true},
		{"rules/**/a.yml", "rules/a.yml", true},
		{"rules/**/a.yml", "rules/b/c/a.yml", true},
		{"a.yml", "rules/a.yml", true},
		{"?.yml", "rules/a.yml", true},
		{"[b-c].yml", "rules/a.yml", false},
		{"rules", "rules/a.yml", false},
		{"**/**/**/x/**", "a/b/c/d/e/f/g/a.yml", false},
	} {
		o, diags := ruleset.ParseOverrides("o.yml", []byte("overrides: [{path: '"+c.pattern+"', enabled: false}]"))
		if len(diags) > 0 {
			t.Fatal(diags)
		}
		got := ruleset.Review(o, nil, docs(c.path))[0].Rules == 1
		if got != c.want {
			t.Errorf("%s fits %s: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	docs := load(t, "before").Documents
	// SigmaHQ's table of packages: status, level and folder. Hunting rules (15,
	// 16) are in none.
	for name, want := range map[string]string{
		"core":                   "1 10 12 2 6 8 9",
		"core+":                  "1 10 11 12 2 3 4 6 8 9",
		"core++":                 "1 10 11 12 2 3 4 6 7 8 9",
		"emerging-threats-addon": "13 14",
		"all":                    "1 10 11 12 13 14 2 3 4 6 7 8 9",
	} {
		p, ok := ruleset.ParseProfile(name)
		if !ok {
			t.Fatal(name)
		}
		rules, set, diags := prepared(t, &ruleset.Site{Profile: p}, docs)
		var got []string
		for id := range rules {
			got = append(got, id)
		}
		slices.Sort(got)
		if s := strings.Join(got, " "); s != want || len(diags) > 0 || len(set.Disabled) != 16-len(got) {
			t.Errorf("%s holds %s, want %s; %v", name, s, want, diags)
		}
	}
	if _, ok := ruleset.ParseProfile("Core"); ok {
		t.Error("Core is a profile")
	}
	// enabled: true brings a rule back.
	o, _ := ruleset.ParseOverrides("o.yml", []byte("overrides: [{id: 5e700000-0000-4000-8000-000000000005, enabled: true}]"))
	p, _ := ruleset.ParseProfile("core")
	if rules, _, _ := prepared(t, &ruleset.Site{Profile: p, Overrides: o}, docs); rules["5"] == nil || len(rules) != 8 {
		t.Error("the override does not bring the rule back")
	}
}

// A correlation takes its level from its rules, and keeps those it needs.
func TestProfileOfCorrelations(t *testing.T) {
	t.Parallel()
	correlation := func(n int, rules, more string) string {
		return fmt.Sprintf("title: Correlation %d\nid: %s\nstatus: test\n%scorrelation:\n  type: event_count\n  rules: [%s]\n  group-by: [User]\n  timespan: 5m\n  condition: {gte: 3}\n", n, id(n), more, rules)
	}
	low := strings.Replace(ruleText(1, "a"), "level: medium", "level: low", 1)
	high := strings.Replace(ruleText(2, "b"), "level: medium", "level: high", 1)
	src := source(t, vfs.NewMem(), "/s", map[string]string{
		"a.yml": low, "b.yml": high, "c.yml": correlation(3, id(1), "level: high\n"),
		"d.yml": correlation(4, id(2), ""), "e.yml": correlation(5, id(1), ""), "f.yml": correlation(6, id(3), "level: critical\n"),
	})
	p, _ := ruleset.ParseProfile("core")
	_, set, diags := prepared(t, &ruleset.Site{Profile: p}, src.Documents)
	var got []string
	for _, c := range set.Correlations {
		got = append(got, c.Title)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"Correlation 3", "Correlation 4", "Correlation 6"}, got); diff != "" || len(set.Rules) != 2 || len(diags) > 0 {
		t.Errorf("%s\n%d rules %v", diff, len(set.Rules), diags)
	}
	if !set.Silent(id(1)) {
		t.Error("the low rule is not silent")
	}
}

// Two states made of the public rules, with 30 overrides over both.
func TestCorpusUpdate(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		t.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	src, err := ruleset.Read(vfs.Default, filepath.Join(dir, "sigma"))
	if err != nil {
		t.Fatal(err)
	}
	if len(src.Documents) != 3780 || len(src.Diagnostics) != 0 {
		t.Errorf("%d documents, %v", len(src.Documents), src.Diagnostics)
	}
	files := vfs.NewMem()
	s := open(t, files, "/rs")
	if err := s.Install("sigma", src, nil, noon); err != nil {
		t.Fatal(err)
	}
	// The second state: of the n-th of each 100 rules, 0 is gone, 1 has other
	// logic, 2 another title, 3 another level and 4 another id.
	byFile := map[string][]*rule.Document{}
	for _, d := range src.Documents {
		byFile[d.File] = append(byFile[d.File], d)
	}
	var ids [5][]string
	text := "overrides:\n"
	for n, f := range src.Files {
		data := string(f.Data)
		docs := byFile[f.Path]
		if len(docs) == 1 {
			rid := docs[0].ID
			if n%100 < len(ids) {
				ids[n%100] = append(ids[n%100], rid)
			}
			switch n % 100 {
			case 0:
				continue
			case 1:
				data = strings.Replace(data, "condition:", "extra_selection:\n        Invented: value\n    condition:", 1)
				data = strings.Replace(data, "    condition: ", "    condition: extra_selection or ", 1)
			case 2:
				data = strings.Replace(data, "title: ", "title: New ", 1)
			case 3:
				level := "informational"
				if strings.Contains(data, "\nlevel: informational") {
					level = "low"
				}
				data = "level: " + level + "\n" + strings.Replace(data, "\nlevel: ", "\nwas_level: ", 1)
			case 4:
				data = strings.Replace(data, rid, "5e700000-0000-4000-8000"+rid[23:], 1) + "\n"
				data = strings.Replace(data, "\nrelated:", "\nother_related:", 1) + "related: [{id: " + rid + ", type: renamed}]\n"
			}
		}
		write(t, files, "/next/"+f.Path, data)
	}
	next, err := ruleset.Read(files, "/next")
	if err != nil || len(next.Diagnostics) > 0 {
		t.Fatal(err, next.Diagnostics)
	}
	kinds := map[ruleset.ChangeKind]int{}
	for _, c := range ruleset.Compare(src.Documents, next.Documents) {
		kinds[c.Kind]++
	}
	want := map[ruleset.ChangeKind]int{
		ruleset.Removed: len(ids[0]), ruleset.LogicChanged: len(ids[1]), ruleset.MetadataChanged: len(ids[2]),
		ruleset.RankChanged: len(ids[3]), ruleset.Renamed: len(ids[4]),
	}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	verdicts := [5]ruleset.Standing{ruleset.Orphaned, ruleset.Reconsider, ruleset.Intact, ruleset.Intact, ruleset.Orphaned}
	for n := range 30 {
		text += "  - {id: " + ids[n%5][n/5] + ", enabled: false}\n"
	}
	write(t, files, "/rs/overrides.yml", text)
	o, diags, err := ruleset.LoadOverrides(files, "/rs/overrides.yml")
	if err != nil || len(diags) > 0 {
		t.Fatal(err, diags)
	}
	old, err := s.Documents(s.Lock().Set("sigma").Current().Hash)
	if err != nil {
		t.Fatal(err)
	}
	for n, f := range ruleset.Review(o, old, next.Documents) {
		if f.Standing != verdicts[n%5] || n%5 == 4 && (len(f.Successors) == 0 || f.Successors[0].How != "renamed") {
			t.Errorf("%s: %s %v %v, want %s", f.Override, f.Standing, f.Reasons, f.Successors, verdicts[n%5])
		}
	}
	if err := s.Install("sigma", next, nil, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, to, err := s.Rollback("sigma", noon); err != nil || to.Hash != src.Hash || s.Verify("sigma") != nil {
		t.Error(to, err)
	}
	// The packages as a count over status, level and folder gives them.
	for name, want := range map[string]int{"core": 1375, "core+": 2637, "core++": 2843, "emerging-threats-addon": 466, "all": 3309} {
		p, _ := ruleset.ParseProfile(name)
		n := 0
		for _, d := range src.Documents {
			if i := d.Info(); p.Holds(&i) {
				n++
			}
		}
		if n != want {
			t.Errorf("%s holds %d rules, want %d", name, n, want)
		}
	}
}

func FuzzParseOverrides(f *testing.F) {
	text, err := os.ReadFile("testdata/overrides.yml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, "acme")
	f.Add([]byte("overrides: [{name: a, filter: {s: {A|re: '('}, condition: not s}}]"), "")
	f.Add([]byte("overrides: [{path: '**/[a-]/*', priority: 1000, tags: {add: [a.b]}}]"), "")
	docs := load(f, "before").Documents
	f.Fuzz(func(t *testing.T, data []byte, tenant string) {
		o, diags := ruleset.ParseOverrides("o.yml", data)
		for _, d := range diags {
			if d.File != "o.yml" || d.Message == "" || d.Line < 1 {
				t.Fatalf("no place or message: %v", d)
			}
		}
		// What was accepted can be applied, gives every document back, and
		// filters made of it are well formed.
		site := &ruleset.Site{Overrides: o, Tenant: tenant}
		out, _ := site.Prepare(docs)
		if len(out) < len(docs) || len(out) > len(docs)*(1+len(o.Entries)) {
			t.Fatalf("%d documents of %d", len(out), len(docs))
		}
		set, _ := rule.Link(out, rule.Options{})
		rules := len(set.Rules)
		for _, d := range set.Disabled {
			if d.Kind == rule.KindRule {
				rules++
			}
		}
		if rules != len(docs) {
			t.Fatalf("%d rules of %d", rules, len(docs))
		}
		for _, x := range ruleset.Review(o, docs, docs) {
			if x.Standing == ruleset.Reconsider {
				t.Fatalf("%s changed without an update: %v", x.Override, x.Reasons)
			}
		}
	})
}
