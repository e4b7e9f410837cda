package bench

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/valyala/fastjson"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// corpus returns the folder of the unpacked corpora.
func corpus(tb testing.TB) string {
	dir := os.Getenv("TIERCEL_CORPUS")
	if dir == "" {
		tb.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	return dir
}

// cpu returns the processor time of the process so far, of all threads, so
// that garbage collection counts.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var sigmaRules = sync.OnceValues(func() ([]*rule.Rule, error) {
	dir := filepath.Join(os.Getenv("TIERCEL_CORPUS"), "sigma")
	return loadRules(dir)
})

// ruleFolders are the folders of the public rule set.
var ruleFolders = []string{"rules", "rules-compliance", "rules-dfir", "rules-emerging-threats", "rules-placeholder", "rules-threat-hunting"}

func loadRules(dir string) ([]*rule.Rule, error) {
	var paths []string
	for _, f := range ruleFolders {
		paths = append(paths, filepath.Join(dir, f))
	}
	res, err := rulefile.Load(vfs.Default, paths, rulefile.Options{})
	if err != nil {
		return nil, err
	}
	return res.Set.Rules, nil
}

func windowsRules(tb testing.TB) []*rule.Rule {
	all, err := sigmaRules()
	if err != nil {
		tb.Fatal(err)
	}
	var out []*rule.Rule
	for _, r := range all {
		if r.Logsource.Product == "windows" {
			out = append(out, r)
		}
	}
	return out
}

var lines = sync.OnceValue(func() [][]byte {
	var out [][]byte
	root := filepath.Join(os.Getenv("TIERCEL_CORPUS"), "windows-attacks")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(data) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				out = append(out, line)
			}
		}
		return nil
	})
	if err != nil {
		panic(err)
	}
	return out
})

// path is the way of one event from JSON bytes to matches.
type path struct {
	reader  *event.Reader
	session *pack.Session
	matcher *detect.Matcher
	rec     event.Record
}

func newPath(tb testing.TB, rules []*rule.Rule) *path {
	set, err := pack.Embedded()
	if err != nil {
		tb.Fatal(err)
	}
	plan := event.NewPlan(pack.Funcs())
	engine := detect.Compile(rules, set.Views(), plan)
	router := set.Router(plan, pack.RouterOptions{})
	return &path{reader: plan.Reader(), session: router.Session(), matcher: engine.Matcher()}
}

// newUnroutedPath tries every rule on every event: one view that proves all
// logsources, with the field names of Windows.
func newUnroutedPath(tb testing.TB, rules []*rule.Rule) *path {
	set, err := pack.Embedded()
	if err != nil {
		tb.Fatal(err)
	}
	var all event.View
	for _, v := range set.Views() {
		if v.Product == "windows" && v.Service == "sysmon" && v.Category == "" {
			all = v
		}
	}
	all.Any = true
	plan := event.NewPlan(pack.Funcs())
	engine := detect.Compile(rules, []event.View{all}, plan)
	return &path{reader: plan.Reader(), matcher: engine.Matcher()}
}

var everything = []int{0}

func (p *path) event(tb testing.TB, line []byte) int {
	p.rec.Reset(line)
	p.rec.Format = "json"
	if err := p.rec.Tree.ParseJSON(line); err != nil {
		tb.Fatal(err)
	}
	views := everything
	if p.session != nil {
		views, _ = p.session.Route(&p.rec, p.reader)
	} else {
		p.reader.Bind(&p.rec.Tree)
	}
	return len(p.matcher.Match(p.reader, views))
}

// measure runs work over all events once per iteration and reports what one
// core does in a second of processor time, next to fastjson's bare parse of
// the same bytes in the same run.
func measure(b *testing.B, events [][]byte, p *path) {
	matches := 0
	for _, e := range events { // indexes are built, buffers grown, shapes known
		matches += p.event(b, e)
	}
	var parser fastjson.Parser
	runtime.GC()
	start := cpu()
	for _, e := range events {
		if _, err := parser.ParseBytes(e); err != nil {
			b.Fatal(err)
		}
	}
	bare := cpu() - start
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start = cpu()
	b.ResetTimer()
	for range b.N {
		for _, e := range events {
			p.event(b, e)
		}
	}
	b.StopTimer()
	used := cpu() - start
	runtime.ReadMemStats(&after)
	n := float64(len(events)) * float64(b.N)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(n/used.Seconds(), "events/s")
	b.ReportMetric(float64(len(events))/bare.Seconds(), "fastjson-events/s")
	b.ReportMetric(used.Seconds()/float64(b.N)/bare.Seconds(), "x-fastjson")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/n, "allocs/event")
	b.ReportMetric(float64(matches), "matches")
}

func BenchmarkMixedJSON(b *testing.B) {
	corpus(b)
	measure(b, lines(), newPath(b, windowsRules(b)))
}

// processCreation are the events of the category: Sysmon 1 and Security 4688.
func processCreation() [][]byte {
	return slices.DeleteFunc(slices.Clone(lines()), func(e []byte) bool {
		v, err := fastjson.ParseBytes(e)
		if err != nil {
			return true
		}
		id, channel := v.GetInt("EventID"), string(v.GetStringBytes("Channel"))
		return !(id == 1 && strings.HasPrefix(channel, "Microsoft-Windows-Sysmon") || id == 4688 && channel == "Security")
	})
}

func BenchmarkProcessCreationJSON(b *testing.B) {
	corpus(b)
	rules := slices.DeleteFunc(windowsRules(b), func(r *rule.Rule) bool { return r.Logsource.Category != "process_creation" })
	// The corpus has some hundred; a round of them alone would be over before
	// the clock has ticked often enough.
	measure(b, slices.Repeat(processCreation(), 50), newPath(b, rules))
}

func BenchmarkUnroutedJSON(b *testing.B) {
	corpus(b)
	all, err := sigmaRules()
	if err != nil {
		b.Fatal(err)
	}
	measure(b, lines(), newUnroutedPath(b, all))
}
