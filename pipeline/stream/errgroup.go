package stream

import (
	"context"
	"errors"
	"sync"
)

// errgroup runs goroutines until one fails or all end; the first error ends the
// others.
type errgroup struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	once   sync.Once
	err    error
}

func newErrgroup(ctx context.Context) *errgroup {
	g := &errgroup{}
	g.ctx, g.cancel = context.WithCancel(ctx)
	return g
}

// start runs f. It may be called by a goroutine of the group too.
func (g *errgroup) start(f func(context.Context) error) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		if err := f(g.ctx); err != nil && !errors.Is(err, context.Canceled) {
			g.once.Do(func() { g.err = err })
			g.cancel()
		}
	}()
}

// wait returns the first error once all have ended.
func (g *errgroup) wait() error {
	g.wg.Wait()
	g.cancel()
	return g.err
}
