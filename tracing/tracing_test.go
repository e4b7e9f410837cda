package tracing

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// recorded is a tracer of one in so many and what it exports.
func recorded(t *testing.T, oneIn int) (*Tracer, *tracetest.InMemoryExporter) {
	t.Helper()
	out := tracetest.NewInMemoryExporter()
	tracer, provider := New(sdk.NewSimpleSpanProcessor(out), oneIn, "1.2.3")
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return tracer, out
}

// attributes are those of a span by name.
func attributes(s tracetest.SpanStub) map[string]any {
	out := map[string]any{}
	for _, a := range s.Attributes {
		out[string(a.Key)] = a.Value.AsInterface()
	}
	return out
}

func TestRequestAndItsBatch(t *testing.T) {
	t.Parallel()
	tracer, out := recorded(t, 1)
	start := time.Unix(1_700_000_000, 0)
	place := Place{Tenant: "local", Source: "pc", Shard: 2, Offset: 7}
	h := tracer.Handler("elastic", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tracer.Batch(r.Context(), Append, place, Counts{Records: 10, Bytes: 1000}, start, start.Add(time.Millisecond), nil)
		tracer.Batch(r.Context(), Append, Place{Tenant: "local", Source: "pc", Offset: 8}, Counts{Records: 5, Bytes: 500}, start, start, errors.New("secret of the disk"))
		if http.NewResponseController(w).Flush() != nil {
			t.Error("the controller does not reach the connection")
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/_bulk?secret=1", strings.NewReader("secret")))
	tracer.Batch(context.Background(), Evaluate, place, Counts{Records: 10, Bytes: 900, Matches: 3}, start, start.Add(time.Second), nil)
	tracer.Batch(context.Background(), Decide, place, Counts{Records: 10, Matches: 3}, start, start.Add(2*time.Second), nil)
	by := map[string][]tracetest.SpanStub{}
	for _, s := range out.GetSpans() {
		by[s.Name] = append(by[s.Name], s)
		for _, a := range s.Attributes {
			if strings.Contains(a.Value.String(), "secret") {
				t.Errorf("%s tells %s", s.Name, a.Value.String())
			}
		}
		if strings.Contains(s.Status.Description, "secret") {
			t.Errorf("%s tells %s", s.Name, s.Status.Description)
		}
	}
	if len(by["request"]) != 1 || len(by["append"]) != 2 || len(by["evaluate"]) != 1 || len(by["decide"]) != 1 {
		t.Fatalf("spans %v", by)
	}
	request, appended := by["request"][0], by["append"][0]
	if a := attributes(request); a["receiver"] != "elastic" || a["status"] != int64(http.StatusTeapot) || a["records"] != int64(10) || a["bytes"] != int64(1000) || len(a) != 4 {
		t.Errorf("request %v", a)
	}
	if len(appended.Links) != 1 || appended.Links[0].SpanContext.SpanID() != request.SpanContext.SpanID() {
		t.Errorf("the append does not lead back to its request: %v", appended.Links)
	}
	for name, want := range map[string]map[string]any{
		"append":   {"tenant": "local", "source": "pc", "partition": int64(2), "offset": int64(7), "records": int64(10), "bytes": int64(1000)},
		"evaluate": {"tenant": "local", "source": "pc", "partition": int64(2), "offset": int64(7), "records": int64(10), "bytes": int64(900), "matches": int64(3)},
		"decide":   {"tenant": "local", "source": "pc", "partition": int64(2), "offset": int64(7), "records": int64(10), "matches": int64(3)},
	} {
		s := by[name][0]
		got := attributes(s)
		if len(got) != len(want) {
			t.Errorf("%s: %v", name, got)
		}
		for k, v := range want {
			if got[k] != v {
				t.Errorf("%s: %s is %v, want %v", name, k, got[k], v)
			}
		}
		if s.SpanContext.TraceID() != appended.SpanContext.TraceID() || !s.StartTime.Equal(start) || s.Status.Code != codes.Unset {
			t.Errorf("%s: trace %v from %v, %v", name, s.SpanContext.TraceID(), s.StartTime, s.Status)
		}
		if v, ok := s.Resource.Set().Value(attribute.Key("service.version")); !ok || v.AsString() != "1.2.3" {
			t.Errorf("%s: of version %v", name, v)
		}
	}
	if other := by["append"][1]; other.Status.Code != codes.Error || other.SpanContext.TraceID() == appended.SpanContext.TraceID() {
		t.Errorf("an append that failed: %+v", other)
	}
}

// The status of a call of gRPC stands behind the answer, whose own is 200.
func TestCallOfGRPC(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct {
		want   any // nil where there is none
		failed bool
	}{
		"0": {int64(0), false}, "3": {int64(3), false}, "8": {int64(8), false}, "16": {int64(16), false},
		"2": {int64(2), true}, "4": {int64(4), true}, "12": {int64(12), true}, "13": {int64(13), true}, "14": {int64(14), true}, "15": {int64(15), true},
		"17": {nil, false}, "-1": {nil, false}, "secret": {nil, false}, "": {nil, false},
	} {
		for _, header := range []string{http.TrailerPrefix + "Grpc-Status", "Grpc-Status"} {
			tracer, out := recorded(t, 1)
			tracer.Handler("otlp", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusOK)
				if text != "" {
					w.Header().Set(header, text)
				}
			})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
			spans := out.GetSpans()
			if len(spans) != 1 {
				t.Fatalf("%d spans", len(spans))
			}
			if a := attributes(spans[0]); a["grpc_status"] != c.want || a["status"] != int64(http.StatusOK) || a["receiver"] != "otlp" {
				t.Errorf("%s %q: %v, want %v", header, text, a, c.want)
			}
			if got := spans[0].Status.Code == codes.Error; got != c.failed || strings.Contains(spans[0].Status.Description, "secret") {
				t.Errorf("%s %q: %+v", header, text, spans[0].Status)
			}
		}
	}
}

func TestOneInSoMany(t *testing.T) {
	t.Parallel()
	tracer, out := recorded(t, 100)
	for _, source := range []string{"a", "b"} {
		for i := range int64(10_000) {
			p := Place{Tenant: "local", Source: source, Offset: i}
			before := len(out.GetSpans())
			for _, s := range []Stage{Append, Evaluate, Decide} {
				tracer.Batch(context.Background(), s, p, Counts{}, time.Time{}, time.Time{}, nil)
			}
			// All stages of a batch or none.
			if n := len(out.GetSpans()) - before; n != 0 && n != 3 || (n == 3) != tracer.Traced(p) {
				t.Fatalf("%d spans of a batch", n)
			}
			if i%1000 == 999 {
				if n := len(out.GetSpans()); n != 30 {
					t.Fatalf("%d spans of a thousand batches, want 3 of each hundredth", n)
				}
				out.Reset()
			}
		}
	}
	h := tracer.Handler("hec", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 10_000 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil))
	}
	// 100 on average; 40 to 200 but for one in 10^9.
	if n := len(out.GetSpans()); n < 40 || n > 200 {
		t.Errorf("%d of 10,000 requests traced", n)
	}
}

// TestOff is not parallel: it counts allocations and goroutines.
func TestOff(t *testing.T) {
	before := runtime.NumGoroutine()
	tracer, shutdown, err := Start(context.Background(), Config{})
	if err != nil || tracer != nil {
		t.Fatalf("%v, %v", tracer, err)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	h := http.NewServeMux()
	if tracer.Handler("elastic", h) != http.Handler(h) {
		t.Error("the handler was wrapped")
	}
	p := Place{Tenant: "local", Source: "pc"}
	if n := testing.AllocsPerRun(100, func() {
		if tracer.Traced(p) {
			t.Error("traced")
		}
		tracer.Batch(context.Background(), Evaluate, p, Counts{}, time.Time{}, time.Time{}, nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if err := shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

// TestDelivery exports to a collector as it is configured.
func TestDelivery(t *testing.T) {
	t.Parallel()
	got := make(chan *collector.ExportTraceServiceRequest, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var in collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &in)
		}
		if err != nil || r.URL.Path != "/v1/traces" || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/x-protobuf" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		got <- &in
	}))
	defer srv.Close()
	var d net.Dialer
	for _, endpoint := range []string{srv.URL, srv.URL + "/", srv.URL + "/v1/traces"} {
		tracer, shutdown, err := Start(context.Background(), Config{
			Endpoint: endpoint, OneIn: 1, Version: "1", Dial: d.DialContext, Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		tracer.Batch(context.Background(), Decide, Place{Tenant: "local", Source: "pc"}, Counts{Records: 1}, time.Now(), time.Now(), nil)
		if err := shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		in := <-got
		if n := len(in.GetResourceSpans()); n != 1 || in.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans()[0].GetName() != "decide" {
			t.Errorf("delivered %v", in)
		}
	}
}

func TestCollectorThatRefuses(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusServiceUnavailable) }))
	defer srv.Close()
	s := &sender{url: srv.URL, transport: &http.Transport{}}
	if err := s.UploadTraces(context.Background(), nil); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.UploadTraces(gone, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
