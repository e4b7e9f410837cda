package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/detection"
)

// auditRule needs four lines of an audit event: SYSCALL, EXECVE and CWD, and that
// no PATH is the harmless one.
const auditRule = `
title: Fetched to the home of root
id: 11111111-1111-4111-8111-111111111111
status: test
level: high
logsource: {product: linux, category: process_creation}
detection:
  selection: {Image: /usr/bin/curl, CommandLine|contains: '-o evil', CurrentDirectory: /root}
  filter: {name: /root/harmless}
  condition: selection and not filter
`

// auditLines are the lines of one event.
func auditLines(at time.Time, serial int, name string) []string {
	lines := []string{
		`SYSCALL arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 items=1 ppid=1 pid=7 auid=1000 uid=0 comm="curl" exe="/usr/bin/curl" key="x"`,
		`EXECVE argc=3 a0="curl" a1="-o" a2="evil"`,
		`CWD cwd="/root"`,
		`PATH item=0 name="/root/` + name + `" nametype=NORMAL`,
		`PROCTITLE proctitle=6375726C`,
	}
	for i, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		lines[i] = fmt.Sprintf("type=%s msg=audit(%d.%03d:%d): %s", kind, at.Unix(), at.Nanosecond()/1e6, serial, rest)
	}
	return lines
}

// shipped makes the body of a request with some lines of a machine.
type shipped struct {
	name, path, kind string
	auth             string
	body             func(host string, lines []string) string
}

func each(lines []string, format func(line string) string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString(format(line) + "\n")
	}
	return b.String()
}

var shippers = []shipped{
	{"filebeat", "/_bulk", "application/x-ndjson", "Bearer ", func(host string, lines []string) string {
		return each(lines, func(line string) string {
			return `{"create":{"_index":"filebeat"}}` + "\n" + fmt.Sprintf(`{"@timestamp":"2026-11-22T03:00:05Z","host":{"name":%q},"log":{"file":{"path":"/var/log/audit/audit.log"}},"message":%q}`, host, line)
		})
	}},
	{"hec", "/services/collector/event", "application/json", "Splunk ", func(host string, lines []string) string {
		return each(lines, func(line string) string { return fmt.Sprintf(`{"host":%q,"event":%q}`, host, line) })
	}},
	{"otlp", "/v1/logs", "application/json", "Bearer ", func(host string, lines []string) string {
		var records []string
		for _, line := range lines {
			records = append(records, fmt.Sprintf(`{"body":{"stringValue":%q}}`, line))
		}
		return fmt.Sprintf(`{"resourceLogs":[{"resource":{"attributes":[{"key":"host.name","value":{"stringValue":%q}}]},"scopeLogs":[{"logRecords":[%s]}]}]}`, host, strings.Join(records, ","))
	}},
	{"documents", "/v1/ingest", "application/x-ndjson", "Bearer ", func(host string, lines []string) string {
		return each(lines, func(line string) string { return fmt.Sprintf(`{"hostname":%q,"log":%q}`, host, line) })
	}},
	{"lines", "/v1/ingest", "text/plain", "Bearer ", func(_ string, lines []string) string {
		return each(lines, func(line string) string { return line })
	}},
	{"lines of a format", "/v1/ingest?format=auditd", "text/plain", "Bearer ", func(_ string, lines []string) string {
		return each(lines, func(line string) string { return line })
	}},
	{"syslog in lines", "/v1/ingest?format=syslog", "text/plain", "Bearer ", func(host string, lines []string) string {
		return each(lines, func(line string) string { return "<13>Nov 22 03:00:05 " + host + " audispd: " + line })
	}},
}

// Audit events whose lines come one by one are joined whichever way they come, in
// one request or in two, with those of another machine between them.
func TestServeJoinsAuditLines(t *testing.T) {
	t.Parallel()
	rules := filepath.Join(t.TempDir(), "rule.yml")
	if err := os.WriteFile(rules, []byte(auditRule), 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("http: {listen: '127.0.0.1:0'}\ncontent: {rules: [%q]}\n", rules)
	serving(t, t.TempDir(), text, func(ctx context.Context, s *server) error {
		tenant := s.tenants.All()[0]
		at := s.world.Clock.Now().Truncate(time.Millisecond)
		want := map[string]int{}
		for i, c := range shippers {
			source := fmt.Sprintf("s%d", i)
			_, token, err := s.tokens.Create(ctx, access.Request{Name: source, Kind: access.KindIngest, Tenant: tenant, Source: source})
			if err != nil {
				return err
			}
			// The same serial and time on two machines: one event matches and one
			// does not. Where nothing tells the machine there is one only.
			evil, good := auditLines(at, 7, "evil"), auditLines(at, 7, "harmless")
			first, second := c.body("web-1", evil[:2]), c.body("web-1", evil[2:])
			if c.body("a", evil) != c.body("b", evil) {
				if c.name != "otlp" {
					first += c.body("web-2", good[:3])
					second = c.body("web-2", good[3:]) + second
				}
			} else {
				second += c.body("", auditLines(at, 8, "harmless"))
			}
			for _, body := range []string{first, second} {
				if err := post(ctx, "http://"+s.addresses["http.listen"]+c.path, c.kind, c.auth+token, body); err != nil {
					return fmt.Errorf("%s: %w", c.name, err)
				}
			}
			want[source] = 1
		}
		feed := s.detections.Feed(tenant, 0)
		seen := map[string]*detection.Detection{}
		for count := 0; count < len(shippers); {
			list, err := feed.Next(ctx)
			if err != nil {
				t.Errorf("%d of %d events are detected: %v", count, len(shippers), err)
				return nil
			}
			count = 0
			for _, d := range list {
				seen[d.ID] = d
			}
			for _, d := range seen {
				count += int(d.Count)
			}
		}
		got := map[string]int{}
		for _, d := range seen {
			if err := detection.Attach(s.records, tenant, d); err != nil {
				return err
			}
			for _, e := range d.Evidence {
				got[e.Source]++
				var joined struct {
					Joined    bool
					Timestamp string
					Type      []string
				}
				if err := json.Unmarshal(e.Event, &joined); err != nil || !joined.Joined || len(joined.Type) != 5 || len(e.Parts) != 5 || slices.Contains(e.Parts[:4], e.EventID) || e.Parts[4] != e.EventID {
					t.Errorf("%s: %s of %q, %v", e.Source, e.Event, e.Parts, err)
				}
				if !e.Time.Equal(at) {
					t.Errorf("%s: time %s, want %s", e.Source, e.Time, at)
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		return nil
	})
}

// Documents with audit lines in files give the same detections whether the files
// are scanned or imported by a server. The lines of three machines stand between
// each other; no event is told of by the lines of another file.
func TestServeFindsAuditEventsThatScanFinds(t *testing.T) {
	t.Parallel()
	dir, rules := t.TempDir(), t.TempDir()
	const count = `
title: Fetched often
id: 22222222-2222-4222-8222-222222222222
status: test
level: critical
correlation:
  type: value_count
  rules: [11111111-1111-4111-8111-111111111111]
  group-by: [Image]
  timespan: 1m
  condition: {gte: 3, field: ProcessId}
  generate: true
`
	files := map[string]string{filepath.Join(rules, "a.yml"): auditRule, filepath.Join(rules, "b.yml"): count}
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	document := shippers[0].body
	for n := range 2 {
		var machines [3][]string
		for m := range machines {
			for i := range 6 {
				lines := auditLines(at.Add(time.Duration(n)*time.Minute+time.Duration(i)*700*time.Millisecond), 10*n+i, []string{"evil", "harmless"}[(i+m)%2])
				lines[0] = strings.Replace(lines[0], "pid=7", fmt.Sprintf("pid=%d", 100*m+i), 1)
				if i == 5 && n == 0 {
					lines = lines[:3] // the rest is in the other file, and too late
				}
				machines[m] = append(machines[m], lines...)
			}
			if n == 1 {
				machines[m] = append(auditLines(at.Add(5*700*time.Millisecond), 5, "evil")[3:], machines[m]...)
			}
		}
		var b strings.Builder
		for i := 0; ; i++ {
			left := 0
			for m, lines := range machines {
				run := min(len(lines), 1+(i+2*m)%5)
				for _, line := range lines[:run] {
					_, doc, _ := strings.Cut(document(fmt.Sprintf("web-%d", m), []string{line}), "\n")
					b.WriteString(doc)
				}
				machines[m] = lines[run:]
				left += len(machines[m])
			}
			if left == 0 {
				break
			}
		}
		files[filepath.Join(dir, fmt.Sprintf("audit-%d.ndjson", n))] = b.String()
	}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := scanned(t, "--rules", rules, dir)
	// Three of six on each machine and in each file, and two harmless ones whose
	// PATH is not in the file that the event begins in.
	if len(want) != 2 || !strings.Contains(want[0], " 20 events") || !strings.Contains(want[1], " 20 events") {
		t.Fatalf("the scan finds %q", want)
	}
	if diff := cmp.Diff(want, served(t, dir, []string{rules}, len(want))); diff != "" {
		t.Errorf("scan (-) and serve (+) differ:\n%s", diff)
	}
}

// post sends a body, which must be taken whole.
func post(ctx context.Context, url, kind, authorization, body string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", kind)
	r.Header.Set("Authorization", authorization)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || strings.Contains(string(text), `"errors":true`) {
		return fmt.Errorf("answered %d: %s", answer.StatusCode, text)
	}
	return nil
}
