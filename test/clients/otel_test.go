package clients

import (
	"bytes"
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/log"
	sdk "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"
)

// The OpenTelemetry SDK for Go, by OTLP over HTTP and over gRPC, in protobuf.
func TestOpenTelemetryGo(t *testing.T) {
	t.Parallel()
	for name, exporter := range map[string]func(*testing.T, target) (sdk.Exporter, error){
		"otlploghttp": func(t *testing.T, to target) (sdk.Exporter, error) {
			return otlploghttp.New(t.Context(), otlploghttp.WithEndpointURL(to.url+"/v1/logs"), otlploghttp.WithCompression(otlploghttp.GzipCompression),
				otlploghttp.WithHeaders(map[string]string{"Authorization": "Bearer " + to.token}),
				otlploghttp.WithRetry(otlploghttp.RetryConfig{Enabled: true, InitialInterval: 200 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: patience}))
		},
		"otlploggrpc": func(t *testing.T, to target) (sdk.Exporter, error) {
			return otlploggrpc.New(t.Context(), otlploggrpc.WithEndpoint(to.grpc), otlploggrpc.WithInsecure(), otlploggrpc.WithCompressor("gzip"),
				otlploggrpc.WithHeaders(map[string]string{"authorization": "Bearer " + to.token}),
				otlploggrpc.WithRetry(otlploggrpc.RetryConfig{Enabled: true, InitialInterval: 200 * time.Millisecond, MaxInterval: time.Second, MaxElapsedTime: patience}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			report(t, name)
			deliver(t, client{
				name: name, kind: textAny, grpc: name == "otlploggrpc", forgets: name == "otlploghttp",
				carries: func(record []byte, text string) bool { return bytes.Contains(record, []byte(text)) },
				send: func(t *testing.T, to target, events []item) []*program {
					e, err := exporter(t, to)
					if err != nil {
						t.Fatal(err)
					}
					batches := sdk.NewBatchProcessor(e, sdk.WithMaxQueueSize(2*len(events)), sdk.WithExportTimeout(patience))
					provider := sdk.NewLoggerProvider(sdk.WithProcessor(batches),
						sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "client"))))
					logger := provider.Logger("tiercel-test")
					for _, e := range events {
						var r log.Record
						r.SetTimestamp(time.Now())
						r.SetSeverity(log.SeverityInfo)
						r.SetBody(attribute.StringValue(e.text))
						logger.Emit(t.Context(), r)
					}
					// What it says of a request that it does not repeat is for the
					// log: whether all has arrived, the server tells.
					for _, step := range []func(context.Context) error{provider.ForceFlush, provider.Shutdown} {
						if err := step(t.Context()); err != nil {
							t.Logf("%s: %v", name, err)
						}
					}
					return nil
				},
			})
		})
	}
}
