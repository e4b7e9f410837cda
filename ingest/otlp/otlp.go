// Package otlp receives logs by the OpenTelemetry protocol (specification
// 1.11), over HTTP in protobuf and JSON and over gRPC.
//
//	request ─▶ records, each with its resource and scope ─▶ durable ─▶ empty answer
//
// A request is walked, not decoded: package format/otlp keeps the exact bytes
// of each record and reads them later. A record that is too large, or whose
// resource is, goes to quarantine and is acknowledged, since a partial success
// forbids clients to send it again; partial_success is never set. A request
// whose frame is broken is refused as a whole, which makes clients drop it.
//
// Clients try again for 429 and 503 over HTTP and for UNAVAILABLE over gRPC,
// and drop what they hold for 500: every fault that passes, also one of ours, is
// one of those. A [Receiver] is safe for concurrent use; the memory of a
// request is some twice its body.
package otlp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/tiercel-io/tiercel/format/otlp"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// Protocol is the receiver's name in batches and metrics.
const Protocol = "otlp"

// Path is where logs are received over HTTP.
const Path = "/v1/logs"

// Options are what a receiver needs. Front must be set.
type Options struct {
	Front *httpin.Front
	// BodyBytesMax bounds a request over gRPC, as sent and inflated, below the
	// front's bound, which is that of 0 and of requests over HTTP.
	BodyBytesMax int
}

// Receiver is the http.Handler for [Path]; [Receiver.GRPC] is that for gRPC.
type Receiver struct {
	gate *httpin.Gate
	most int
}

// New makes the receiver.
func New(o Options) *Receiver {
	return &Receiver{gate: o.Front.Gate(Protocol), most: o.BodyBytesMax}
}

// The media types of requests and answers.
const (
	typeProtobuf = "application/x-protobuf"
	typeJSON     = "application/json"
)

// encodingOf reads the Content-Type.
func encodingOf(r *http.Request) (otlp.Encoding, bool) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch strings.ToLower(strings.TrimSpace(kind)) {
	case typeProtobuf:
		return otlp.Protobuf, true
	case typeJSON:
		return otlp.JSON, true
	}
	return otlp.JSON, false
}

// ServeHTTP implements http.Handler.
func (h *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	enc, known := encodingOf(r)
	w.Header().Set("Content-Type", mediaType(enc))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch {
	case strings.TrimSuffix(r.URL.Path, "/") != Path:
		h.fail(w, enc, httpin.Faultf(http.StatusNotFound, httpin.ReasonRequest, "there is no such route; send logs to %s", Path))
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		h.fail(w, enc, httpin.Faultf(http.StatusMethodNotAllowed, httpin.ReasonRequest, "send logs with POST"))
		return
	}
	grant, err := h.gate.Authenticate(r)
	if err != nil {
		h.fail(w, enc, err)
		return
	}
	if !known {
		h.fail(w, enc, httpin.Faultf(http.StatusUnsupportedMediaType, httpin.ReasonRequest, "Content-Type %.64q is not known; send %s or %s", r.Header.Get("Content-Type"), typeProtobuf, typeJSON))
		return
	}
	d, err := h.gate.Receive(w, r, grant, 0)
	if err != nil {
		h.fail(w, enc, err)
		return
	}
	defer d.Close()
	if err := h.take(r.Context(), d, enc); err != nil {
		h.fail(w, enc, err)
		return
	}
	var body []byte // an ExportLogsServiceResponse without a field
	if enc == otlp.JSON {
		body = []byte("{}")
	}
	h.gate.Answer(w, http.StatusOK, body, d)
}

// take makes the records of a body durable.
func (h *Receiver) take(ctx context.Context, d *httpin.Delivery, enc otlp.Encoding) (err error) {
	b := d.Batch()
	room := httpin.TakeBuffer()
	defer room.Release()
	if room.B, err = frame(b, enc, d.Data, room.B); err != nil {
		return err
	}
	if err := d.Reserve(httpin.FrameBytes * int64(b.Records())); err != nil {
		return err
	}
	for piece := range b.Pieces() {
		if piece.Records() == 0 {
			break
		}
		if err := d.Accept(ctx, piece); err != nil {
			return err
		}
	}
	return nil
}

func mediaType(enc otlp.Encoding) string {
	if enc == otlp.Protobuf {
		return typeProtobuf
	}
	return typeJSON
}

// fail answers with a google.rpc.Status.
func (h *Receiver) fail(w http.ResponseWriter, enc otlp.Encoding, err error) {
	fault := faultOf(err)
	code := codeOf(fault)
	if code == codes.Unavailable {
		w.Header().Set("Retry-After", httpin.RetryAfter(fault.Wait))
	}
	if fault.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tiercel"`)
	}
	h.gate.Rejected(fault.Reason)
	h.gate.Answer(w, fault.Status, statusBody(enc, code, fault.Error()), nil)
}

// faultOf makes of any error one that clients take rightly: what passes by itself
// becomes 429 or 503.
func faultOf(err error) *httpin.Fault {
	fault := *httpin.AsFault(err)
	switch fault.Reason {
	case httpin.ReasonInternal:
		fault.Status, fault.Err = http.StatusServiceUnavailable, errStore
	case httpin.ReasonSlow:
		fault.Status = http.StatusServiceUnavailable
	}
	return &fault
}

var errStore = fmt.Errorf("the batch could not be stored; send it again")

// codeOf is the canonical code of a fault (google.rpc.Code).
func codeOf(f *httpin.Fault) codes.Code {
	switch f.Reason {
	case httpin.ReasonBusy, httpin.ReasonAttempts, httpin.ReasonInternal, httpin.ReasonSlow, httpin.ReasonCut:
		return codes.Unavailable
	case httpin.ReasonNoToken, httpin.ReasonToken, httpin.ReasonExpired:
		return codes.Unauthenticated
	}
	if f.Status == http.StatusNotFound || f.Status == http.StatusMethodNotAllowed {
		return codes.Unimplemented
	}
	return codes.InvalidArgument
}

// statusBody encodes a google.rpc.Status: a code and a message.
func statusBody(enc otlp.Encoding, code codes.Code, message string) []byte {
	if enc == otlp.Protobuf {
		return appendStatus(nil, code, message)
	}
	body, err := json.Marshal(struct {
		Code    uint32 `json:"code"`
		Message string `json:"message"`
	}{uint32(code), message})
	if err != nil {
		return []byte("{}") // a number and a text can always be encoded
	}
	return body
}
