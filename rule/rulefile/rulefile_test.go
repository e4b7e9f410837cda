package rulefile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

func ruleText(n int) string {
	return fmt.Sprintf("title: rule %d\nid: 11111111-1111-4111-8111-%012d\nstatus: test\nlevel: low\nlogsource: {category: test}\ndetection:\n  s: {F: a}\n  condition: s\n", n, n)
}

// memory makes a file system of files.
func memory(t *testing.T, files map[string]string) *vfs.MemFS {
	t.Helper()
	fs := vfs.NewMem()
	for name, text := range files {
		if err := fs.MkdirAll(fs.PathDir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// outcome lists what was loaded and what was said.
func outcome(r *rulefile.Result) string {
	var out []string
	for _, x := range r.Set.Rules {
		out = append(out, x.Title)
	}
	for _, d := range r.Diagnostics {
		out = append(out, fmt.Sprintf("%s %s", d.Position, d.Code))
	}
	return strings.Join(out, "; ")
}

func TestLoad(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"/r/b.yml":                  ruleText(2),
		"/r/a.yaml":                 ruleText(1) + "---\n" + ruleText(3),
		"/r/C.YML":                  ruleText(4),
		"/r/deep/er/d.yml":          ruleText(5),
		"/r/deprecated/e.yml":       ruleText(6),
		"/r/unsupported/f.yml":      strings.Replace(ruleText(7), "status: test", "status: unsupported", 1),
		"/r/.git/g.yml":             ruleText(8),
		"/r/.hidden.yml":            ruleText(9),
		"/r/readme.md":              "not: [yaml",
		"/r/z/config.yml":           "logsources: {}\n---\norder: 1\n",
		"/r/z/empty.yml":            "",
		"/r/z/fault.yml":            ruleText(10) + "---\na: 1\na: 2\n",
		"/r/z/refused.yml":          strings.Replace(ruleText(11), "{F: a}", "{F|foo: a}", 1),
		"/r/z/one-without-keys.yml": ruleText(12) + "---\ntitle: no keys\n",
		"/other/rule.txt":           ruleText(13),
	}
	const whole = "rule 4; rule 1; rule 3; rule 2; rule 5; rule 6; rule 10; rule 12; " +
		"/r/z/config.yml:1 not-a-rule; /r/z/empty.yml:1 not-a-rule; /r/z/fault.yml:11:1 yaml-invalid; " +
		"/r/z/one-without-keys.yml:10:1 document-kind; /r/z/refused.yml:7:7 modifier-unknown"
	for _, c := range []struct {
		name  string
		paths []string
		want  string
	}{
		{"folder", []string{"/r"}, whole},
		{"overlapping", []string{"/r/z", "/r", "/r/b.yml", "/r"}, whole},
		{"file", []string{"/r/b.yml"}, "rule 2"},
		{"any name, when named", []string{"/other/rule.txt", "/r/.hidden.yml"}, "rule 13; rule 9"},
		{"dot folder, when named", []string{"/r/.git"}, "rule 8"},
		{"missing", []string{"/r/b.yml", "/nothing"}, "rule 2; /nothing file-unreadable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := rulefile.Load(memory(t, files), c.paths, rulefile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(c.want, "; "), strings.Split(outcome(r), "; ")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := rulefile.Load(vfs.NewMem(), nil, rulefile.Options{}); !errors.Is(err, rulefile.ErrNoPaths) {
		t.Errorf("no paths: %v", err)
	}
}

// Refused counts documents, however many errors each has.
func TestRefused(t *testing.T) {
	t.Parallel()
	twice := strings.Replace(ruleText(2), "{F: a}", "{F|foo: a, G|bar: b}", 1)
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"none", ruleText(1), 0},
		{"warnings only", "order: 1\n", 0},
		{"two errors in one", twice, 1},
		{"two of three", twice + "---\n" + ruleText(1) + "---\n" + strings.ReplaceAll(twice, "rule 2", "rule 3"), 2},
		{"a fault behind a rule", ruleText(1) + "---\na: 1\na: 2\n", 1},
		{"a slip in the key", strings.Replace(ruleText(1), "detection:", "detections:", 1), 1},
		{"the same id, found when linking", ruleText(1) + "---\n" + ruleText(2) + "---\n" + ruleText(1) + "---\n" + ruleText(2), 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, err := rulefile.Load(memory(t, map[string]string{"/r.yml": c.text}), []string{"/r.yml"}, rulefile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if r.Refused != c.want {
				t.Errorf("%d refused, want %d: %v", r.Refused, c.want, r.Diagnostics)
			}
			r.Diagnostics = nil
			if r.Link(rulefile.Options{}); r.Refused != c.want {
				t.Errorf("linked anew: %d refused, want %d", r.Refused, c.want)
			}
		})
	}
	r, err := rulefile.Load(vfs.NewMem(), []string{"/nothing"}, rulefile.Options{})
	if err != nil || r.Refused != 1 {
		t.Errorf("%d refused, %v; want the missing file", r.Refused, err)
	}
}

// A file that cannot be opened costs itself alone.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	fs := memory(t, map[string]string{"/r/a.yml": ruleText(1), "/r/b.yml": ruleText(2)})
	broken := errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpOpen && strings.HasSuffix(op.Path, "a.yml") {
			return errors.New("permission denied")
		}
		return nil
	}))
	r, err := rulefile.Load(broken, []string{"/r"}, rulefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(r); got != "rule 2; /r/a.yml file-unreadable" {
		t.Error(got)
	}
	broken = errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpList {
			return errors.New("permission denied")
		}
		return nil
	}))
	r, err = rulefile.Load(broken, []string{"/r"}, rulefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(r); got != "/r file-unreadable" || !strings.Contains(r.Diagnostics[0].Message, "permission denied") {
		t.Error(got, r.Diagnostics)
	}
}

// Links that lead back, in any number, are followed once.
func TestLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yml"), []byte(ruleText(1)), 0o644); err != nil {
		t.Fatal(err)
	}
	sub := filepath.Join(dir, "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"sub/up": dir, "sub/self": sub, "again.yml": filepath.Join(dir, "a.yml"), "dangling.yml": "/nothing/at/all", "dangling": "/nothing"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := rulefile.Load(vfs.Default, []string{dir}, rulefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(r); r.Files != 1 || got != "rule 1; "+filepath.Join(dir, "dangling.yml")+" file-unreadable" {
		t.Errorf("%d files: %s", r.Files, got)
	}
}

// Without inodes, folders are bounded by their depth.
func TestDepth(t *testing.T) {
	t.Parallel()
	name := "/r"
	for range 50 {
		name += "/d"
	}
	r, err := rulefile.Load(memory(t, map[string]string{name + "/a.yml": ruleText(1), "/r/b.yml": ruleText(2)}), []string{"/r"}, rulefile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := outcome(r); !strings.HasPrefix(got, "rule 2; /r/d/d") || !strings.HasSuffix(got, " file-unreadable") || len(r.Diagnostics) != 1 {
		t.Error(got)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	text := "A: [x*, 5, 'y']\nB: {literal: true, values: ['z*']}\nC: one\nD: []\n---\nE-f.g: {values: two}\n"
	lists, diags := rulefile.LoadValues(memory(t, map[string]string{"/v.yml": text}), "/v.yml")
	if len(diags) > 0 {
		t.Fatal(diags)
	}
	want := map[string]rule.ValueList{
		"A": {Values: []string{"x*", "5", "y"}}, "B": {Literal: true, Values: []string{"z*"}},
		"C": {Values: []string{"one"}}, "D": {Values: []string{}}, "E-f.g": {Values: []string{"two"}},
	}
	if diff := cmp.Diff(want, lists); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, c := range []struct{ text, want string }{
		{"[a]", "1:1 values-file"},
		{"A:", "1:3 values-file"},
		{"A: [[x]]", "1:5 values-file"},
		{"A: {values: [x], literal: maybe}", "1:27 values-file"},
		{"A: {literal: true}", "1:4 values-file"},
		{"A: {values: [x], more: y}", "1:18 values-file"},
		{"'a b': [x]", "1:1 values-file"},
		{"A: x\n---\nA: y", "3:1 values-file"},
		{"A: x\nA: y", "2:1 yaml-invalid"},
	} {
		_, diags := rulefile.ParseValues("v.yml", []byte(c.text))
		if len(diags) != 1 || fmt.Sprintf("%s %s", diags[0].Position, diags[0].Code) != "v.yml:"+c.want {
			t.Errorf("%q: %v, want %s", c.text, diags, c.want)
		}
	}
	if _, diags := rulefile.LoadValues(vfs.NewMem(), "/nothing"); len(diags) != 1 || diags[0].Code != rule.CodeFileUnreadable {
		t.Errorf("missing: %v", diags)
	}
}
