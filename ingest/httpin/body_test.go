package httpin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest"
)

func post(body []byte, headers ...string) *http.Request {
	r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
	r.RemoteAddr = "192.0.2.1:1"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestReceive(t *testing.T) {
	t.Parallel()
	f, s, _ := newFront(Options{})
	g := f.Gate("p")
	text := []byte(strings.Repeat("line\n", 1000))
	for _, form := range append([]string{""}, forms...) {
		sent, enc := text, ""
		if form != "" {
			sent, enc = pack(t, form, text), encoding(form)
		}
		d, err := g.Receive(httptest.NewRecorder(), post(sent, "Content-Encoding", enc), ingest.Grant{Source: "s"}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(d.Data, text) || d.SentBytes != int64(len(sent)) || s.open == 0 || s.held < int64(len(text)) {
			t.Errorf("%s: %d bytes of %d sent, %d open, %d bytes held", form, len(d.Data), d.SentBytes, s.open, s.held)
		}
		b := d.Batch()
		if b.Source != "s" || b.Protocol != "p" || b.Peer != "192.0.2.1" || !b.Received.Equal(f.Clock().Now()) || &b.Data[0] != &d.Data[0] {
			t.Errorf("batch %+v", b)
		}
		d.Close()
		d.Close()
		if s.open != 0 || s.held != 0 {
			t.Errorf("%d open, %d bytes held", s.open, s.held)
		}
	}
	// A body of no bytes is none, whatever its encoding is called.
	d, err := g.Receive(httptest.NewRecorder(), post(nil, "Content-Encoding", "gzip"), ingest.Grant{}, 0)
	if err != nil || len(d.Data) != 0 {
		t.Errorf("%v", err)
	}
	d.Close()
}

func TestReceiveRefusesBeforeReading(t *testing.T) {
	t.Parallel()
	unread := func(length int64, headers ...string) *http.Request {
		r := post(nil, headers...)
		r.Body, r.ContentLength = io.NopCloser(failing{t}), length
		return r
	}
	f, s, _ := newFront(Options{BodyBytesMax: 1000})
	g := f.Gate("p")
	_, err := g.Receive(httptest.NewRecorder(), unread(1001), ingest.Grant{}, 0)
	wantFault(t, err, 413, ReasonTooLarge)
	_, err = g.Receive(httptest.NewRecorder(), unread(101), ingest.Grant{}, 100)
	wantFault(t, err, 413, ReasonTooLarge)
	_, err = g.Receive(httptest.NewRecorder(), unread(10, "Content-Encoding", "br"), ingest.Grant{}, 0)
	wantFault(t, err, 415, ReasonEncoding)
	s.busy = &ingest.Busy{Wait: 90 * time.Second, Why: "full"}
	_, err = g.Receive(httptest.NewRecorder(), unread(10), ingest.Grant{}, 0)
	if fault := wantFault(t, err, 429, ReasonBusy); RetryAfter(fault.Wait) != "90" {
		t.Errorf("wait %s", fault.Wait)
	}
	if s.open != 0 || len(s.hints) != 0 {
		t.Errorf("%d open, admitted %v", s.open, s.hints)
	}
}

// failing fails the test when it is read.
type failing struct{ t *testing.T }

func (f failing) Read([]byte) (int, error) {
	f.t.Error("the body was read")
	return 0, io.ErrUnexpectedEOF
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	const limit = 10_000
	f, s, _ := newFront(Options{BodyBytesMax: limit})
	g := f.Gate("p")
	for _, form := range append([]string{""}, forms...) {
		for size, status := range map[int]int{limit: 200, limit + 1: 413, 100 * limit: 413} {
			body, enc := bytes.Repeat([]byte("x"), size), ""
			if form != "" {
				body, enc = pack(t, form, body), encoding(form)
			}
			r := post(body, "Content-Encoding", enc)
			r.ContentLength = -1
			d, err := g.Receive(httptest.NewRecorder(), r, ingest.Grant{}, 0)
			if status == 200 {
				if err != nil || len(d.Data) != size {
					t.Errorf("%s %d: %v", form, size, err)
				} else {
					d.Close()
				}
			} else {
				wantFault(t, err, status, ReasonTooLarge)
			}
			if s.open != 0 {
				t.Fatalf("%s %d: %d open", form, size, s.open)
			}
		}
	}
}

// The ratio counts once 1 MiB is out; it is judged on all that was sent.
func TestRatio(t *testing.T) {
	t.Parallel()
	f, _, _ := newFront(Options{RatioMax: 10})
	g := f.Gate("p")
	for _, form := range forms {
		for size, ok := range map[int]bool{RatioFreeBytes: true, RatioFreeBytes + 1: false, 100 * RatioFreeBytes: false} {
			sent := pack(t, form, make([]byte, size))
			if int64(len(sent))*10 > int64(size) && !ok {
				t.Fatalf("%s packs only to %d", form, len(sent))
			}
			d, err := g.Receive(httptest.NewRecorder(), post(sent, "Content-Encoding", encoding(form)), ingest.Grant{}, 0)
			if ok {
				if err != nil {
					t.Errorf("%s %d: %v", form, size, err)
				} else {
					d.Close()
				}
				continue
			}
			wantFault(t, err, 413, ReasonTooLarge)
		}
	}
}

func TestCutBody(t *testing.T) {
	t.Parallel()
	f, s, _ := newFront(Options{})
	r := post(nil)
	r.Body, r.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader("half"), cut{})), 8
	w := httptest.NewRecorder()
	_, err := f.Gate("p").Receive(w, r, ingest.Grant{}, 0)
	wantFault(t, err, 400, ReasonCut)
	if s.open != 0 || w.Header().Get("Connection") != "close" {
		t.Errorf("%d open, %v", s.open, w.Header())
	}
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// pipes is a listener of connections in memory, whose deadlines run on the
// clock of the bubble.
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

// serve runs a handler of the front in a bubble and gives a connection to it.
func serve(t *testing.T, f *Front, h http.Handler) net.Conn {
	t.Helper()
	return serveOn(t, Server(f.Harden(h)))
}

func serveOn(t *testing.T, server *http.Server) net.Conn {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	near, far := net.Pipe()
	l.conns <- far
	t.Cleanup(func() {
		near.Close()
		_ = server.Close()
		<-done
	})
	return near
}

// ending are the ways in which a slow client ends.
type ending struct {
	status int
	after  time.Duration
}

// slowPost sends head, then a piece of body every interval, and tells how it
// ended; status 0 is a closed connection.
func slowPost(t *testing.T, conn net.Conn, head, piece string, interval time.Duration, pieces int) ending {
	t.Helper()
	begun := time.Now()
	stop, stopped := make(chan struct{}), make(chan struct{})
	defer func() {
		close(stop)
		conn.Close()
		<-stopped
	}()
	go func() {
		defer close(stopped)
		_, _ = io.WriteString(conn, head)
		for range pieces {
			if _, err := io.WriteString(conn, piece); err != nil {
				return
			}
			select {
			case <-stop:
				return
			case <-time.After(interval):
			}
		}
	}()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	after := time.Since(begun)
	if err != nil {
		return ending{0, after}
	}
	_, _ = io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return ending{r.StatusCode, after}
}

func TestSlowBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head     string
		piece    int
		interval time.Duration
		pieces   int
		want     ending
		reads    bool
	}{
		"nothing comes":         {"Content-Length: 5000", 0, time.Hour, 1, ending{408, 10 * time.Second}, true},
		"a byte a second":       {"Content-Length: 5000", 1, time.Second, 5000, ending{408, 10*time.Second + 11*time.Second/1024}, true},
		"half the rate":         {"Content-Length: 102400", 500, time.Second, 200, ending{408, 10*time.Second + 10_000*time.Second/1024}, true},
		"the rate":              {"Content-Length: 102400", 1024, time.Second, 100, ending{200, 99 * time.Second}, true},
		"a pause within grace":  {"Content-Length: 2", 1, 9 * time.Second, 2, ending{200, 9 * time.Second}, true},
		"chunks too slowly":     {"Transfer-Encoding: chunked", 0, time.Second, 5000, ending{408, 10 * time.Second}, true},
		"nobody reads the body": {"Content-Length: 5000", 1, time.Second, 5000, ending{401, 10 * time.Second}, false},
		"headers never end":     {"X-A: b\r\nX-B", 1, time.Second, 5000, ending{0, 5 * time.Second}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, s, _ := newFront(Options{Clock: env.Real().Clock})
				g := f.Gate("p")
				conn := serve(t, f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !c.reads {
						g.Answer(w, 401, nil, nil)
						return
					}
					d, err := g.Receive(w, r, ingest.Grant{}, 0)
					if err != nil {
						g.Answer(w, AsFault(err).Status, nil, nil)
						return
					}
					g.Answer(w, 200, nil, d)
					d.Close()
				}))
				end := "\r\n\r\n"
				if !c.reads && strings.HasSuffix(c.head, "X-B") {
					end = ""
				}
				got := slowPost(t, conn, "POST / HTTP/1.1\r\nHost: x\r\n"+c.head+end, strings.Repeat("5", c.piece), c.interval, c.pieces)
				// The server tells a client whose headers do not end 408 itself.
				if c.want.status == 0 {
					got.status = 0
				}
				if got != c.want {
					t.Errorf("%+v, want %+v", got, c.want)
				}
				if s.open != 0 {
					t.Errorf("%d open", s.open)
				}
			})
		})
	}
}

// A client that sends a second request on its connection meets no deadline of
// the first.
func TestDeadlinesEndWithTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := newFront(Options{Clock: env.Real().Clock})
		g := f.Gate("p")
		conn := serve(t, f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, err := g.Receive(w, r, ingest.Grant{}, 0)
			if err != nil {
				g.Answer(w, AsFault(err).Status, nil, nil)
				return
			}
			defer d.Close()
			// A slow sync, longer than any deadline of the body.
			select {
			case <-r.Context().Done():
				g.Answer(w, 499, nil, nil)
			case <-time.After(45 * time.Second):
				g.Answer(w, 200, []byte("ok"), d)
			}
		}))
		answers := bufio.NewReader(conn)
		for range 3 {
			go func() { _, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody") }()
			r, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(r.Body)
			if r.StatusCode != 200 || string(body) != "ok" {
				t.Errorf("%d %q", r.StatusCode, body)
			}
			time.Sleep(50 * time.Second)
		}
	})
}

func TestHarden(t *testing.T) {
	t.Parallel()
	f, _, _ := newFront(Options{})
	h := f.Harden(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }))
	try := func(target string, headers int) int {
		r := httptest.NewRequest("GET", target, nil)
		for i := range headers {
			r.Header.Add(fmt.Sprintf("X-%d", i/2), "v")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	for headers, status := range map[int]int{HeadersMax: 204, HeadersMax + 1: 431, 100 * HeadersMax: 431} {
		if got := try("/", headers); got != status {
			t.Errorf("%d headers: %d", headers, got)
		}
	}
	for n, status := range map[int]int{URLBytesMax: 204, URLBytesMax + 1: 414, 100 * URLBytesMax: 414} {
		if got := try("/"+strings.Repeat("x", n-1), 0); got != status {
			t.Errorf("URL of %d: %d", n, got)
		}
	}
	if n := counted(f, "http", ReasonRequest, true); n != 4 {
		t.Errorf("%v refusals are counted of 4", n)
	}
	for keys, status := range map[int]int{QueryKeysMax: 204, QueryKeysMax + 1: 414, 1000: 414} {
		if got := try("/?"+strings.Repeat("a&", keys-1)+"a", 0); got != status {
			t.Errorf("%d keys: %d", keys, got)
		}
	}
}

// What Server says of itself is what was promised.
func TestServerSettings(t *testing.T) {
	t.Parallel()
	s := Server(http.NotFoundHandler())
	if s.ReadHeaderTimeout != 5*time.Second || s.IdleTimeout != time.Minute || s.MaxHeaderBytes != 32<<10 || s.HTTP2.MaxConcurrentStreams != 100 || s.ReadTimeout != 0 || s.WriteTimeout != 0 {
		t.Errorf("%+v", s)
	}
}

func TestHeadersBeyondTheirBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := newFront(Options{Clock: env.Real().Clock})
		conn := serve(t, f, http.NotFoundHandler())
		got := slowPost(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n", "X-A: "+strings.Repeat("v", 1000)+"\r\n", time.Millisecond, 100)
		if got.status != 431 {
			t.Errorf("%+v", got)
		}
	})
}

// The bytes of a request's head are counted as they were sent.
func TestHeaderBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, most := range []int64{0, 5000, 100_000} {
			f, _, _ := newFront(Options{Clock: env.Real().Clock, HeaderBytesMax: most})
			server := Server(f.Harden(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })))
			if most == 0 {
				most = HeaderBytesMax
			}
			server.MaxHeaderBytes = int(most)
			for n, status := range map[int64]int{most: 204, most + 1: 431, 100 * most: 431} {
				const head, end = "GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: a\r\nX-A: ", "\r\n\r\n"
				got := slowPost(t, serveOn(t, server), head+strings.Repeat("v", int(n)-len(head)-len(end))+end, "", 0, 0)
				if got.status != status {
					t.Errorf("%d bytes of %d: %+v", n, most, got)
				}
			}
		}
	})
}

func TestPanicEndsTheConnectionOnly(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f, _, _ := newFront(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	h := f.Harden(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom\nforged=line") }))
	func() {
		defer func() {
			if p := recover(); p != http.ErrAbortHandler {
				t.Errorf("panicked with %v", p)
			}
		}()
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/a%0ab", nil))
	}()
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "handler panicked") {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

// A sink that fails is told of once a minute, however often it fails.
func TestFailingSinkIsToldOnce(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	c := newClock()
	f, s, _ := newFront(Options{Clock: c, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s.err = errors.New("sync: input/output error\nforged=line")
	for i := range 100 {
		d, err := f.Gate("p").Receive(httptest.NewRecorder(), post([]byte("x")), ingest.Grant{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		wantFault(t, d.Accept(t.Context(), d.Batch()), 500, ReasonInternal)
		d.Close()
		if i == 49 {
			c.now = c.now.Add(time.Minute)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, log.String())
	}
}

func TestAsFault(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		reason string
	}{
		{&ingest.Busy{Wait: time.Millisecond}, 429, ReasonBusy},
		{fmt.Errorf("accept: %w", &ingest.Busy{}), 429, ReasonBusy},
		{context.Canceled, 499, ReasonCut},
		{fmt.Errorf("wait: %w", context.DeadlineExceeded), 499, ReasonCut},
		{errors.New("disk"), 500, ReasonInternal},
		{fmt.Errorf("body: %w", Faultf(408, ReasonSlow, "slow")), 408, ReasonSlow},
	} {
		if f := AsFault(c.err); f.Status != c.status || f.Reason != c.reason || f.Reason == ReasonBusy && f.Wait < time.Second {
			t.Errorf("%v: %+v", c.err, f)
		}
	}
	for wait, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", 1000 * time.Hour: "86400", -time.Hour: "1"} {
		if got := RetryAfter(wait); got != want {
			t.Errorf("%s: %s", wait, got)
		}
	}
}

func TestAnswerCounts(t *testing.T) {
	t.Parallel()
	f, _, _ := newFront(Options{})
	g := f.Gate("p")
	w := httptest.NewRecorder()
	g.Answer(w, StatusCut, []byte("x"), nil)
	if w.Code != 503 || counted(f, "p", "499", false) != 1 {
		t.Errorf("%d", w.Code)
	}
	g.Rejected(ReasonSlow)
	if counted(f, "p", ReasonSlow, true) != 1 {
		t.Error("not counted")
	}
}

// What a request holds in memory is what the sink admitted: a body that turns
// out larger than its length let expect asks for more, and is refused when
// there is none.
func TestRoomGrowsWithTheBody(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	text := bytes.Repeat([]byte("0123456789abcde\n"), size/16)
	for _, form := range append([]string{""}, forms...) {
		for _, known := range []bool{true, false} {
			sent, enc := text, ""
			if form != "" {
				sent, enc = pack(t, form, text), encoding(form)
			}
			try := func(room int64) (*room, error) {
				f, s, _ := newFront(Options{RatioMax: 1 << 20})
				s.max = room
				r := post(sent, "Content-Encoding", enc)
				if !known {
					r.ContentLength = -1
				}
				d, err := f.Gate("p").Receive(httptest.NewRecorder(), r, ingest.Grant{}, 0)
				if err == nil {
					if s.held < size || len(d.Data) != size {
						t.Errorf("%q, length known %t: %d bytes of room for %d", form, known, s.held, len(d.Data))
					}
					d.Close()
				}
				return s, err
			}
			s, err := try(1 << 30)
			if err != nil || s.held != 0 {
				t.Errorf("%q, length known %t: %v, %d held", form, known, err, s.held)
			}
			s, err = try(size - 1)
			wantFault(t, err, 429, ReasonBusy)
			if s.open != 0 || s.held != 0 {
				t.Errorf("%q, length known %t: %d open, %d held", form, known, s.open, s.held)
			}
		}
	}
}

// The frames of very many short records count as room too, and those of a large
// body never are what it is refused for.
func TestReserve(t *testing.T) {
	t.Parallel()
	f, s, _ := newFront(Options{})
	s.max = 4 << 20
	receive := func(body string) *Delivery {
		d, err := f.Gate("p").Receive(httptest.NewRecorder(), httptest.NewRequest("POST", "/", strings.NewReader(body)), ingest.Grant{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := receive("body")
	for _, n := range []int64{3, 4, 5000, 3 << 20} {
		if err := d.Reserve(n); err != nil || s.held != max(4, n) {
			t.Errorf("%d: %v, %d held", n, err, s.held)
		}
	}
	if fault := wantFault(t, d.Reserve(4<<20+1), 429, ReasonBusy); fault.Wait != time.Second {
		t.Errorf("%v", fault.Wait)
	}
	if d.Close(); s.open != 0 || s.held != 0 {
		t.Errorf("%d open, %d held", s.open, s.held)
	}
	d = receive(strings.Repeat("x", 4<<20))
	if err := d.Reserve(3 << 20); err != nil {
		t.Error(err)
	}
	d.Close()
}

// A client that does not read its answer is let go, however the answer is
// written.
func TestAnswersThatNobodyReads(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*Gate, http.ResponseWriter){
		"whole": func(g *Gate, w http.ResponseWriter) { g.Answer(w, 200, make([]byte, 1<<20), nil) },
		"in pieces": func(g *Gate, w http.ResponseWriter) {
			g.AnswerPieces(w, 200, 1<<20, func(w io.Writer) {
				for range 16 {
					_, _ = w.Write(make([]byte, 1<<16))
				}
			}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f, _, _ := newFront(Options{Clock: env.Real().Clock})
				g := f.Gate("p")
				took := make(chan time.Duration, 1)
				conn := serve(t, f, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					begun := time.Now()
					answer(g, w)
					took <- time.Since(begun)
				}))
				_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				if d := <-took; d != AnswerWait {
					t.Errorf("let go after %v", d)
				}
				if _, err := conn.Write([]byte("GET ")); err == nil {
					t.Error("the connection goes on")
				}
			})
		})
	}
}
