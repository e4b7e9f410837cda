package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/detection"
)

// connector is a proxy that connects everyone to one address.
type connector struct {
	to string

	mu    sync.Mutex
	asked []string // target and credentials of each CONNECT
}

// ServeHTTP implements http.Handler.
func (c *connector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.asked = append(c.asked, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
	c.mu.Unlock()
	if r.Header.Get("Proxy-Authorization") != "Basic bmFtZTpwYXNzOndvcmQ=" { // name:pass:word
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	there, err := net.Dial("tcp", c.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer there.Close()
	w.WriteHeader(http.StatusOK)
	here, read, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer here.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(there, read) // what came with the request stands in the buffer
		_ = there.Close()
	})
	_, _ = io.Copy(here, there)
	_ = here.Close()
	wg.Wait()
}

// Through a proxy, of either scheme, a destination is reached that is judged by
// its name, over TLS that the proxy cannot read.
func TestThroughAProxy(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"http", "https"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			got := make(chan http.Header, 10)
			server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header }))
			defer server.Close()
			via := &connector{to: server.Listener.Addr().String()}
			proxy := httptest.NewUnstartedServer(via)
			proxy.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			roots := x509.NewCertPool()
			roots.AddCert(server.Certificate())
			if scheme == "https" {
				proxy.StartTLS()
			} else {
				proxy.Start()
			}
			defer proxy.Close()

			w := build(t)
			w.net.names["example.com"] = [][]string{{"93.184.216.34"}}
			w.net.dial = func(ctx context.Context, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", proxy.Listener.Addr().String())
			}
			e := w.endpoint("hook")
			proxied(&e, scheme+"://10.9.9.9:3128/")
			if scheme == "https" {
				// The certificate of the test's servers is for this name.
				w.net.names["proxy.example.com"] = [][]string{{"10.9.9.9"}}
				proxied(&e, "https://proxy.example.com:3128")
			}
			e.ProxyAuth = "name:pass:word"
			conf := &tls.Config{RootCAs: roots}
			o, err := Open(Config{Records: w.records, Env: w.env, Endpoints: []Endpoint{e}, TLS: conf, Metrics: w.metrics})
			if err != nil {
				t.Fatal(err)
			}
			w.outbox = o
			stop := w.run()
			w.put(found("aa01", detection.Final))
			select {
			case h := <-got:
				if h.Get("Proxy-Authorization") != "" || h.Get("webhook-id") == "" {
					t.Errorf("the receiver got %v", h)
				}
			case <-time.After(30 * time.Second):
				t.Errorf("nothing came: %+v", w.list(Filter{}))
			}
			stop()
			via.mu.Lock()
			defer via.mu.Unlock()
			if !slices.Equal(via.asked, []string{"CONNECT example.com:443 Basic bmFtZTpwYXNzOndvcmQ="}) {
				t.Errorf("the proxy was asked %q", via.asked)
			}
			if calls := w.net.calls(); !slices.Equal(calls, []string{"10.9.9.9:3128"}) {
				t.Errorf("dialled %q", calls)
			}
		})
	}
}

// With a proxy a destination is judged before the proxy hears of it, at each
// attempt.
func TestAProxyIsToldNothingInside(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string][][]string{
		"private":  {{"10.0.0.1"}},
		"metadata": {{"169.254.169.254"}},
		"both":     {{"93.184.216.34", "127.0.0.1"}},
		"unknown":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := hook(t, "hook")
			proxied(&e, "http://10.9.9.9:3128")
			synctest.Test(t, func(t *testing.T) {
				w := build(t, e)
				w.net.names["example.com"] = answers
				stop := w.run()
				w.put(found("aa01", detection.Final))
				time.Sleep(time.Hour)
				stop()
				if calls := w.net.calls(); len(calls) != 0 {
					t.Errorf("dialled %q", calls)
				}
				if l := w.list(Filter{}); len(l) != 1 || l[0].Attempts != 4 || l[0].LastError == "" {
					t.Errorf("%+v", l)
				}
			})
		})
	}
	// A name that points inside only later.
	e := hook(t, "hook")
	proxied(&e, "http://10.9.9.9:3128")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.net.names["example.com"] = [][]string{{"93.184.216.34"}, {"127.0.0.1"}}
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(time.Hour)
		stop()
		// The receiver in memory is no proxy that connects: the first attempt fails there.
		if calls := w.net.calls(); !slices.Equal(calls, []string{"10.9.9.9:3128"}) || w.net.lookups != 4 || w.attempts("refused") != 3 {
			t.Errorf("dialled %q, %d lookups, %d refused", calls, w.net.lookups, w.attempts("refused"))
		}
	})
}

// A proxy may be in a private network, but not where no proxy can be.
func TestWhereAProxyMayBe(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"10.9.9.9": true, "127.0.0.1": true, "93.184.216.34": true, "0.0.0.0": false, "224.0.0.1": false, "168.63.129.16": false} {
		e := hook(t, "hook")
		proxied(&e, "http://proxy.example:3128")
		synctest.Test(t, func(t *testing.T) {
			w := build(t, e)
			w.net.names["example.com"], w.net.names["proxy.example"] = [][]string{{"93.184.216.34"}}, [][]string{{address}}
			stop := w.run()
			w.put(found("aa01", detection.Final))
			time.Sleep(time.Second)
			stop()
			if got := len(w.net.calls()) == 1; got != want {
				t.Errorf("%s: dialled %q", address, w.net.calls())
			}
		})
	}
}
