package elastic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
	"github.com/tiercel-io/tiercel/metric"
)

const goodToken = "tt_good"

var acme, other = func() (event.Tenant, event.Tenant) {
	tenants, err := event.NewTenants([]string{"acme", "other"})
	if err != nil {
		panic(err)
	}
	return tenants.All()[0], tenants.All()[1]
}()

// tokens is an authenticator of four tokens.
type tokens struct{}

func (tokens) Ingest(token string) (ingest.Grant, error) {
	switch token {
	case goodToken:
		return ingest.Grant{Tenant: acme, Source: "windows", Token: "good"}, nil
	case "tt_other":
		return ingest.Grant{Tenant: other, Source: "linux", Token: "other"}, nil
	case "tt_old":
		return ingest.Grant{}, ingest.ErrExpired
	}
	return ingest.Grant{}, ingest.ErrToken
}

// stored is what a sink kept of a batch.
type stored struct {
	batch   ingest.Batch
	records []string
	native  []string // the ids, and the indices that they are ids of
	indices []string
	refused []string
	reasons []string
	details []string
}

// sink keeps batches, once for each key as the real one does.
type sink struct {
	mu       sync.Mutex
	kept     []stored
	seen     map[string]bool
	replays  int
	open     int // admitted and not released
	admitted int
	// full refuses that many admissions; reject answers Accept that many times.
	full   int
	reject []error
	// gate, when set, makes Accept wait for it or for its context.
	gate   chan struct{}
	inside chan struct{}
}

func (s *sink) Admit(event.Tenant, string, int64) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full > 0 {
		s.full--
		return nil, &ingest.Busy{Wait: 1500 * time.Millisecond, Why: "the log is behind"}
	}
	s.open++
	s.admitted++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}, nil
}

func (s *sink) Accept(ctx context.Context, b *ingest.Batch) error {
	if s.inside != nil {
		s.inside <- struct{}{}
	}
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reject) > 0 {
		err := s.reject[0]
		s.reject = s.reject[1:]
		if err != nil { // nil takes the batch
			return err
		}
	}
	key := string(b.Key)
	if key == "" {
		sum := sha256.Sum256(b.Data)
		key = string(sum[:])
	}
	if s.seen[key] {
		s.replays++
		b.Again = true
		return nil
	}
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	s.seen[key] = true
	k := stored{batch: *b}
	for _, f := range b.Frames {
		k.records = append(k.records, string(b.Data[f.Start:f.End]))
	}
	for _, id := range b.Native {
		index, name, _ := strings.Cut(string(id), "\x00")
		k.native, k.indices = append(k.native, name), append(k.indices, index)
	}
	for _, r := range b.Refused {
		k.refused = append(k.refused, string(b.Data[r.Start:r.End]))
		k.reasons, k.details = append(k.reasons, r.Reason), append(k.details, r.Detail)
	}
	s.kept = append(s.kept, k)
	return nil
}

// records are all records stored, in order of the batches.
func (s *sink) records() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, k := range s.kept {
		all = append(all, k.records...)
	}
	return all
}

// clock stands still unless it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) NewTimer(time.Duration) env.Timer { panic("the receivers need no timer") }

type bench struct {
	sink    *sink
	metrics *metric.Set
	handler http.Handler
}

func newBench(o httpin.Options, s ingest.Sink) *bench {
	b := &bench{metrics: metric.New()}
	b.sink, _ = s.(*sink)
	if o.Clock == nil {
		o.Clock = newClock()
	}
	o.Auth, o.Sink, o.Metrics = tokens{}, s, b.metrics
	b.handler = New(Options{Front: httpin.New(o), Prefixes: []string{"/elastic"}, ClusterUUID: "uuid"})
	return b
}

// do sends one request with the good token unless headers say otherwise.
func (b *bench) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("Authorization", "Bearer "+goodToken)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

// reply is the answer to a bulk request, read strictly.
type reply struct {
	Took   *int64
	Errors *bool
	Items  []map[string]map[string]any
}

func parseReply(t testing.TB, body []byte) reply {
	t.Helper()
	var r reply
	d := json.NewDecoder(bytes.NewReader(body))
	if err := d.Decode(&r); err != nil {
		t.Fatalf("the answer is no JSON: %v\n%s", err, body)
	}
	if !json.Valid(body) {
		t.Fatalf("the answer has bytes behind it:\n%s", body)
	}
	return r
}

// count is a counter's value.
func count(c prometheus.Counter) float64 {
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		panic(err)
	}
	return m.GetCounter().GetValue()
}

// acks is how many acknowledgements were measured.
func acks(s *metric.Set) uint64 {
	var m dto.Metric
	if err := s.IngestAck.WithLabelValues(Protocol).(prometheus.Metric).Write(&m); err != nil {
		panic(err)
	}
	return m.GetHistogram().GetSampleCount()
}
