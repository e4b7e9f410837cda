package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/tiercel-io/tiercel/format/otlp"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// method is the service of opentelemetry/proto/collector/logs/v1 and its one
// method, as the path of a request.
const method = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"

// The headers of gRPC over HTTP/2 (gRPC's PROTOCOL-HTTP2).
const (
	typeGRPC       = "application/grpc"
	headerEncoding = "Grpc-Encoding"
	headerAccepts  = "Grpc-Accept-Encoding"
	headerStatus   = "Grpc-Status"
	headerMessage  = "Grpc-Message"
	headerDetails  = "Grpc-Status-Details-Bin"
)

// encodings are the values of headerEncoding that are known.
const encodings = "identity,gzip,deflate,zstd,snappy"

// GRPC returns the service over gRPC, for a server with [GRPCProtocols]. A call
// is a request like any other: it has the token, the budgets, the room in the
// sink and the bounds on size, ratio and speed of a body that package httpin
// gives those over HTTP, which is why no library serves it. Its message is not
// read before the token is known and the sink has room.
func (h *Receiver) GRPC() http.Handler { return http.HandlerFunc(h.serveGRPC) }

// GRPCProtocols are those of a server for gRPC: HTTP/2 alone, over TLS or not.
func GRPCProtocols() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP2(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func (h *Receiver) serveGRPC(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	if r.Method != http.MethodPost || r.ProtoMajor != 2 || kind != typeGRPC && !strings.HasPrefix(kind, typeGRPC+"+") {
		h.gate.Rejected(httpin.ReasonRequest)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		h.gate.Answer(w, http.StatusUnsupportedMediaType, []byte("this port takes calls of gRPC alone\n"), nil)
		return
	}
	w.Header().Set("Content-Type", typeGRPC)
	switch {
	case r.URL.Path != method:
		h.end(w, &call{codes.Unimplemented, httpin.Faultf(http.StatusNotFound, httpin.ReasonRequest, "there is no such method; send logs to %s", method)})
		return
	case kind != typeGRPC && kind != typeGRPC+"+proto":
		h.end(w, &call{codes.Unimplemented, httpin.Faultf(http.StatusUnsupportedMediaType, httpin.ReasonRequest, "Content-Type %.64q is not known; send %s", kind, typeGRPC)})
		return
	}
	grant, err := h.gate.Authenticate(r)
	if err != nil {
		h.end(w, callOf(err))
		return
	}
	d, err := h.message(w, r, grant)
	if err != nil {
		h.end(w, callOf(err))
		return
	}
	defer d.Close()
	if err := h.take(r.Context(), d, otlp.Protobuf); err != nil {
		h.end(w, callOf(err))
		return
	}
	h.gate.Acked(d.End)
	h.gate.Answered(http.StatusOK)
	h.begin(w)
	// An ExportLogsServiceResponse without a field, not compressed.
	_, _ = w.Write(make([]byte, prefixBytes))
	trailers(w.Header(), status.New(codes.OK, ""))
}

// begin sends the headers of an answer by themselves, so that it has no
// Content-Length: a client that counts would not wait for the status behind it.
func (h *Receiver) begin(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(h.gate.Clock().Now().Add(httpin.AnswerWait))
	w.WriteHeader(http.StatusOK)
	_ = control.Flush()
}

// prefixBytes are those before a message: whether it is compressed, and its
// length.
const prefixBytes = 5

// message reads the one message of a call.
func (h *Receiver) message(w http.ResponseWriter, r *http.Request, grant ingest.Grant) (*httpin.Delivery, error) {
	_ = http.NewResponseController(w).SetReadDeadline(h.gate.Clock().Now().Add(httpin.BodyGrace))
	var prefix [prefixBytes]byte
	if _, err := io.ReadFull(r.Body, prefix[:]); err != nil {
		return nil, h.gate.ReadFault(w, err)
	}
	inner := *r
	inner.Header = r.Header.Clone()
	inner.Header.Del("Content-Encoding")
	switch encoding := strings.ToLower(r.Header.Get(headerEncoding)); {
	case prefix[0] > 1:
		return nil, httpin.Faultf(http.StatusBadRequest, httpin.ReasonFrame, "the flags of a message are %d; 0 and 1 are known", prefix[0])
	case prefix[0] == 1 && (encoding == "" || encoding == "identity"):
		return nil, &call{codes.Internal, httpin.Faultf(http.StatusBadRequest, httpin.ReasonFrame, "the message says that it is compressed and %s does not say how", headerEncoding)}
	case prefix[0] == 1 && !strings.Contains(","+encodings+",", ","+encoding+","):
		w.Header().Set(headerAccepts, encodings)
		return nil, &call{codes.Unimplemented, httpin.Faultf(http.StatusUnsupportedMediaType, httpin.ReasonEncoding, "%s %.32q is not known; send %s", headerEncoding, encoding, encodings)}
	case prefix[0] == 1:
		inner.Header.Set("Content-Encoding", encoding)
	}
	inner.ContentLength = int64(binary.BigEndian.Uint32(prefix[1:]))
	message := &body{ReadCloser: r.Body, left: inner.ContentLength}
	inner.Body = message
	d, err := h.gate.Receive(w, &inner, grant, int64(h.most))
	switch fault := (*httpin.Fault)(nil); {
	case message.more:
		return nil, httpin.Faultf(http.StatusBadRequest, httpin.ReasonFrame, "the call has more than one message")
	case errors.As(err, &fault) && fault.Reason == httpin.ReasonTooLarge:
		return nil, &call{codes.ResourceExhausted, fault}
	}
	return d, err
}

// body is a message in a stream that ends behind it.
type body struct {
	io.ReadCloser
	left int64
	// more says that the stream does not end there.
	more bool
}

var errMore = errors.New("bytes follow the message")

// Read implements io.Reader. The end of the stream is waited for: a message is
// whole once its sender says so.
func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		n, err := b.ReadCloser.Read(make([]byte, 1))
		if n > 0 {
			b.more = true
			return 0, errMore
		}
		return 0, err
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	if b.left -= int64(n); err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// call is a fault with its code.
type call struct {
	code  codes.Code
	fault *httpin.Fault
}

func (c *call) Error() string { return c.fault.Error() }

func callOf(err error) *call {
	if c := (*call)(nil); errors.As(err, &c) {
		return c
	}
	fault := faultOf(err)
	return &call{codeOf(fault), fault}
}

// end answers a call with its status, and counts it.
func (h *Receiver) end(w http.ResponseWriter, c *call) {
	h.gate.Rejected(c.fault.Reason)
	h.gate.Answered(c.fault.Status)
	s := status.New(c.code, c.fault.Error())
	if c.code == codes.Unavailable {
		with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(max(c.fault.Wait, time.Second))})
		if err == nil {
			s = with
		}
	}
	h.begin(w)
	trailers(w.Header(), s)
}

// trailers sets the status behind the answer.
func trailers(header http.Header, s *status.Status) {
	header.Set(http.TrailerPrefix+headerStatus, strconv.Itoa(int(s.Code())))
	if s.Message() != "" {
		header.Set(http.TrailerPrefix+headerMessage, percent(s.Message()))
	}
	if len(s.Details()) == 0 {
		return
	}
	if details, err := proto.Marshal(s.Proto()); err == nil {
		header.Set(http.TrailerPrefix+headerDetails, base64.RawStdEncoding.EncodeToString(details))
	}
}

// percent writes a message as gRPC wants it: printable ASCII but for percent
// signs as it is, every other byte by its number.
func percent(s string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for _, c := range []byte(s) {
		if c >= ' ' && c <= '~' && c != '%' {
			out.WriteByte(c)
			continue
		}
		out.WriteByte('%')
		out.WriteByte(digits[c>>4])
		out.WriteByte(digits[c&15])
	}
	return out.String()
}
