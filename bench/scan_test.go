package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/evtx"
	jsonformat "github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
)

// scan runs one scan and returns its figures with the processor time it took.
func scan(b *testing.B, engine *pipeline.Sigma, jobs int, paths ...string) (pipeline.Stats, time.Duration) {
	start := cpu()
	stats, err := pipeline.Scan(context.Background(), pipeline.Config{
		Env: env.Real(), Engine: engine, Paths: paths, Jobs: jobs,
		Formats: []format.Format{evtx.Format(), jsonformat.Format()},
		Match:   func(*pipeline.Match) error { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	return stats, cpu() - start
}

func sigmaEngine(b *testing.B) *pipeline.Sigma {
	set, err := pack.Embedded()
	if err != nil {
		b.Fatal(err)
	}
	engine := pipeline.NewSigma(windowsRules(b), set, nil)
	engine.Detect().Prepare()
	return engine
}

// BenchmarkEVTX scans the EVTX corpus, from files to matches.
func BenchmarkEVTX(b *testing.B) {
	dir := filepath.Join(corpus(b), "evtx")
	engine := sigmaEngine(b)
	scan(b, engine, 1, dir)
	runtime.GC()
	var records int64
	var used time.Duration
	b.ResetTimer()
	for range b.N {
		stats, d := scan(b, engine, 1, dir)
		records += stats.Records
		used += d
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(records)/used.Seconds(), "records/s")
}

// BenchmarkJobs scans the JSON corpus with one job and with two, by turns, and
// reports how much sooner two end. It needs two idle cores to say anything.
func BenchmarkJobs(b *testing.B) {
	dir := filepath.Join(corpus(b), "windows-attacks")
	engine := sigmaEngine(b)
	scan(b, engine, 2, dir)
	var one, two time.Duration
	var oneCPU, twoCPU time.Duration
	b.ResetTimer()
	for range b.N {
		s, d := scan(b, engine, 1, dir)
		one, oneCPU = one+s.Elapsed, oneCPU+d
		s, d = scan(b, engine, 2, dir)
		two, twoCPU = two+s.Elapsed, twoCPU+d
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(one.Seconds()/two.Seconds(), "x-sooner")
	b.ReportMetric(twoCPU.Seconds()/oneCPU.Seconds(), "x-cpu")
}

// BenchmarkLoad reads, checks, links and compiles the whole public rule set,
// every view's index included.
func BenchmarkLoad(b *testing.B) {
	dir := filepath.Join(corpus(b), "sigma")
	set, err := pack.Embedded()
	if err != nil {
		b.Fatal(err)
	}
	var used time.Duration
	count := 0
	for range b.N {
		runtime.GC()
		start := cpu()
		rules, err := loadRules(dir)
		if err != nil {
			b.Fatal(err)
		}
		engine := pipeline.NewSigma(rules, set, nil)
		engine.Detect().Prepare()
		used += cpu() - start
		count = len(rules)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(used.Seconds()/float64(b.N), "cpu-s/load")
	b.ReportMetric(float64(count), "rules")
}

// tenfold returns the rules ten times over, each copy with literals of its
// own, so that nothing is shared but what rules of a larger set would share.
func tenfold(rules []*rule.Rule) []*rule.Rule {
	var out []*rule.Rule
	for copyNumber := range 10 {
		for _, r := range rules {
			c := *r
			c.ID = r.ID + "-" + strconv.Itoa(copyNumber)
			c.Conditions = nil
			for _, x := range r.Conditions {
				c.Conditions = append(c.Conditions, altered(x, copyNumber))
			}
			out = append(out, &c)
		}
	}
	return out
}

// altered returns a copy of an expression in which each literal of five
// characters or more has one character replaced; copy 0 is as it was.
func altered(x rule.Expr, copyNumber int) rule.Expr {
	list := func(xs []rule.Expr) []rule.Expr {
		out := make([]rule.Expr, len(xs))
		for i, s := range xs {
			out[i] = altered(s, copyNumber)
		}
		return out
	}
	switch x := x.(type) {
	case *rule.And:
		return &rule.And{X: list(x.X)}
	case *rule.Or:
		return &rule.Or{X: list(x.X)}
	case *rule.Not:
		return &rule.Not{X: altered(x.X, copyNumber)}
	case *rule.Ref:
		return &rule.Ref{Name: x.Name, X: altered(x.X, copyNumber)}
	case *rule.Item:
		c := *x
		c.Values = nil
		for _, v := range x.Values {
			if text, ok := v.(*rule.Text); ok && copyNumber > 0 {
				t := *text
				t.Parts = nil
				for _, p := range text.Parts {
					if len(p.Lit) >= 5 {
						at := min(len(p.Lit), (len(p.Lit)+copyNumber)/2)
						p.Lit = p.Lit[:at] + strconv.Itoa(copyNumber) + p.Lit[at:]
					}
					t.Parts = append(t.Parts, p)
				}
				v = &t
			}
			c.Values = append(c.Values, v)
		}
		return &c
	}
	return x
}

// BenchmarkTenTimesTheRules compares the Windows rules with ten times as many.
func BenchmarkTenTimesTheRules(b *testing.B) {
	corpus(b)
	rules := windowsRules(b)
	events := lines()
	few, many := newPath(b, rules), newPath(b, tenfold(rules))
	run := func(p *path) time.Duration {
		start := cpu()
		for _, e := range events {
			p.event(b, e)
		}
		return cpu() - start
	}
	run(few)
	run(many)
	var x, y time.Duration
	b.ResetTimer()
	for range b.N {
		x += run(few)
		y += run(many)
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(rules)), "rules")
	b.ReportMetric(y.Seconds()/x.Seconds(), "x-time")
}

// BenchmarkResident scans with the real binary and reports its greatest
// resident set: of the whole JSON corpus, and of one file ten times as large.
func BenchmarkResident(b *testing.B) {
	dir := corpus(b)
	binary := filepath.Join(b.TempDir(), "tiercel")
	if out, err := exec.Command("go", "build", "-o", binary, "github.com/tiercel-io/tiercel/cmd/tiercel").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	large := filepath.Join(b.TempDir(), "large.jsonl")
	f, err := os.Create(large)
	if err != nil {
		b.Fatal(err)
	}
	for range 3 {
		for _, line := range lines() {
			if _, err := f.Write(append(line[:len(line):len(line)], '\n')); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	resident := func(path string, jobs int) float64 {
		args := []string{"scan", "--output", "csv", "--jobs", strconv.Itoa(jobs)}
		for _, f := range ruleFolders {
			args = append(args, "--rules", filepath.Join(dir, "sigma", f))
		}
		cmd := exec.Command(binary, append(args, path)...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		// The high-water mark that wait reports counts the parent from before
		// the exec too; the process's own stands in its status.
		most, done := 0, make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case err := <-done:
				tick.Stop()
				if err != nil {
					b.Fatalf("%v\n%s", err, stderr.String())
				}
				return float64(most) / 1024
			case <-tick.C:
				most = max(most, highWater(cmd.Process.Pid))
			}
		}
	}
	b.ResetTimer()
	for range b.N {
		b.ReportMetric(resident(filepath.Join(dir, "windows-attacks"), 1), "MiB-corpus")
		b.ReportMetric(resident(large, 1), "MiB-3x-one-file")
		b.ReportMetric(resident(large, 2), "MiB-3x-two-jobs")
	}
	b.ReportMetric(0, "ns/op")
}

// highWater returns the greatest resident set of a process so far in KiB, or 0
// when it is gone.
func highWater(pid int) int {
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return n
		}
	}
	return 0
}
