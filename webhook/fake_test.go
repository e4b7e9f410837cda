package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret is a key of 24 bytes.
const secret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"

// network resolves names from a table and connects to a server in memory.
type network struct {
	mu      sync.Mutex
	names   map[string][][]string // answers of one lookup after the other; the last stays
	dialled []string
	lookups int
	accept  chan net.Conn
	// dial, when set, takes the place of the server in memory.
	dial func(ctx context.Context, address string) (net.Conn, error)
}

func (n *network) LookupNetIP(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lookups++
	answers := n.names[host]
	if len(answers) == 0 {
		return nil, errors.New("no such host")
	}
	if len(answers) > 1 {
		n.names[host] = answers[1:]
	}
	var out []netip.Addr
	for _, s := range answers[0] {
		out = append(out, netip.MustParseAddr(s))
	}
	return out, nil
}

func (n *network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, address)
	dial := n.dial
	n.mu.Unlock()
	if dial != nil {
		return dial(ctx, address)
	}
	client, server := net.Pipe()
	select {
	case n.accept <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) calls() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.dialled...)
}

func (*network) Listen(context.Context, string, string) (net.Listener, error) {
	return nil, errors.New("nobody listens here")
}

func (*network) ListenPacket(context.Context, string, string) (net.PacketConn, error) {
	return nil, errors.New("nobody listens here")
}

// listener hands the server the other ends.
type listener struct {
	accept chan net.Conn
	done   chan struct{}
	once   sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }

// request is what the receiver got.
type request struct {
	at     time.Time
	header http.Header
	path   string
	body   []byte
}

// world is a receiver at https-less http://hook.internal, which is 10.1.2.3, and
// an outbox for it.
type world struct {
	t       *testing.T
	net     *network
	env     env.Env
	records *storetest.Memory
	metrics *metric.Set
	outbox  *Outbox
	store   *detection.Store
	tenant  event.Tenant
	other   event.Tenant

	mu     sync.Mutex
	got    []request
	answer func(n int, w http.ResponseWriter, r *http.Request) // n counts from 0
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

var _ io.Reader = zeros{}

// build makes a world; the server ends with the test. It must be called in the
// bubble where there is one.
func build(t *testing.T, endpoints ...Endpoint) *world {
	t.Helper()
	a, b, _ := storetest.Tenants(t)
	w := &world{
		t: t, tenant: a, other: b, records: &storetest.Memory{}, metrics: metric.New(),
		net: &network{accept: make(chan net.Conn), names: map[string][][]string{"hook.internal": {{"10.1.2.3"}}}},
	}
	real := env.Real()
	w.env = env.Env{Clock: real.Clock, Net: w.net, Rand: zeros{}}
	w.store = detection.Open(w.records, w.env.Clock)
	if len(endpoints) == 0 {
		endpoints = []Endpoint{w.endpoint("hook")}
	}
	w.open(endpoints...)
	l := &listener{accept: w.net.accept, done: make(chan struct{})}
	server := &http.Server{ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.mu.Lock()
		n := len(w.got)
		w.got = append(w.got, request{time.Now(), r.Header, r.URL.Path, body})
		answer := w.answer
		w.mu.Unlock()
		if answer != nil {
			answer(n, rw, r)
		}
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		_ = l.Close()
		<-done
	})
	return w
}

func (w *world) endpoint(name string) Endpoint {
	return Endpoint{Name: name, Tenant: w.tenant, URL: "http://hook.internal/path/x", Secrets: []string{secret}, AllowPrivate: PrivateNetworks()}
}

func hook(t *testing.T, name string) Endpoint {
	a, _, _ := storetest.Tenants(t)
	return Endpoint{Name: name, Tenant: a, URL: "http://hook.internal/path/" + name, Secrets: []string{secret}, AllowPrivate: PrivateNetworks()}
}

// open opens the outbox again, as after a restart.
func (w *world) open(endpoints ...Endpoint) {
	w.t.Helper()
	o, err := Open(Config{Records: w.records, Env: w.env, Endpoints: endpoints, Metrics: w.metrics})
	if err != nil {
		w.t.Fatal(err)
	}
	w.outbox = o
}

// run runs the outbox until the returned function is called.
func (w *world) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	o := w.outbox
	go func() { done <- o.Run(ctx) }()
	return func() {
		w.t.Helper()
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	}
}

func (w *world) requests() []request {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]request(nil), w.got...)
}

// put stores detections and their notifications as stage 2 does.
func (w *world) put(list ...*detection.Detection) {
	w.t.Helper()
	if _, err := w.store.PutWith(w.tenant, list, func(changes []detection.Change) ([]store.Write, error) {
		return w.outbox.Writes(w.tenant, changes)
	}, store.Durable); err != nil {
		w.t.Fatal(err)
	}
	w.outbox.Wake()
}

func (w *world) list(f Filter) []Delivery {
	w.t.Helper()
	var out []Delivery
	for {
		p, err := w.outbox.List(w.tenant, f)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, p.Deliveries...)
		if p.Next == "" {
			return out
		}
		f.Cursor = p.Next
	}
}

// attempts is the counter of a result.
func (w *world) attempts(result string) int {
	var m dto.Metric
	if err := w.metrics.WebhookAttempts.WithLabelValues(result).Write(&m); err != nil {
		w.t.Fatal(err)
	}
	return int(m.GetCounter().GetValue())
}

func (w *world) pending() int {
	var m dto.Metric
	if err := w.metrics.OutboxPending.Write(&m); err != nil {
		w.t.Fatal(err)
	}
	return int(m.GetGauge().GetValue())
}

func found(id, phase string) *detection.Detection {
	return &detection.Detection{
		ID: id, Revision: "v1", Phase: phase, NotifyKey: "key-" + id, Count: 1, Reason: "Something happened.",
		Rule:     detection.Rule{ID: "r", Title: "T", Kind: "rule", Level: "high"},
		Evidence: []detection.Evidence{{EventID: "e", RawHash: "h", Host: "ws01", Event: json.RawMessage(`{"a":1}`)}},
	}
}

func revised(d *detection.Detection, revision, phase string) *detection.Detection {
	r := *d
	r.Revision, r.Phase, r.Count = revision, phase, r.Count+1
	return &r
}

// seeded is a source of jitter that differs.
type seeded struct{ *rand.ChaCha8 }
