package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/report"
)

const (
	// sendWait bounds one test event: an acknowledgement is one sync of a disk.
	sendWait = 30 * time.Second
	// sendAnswerMax bounds an answer.
	sendAnswerMax = 64 << 10
)

// sendFlags say what to send and where.
type sendFlags struct {
	protocols         []string
	to, syslog, token string
	ca                string
}

// testEvent is what is sent: the same event by every protocol.
type testEvent struct {
	// mark is unlike any other, so that the event can be found again.
	mark string
	at   time.Time
	f    *sendFlags
	base *url.URL
}

func (e *testEvent) message() string { return "tiercel test event " + e.mark }

func (e *testEvent) document() []byte {
	b, _ := json.Marshal(map[string]any{ // texts only: it cannot fail
		"@timestamp": e.at.UTC().Format(time.RFC3339Nano), "message": e.message(), "tiercel_test": e.mark,
		"host": map[string]string{"name": "tiercel-send"},
	})
	return b
}

// sender sends a test event by one protocol and says what was answered.
type sender struct {
	name, about string
	send        func(context.Context, *process, *testEvent) (answer string, err error)
}

// senders are the protocols that can be tried; those of HTTP first, which are
// tried when none is chosen.
func senders() []sender {
	return []sender{
		{"elastic", "Elasticsearch bulk", sendElastic},
		{"hec", "Splunk HTTP Event Collector", sendHEC},
		{"otlp", "OpenTelemetry logs over HTTP", sendOTLP},
		{"ndjson", "JSON lines over HTTP", sendNDJSON},
		{"syslog-tcp", "syslog RFC 5424 over TCP", sendSyslog("tcp")},
		{"syslog-udp", "syslog RFC 5424 over UDP", sendSyslog("udp")},
	}
}

func newSend(p *process) *cobra.Command {
	var f sendFlags
	var names []string
	for _, s := range senders() {
		names = append(names, s.name)
	}
	c := &cobra.Command{
		Use:   "send",
		Short: "Send a test event by each protocol and say what was answered",
		Long: "Send speaks to a running server as agents do, one marked event for each protocol, and prints the\n" +
			"answer. It exits with 1 when one was not acknowledged. Without --protocol it tries those of HTTP,\n" +
			"and syslog too when --syslog names an address. The token is one that agents have, for a source, as\n" +
			"TIERCEL_INGEST_TOKEN is; TIERCEL_TOKEN is the admin token of other verbs.",
		Example: "  tiercel send --token tc1_…\n" +
			"  tiercel send --to https://siem.example.org:8600 --protocol elastic,hec\n" +
			"  tiercel send --protocol syslog-udp --syslog 127.0.0.1:5514",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runSend(c.Context(), p, &f) },
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.protocols, "protocol", nil, "`names` of protocols: "+strings.Join(names, ", "))
	flags.StringVar(&f.to, "to", "", "`URL` of the server (default TIERCEL_SERVER, else "+defaultServer+")")
	flags.StringVar(&f.syslog, "syslog", "", "`host:port` of a plain syslog listener")
	flags.StringVar(&f.token, "token", "", "ingest `token` (default TIERCEL_INGEST_TOKEN)")
	flags.StringVar(&f.ca, "ca", "", "PEM `file` of the authority of the server's certificate (default: the system's)")
	complete(c, "protocol", names)
	return c
}

func runSend(ctx context.Context, p *process, f *sendFlags) error {
	base, err := url.Parse(firstOf(f.to, p.getenv("TIERCEL_SERVER"), defaultServer))
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Hostname() == "" || base.User != nil {
		return usageError("--to %s is not the address of a server; write it as %s", report.Clean(f.to, 200), defaultServer)
	}
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		return usageError("--to %s would send the token readable by anyone on the way; use https", base.Redacted())
	}
	base.Path = strings.TrimSuffix(base.Path, "/")
	f.token = strings.TrimSpace(firstOf(f.token, p.getenv("TIERCEL_INGEST_TOKEN")))
	if strings.ContainsFunc(f.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return usageError("the token has characters that no token has; was it copied whole?")
	}
	chosen, err := f.choose()
	if err != nil {
		return err
	}
	failed := false
	for _, s := range chosen {
		mark := make([]byte, 8)
		if _, err := io.ReadFull(p.world.Rand, mark); err != nil {
			return err
		}
		start := p.world.Clock.Now()
		e := &testEvent{mark: hex.EncodeToString(mark), at: start, f: f, base: base}
		limited, cancel := context.WithTimeout(ctx, sendWait)
		answer, err := s.send(limited, p, e)
		cancel()
		if ctx.Err() != nil {
			return &codedError{exitInterrupted, nil}
		}
		took := p.world.Clock.Now().Sub(start).Round(time.Millisecond)
		if err != nil {
			failed = true
			fmt.Fprintf(p.stdout, "%-11s failed: %s\n", s.name, report.Clean(access.Redact(err.Error()), 500))
			continue
		}
		fmt.Fprintf(p.stdout, "%-11s ok: %s (event %s, %s)\n", s.name, report.Clean(answer, 300), e.mark, took)
	}
	if failed {
		return &codedError{exitFailed, nil}
	}
	return nil
}

func (f *sendFlags) choose() ([]sender, error) {
	all := senders()
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	for _, name := range f.protocols {
		if !slices.Contains(names, name) {
			return nil, usageError("--protocol %q is unknown%s\nKnown are %s", report.Clean(name, 80), didYouMean(name, names), strings.Join(names, ", "))
		}
	}
	var chosen []sender
	for _, s := range all {
		plain := strings.HasPrefix(s.name, "syslog")
		wanted := slices.Contains(f.protocols, s.name) || len(f.protocols) == 0 && (!plain || f.syslog != "")
		switch {
		case !wanted:
			continue
		case plain && f.syslog == "":
			return nil, usageError("%s needs --syslog host:port, the address of a listener under receivers.syslog", s.name)
		case !plain && f.token == "":
			return nil, usageError("no token; make one with 'tiercel token create test --source test', and give it with --token or TIERCEL_INGEST_TOKEN\nTIERCEL_TOKEN is not taken: it is the admin token of the verbs that ask a server")
		}
		chosen = append(chosen, s)
	}
	return chosen, nil
}

// post sends a body and returns the status and the answer.
func (e *testEvent) post(ctx context.Context, p *process, path, authorization, contentType string, body []byte) (int, []byte, error) {
	u := *e.base
	u.Path += path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", authorization)
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "tiercel/"+version)
	via := &http.Transport{DialContext: p.world.Net.DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10}
	if e.f.ca != "" {
		pem, err := readFile(p.world.FS, e.f.ca)
		if err != nil {
			return 0, nil, fmt.Errorf("--ca: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM([]byte(pem)) {
			return 0, nil, fmt.Errorf("--ca %s holds no certificate in PEM", e.f.ca)
		}
		via.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	answer, err := via.RoundTrip(req)
	if err != nil {
		return 0, nil, fmt.Errorf("no answer from %s: %w%s", e.base.Redacted(), err, strings.ReplaceAll(unreachableAdvice(err), "\n", ". "))
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, sendAnswerMax))
	if err != nil {
		return 0, nil, fmt.Errorf("the answer broke off: %w", err)
	}
	return answer.StatusCode, text, nil
}

// refusedBy says what a status means to the sender of a test event.
func refusedBy(status int, text []byte) error {
	advice := ""
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		advice = "; is this an ingest token, and neither revoked nor expired? 'tiercel token list' shows them"
	case http.StatusNotFound:
		advice = "; is this Tiercel's address?"
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		advice = "; the server is busy or its disk is full, 'tiercel doctor' says more"
	case http.StatusBadRequest:
		if bytes.Contains(text, []byte(plainToTLS)) {
			advice = " Write --to with https://"
		}
	}
	return fmt.Errorf("answered %d: %.200s%s", status, reasonOf(text), advice)
}

// reasonOf is the sentence in an answer of one of the protocols that says why a
// request was refused, or the answer itself where there is none.
func reasonOf(text []byte) string {
	var flat struct{ Text, Message string } // HEC and OTLP
	var nested struct {                     // the bulk API and NDJSON
		Error struct{ Reason, Message string }
	}
	_, _ = json.Unmarshal(text, &flat), json.Unmarshal(text, &nested)
	return firstOf(nested.Error.Reason, nested.Error.Message, flat.Text, flat.Message, string(bytes.TrimSpace(text)))
}

func sendElastic(ctx context.Context, p *process, e *testEvent) (string, error) {
	body := "{\"create\":{\"_index\":\"tiercel-send\",\"_id\":\"" + e.mark + "\"}}\n" + string(e.document()) + "\n"
	status, text, err := e.post(ctx, p, "/_bulk", "Bearer "+e.f.token, "application/x-ndjson", []byte(body))
	if err != nil {
		return "", err
	}
	var answer struct {
		Errors *bool `json:"errors"`
		Items  []map[string]struct {
			Status int    `json:"status"`
			Result string `json:"result"`
		} `json:"items"`
	}
	if status != http.StatusOK {
		return "", refusedBy(status, text)
	}
	if json.Unmarshal(text, &answer) != nil || answer.Errors == nil || *answer.Errors || len(answer.Items) != 1 {
		return "", fmt.Errorf("answered %d, but not for one event: %.200s", status, text)
	}
	item := answer.Items[0]["create"]
	if item.Status < 200 || item.Status > 299 {
		return "", fmt.Errorf("the event was answered %d: %.200s", item.Status, text)
	}
	return fmt.Sprintf("%d, the event %d %s", status, item.Status, item.Result), nil
}

func sendHEC(ctx context.Context, p *process, e *testEvent) (string, error) {
	at := strconv.FormatFloat(float64(e.at.UnixMilli())/1000, 'f', 3, 64)
	body := `{"time":` + at + `,"host":"tiercel-send","sourcetype":"_json","event":` + string(e.document()) + `}`
	status, text, err := e.post(ctx, p, "/services/collector/event", "Splunk "+e.f.token, "application/json", []byte(body))
	if err != nil {
		return "", err
	}
	var answer struct {
		Text string `json:"text"`
		Code *int   `json:"code"`
	}
	if status != http.StatusOK {
		return "", refusedBy(status, text)
	}
	if json.Unmarshal(text, &answer) != nil || answer.Code == nil || *answer.Code != 0 {
		return "", fmt.Errorf("answered %d, but not with code 0: %.200s", status, text)
	}
	return fmt.Sprintf("%d, code 0 %s", status, answer.Text), nil
}

func sendOTLP(ctx context.Context, p *process, e *testEvent) (string, error) {
	body, err := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{
		"resource": map[string]any{"attributes": []any{otlpText("service.name", "tiercel-send")}},
		"scopeLogs": []any{map[string]any{"logRecords": []any{map[string]any{
			"timeUnixNano": strconv.FormatInt(e.at.UnixNano(), 10), "severityNumber": 9, "severityText": "INFO",
			"body": map[string]any{"stringValue": e.message()}, "attributes": []any{otlpText("tiercel_test", e.mark)},
		}}}},
	}}})
	if err != nil {
		return "", err
	}
	status, text, err := e.post(ctx, p, "/v1/logs", "Bearer "+e.f.token, "application/json", body)
	if err != nil {
		return "", err
	}
	var answer struct {
		Partial struct {
			Rejected any    `json:"rejectedLogRecords"`
			Message  string `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	if status != http.StatusOK {
		return "", refusedBy(status, text)
	}
	if json.Unmarshal(text, &answer) != nil || answer.Partial.Message != "" {
		return "", fmt.Errorf("answered %d, but not in full: %.200s", status, text)
	}
	return fmt.Sprintf("%d, full success", status), nil
}

func otlpText(key, text string) map[string]any {
	return map[string]any{"key": key, "value": map[string]any{"stringValue": text}}
}

func sendNDJSON(ctx context.Context, p *process, e *testEvent) (string, error) {
	status, text, err := e.post(ctx, p, "/v1/ingest/tiercel-send", "Bearer "+e.f.token, "application/x-ndjson", append(e.document(), '\n'))
	if err != nil {
		return "", err
	}
	var answer struct {
		Accepted int `json:"accepted"`
	}
	if status != http.StatusOK {
		return "", refusedBy(status, text)
	}
	if json.Unmarshal(text, &answer) != nil || answer.Accepted != 1 {
		return "", fmt.Errorf("answered %d, but not for one event: %.200s", status, text)
	}
	return fmt.Sprintf("%d, accepted 1", status), nil
}

// sendSyslog sends by plain syslog, which has no answer: that it was sent is
// all there is to know.
func sendSyslog(network string) func(context.Context, *process, *testEvent) (string, error) {
	return func(ctx context.Context, p *process, e *testEvent) (string, error) {
		// 14 is facility user, severity informational (RFC 5424, section 6.2.1).
		line := "<14>1 " + e.at.UTC().Format("2006-01-02T15:04:05.000000Z") + " tiercel-send tiercel - - - " + e.message()
		if network == "tcp" {
			line = strconv.Itoa(len(line)) + " " + line // octet counting of RFC 6587
		}
		conn, err := p.world.Net.DialContext(ctx, network, e.f.syslog)
		if err != nil {
			return "", fmt.Errorf("cannot reach %s: %w", e.f.syslog, err)
		}
		defer conn.Close()
		if deadline, ok := ctx.Deadline(); ok {
			if err := conn.SetWriteDeadline(deadline); err != nil {
				return "", err
			}
		}
		if _, err := io.WriteString(conn, line); err != nil {
			return "", fmt.Errorf("send to %s: %w", e.f.syslog, err)
		}
		if half, ok := conn.(*net.TCPConn); ok {
			if err := half.CloseWrite(); err != nil {
				return "", fmt.Errorf("send to %s: %w", e.f.syslog, err)
			}
		}
		return "sent; syslog has no answer, look for the event's mark", nil
	}
}
