package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/detection"
	pebblestore "github.com/tiercel-io/tiercel/engine/pebble"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
)

// oddLine is a record that would clear the screen.
const oddLine = "odd \x1b[2J line of a firewall that tries\n"

// liveTime is when everything happens.
var liveTime = time.Date(2026, 11, 22, 10, 0, 30, 0, time.UTC)

// liveClock stands still; its timers fire at once.
type liveClock struct{}

func (liveClock) Now() time.Time                   { return liveTime }
func (liveClock) NewTimer(time.Duration) env.Timer { return firedTimer(make(chan time.Time, 1)).fire() }

type firedTimer chan time.Time

func (f firedTimer) fire() firedTimer {
	select {
	case f <- liveTime:
	default:
	}
	return f
}
func (f firedTimer) C() <-chan time.Time      { return f }
func (f firedTimer) Stop() bool               { return true }
func (f firedTimer) Reset(time.Duration) bool { f.fire(); return true }

// stillClock is the server's: its timers never fire.
type stillClock struct{ liveClock }

func (stillClock) NewTimer(time.Duration) env.Timer { return firedTimer(nil) }

// liveNet is a network on which one server listens.
type liveNet struct {
	env.Network
	mu      sync.Mutex
	dialled []string
	conns   chan net.Conn
	open    []net.Conn
	down    bool
}

func (n *liveNet) DialContext(_ context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialled = append(n.dialled, address)
	if n.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	here, there := net.Pipe()
	n.open = append(n.open, there)
	n.conns <- there
	return here, nil
}

// cut breaks all connections.
func (n *liveNet) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.open {
		c.Close()
	}
	n.open = nil
}

func (n *liveNet) Accept() (net.Conn, error) {
	c, ok := <-n.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (n *liveNet) Close() error   { return nil }
func (n *liveNet) Addr() net.Addr { return &net.TCPAddr{} }

// liveServer is the real API over real stores in memory, with a node made up.
type liveServer struct {
	net        *liveNet
	fs         *vfs.MemFS
	node       *liveNode
	detections *detection.Store
	handler    http.Handler
}

// liveAccess knows one token of all tenants.
type liveAccess struct{ api.Tokens }

func (liveAccess) Admin(token string) (api.Principal, error) {
	if token != "good" {
		return api.Principal{}, errors.New("unknown")
	}
	return api.Principal{Name: "cli", Write: true}, nil
}

type noAudit struct{}

func (noAudit) Record(api.Entry) {}

type liveNode struct {
	api.Node
	status  api.Status
	sources []api.Source
	rules   []api.RuleFigures
	retries []api.RetryQuery
	retried api.Retried
}

func (n *liveNode) Status(event.Tenant) api.Status    { return n.status }
func (n *liveNode) Sources(event.Tenant) []api.Source { return n.sources }
func (n *liveNode) Rules() []api.RuleFigures          { return n.rules }
func (n *liveNode) Retry(_ context.Context, _ event.Tenant, q api.RetryQuery) (api.Retried, error) {
	n.retries = append(n.retries, q)
	return n.retried, nil
}

func newLiveServer(t *testing.T) *liveServer {
	t.Helper()
	tenants, err := event.NewTenants([]string{"local"})
	if err != nil {
		t.Fatal(err)
	}
	records, err := pebblestore.Open(pebblestore.Config{FS: vfs.NewMem(), Dir: "records"})
	if err != nil {
		t.Fatal(err)
	}
	quarantined := quarantine.Open(records, liveClock{})
	writes, err := quarantined.Writes(event.LocalTenant, []quarantine.Entry{
		{Source: "firewall", Protocol: "syslog", Reason: "unparsed", Detail: "no header at byte 0", Peer: "192.0.2.7:514", Received: liveTime, Partition: "local/events/firewall/0", Offset: 7, Raw: []byte(oddLine)},
		{Source: "edr", Protocol: "elastic", Reason: "too_large", Received: liveTime.Add(-time.Hour), Partition: "local/events/edr/0", Offset: 8, Bytes: 5000, Raw: []byte("\x00\x01binary")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := records.Apply(writes, store.Relaxed); err != nil {
		t.Fatal(err)
	}
	s := &liveServer{net: &liveNet{conns: make(chan net.Conn, 16)}, fs: vfs.NewMem(), node: &liveNode{}, detections: detection.Open(records, liveClock{})}
	s.handler, err = api.New(api.Config{
		Clock: stillClock{}, Log: slog.New(slog.DiscardHandler), Metrics: metric.New(), Tenants: tenants, Access: liveAccess{}, Tokens: liveAccess{}, Audit: noAudit{},
		Detections: api.DetectionStore(s.detections), Quarantine: quarantined, Node: s.node, Stopped: make(chan struct{}),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.handler, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(s.net)
	}()
	t.Cleanup(func() {
		s.net.cut()
		close(s.net.conns)
		<-done
		server.Close()
		if err := records.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, d := range []*detection.Detection{
		{
			ID: "aa11", Revision: "r", Phase: "final", Rule: detection.Rule{ID: "rule-1", Title: "Shadow copies deleted", Kind: "rule", Level: "critical"},
			Reason: "vssadmin.exe deleted the shadow copies on WS01.", Group: []detection.Field{{Field: "@host", Value: "WS01"}},
			FirstTime: liveTime, LastTime: liveTime, AnchorTime: liveTime, Count: 1, NotifyKey: "k",
			Evidence: []detection.Evidence{{EventID: "e1", Time: liveTime, Host: "WS01", Fields: []detection.Field{{Field: "CommandLine", Value: "vssadmin delete\x1b[2J shadows"}}, Event: json.RawMessage(`{"EventID":1}`)}},
		},
		{
			ID: "bb22", Revision: "r", Phase: "provisional", Rule: detection.Rule{ID: "rule-2", Title: "New service", Kind: "rule", Level: "low"},
			Reason: "A service was installed.", AnchorTime: liveTime.Add(-time.Hour), Count: 2, NotifyKey: "k",
		},
	} {
		s.put(t, d)
	}
	return s
}

func (s *liveServer) put(t *testing.T, d *detection.Detection) {
	t.Helper()
	if _, err := s.detections.Put(event.LocalTenant, []*detection.Detection{d}, nil, store.Relaxed); err != nil {
		t.Fatal(err)
	}
}

// process is one that talks to the server, with its token in the environment.
func (s *liveServer) process(args ...string) (process, *bytes.Buffer, *bytes.Buffer) {
	var stdout, stderr bytes.Buffer
	return process{
		args: args, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(k string) string { return map[string]string{"TIERCEL_TOKEN": "good", "HOME": "/home/me"}[k] },
		world:  env.Env{FS: s.fs, Clock: liveClock{}, Net: s.net},
	}, &stdout, &stderr
}

// says runs a verb and compares output and exit code.
func (s *liveServer) says(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	p, stdout, stderr := s.process(args...)
	err := run(t.Context(), p)
	if got := exitCode(err); got != code {
		t.Errorf("%q: exit code %d, want %d: %s", args, got, code, stderr)
	}
	if code == exitDone && stderr.Len() > 0 {
		t.Errorf("%q: stderr %s", args, stderr)
	}
	if diff := cmp.Diff(want, stdout.String()); diff != "" {
		t.Errorf("%q: %s\n%s", args, diff, stderr)
	}
}

// fails runs a verb that ends with a code and an error.
func (s *liveServer) fails(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	p, stdout, stderr := s.process(args...)
	if got := exitCode(run(t.Context(), p)); got != code || !strings.Contains(stderr.String(), want) || stdout.Len() > 0 {
		t.Errorf("%q: exit code %d, want %d; stderr %q, want %q; stdout %q", args, got, code, stderr, want, stdout)
	}
}

const (
	line1 = `2026-11-22 10:00:30Z  critical       Shadow copies deleted
    vssadmin.exe deleted the shadow copies on WS01.
    host WS01
    1 event, final, detection aa11

`
	line2 = `2026-11-22 09:00:30Z  low            New service
    A service was installed.
    2 events, provisional, detection bb22

`
)

func TestDetectionsList(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	s.says(t, exitDone, line2+line1+"2 detections\n", "detections", "list")
	s.says(t, exitDone, line1+"1 detection\n", "detections", "list", "--min-level", "high")
	s.says(t, exitDone, line1+"1 detection\n", "detections", "list", "--rule", "rule-1", "--tenant", "local")
	s.says(t, exitDone, line1+"1 detection\n", "detections", "list", "--since", "30m")
	s.says(t, exitDone, line1+"1 detection\n", "detections", "list", "--value", "ws01")
	s.says(t, exitDone, "0 detections\n", "detections", "list", "--phase", "superseded")
	s.says(t, exitDone, line2+"1 detection; there may be older ones, see --limit\n", "detections", "list", "-n", "1")
	p, stdout, _ := s.process("detections", "list", "--json", "--rule", "rule-1")
	var d detection.Detection
	if err := run(t.Context(), p); err != nil || json.Unmarshal(stdout.Bytes(), &d) != nil || d.ID != "aa11" || strings.ContainsRune(stdout.String(), 0x1b) {
		t.Errorf("%v %s", err, stdout)
	}
	s.fails(t, exitUsage, "is not a level", "detections", "list", "--min-level", "severe")
	s.fails(t, exitUsage, "is neither how long ago nor a time", "detections", "list", "--since", "yesterday")
	s.fails(t, exitUsage, "at least 1", "detections", "list", "-n", "0")
	s.fails(t, exitUsage, "query.phase", "detections", "list", "--phase", "open")
}

// More than a page is asked for in several.
func TestDetectionsListPages(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	for i := range 700 {
		s.put(t, &detection.Detection{ID: fmt.Sprintf("c%04d", i), Revision: "r", Phase: "final", Rule: detection.Rule{Level: "low"}, AnchorTime: liveTime})
	}
	for n, want := range map[string]int{"600": 600, "1000": 702} {
		p, stdout, stderr := s.process("detections", "list", "--json", "-n", n)
		if err := run(t.Context(), p); err != nil || strings.Count(stdout.String(), "\n") != want {
			t.Errorf("-n %s: %v %d lines %s", n, err, strings.Count(stdout.String(), "\n"), stderr)
		}
	}
}

func TestDetectionsShow(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	const want = `2026-11-22 10:00:30Z  critical       Shadow copies deleted
    vssadmin.exe deleted the shadow copies on WS01.
    host WS01

    detection    aa11
    phase        final
    events       1, from 2026-11-22 10:00:30Z to 2026-11-22 10:00:30Z
    stored       2026-11-22 10:00:30Z, changed 2026-11-22 10:00:30Z
    rule         rule-1 (rule)

    evidence 1 of 1, 2026-11-22 10:00:30Z, on WS01
      CommandLine  vssadmin delete␛[2J shadows
      event e1
`
	s.says(t, exitDone, want+"\n", "detections", "show", "aa11")
	s.says(t, exitDone, want+"\n", "detections", "show", "aa")
	s.says(t, exitDone, want+"      {\n        \"EventID\": 1\n      }\n\n", "detections", "show", "aa11", "--events")
	s.fails(t, exitInput, "there is no detection whose id is this or begins so", "detections", "show", "ffff")
	s.fails(t, exitUsage, "is no id", "detections", "show", "../status")
	s.fails(t, exitUsage, "needs the id of a detection", "detections", "show")
}

// screen is an output that tells when it holds what a test waits for.
type screen struct {
	mu   sync.Mutex
	text strings.Builder
	want string
	seen chan struct{}
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if s.want != "" && strings.Contains(s.text.String(), s.want) {
		s.want = ""
		close(s.seen)
	}
	return len(p), nil
}

// expect returns a channel that is closed once the screen shows a text.
func (s *screen) expect(text string) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want, s.seen = text, make(chan struct{})
	if strings.Contains(s.text.String(), text) {
		s.want = ""
		close(s.seen)
	}
	return s.seen
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

func TestDetectionsTail(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	s.says(t, exitDone, line1+line2, "detections", "tail", "--follow=false")
	s.says(t, exitDone, line2, "detections", "tail", "--follow=false", "-n", "1")
	s.fails(t, exitUsage, "--last 501", "detections", "tail", "-n", "501")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, _, _ := s.process("detections", "tail", "-n", "1")
	stdout, stderr := &screen{}, &screen{}
	p.stdout, p.stderr = stdout, stderr
	done := make(chan error)
	go func() { done <- run(ctx, p) }()
	<-stdout.expect("detection bb22")
	fresh := func(id, phase string) *detection.Detection {
		return &detection.Detection{ID: id, Revision: "r", Phase: phase, Rule: detection.Rule{Title: "Late " + id, Level: "high"}, AnchorTime: liveTime, Count: 1}
	}
	// A change of what was there is no news, something new is.
	s.put(t, &detection.Detection{ID: "bb22", Revision: "r2", Phase: "final", Rule: detection.Rule{ID: "rule-2", Title: "New service", Level: "low"}, Count: 3})
	s.put(t, fresh("cc33", "provisional"))
	<-stdout.expect("detection cc33")
	// The connection breaks; what comes meanwhile is not missed, nor anything
	// told twice.
	s.net.cut()
	<-stderr.expect("trying again")
	s.put(t, fresh("cc33", "final"))
	s.put(t, fresh("dd44", "provisional"))
	<-stdout.expect("detection dd44")
	cancel()
	if err := <-done; exitCode(err) != exitInterrupted {
		t.Errorf("exit code %d: %v", exitCode(err), err)
	}
	text := stdout.String()
	for _, id := range []string{"bb22", "cc33", "dd44"} {
		if n := strings.Count(text, "detection "+id); n != 1 {
			t.Errorf("%s was printed %d times:\n%s", id, n, text)
		}
	}
}

// A server that is not there is an error at once, and not tried for ever.
func TestTailOfNoServer(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	s.net.down = true
	s.fails(t, exitInput, "Is 'tiercel serve' running", "detections", "tail")
}

func TestQuarantineVerbs(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	first := quarantine.ID("local/events/firewall/0", 7, 0, liveTime)
	second := quarantine.ID("local/events/edr/0", 8, 0, liveTime.Add(-time.Hour))
	one := "2026-11-22 10:00:30Z  unparsed     firewall, 39 bytes\n    no header at byte 0\n    " + first + "\n\n"
	two := "2026-11-22 09:00:30Z  too_large    edr, 5000 bytes\n    " + second + "\n\n"
	s.says(t, exitDone, one+two+"2 records\n", "quarantine", "list")
	s.says(t, exitDone, two+"1 record\n", "quarantine", "list", "--source", "edr")
	s.says(t, exitDone, one+"1 record\n", "quarantine", "list", "--reason", "unparsed", "--since", "30m")
	// Escape sequences of the record do not reach the terminal, and can be read.
	s.says(t, exitDone, `record     `+first+`
reason     unparsed
           no header at byte 0
received   2026-11-22 10:00:30Z
source     firewall
protocol   syslog
peer       192.0.2.7:514
place      local/events/firewall/0, offset 7, record 0
size       39 bytes
sha256     `+fmt.Sprintf("%x", sha256.Sum256([]byte(oddLine)))+`

odd ␛[2J line of a firewall that tries
`, "quarantine", "show", first)
	p, stdout, _ := s.process("quarantine", "show", second)
	if err := run(t.Context(), p); err != nil || !strings.Contains(stdout.String(), "size       5000 bytes, of which 8 are kept") || !strings.Contains(stdout.String(), "00000000  00 01 62 69 6e 61 72 79                           |..binary|") {
		t.Errorf("%v %s", err, stdout)
	}
	s.says(t, exitDone, "\x00\x01binary", "quarantine", "show", second, "--raw")
	p, stdout, stderr := s.process("quarantine", "show", second, "--raw")
	p.stdoutTerminal = true
	if err := run(t.Context(), p); exitCode(err) != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), "> FILE") {
		t.Errorf("raw on a terminal: %v %q", err, stdout)
	}

	s.node.retried = api.Retried{Tried: 2, Recovered: 2}
	s.says(t, exitDone, "2 records tried, 2 read now and evaluated, 0 stay\n", "quarantine", "retry", "--source", "edr")
	s.node.retried = api.Retried{Tried: 1, Failed: []api.RetryFailure{{ID: first, Reason: "unparsed", Detail: "as before"}}}
	s.says(t, exitFailed, first+" stays: unparsed, as before\n1 record tried, 0 read now and evaluated, 1 stay\n", "quarantine", "retry", first)
	// An id that is not there is no success.
	s.node.retried = api.Retried{Failed: []api.RetryFailure{{ID: "98ea", Reason: "not_found", Detail: "it is not in quarantine"}}}
	s.says(t, exitFailed, "98ea: no record with this id is in quarantine; 'tiercel quarantine list' shows the whole ids\n0 records tried, 0 read now and evaluated, 0 stay\n", "quarantine", "retry", "98ea")
	want := []api.RetryQuery{{Source: "edr", Limit: 1000}, {IDs: []string{first}, Limit: 1000}, {IDs: []string{"98ea"}, Limit: 1000}}
	if diff := cmp.Diff(want, s.node.retries); diff != "" {
		t.Error(diff)
	}
	for _, verb := range []string{"list", "retry"} {
		s.fails(t, exitUsage, `--reason "unparsd" is unknown; did you mean "unparsed"?`, "quarantine", verb, "--reason", "unparsd")
	}
	s.fails(t, exitInput, "no record with this id is in quarantine", "quarantine", "show", "98ea")
	s.fails(t, exitUsage, "say what to try", "quarantine", "retry")
	s.fails(t, exitUsage, "exclude each other", "quarantine", "retry", "abc", "--all")
	s.fails(t, exitUsage, "is no id", "quarantine", "retry", "a/b")
}

func TestLiveStats(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	s.says(t, exitDone, `tiercel  at http://127.0.0.1:8600, NOT READY, up 0.0s

on average over the last minute
received       0.0 events/s, 0.00 MB/s
evaluated      0.0 events/s
quarantined    0.0 events/s
found          0.0 matches/s, 0.0 detections/min

source                               events/s       MB/s        lag   last event
none yet

cost        seconds      matches   detections  rule, of 0
nothing measured yet
`, "stats")
	s.node.status = api.Status{
		Version: "1.2.3", UptimeSeconds: 11550, Ready: false, Checks: []api.Check{{Name: "log", OK: true}, {Name: "disk", Detail: "nearly full"}, {Name: "rules", OK: true, Detail: "2 documents not used"}},
		Rates: api.Rates{EventsPerSecond: 1234.5, BytesPerSecond: 2.5e6, EvaluatedPerSecond: 1200, QuarantinedPerSecond: 0.1, MatchesPerSecond: 3, DetectionsPerMinute: 4},
	}
	s.node.sources = []api.Source{
		{Name: "idle", Tenant: "local"},
		{Name: "edr", Tenant: "local", EventsPerSecond: 1000, BytesPerSecond: 2e6, LagSeconds: 0.25, LastEvent: liveTime.Add(-2 * time.Second)},
		{Name: "fire\x1b[2Jwall", Tenant: "local", Silent: true, LastEvent: liveTime.Add(-3 * time.Hour), BlindRules: []string{"a", "b"}, Unaccounted: -1},
	}
	s.node.rules = []api.RuleFigures{
		{ID: "a", Title: "Cheap", Level: "low", State: "on", CostSeconds: 1, Matches: 5},
		{ID: "b", Title: "Dear", Level: "high", State: "over_budget", CostSeconds: 3, Matches: 7, Detections: 2},
	}
	const want = `tiercel 1.2.3 at http://127.0.0.1:8600, NOT READY, up 3h12m
  disk: nearly full
  rules: 2 documents not used

on average over the last minute
received       1234.5 events/s, 2.50 MB/s
evaluated      1200.0 events/s
quarantined    0.1 events/s
found          3.0 matches/s, 4.0 detections/min

source                               events/s       MB/s        lag   last event
local/fire␛[2Jwall                        0.0       0.00       0.0s     3h0m ago  SILENT, 2 rules blind  UNACCOUNTED -1
local/edr                              1000.0       2.00       0.2s     2.0s ago
local/idle                                0.0       0.00       0.0s        never

cost        seconds      matches   detections  rule, of 2
  75.0 %       3.00            7            2  Dear (high, over_budget)
  25.0 %       1.00            5            0  Cheap (low)
`
	s.says(t, exitDone, want, "stats", "--once")
	s.says(t, exitDone, want, "stats")
	p, stdout, _ := s.process("stats", "--json")
	var got liveStats
	if err := run(t.Context(), p); err != nil || json.Unmarshal(stdout.Bytes(), &got) != nil || got.Rules.Loaded != 2 || got.Status.Version != "1.2.3" {
		t.Errorf("%v %s", err, stdout)
	}
	s.fails(t, exitUsage, "--interval", "stats", "--interval", "1ms")

	if t.Failed() {
		return // the view below would never come
	}
	// On a terminal it is drawn anew until it is interrupted.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	p, _, _ = s.process("stats")
	out := &screen{}
	p.stdout, p.stdoutTerminal = out, true
	done := make(chan error)
	go func() { done <- run(ctx, p) }()
	frame := "\x1b[H" + strings.ReplaceAll(want, "\n", "\x1b[K\n") + "\x1b[J"
	select {
	case <-out.expect(frame + frame):
	case err := <-done:
		t.Fatalf("it ended by itself: %v", err)
	}
	cancel()
	if err := <-done; exitCode(err) != exitInterrupted {
		t.Errorf("exit code %d: %v", exitCode(err), err)
	}
}

func TestGlance(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float64]string{-3: "0s", 0: "0.0s", 9.94: "9.9s", 45: "45s", 750: "12m30s", 11550: "3h12m", 352800: "4d2h"} {
		if got := glance(seconds); got != want {
			t.Errorf("%v: %s, want %s", seconds, got, want)
		}
	}
}

// Where the token comes from, and where it does not go.
func TestConnection(t *testing.T) {
	t.Parallel()
	s := newLiveServer(t)
	for _, dir := range []string{"/home/me/.local/share/tiercel/access", "elsewhere/access"} {
		if err := s.fs.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := writeFile(s.fs, dir+"/cli-token", "good\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.fs.MkdirAll("other/access", 0o700), writeFile(s.fs, "other/access/cli-token", "stale\n")); err != nil {
		t.Fatal(err)
	}
	try := func(vars map[string]string, args ...string) (int, string, []string) {
		p, _, stderr := s.process(append([]string{"detections", "list", "-n", "1"}, args...)...)
		p.getenv = func(k string) string { return vars[k] }
		s.net.mu.Lock()
		s.net.dialled = nil
		s.net.mu.Unlock()
		err := run(t.Context(), p)
		return exitCode(err), stderr.String(), s.net.dialled
	}
	for name, c := range map[string]struct {
		vars map[string]string
		args []string
		code int
		want string
		dial string
	}{
		"the file of the data folder":  {vars: map[string]string{"HOME": "/home/me"}, dial: "127.0.0.1:8600"},
		"the folder of a variable":     {vars: map[string]string{"TIERCEL_DATA": "elsewhere"}, dial: "127.0.0.1:8600"},
		"the folder of a flag":         {args: []string{"--data", "elsewhere"}, dial: "127.0.0.1:8600"},
		"a token in the environment":   {vars: map[string]string{"TIERCEL_TOKEN": "good"}, dial: "127.0.0.1:8600"},
		"a flag before a variable":     {vars: map[string]string{"TIERCEL_TOKEN": "bad"}, args: []string{"--token", "good"}, dial: "127.0.0.1:8600"},
		"another port":                 {args: []string{"--token", "good", "--server", "http://localhost:99/"}, dial: "localhost:99"},
		"a server in the environment":  {vars: map[string]string{"TIERCEL_SERVER": "http://[::1]:7", "TIERCEL_TOKEN": "good"}, dial: "[::1]:7"},
		"no token":                     {code: exitUsage, want: "no token"},
		"the token of another folder":  {vars: map[string]string{"TIERCEL_DATA": "other"}, code: exitUsage, want: "The token is that of other/access/cli-token: is this the data folder of the server at http://127.0.0.1:8600?", dial: "127.0.0.1:8600"},
		"a wrong token":                {args: []string{"--token", "bad"}, code: exitUsage, want: "Give an admin token", dial: "127.0.0.1:8600"},
		"a token with a line feed":     {args: []string{"--token", "a\nb"}, code: exitUsage, want: "was it copied whole"},
		"plain http to elsewhere":      {args: []string{"--token", "good", "--server", "http://192.0.2.1:8600"}, code: exitUsage, want: "use https"},
		"a name that is not loopback":  {args: []string{"--token", "good", "--server", "http://localhost.example"}, code: exitUsage, want: "use https"},
		"our token is not for others":  {vars: map[string]string{"HOME": "/home/me"}, args: []string{"--server", "https://example.org"}, code: exitUsage, want: "no token for https://example.org"},
		"no address":                   {args: []string{"--server", "127.0.0.1:8600"}, code: exitUsage, want: "is not the address of a server"},
		"an address with a password":   {args: []string{"--server", "http://u:p@127.0.0.1"}, code: exitUsage, want: "is not the address of a server"},
		"a certificate that is none":   {args: []string{"--token", "good", "--ca", "elsewhere/access/cli-token"}, code: exitUsage, want: "holds no certificate"},
		"an authority that is missing": {args: []string{"--token", "good", "--ca", "nowhere"}, code: exitUsage, want: "--ca"},
		"a tenant that is unknown":     {args: []string{"--token", "good", "--tenant", "other"}, code: exitUsage, want: `no such tenant` + "\nIt was asked for \"other\"", dial: "127.0.0.1:8600"},
	} {
		code, stderr, dialled := try(c.vars, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || strings.Join(dialled, " ") != c.dial {
			t.Errorf("%s: exit code %d, dialled %q, stderr %q", name, code, dialled, stderr)
		}
		if strings.Contains(stderr, "good") {
			t.Errorf("%s: the token is shown: %q", name, stderr)
		}
	}
}

// Something else that answers on the port is told from a server.
func TestAnotherServer(t *testing.T) {
	t.Parallel()
	n := &liveNet{conns: make(chan net.Conn, 4)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for c := range n.conns {
			go func() {
				buf := make([]byte, 4096)
				_, _ = c.Read(buf)
				_, _ = io.WriteString(c, "HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 3\r\n\r\n\x1b[2")
				c.Close()
			}()
		}
	}()
	s := &liveServer{net: n, fs: vfs.NewMem()}
	s.fails(t, exitInput, "which is not how Tiercel answers", "stats")
	if len(n.dialled) != 1 {
		t.Errorf("dialled %q", n.dialled)
	}
	close(n.conns)
	<-done
}
