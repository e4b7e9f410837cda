package tracing

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// replyMax bounds what is read of an answer, so that the connection can be used
// again.
const replyMax = 64 << 10

// sender posts spans as OTLP over HTTP. What is refused is not sent again:
// traces are samples, and must not pile up.
type sender struct {
	url       string
	transport *http.Transport
}

// Start implements otlptrace.Client.
func (s *sender) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (s *sender) Stop(context.Context) error {
	s.transport.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client.
func (s *sender) UploadTraces(ctx context.Context, list []*spans.ResourceSpans) error {
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	body, err := proto.Marshal(&collector.ExportTraceServiceRequest{ResourceSpans: list})
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	answer, err := s.transport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, replyMax)); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %q", s.url, answer.Status)
	}
	return nil
}
