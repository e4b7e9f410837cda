package api

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestLedgerRange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for query, want := range map[string]LedgerQuery{
		"":                          {From: at(t, "2026-11-22T09:00:00Z"), To: at(t, "2026-11-22T10:01:00Z"), Limit: 1000},
		"from=2026-11-22T08:10:50Z": {From: at(t, "2026-11-22T08:10:00Z"), To: at(t, "2026-11-22T10:01:00Z"), Limit: 1000},
		"from=2026-11-22T08:10:00%2B02:00&to=2026-11-22T07:00:00Z&source=s&limit=7": {
			Source: "s", From: at(t, "2026-11-22T06:10:00Z"), To: at(t, "2026-11-22T07:00:00Z"), Limit: 7,
		},
		"from=2026-10-22T10:01:00Z&to=2026-11-22T10:01:00Z": {From: at(t, "2026-10-22T10:01:00Z"), To: at(t, "2026-11-22T10:01:00Z"), Limit: 1000},
	} {
		rec := w.ask("GET", v1+"/ledger?"+query, "alpha-read", "")
		if rec.Code != 200 || !reflect.DeepEqual(w.node.ledger, want) {
			t.Errorf("?%s: %d %s\nasked %+v\nwant  %+v", query, rec.Code, rec.Body, w.node.ledger, want)
		}
	}
	for _, query := range []string{
		"from=2026-11-22T11:00:00Z", "from=2026-10-22T10:00:00Z&to=2026-11-22T10:01:00Z", "from=yesterday", "limit=0", "limit=10001", "limit=x",
		"from=2026-11-22T10:00:00Z&to=2026-11-22T10:00:00Z", "source=" + strings.Repeat("s", 201),
	} {
		if rec := w.ask("GET", v1+"/ledger?"+query, "alpha-read", ""); errorOf(t, rec) != CodeInvalid {
			t.Errorf("?%s: %d %s", query, rec.Code, rec.Body)
		}
	}
	if rec := w.ask("GET", v1+"/ledger/gaps?rule=r", "alpha-read", ""); rec.Code != 200 ||
		w.node.gaps != (GapQuery{Rule: "r", From: at(t, "2026-11-21T10:00:00Z"), To: at(t, "2026-11-22T10:01:00Z"), Limit: 1000}) {
		t.Errorf("%d, asked %+v", rec.Code, w.node.gaps)
	}
}

func TestLedgerForm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const want = `{"minutes":[{"minute":"2026-11-22T09:00:00Z","source":"canary-of-alpha","received":3,"evaluated":3,"late":0,"quarantined":0,"damaged":0,"unexplained":0,"settled":true}],` +
		`"totals":{"received":0,"evaluated":0,"late":0,"quarantined":0,"damaged":0,"unexplained":0},"types":[]}` + "\n"
	if got := w.ask("GET", v1+"/ledger", "alpha-read", "").Body.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestListDetections(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := w.ask("GET", v1+"/detections?min_level=high&rule=r&phase=final,closed&value=WS01&q=shell&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&limit=3", "alpha-read", "")
	want := detection.Filter{
		MinLevel: "high", RuleID: "r", Phases: []string{"final", "closed"}, Value: "WS01", Query: "shell",
		From: at(t, "2026-01-01T00:00:00Z"), To: at(t, "2026-02-01T00:00:00Z"), Limit: 3,
	}
	if rec.Code != 200 || !reflect.DeepEqual(w.detections.asked, want) {
		t.Errorf("%d %s\nasked %+v", rec.Code, rec.Body, w.detections.asked)
	}
	var page DetectionPage
	if err := json.Unmarshal(rec.Body.Bytes(), &page); err != nil || len(page.Detections) != 3 || page.Latest != 3 {
		t.Errorf("%v %s", err, rec.Body)
	}
	for _, query := range []string{
		"min_level=severe", "phase=open", "limit=501", "cursor=zzz", "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z", "cursor=" + strings.Repeat("a", 501),
	} {
		if rec := w.ask("GET", v1+"/detections?"+query, "alpha-read", ""); errorOf(t, rec) != CodeInvalid {
			t.Errorf("?%s: %d %s", query, rec.Code, rec.Body)
		}
	}
}

// Bytes of a stranger are never shown by a browser as what they pretend to be.
func TestQuarantinedBytes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const raw = "\x00<script>canary-of-alpha"
	rec := w.ask("GET", v1+"/quarantine/q-alpha", "alpha-read", "")
	var q quarantine.Entry
	if err := json.Unmarshal(rec.Body.Bytes(), &q); err != nil || string(q.Raw) != raw || q.Reason != "unparsed" {
		t.Errorf("%v %+v", err, q)
	}
	if !strings.Contains(rec.Body.String(), base64.StdEncoding.EncodeToString([]byte(raw))) {
		t.Errorf("no base64 in %s", rec.Body)
	}
	rec = w.ask("GET", v1+"/quarantine/q-alpha?raw=1", "alpha-read", "")
	if rec.Body.String() != raw {
		t.Errorf("raw is %q", rec.Body)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename="quarantine-q-alpha.bin"`,
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, query := range []string{"cursor=x", "limit=501", "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z"} {
		if rec := w.ask("GET", v1+"/quarantine?"+query, "alpha-read", ""); errorOf(t, rec) != CodeInvalid {
			t.Errorf("?%s: %d %s", query, rec.Code, rec.Body)
		}
	}
	if rec := w.ask("GET", v1+"/quarantine/q-alpha?raw=yes", "alpha-read", ""); errorOf(t, rec) != CodeInvalid {
		t.Errorf("raw=yes: %d", rec.Code)
	}
	if got := plainName("a/../b\"\r\nX: y\u202e"); got != "a____b___X__y_" {
		t.Errorf("name %q", got)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ask("POST", v1+"/quarantine/q-alpha/retry", "alpha-write", "")
	w.ask("POST", v1+"/quarantine/retry", "alpha-write", `{"reason":"limit"}`)
	w.ask("POST", v1+"/quarantine/retry", "alpha-write", `{"ids":["a","b"],"limit":2}`)
	want := []RetryQuery{{IDs: []string{"q-alpha"}, Limit: 1}, {Reason: "limit", Limit: 1000}, {IDs: []string{"a", "b"}, Limit: 2}}
	if !reflect.DeepEqual(w.node.retries, want) {
		t.Errorf("tried %+v", w.node.retries)
	}
	if e := w.audit.take(); len(e) != 3 || e[0].Object != "q-alpha" || e[2].Object != "a,b" || e[2].Tenant != w.alpha {
		t.Errorf("recorded %+v", e)
	}
	many, err := json.Marshal(map[string]any{"ids": slices.Repeat([]string{"a"}, 501)})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"ids":["a"],"source":"s"}`, `{"ids":[""]}`, string(many), `{"limit":10001}`, `{"limit":-1}`} {
		if rec := w.ask("POST", v1+"/quarantine/retry", "alpha-write", body); errorOf(t, rec) != CodeInvalid {
			t.Errorf("%.40s: %d %s", body, rec.Code, rec.Body)
		}
	}
}

// A label is never a path.
func TestBackupLabel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pattern := regexp.MustCompile(BackupLabelPattern)
	for _, label := range []string{"", "..", "../x", "a/b", `a\b`, "/etc", "A", "a b", "a\x00", "a\n", "-a", "_a", ".a", "a.b", "ä", strings.Repeat("a", 65)} {
		body, err := json.Marshal(map[string]string{"label": label})
		if err != nil {
			t.Fatal(err)
		}
		if rec := w.ask("POST", v1+"/backup", "all-write", string(body)); errorOf(t, rec) != CodeInvalid {
			t.Errorf("label %q: %d %s", label, rec.Code, rec.Body)
		}
		if pattern.MatchString(label) {
			t.Errorf("the pattern takes %q", label)
		}
	}
	for _, label := range []string{"a", "2026-11-22_evening", strings.Repeat("a", 64)} {
		if rec := w.ask("POST", v1+"/backup", "all-write", `{"label":"`+label+`"}`); rec.Code != 200 {
			t.Errorf("label %q: %d %s", label, rec.Code, rec.Body)
		}
	}
	if len(w.node.labels) != 3 {
		t.Errorf("labels %q", w.node.labels)
	}
	if e := w.audit.take(); e[len(e)-1].Object != strings.Repeat("a", 64) {
		t.Errorf("recorded %+v", e[len(e)-1])
	}
	// Without a label it is the time's, which the audit log knows too.
	rec := w.ask("POST", v1+"/backup", "all-write", `{}`)
	if !strings.Contains(rec.Body.String(), `"label":"of-now"`) || !strings.Contains(rec.Body.String(), `"folder":"/data/backups/of-now"`) {
		t.Errorf("no label: %d %s", rec.Code, rec.Body)
	}
	if e := w.audit.take(); e[len(e)-1].Object != "of-now" {
		t.Errorf("recorded %+v", e[len(e)-1])
	}
	w.node.err = store.ErrConflict
	if rec := w.ask("POST", v1+"/backup", "all-write", `{"label":"twice"}`); errorOf(t, rec) != CodeConflict || !strings.Contains(rec.Body.String(), `there is a backup \"twice\" already`) {
		t.Errorf("a label that is taken: %d %s", rec.Code, rec.Body)
	}
	if rec := w.ask("POST", v1+"/backup", "all-write", `{}`); !strings.Contains(rec.Body.String(), "there is a backup of this second already") {
		t.Errorf("a time that is taken: %d %s", rec.Code, rec.Body)
	}
}

// What is not there is named, and so is how a time is written.
func TestRefusalsNameTheThing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/detections/nosuch", "there is no detection"},
		{"GET", "/quarantine/nosuch", "no record with this id is in quarantine"},
		{"POST", "/quarantine/nosuch/retry", "no record with this id is in quarantine"},
		{"DELETE", "/tokens/nosuch", "there is no token with this id"},
		{"POST", "/webhooks/nosuch/retry", "no notification with this id"},
	} {
		if rec := w.ask(c.method, v1+c.path+"?tenant=alpha", "all-write", ""); errorOf(t, rec) != CodeNotFound || !strings.Contains(rec.Body.String(), c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, rec.Code, rec.Body)
		}
	}
	for _, path := range []string{"/detections?from=yesterday", "/quarantine?to=2026-03-01", "/ledger?from=1"} {
		if rec := w.ask("GET", v1+path, "alpha-write", ""); errorOf(t, rec) != CodeInvalid || !strings.Contains(rec.Body.String(), "as 2026-03-01T09:30:00Z") {
			t.Errorf("%s: %d %s", path, rec.Code, rec.Body)
		}
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	create := func(query, body string) *httptest.ResponseRecorder {
		return w.ask("POST", v1+"/tokens?"+query, "all-write", body)
	}
	rec := create("tenant=beta", `{"name":"n","kind":"ingest","source":"s","expires_days":2}`)
	var made NewToken
	if err := json.Unmarshal(rec.Body.Bytes(), &made); err != nil || rec.Code != http.StatusCreated || made.Token != "secret" || made.Tenant != "beta" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	create("", `{"name":"root","kind":"admin","write":true}`)
	want := []TokenRequest{
		{Name: "n", Kind: "ingest", Tenant: w.beta, Source: "s", Lifetime: 48 * time.Hour},
		{Name: "root", Kind: "admin", Write: true},
	}
	if !reflect.DeepEqual(w.tokens.created, want) {
		t.Errorf("created %+v", w.tokens.created)
	}
	for body, code := range map[string]Code{
		`{"name":"n","kind":"ingest"}`:                               CodeInvalid,
		`{"name":"n","kind":"ingest","source":"s","write":true}`:     CodeInvalid,
		`{"name":"n","kind":"admin","source":"s"}`:                   CodeInvalid,
		`{"name":"n","kind":"root"}`:                                 CodeInvalid,
		`{"name":"","kind":"admin"}`:                                 CodeInvalid,
		`{"name":"n","kind":"admin","expires_days":3651}`:            CodeInvalid,
		`{"name":"n","kind":"admin","expires_days":-1}`:              CodeInvalid,
		`{"name":"n","kind":"ingest","source":"s"}`:                  CodeTenantRequired,
		`{"name":"` + strings.Repeat("n", 101) + `","kind":"admin"}`: CodeInvalid,
	} {
		if rec := create("", body); errorOf(t, rec) != code {
			t.Errorf("%.60s: %d %s", body, rec.Code, rec.Body)
		}
	}
	w.audit.take()
	if rec := w.ask("DELETE", v1+"/tokens/t1?tenant=beta", "all-write", ""); rec.Code != http.StatusNoContent || rec.Body.Len() != 0 {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if !slices.Equal(w.tokens.revoked, []string{"beta/t1"}) {
		t.Errorf("revoked %q", w.tokens.revoked)
	}
	if rec := w.ask("DELETE", v1+"/tokens/other", "all-write", ""); errorOf(t, rec) != CodeNotFound {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if e := w.audit.take(); len(e) != 2 || e[0].Object != "t1" || e[0].Tenant != w.beta || e[1].Status != http.StatusNotFound {
		t.Errorf("recorded %+v", e)
	}
	// The secret stands in the one answer and nowhere else.
	if strings.Contains(w.log.String()+fmt.Sprint(w.audit.take()), "secret") {
		t.Error("the secret was written down")
	}
}

func TestRuleStats(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for query, want := range map[string]string{"": "b c a", "by=cost&limit=1": "b", "by=matches": "b c a", "by=detections": "c a b"} {
		var got RuleFiguresList
		rec := w.ask("GET", v1+"/rules/stats?"+query, "all-read", "")
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range got.Rules {
			ids = append(ids, r.ID)
		}
		if strings.Join(ids, " ") != want || got.Loaded != 3 || got.CostSeconds != 5 {
			t.Errorf("?%s: %v, %+v", query, ids, got)
		}
	}
}

// A tenant sees the rates of its own sources, and that a check fails, but not
// why: the reason may name what is another's.
func TestStatusOfATenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	status := func(token, query string) StatusReport {
		var r StatusReport
		if err := json.Unmarshal(w.ask("GET", v1+"/status?"+query, token, "").Body.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	all := status("all-read", "")
	if all.Rates.EventsPerSecond != 1000 || all.Checks[0].Detail == "" || len(all.Sources) != 2 {
		t.Errorf("of all tenants: %+v", all)
	}
	own := status("alpha-read", "")
	if want := (Rates{EventsPerSecond: 10, BytesPerSecond: 100}); own.Rates != want || own.Checks[0].Detail != "" || len(own.Sources) != 1 || !own.Ready {
		t.Errorf("of one: %+v", own)
	}
	if chosen := status("all-read", "tenant=alpha"); chosen.Rates != own.Rates || len(chosen.Sources) != 1 {
		t.Errorf("of a chosen one: %+v", chosen)
	}
}

func TestErrorsOfStores(t *testing.T) {
	t.Parallel()
	const inner = "open /secret/path: canary"
	for _, c := range []struct {
		err    error
		want   Code
		logged bool
	}{
		{store.ErrNotFound, CodeNotFound, false},
		{store.ErrConflict, CodeConflict, false},
		{store.ErrUnsupported, CodeUnsupported, false},
		{store.ErrFull, CodeDiskFull, false},
		{store.ErrClosed, CodeUnavailable, true},
		{store.ErrFailed, CodeUnavailable, true},
		{&ingest.Busy{Wait: 1500 * time.Millisecond, Why: inner}, CodeBusy, false},
		{errors.New("something else"), CodeInternal, true},
	} {
		w := newWorld(t)
		w.node.err = fmt.Errorf("%s: %w", inner, c.err)
		rec := w.ask("POST", v1+"/reload", "all-write", "")
		if got := errorOf(t, rec); got != c.want || strings.Contains(rec.Body.String(), "canary") {
			t.Errorf("%v: %d %s", c.err, rec.Code, rec.Body)
		}
		if logged := strings.Contains(w.log.String(), "canary"); logged != c.logged {
			t.Errorf("%v: logged is %v: %s", c.err, logged, w.log)
		}
		if wait := rec.Header().Get("Retry-After"); c.want == CodeBusy && wait != "2" {
			t.Errorf("Retry-After %q", wait)
		}
	}
}

// A fault of ours is an answer and a line in the log, and the next request is
// served.
func TestPanic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.node.panics = true
	rec := w.ask("GET", v1+"/status", "alpha-read", "")
	if errorOf(t, rec) != CodeInternal || strings.Contains(rec.Body.String(), "a fault of ours") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if !strings.Contains(w.log.String(), "a fault of ours") || !strings.Contains(w.log.String(), "stack=") {
		t.Errorf("log %s", w.log)
	}
	w.node.panics = false
	for range 2 * concurrency[costLight] { // no place was lost
		if rec := w.ask("GET", v1+"/status", "alpha-read", ""); rec.Code != 200 {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
	}
}

func TestCostClasses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.node.blocks, w.node.entered = make(chan struct{}), make(chan struct{})
	first := make(chan int)
	go func() { first <- w.ask("POST", v1+"/reload", "all-write", "").Code }()
	<-w.node.entered
	rec := w.ask("POST", v1+"/backup", "all-write", `{"label":"a"}`)
	if errorOf(t, rec) != CodeBusy || rec.Header().Get("Retry-After") != "1" {
		t.Errorf("a second heavy request: %d %s", rec.Code, rec.Body)
	}
	if rec := w.ask("GET", v1+"/status", "alpha-read", ""); rec.Code != 200 {
		t.Errorf("a light one: %d", rec.Code)
	}
	close(w.node.blocks)
	if code := <-first; code != 200 {
		t.Errorf("the first: %d", code)
	}
	if rec := w.ask("POST", v1+"/backup", "all-write", `{"label":"a"}`); rec.Code != 200 {
		t.Errorf("the next: %d", rec.Code)
	}
}

// Guesses of tokens are counted; they do not fill the audit log, nor the log.
func TestRefusedTokensAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	guess := func(n int) {
		for range n {
			w.ask("GET", v1+"/status", "guess", "")
		}
	}
	guess(50)
	if e := w.audit.take(); len(e) != 1 || e[0].Count != 1 || e[0].Kind != "token.refused" || e[0].Status != 401 || e[0].Peer == "" {
		t.Errorf("recorded %+v", e)
	}
	w.clock.advance(30 * time.Second)
	guess(50)
	if e := w.audit.take(); len(e) != 0 {
		t.Errorf("recorded %+v", e)
	}
	w.clock.advance(30 * time.Second)
	// A request that is let in records what is left.
	w.ask("GET", v1+"/status", "alpha-read", "")
	if e := w.audit.take(); len(e) != 1 || e[0].Count != 99 {
		t.Errorf("recorded %+v", e)
	}
	w.clock.advance(time.Hour)
	w.ask("GET", v1+"/status", "alpha-read", "")
	if e := w.audit.take(); len(e) != 0 {
		t.Errorf("recorded %+v", e)
	}
	if w.log.Len() != 0 {
		t.Errorf("log %s", w.log)
	}
	families, err := w.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		if f.GetName() == "tiercel_api_requests_total" {
			for _, m := range f.GetMetric() {
				counted[m.GetLabel()[1].GetValue()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	if want := map[string]float64{"get-status 401": 100, "get-status 200": 2}; !reflect.DeepEqual(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}

func TestWithoutWebhooks(t *testing.T) {
	t.Parallel()
	var n noWebhooks
	e, err := n.Endpoints(newWorld(t).alpha)
	d, err2 := n.Deliveries(newWorld(t).alpha, 1)
	if len(e)+len(d) != 0 || err != nil || err2 != nil || !errors.Is(n.Retry(t.Context(), newWorld(t).alpha, "x"), store.ErrNotFound) {
		t.Error("nobody is notified, and there is something")
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func(method, target string) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		Health(w.node).ServeHTTP(rec, httptest.NewRequest(method, target, nil))
		return rec
	}
	for target, want := range map[string]string{
		"/livez": "200 ok\n", "/healthz": "200 ok\n", "/-/healthy": "200 ok\n", "/readyz": "200 ready\n", "/-/ready": "200 ready\n",
		"/readyz?verbose": "200 [+] log: takes writes\nready\n",
	} {
		if rec := ask("GET", target); fmt.Sprint(rec.Code, " ", rec.Body) != want {
			t.Errorf("%s: %d %q", target, rec.Code, rec.Body)
		}
	}
	w.node.err = errors.New("the disk is gone")
	for target, want := range map[string]string{"/livez": "200 ok\n", "/readyz": "503 not ready\n", "/readyz?verbose": "503 [-] log: takes writes\nnot ready\n"} {
		if rec := ask("GET", target); fmt.Sprint(rec.Code, " ", rec.Body) != want {
			t.Errorf("%s: %d %q", target, rec.Code, rec.Body)
		}
	}
	if rec := ask("POST", "/livez"); rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", rec.Code)
	}
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.metrics.LogSync.Observe(0.001)
	admin := Admin(w.metrics)
	ask := func(target, accept string) *httptest.ResponseRecorder {
		rec, req := httptest.NewRecorder(), httptest.NewRequest("GET", target, nil)
		req.Header.Set("Accept", accept)
		admin.ServeHTTP(rec, req)
		return rec
	}
	for accept, want := range map[string]string{
		"": "text/plain", "application/openmetrics-text;version=1.0.0": "application/openmetrics-text",
		// Native histograms travel as protobuf only.
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited": "application/vnd.google.protobuf",
	} {
		rec := ask("/metrics", accept)
		if rec.Code != 200 || !strings.HasPrefix(rec.Header().Get("Content-Type"), want) {
			t.Errorf("Accept %q: %d %q", accept, rec.Code, rec.Header().Get("Content-Type"))
		}
		for _, name := range []string{"tiercel_wal_fsync_seconds", "go_goroutines", "process_"} {
			if !bytes.Contains(rec.Body.Bytes(), []byte(name)) {
				t.Errorf("Accept %q: no %s", accept, name)
			}
		}
	}
	for _, target := range []string{"/debug/pprof/", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=1", "/debug/pprof/symbol"} {
		if rec := ask(target, ""); rec.Code != 200 || rec.Body.Len() == 0 {
			t.Errorf("%s: %d", target, rec.Code)
		}
	}
	if rec := ask("/api/v1/status", ""); rec.Code != 404 {
		t.Errorf("the API on the admin port: %d", rec.Code)
	}
}

// The stores are what the API asks for.
var (
	_ Quarantine = (*quarantine.Store)(nil)
	_ Detections = detectionStore{(*detection.Store)(nil)}
	_ Prober     = Node(nil)
)
