package pack

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
)

func writeFile(tb testing.TB, fsys vfs.FS, name, text string) {
	tb.Helper()
	if err := fsys.MkdirAll(fsys.PathDir(name), 0o755); err != nil {
		tb.Fatal(err)
	}
	f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

const userPack = `pack: gate
about: an invented gate
shape: invented
match:
  - has: [gate_id]
time:
  - {field: at, layout: epoch_s}
fields:
  src_ip: from
views:
  - logsource: {product: gate, service: passage}
    when: {kind: pass*}
`

// A fault is named with file, line and column, and with what to write instead.
func TestFaultsHavePlaces(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, from, to string
		line, column   int
		problem        string
	}{
		{"unknown key", "shape: invented", "shape: invented\nabut: x", 4, 1, `unknown key "abut"`},
		{"unknown key inside", "has: [gate_id]", "hast: [gate_id]", 5, 5, `unknown key "hast" in match.0`},
		{"missing key", "about: an invented gate\n", "", 1, 1, "about"},
		{"wrong type", "has: [gate_id]", "has: {a: b}", 5, 10, "match.0.has"},
		{"key twice", "about: an invented gate", "pack: other", 2, 1, `key "pack" stands here twice`},
		{"unknown function", "src_ip: from", "src_ip: {func: frob, args: [from]}", 9, 11, `unknown function "frob"`},
		{"too few arguments", "src_ip: from", "src_ip: {func: join, params: ['-']}", 9, 11, "function join takes 1 to 16 arguments, not 0"},
		{"bad parameter", "src_ip: from", "src_ip: {func: split, params: [',', x], args: [from]}", 9, 11, "expected a number"},
		{"bad mapping", "src_ip: from", "src_ip: {all: [a], func: lower}", 9, 11, "a mapping is a path"},
		{"bad layout", "epoch_s", "gibberish", 7, 5, "time layout"},
		{"bad regex", "has: [gate_id]", "text: '('", 5, 5, "missing closing"},
		{"upper-case logsource", "service: passage", "service: Passage", 11, 0, ""},
		{"no step", "time:", "parse:\n  - {from: x}\ntime:", 7, 5, "nothing to do"},
		{"two steps in one", "time:", "parse:\n  - {kv: {}, cef: {}}\ntime:", 7, 5, "one step cannot be kv and cef"},
		{"unknown class", "when: {kind: pass*}", "ocsf: {class_uid: 7, activity_id: 1}", 12, 11, "class_uid 7"},
		{"unknown activity", "when: {kind: pass*}", "ocsf: {class_uid: 3002, activity_id: 77}", 12, 11, "no activity_id 77"},
		{"two documents", "views:", "---\nviews:", 0, 0, "one document"},
		{"empty", userPack, "", 0, 0, "empty"},
		{"no yaml", userPack, "a: [", 0, 0, "yaml"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(userPack, tt.from, tt.to, 1)
			if text == userPack {
				t.Fatal("the case changes nothing")
			}
			fsys := vfs.NewMem()
			writeFile(t, fsys, "packs/gate/pack.yml", text)
			_, err := Load(fsys, []string{"packs/gate/pack.yml"})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v, want an *Error", err)
			}
			line, column := e.Position()
			if e.File != "packs/gate/pack.yml" || line != tt.line && tt.line > 0 || column != tt.column && tt.column > 0 || !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%v; want %d:%d and %q", err, tt.line, tt.column, tt.problem)
			}
		})
	}
}

func TestLoadFindsPacks(t *testing.T) {
	t.Parallel()
	fsys := vfs.NewMem()
	writeFile(t, fsys, "mine/gate/pack.yml", userPack)
	writeFile(t, fsys, "mine/windows/pack.yml", strings.Replace(userPack, "pack: gate", "pack: windows", 1))
	for _, paths := range [][]string{{"mine"}, {"mine/gate", "mine/windows/pack.yml"}} {
		set, err := Load(fsys, paths)
		if err != nil {
			t.Fatal(err)
		}
		if set.Pack("gate") == nil || len(set.Pack("windows").Views()) != 1 || set.Pack("okta") == nil {
			t.Errorf("%v: the user's packs stand beside the embedded ones and replace those of their name", paths)
		}
	}
	for _, paths := range [][]string{{"nowhere"}, {"mine/gate", "mine/gate"}} {
		if _, err := Load(fsys, paths); err == nil {
			t.Errorf("%v must be refused", paths)
		}
	}
	writeFile(t, fsys, "empty/notes.txt", "x")
	if _, err := Load(fsys, []string{"empty"}); err == nil || !strings.Contains(err.Error(), "pack.yml") {
		t.Errorf("a folder without packs: %v", err)
	}
}

func TestUserPackRoutes(t *testing.T) {
	t.Parallel()
	fsys := vfs.NewMem()
	writeFile(t, fsys, "gate/pack.yml", userPack)
	set, err := Load(fsys, []string{"gate"})
	if err != nil {
		t.Fatal(err)
	}
	rt := newRouteTest(t, set, RouterOptions{}, "src_ip", "other")
	const line = `{"gate_id":1,"kind":"Passage","at":1772360430,"from":"10.0.0.9","Other ":"x"}`
	if got := rt.route(line); len(got) != 1 || got[0] != "gate/passage" {
		t.Fatalf("views %q", got)
	}
	if rt.get("gate/passage", "src_ip") != "10.0.0.9" || rt.get("gate/passage", "other") != "x" {
		t.Errorf("src_ip %q, other %q", rt.get("gate/passage", "src_ip"), rt.get("gate/passage", "other"))
	}
	if rt.rec.Time.Unix() != 1772360430 || rt.rec.TimeQuality != event.TimeParsed {
		t.Errorf("time %v %v", rt.rec.Time, rt.rec.TimeQuality)
	}
	if got := rt.route(`{"gate_id":1,"kind":"blocked"}`); got != nil {
		t.Errorf("a kind without view proves %q", got)
	}
	if got := rt.route(`{"x":1}`); got != nil {
		t.Errorf("a record of nobody proves %q", got)
	}
	forced := newRouteTest(t, set, RouterOptions{Pack: "gate"})
	if got := forced.route(`{"kind":"pass"}`); len(got) != 1 {
		t.Errorf("forced: %q", got)
	}
	if got := newRouteTest(t, set, RouterOptions{Pack: "none"}).route(line); got != nil {
		t.Errorf("a pack that is not there proves %q", got)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"Security", "SECURITY", true},
		{"Security", "Security ", false},
		{"*", "", true},
		{"*", "x", true},
		{"a*", "A", true},
		{"a*b", "ab", true},
		{"a*b", "a", false},
		{"ab*b", "ab", false},
		{"*x*y*", "axbyc", true},
		{"*x*y*", "aybx", false},
		{"é*", "ÉCOLE", true},
		{"", "", true},
		{"", "x", false},
		{"a*a", "a", false},
	} {
		var fold []byte
		if got := (globs{newGlob(tt.pattern)}).match([]byte(tt.text), &fold); got != tt.want {
			t.Errorf("%q on %q: %v", tt.pattern, tt.text, got)
		}
	}
}

func TestPackTestReports(t *testing.T) {
	t.Parallel()
	fsys := vfs.NewMem()
	writeFile(t, fsys, "gate/pack.yml", userPack)
	sample := `{"gate_id":1,"kind":"pass","at":1772360430,"from":"10.0.0.9"}` + "\n"
	expect := "origin: invented\nformat: json\nrecords:\n  - views: [gate//passage]\n    time: 2026-03-01T10:20:30Z\n    fields: {src_ip: 10.0.0.9, absent: null}\n"
	writeFile(t, fsys, "gate/samples/a.json", sample)
	writeFile(t, fsys, "gate/samples/a.expect.yml", expect)
	report, err := Test(fsys, []string{"gate"})
	if err != nil || report.Failed() || report.Packs[0].Records != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, tt := range []struct{ from, to, problem string }{
		{"gate//passage", "gate//door", "views are"},
		{"10:20:30Z", "10:20:31Z", "time is"},
		{"10.0.0.9", "10.0.0.8", "field src_ip"},
		{"absent: null", "kind: null", "field kind"},
		{"    fields:", "    feilds:", "unknown key"},
		{"origin: invented\n", "", "origin is missing"},
		{"format: json", "format: nonsense", "unknown format"},
		{"records:\n", "records:\n  - views: []\n", "2 records are expected"},
		{"    fields:", "    fields@gate//door:", "no such view"},
	} {
		writeFile(t, fsys, "gate/samples/a.expect.yml", strings.Replace(expect, tt.from, tt.to, 1))
		report, err := Test(fsys, []string{"gate"})
		var b strings.Builder
		if _, werr := report.WriteTo(&b); err != nil || werr != nil {
			t.Fatal(err, werr)
		}
		if !report.Failed() || !strings.Contains(b.String(), tt.problem) || !strings.HasPrefix(b.String(), "FAIL\tgate") {
			t.Errorf("%s: report %q", tt.to, b.String())
		}
	}
	if _, err := Test(fsys, nil); err == nil {
		t.Error("no path must be refused")
	}
}

func BenchmarkLoadEmbedded(b *testing.B) {
	for b.Loop() {
		if _, err := loadEmbedded(false); err != nil {
			b.Fatal(err)
		}
	}
}
