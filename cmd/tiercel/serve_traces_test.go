package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	logs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	records "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tiercel-io/tiercel/access"
)

// A request to each receiver of OTLP has a span, over gRPC as over HTTP, and the
// append of its records leads back to it.
func TestRequestsHaveSpans(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var requests, links []string
	taker := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var in collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &in)
		}
		if err != nil {
			t.Errorf("%s: %v", r.URL, err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, resource := range in.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, s := range scope.GetSpans() {
					for _, l := range s.GetLinks() {
						links = append(links, string(l.GetSpanId()))
					}
					if s.GetName() != "request" {
						continue
					}
					told := map[string]string{}
					for _, a := range s.GetAttributes() {
						told[a.GetKey()] = fmt.Sprint(a.GetValue().GetIntValue())
						if text := a.GetValue().GetStringValue(); text != "" {
							told[a.GetKey()] = text
						}
					}
					requests = append(requests, fmt.Sprintf("%s status %s grpc %s records %s span %x", told["receiver"], told["status"], told["grpc_status"], told["records"], s.GetSpanId()))
				}
			}
		}
	}))
	defer taker.Close()
	// Two equal bodies would be one.
	body := func(texts ...string) []byte {
		scope := &records.ScopeLogs{}
		for _, text := range texts {
			scope.LogRecords = append(scope.LogRecords, &records.LogRecord{Body: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: text}}})
		}
		b, err := proto.Marshal(&logs.ExportLogsServiceRequest{ResourceLogs: []*records.ResourceLogs{{ScopeLogs: []*records.ScopeLogs{scope}}}})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	framed := func(b []byte) []byte { return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(b))), b...) }
	const service = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
	text := fmt.Sprintf("http: {listen: '127.0.0.1:0'}\nreceivers: {otlp: {grpc: '127.0.0.1:0'}}\nobservability: {traces: {endpoint: %q, one_in: 1}}\n", taker.URL)
	serving(t, t.TempDir(), text, func(ctx context.Context, s *server) error {
		_, token, err := s.tokens.Create(ctx, access.Request{Name: "test", Kind: access.KindIngest, Tenant: s.tenants.All()[0], Source: "traced"})
		if err != nil {
			return err
		}
		clear := new(http.Protocols)
		clear.SetUnencryptedHTTP2(true)
		for _, c := range []struct {
			url, kind, token string
			protocols        *http.Protocols
			body             []byte
		}{
			{"http://" + s.addresses["http.listen"] + "/v1/logs", "application/x-protobuf", token, nil, body("a", "b")},
			{"http://" + s.addresses["receivers.otlp.grpc"] + service, "application/grpc", token, clear, framed(body("c", "d", "e"))},
			{"http://" + s.addresses["receivers.otlp.grpc"] + service, "application/grpc", "wrong", clear, framed(body("f"))},
		} {
			transport := &http.Transport{Protocols: c.protocols}
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(c.body))
			if err != nil {
				return err
			}
			r.Header.Set("Content-Type", c.kind)
			r.Header.Set("Te", "trailers")
			r.Header.Set("Authorization", "Bearer "+c.token)
			answer, err := transport.RoundTrip(r)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, answer.Body)
			if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK {
				t.Errorf("%s answers %d, %v", c.url, answer.StatusCode, err)
			}
			transport.CloseIdleConnections()
		}
		return nil
	})
	// A stop delivers what is left.
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(requests)
	for i := range requests {
		told, id, _ := strings.Cut(requests[i], " span ")
		led := slices.ContainsFunc(links, func(l string) bool { return fmt.Sprintf("%x", l) == id })
		requests[i] = fmt.Sprintf("%s, stored %t", told, led)
	}
	want := []string{
		"otlp status 200 grpc  records 2, stored true",
		"otlp status 200 grpc 0 records 3, stored true",
		"otlp status 200 grpc 16 records 0, stored false",
	}
	if !slices.Equal(requests, want) {
		t.Errorf("got %q\nwant %q", requests, want)
	}
}
