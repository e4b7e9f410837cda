package stream

import (
	"flag"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var (
	simSeeds = flag.Int("sim.seeds", 200, "how many seeds the simulator runs")
	simFirst = flag.Int("sim.first", 0, "the seed that the simulator begins with")
	simSeed  = flag.Int64("sim.seed", -1, "the one seed that the simulator runs, with all that happens")
)

// simulate runs a seed in a bubble of its own, where time passes when nobody has
// anything to do.
func simulate(t *testing.T, seed uint64, library *simLibrary, plant simPlant) (s *sim, err error) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { s, err = runSim(seed, library, plant) })
	return s, err
}

// The real pipeline, from the gate to the documents, against an oracle that
// takes one record after the other: with power cuts, failing, full and slow
// disks, restarts, senders that send again, poison, late events, imports and
// changes of content. What is at the end is exactly what the oracle says.
//
// A seed draws what is done and what befalls it; how goroutines take turns is
// left to the scheduler, so that a failure may take some runs of its seed to
// come again.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *simSeed >= 0 {
		s, err := simulate(t, uint64(*simSeed), newSimLibrary(), simPlant{})
		t.Log("\n" + strings.Join(s.traced, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	seeds := *simSeeds
	if testing.Short() {
		seeds = min(seeds, 20)
	}
	var next, cuts, torn atomic.Int64
	began := time.Now()
	t.Cleanup(func() {
		t.Logf("%d seeds in %s: %d power cuts, %d batches torn", seeds, time.Since(began).Round(time.Millisecond), cuts.Load(), torn.Load())
	})
	for part := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint(part), func(t *testing.T) {
			t.Parallel()
			library := newSimLibrary()
			for !t.Failed() {
				n := next.Add(1) - 1
				if n >= int64(seeds) {
					return
				}
				seed := uint64(*simFirst) + uint64(n)
				s, err := simulate(t, seed, library, simPlant{})
				if err != nil {
					t.Errorf("seed %d (run it with -sim.seed=%d):\n%v\n\nwhat happened:\n%s", seed, seed, err, strings.Join(s.traced[max(0, len(s.traced)-200):], "\n"))
				}
				cuts.Add(int64(s.cuts))
				torn.Add(int64(s.torn))
			}
		})
	}
}

// A test of the test: each planted bug must be caught within the seeds of a run.
func TestSimulationCatchesPlantedBugs(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]simPlant{
		"the sync of the log is skipped":      {skipSync: true},
		"the answer comes before the log":     {ackEarly: true},
		"the tenant of matches is lost":       {loseTenant: true},
		"windows are a microsecond too long":  {shift: time.Microsecond},
		"windows are a microsecond too short": {shift: -time.Microsecond},
		"the watermark runs ahead":            {earlier: 150 * time.Second},
		"a commit of documents is torn":       {splitCommit: true},
		"matches are lost between the stages": {loseSection: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			library := newSimLibrary()
			if plant.shift != 0 {
				library = library.planted(plant.shift)
			}
			for seed := range uint64(*simSeeds) {
				if _, err := simulate(t, seed, library, plant); err != nil {
					t.Logf("caught by seed %d: %.300s", seed, err)
					return
				}
			}
			t.Errorf("%d seeds did not find it", *simSeeds)
		})
	}
}
