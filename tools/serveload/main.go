// Command serveload measures `tiercel serve` as its users will run it: it
// starts the binary on a folder of its own, sends events over the real _bulk
// protocol, waits for each answer, and prints what was reached next to what was
// promised.
//
// The events are those of the corpora with hosts, times and ids rewritten, so
// that no two are the same; see template.go. The generator runs on the same
// machine; its processor time is measured and counts.
//
// On a machine that others use too, wall-clock figures say little: the rate that
// two free cores would give is worked out from the processor time an event takes
// in server and generator together.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type options struct {
	binary, corpus, dir, shipped string
	modes                        string
	duration, latency, overload  time.Duration
	idle                         time.Duration
	matching, meanBytes          float64
	rate                         float64
	agents, hosts                int
	eventsMin, eventsMax         int
	logBytes                     int64
	profile                      string
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/tiercel", "the server to measure")
	flag.StringVar(&o.corpus, "corpus", os.Getenv("TIERCEL_CORPUS"), "folder of the unpacked corpora")
	flag.StringVar(&o.shipped, "shipped", "rules", "folder of the shipped rules and correlations")
	flag.StringVar(&o.dir, "dir", "", "folder for the server's data, on the disk to be measured (default: a new one below the temporary folder)")
	flag.StringVar(&o.modes, "modes", "idle,sustained,latency,overload,start", "what to measure")
	flag.DurationVar(&o.duration, "duration", 10*time.Minute, "how long to send as fast as is taken")
	flag.DurationVar(&o.latency, "latency", time.Minute, "how long to measure the time to detection")
	flag.DurationVar(&o.overload, "overload", 5*time.Minute, "how long to send five times too much")
	flag.DurationVar(&o.idle, "idle", time.Minute, "how long to watch an idle server")
	flag.Float64Var(&o.matching, "matching", 1.2, "percent of events that match a rule")
	flag.Float64Var(&o.meanBytes, "mean", 1024, "mean size of an event in bytes")
	flag.Float64Var(&o.rate, "rate", 0, "events a second to take for the rate reached (default: what sustained measures)")
	flag.IntVar(&o.agents, "agents", 4, "agents, each with one connection")
	flag.IntVar(&o.hosts, "hosts", 400, "hosts of all agents")
	flag.IntVar(&o.eventsMin, "events-min", 50, "fewest events of a request")
	flag.IntVar(&o.eventsMax, "events-max", 1000, "most events of a request")
	flag.Int64Var(&o.logBytes, "log-bytes", 1<<30, "bytes of log for the start")
	flag.StringVar(&o.profile, "profile", "", "folder for profiles of the server, taken while it sends as fast as is taken")
	flag.Parse()
	if err := run(&o); err != nil {
		fmt.Fprintln(os.Stderr, "serveload:", err)
		os.Exit(1)
	}
}

// ruleFolders are the folders of the public rule set.
var ruleFolders = []string{"rules", "rules-compliance", "rules-dfir", "rules-emerging-threats", "rules-placeholder", "rules-threat-hunting"}

func run(o *options) error {
	if o.corpus == "" {
		return fmt.Errorf("set TIERCEL_CORPUS to the unpacked corpora")
	}
	for _, p := range []*string{&o.binary, &o.shipped, &o.corpus} {
		var err error
		if *p, err = filepath.Abs(*p); err != nil {
			return err
		}
	}
	if o.dir == "" {
		var err error
		if o.dir, err = os.MkdirTemp("", "bench-serve-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	rules := []string{o.shipped}
	for _, f := range ruleFolders {
		rules = append(rules, filepath.Join(o.corpus, "sigma", f))
	}
	t, err := loadTemplates(filepath.Join(o.corpus, "windows-attacks"), o.meanBytes)
	if err != nil {
		return err
	}
	if err := t.divide(o.binary, o.dir, rules); err != nil {
		return err
	}
	fmt.Printf("load: %d events of the corpus without their rendered message and up to %d bytes, %.0f bytes on average, %d of them matching; %.1f %% matching is sent\n",
		len(t.quiet)+len(t.matching), t.bytesMax, t.mean, len(t.matching), o.matching)
	b := &bench{o: o, t: t, rules: rules, rate: o.rate}
	defer b.end()
	for mode := range strings.SplitSeq(o.modes, ",") {
		if err := b.mode(mode); err != nil {
			return fmt.Errorf("%s: %w", mode, err)
		}
	}
	return b.table.print(os.Stdout)
}
