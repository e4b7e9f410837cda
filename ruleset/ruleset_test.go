package ruleset_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/tiercel-io/tiercel/ruleset"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// id makes the id of the n-th invented rule.
func id(n int) string { return fmt.Sprintf("11111111-1111-4111-8111-%012d", n) }

// ruleText is an invented rule; more holds further top-level lines.
func ruleText(n int, value string, more ...string) string {
	return fmt.Sprintf("title: Rule %d\nid: %s\nstatus: test\nlevel: medium\nlogsource: {category: process_creation, product: windows}\ndetection:\n  s: {Image: '%s'}\n  condition: s\n%s", n, id(n), value, strings.Join(more, "\n"))
}

func write(t testing.TB, files vfs.FS, name, text string) {
	t.Helper()
	if err := files.MkdirAll(files.PathDir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := files.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// source writes files below a folder and reads it.
func source(t testing.TB, files vfs.FS, dir string, content map[string]string) *ruleset.Source {
	t.Helper()
	for name, text := range content {
		write(t, files, dir+"/"+name, text)
	}
	src, err := ruleset.Read(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func paths(src *ruleset.Source) string {
	var out []string
	for _, f := range src.Files {
		out = append(out, f.Path)
	}
	return strings.Join(out, " ")
}

func left(src *ruleset.Source) string {
	var out []string
	for _, l := range src.Left {
		out = append(out, l.Path+": "+l.Reason)
	}
	return strings.Join(out, "; ")
}

var mixed = map[string]string{
	"rules/windows/a.yml":       ruleText(1, "a"),
	"rules/windows/cases.yml":   "cases: []\n",
	"rules/linux/b.yaml":        ruleText(2, "b") + "\n---\n" + strings.Replace(ruleText(3, "c"), "{Image: 'c'}", "{Image|nothing: c}", 1),
	"rules/refused.yml":         strings.Replace(ruleText(4, "d"), "condition: s", "condition: t", 1),
	"rules/twice.yml":           ruleText(1, "e"),
	"rules/readme.md":           "words",
	"tests/config.yml":          "order: 1\n",
	"tests/cases.yml":           "cases: []\n",
	"rules/empty.yml":           "",
	"LICENSE":                   "Do what you like.\n",
	".github/workflows/x.yml":   "on: push\n",
	"rules/windows/.hidden.yml": ruleText(9, "x"),
}

func TestReadFolder(t *testing.T) {
	t.Parallel()
	src := source(t, vfs.NewMem(), "/src", mixed)
	if got, want := paths(src), "LICENSE rules/linux/b.yaml rules/twice.yml rules/windows/a.yml rules/windows/cases.yml"; got != want {
		t.Errorf("taken %s\nwant  %s", got, want)
	}
	want := ".github: hidden; rules/empty.yml: holds no Sigma document; rules/readme.md: not a rule by its name; " +
		"rules/refused.yml: every document is refused; rules/windows/.hidden.yml: hidden; tests/cases.yml: holds no Sigma document; tests/config.yml: holds no Sigma document"
	if got := left(src); got != want {
		t.Errorf("left %s\nwant %s", got, want)
	}
	var diags []string
	for _, d := range src.Diagnostics {
		diags = append(diags, d.File+" "+string(d.Code))
	}
	if got, want := strings.Join(diags, "; "), "rules/linux/b.yaml modifier-unknown; rules/refused.yml condition-identifier; rules/windows/a.yml id-duplicate"; got != want {
		t.Errorf("diagnostics %s\nwant %s", got, want)
	}
	if src.Kind != ruleset.SourceFolder || src.Commit != "" || len(src.Documents) != 3 || len(src.Hash) != 64 {
		t.Errorf("%s %q %d documents %s", src.Kind, src.Commit, len(src.Documents), src.Hash)
	}
	files := vfs.NewMem()
	write(t, files, "/none/readme.md", "x")
	if _, err := ruleset.Read(files, "/none"); !errors.Is(err, ruleset.ErrNothing) {
		t.Error(err)
	}
	if _, err := ruleset.Read(files, "/missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// archives packs files in every form, below a folder.
func archives(t testing.TB, root string, content map[string]string) map[string][]byte {
	t.Helper()
	names := slices.Sorted(maps.Keys(content))
	var z, plain bytes.Buffer
	zw, tw := zip.NewWriter(&z), tar.NewWriter(&plain)
	for _, name := range names {
		w, err := zw.Create(root + name)
		if err != nil {
			t.Fatal(err)
		}
		header := &tar.Header{Name: root + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content[name]))}
		if err := tw.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		for _, to := range []interface{ Write([]byte) (int, error) }{w, tw} {
			if _, err := to.Write([]byte(content[name])); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(zw.Close(), tw.Close()); err != nil {
		t.Fatal(err)
	}
	var gz bytes.Buffer
	gw := gzip.NewWriter(&gz)
	if _, err := gw.Write(plain.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := gw.Close(); err != nil {
		t.Fatal(err)
	}
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"s.zip": z.Bytes(), "s.tar": plain.Bytes(), "s.tar.gz": gz.Bytes(), "s.tar.zst": enc.EncodeAll(plain.Bytes(), nil)}
}

// A folder and every archive of it, with a folder around it or not and with
// lines ended in another way, are one state.
func TestReadArchives(t *testing.T) {
	t.Parallel()
	files := vfs.NewMem()
	want := source(t, files, "/src", mixed)
	crlf := map[string]string{}
	for name, text := range mixed {
		crlf[name] = "\ufeff" + strings.ReplaceAll(text, "\n", "\r\n")
	}
	for _, root := range []string{"", "sigma-master/"} {
		for _, content := range []map[string]string{mixed, crlf} {
			for name, data := range archives(t, root, content) {
				write(t, files, "/"+name, string(data))
				got, err := ruleset.Read(files, "/"+name)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					continue
				}
				if got.Hash != want.Hash || paths(got) != paths(want) || got.Kind != ruleset.SourceArchive {
					t.Errorf("%s below %q: %s %s\nwant %s", name, root, got.Kind, paths(got), paths(want))
				}
			}
		}
	}
	// The folders of a release package stay, since they say what the rules are for.
	for name, data := range archives(t, "rules-emerging-threats/", map[string]string{"2026/a.yml": ruleText(1, "a")}) {
		write(t, files, "/et-"+name, string(data))
		got, err := ruleset.Read(files, "/et-"+name)
		if err != nil || paths(got) != "rules-emerging-threats/2026/a.yml" {
			t.Errorf("%s: %v %v", name, err, got)
		}
	}
	// What leads out of the archive, or is not one everywhere, is left.
	evil := map[string]string{"rules/ok.yml": ruleText(1, "a"), "../up.yml": ruleText(2, "b"), "rules/../../up.yml": ruleText(3, "c"), "/abs.yml": ruleText(4, "d"), `rules\w\b.yml`: ruleText(5, "e"), "rules/c:d.yml": ruleText(6, "f"), "rules/OK.yml": ruleText(7, "g")}
	for name, data := range archives(t, "", evil) {
		write(t, files, "/evil-"+name, string(data))
		got, err := ruleset.Read(files, "/evil-"+name)
		if err != nil {
			t.Fatal(name, err)
		}
		if paths(got) != "rules/OK.yml rules/w/b.yml" || len(got.Left) != 5 {
			t.Errorf("%s: took %s, left %s", name, paths(got), left(got))
		}
	}
	// A truncated archive is refused: what is missing would look removed.
	for name, data := range archives(t, "", mixed) {
		if name == "s.tar" {
			continue // ends without a mark when cut between entries
		}
		write(t, files, "/cut-"+name, string(data[:len(data)/2]))
		if got, err := ruleset.Read(files, "/cut-"+name); err == nil {
			t.Errorf("half of %s is taken: %s", name, paths(got))
		}
	}
}

func TestReadGit(t *testing.T) {
	t.Parallel()
	const a, b = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	for _, c := range []struct {
		name, want string // a commit, or part of an error
		files      map[string]string
	}{
		{"detached", a, map[string]string{".git/HEAD": a + "\n"}},
		{"branch", b, map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/refs/heads/main": b + "\n"}},
		{"packed", b, map[string]string{".git/HEAD": "ref: refs/heads/main\n", ".git/packed-refs": "# pack-refs with: peeled\n" + a + " refs/heads/other\n" + b + " refs/heads/main\n^" + a + "\n"}},
		{"loose over packed", a, map[string]string{".git/HEAD": "ref: refs/heads/main", ".git/refs/heads/main": a, ".git/packed-refs": b + " refs/heads/main\n"}},
		{"worktree", a, map[string]string{".git": "gitdir: ../main/.git/worktrees/w\n", "../main/.git/worktrees/w/HEAD": "ref: refs/heads/w\n", "../main/.git/worktrees/w/commondir": "../..\n", "../main/.git/refs/heads/w": a}},
		{"no commit yet", "is not there", map[string]string{".git/HEAD": "ref: refs/heads/main\n"}},
		{"hostile", "none", map[string]string{".git/HEAD": "ref: refs/../../secret\n", "secret": a}},
		{"loop", "each other", map[string]string{".git/HEAD": "ref: refs/heads/x\n", ".git/refs/heads/x": "ref: refs/heads/x"}},
		{"nonsense", "neither", map[string]string{".git/HEAD": "hello\n"}},
	} {
		files := vfs.NewMem()
		write(t, files, "/w/a.yml", ruleText(1, "a"))
		for name, text := range c.files {
			write(t, files, files.PathJoin("/w", name), text)
		}
		src, err := ruleset.Read(files, "/w")
		switch {
		case len(c.want) == 40 && (err != nil || src.Commit != c.want || src.Kind != ruleset.SourceGit || paths(src) != "a.yml"):
			t.Errorf("%s: %v %+v", c.name, err, src)
		case len(c.want) != 40 && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
}

// open opens a store that must be readable.
func open(t testing.TB, files vfs.FS, dir string) *ruleset.Store {
	t.Helper()
	s, err := ruleset.Open(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestInstallAndRollback(t *testing.T) {
	t.Parallel()
	files := vfs.NewMem()
	write(t, files, "/rs/overrides.yml", "overrides: []\n")
	var hashes []string
	for n := range ruleset.StatesMax + 2 {
		src := source(t, files, fmt.Sprint("/src", n), map[string]string{"rules/a.yml": ruleText(1, fmt.Sprint(n)), "rules/deep/er/b.yml": ruleText(2, "b")})
		hashes = append(hashes, src.Hash)
		s := open(t, files, "/rs")
		if err := s.Install("sigma", src, map[string]string{"L": "x"}, noon.Add(time.Duration(n)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := open(t, files, "/rs").Verify("sigma"); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, files, "/rs")
	set := s.Lock().Set("sigma")
	if len(set.States) != ruleset.StatesMax || set.Current().Hash != hashes[len(hashes)-1] || set.Current().Documents != 2 || s.Lock().Lookups["L"] != "x" || !s.Lock().Time.Equal(noon.Add(time.Duration(len(hashes)-1)*time.Hour)) {
		t.Errorf("%+v", s.Lock())
	}
	names, err := files.List("/rs/.states")
	if err != nil || len(names) != ruleset.StatesMax+1 {
		t.Errorf("states that nobody keeps are there: %v %v", names, err)
	}
	// Rollback goes on until the oldest state.
	for n := range ruleset.StatesMax - 1 {
		from, to, err := s.Rollback("sigma", noon)
		if err != nil || from.Hash != hashes[len(hashes)-1-n] || to.Hash != hashes[len(hashes)-2-n] {
			t.Fatal(n, from, to, err)
		}
		s = open(t, files, "/rs")
		if docs, err := s.Documents(s.Lock().Set("sigma").Current().Hash); err != nil || len(docs) != 2 {
			t.Fatal(docs, err)
		}
	}
	if _, _, err := s.Rollback("sigma", noon); !errors.Is(err, ruleset.ErrNoState) {
		t.Error(err)
	}
	if _, _, err := s.Rollback("other", noon); !errors.Is(err, ruleset.ErrUnknown) {
		t.Error(err)
	}
	// An update after a rollback drops what was rolled back.
	src := source(t, files, "/srcz", map[string]string{"rules/a.yml": ruleText(1, "z")})
	if err := s.Install("sigma", src, nil, noon); err != nil {
		t.Fatal(err)
	}
	if set := s.Lock().Set("sigma"); len(set.States) != 2 {
		t.Errorf("%+v", set)
	}
	// A changed file is noticed, and mended by installing again.
	path := s.Folders()[0] + "/rules/a.yml"
	write(t, files, path, ruleText(1, "tampered"))
	if err := s.Verify("sigma"); !errors.Is(err, ruleset.ErrDamaged) {
		t.Error(err)
	}
	if err := s.Install("sigma", src, nil, noon); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify("sigma"); err != nil {
		t.Error(err)
	}
	if got := s.Relative(path); got != "rules/a.yml" {
		t.Error(got)
	}
	// Two processes: the second sees that the first was there.
	one, two := open(t, files, "/rs"), open(t, files, "/rs")
	if err := one.Install("more", src, nil, noon); err != nil {
		t.Fatal(err)
	}
	if err := two.Install("other", src, nil, noon); err == nil {
		t.Error("a stale store was written")
	}
	// The team's file is as it was.
	f, err := files.Open("/rs/overrides.yml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := make([]byte, 100)
	n, _ := f.Read(text)
	if got := string(text[:n]); got != "overrides: []\n" {
		t.Errorf("the overrides are %q now", got)
	}
}

func TestLockFile(t *testing.T) {
	t.Parallel()
	hash := strings.Repeat("a", 64)
	for text, want := range map[string]string{
		`{"version":1,"time":"2026-01-01T00:00:00Z","sets":[{"name":"a","states":[{"hash":"` + hash + `","source":"s","kind":"folder","time":"2026-01-01T00:00:00Z","files":1,"documents":1}]}]}`: "",
		`{"version":2,"time":"2026-01-01T00:00:00Z","sets":[]}`:                                                                  "version",
		`{"version":1,"sets":[{"name":"../a","states":[{"hash":"` + hash + `"}]}]}`:                                              "not the name",
		`{"version":1,"sets":[{"name":"a","states":[{"hash":"../../etc"}]}]}`:                                                    "hash",
		`{"version":1,"sets":[{"name":"a","states":[]}]}`:                                                                        "states",
		`{"version":1,"sets":[{"name":"a","states":[{"hash":"` + hash + `","rolled_back":true}]}]}`:                              "states",
		`{"version":1,"sets":[{"name":"a","states":[{"hash":"` + hash + `"}]},{"name":"a","states":[{"hash":"` + hash + `"}]}]}`: "twice",
		`{"version":1,"colour":"red"}`:                                                                                           "unknown field",
		`{"version":1} {}`:                                                                                                       "behind its end",
		``:                                                                                                                       "EOF",
	} {
		files := vfs.NewMem()
		write(t, files, "/rs/"+ruleset.LockName, text)
		_, err := ruleset.Open(files, "/rs")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	for path, want := range map[string]string{"/x/sigma_core++.zip": "sigma_core-plus-plus", "../Sigma/": "sigma", "r.tar.gz": "r", "..": "rules", "ü a.tgz": "a"} {
		if got := ruleset.NameOf(path); got != want || ruleset.CheckName(got) != nil {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	files := vfs.NewMem()
	old := source(t, files, "/old", map[string]string{
		"same.yml": ruleText(1, "a"), "gone.yml": ruleText(2, "b"), "renamed.yml": ruleText(3, "c"), "logic.yml": ruleText(4, "d"),
		"level.yml": ruleText(5, "e"), "words.yml": ruleText(6, "f"), "moved.yml": ruleText(7, "g"), "obsolete.yml": ruleText(8, "h"), "layout.yml": ruleText(9, "i"),
	})
	changed := source(t, files, "/new", map[string]string{
		"same.yml": ruleText(1, "a"), "new.yml": ruleText(20, "n"),
		"renamed.yml": ruleText(30, "c", "related:", "  - {id: "+id(3)+", type: renamed}"),
		"logic.yml":   strings.Replace(ruleText(4, "D"), "level: medium", "level: high", 1),
		"level.yml":   strings.Replace(strings.Replace(ruleText(5, "e"), "level: medium", "level: low", 1), "status: test", "status: stable", 1),
		"words.yml":   strings.Replace(ruleText(6, "f", "description: More words."), "Rule 6", "Rule six", 1),
		"deep/m.yml":  ruleText(7, "g"),
		"by.yml":      ruleText(80, "j", "related:", "  - {id: "+id(8)+", type: obsolete}"),
		"layout.yml":  "# comment\n" + strings.Replace(ruleText(9, "i"), "{Image: 'i'}", "\n    Image: i", 1),
	})
	var got []string
	for _, c := range ruleset.Compare(old.Documents, changed.Documents) {
		line := fmt.Sprintf("%s: %s %s", c.Kind, strings.TrimPrefix(c.Was, id(0)[:30]), c.Title)
		if len(c.Notes) > 0 {
			line += ": " + strings.Join(c.Notes, ", ")
		}
		for _, s := range c.Successors {
			line += " → " + s.Title + " " + s.How
		}
		got = append(got, line)
	}
	want := []string{
		"added:  Rule 20", "added:  Rule 80",
		"removed:  Rule 2", "removed:  Rule 8 → Rule 80 obsolete",
		"renamed: 000003 Rule 30: title, related",
		"logic changed:  Rule 4: logic, level medium → high",
		"level or status changed:  Rule 5: level medium → low, status test → stable",
		"metadata changed:  Rule 7: file", "metadata changed:  Rule six: title, description",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if c := ruleset.Compare(old.Documents, old.Documents); len(c) != 0 {
		t.Error(c)
	}
}
