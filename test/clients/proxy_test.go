package clients

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
)

// proxy stands between a client and the server. It passes requests and answers
// on as they are, but for the first answer that acknowledges events: that one
// is thrown away and the connection cut, so that the client must send again
// what the server already has.
type proxy struct {
	target string
	port   int

	mu      sync.Mutex
	cut     int
	unheard int
	// bodies are those that the server took, stored how many events stand in
	// them: a body that comes again as it was is not stored again.
	bodies  map[[sha256.Size]byte]bool
	stored  int
	refused map[int]int
	acked   map[string]bool
}

// startProxy starts a proxy in front of a server's HTTP port.
func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{target: target, port: l.Addr().(*net.TCPAddr).Port, refused: make(map[int]int), acked: make(map[string]bool), bodies: make(map[[sha256.Size]byte]bool)}
	s := &http.Server{Handler: p}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(l)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return p
}

// ServeHTTP implements http.Handler.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client went away
	}
	forward, err := http.NewRequest(r.Method, p.target+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	forward.Header = r.Header.Clone()
	forward.Header.Del("Connection")
	if r.UserAgent() == "" {
		forward.Header.Set("User-Agent", "") // else Go names itself
	}
	answer, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(forward)
	if err != nil {
		panic(http.ErrAbortHandler) // the server cut it off: so it is for the client
	}
	defer answer.Body.Close()
	text, broken := io.ReadAll(answer.Body)
	if p.judge(inflated(r.Header.Get("Content-Encoding"), body), answer.StatusCode) {
		panic(http.ErrAbortHandler) // closes the connection
	}
	for name, values := range answer.Header {
		if name != "Connection" {
			w.Header()[name] = values
		}
	}
	if broken == nil {
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	} // else the server's, so that this answer breaks off as well
	w.WriteHeader(answer.StatusCode)
	_, _ = w.Write(text)
}

// judge counts an answer and says whether it is the one to throw away.
func (p *proxy) judge(body []byte, status int) bool {
	ids := idPattern.FindAll(body, -1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if sum := sha256.Sum256(body); status < 300 && !p.bodies[sum] {
		p.bodies[sum] = true
		p.stored += len(ids)
	}
	switch {
	case len(ids) == 0:
	case status >= 300:
		p.refused[status]++
	case p.cut == 0:
		p.cut++
		p.unheard = len(ids)
		return true
	default:
		for _, id := range ids {
			p.acked[string(id)] = true
		}
	}
	return false
}

// state is how many events were acknowledged, how many stood in the request
// whose answer was thrown away, how often the server refused and how many answers
// were thrown away.
func (p *proxy) state() (acked, unheard, busy, cut int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.acked), p.unheard, p.refused[http.StatusTooManyRequests] + p.refused[http.StatusServiceUnavailable], p.cut
}

// taken is how many events the server took, with those that came again in other
// bodies than at first.
func (p *proxy) taken() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint64(p.stored)
}

func inflated(encoding string, body []byte) []byte {
	if encoding != "gzip" {
		return body
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil
	}
	text, err := io.ReadAll(z)
	if err != nil {
		return nil
	}
	return text
}

// wireProxy passes a TCP connection on. It cuts the first one when the server
// writes after it was sent some data, which is when it acknowledges a batch.
type wireProxy struct {
	address string
	target  string

	mu    sync.Mutex
	count int
}

// wireCutAfter is more than a connection says before its first batch.
const wireCutAfter = 8 << 10

// startWireProxy starts a proxy in front of an address.
func startWireProxy(t *testing.T, target string) *wireProxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &wireProxy{address: l.Addr().String(), target: target}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	keep := func(c net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		open = append(open, c)
	}
	all.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = from.Close()
				continue
			}
			keep(from)
			keep(to)
			all.Go(func() { p.pass(from, to) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return p
}

// pass copies both ways until one side ends.
func (p *wireProxy) pass(from, to net.Conn) {
	var sent atomic.Int64
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(to, io.TeeReader(from, counter{&sent}))
		_ = to.Close()
	})
	buffer := make([]byte, 32<<10)
	for {
		n, err := to.Read(buffer)
		if n > 0 && sent.Load() > wireCutAfter && p.first() {
			break
		}
		if n > 0 {
			if _, err := from.Write(buffer[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = from.Close()
	_ = to.Close()
	up.Wait()
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

func (p *wireProxy) first() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count > 0 {
		return false
	}
	p.count++
	return true
}

func (p *wireProxy) cuts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}
