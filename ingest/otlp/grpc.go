package otlp

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // which the protocol asks of servers
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/tiercel-io/tiercel/format/otlp"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// serviceName is the service of opentelemetry/proto/collector/logs/v1.
const serviceName = "opentelemetry.proto.collector.logs.v1.LogsService"

// exporter is what the service's implementation must have.
type exporter interface {
	export(ctx context.Context, body []byte) error
}

// Register adds the service to a server, which should be made with
// [Receiver.ServerOptions].
func (h *Receiver) Register(s grpc.ServiceRegistrar) {
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*exporter)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: export}},
		Metadata:    "opentelemetry/proto/collector/logs/v1/logs_service.proto",
	}, h)
}

// export decodes a request and calls the receiver. A message without fields
// keeps those it does not know as they came: the request's own bytes.
func export(srv any, ctx context.Context, decode func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
	in := new(emptypb.Empty)
	if err := decode(in); err != nil {
		return nil, status.Error(codes.InvalidArgument, "the message is no ExportLogsServiceRequest")
	}
	call := func(ctx context.Context, in any) (any, error) {
		// An ExportLogsServiceResponse without fields is empty too.
		return new(emptypb.Empty), srv.(exporter).export(ctx, in.(*emptypb.Empty).ProtoReflect().GetUnknown())
	}
	if intercept == nil {
		return call(ctx, in)
	}
	return intercept(ctx, in, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/" + serviceName + "/Export"}, call)
}

// Bounds of connections; those of package httpin where it has one.
const (
	headerBytesMax   = 32 << 10
	handshakeTimeout = 10 * time.Second
	idleTimeout      = time.Minute
	// pingsMin is how often a client may ping; those of OpenTelemetry do so
	// every 10 s at most.
	pingsMin = 10 * time.Second
)

// ServerOptions are those of a server for the service: messages up to the bound
// of bodies, 100 streams, headers of 32 KiB, 10 s for a handshake, idle
// connections closed after a minute, and a tap that refuses a request by its
// token, or for want of room, before its message is read.
func (h *Receiver) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.MaxRecvMsgSize(h.most),
		grpc.MaxConcurrentStreams(httpin.StreamsMax),
		grpc.MaxHeaderListSize(headerBytesMax),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingsMin, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: idleTimeout, Time: idleTimeout, Timeout: handshakeTimeout}),
		grpc.InTapHandle(h.tap),
	}
}

type grantKey struct{}

// tap looks at a request's headers. Room is only asked for, since nothing tells
// of a request whose message never comes.
func (h *Receiver) tap(ctx context.Context, _ *tap.Info) (context.Context, error) {
	grant, err := h.grant(ctx)
	if err != nil {
		return nil, h.refuse(err)
	}
	release, err := h.sink.Admit(grant.Tenant, grant.Source, -1)
	if err != nil {
		return nil, h.refuse(err)
	}
	release()
	return context.WithValue(ctx, grantKey{}, grant), nil
}

// grant says whose a request is.
func (h *Receiver) grant(ctx context.Context) (ingest.Grant, error) {
	if grant, ok := ctx.Value(grantKey{}).(ingest.Grant); ok {
		return grant, nil
	}
	return h.gate.Authenticate(request(ctx))
}

// request is a request over HTTP with the headers of one over gRPC that tell
// who sent it.
func request(ctx context.Context) *http.Request {
	r := &http.Request{Method: http.MethodPost, Header: make(http.Header), URL: &url.URL{Path: "/" + serviceName + "/Export"}}
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		r.RemoteAddr = p.Addr.String()
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		for _, name := range []string{"Authorization", "X-Forwarded-For"} {
			for _, v := range md.Get(name) {
				r.Header.Add(name, v)
			}
		}
	}
	return r
}

// export takes the body of one request.
func (h *Receiver) export(ctx context.Context, body []byte) error {
	grant, err := h.grant(ctx)
	if err != nil {
		return h.refuse(err)
	}
	release, err := h.sink.Admit(grant.Tenant, grant.Source, int64(len(body)))
	if err != nil {
		return h.refuse(err)
	}
	defer release()
	from := h.gate.Peer(request(ctx))
	b := &ingest.Batch{
		Tenant: grant.Tenant, Source: grant.Source, Shard: httpin.Shard(from, grant),
		Protocol: Protocol, Received: h.gate.Clock().Now(),
	}
	if from.IsValid() {
		b.Peer = from.String()
	}
	room := httpin.TakeBuffer()
	defer room.Release()
	if room.B, err = frame(b, otlp.Protobuf, body, room.B); err != nil {
		return h.refuse(err)
	}
	for piece := range b.Pieces() {
		if piece.Records() == 0 {
			break
		}
		if err := h.sink.Accept(ctx, piece); err != nil {
			return h.refuse(h.gate.Fault(err))
		}
	}
	h.gate.Acked(b.Received)
	h.gate.Answered(http.StatusOK)
	return nil
}

// refuse makes of an error the status to answer with, and counts it.
func (h *Receiver) refuse(err error) error {
	fault := faultOf(err)
	h.gate.Rejected(fault.Reason)
	h.gate.Answered(fault.Status)
	code := codeOf(fault)
	s := status.New(code, fault.Error())
	if code == codes.Unavailable {
		with, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(max(fault.Wait, time.Second))})
		if err == nil {
			s = with
		}
	}
	return s.Err()
}
