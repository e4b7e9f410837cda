package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/otlp"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
	"github.com/tiercel-io/tiercel/ingest/ingesttest"
)

func receiver(t testing.TB) (*ingesttest.Sink, *Receiver) {
	s := &ingesttest.Sink{TB: t}
	return s, New(Options{Front: ingesttest.Front(s, ingesttest.NewClock()), BodyBytesMax: 8 << 20})
}

// live is a receiver for connections, whose deadlines are those of the clock.
func live(t testing.TB) (*ingesttest.Sink, *Receiver) {
	s := &ingesttest.Sink{TB: t}
	return s, New(Options{Front: ingesttest.Front(s, env.Real().Clock), BodyBytesMax: 8 << 20})
}

func text(s string) *logspb.LogRecord {
	return &logspb.LogRecord{TimeUnixNano: 1795302590865000000, Body: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}}
}

func logs(recs ...*logspb.LogRecord) *logspb.LogsData {
	return &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
		Resource:  &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{Key: "service.name", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "web"}}}}},
		ScopeLogs: []*logspb.ScopeLogs{{Scope: &commonpb.InstrumentationScope{Name: "lib"}, LogRecords: recs}},
	}}}
}

func wire(t testing.TB, m proto.Message) string {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// read parses what a sink kept.
func read(t testing.TB, s *ingesttest.Sink) (trees []string) {
	t.Helper()
	p := otlp.Format().NewParser(format.Options{})
	for _, k := range s.Batches() {
		for _, f := range k.Frames {
			err := p.Parse(&format.Block{Data: k.Data}, f, func(rec *event.Record) {
				if !bytes.Equal(rec.Raw, k.Data[f.Start:f.End]) {
					t.Error("raw is not the frame")
				}
				trees = append(trees, string(rec.Tree.AppendJSON(nil, 0)))
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	return trees
}

func zipped(b []byte) string {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.String()
}

const jsBody = `{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},{"key":"telemetry.sdk.language","value":{"stringValue":"nodejs"}}],"droppedAttributesCount":0},"scopeLogs":[{"scope":{"name":"default"},"logRecords":[{"timeUnixNano":"1795302590865000000","observedTimeUnixNano":"1795302590866000000","severityNumber":9,"severityText":"INFO","body":{"stringValue":"hi"},"attributes":[{"key":"n","value":{"intValue":1}}],"droppedAttributesCount":0}]}]}]}`

// The requests of clients over HTTP as they were seen on the wire; names and
// texts are ours.
func TestClients(t *testing.T) {
	t.Parallel()
	fluent := text("one")
	go1 := wire(t, logs(text("a"), text("b")))
	tests := []struct {
		name, body, answer string
		headers            []string
		raw, trees         []string
	}{
		{
			"Go otlploghttp 0.23.0", go1, "",
			[]string{"Content-Type", "application/x-protobuf", "User-Agent", "OTel OTLP Exporter Go/0.23.0"},
			[]string{wire(t, text("a")), wire(t, text("b"))},
			[]string{`{"message":"a","resource":{"service.name":"web"},"scope":{"name":"lib"},"time_unix_nano":1795302590865000000}`, `{"message":"b","resource":{"service.name":"web"},"scope":{"name":"lib"},"time_unix_nano":1795302590865000000}`},
		},
		{
			"Go otlploghttp 0.23.0 with gzip", zipped([]byte(go1)), "",
			[]string{"Content-Type", "application/x-protobuf", "Content-Encoding", "gzip", "User-Agent", "OTel OTLP Exporter Go/0.23.0"},
			[]string{wire(t, text("a")), wire(t, text("b"))},
			nil,
		},
		{
			"JS exporter-logs-otlp-http 0.223.1", jsBody, "{}",
			[]string{"Content-Type", "application/json", "User-Agent", "OTel-OTLP-Exporter-JavaScript/0.223.1"},
			[]string{jsBody[strings.Index(jsBody, `{"timeUnixNano"`):strings.Index(jsBody, `]}]}]}`)]},
			[]string{`{"message":"hi","attributes":{"n":1},"resource":{"service.name":"shop","telemetry.sdk.language":"nodejs"},"scope":{"name":"default"},"severity_number":9,"severity_text":"INFO","time_unix_nano":1795302590865000000,"observed_time_unix_nano":1795302590866000000}`},
		},
		{
			"Fluent Bit 5.1.1 opentelemetry", wire(t, &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{Resource: &resourcepb.Resource{}, ScopeLogs: []*logspb.ScopeLogs{{Scope: &commonpb.InstrumentationScope{}, LogRecords: []*logspb.LogRecord{fluent}}}}}}), "",
			[]string{"Content-Type", "application/x-protobuf", "User-Agent", "Fluent-Bit"},
			[]string{wire(t, fluent)},
			[]string{`{"message":"one","time_unix_nano":1795302590865000000}`},
		},
		{"empty protobuf", "", "", []string{"Content-Type", "application/x-protobuf"}, nil, nil},
		{"empty JSON", "{}", "{}", []string{"Content-Type", "application/json; charset=utf-8"}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, h := receiver(t)
			w := ingesttest.Do(h, "POST", "/v1/logs", tt.body, tt.headers...)
			if kind, _, _ := strings.Cut(tt.headers[1], ";"); w.Code != 200 || w.Body.String() != tt.answer || w.Header().Get("Content-Type") != kind {
				t.Fatalf("%d %q %s", w.Code, w.Body, w.Header())
			}
			if raw := s.Raw(); !slices.Equal(raw, tt.raw) {
				t.Errorf("%q, want %q", raw, tt.raw)
			}
			if trees := read(t, s); tt.trees != nil && !slices.Equal(trees, tt.trees) {
				t.Errorf("%q", trees)
			}
			for _, k := range s.Batches() {
				if k.Format != "otlp" || k.Protocol != "otlp" || k.Source != "agents" || k.Peer != "192.0.2.7" {
					t.Errorf("%+v", k.Batch)
				}
			}
			if s.Open() != 0 {
				t.Error("room was not given back")
			}
		})
	}
}

// statusOf reads an error's body in the encoding of the request.
func statusOf(t *testing.T, w *httptest.ResponseRecorder) (int, string) {
	t.Helper()
	if w.Header().Get("Content-Type") == "application/x-protobuf" {
		var s rpcstatus.Status
		if err := proto.Unmarshal(w.Body.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
		return int(s.Code), s.Message
	}
	var s struct {
		Code    int
		Message string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	return s.Code, s.Message
}

func TestErrors(t *testing.T) {
	t.Parallel()
	whole := wire(t, logs(text("a")))
	const pb, js = "application/x-protobuf", "application/json"
	tests := []struct {
		name, method, target, body, kind string
		headers                          []string
		status                           int
		code                             codes.Code
	}{
		{"no token", "POST", "/v1/logs", whole, pb, []string{"Authorization", ""}, 401, codes.Unauthenticated},
		{"wrong token", "POST", "/v1/logs", "{}", js, []string{"Authorization", "Bearer nobody"}, 401, codes.Unauthenticated},
		{"expired token", "POST", "/v1/logs", whole, pb, []string{"Authorization", "Bearer " + ingesttest.Expired}, 401, codes.Unauthenticated},
		{"method", "GET", "/v1/logs", "", js, nil, 405, codes.Unimplemented},
		{"route", "POST", "/v1/traces", whole, pb, nil, 404, codes.Unimplemented},
		{"type", "POST", "/v1/logs", whole, "text/plain", nil, 415, codes.InvalidArgument},
		{"no type", "POST", "/v1/logs", whole, "", nil, 415, codes.InvalidArgument},
		{"broken protobuf", "POST", "/v1/logs", whole[:len(whole)-1], pb, nil, 400, codes.InvalidArgument},
		{"broken JSON", "POST", "/v1/logs", `{"resourceLogs":[`, js, nil, 400, codes.InvalidArgument},
		{"JSON said to be protobuf", "POST", "/v1/logs", "{}", pb, nil, 400, codes.InvalidArgument},
		{"bad gzip", "POST", "/v1/logs", whole, pb, []string{"Content-Encoding", "gzip"}, 400, codes.InvalidArgument},
		{"unknown encoding", "POST", "/v1/logs", whole, pb, []string{"Content-Encoding", "br"}, 415, codes.InvalidArgument},
		{"bomb", "POST", "/v1/logs", zipped(make([]byte, 32<<20)), pb, []string{"Content-Encoding", "gzip"}, 413, codes.InvalidArgument},
		{"too many records", "POST", "/v1/logs", wire(t, logs(make([]*logspb.LogRecord, ingest.RequestEventsMax+1)...)), pb, nil, 413, codes.InvalidArgument},
	}
	for _, tt := range tests {
		s, h := receiver(t)
		w := ingesttest.Do(h, tt.method, tt.target, tt.body, append([]string{"Content-Type", tt.kind}, tt.headers...)...)
		code, message := statusOf(t, w)
		if w.Code != tt.status || codes.Code(code) != tt.code || message == "" || len(s.Batches()) != 0 || s.Open() != 0 {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
		if want := pb; tt.kind == pb && w.Header().Get("Content-Type") != want {
			t.Errorf("%s: answered in %s", tt.name, w.Header().Get("Content-Type"))
		}
	}
}

// What passes is never a 500, which would make clients drop what they hold.
func TestBusyThenAccepted(t *testing.T) {
	t.Parallel()
	s, h := receiver(t)
	busy := &ingest.Busy{Wait: 1500 * time.Millisecond}
	s.RefuseNext(busy)
	s.FailNext(busy, errors.New("a fault of ours"))
	body := wire(t, logs(text("a"), text("b")))
	for i, want := range []int{429, 429, 503, 200, 200} {
		w := ingesttest.Do(h, "POST", "/v1/logs", body, "Content-Type", "application/x-protobuf")
		if w.Code != want || (want == 200) != (w.Header().Get("Retry-After") == "") || bytes.Contains(w.Body.Bytes(), []byte("fault of ours")) {
			t.Fatalf("request %d: %d %q %v", i, w.Code, w.Body, w.Header())
		}
		if want == 429 && w.Header().Get("Retry-After") != "2" {
			t.Errorf("Retry-After %s", w.Header().Get("Retry-After"))
		}
	}
	if len(s.Raw()) != 2 || s.Replays() != 1 || s.Open() != 0 {
		t.Errorf("%d stored, %d replays, %d open", len(s.Raw()), s.Replays(), s.Open())
	}
}

func TestPoisonAndLimits(t *testing.T) {
	t.Parallel()
	record := func(n int) *logspb.LogRecord {
		pad := n - proto.Size(text(strings.Repeat("x", n-32)))
		r := text(strings.Repeat("x", n-32+pad))
		if proto.Size(r) != n {
			t.Fatalf("%d bytes, want %d", proto.Size(r), n)
		}
		return r
	}
	for _, n := range []int{ingest.EventBytesMax, ingest.EventBytesMax + 1, 5 * ingest.EventBytesMax} {
		s, h := receiver(t)
		w := ingesttest.Do(h, "POST", "/v1/logs", wire(t, logs(text("a"), record(n), text("b"))), "Content-Type", "application/x-protobuf")
		if w.Code != 200 || w.Body.Len() != 0 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		k := s.Batches()[0]
		if n <= ingest.EventBytesMax && len(k.Raw) != 3 || n > ingest.EventBytesMax && (len(k.Raw) != 2 || len(k.Refused) != 1 || k.Reasons[0] != ingest.ReasonTooLarge || len(k.Refused[0]) != ingest.RefusedBytesMax || k.Details[0] != ingest.LargeDetail([]byte(wire(t, record(n))))) {
			t.Errorf("%d bytes: %d frames, %q", n, len(k.Raw), k.Reasons)
		}
		if len(read(t, s)) != len(k.Raw) {
			t.Error("records are lost")
		}
	}
	// A record that is none in the middle of others.
	s, h := receiver(t)
	body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a"}},5,{"body":{"stringValue":"b"}}]}]}]}`
	if w := ingesttest.Do(h, "POST", "/v1/logs", body, "Content-Type", "application/json"); w.Code != 200 || !slices.Equal(s.Raw(), []string{`{"body":{"stringValue":"a"}}`, "5", `{"body":{"stringValue":"b"}}`}) {
		t.Errorf("%d %q", w.Code, s.Raw())
	}
}

// A resource cannot be made to be read any number of times.
func TestSharedBlocks(t *testing.T) {
	t.Parallel()
	withResource := func(size, records int) *logspb.LogsData {
		d := logs(make([]*logspb.LogRecord, records)...)
		d.ResourceLogs[0].Resource.Attributes[0].Value = &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: strings.Repeat("x", size)}}
		return d
	}
	for _, tt := range []struct {
		size, records int
		frames        func(int) bool
	}{
		{BlockBytesMax - 100, 3, func(n int) bool { return n == 3 }},
		{BlockBytesMax, 3, func(n int) bool { return n == 0 }},
		{BlockBytesMax - 100, 20_000, func(n int) bool {
			return n >= SharedBytesMax/BlockBytesMax && n <= SharedBytesMax/(BlockBytesMax-200)
		}},
	} {
		s, h := receiver(t)
		if w := ingesttest.Do(h, "POST", "/v1/logs", wire(t, withResource(tt.size, tt.records)), "Content-Type", "application/x-protobuf"); w.Code != 200 {
			t.Fatal(w.Code)
		}
		frames, refused := 0, 0
		for _, k := range s.Batches() {
			frames += len(k.Raw)
			refused += len(k.Refused)
			for _, r := range k.Reasons {
				if r != ingest.ReasonLimit {
					t.Fatal(r)
				}
			}
		}
		if !tt.frames(frames) || frames+refused != tt.records {
			t.Errorf("%d records of %d bytes: %d frames, %d refused", tt.records, tt.size, frames, refused)
		}
	}
}

// A large request is taken in pieces, each with the resource of its records.
func TestPieces(t *testing.T) {
	t.Parallel()
	s, h := receiver(t)
	var recs []*logspb.LogRecord
	for i := range 2*ingest.BatchEventsMax + 5 {
		recs = append(recs, text(fmt.Sprint(i)))
	}
	body := wire(t, logs(recs...))
	s.FailNext(nil, &ingest.Busy{Wait: time.Second})
	for _, want := range []int{429, 200} {
		if w := ingesttest.Do(h, "POST", "/v1/logs", body, "Content-Type", "application/x-protobuf"); w.Code != want {
			t.Fatalf("%d", w.Code)
		}
	}
	if len(s.Batches()) != 3 || s.Replays() != 1 {
		t.Fatalf("%d batches, %d replays", len(s.Batches()), s.Replays())
	}
	trees := read(t, s)
	for i, tree := range trees {
		if !strings.HasPrefix(tree, fmt.Sprintf(`{"message":"%d","resource":{"service.name":"web"},"scope":{"name":"lib"}`, i)) {
			t.Fatalf("record %d: %s", i, tree)
		}
	}
	if len(trees) != len(recs) {
		t.Errorf("%d records", len(trees))
	}
}

// dial serves the receiver over gRPC and returns a client.
func dial(t *testing.T, h *Receiver) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	server := httpin.Server(h.gate.Harden(h.GRPC()))
	server.Protocols = GRPCProtocols()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	conn, err := grpc.NewClient("passthrough:///tiercel", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithUserAgent("OTel OTLP Exporter Go/0.23.0"), grpc.WithDisableRetry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return conn
}

func invoke(t *testing.T, conn *grpc.ClientConn, token string, in proto.Message, o ...grpc.CallOption) error {
	t.Helper()
	ctx := t.Context()
	if token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	out := new(emptypb.Empty)
	err := conn.Invoke(ctx, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", in, out, o...)
	if err == nil && proto.Size(out) != 0 {
		t.Errorf("answered %v", out)
	}
	return err
}

func TestGRPC(t *testing.T) {
	t.Parallel()
	s, h := live(t)
	conn := dial(t, h)
	if err := invoke(t, conn, ingesttest.Good, logs(text("a"), text("b"))); err != nil {
		t.Fatal(err)
	}
	if err := invoke(t, conn, ingesttest.Good, logs(text("c")), grpc.UseCompressor(grpcgzip.Name)); err != nil {
		t.Fatal(err)
	}
	if err := invoke(t, conn, ingesttest.Good, &logspb.LogsData{}); err != nil {
		t.Fatal(err)
	}
	if raw := s.Raw(); !slices.Equal(raw, []string{wire(t, text("a")), wire(t, text("b")), wire(t, text("c"))}) {
		t.Errorf("%q", raw)
	}
	if trees := read(t, s); trees[2] != `{"message":"c","resource":{"service.name":"web"},"scope":{"name":"lib"},"time_unix_nano":1795302590865000000}` {
		t.Errorf("%q", trees)
	}
	if s.Open() != 0 {
		t.Error("room was not given back")
	}
}

func TestGRPCErrors(t *testing.T) {
	t.Parallel()
	s, h := live(t)
	conn := dial(t, h)
	for _, tt := range []struct {
		name, token string
		in          proto.Message
		code        codes.Code
	}{
		{"no token", "", logs(text("a")), codes.Unauthenticated},
		{"wrong token", "nobody", logs(text("a")), codes.Unauthenticated},
		{"expired token", ingesttest.Expired, logs(text("a")), codes.Unauthenticated},
		{"too large", ingesttest.Good, logs(text(strings.Repeat("x", 9<<20))), codes.ResourceExhausted},
		{"too many", ingesttest.Good, logs(make([]*logspb.LogRecord, ingest.RequestEventsMax+1)...), codes.InvalidArgument},
		// A Status has other fields under the same numbers.
		{"another message", ingesttest.Good, &rpcstatus.Status{Code: 1, Message: "x"}, codes.OK},
		{"broken inside", ingesttest.Good, &commonpb.InstrumentationScope{Name: "\x12\x05x"}, codes.InvalidArgument},
	} {
		if err := invoke(t, conn, tt.token, tt.in); status.Code(err) != tt.code {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if len(s.Batches()) != 0 || s.Open() != 0 {
		t.Errorf("%d batches, %d open", len(s.Batches()), s.Open())
	}
}

// Overload before the message, after it, and a fault of ours: each UNAVAILABLE
// with the time to come again.
func TestGRPCBusyThenAccepted(t *testing.T) {
	t.Parallel()
	s, h := live(t)
	conn := dial(t, h)
	busy := &ingest.Busy{Wait: 1500 * time.Millisecond}
	in := logs(text("a"))
	s.RefuseNext(busy)
	s.FailNext(busy, errors.New("a fault of ours"))
	for i, wait := range []time.Duration{1500 * time.Millisecond, 1500 * time.Millisecond, time.Second, 0, 0} {
		st := status.Convert(invoke(t, conn, ingesttest.Good, in))
		if wait == 0 {
			if st.Code() != codes.OK {
				t.Fatalf("request %d: %v", i, st)
			}
			continue
		}
		if st.Code() != codes.Unavailable || len(st.Details()) != 1 || strings.Contains(st.Message(), "fault of ours") {
			t.Fatalf("request %d: %v %v", i, st, st.Details())
		}
		if info, ok := st.Details()[0].(*errdetails.RetryInfo); !ok || info.RetryDelay.AsDuration() != wait {
			t.Errorf("request %d: %v", i, st.Details())
		}
	}
	if len(s.Raw()) != 1 || s.Replays() != 1 || s.Open() != 0 {
		t.Errorf("%d stored, %d replays, %d open", len(s.Raw()), s.Replays(), s.Open())
	}
}

// A client that leaves before the sync, and sends again.
func TestGRPCSlowSyncAndCut(t *testing.T) {
	t.Parallel()
	s, h := live(t)
	conn := dial(t, h)
	waiting, resume := s.Hold()
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+ingesttest.Good))
	done := make(chan error)
	go func() {
		done <- conn.Invoke(ctx, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", logs(text("a")), new(emptypb.Empty))
	}()
	<-waiting
	cancel()
	if err := <-done; status.Code(err) != codes.Canceled {
		t.Errorf("%v", err)
	}
	resume()
	if err := invoke(t, conn, ingesttest.Good, logs(text("a"))); err != nil {
		t.Fatal(err)
	}
	if raw := s.Raw(); !slices.Equal(raw, []string{wire(t, text("a"))}) {
		t.Errorf("%q", raw)
	}
}

// Any body gives a batch that keeps the contract, or an error.
func FuzzFrame(f *testing.F) {
	f.Add(false, []byte(wire(f, logs(text("a"), text("b")))))
	f.Add(true, []byte(jsBody))
	f.Fuzz(func(t *testing.T, isJSON bool, body []byte) {
		enc := otlp.Protobuf
		if isJSON {
			enc = otlp.JSON
		}
		b := &ingest.Batch{Protocol: Protocol}
		if _, err := frame(b, enc, body, nil); err != nil {
			return
		}
		if err := ingesttest.CheckPieces(b); err != nil {
			t.Fatal(err)
		}
		for _, fr := range b.Frames {
			if !bytes.Contains(body, b.Data[fr.Start:fr.End]) {
				t.Fatal("a frame holds other bytes than were sent")
			}
		}
	})
}
