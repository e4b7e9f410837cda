package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// These are the server's rule, pack and configuration. The pack is pinned
// to the source, so that the rule meets the events of every client alike.
const (
	ruleText = `title: An event that a client was given to carry
id: 5a1d0c1e-8f0b-4c7e-9d68-6a0f5f2f7c11
status: stable
description: Finds the events that a test marked.
logsource:
    product: client
detection:
    keywords:
        - '` + mark + `'
    condition: keywords
level: low
`
	packText = `pack: client
about: Whatever the client under test sends
shape: https://example.org/
match:
  - format: [json, syslog, text, hec, otlp]
views:
  - logsource: {product: client}
`
)

// server is a running tiercel process.
type server struct {
	*program
	t          *testing.T
	data       string
	source     string
	http, grpc int
	syslog     int
	admin      string
	token      string
}

// startServer starts tiercel for one source. eventsPerSecond is the quota, or 0
// for none.
func startServer(t *testing.T, source string, eventsPerSecond int) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{t: t, data: filepath.Join(dir, "data"), source: source, http: freePort(t), grpc: freePort(t), syslog: freePort(t)}
	write(t, filepath.Join(dir, "rules", "mark.yml"), ruleText)
	write(t, filepath.Join(dir, "packs", "client", "pack.yml"), packText)
	config := filepath.Join(dir, "tiercel.yaml")
	write(t, config, fmt.Sprintf(`data: data
http: {listen: "127.0.0.1:%d"}
admin: {listen: ""}
receivers:
  otlp: {grpc: "127.0.0.1:%d"}
  syslog: [{listen: "127.0.0.1:%d", source: %s}]
tenants: [{name: local, quota: {events_per_second: %d}}]
sources: [{name: %[4]s, pack: client}]
content: {rules: [rules], packs: [packs]}
log: {reserve_bytes: 16MiB}
`, s.http, s.grpc, s.syslog, source, eventsPerSecond))
	s.program = start(t, dir, "tiercel", nil, binary, "serve", "--config", config)
	until(t, "answer on /readyz", []*program{s.program}, func() (bool, string) {
		answer, err := http.Get(s.url() + "/readyz")
		if err != nil {
			return false, err.Error()
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK, answer.Status
	})
	until(t, "token for the command line", []*program{s.program}, func() (bool, string) {
		text, err := os.ReadFile(filepath.Join(s.data, "access", "cli-token"))
		s.admin = strings.TrimSpace(string(text))
		return err == nil && s.admin != "", fmt.Sprint(err)
	})
	s.token = strings.TrimSpace(tiercel(t, "token", "create", source, "--source", source, "--server", s.url(), "--data", s.data))
	return s
}

func (s *server) url() string { return "http://127.0.0.1:" + strconv.Itoa(s.http) }

// tiercel runs a verb and returns what it printed.
func tiercel(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			err = fmt.Errorf("%w: %s", err, e.Stderr)
		}
		t.Fatalf("tiercel %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ask reads an answer of the API.
func (s *server) ask(path string, into any) error {
	request, err := http.NewRequest(http.MethodGet, s.url()+"/api/v1/"+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.admin)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.200s", path, answer.Status, text)
	}
	return json.Unmarshal(text, into)
}

// counts are the sums of the ledger.
type counts struct {
	Received, Evaluated, Late, Quarantined, Damaged uint64
	Unexplained                                     int64
}

// balanced reports whether every record that was received was decided.
func (c counts) balanced() bool {
	return c.Received == c.Evaluated+c.Late+c.Quarantined && c.Damaged == 0 && c.Unexplained == 0
}

func (s *server) ledger() (counts, error) {
	var l struct{ Totals counts }
	from := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	to := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	err := s.ask("ledger?source="+s.source+"&from="+from+"&to="+to, &l)
	return l.Totals, err
}

// findings are what a server shows: detections of the test's rule with their
// events, and detections of sources that sent what is no text.
type findings struct{ detections, events, doubtful int }

// integrityID is the id of what raises the latter.
const integrityID = "tiercel.health.integrity"

// found is what the server shows by now.
func (s *server) found() (f findings, _ error) {
	var list struct {
		Detections []struct {
			Count int
			Rule  struct{ ID string }
		}
	}
	if err := s.ask("detections?limit=100", &list); err != nil {
		return f, err
	}
	for _, d := range list.Detections {
		if d.Rule.ID == integrityID {
			f.doubtful++
			continue
		}
		f.detections++
		f.events += d.Count
	}
	return f, nil
}
