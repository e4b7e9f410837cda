package webhook

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/store/storetest"
)

// Destinations that must not be reached, whatever they are called: the endpoint
// is refused, or every attempt is, before any connection.
func TestNoConnectionInside(t *testing.T) {
	t.Parallel()
	names := map[string][][]string{
		"loop.example":     {{"127.0.0.1"}},
		"ten.example":      {{"10.0.0.1"}},
		"meta.example":     {{"169.254.169.254"}},
		"mapped.example":   {{"::ffff:169.254.169.254"}},
		"six.example":      {{"::1"}},
		"ula.example":      {{"fd00:ec2::254"}},
		"link.example":     {{"fe80::1%eth0"}},
		"nat64.example":    {{"64:ff9b::7f00:1"}},
		"cgnat.example":    {{"100.64.1.1"}},
		"zero.example":     {{"0.0.0.0"}},
		"both.example":     {{"93.184.216.34", "127.0.0.1"}},
		"both2.example":    {{"127.0.0.1", "93.184.216.34"}},
		"none.example":     {{}},
		"localhost":        {{"127.0.0.1"}},
		"127.1":            {{"127.0.0.1"}},
		"2130706433":       {{"127.0.0.1"}},
		"0x7f000001":       {{"127.0.0.1"}},
		"0x7f.1":           {{"127.0.0.1"}},
		"017700000001":     {{"127.0.0.1"}},
		"0177.0.0.1":       {{"127.0.0.1"}},
		"127.0.0.1.":       {{"127.0.0.1"}},
		"127.0.0.1.nip.io": {{"127.0.0.1"}},
		"a.0":              {{"127.0.0.1"}},
	}
	urls := []string{
		"https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::]/", "https://0.0.0.0/",
		"https://169.254.169.254/latest/meta-data", "https://[fe80::1%25eth0]/", "https://[fd00:ec2::254]/", "https://[64:ff9b::a9fe:a9fe]/",
		"https://10.0.0.1:8443/", "https://192.168.0.1/", "https://172.16.0.1/", "https://100.100.100.200/", "https://168.63.129.16/",
		"https://user:pass@93.184.216.34/", "https://93.184.216.34@127.0.0.1/", "https://127.0.0.1#@93.184.216.34/", "https://127.0.0.1\\@93.184.216.34/",
		"https:///x", "https:127.0.0.1", "//127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "http://93.184.216.34/", "unix:///run/x.sock",
		"https://%31%32%37.0.0.1/", "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://example.com:99999/", "https://example.com:-1/", "https://exa mple.com/",
	}
	for name := range names {
		urls = append(urls, "https://"+name+"/")
	}
	for _, target := range urls {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			a, _, _ := storetest.Tenants(t)
			synctest.Test(t, func(t *testing.T) {
				w := build(t)
				for name, answers := range names {
					w.net.names[name] = slices.Clone(answers)
				}
				o, err := Open(Config{Records: w.records, Env: w.env, Metrics: w.metrics, Endpoints: []Endpoint{{Name: "hook", Tenant: a, URL: target, Secrets: []string{secret}}}})
				if err != nil {
					return // refused at once
				}
				w.outbox = o
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
}

func TestRefusedIsCounted(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	e.URL, e.AllowPrivate = "https://hook.internal/", nil
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(time.Second)
		stop()
		if w.attempts("refused") != 1 || len(w.net.calls()) != 0 {
			t.Errorf("refused %d, dialled %q", w.attempts("refused"), w.net.calls())
		}
		if l := w.list(Filter{}); !strings.Contains(l[0].LastError, "its address is not public") || strings.Contains(l[0].LastError, "10.1.2.3") {
			t.Errorf("%+v", l)
		}
	})
}

// A name that answers with a public address first and a private one next: there
// is one lookup for a connection, and what is dialled is what was judged.
func TestRebinding(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	e.URL, e.AllowPrivate = "https://rebind.example/", nil
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.net.names["rebind.example"] = [][]string{{"93.184.216.34"}, {"127.0.0.1"}, {"127.0.0.1"}, {"93.184.216.34"}}
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(10 * time.Minute)
		stop()
		for _, address := range w.net.calls() {
			if address != "93.184.216.34:443" {
				t.Errorf("dialled %s", address)
			}
		}
		if len(w.net.calls()) == 0 || w.net.lookups != len(w.requestsTried()) {
			t.Errorf("%d dialled, %d lookups, %d attempts", len(w.net.calls()), w.net.lookups, len(w.requestsTried()))
		}
	})
}

// requestsTried has an entry for each attempt of the only notification.
func (w *world) requestsTried() []struct{} { return make([]struct{}, w.list(Filter{})[0].Attempts) }

// What one endpoint may reach another may not, although the host is the same and
// a connection is open.
func TestConnectionsAreNotShared(t *testing.T) {
	t.Parallel()
	may, mayNot := hook(t, "may"), hook(t, "may-not")
	mayNot.AllowPrivate = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}
	synctest.Test(t, func(t *testing.T) {
		w := build(t, may, mayNot)
		stop := w.run()
		for _, id := range []string{"aa01", "bb01", "cc01"} {
			w.put(found(id, detection.Final))
			time.Sleep(time.Second)
		}
		stop()
		got := w.requests()
		for _, r := range got {
			if r.path != "/path/may" {
				t.Errorf("%s was reached", r.path)
			}
		}
		if len(got) != 3 || len(w.net.calls()) != 1 {
			t.Errorf("%d requests over %d connections", len(got), len(w.net.calls()))
		}
	})
}

// http is for allowed networks only, even when the address is public.
func TestClearTextStaysInside(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	e.URL = "http://public.example/"
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.net.names["public.example"] = [][]string{{"93.184.216.34"}}
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(time.Second)
		stop()
		if len(w.net.calls()) != 0 || w.attempts("refused") != 1 {
			t.Errorf("dialled %q", w.net.calls())
		}
	})
}

func TestTheNextAddressIsTried(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.net.names["hook.internal"] = [][]string{{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"}}
		w.net.accept = make(chan net.Conn) // nobody accepts: every dial hangs
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(16 * time.Second)
		if l := w.list(Filter{}); len(l) != 1 || l[0].Attempts != 1 || !strings.Contains(l[0].LastError, "no answer within 15s") {
			t.Errorf("%+v", l)
		}
		if calls := w.net.calls(); !slices.Equal(calls, []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"}) {
			t.Errorf("dialled %q", calls)
		}
		stop()
	})
}

func TestDisguisedHosts(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"example.com": false, "example.com.": false, "127.0.0.1": false, "::1": false, "a1.b2": false, "0xz.example": false, "x0": false,
		"1": true, "127.1": true, "0x7f": true, "0X7F": true, "a.0x": true, "a.1.": true, "256.256.256.256": true, ".": true, "a..": true,
	} {
		if got := disguised(host); got != want {
			t.Errorf("disguised(%q) = %t", host, got)
		}
	}
}

// The header of redirects is never looked at; this is here so that a change to a
// client that follows them fails.
func TestRedirectsReachNothing(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		w.net.names["inside.example"] = [][]string{{"127.0.0.1"}}
		codes := []int{301, 302, 303, 307, 308, 300, 304}
		w.answer = func(n int, rw http.ResponseWriter, _ *http.Request) {
			if n < len(codes) {
				rw.Header().Set("Location", "https://inside.example/")
				rw.WriteHeader(codes[n])
			}
		}
		stop := w.run()
		w.put(found("aa01", detection.Final))
		time.Sleep(48 * time.Hour)
		stop()
		if n := len(w.requests()); n != len(codes)+1 || w.net.lookups != len(w.net.calls()) {
			t.Errorf("%d requests", n)
		}
		for _, address := range w.net.calls() {
			if address != "10.1.2.3:80" {
				t.Errorf("dialled %s", address)
			}
		}
	})
}
