package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
)

const retryRule = `
title: Who am I
id: 11111111-1111-4111-8111-111111111111
status: test
level: medium
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\whoami.exe'}
  condition: selection
`

// TestRetryTakesBackWhatCanBeRead puts records into quarantine as an older
// program would have left them: what this one can read is detected after all,
// and the rest stays with the reason of today.
func TestRetryTakesBackWhatCanBeRead(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file, rules := filepath.Join(folder, "tiercel.yaml"), filepath.Join(folder, "rule.yml")
	text := fmt.Sprintf("data: %q\nhttp: {listen: '127.0.0.1:0'}\nadmin: {listen: ''}\nlog: {reserve_bytes: 16MiB}\ncontent: {rules: [%q]}\n", filepath.Join(folder, "data"), rules)
	for name, data := range map[string]string{file: text, rules: retryRule} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg, _, err := config.Load(env.Real().FS, file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	p := &process{stdout: io.Discard, stderr: &stderr, getenv: func(string) string { return "" }, world: env.Real()}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	s := newServer(p, cfg)
	s.ready = func(ctx context.Context) error {
		defer stop()
		return retrying(ctx, t, s)
	}
	if err := s.serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// What the log says of a start and a stop, each once.
	for _, line := range []string{"listening", "content loaded", "recovered", "stopping", "stopped"} {
		if n := strings.Count(stderr.String(), "msg="+line) + strings.Count(stderr.String(), fmt.Sprintf("msg=%q", line)); n != 1 {
			t.Errorf("%q is said %d times in:\n%s", line, n, stderr.String())
		}
	}
}

func retrying(ctx context.Context, t *testing.T, s *server) error {
	tenant := s.tenants.All()[0]
	now := s.world.Clock.Now().UTC()
	sound := fmt.Sprintf(`{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc","Image":"C:\\whoami.exe","@timestamp":%q}`, now.Format(time.RFC3339Nano))
	entries := []quarantine.Entry{
		{Reason: ingest.ReasonPanic, Raw: []byte(sound), Format: "json"},
		{Reason: ingest.ReasonUnparsed, Raw: []byte(`{"broken":`), Format: "json"},
		{Reason: ingest.ReasonTooLarge, Raw: []byte(`{"whole":"by chance"}`), Format: "json"},
		{Reason: ingest.ReasonUnparsed, Raw: []byte(sound), Format: "no such format"},
		{Reason: ingest.ReasonLimit, Raw: []byte(sound), Bytes: 2 << 20, Format: "json"},
	}
	for i := range entries {
		e := &entries[i]
		e.Source, e.Protocol, e.Received, e.Partition, e.Offset, e.Detail = "pc", "ndjson", now, "local/events/pc/0", int64(i), "as it was"
		if e.Bytes == 0 {
			e.Bytes = len(e.Raw)
		}
	}
	writes, err := s.quarantine.Writes(tenant, entries)
	if err != nil {
		return err
	}
	if err := s.records.Apply(writes, store.Durable); err != nil {
		return err
	}
	got, err := s.Retry(ctx, tenant, api.RetryQuery{Limit: 100})
	if err != nil || got.Tried != 5 || got.Recovered != 1 || len(got.Failed) != 4 || got.More {
		t.Errorf("retried %+v, %v", got, err)
	}
	page, err := s.quarantine.List(tenant, quarantine.Filter{Limit: 100})
	if err != nil || len(page.Entries) != 4 {
		t.Errorf("%d stay in quarantine, want 4: %v", len(page.Entries), err)
	}
	for _, e := range page.Entries {
		if e.Reason == ingest.ReasonPanic || e.Retried.IsZero() || e.Outcome == "" {
			t.Errorf("stays in quarantine: %+v", e)
		}
	}
	// A second try finds nothing more.
	if got, err = s.Retry(ctx, tenant, api.RetryQuery{Limit: 100}); err != nil || got.Tried != 4 || got.Recovered != 0 {
		t.Errorf("retried again %+v, %v", got, err)
	}
	if got, err = s.Retry(ctx, tenant, api.RetryQuery{IDs: []string{"nobody's"}}); err != nil || got.Tried != 0 || len(got.Failed) != 1 {
		t.Errorf("retried what is not there %+v, %v", got, err)
	}
	feed := s.detections.Feed(tenant, 0)
	for {
		list, err := feed.Next(ctx)
		if err != nil {
			t.Errorf("what was read is not detected: %v", err)
			return nil
		}
		for _, d := range list {
			if d.Rule.ID == "11111111-1111-4111-8111-111111111111" && d.Phase == detection.Provisional {
				return nil
			}
		}
	}
}
