package httpin

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/metric"
)

// tokens knows one token and counts how often it is asked.
type tokens struct {
	mu    sync.Mutex
	asked int
}

func (a *tokens) Ingest(token string) (ingest.Grant, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	switch token {
	case "good":
		return ingest.Grant{Source: "s", Token: "g"}, nil
	case "old":
		return ingest.Grant{}, ingest.ErrExpired
	}
	return ingest.Grant{}, ingest.ErrToken
}

// room is a sink that counts what is admitted and not released.
type room struct {
	mu    sync.Mutex
	open  int
	hints []int64
	held  int64
	max   int64 // of held; 0 is no bound
	busy  *ingest.Busy
	err   error
}

func (s *room) Admit(_ event.Tenant, _ string, hint int64) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := hint
	if size < 0 {
		size = 1 << 20
	}
	switch {
	case s.busy != nil:
		return nil, s.busy
	case s.max > 0 && s.held+size > s.max:
		return nil, &ingest.Busy{Wait: time.Second, Why: "full"}
	}
	s.held += size
	s.open++
	s.hints = append(s.hints, hint)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		s.held -= size
	}, nil
}

func (s *room) Accept(context.Context, *ingest.Batch) error { return s.err }

// clock stands still unless it is moved.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time                   { return c.now }
func (c *clock) NewTimer(time.Duration) env.Timer { panic("no timer is needed") }

func newFront(o Options) (*Front, *room, *tokens) {
	s, a := &room{}, &tokens{}
	if o.Clock == nil {
		o.Clock = newClock()
	}
	o.Sink, o.Auth, o.Metrics = s, a, metric.New()
	return New(o), s, a
}

func request(t testing.TB, remote string, headers ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = remote
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// wantFault compares an error with the status and reason of a fault.
func wantFault(t testing.TB, err error, status int, reason string) *Fault {
	t.Helper()
	var f *Fault
	if !errors.As(err, &f) {
		t.Fatalf("no fault: %v", err)
	}
	if f.Status != status || f.Reason != reason {
		t.Errorf("%d %s (%v), want %d %s", f.Status, f.Reason, f, status, reason)
	}
	return f
}

func counted(f *Front, protocol, label string, rejected bool) float64 {
	vec := f.o.Metrics.IngestRequests
	if rejected {
		vec = f.o.Metrics.IngestRejected
	}
	var m dto.Metric
	if err := vec.WithLabelValues(protocol, label).Write(&m); err != nil {
		panic(err)
	}
	return m.GetCounter().GetValue()
}
