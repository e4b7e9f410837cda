package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/env"
)

// online is a process with files in memory and the real network and
// randomness.
func online(t *testing.T, args ...string) (process, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	p, stdout, stderr := inProcess(t, args...)
	p.world.Net, p.world.Rand = env.Real().Net, rand.Reader
	return p, stdout, stderr
}

// receivers answers as the receivers do. answers replaces the answer of a path.
func receivers(t *testing.T, answers map[string]string, status int) (base string, got map[string]string) {
	t.Helper()
	got = map[string]string{}
	standard := map[string]string{
		"/_bulk":                    `{"took":1,"errors":false,"items":[{"create":{"_id":"x","status":201,"result":"created"}}]}`,
		"/services/collector/event": `{"text":"Success","code":0}`,
		"/v1/logs":                  `{}`,
		"/v1/ingest/tiercel-send":   `{"accepted":1}`,
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got[r.URL.Path] = r.Header.Get("Authorization") + "\n" + string(body)
		w.WriteHeader(status)
		answer, ok := answers[r.URL.Path]
		if !ok {
			answer = standard[r.URL.Path]
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, got
}

func TestSendSpeaksEachProtocol(t *testing.T) {
	t.Parallel()
	base, got := receivers(t, nil, 200)
	p, stdout, stderr := online(t, "send", "--to", base, "--token", "tok")
	if err := run(context.Background(), p); err != nil {
		t.Fatalf("%v %s %s", err, stdout, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("printed\n%s", stdout)
	}
	for i, path := range []string{"/_bulk", "/services/collector/event", "/v1/logs", "/v1/ingest/tiercel-send"} {
		_, mark, _ := strings.Cut(lines[i], "(event ")
		mark, _, _ = strings.Cut(mark, ",")
		if len(mark) != 16 || !strings.Contains(got[path], "tiercel test event "+mark) || !strings.Contains(lines[i], " ok: 200") {
			t.Errorf("%s: printed %q, sent\n%s", path, lines[i], got[path])
		}
		scheme := "Bearer tok\n"
		if strings.HasPrefix(path, "/services") {
			scheme = "Splunk tok\n"
		}
		if !strings.HasPrefix(got[path], scheme) {
			t.Errorf("%s: sent\n%s", path, got[path])
		}
	}
	_, hec, _ := strings.Cut(got["/services/collector/event"], "\n")
	var e struct {
		Time float64 `json:"time"`
	}
	if err := json.Unmarshal([]byte(hec), &e); err != nil || e.Time != 1_780_000_000 {
		t.Errorf("hec got %s", hec)
	}
}

// Each way of not acknowledging is told, and the exit code is 1.
func TestSendTellsRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		protocol, path, answer string
		status                 int
		want                   string
	}{
		{"elastic", "/_bulk", `{"error":{}}`, 401, "answered 401"},
		{"elastic", "/_bulk", `{"error":{"root_cause":[{"reason":"no"}],"reason":"unknown token"},"status":401}`, 401, "answered 401: unknown token; is this an ingest token"},
		{"hec", "/services/collector/event", `{"text":"Invalid token","code":4}`, 403, "answered 403: Invalid token; is this"},
		{"otlp", "/v1/logs", `{"code":16,"message":"token has expired"}`, 401, "answered 401: token has expired; is this"},
		{"ndjson", "/v1/ingest/tiercel-send", `{"error":{"code":"token","message":"unknown token"}}`, 401, "answered 401: unknown token; is this"},
		{"ndjson", "/v1/ingest/tiercel-send", "Client sent an HTTP request to an HTTPS server.\n", 400, "HTTPS server. Write --to with https://"},
		{"elastic", "/_bulk", `{"errors":true,"items":[{"create":{"status":400}}]}`, 200, "not for one event"},
		{"elastic", "/_bulk", `{"errors":false,"items":[]}`, 200, "not for one event"},
		{"elastic", "/_bulk", `{"errors":false,"items":[{"create":{"status":429}}]}`, 200, "the event was answered 429"},
		{"elastic", "/_bulk", `<html>`, 200, "not for one event"},
		{"hec", "/services/collector/event", `{"text":"Server is busy","code":9}`, 503, "the server is busy"},
		{"hec", "/services/collector/event", `{"text":"No data","code":5}`, 200, "not with code 0"},
		{"hec", "/services/collector/event", `{}`, 200, "not with code 0"},
		{"otlp", "/v1/logs", `{"partialSuccess":{"errorMessage":"no"}}`, 200, "not in full"},
		{"ndjson", "/v1/ingest/tiercel-send", `{"accepted":0}`, 200, "not for one event"},
		{"ndjson", "/v1/ingest/tiercel-send", "\x1b[31mno\n", 404, "is this Tiercel's address?"},
	} {
		base, _ := receivers(t, map[string]string{c.path: c.answer}, c.status)
		p, stdout, _ := online(t, "send", "--to", base, "--token", "tok", "--protocol", c.protocol)
		err := run(context.Background(), p)
		if exitCode(err) != exitFailed || !strings.Contains(stdout.String(), "failed: ") || !strings.Contains(stdout.String(), c.want) || strings.Contains(stdout.String(), "\x1b") {
			t.Errorf("%s %s: %v\n%s", c.protocol, c.answer, err, stdout)
		}
	}
}

func TestSendUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"send"},
		{"send", "--token", "x", "--protocol", "elastik"},
		{"send", "--token", "x", "--to", "http://siem.example.org"},
		{"send", "--token", "x", "--to", "nowhere"},
		{"send", "--token", "a b"},
		{"send", "--protocol", "syslog-udp"},
	} {
		p, _, stderr := online(t, args...)
		if err := run(context.Background(), p); exitCode(err) != exitUsage {
			t.Errorf("%q: %v %s", args, err, stderr)
		}
	}
}

// Send takes an ingest token; the variable of the verbs' admin token is left
// alone, since agents must not have that.
func TestSendToken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		vars map[string]string
		args []string
		want string // empty is a usage error
	}{
		{map[string]string{"TIERCEL_INGEST_TOKEN": "ingest", "TIERCEL_TOKEN": "admin"}, nil, "ingest"},
		{map[string]string{"TIERCEL_INGEST_TOKEN": "ingest"}, []string{"--token", "given"}, "given"},
		{map[string]string{"TIERCEL_TOKEN": "admin"}, []string{"--token", "given"}, "given"},
		{map[string]string{"TIERCEL_TOKEN": "admin"}, nil, ""},
	} {
		shown := make(chan string, 1)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			shown <- strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			_, _ = io.WriteString(w, `{"accepted":1}`)
		}))
		p, _, stderr := online(t, append([]string{"send", "--to", s.URL, "--protocol", "ndjson"}, c.args...)...)
		p.getenv = func(name string) string { return c.vars[name] }
		err := run(context.Background(), p)
		s.Close()
		if c.want == "" {
			if exitCode(err) != exitUsage || !strings.Contains(err.Error(), "TIERCEL_INGEST_TOKEN") || len(shown) > 0 {
				t.Errorf("%v: %v %s", c.vars, err, stderr)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v %s", c.vars, err, stderr)
			continue
		}
		if got := <-shown; got != c.want {
			t.Errorf("%v %v: sent with %q, want %q", c.vars, c.args, got, c.want)
		}
	}
}

func TestSendSyslog(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	tcp, err := env.Real().Net.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := env.Real().Net.ListenPacket(ctx, "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := tcp.Accept()
		if err != nil {
			got <- err.Error()
			return
		}
		defer conn.Close()
		b, _ := io.ReadAll(conn)
		got <- string(b)
	}()
	p, stdout, _ := online(t, "send", "--protocol", "syslog-tcp", "--syslog", tcp.Addr().String())
	if err := run(ctx, p); err != nil {
		t.Fatal(err, stdout)
	}
	line := <-got
	length, rest, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(rest, "<14>1 ") || !strings.Contains(rest, "tiercel test event ") || length != strconv.Itoa(len(rest)) {
		t.Errorf("tcp got %q, printed %s", line, stdout)
	}
	p, stdout, _ = online(t, "send", "--protocol", "syslog-udp", "--syslog", udp.LocalAddr().(*net.UDPAddr).String())
	if err := run(ctx, p); err != nil {
		t.Fatal(err, stdout)
	}
	buf := make([]byte, 1000)
	n, _, err := udp.ReadFrom(buf)
	if err != nil || !strings.HasPrefix(string(buf[:n]), "<14>1 ") {
		t.Errorf("udp got %q, %v", buf[:n], err)
	}
}
