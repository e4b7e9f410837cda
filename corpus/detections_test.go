package corpus

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	shipped "github.com/tiercel-io/tiercel/rules"
)

var update = flag.Bool("update", false, "rewrite golden files; read the difference before committing it")

// closed gathers the correlations' detections that have ended.
type closed struct {
	set    *rule.Set
	corpus string
	list   []string
}

func (c *closed) Detection(d *correlate.Detection) {
	if d.Phase != correlate.Closed || d.Correlation < 0 {
		return
	}
	x := c.set.Correlations[d.Correlation]
	var why []string
	for i, n := range d.ByRule {
		name := ""
		if r := x.Rules[i]; r.Rule != nil {
			name = r.Rule.Title
		} else {
			name = r.Correlation.Title
		}
		why = append(why, fmt.Sprintf("%d × %s", n, name))
	}
	var group []string
	for _, g := range d.Group {
		group = append(group, g.Field+"="+g.Value)
	}
	line, err := json.Marshal(map[string]any{
		"corpus": c.corpus, "correlation": x.Title, "group": strings.Join(group, " "), "count": d.Count, "because": why,
		"seconds": (d.Last - d.First) / 1e6,
	})
	if err != nil {
		panic(err)
	}
	c.list = append(c.list, string(line))
}

func (c *closed) Late(l correlate.Late) { c.list = append(c.list, fmt.Sprintf("late: %+v", l)) }

// TestShippedCorrelations runs the shipped rules and correlations over the
// recorded attacks and compares what fires, and why, with a golden file. The
// attacks of the set windows-attacks are single ones on quiet machines: no
// sequence is in them, and none may be found.
func TestShippedCorrelations(t *testing.T) {
	t.Parallel()
	root(t)
	names, err := fs.Glob(shipped.FS, "*/rule.yml")
	if err != nil {
		t.Fatal(err)
	}
	var docs []*rule.Document
	for _, name := range names {
		data, err := fs.ReadFile(shipped.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		d, _ := rulefile.ParseBytes(name, data)
		docs = append(docs, d...)
	}
	set, _ := rule.Link(docs, rule.Options{Experimental: true})
	packs, err := pack.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	got := closed{set: set}
	for _, got.corpus = range []string{"evtx", "windows-attacks"} {
		engine := pipeline.NewSigma(set.Rules, packs, nil)
		stage2 := correlate.New(correlate.Config{Tenant: event.LocalTenant, Rules: set.Rules, Correlations: set.Correlations, Episode: correlate.DefaultEpisode})
		engine.Key(stage2.Needs)
		world := env.Real()
		world.TempDir = t.TempDir()
		detections := pipeline.NewDetections(world, stage2)
		if _, err := pipeline.Scan(context.Background(), pipeline.Config{
			Env: world, Engine: engine, Paths: []string{filepath.Join(root(t), got.corpus)}, Formats: formats, Jobs: 2, Match: detections.Add,
		}); err != nil {
			t.Fatal(err)
		}
		if err := detections.Finish(&got); err != nil {
			t.Fatal(err)
		}
		detections.Close()
	}
	slices.Sort(got.list)
	text := []byte(strings.Join(got.list, "\n") + "\n")
	const golden = "testdata/correlations.jsonl"
	if *update {
		if err := os.WriteFile(golden, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, want) {
		t.Errorf("what fires has changed; run with -update and read the difference:\n%s", text)
	}
}
