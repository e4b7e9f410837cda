package pack

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/event"
)

// A lookup of every embedded pack can be compiled into a plan, and the record's
// own names stay within reach where a pack maps nothing.
func TestLookupsCompile(t *testing.T) {
	t.Parallel()
	set := embeddedForTest(t)
	plan := event.NewPlan(Funcs())
	set.Router(plan, RouterOptions{})
	names := map[string]bool{}
	for _, p := range set.Packs() {
		for _, v := range p.views {
			for _, f := range append(v.fields.names(), p.fields.names()...) {
				plan.Slot(v.Lookup(f))
			}
			if l := v.Lookup("a field of no pack"); len(l.Paths) != len(p.roots) {
				t.Errorf("%s: an unmapped field is looked up at %q", v.Name, l.Paths)
			}
			if names[v.Name+"@"+p.Name] {
				t.Errorf("two views of %s are called %s", p.Name, v.Name)
			}
			names[v.Name+"@"+p.Name] = true
		}
	}
}

// sampleLines are JSON records to draw from: invented shapes and values that
// views ask for, and lines of the samples.
func sampleLines(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("packs/*/samples/*.json")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(data), "\n") {
			var tree event.Tree
			if tree.ParseJSON([]byte(line)) == nil {
				lines = append(lines, line)
			}
		}
	}
	return lines
}

// A session that has seen other records decides as a fresh one does.
func TestCachesChangeNothing(t *testing.T) {
	t.Parallel()
	set := embeddedForTest(t)
	lines := sampleLines(t)
	if len(lines) < 100 {
		t.Fatalf("only %d records to draw from", len(lines))
	}
	plan := event.NewPlan(Funcs())
	router := set.Router(plan, RouterOptions{})
	warm, warmReader := router.Session(), plan.Reader()
	type decision struct {
		views   []int
		pack    string
		time    int64
		quality event.TimeQuality
		tree    string
	}
	decide := func(s *Session, r *event.Reader, line, format, hint string) decision {
		var rec event.Record
		rec.Reset([]byte(line))
		rec.Format, rec.Hint = format, hint
		if err := rec.Tree.ParseJSON([]byte(line)); err != nil {
			t.Fatal(err)
		}
		views, p := s.Route(&rec, r)
		d := decision{views: slices.Clone(views), time: rec.Time.UnixNano(), quality: rec.TimeQuality, tree: string(rec.Tree.AppendJSON(nil, 0))}
		if p != nil {
			d.pack = p.Name
		}
		return d
	}
	replacer := []string{"4688", "4657", "%%1905", "%%1906", "CreateKey", "DeleteKey", "Security", "System", "process", "file", "windows", "linux"}
	rapid.Check(t, func(rt *rapid.T) {
		line := rapid.SampledFrom(lines).Draw(rt, "line")
		if i := rapid.IntRange(0, 2*len(replacer)-1).Draw(rt, "swap"); i < len(replacer) {
			line = strings.ReplaceAll(line, replacer[i], replacer[i^1])
		}
		format := rapid.SampledFrom([]string{"json", "evtx", "xml", "text", "syslog", ""}).Draw(rt, "format")
		hint := rapid.SampledFrom([]string{"", "auth", "conn", "dns"}).Draw(rt, "hint")
		cold := decide(router.Session(), plan.Reader(), line, format, hint)
		for range 2 {
			if got := decide(warm, warmReader, line, format, hint); fmt.Sprint(got) != fmt.Sprint(cold) {
				rt.Fatalf("warm %+v\ncold %+v\n%s", got, cold, line)
			}
		}
	})
}

// Routing is deterministic: views come ascending, each once, and belong to the
// pack that was chosen.
func TestViewsAscend(t *testing.T) {
	t.Parallel()
	set := embeddedForTest(t)
	eachSampleRecord(t, set, func(name string, _ *event.Record, views []int, p *Pack) {
		for i, id := range views {
			if i > 0 && views[i-1] >= id {
				t.Errorf("%s: views %v", name, views)
			}
			if set.Views()[id].Pack != p.Name {
				t.Errorf("%s: view %s of pack %s on a record of %s", name, set.Views()[id].Name, set.Views()[id].Pack, p.Name)
			}
		}
	})
}

func TestRouteDoesNotAllocate(t *testing.T) {
	set := embeddedForTest(t)
	rt := newRouteTest(t, set, RouterOptions{})
	rt.route(process4688)
	if n := testing.AllocsPerRun(100, func() {
		rt.rec.Time = time.Time{}
		rt.session.Route(&rt.rec, rt.reader)
	}); n > 0 {
		t.Errorf("routing a known shape takes %v allocations", n)
	}
}
