package webhook

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tiercel-io/tiercel/detection"
)

// The vector of the reference implementations.
func TestSignature(t *testing.T) {
	t.Parallel()
	key, err := decodeSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign([][]byte{key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// While a secret is changed for another, a message is good for a receiver that
// has either, and for nobody else.
func TestSecretsRotate(t *testing.T) {
	t.Parallel()
	const next, never = "whsec_bmV4dG5leHRuZXh0bmV4dG5leHRuZXh0", "whsec_bmV2ZXJuZXZlcm5ldmVybmV2ZXJuZXZl"
	e := hook(t, "hook")
	e.Secrets = []string{next, secret}
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		stop := w.run()
		w.put(found("aa01", detection.Final))
		synctest.Wait()
		stop()
		got := w.requests()
		if len(got) != 1 {
			t.Fatalf("%d requests", len(got))
		}
		if n := len(strings.Split(got[0].header.Get("webhook-signature"), " ")); n != 2 {
			t.Errorf("%d signatures in %q", n, got[0].header.Get("webhook-signature"))
		}
		for s, want := range map[string]bool{next: true, secret: true, never: false} {
			verifier, err := standardwebhooks.NewWebhook(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := verifier.Verify(got[0].body, got[0].header); (err == nil) != want {
				t.Errorf("with %s: %v", s, err)
			}
		}
	})
}

// proxied makes an endpoint public and gives it a proxy.
func proxied(e *Endpoint, proxy string) {
	e.URL, e.AllowPrivate, e.Proxy = "https://example.com/path/"+e.Name, nil, proxy
}

func TestADetectionIsNotified(t *testing.T) {
	t.Parallel()
	e := hook(t, "hook")
	e.Headers = map[string]string{"Authorization": "Bearer x"}
	synctest.Test(t, func(t *testing.T) {
		w := build(t, e)
		stop := w.run()
		w.put(found("aa01", detection.Provisional))
		synctest.Wait()
		got := w.requests()
		if len(got) != 1 {
			t.Fatalf("%d requests", len(got))
		}
		r := got[0]
		verifier, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(r.body, r.header); err != nil {
			t.Error(err)
		}
		if err := verifier.Verify(append(r.body, ' '), r.header); err == nil {
			t.Error("a changed body passed")
		}
		if r.header.Get("Content-Type") != "application/json" || r.header.Get("Authorization") != "Bearer x" || r.path != "/path/hook" {
			t.Errorf("%s %v", r.path, r.header)
		}
		if id := r.header.Get("webhook-id"); !strings.HasPrefix(id, "msg_") || strings.Contains(id, ".") {
			t.Errorf("id %q", id)
		}
		var m struct {
			Type      string
			Timestamp time.Time
			Data      detection.Detection
		}
		if err := json.Unmarshal(r.body, &m); err != nil || m.Type != Created || m.Data.ID != "aa01" || !m.Timestamp.Equal(time.Now()) {
			t.Errorf("%s: %v", r.body, err)
		}
		if len(m.Data.Evidence) != 1 || m.Data.Evidence[0].RawHash != "h" || m.Data.Evidence[0].Event != nil {
			t.Errorf("evidence %+v", m.Data.Evidence)
		}
		if left := w.list(Filter{}); len(left) != 0 || w.attempts("ok") != 1 {
			t.Errorf("left %+v", left)
		}
		st, err := w.outbox.Endpoints(w.tenant)
		if err != nil || len(st) != 1 || !st[0].LastSuccess.Equal(time.Now()) || st[0].Host != "hook.internal" || st[0].LastError != "" {
			t.Errorf("%+v, %v", st, err)
		}
		stop()
	})
}

// types are what a receiver of everything is told, and of which detection.
func (w *world) types() (out []string) {
	for _, r := range w.requests() {
		var m struct {
			Type string
			Data detection.Detection
		}
		if err := json.Unmarshal(r.body, &m); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, m.Type+" "+m.Data.ID)
	}
	return out
}

func TestEachIsNotifiedOnce(t *testing.T) {
	t.Parallel()
	a := found("aa01", detection.Provisional)
	successor := found("bb01", detection.Provisional)
	successor.NotifyKey = a.NotifyKey
	gone := revised(a, "v2", detection.Superseded)
	gone.SupersededBy = "bb01"
	suppressed := found("cc01", detection.Final)
	suppressed.Suppressed = true
	steps := []struct {
		name string
		put  *detection.Detection
		want string // of a receiver of everything; empty for nothing
	}{
		{"first seen", a, "detection.created aa01"},
		{"the same again", a, ""},
		{"superseded", gone, "detection.superseded aa01"},
		{"its successor has its key", successor, ""},
		{"more evidence", revised(successor, "v3", detection.Provisional), "detection.updated bb01"},
		{"final", revised(successor, "v3", detection.Final), "detection.updated bb01"},
		{"closed", revised(successor, "v3", detection.Closed), "detection.closed bb01"},
		{"suppressed", suppressed, ""},
		{"no longer suppressed", found("cc01", detection.Final), "detection.created cc01"},
		{"closed when first seen", found("dd01", detection.Closed), "detection.closed dd01 detection.created dd01"},
		{"superseded when first seen", found("ee01", detection.Superseded), ""},
	}
	all, some := hook(t, "all"), hook(t, "some")
	all.Events = []string{Closed, Created, Superseded, Updated}
	some.MinLevel = "critical"
	synctest.Test(t, func(t *testing.T) {
		w := build(t, all, some)
		stop := w.run()
		before := 0
		for _, s := range steps {
			w.put(s.put)
			synctest.Wait()
			got := w.types()[before:]
			before += len(got)
			if len(got) == 2 && got[0] > got[1] {
				got[0], got[1] = got[1], got[0]
			}
			if strings.Join(got, " ") != s.want {
				t.Errorf("%s: told %q, want %q", s.name, got, s.want)
			}
			time.Sleep(time.Second)
		}
		stop()
		// A restart that computes everything again tells nobody.
		w.open(all, some)
		w.store = detection.Open(w.records, w.env.Clock)
		stop = w.run()
		for _, s := range steps {
			w.put(s.put)
		}
		time.Sleep(time.Minute)
		if got := w.types()[before:]; len(got) != 0 {
			t.Errorf("told again %q", got)
		}
		stop()
	})
}

func TestTenantsAreApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := build(t)
		stop := w.run()
		if _, err := w.store.PutWith(w.other, []*detection.Detection{found("aa01", detection.Final)}, forOther(w), false); err != nil {
			t.Fatal(err)
		}
		w.outbox.Wake()
		time.Sleep(time.Minute)
		if n := len(w.requests()); n != 0 {
			t.Errorf("%d notifications of another tenant's detection", n)
		}
		if p, err := w.outbox.List(w.other, Filter{}); err != nil || len(p.Deliveries) != 0 {
			t.Errorf("%+v, %v", p, err)
		}
		stop()
	})
}

func TestTheBodyStaysSmall(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, 1000, 8 << 10} {
		text := strings.Repeat("\x01", size)
		d := found("aa01", detection.Final)
		d.Reason, d.Rule.Title, d.Rule.Description, d.Rule.ID, d.Rule.Level = text, text, text, text, text
		for range 50 {
			d.Group = append(d.Group, detection.Field{Field: text, Value: text})
			d.Evidence = append(d.Evidence, detection.Evidence{Fields: d.Group, Event: json.RawMessage(`"` + strings.Repeat("x", size) + `"`)})
		}
		b, err := body(Created, d)
		if err != nil || len(b) > bodyBytesMax {
			t.Errorf("texts of %d: %d bytes, %v", size, len(b), err)
		}
		var m message
		if err := json.Unmarshal(b, &m); err != nil || m.Data.ID != "aa01" || m.Data.NotifyKey != "key-aa01" {
			t.Errorf("texts of %d: %v", size, err)
		}
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	t.Parallel()
	good := hook(t, "hook")
	for name, change := range map[string]func(*Endpoint){
		"a name has":               func(e *Endpoint) { e.Name = "a\x00b" },
		"no tenant":                func(e *Endpoint) { e.Tenant = Endpoint{}.Tenant },
		"its url is none":          func(e *Endpoint) { e.URL = "https:hook" },
		"not a scheme":             func(e *Endpoint) { e.URL = "gopher://hook.internal/" },
		"a name or a password":     func(e *Endpoint) { e.URL = "http://user@hook.internal/" },
		"a fragment":               func(e *Endpoint) { e.URL = "http://hook.internal/#x" },
		"in clear":                 func(e *Endpoint) { e.AllowPrivate = nil },
		"looks like an address":    func(e *Endpoint) { e.URL = "http://0x7f.1/" },
		"no sound port":            func(e *Endpoint) { e.URL = "http://hook.internal:0/" },
		"not a level":              func(e *Endpoint) { e.MinLevel = "severe" },
		"not a type of event":      func(e *Endpoint) { e.Events = []string{"detection.deleted"} },
		"its secret":               func(e *Endpoint) { e.Secrets = []string{secret, "whsec_MDEy"} },
		"its secret is not whsec_": func(e *Endpoint) { e.Secrets = []string{strings.TrimPrefix(secret, "whsec_")} },
		"it has 0 secrets":         func(e *Endpoint) { e.Secrets = nil },
		"it has 11 secrets":        func(e *Endpoint) { e.Secrets = slices.Repeat([]string{secret}, 11) },
		"its proxy is no url":      func(e *Endpoint) { proxied(e, "socks5://proxy.example:1080") },
		"its proxy is":             func(e *Endpoint) { proxied(e, "proxy.example:3128") },
		"its proxy holds":          func(e *Endpoint) { proxied(e, "http://a:b@proxy.example:3128") },
		"more than a host":         func(e *Endpoint) { proxied(e, "http://proxy.example:3128/x") },
		"its proxy looks like":     func(e *Endpoint) { proxied(e, "http://0x7f.1:3128") },
		"a proxy would read":       func(e *Endpoint) { e.Proxy = "http://proxy.example:3128" },
		"not name:password":        func(e *Endpoint) { proxied(e, "http://proxy.example:3128"); e.ProxyAuth = "token" },
		"and no proxy":             func(e *Endpoint) { e.ProxyAuth = "a:b" },
		"cannot be set":            func(e *Endpoint) { e.Headers = map[string]string{"Webhook-Id": "x"} },
		`the header "a b"`:         func(e *Endpoint) { e.Headers = map[string]string{"a b": "x"} },
		"control characters":       func(e *Endpoint) { e.Headers = map[string]string{"x": "a\r\nb: c"} },
	} {
		e := good
		change(&e)
		if _, err := Open(Config{Endpoints: []Endpoint{e}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("want %q: %v", name, err)
		} else if slices.ContainsFunc(e.Secrets, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			t.Errorf("the secret stands in %v", err)
		}
	}
	w := build(t)
	if _, err := Open(Config{Records: w.records, Env: w.env, Endpoints: []Endpoint{good, good}}); err == nil {
		t.Error("two of one name")
	}
}

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"93.184.216.34": true, "8.8.8.8": true, "2606:4700::1111": true, "::ffff:8.8.8.8": true, "64:ff9b::808:808": true,
		"0.0.0.0": false, "0.1.2.3": false, "127.0.0.1": false, "127.255.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false,
		"192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false, "100.100.100.200": false, "168.63.129.16": false, "192.0.0.192": false,
		"224.0.0.1": false, "239.255.255.250": false, "255.255.255.255": false, "240.0.0.1": false, "198.18.0.1": false, "203.0.113.7": false,
		"::": false, "::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:169.254.169.254": false, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2001::1": false, "2001:db8::1": false,
		"fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false, "fec0::1": false, "ff02::1": false, "100::1": false, "2606:4700::1%x": false,
	} {
		if got := public(netip.MustParseAddr(address)); got != want {
			t.Errorf("public(%s) = %t", address, got)
		}
	}
	if public(netip.Addr{}) {
		t.Error("no address is public")
	}
}

func TestMessageIDsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, endpoint := range []string{"a", "ab"} {
		for _, key := range []string{"b", "", "c"} {
			for _, kind := range []string{Created, Closed} {
				seen[messageID(endpoint, key, kind)] = true
			}
		}
	}
	if len(seen) != 12 {
		t.Error(fmt.Sprint(len(seen), " ids for 12 notifications"))
	}
	if got := messageID("a", "b", Created); len(got) != messageIDBytes {
		t.Error(got)
	}
}
