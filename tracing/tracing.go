// Package tracing tells where the time of batches goes, as OpenTelemetry traces.
// It is off unless an endpoint is configured, and then costs nothing: a nil
// [Tracer] is off, and every method of it returns at once.
//
//	request ─link─ append ─ evaluate ─ decide
//
// What is traced are whole batches, one of so many, chosen by where they stand
// in the log: so each stage knows by itself which ones, and nothing has to
// travel with a batch. The spans of a batch form one trace, whose id follows
// from its place. Requests are sampled at the same rate on their own, since they
// come before there is a place; an append links to the request that led to it.
//
// Attributes are from closed sets, but for the names of tenant and source and
// the place. Nothing of an event's content is ever in a span. A Tracer is safe
// for concurrent use.
package tracing

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Bounds of what waits to be exported: what does not fit is dropped, so that
// traces never hold up a batch.
const (
	queueMax      = 2048
	exportTimeout = 10 * time.Second
)

// Config is what Start needs.
type Config struct {
	// Endpoint is the URL of an OTLP/HTTP endpoint, to which /v1/traces is added.
	// Empty switches traces off.
	Endpoint string
	// OneIn: one of so many batches and requests is traced; less than one is one.
	OneIn int
	// Version is the program's.
	Version string
	// Dial makes the connections to the endpoint.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Logger is told, at most once a minute, that traces cannot be delivered.
	Logger *slog.Logger
	// Now is the time, for the log.
	Now func() time.Time
}

// Tracer makes spans. A nil one makes none.
type Tracer struct {
	tracer trace.Tracer
	oneIn  uint64
}

// Start begins to export traces. Without an endpoint it returns nil, which is
// off. shutdown delivers what waits, until its context ends, and must be called.
func Start(ctx context.Context, c Config) (t *Tracer, shutdown func(context.Context) error, err error) {
	if c.Endpoint == "" {
		return nil, func(context.Context) error { return nil }, nil
	}
	url := strings.TrimRight(c.Endpoint, "/")
	if !strings.HasSuffix(url, "/v1/traces") {
		url += "/v1/traces"
	}
	transport := &http.Transport{DialContext: c.Dial, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: exportTimeout}
	exporter, err := otlptrace.New(ctx, &sender{url: url, transport: transport})
	if err != nil {
		return nil, nil, fmt.Errorf("traces to %s: %w", c.Endpoint, err)
	}
	var told atomic.Int64
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		now := c.Now().Unix()
		if last := told.Load(); now-last >= 60 && told.CompareAndSwap(last, now) {
			c.Logger.Warn("traces cannot be delivered", "error", fmt.Sprintf("%.300q", err.Error()))
		}
	}))
	t, provider := New(sdk.NewBatchSpanProcessor(exporter, sdk.WithMaxQueueSize(queueMax), sdk.WithExportTimeout(exportTimeout)), c.OneIn, c.Version)
	return t, func(ctx context.Context) error {
		err := provider.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return nil // what could not be delivered in time is only traces
		}
		return err
	}, nil
}

// New makes a tracer that hands its spans to a processor, for Start and tests.
// The provider's Shutdown ends both.
func New(p sdk.SpanProcessor, oneIn int, version string) (*Tracer, *sdk.TracerProvider) {
	oneIn = max(1, oneIn)
	provider := sdk.NewTracerProvider(
		sdk.WithSpanProcessor(p),
		// Batches come with their decision; requests are decided here.
		sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(1/float64(oneIn)))),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "tiercel"), attribute.String("service.version", version))),
	)
	return &Tracer{tracer: provider.Tracer("github.com/tiercel-io/tiercel/tracing"), oneIn: uint64(oneIn)}, provider
}

// Place is where a batch stands in the log.
type Place struct {
	Tenant, Source string
	Shard          int
	Offset         int64
}

// seed spreads the batches that are traced over sources; which ones need not be
// the same in two processes.
var seed = maphash.MakeSeed()

// Traced reports whether a batch is traced.
func (t *Tracer) Traced(p Place) bool {
	if t == nil {
		return false
	}
	if t.oneIn == 1 {
		return true
	}
	start := maphash.String(seed, p.Tenant)*31 + maphash.String(seed, p.Source) + uint64(p.Shard)
	return (start+uint64(p.Offset))%t.oneIn == 0
}

// trace is the context in which a batch's spans stand.
func (p Place) trace() trace.SpanContext {
	b := fmt.Appendf(nil, "%q %q ", p.Tenant, p.Source)
	b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, uint64(p.Shard)), uint64(p.Offset))
	sum := sha256.Sum256(b)
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(sum[:16]), SpanID: trace.SpanID(sum[16:24]), TraceFlags: trace.FlagsSampled, Remote: true,
	})
}

// Stage is a stage of a batch's way.
type Stage string

// The stages.
const (
	Append   Stage = "append"   // into the log, until it is durable
	Evaluate Stage = "evaluate" // parse, route and match
	Decide   Stage = "decide"   // correlate, and store what came of it
)

// Counts are what a span tells of a batch.
type Counts struct {
	Records, Bytes, Matches int
}

// Batch notes a stage that a batch went through from start to end. ctx is the
// request's where there is one; err is nil or why the stage failed, of which only
// that it did is told.
func (t *Tracer) Batch(ctx context.Context, stage Stage, p Place, n Counts, start, end time.Time, err error) {
	if t == nil {
		return
	}
	if stage == Append {
		if r, ok := ctx.Value(requestKey{}).(*request); ok && err == nil {
			r.records.Add(int64(n.Records))
			r.bytes.Add(int64(n.Bytes))
		}
	}
	if !t.Traced(p) {
		return
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(start), trace.WithAttributes(
		attribute.String("tenant", p.Tenant), attribute.String("source", p.Source), attribute.Int("partition", p.Shard), attribute.Int64("offset", p.Offset),
		attribute.Int("records", n.Records),
	)}
	if stage == Append {
		if from := trace.SpanContextFromContext(ctx); from.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: from}))
		}
	}
	_, span := t.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), p.trace()), string(stage), options...)
	if n.Bytes > 0 {
		span.SetAttributes(attribute.Int("bytes", n.Bytes))
	}
	if stage != Append {
		span.SetAttributes(attribute.Int("matches", n.Matches))
	}
	if err != nil {
		span.SetStatus(codes.Error, string(stage)+" failed")
	}
	span.End(trace.WithTimestamp(end))
}

type requestKey struct{}

// request gathers what the batches of a request had.
type request struct{ records, bytes atomic.Int64 }

// Handler traces requests to a receiver, by its protocol's name. Off, it is h.
func (t *Tracer) Handler(receiver string, h http.Handler) http.Handler {
	if t == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		totals := &request{}
		ctx, span := t.tracer.Start(context.WithValue(r.Context(), requestKey{}, totals), "request", trace.WithSpanKind(trace.SpanKindServer))
		if !span.IsRecording() {
			h.ServeHTTP(w, r)
			return
		}
		answer := &answer{ResponseWriter: w, status: http.StatusOK}
		defer func() { // also when the handler gives up the connection
			span.SetAttributes(
				attribute.String("receiver", receiver), attribute.Int("status", answer.status),
				attribute.Int64("records", totals.records.Load()), attribute.Int64("bytes", totals.bytes.Load()),
			)
			if answer.status >= http.StatusInternalServerError {
				span.SetStatus(codes.Error, http.StatusText(answer.status))
			}
			if code, ok := grpcStatus(answer.Header()); ok {
				span.SetAttributes(attribute.Int("grpc_status", code))
				if grpcFailed[code] {
					span.SetStatus(codes.Error, "gRPC status "+strconv.Itoa(code))
				}
			}
			span.End()
		}()
		h.ServeHTTP(answer, r.WithContext(ctx))
	})
}

// grpcStatus is the status of a call of gRPC, which stands behind the answer and
// not in the status of HTTP; ok is false where there is none.
func grpcStatus(h http.Header) (code int, ok bool) {
	text := h.Get(http.TrailerPrefix + "Grpc-Status")
	if text == "" {
		text = h.Get("Grpc-Status")
	}
	code, err := strconv.Atoi(text)
	return code, err == nil && code >= 0 && code < grpcCodes
}

// grpcCodes are the codes of gRPC, from 0.
const grpcCodes = 17

// grpcFailed are the codes with which a call failed for the server, as
// OpenTelemetry's conventions for spans of servers have them: unknown, deadline
// exceeded, unimplemented, internal, unavailable, data loss.
var grpcFailed = [grpcCodes]bool{2: true, 4: true, 12: true, 13: true, 14: true, 15: true}

// answer remembers the status.
type answer struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (a *answer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
