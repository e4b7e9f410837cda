package scenario_test

import (
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/auditd"
	formatjson "github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/rules"
	"github.com/tiercel-io/tiercel/scenario"
)

// engine reads events as the product does: format, packs, shipped rules.
type engine struct {
	sigma     *pipeline.Sigma
	evaluator *pipeline.SigmaEvaluator
	parsers   map[string]format.Parser
}

// shipped loads the rules of the binary that raise something of their own:
// not those that only feed correlations.
func shipped() ([]*rule.Rule, error) {
	var docs []*rule.Document
	names, err := fs.Glob(rules.FS, "*/rule.yml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		data, err := fs.ReadFile(rules.FS, name)
		if err != nil {
			return nil, err
		}
		d, diags := rulefile.ParseBytes(name, data)
		if rule.HasErrors(diags) {
			return nil, fmt.Errorf("%v", diags)
		}
		docs = append(docs, d...)
	}
	set, diags := rule.Link(docs, rule.Options{Experimental: true})
	if rule.HasErrors(diags) {
		return nil, fmt.Errorf("%v", diags)
	}
	return slices.DeleteFunc(slices.Clone(set.Rules), func(r *rule.Rule) bool { return set.Silent(r.ID) || r.Level == rule.Informational }), nil
}

// compiled is the engine that all tests share; it is safe for concurrent use.
var compiled = sync.OnceValues(func() (*pipeline.Sigma, error) {
	set, err := pack.Embedded()
	if err != nil {
		return nil, err
	}
	list, err := shipped()
	if err != nil {
		return nil, err
	}
	return pipeline.NewSigma(list, set, nil), nil
})

func newEngine(t testing.TB) *engine {
	t.Helper()
	sigma, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	o := format.Options{Reference: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	return &engine{
		sigma: sigma, evaluator: sigma.NewEvaluator(),
		parsers: map[string]format.Parser{"json": formatjson.Format().NewParser(o), "auditd": auditd.Format().NewParser(o)},
	}
}

// seen is what became of an event: every record's pack, views and matches.
type seen struct {
	records int
	views   []*event.View
	packs   []string
	times   []int64
	titles  []string
	// unclaimed counts records without a pack or a view.
	unclaimed int
}

// run puts an event through.
func (g *engine) run(t testing.TB, e *scenario.Event) seen {
	t.Helper()
	var out seen
	b := format.Block{Data: e.Raw, Frames: []format.Frame{{Start: 0, End: len(e.Raw)}}}
	err := g.parsers[e.Format].Parse(&b, b.Frames[0], func(rec *event.Record) {
		out.records++
		g.evaluator.Route(rec)
		if g.evaluator.Pack() == nil || len(g.evaluator.Views()) == 0 {
			out.unclaimed++
			return
		}
		out.packs = append(out.packs, g.evaluator.Pack().Name)
		out.times = append(out.times, rec.Time.UnixNano())
		for _, v := range g.evaluator.Views() {
			out.views = append(out.views, &g.sigma.Detect().Views()[v])
		}
		for _, hit := range g.evaluator.Match() {
			out.titles = append(out.titles, g.sigma.Rules()[hit.Rule].Title)
		}
	})
	if err != nil {
		t.Errorf("%s: %v\n%s", e.ID, err, e.Raw)
	}
	return out
}
