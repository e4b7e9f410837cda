package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/tiercel-io/tiercel/env"
)

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
