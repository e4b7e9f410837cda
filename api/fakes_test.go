package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
)

// clock stands still unless a test moves it; its timers never fire.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func (c *clock) NewTimer(time.Duration) env.Timer { return silentTimer{} }

type silentTimer struct{}

func (silentTimer) C() <-chan time.Time      { return nil }
func (silentTimer) Stop() bool               { return true }
func (silentTimer) Reset(time.Duration) bool { return true }

var start = time.Date(2026, 11, 22, 10, 0, 30, 0, time.UTC)

// canary stands in every text that belongs to a tenant, so that an answer that
// tells one of another shows it.
func canary(t event.Tenant) string { return "canary-of-" + t.String() }

// world is a handler with everything behind it made up.
type world struct {
	handler     http.Handler
	server      *server
	clock       *clock
	node        *fakeNode
	detections  *fakeDetections
	tokens      *fakeTokens
	webhooks    *fakeWebhooks
	audit       *auditLog
	log         *bytes.Buffer
	metrics     *metric.Set
	stopped     chan struct{}
	alpha, beta event.Tenant
}

func newWorld(t *testing.T, tenants ...string) *world {
	t.Helper()
	if len(tenants) == 0 {
		tenants = []string{"alpha", "beta"}
	}
	known, err := event.NewTenants(tenants)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		clock: &clock{now: start}, node: &fakeNode{}, tokens: &fakeTokens{}, webhooks: &fakeWebhooks{}, audit: &auditLog{},
		log: &bytes.Buffer{}, metrics: metric.New(), stopped: make(chan struct{}),
	}
	w.alpha, _ = known.Lookup("alpha")
	w.beta, _ = known.Lookup("beta")
	w.node.tenants = known.All()
	w.detections = &fakeDetections{lists: map[event.Tenant][]*detection.Detection{}}
	for _, tenant := range known.All() {
		for i, level := range []string{"low", "critical", "medium"} {
			w.detections.lists[tenant] = append(w.detections.lists[tenant], &detection.Detection{
				ID: "d" + string(rune('1'+i)) + "-" + tenant.String(), Revision: "r1", Phase: "final", Seq: uint64(i + 1),
				Rule:   detection.Rule{ID: "rule-" + level, Title: "A rule", Kind: "rule", Level: level},
				Reason: "because of " + canary(tenant), AnchorTime: start, NotifyKey: "n",
				Evidence: []detection.Evidence{{EventID: "e1", Host: canary(tenant), Event: json.RawMessage(`{"host":"` + canary(tenant) + `"}`)}},
			})
		}
	}
	handler, err := New(Config{
		Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil)), Metrics: w.metrics, Tenants: known,
		Access: fakeAccess{w}, Tokens: w.tokens, Audit: w.audit, Detections: w.detections, Quarantine: fakeQuarantine{},
		Node: w.node, Webhooks: w.webhooks, Stopped: w.stopped,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.handler, w.server = handler, handler.(*dispatch).server
	return w
}

// ask sends a request and returns the answer.
func (w *world) ask(method, target, token, body string) *httptest.ResponseRecorder {
	return w.send(request(method, target, token, body))
}

func (w *world) send(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

func request(method, target, token, body string) *http.Request {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// errorOf is the code of an answer, or "" if it is no error of ours.
func errorOf(t *testing.T, rec *httptest.ResponseRecorder) Code {
	t.Helper()
	var e struct {
		Error ErrorBody `json:"error"`
	}
	if rec.Code < 400 {
		return ""
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &e); err != nil {
		t.Errorf("answer %d is no error of ours: %v: %q", rec.Code, err, rec.Body)
		return ""
	}
	if kind := rec.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("error of type %q", kind)
	}
	if row := rowOf(e.Error.Code); row.Status != rec.Code {
		t.Errorf("code %s with status %d, the table says %d", e.Error.Code, rec.Code, row.Status)
	}
	if e.Error.Message == "" || !strings.HasSuffix(e.Error.Doc, "#"+string(e.Error.Code)) {
		t.Errorf("error %+v", e.Error)
	}
	return e.Error.Code
}

// fakeAccess knows tokens of the form TENANT-read, TENANT-write, all-read,
// all-write.
type fakeAccess struct{ w *world }

func (a fakeAccess) Admin(token string) (Principal, error) {
	name, right, ok := strings.Cut(token, "-")
	if !ok || right != "read" && right != "write" {
		return Principal{}, errors.New("unknown token")
	}
	p := Principal{Name: token, Write: right == "write"}
	for _, t := range a.w.node.tenants {
		if t.String() == name {
			p.Tenant = t
			return p, nil
		}
	}
	if name == "all" {
		return p, nil
	}
	return Principal{}, errors.New("unknown token")
}

type auditLog struct {
	mu   sync.Mutex
	list []Entry
}

func (a *auditLog) Record(e Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, e)
}

func (a *auditLog) take() []Entry {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := a.list
	a.list = nil
	return list
}

type fakeTokens struct {
	created []TokenRequest
	revoked []string
}

func (f *fakeTokens) List(t event.Tenant) ([]TokenInfo, error) {
	return []TokenInfo{{ID: "t1", Name: "of " + canary(t), Kind: "ingest", Tenant: t.String(), Created: start}}, nil
}

func (f *fakeTokens) Create(_ context.Context, r TokenRequest) (TokenInfo, string, error) {
	f.created = append(f.created, r)
	return TokenInfo{ID: "t2", Name: r.Name, Kind: r.Kind, Tenant: r.Tenant.String(), Source: r.Source, Write: r.Write, Created: start}, "secret", nil
}

func (f *fakeTokens) Revoke(_ context.Context, t event.Tenant, id string) error {
	if id != "t1" {
		return store.ErrNotFound
	}
	f.revoked = append(f.revoked, t.String()+"/"+id)
	return nil
}

type fakeWebhooks struct{ retried []string }

func (f *fakeWebhooks) Endpoints(t event.Tenant) ([]Endpoint, error) {
	return []Endpoint{{Name: "chat", Host: canary(t)}}, nil
}

func (f *fakeWebhooks) Deliveries(t event.Tenant, _ int) ([]Delivery, error) {
	return []Delivery{{ID: "w-" + t.String(), Endpoint: "chat", Type: "detection.created", State: "pending", LastError: canary(t)}}, nil
}

func (f *fakeWebhooks) Retry(_ context.Context, t event.Tenant, id string) error {
	if id != "w-"+t.String() {
		return store.ErrNotFound
	}
	f.retried = append(f.retried, id)
	return nil
}

type fakeQuarantine struct{}

func (fakeQuarantine) Get(t event.Tenant, id string) (*quarantine.Entry, error) {
	if id != "q-"+t.String() {
		return nil, store.ErrNotFound
	}
	return &quarantine.Entry{ID: id, Source: "syslog", Reason: "unparsed", Detail: canary(t), Received: start, Bytes: 8, Raw: []byte("\x00<script>" + canary(t))}, nil
}

func (f fakeQuarantine) List(t event.Tenant, q quarantine.Filter) (quarantine.Page, error) {
	if q.Cursor != "" {
		return quarantine.Page{}, quarantine.ErrCursor
	}
	one, err := f.Get(t, "q-"+t.String())
	return quarantine.Page{Entries: []*quarantine.Entry{one}}, err
}

type fakeDetections struct {
	lists map[event.Tenant][]*detection.Detection
	asked detection.Filter
	err   error
	// feedEnd ends a feed behind its last detection.
	feedEnd error
}

func (f *fakeDetections) Get(t event.Tenant, id string) (*detection.Detection, error) {
	for _, d := range f.lists[t] {
		if d.ID == id {
			return d, f.err
		}
	}
	return nil, store.ErrNotFound
}

func (f *fakeDetections) List(t event.Tenant, q detection.Filter) (detection.Page, error) {
	f.asked = q
	if q.Cursor != "" {
		return detection.Page{}, detection.ErrCursor
	}
	return detection.Page{Detections: f.lists[t]}, f.err
}

func (f *fakeDetections) Latest(event.Tenant) (uint64, error) { return 3, f.err }

func (f *fakeDetections) Feed(t event.Tenant, after uint64) DetectionFeed {
	return &fakeFeed{list: f.lists[t], after: after, err: f.feedEnd}
}

type fakeFeed struct {
	list  []*detection.Detection
	after uint64
	err   error
}

func (f *fakeFeed) Next(ctx context.Context) ([]*detection.Detection, error) {
	for _, d := range f.list {
		if d.Seq > f.after {
			f.after = d.Seq
			return []*detection.Detection{d}, nil
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	<-ctx.Done()
	return nil, ctx.Err()
}

type fakeNode struct {
	tenants []event.Tenant
	ledger  LedgerQuery
	gaps    GapQuery
	retries []RetryQuery
	labels  []string
	reloads int
	err     error
	panics  bool
	blocks  chan struct{} // Reload waits for it
	entered chan struct{} // Reload tells that it waits
}

func (n *fakeNode) of(t event.Tenant) []event.Tenant {
	if t.IsZero() {
		return n.tenants
	}
	return []event.Tenant{t}
}

func (n *fakeNode) Status(event.Tenant) Status {
	if n.panics {
		panic("a fault of ours")
	}
	return Status{Version: "1", UptimeSeconds: 5, Ready: n.err == nil, Checks: []Check{{Name: "log", OK: n.err == nil, Detail: "takes\nwrites"}}, Rates: Rates{EventsPerSecond: 1000, MatchesPerSecond: 5}}
}

func (n *fakeNode) Sources(t event.Tenant) []Source {
	var list []Source
	for _, tenant := range n.of(t) {
		list = append(list, Source{Name: canary(tenant), Tenant: tenant.String(), LastEvent: start, EventsPerSecond: 10, BytesPerSecond: 100})
	}
	return list
}

func (n *fakeNode) Rules() []RuleFigures {
	return []RuleFigures{
		{ID: "a", Kind: "rule", Level: "low", State: "on", Matches: 77001, Detections: 77002, CostSeconds: 1},
		{ID: "b", Kind: "rule", Level: "low", State: "on", Matches: 77003, Detections: 77001, CostSeconds: 3},
		{ID: "c", Kind: "rule", Level: "low", State: "on", Matches: 77002, Detections: 77003, CostSeconds: 1},
	}
}

func (n *fakeNode) Ledger(t event.Tenant, q LedgerQuery) (Ledger, error) {
	n.ledger = q
	return Ledger{Minutes: []Minute{{Minute: q.From, Source: canary(t), Counts: Counts{Received: 3, Evaluated: 3}, Settled: true}}}, n.err
}

func (n *fakeNode) Gaps(t event.Tenant, q GapQuery) (Gaps, error) {
	n.gaps = q
	return Gaps{Upstream: []UpstreamGap{{Source: canary(t), Kind: "sequence", First: 1, Last: 2, Missing: 2, Noticed: start}}}, n.err
}

func (n *fakeNode) Reload(ctx context.Context) (Reloaded, error) {
	n.reloads++
	if n.blocks != nil {
		close(n.entered)
		select {
		case <-n.blocks:
		case <-ctx.Done():
		}
	}
	return Reloaded{Changed: true, Rules: 3}, n.err
}

func (n *fakeNode) Release(_ context.Context, id string) (Reloaded, error) {
	if id != "r-held" {
		return Reloaded{}, store.ErrNotFound
	}
	return Reloaded{Changed: true, Rules: 4}, n.err
}

func (n *fakeNode) Retry(_ context.Context, _ event.Tenant, q RetryQuery) (Retried, error) {
	n.retries = append(n.retries, q)
	return Retried{Tried: 1, Recovered: 1}, n.err
}

func (n *fakeNode) Backup(_ context.Context, label string) (Backup, error) {
	n.labels = append(n.labels, label)
	if label == "" {
		label = "of-now"
	}
	return Backup{Label: label, Name: "backup-" + label, Folder: "/data/backups/" + label, At: start}, n.err
}
