package main

import (
	"fmt"
	"io"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/tiercel-io/tiercel/pipeline"
)

// progress is the bar of a scan on a terminal. A nil progress does nothing.
type progress struct {
	container *mpb.Progress
	bar       *mpb.Bar
}

// startProgress shows a bar when standard error is a terminal, and otherwise
// returns nil. It fills c.Progress.
func startProgress(p *process, c *pipeline.Config) *progress {
	if !p.stderrTerminal || p.getenv("TERM") == "dumb" {
		return nil
	}
	counters := &pipeline.Progress{}
	c.Progress = counters
	b := &progress{container: mpb.New(mpb.WithOutput(p.stderr), mpb.WithWidth(40), mpb.WithAutoRefresh())}
	b.bar = b.container.AddBar(pipeline.Size(c.Env, c.Paths),
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			return fmt.Sprintf("%s, %s ", plural(int(counters.Files.Load()), "file"), plural(int(counters.Matches.Load()), "match"))
		})),
		mpb.AppendDecorators(decor.Counters(decor.SizeB1000(0), " % .1f / % .1f")),
	)
	counters.Advance = func(n int) { b.bar.IncrBy(n) }
	return b
}

// Write prints whole lines above the bar.
func (b *progress) Write(p []byte) (int, error) { return b.container.Write(p) }

// stop removes the bar and waits until it is gone.
func (b *progress) stop() {
	if b == nil {
		return
	}
	b.bar.Abort(true)
	b.container.Wait()
}

var _ io.Writer = (*progress)(nil)
