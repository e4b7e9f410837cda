package main

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/tiercel-io/tiercel/env"
)

// memoryPerCore is what Go may take for each core before it collects more often
// than the heap's growth asks for: a tenth of it is what lives under load, and
// the rest are batches in flight, of which an overload brings many at once.
const memoryPerCore = 320 << 20

// limitMemory bounds the process' memory softly, unless GOMEMLIMIT does.
func limitMemory() {
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(int64(runtime.GOMAXPROCS(0)) * memoryPerCore)
	}
}

// restEvery is how often an idle server gives memory back. That takes a
// collection, some 50 ms for all public rules, or 0.1 % of a core.
const restEvery = time.Minute

// rest gives memory back: what reading the rules took, and what a load left
// behind once nothing comes any more. Go itself keeps as much as the heap may grow
// to before the next collection, which an idle server does not need.
func (s *server) rest(ctx context.Context) error {
	for {
		before := s.node.Totals().Evaluated
		debug.FreeOSMemory()
		for idle := false; !idle; {
			if err := env.Sleep(ctx, s.world.Clock, restEvery); err != nil {
				return nil
			}
			now := s.node.Totals().Evaluated
			idle, before = now == before, now
		}
	}
}
