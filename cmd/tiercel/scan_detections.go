package main

import (
	"io"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
)

// detectionScan is the second half of scan --detections: matches go in, and when
// all are there detections come out.
type detectionScan struct {
	stage2       *pipeline.Detections
	rules        []*rule.Rule
	correlations []*rule.Correlation
	minLevel     rule.Level
	out          *report.Detections
	levels       [rule.Critical + 1]int64
	err          error
}

// newDetectionScan prepares stage 2 for the rules of a scan.
func newDetectionScan(p *process, engine *pipeline.Sigma, set *rule.Set, f *scanFlags, w io.Writer) (*detectionScan, error) {
	out, err := report.NewDetections(f.output, w)
	if err != nil {
		return nil, usageError("--detections: %v", err)
	}
	minLevel, err := parseLevel("min-level", f.minLevel)
	if err != nil {
		return nil, err
	}
	s := &detectionScan{rules: engine.Rules(), correlations: set.Correlations, minLevel: minLevel, out: out}
	stage2 := correlate.New(correlate.Config{
		Tenant: event.LocalTenant, Rules: s.rules, Correlations: s.correlations, Episode: correlate.DefaultEpisode,
		Suppress: f.content.site.suppression(),
	})
	engine.Key(stage2.Needs)
	s.stage2 = pipeline.NewDetections(p.world, stage2)
	return s, nil
}

// suppression returns what the overrides say of suppression, or nil.
func (f *siteFlags) suppression() func(id string) (correlate.Suppression, bool) {
	if f.site == nil || len(f.site.Suppress) == 0 {
		return nil
	}
	by := f.site.Suppress
	return func(id string) (correlate.Suppression, bool) {
		s, ok := by[id]
		return correlate.Suppression{Fields: s.Fields, Window: s.Window}, ok
	}
}

// finish runs stage 2 and writes what it finds.
func (s *detectionScan) finish() error {
	err := s.stage2.Finish(s)
	if err == nil {
		err = s.err
	}
	if err == nil {
		err = s.out.Close()
	}
	return err
}

// close removes what stage 2 kept in files.
func (s *detectionScan) close() { s.stage2.Close() }

// Detection implements correlate.Sink: of all revisions the one that ends an
// episode is written.
func (s *detectionScan) Detection(d *correlate.Detection) {
	if d.Phase != correlate.Closed || s.err != nil {
		return
	}
	x := &pipeline.Detection{Detection: d}
	level := rule.Informational
	if d.Correlation >= 0 {
		x.Correlation = s.correlations[d.Correlation]
		level = x.Correlation.Level
	} else {
		x.Rule = s.rules[d.Rule]
		level = x.Rule.Level
	}
	if level < s.minLevel {
		return
	}
	s.levels[level]++
	s.err = s.out.Detection(x)
}

// Late implements correlate.Sink. Matches are sorted by time before they come
// here, so none is late.
func (s *detectionScan) Late(correlate.Late) {}
