package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
)

// found is what must be the same of a detection, whichever way its events came.
// Ids differ, since they say where an event stood.
func found(rule string, group []string, anchor, first, last string, count uint64, evidence int, values []string) string {
	return fmt.Sprintf("%s %q anchor %s from %s to %s, %d events, %d kept, values %q", rule, group, anchor, first, last, count, evidence, values)
}

func instant(t *testing.T, text string) string {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// scanned returns the detections of tiercel scan --detections.
func scanned(t *testing.T, args ...string) []string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(context.Background(), process{
		args: append([]string{"scan", "--detections", "--output", "jsonl"}, args...), stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(string) string { return "" }, world: env.Real(),
	})
	var coded *codedError
	if err != nil && !(errors.As(err, &coded) && coded.code == exitInput) {
		t.Fatalf("scan: %v\n%s", err, stderr.String())
	}
	var out []string
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var d struct {
			Rule       struct{ ID string }
			Group      []struct{ Field, Value string }
			AnchorTime string `json:"anchor_time"`
			First      string `json:"first_time"`
			Last       string `json:"last_time"`
			Count      uint64
			Values     []string
			Evidence   []string
		}
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		var group []string
		for _, g := range d.Group {
			if g.Value != "" {
				group = append(group, strings.TrimPrefix(g.Field, "@")+"="+g.Value)
			}
		}
		out = append(out, found(d.Rule.ID, group, instant(t, d.AnchorTime), instant(t, d.First), instant(t, d.Last), d.Count, len(d.Evidence), d.Values))
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// served imports a folder with a server and returns its detections once they
// are as many as wanted and nothing is under way any more.
func served(t *testing.T, dir string, rules []string, want int) []string {
	t.Helper()
	folder := t.TempDir()
	file := filepath.Join(folder, "tiercel.yaml")
	quoted, err := json.Marshal(rules)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("data: %q\nhttp: {listen: '127.0.0.1:0'}\nadmin: {listen: ''}\nlog: {reserve_bytes: 16MiB}\ncontent: {rules: %s}\n"+
		"sources: [{name: case, files: {paths: [%q], mode: import}}]\nobservability: {log_level: error}\n", filepath.Join(folder, "data"), quoted, dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load(env.Real().FS, file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }, world: env.Real()}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	s := newServer(p, cfg)
	var out []string
	s.ready = func(ctx context.Context) error {
		defer stop()
		tenant := s.tenants.All()[0]
		for {
			out = out[:0]
			open := 0
			filter := detection.Filter{Limit: 500}
			for {
				page, err := s.detections.List(tenant, filter)
				if err != nil {
					return err
				}
				for _, d := range page.Detections {
					if d.Phase != "closed" {
						open++
						continue
					}
					var group []string
					for _, g := range d.Group {
						group = append(group, g.Field+"="+g.Value)
					}
					at := func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
					out = append(out, found(d.Rule.ID, group, at(d.AnchorTime), at(d.FirstTime), at(d.LastTime), d.Count, len(d.Evidence), d.Values))
				}
				if page.Next == "" {
					break
				}
				filter.Cursor = page.Next
			}
			if open == 0 && len(out) >= want || ctx.Err() != nil {
				return nil
			}
			if err := env.Sleep(ctx, s.world.Clock, 100*time.Millisecond); err != nil {
				return nil
			}
		}
	}
	if err := s.serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// A folder that is scanned and one that a server imports give the same final
// detections but for their ids.
func TestServeFindsWhatScanFinds(t *testing.T) {
	t.Parallel()
	compare := func(t *testing.T, dir string, rules ...string) {
		var args []string
		for _, r := range rules {
			args = append(args, "--rules", r)
		}
		want := scanned(t, append(args, dir)...)
		if len(want) == 0 {
			t.Fatal("the scan finds nothing, so there is nothing to compare")
		}
		if diff := cmp.Diff(want, served(t, dir, rules, len(want))); diff != "" {
			t.Errorf("scan (-) and serve (+) differ:\n%s", diff)
		}
		t.Logf("%d detections", len(want))
	}
	t.Run("demo", func(t *testing.T) {
		t.Parallel()
		dir, err := filepath.Abs("../../demo/logs")
		if err != nil {
			t.Fatal(err)
		}
		compare(t, dir)
	})
	t.Run("corpus", func(t *testing.T) {
		t.Parallel()
		corpus := os.Getenv("TIERCEL_CORPUS")
		if corpus == "" {
			t.Skip("set TIERCEL_CORPUS to the unpacked corpora")
		}
		compare(t, filepath.Join(corpus, "evtx"), filepath.Join(corpus, "sigma", "rules"))
	})
}
