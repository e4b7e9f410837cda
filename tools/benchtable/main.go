// Command benchtable reads the output of `go test -bench ./bench` on standard
// input and prints, behind it, the figures that are promised next to what was
// measured. It always exits 0 for figures that are missed, since a benchmark
// measures and does not assert; it exits 1 when nothing was measured.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

// promise is a figure to reach: a metric of a benchmark and its bound.
type promise struct {
	what, benchmark, unit string
	atLeast, atMost       float64 // 0: no such bound
}

// promises are Tiercel's budgets, for one core of the reference machine, in
// processor time, garbage collection included.
var promises = []promise{
	{what: "mixed Windows events, JSON bytes to matches, all Windows rules", benchmark: "MixedJSON", unit: "events/s", atLeast: 100_000},
	{what: "  next to a bare parse of the same bytes by fastjson", benchmark: "MixedJSON", unit: "fastjson-events/s"},
	{what: "  times as long as that", benchmark: "MixedJSON", unit: "x-fastjson"},
	{what: "  allocations an event", benchmark: "MixedJSON", unit: "allocs/event", atMost: 1},
	{what: "process creation alone", benchmark: "ProcessCreationJSON", unit: "events/s", atLeast: 60_000},
	{what: "  next to a bare parse of the same bytes by fastjson", benchmark: "ProcessCreationJSON", unit: "fastjson-events/s"},
	{what: "unrouted, every rule on every event", benchmark: "UnroutedJSON", unit: "events/s", atLeast: 60_000},
	{what: "EVTX bytes to matches", benchmark: "EVTX", unit: "records/s", atLeast: 60_000},
	{what: "two jobs, times as soon as one", benchmark: "Jobs", unit: "x-sooner", atLeast: 1.8},
	{what: "seconds to load and compile the whole public rule set", benchmark: "Load", unit: "cpu-s/load", atMost: 1},
	{what: "ten times the rules, times the time", benchmark: "TenTimesTheRules", unit: "x-time", atMost: 2},
	{what: "MiB resident, the corpus", benchmark: "Resident", unit: "MiB-corpus", atMost: 100},
	{what: "MiB resident, one file three times as large", benchmark: "Resident", unit: "MiB-3x-one-file", atMost: 100},
	{what: "MiB resident, the same with two jobs", benchmark: "Resident", unit: "MiB-3x-two-jobs", atMost: 100},
	{what: "stage 2: matches into 100,000 live groups", benchmark: "Hits", unit: "hits/s", atLeast: 500_000},
	{what: "stage 2: MB for a million groups of 1 to 4 hits", benchmark: "MillionGroups", unit: "MB", atMost: 400},
	{what: "  of 4 hits each", benchmark: "MillionGroups", unit: "MB-four-each"},
	{what: "stage 2: attack found under 10 million keys that come once", benchmark: "Flood", unit: "found", atLeast: 1},
	{what: "stage 2: seconds for a snapshot of 100,000 groups", benchmark: "Snapshot", unit: "s/snapshot", atMost: 1},
	{what: "% of the scan's speed left with 200 correlations", benchmark: "WithCorrelations", unit: "%-of-speed", atLeast: 85},
}

func main() {
	if !table(os.Stdin, os.Stdout) {
		os.Exit(1)
	}
}

// measurements reads "BenchmarkName-2  10  1.5 unit  2 unit" lines and copies
// everything to out.
func measurements(in io.Reader, out io.Writer) map[[2]string]float64 {
	found := make(map[[2]string]float64)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fmt.Fprintln(out, lines.Text())
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(f[0], "Benchmark"), "-")
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				found[[2]string{name, f[i+1]}] = v
			}
		}
	}
	return found
}

// table prints the promises and returns whether anything was measured.
func table(in io.Reader, out io.Writer) bool {
	found := measurements(in, out)
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "FIGURE\tMEASURED\tMUST\t")
	for _, p := range promises {
		v, ok := found[[2]string{p.benchmark, p.unit}]
		if !ok {
			fmt.Fprintf(w, "%s\t-\t%s\tnot measured\n", p.what, bound(p))
			continue
		}
		verdict := "reached"
		switch {
		case p.atLeast == 0 && p.atMost == 0:
			verdict = ""
		case p.atLeast > 0 && v < p.atLeast, p.atMost > 0 && v > p.atMost:
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.what, number(v), bound(p), verdict)
	}
	w.Flush()
	return len(found) > 0
}

func bound(p promise) string {
	switch {
	case p.atLeast > 0:
		return ">= " + number(p.atLeast)
	case p.atMost > 0:
		return "<= " + number(p.atMost)
	}
	return ""
}

func number(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}
