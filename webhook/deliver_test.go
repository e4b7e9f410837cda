package webhook

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/store"
)

// forOther makes the notifications of the other tenant.
func forOther(w *world) func([]detection.Change) ([]store.Write, error) {
	return func(changes []detection.Change) ([]store.Write, error) { return w.outbox.Writes(w.other, changes) }
}

func status(code int) func(int, http.ResponseWriter, *http.Request) {
	return func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// The whole schedule: ten attempts with the same id and body, each signed anew,
// then the notification is given up and listed, and can be tried again.
func TestSchedule(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.answer = status(503)
		stop := w.run()
		start := time.Now()
		w.put(found("aa01", detection.Final))
		time.Sleep(2 * time.Minute)
		if l := w.list(Filter{State: Pending}); len(l) != 1 || l[0].Attempts != 2 || l[0].LastError != "the receiver answered 503" || w.pending() != 1 {
			t.Errorf("after two minutes %+v, %d pending", l, w.pending())
		}
		time.Sleep(4 * 24 * time.Hour)
		stop()
		got := w.requests()
		if len(got) != 10 {
			t.Fatalf("%d attempts", len(got))
		}
		at := start
		for i, wait := range []time.Duration{
			0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
		} {
			at = at.Add(wait)
			if late := got[i].at.Sub(at); late < 0 || late > 5*time.Second {
				t.Errorf("attempt %d came %s late", i+1, late)
			}
			at = got[i].at
			if got[i].header.Get("webhook-id") != got[0].header.Get("webhook-id") || string(got[i].body) != string(got[0].body) {
				t.Errorf("attempt %d differs", i+1)
			}
			if ts := got[i].header.Get("webhook-timestamp"); ts != fmt.Sprint(at.Unix()) {
				t.Errorf("attempt %d has time %s", i+1, ts)
			}
		}
		l := w.list(Filter{State: Failed})
		if len(l) != 1 || l[0].ID != got[0].header.Get("webhook-id") || l[0].Attempts != 10 || len(w.list(Filter{State: Pending})) != 0 {
			t.Fatalf("%+v", l)
		}
		if w.attempts("retry") != 9 || w.attempts("failed") != 1 || w.pending() != 0 {
			t.Errorf("retry %d, failed %d, pending %d", w.attempts("retry"), w.attempts("failed"), w.pending())
		}

		// By hand, after a restart, to a receiver that is well.
		w.answer = nil
		w.open(e)
		stop = w.run()
		if err := w.outbox.Retry(w.other, l[0].ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("another tenant's: %v", err)
		}
		if err := w.outbox.Retry(w.tenant, l[0].ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got = w.requests(); len(got) != 11 || got[10].header.Get("webhook-id") != l[0].ID || len(w.list(Filter{})) != 0 {
			t.Errorf("%d attempts, left %+v", len(got), w.list(Filter{}))
		}
		if err := w.outbox.Retry(w.tenant, l[0].ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("one that was delivered: %v", err)
		}
		stop()
	})
}

func TestARestartGoesOn(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.answer = func(n int, rw http.ResponseWriter, _ *http.Request) {
			if n < 2 {
				rw.WriteHeader(500)
			}
		}
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(time.Minute)
		stop()
		w.open(e)
		stop = w.run()
		time.Sleep(3 * time.Minute)
		if n := len(w.requests()); n != 2 {
			t.Errorf("%d attempts before five minutes", n)
		}
		time.Sleep(3 * time.Minute)
		if n := len(w.requests()); n != 3 || len(w.list(Filter{})) != 0 {
			t.Errorf("%d attempts, left %+v", n, w.list(Filter{}))
		}
		stop()
	})
}

func TestJitterIsAddedAndBounded(t *testing.T) {
	t.Parallel()
	w := &Outbox{}
	w.env.Rand = seeded{rand.NewChaCha8([32]byte{1})}
	different := map[time.Duration]bool{}
	for range 200 {
		d := w.jitter(5 * time.Minute)
		if d < 5*time.Minute || d >= 6*time.Minute {
			t.Fatal(d)
		}
		different[d] = true
	}
	if len(different) < 150 || w.jitter(0) != 0 {
		t.Errorf("%d different waits", len(different))
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "0": 0, "-1": 0, "x": 0, "99999999": 24 * time.Hour, "99999999999999999999": 0,
		"Sun, 01 Nov 2026 12:01:00 GMT": time.Minute, "Sun, 01 Nov 2026 11:01:00 GMT": 0, "Sun, 01 Nov 2037 12:01:00 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
	e := hook(t, "hook")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.answer = func(n int, rw http.ResponseWriter, _ *http.Request) {
			if n == 0 {
				rw.Header().Set("Retry-After", "600")
				rw.WriteHeader(429)
			}
		}
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(time.Minute)
		w.put(found("bb01", detection.Final)) // the endpoint is silent for all
		time.Sleep(8 * time.Minute)
		if n := len(w.requests()); n != 1 {
			t.Errorf("%d requests within the silence", n)
		}
		// The row holds it too, over a restart.
		if l := w.list(Filter{}); len(l) != 2 || l[0].NextAttempt.Sub(l[0].LastAttempt) < 10*time.Minute {
			t.Errorf("%+v", l)
		}
		time.Sleep(2 * time.Minute)
		if n := len(w.requests()); n != 3 || len(w.list(Filter{})) != 0 {
			t.Errorf("%d requests", n)
		}
		stop()
	})
}

func TestGoneDisables(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.answer = status(410)
		stop := w.run()
		w.put(found("aa01", detection.Final))
		synctest.Wait()
		stop()
		w.open(e) // it is persisted
		stop = w.run()
		w.put(found("bb01", detection.Final))
		time.Sleep(24 * time.Hour)
		st, err := w.outbox.Endpoints(w.tenant)
		if err != nil || len(st) != 1 || st[0].Disabled.IsZero() || st[0].LastError != "the receiver answered 410 Gone" || st[0].Failed != 1 {
			t.Errorf("%+v, %v", st, err)
		}
		if n := len(w.requests()); n != 1 || w.attempts("disabled") != 1 {
			t.Errorf("%d requests, %d disabled", n, w.attempts("disabled"))
		}
		w.answer = nil
		if err := w.outbox.Enable(w.tenant, "other"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
		if err := w.outbox.Enable(w.tenant, "hook"); err != nil {
			t.Fatal(err)
		}
		w.put(found("cc01", detection.Final))
		if err := w.outbox.Retry(w.tenant, w.list(Filter{State: Failed})[0].ID); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := len(w.requests()); n != 3 || len(w.list(Filter{})) != 0 {
			t.Errorf("%d requests, left %+v", n, w.list(Filter{}))
		}
		stop()
	})
}

// Answers that are no success, and receivers that do not behave: each is a failed
// attempt within its time, and the next is made.
func TestReceiversThatMisbehave(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request)
		want   string
		after  time.Duration
	}{
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://hook.internal/elsewhere", http.StatusFound)
		}, "the receiver answered 302; redirects are not followed", 0},
		{"permanent redirect", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data")
			w.WriteHeader(308)
		}, "the receiver answered 308; redirects are not followed", 0},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "no answer within 15s", attemptTimeout},
		{"hang up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF", 0},
		{"endless headers", func(w http.ResponseWriter, _ *http.Request) {
			for i := range 3000 {
				w.Header().Set(fmt.Sprint("X-", i), strings.Repeat("x", 100))
			}
		}, "server response headers exceeded", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := hook(t, "hook")
			synctest.Test(t, func(t *testing.T) {
				w := build(t, e)
				w.answer = func(n int, rw http.ResponseWriter, r *http.Request) {
					if n == 0 {
						c.answer(rw, r)
					}
				}
				stop := w.run()
				w.put(found("aa01", detection.Final))
				time.Sleep(c.after + time.Second)
				if l := w.list(Filter{}); len(l) != 1 || l[0].Attempts != 1 || !strings.Contains(l[0].LastError, c.want) {
					t.Errorf("%+v, want %q", l, c.want)
				}
				time.Sleep(10 * time.Second)
				got := w.requests()
				if len(got) != 2 || got[1].path != "/path/hook" || len(w.list(Filter{})) != 0 {
					t.Errorf("%d requests", len(got))
				}
				stop()
			})
		})
	}
}

// A body without end is read up to its bound, and a success is one.
func TestAnEndlessBodyIsNotRead(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		var sent atomic.Int64
		w.answer = func(_ int, rw http.ResponseWriter, r *http.Request) {
			chunk := make([]byte, 4<<10)
			for r.Context().Err() == nil && sent.Load() < 64<<20 {
				n, err := rw.Write(chunk)
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(time.Second)
		if w.attempts("ok") != 1 || sent.Load() > 1<<20 {
			t.Errorf("ok %d, %d bytes were taken", w.attempts("ok"), sent.Load())
		}
		stop()
	})
}

// A receiver that never answers delays no other.
func TestEndpointsDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	slow, fast := hook(t, "slow"), hook(t, "fast")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, slow, fast)
		var mu sync.Mutex
		under, most := 0, 0
		w.answer = func(_ int, _ http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "slow") {
				mu.Lock()
				under++
				most = max(most, under)
				mu.Unlock()
				<-r.Context().Done()
				mu.Lock()
				under--
				mu.Unlock()
			}
		}
		stop := w.run()
		var list []*detection.Detection
		for i := range 50 {
			list = append(list, found(fmt.Sprintf("%02d", i), detection.Final))
		}
		w.put(list...)
		time.Sleep(time.Second)
		if l := w.list(Filter{Endpoint: "fast"}); len(l) != 0 {
			t.Errorf("%d wait for the fast endpoint", len(l))
		}
		if l := w.list(Filter{Endpoint: "slow", Limit: 7}); len(l) != 50 {
			t.Errorf("%d wait for the slow endpoint", len(l))
		}
		stop() // in the middle of deliveries: they are not counted as attempts
		mu.Lock()
		defer mu.Unlock()
		if most != perEndpointMax {
			t.Errorf("%d at once", most)
		}
		for _, d := range w.list(Filter{Endpoint: "slow"}) {
			if d.Attempts != 0 {
				t.Errorf("%+v", d)
			}
		}
	})
}

func TestAStoreThatFailsIsTriedAgain(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.put(found("aa01", detection.Final))
		var mu sync.Mutex
		broken := true
		w.records.Fail = func() error {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return store.ErrFailed
			}
			return nil
		}
		stop := w.run()
		time.Sleep(12 * time.Second)
		mu.Lock()
		broken = false
		mu.Unlock()
		time.Sleep(12 * time.Second)
		got := w.requests()
		if len(got) < 2 || len(w.list(Filter{})) != 0 {
			t.Errorf("%d requests, left %+v", len(got), w.list(Filter{}))
		}
		for _, r := range got {
			if r.header.Get("webhook-id") != got[0].header.Get("webhook-id") {
				t.Error("the receiver cannot know it again")
			}
		}
		stop()
	})
}

func TestTrim(t *testing.T) {
	t.Parallel()
	e, leaving := hook(t, "hook"), hook(t, "leaving")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e, leaving)
		w.answer = func(_ int, rw http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "leaving") {
				rw.WriteHeader(500)
			}
		}
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(time.Minute)
		w.put(found("bb01", detection.Final))
		time.Sleep(time.Second)
		limit := time.Now().Add(-30 * time.Second)
		if n, err := w.outbox.Trim(w.tenant, limit); n != 1 || err != nil { // aa01 of hook
			t.Error(n, err)
		}
		stop()
		w.open(e)
		if n, err := w.outbox.Trim(w.tenant, limit); n != 1 || err != nil { // aa01 of leaving
			t.Error(n, err)
		}
		if n, err := w.outbox.Trim(w.tenant, time.Now()); n != 2 || err != nil {
			t.Error(n, err)
		}
		for _, kind := range []string{kindRow, kindKnown, kindDue} {
			if err := w.records.Scan(store.Range{Tenant: w.tenant, Kind: kind}, func(d store.Document) bool {
				t.Errorf("%s left in %s", d.ID, kind)
				return true
			}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRunEndsWithAClosedStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := build(t)
		w.put(found("aa01", detection.Final))
		w.records.Fail = func() error { return store.ErrClosed }
		if err := w.outbox.Run(t.Context()); !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
}

// Over TLS, with a certificate that is checked against the name.
func TestTLS(t *testing.T) {
	t.Parallel()
	delivered := make(chan string, 10)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		delivered <- r.Host
	}))
	defer server.Close()
	server.Config.ErrorLog = nil
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	good, wrong := hook(t, "good"), hook(t, "wrong")
	good.URL, good.AllowPrivate = "https://example.com/x", nil
	wrong.URL, wrong.AllowPrivate = "https://example.test/x", nil
	w := build(t)
	w.net.names["example.com"] = [][]string{{"93.184.216.34"}}
	w.net.names["example.test"] = [][]string{{"93.184.216.35"}}
	w.net.dial = func(ctx context.Context, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	o, err := Open(Config{Records: w.records, Env: w.env, Endpoints: []Endpoint{good, wrong}, TLS: &tls.Config{RootCAs: roots}, Metrics: w.metrics})
	if err != nil {
		t.Fatal(err)
	}
	w.outbox = o
	w.put(found("aa01", detection.Final))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	if host := <-delivered; host != "example.com" {
		t.Error(host)
	}
	for l := w.list(Filter{Endpoint: "wrong"}); l[0].Attempts == 0; l = w.list(Filter{Endpoint: "wrong"}) {
		<-w.outbox.env.Clock.NewTimer(time.Millisecond).C()
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if l := w.list(Filter{Endpoint: "wrong"}); !strings.Contains(l[0].LastError, "certificate") {
		t.Errorf("%+v", l)
	}
	if len(delivered) != 0 {
		t.Error("delivered under a wrong name")
	}
}
