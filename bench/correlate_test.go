package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	jsonformat "github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
)

// quiet takes detections and does nothing.
type quiet struct{}

func (quiet) Detection(*correlate.Detection) {}
func (quiet) Late(correlate.Late)            {}

// BenchmarkWithCorrelations scans the JSON corpus without and with 200
// correlations over the rules, and reports which part of the speed is left.
func BenchmarkWithCorrelations(b *testing.B) {
	dir := filepath.Join(corpus(b), "windows-attacks")
	rules := windowsRules(b)
	set, err := pack.Embedded()
	if err != nil {
		b.Fatal(err)
	}
	var correlations []*rule.Correlation
	for i := range 200 {
		r := rules[i*len(rules)/200]
		correlations = append(correlations, &rule.Correlation{
			ID: fmt.Sprintf("c%03d", i), SemanticHash: "h", Type: rule.EventCount, GroupBy: []string{"Computer", "User"}, Timespan: 10 * time.Minute,
			Rules: []rule.Reference{{Name: r.ID, Rule: r}}, Thresholds: []rule.Threshold{{Op: rule.OpGte, N: 5}}, Generate: true,
		})
	}
	run := func(correlations []*rule.Correlation, stage2 bool) time.Duration {
		engine := pipeline.NewSigma(rules, set, nil)
		match := func(*pipeline.Match) error { return nil }
		var d *pipeline.Detections
		if stage2 {
			e := correlate.New(correlate.Config{
				Tenant: event.LocalTenant, Rules: rules, Correlations: correlations, Episode: correlate.DefaultEpisode,
			})
			engine.Key(e.Needs)
			d = pipeline.NewDetections(env.Real(), e)
			defer d.Close()
			match = d.Add
		}
		engine.Detect().Prepare()
		start := cpu()
		if _, err := pipeline.Scan(context.Background(), pipeline.Config{
			Env: env.Real(), Engine: engine, Paths: []string{dir}, Jobs: 1, Formats: []format.Format{jsonformat.Format()}, Match: match,
		}); err != nil {
			b.Fatal(err)
		}
		if d != nil {
			if err := d.Finish(quiet{}); err != nil {
				b.Fatal(err)
			}
		}
		return cpu() - start
	}
	run(nil, false)
	var without, with time.Duration
	b.ResetTimer()
	for range b.N {
		without += run(nil, false)
		with += run(correlations, true)
	}
	b.StopTimer()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(100*without.Seconds()/with.Seconds(), "%-of-speed")
}
