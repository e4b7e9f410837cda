package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcgzip "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
	"github.com/tiercel-io/tiercel/ingest/ingesttest"
)

// pipes is a listener of connections in memory, whose deadlines run on the
// clock of a bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// raw serves the receiver and returns a client that knows HTTP/2 and nothing of
// gRPC.
func raw(t *testing.T, h *Receiver) *http.Client {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := httpin.Server(h.gate.Harden(h.GRPC()))
	server.Protocols = GRPCProtocols()
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	transport := &http.Transport{
		Protocols: GRPCProtocols(), DisableCompression: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			l.conns <- far
			return near, nil
		},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport}
}

// message is a message as gRPC frames it.
func message(flags byte, b []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flags}, uint32(len(b))), b...)
}

// ask sends one call and returns its status, and that of HTTP.
func ask(t *testing.T, c *http.Client, path string, body io.Reader, headers ...string) (int, *status.Status, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://tiercel"+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	r.Header.Set("Authorization", "Bearer "+ingesttest.Good)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Body.Close()
	got, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	var code int
	if _, err := fmt.Sscan(w.Trailer.Get("Grpc-Status"), &code); err != nil && w.StatusCode == 200 {
		t.Errorf("a status is missing: %v", w.Trailer)
	}
	st := status.New(codes.Code(code), w.Trailer.Get("Grpc-Message"))
	if details := w.Trailer.Get("Grpc-Status-Details-Bin"); details != "" {
		b, err := base64.RawStdEncoding.DecodeString(details)
		if err != nil {
			t.Fatal(err)
		}
		p := new(rpcstatus.Status)
		if err := proto.Unmarshal(b, p); err != nil {
			t.Fatal(err)
		}
		st = status.FromProto(p)
	}
	if w.StatusCode == 200 && w.ContentLength >= 0 {
		t.Errorf("an answer of %d bytes, before its status", w.ContentLength)
	}
	if w.StatusCode == 200 && (code == 0) != bytes.Equal(got, make([]byte, 5)) {
		t.Errorf("status %d with the answer %x", code, got)
	}
	return w.StatusCode, st, w.Header
}

// stuck is a body that stops behind its bytes and does not end.
type stuck struct {
	io.Reader
	io.Closer
}

func stop(b ...byte) stuck {
	r, _ := io.Pipe()
	return stuck{io.MultiReader(bytes.NewReader(b), r), r}
}

// What a sender that keeps to gRPC's frames in form only is answered, by gRPC's
// "HTTP/2 protocol mapping" and the limits of bodies.
func TestGRPCFrames(t *testing.T) {
	t.Parallel()
	data := []byte(wire(t, logs(text("a"))))
	var zlibbed, snapped bytes.Buffer
	z := zlib.NewWriter(&zlibbed)
	_, _ = z.Write(data)
	_ = z.Close()
	s := s2.NewWriter(&snapped, s2.WriterSnappyCompat())
	_, _ = s.Write(data)
	_ = s.Close()
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	zstded := enc.EncodeAll(data, nil)
	bomb := func(n int) []byte { return []byte(zipped(make([]byte, n))) }
	const most = 8 << 20
	tests := []struct {
		name, path string
		body       io.Reader
		headers    []string
		http       int
		code       codes.Code
		stored     int
	}{
		{"a message", method, bytes.NewReader(message(0, data)), nil, 200, codes.OK, 1},
		{"said to be protobuf", method, bytes.NewReader(message(0, data)), []string{"Content-Type", "application/grpc+proto"}, 200, codes.OK, 1},
		{"gzip", method, strings.NewReader(string(message(1, []byte(zipped(data))))), []string{"Grpc-Encoding", "gzip"}, 200, codes.OK, 1},
		{"zstd", method, bytes.NewReader(message(1, zstded)), []string{"Grpc-Encoding", "zstd"}, 200, codes.OK, 1},
		{"deflate", method, bytes.NewReader(message(1, zlibbed.Bytes())), []string{"Grpc-Encoding", "deflate"}, 200, codes.OK, 1},
		{"snappy", method, bytes.NewReader(message(1, snapped.Bytes())), []string{"Grpc-Encoding", "snappy"}, 200, codes.OK, 1},
		{"an encoding that the message does not use", method, bytes.NewReader(message(0, data)), []string{"Grpc-Encoding", "gzip"}, 200, codes.OK, 1},
		{"an empty message", method, bytes.NewReader(message(0, nil)), nil, 200, codes.OK, 0},
		{"Content-Encoding says nothing", method, bytes.NewReader(message(0, data)), []string{"Content-Encoding", "gzip"}, 200, codes.OK, 1},
		{"unknown encoding", method, bytes.NewReader(message(1, data)), []string{"Grpc-Encoding", "br"}, 200, codes.Unimplemented, 0},
		{"compressed without an encoding", method, bytes.NewReader(message(1, data)), nil, 200, codes.Internal, 0},
		{"unknown flags", method, bytes.NewReader(message(2, data)), nil, 200, codes.InvalidArgument, 0},
		{"not gzip", method, bytes.NewReader(message(1, data)), []string{"Grpc-Encoding", "gzip"}, 200, codes.InvalidArgument, 0},
		{"two messages", method, bytes.NewReader(append(message(0, data), message(0, data)...)), nil, 200, codes.InvalidArgument, 0},
		{"ends early", method, bytes.NewReader(message(0, data)[:20]), nil, 200, codes.Unavailable, 0},
		{"no message", method, http.NoBody, nil, 200, codes.Unavailable, 0},
		{"another method", "/x.y/Export", bytes.NewReader(message(0, data)), nil, 200, codes.Unimplemented, 0},
		{"another codec", method, bytes.NewReader(message(0, data)), []string{"Content-Type", "application/grpc+json"}, 200, codes.Unimplemented, 0},
		{"no gRPC", method, bytes.NewReader(data), []string{"Content-Type", "application/x-protobuf"}, 415, 0, 0},
		// Inflated to sent: 100 to 1 beyond 1 MiB, and the bound on bodies.
		{"1 MiB of zeros", method, bytes.NewReader(message(1, bomb(1<<20))), []string{"Grpc-Encoding", "gzip"}, 200, codes.InvalidArgument, 0},
		{"a byte more", method, bytes.NewReader(message(1, bomb(1<<20+1))), []string{"Grpc-Encoding", "gzip"}, 200, codes.ResourceExhausted, 0},
		{"a bomb", method, bytes.NewReader(message(1, bomb(100<<20))), []string{"Grpc-Encoding", "gzip"}, 200, codes.ResourceExhausted, 0},
		{"at the limit", method, bytes.NewReader(message(0, make([]byte, most))), nil, 200, codes.InvalidArgument, 0},
		// Nothing more is sent: these are answered by what is there.
		{"beyond the limit", method, stop(binary.BigEndian.AppendUint32([]byte{0}, most+1)...), nil, 200, codes.ResourceExhausted, 0},
		{"four gigabytes", method, stop(0, 255, 255, 255, 255), nil, 200, codes.ResourceExhausted, 0},
		{"a stranger", method, stop(), []string{"Authorization", "Bearer nobody"}, 200, codes.Unauthenticated, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, h := live(t)
			code, st, header := ask(t, raw(t, h), tt.path, tt.body, tt.headers...)
			if code != tt.http || st.Code() != tt.code || (tt.code != 0) != (st.Message() != "") {
				t.Fatalf("%d %v, want %d %v", code, st, tt.http, tt.code)
			}
			if tt.name == "unknown encoding" && header.Get("Grpc-Accept-Encoding") != encodings {
				t.Errorf("%v", header)
			}
			if len(s.Raw()) != tt.stored || s.Open() != 0 {
				t.Errorf("%d stored, %d open", len(s.Raw()), s.Open())
			}
		})
	}
}

// Over TLS the protocol is negotiated, as serve's listeners do it.
func TestGRPCOverTLS(t *testing.T) {
	t.Parallel()
	s, h := live(t)
	lender := httptest.NewTLSServer(http.NotFoundHandler())
	certificates := lender.TLS.Certificates
	lender.Close()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpin.Server(h.gate.Harden(h.GRPC()))
	server.Protocols = GRPCProtocols()
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(tls.NewListener(inner, &tls.Config{Certificates: certificates, NextProtos: []string{"h2", "http/1.1"}}))
	}()
	// The certificate is the test's own.
	conn, err := grpc.NewClient(inner.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})))
	if err != nil {
		t.Fatal(err)
	}
	if err := invoke(t, conn, ingesttest.Good, logs(text("a"))); err != nil || len(s.Raw()) != 1 {
		t.Errorf("%v, %d stored", err, len(s.Raw()))
	}
	_ = conn.Close()
	_ = server.Close()
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// Overload is said by the length of a message, before it is read.
func TestGRPCBusyBeforeTheMessage(t *testing.T) {
	t.Parallel()
	s, h := live(t)
	s.RefuseNext(&ingest.Busy{Wait: 2 * time.Second})
	_, st, _ := ask(t, raw(t, h), method, stop(0, 0, 0, 1, 0))
	if st.Code() != codes.Unavailable || len(st.Details()) != 1 {
		t.Errorf("%v %v", st, st.Details())
	}
}

// A library's client meets the bound on the ratio too.
func TestGRPCBomb(t *testing.T) {
	t.Parallel()
	s, h := live(t)
	err := invoke(t, dial(t, h), ingesttest.Good, logs(text(strings.Repeat("x", 7<<20))), grpc.UseCompressor(grpcgzip.Name))
	if status.Code(err) != codes.ResourceExhausted || len(s.Batches()) != 0 || s.Open() != 0 {
		t.Errorf("%v", err)
	}
}

// Slow senders are let go as those over HTTP are: after 10 s without a byte.
func TestGRPCSlow(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string][]byte{
		"headers alone":     nil,
		"half of a prefix":  {0, 0},
		"a prefix":          {0, 0, 0, 1, 0},
		"half of a message": message(0, make([]byte, 100))[:50],
		"an end is missing": message(0, []byte(wire(t, logs(text("a"))))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, h := live(t)
				begun := time.Now()
				_, st, _ := ask(t, raw(t, h), method, stop(sent...))
				took := time.Since(begun)
				if st.Code() != codes.Unavailable || took < httpin.BodyGrace || took > httpin.BodyGrace+time.Second {
					t.Errorf("%v after %v", st, took)
				}
				if len(s.Batches()) != 0 || s.Open() != 0 {
					t.Errorf("%d batches, %d open", len(s.Batches()), s.Open())
				}
			})
		})
	}
}

// What is said of a fault is printable ASCII, as headers must be.
func TestPercent(t *testing.T) {
	t.Parallel()
	if got := percent("a 100% \"ü\"\r\nb\x7f"); got != `a 100%25 "%C3%BC"%0D%0Ab%7F` {
		t.Errorf("%s", got)
	}
}

// Whatever is sent as a call has a status, and gives back its room.
func FuzzCall(f *testing.F) {
	data := []byte(wire(f, logs(text("a"))))
	f.Add(message(0, data), "")
	f.Add(message(1, []byte(zipped(data))), "gzip")
	f.Add(append(message(0, data), message(0, data)...), "identity")
	f.Add([]byte{1, 255, 255, 255, 255}, "zstd")
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		s, h := receiver(t)
		r := httptest.NewRequest(http.MethodPost, method, bytes.NewReader(body))
		r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
		r.Header = http.Header{"Content-Type": {"application/grpc"}, "Authorization": {"Bearer " + ingesttest.Good}, "Grpc-Encoding": {encoding}}
		w := httptest.NewRecorder()
		h.GRPC().ServeHTTP(w, r)
		code, err := strconv.Atoi(w.Header().Get(http.TrailerPrefix + "Grpc-Status"))
		if err != nil || code < 0 || code > 16 || w.Code != 200 || s.Open() != 0 {
			t.Fatalf("%d %v, %d open", w.Code, w.Header(), s.Open())
		}
		if code == 0 && (len(body) < prefixBytes || !bytes.Equal(w.Body.Bytes(), make([]byte, prefixBytes))) || code != 0 && len(s.Raw()) != 0 {
			t.Fatalf("status %d, answer %x, %d stored", code, w.Body.Bytes(), len(s.Raw()))
		}
		for _, c := range []byte(w.Header().Get(http.TrailerPrefix + "Grpc-Message")) {
			if c < ' ' || c > '~' {
				t.Fatalf("%q", w.Header())
			}
		}
	})
}
