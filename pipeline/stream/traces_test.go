package stream

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/tracing"
)

// TestTracesOfABatch follows one batch from the gate to what came of it.
func TestTracesOfABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := tracetest.NewInMemoryExporter()
		tracer, provider := tracing.New(sdk.NewSimpleSpanProcessor(out), 1, "1")
		r := quiet(t, map[string]string{"a.yml": ruleWhoami}, nil)
		given := r.change
		r.change = func(c *Config) {
			given(c)
			c.Traces = tracer
		}
		r.start()
		var err error
		if r.gate, err = ingest.NewGate(ingest.GateConfig{Log: r.log, Clock: r.node.clock, Metrics: r.metrics, Traces: tracer}); err != nil {
			t.Fatal(err)
		}
		r.send("pc", process(time.Now(), "pc", whoami, 1), process(time.Now(), "pc", `C:\x.exe`, 2))
		pass(time.Minute) // with some heartbeats, which are no batches
		r.end()
		if err := provider.ForceFlush(context.Background()); err != nil {
			t.Fatal(err)
		}
		spans := out.GetSpans()
		stages := map[string]tracetest.SpanStub{}
		for _, s := range spans {
			stages[s.Name] = s
		}
		if len(spans) != 3 || len(stages) != 3 {
			t.Fatalf("%d spans: %v", len(spans), stages)
		}
		for _, name := range []string{"append", "evaluate", "decide"} {
			s := stages[name]
			if s.SpanContext.TraceID() != stages["append"].SpanContext.TraceID() {
				t.Errorf("%s is in a trace of its own", name)
			}
			got := map[string]string{}
			for _, a := range s.Attributes {
				got[string(a.Key)] = a.Value.String()
			}
			if got["source"] != "pc" || got["records"] != "2" || name != "append" && got["matches"] != "1" {
				t.Errorf("%s: %v", name, got)
			}
		}
		if err := provider.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
