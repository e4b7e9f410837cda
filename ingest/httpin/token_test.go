package httpin

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/ingest"
)

func TestToken(t *testing.T) {
	t.Parallel()
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, c := range []struct {
		headers []string
		want    string
	}{
		{nil, ""},
		{[]string{"Authorization", "Bearer T"}, "T"},
		{[]string{"Authorization", "bearer   T "}, "T"},
		{[]string{"Authorization", "Splunk T"}, "T"},
		{[]string{"Authorization", "ApiKey " + b64("id:T")}, "T"},
		{[]string{"Authorization", "ApiKey " + b64("id:T:x")}, "T:x"},
		{[]string{"Authorization", "ApiKey tt_plain"}, "tt_plain"},
		{[]string{"Authorization", "ApiKey " + b64("no colon")}, b64("no colon")},
		{[]string{"Authorization", "ApiKey " + b64("id:\x00\xff")}, b64("id:\x00\xff")},
		{[]string{"Authorization", "Basic " + b64("anyone:T")}, "T"},
		{[]string{"Authorization", "Basic " + b64(":T:T")}, "T:T"},
		{[]string{"Authorization", "Basic " + b64("anyone")}, ""},
		{[]string{"Authorization", "Basic %%%"}, ""},
		{[]string{"Authorization", "Digest T"}, ""},
		{[]string{"Authorization", "T"}, ""},
		{[]string{"Authorization", ""}, ""},
		{[]string{"Authorization", "Bearer T", "Authorization", "Bearer U"}, ""},
		{[]string{"X-Amz-Firehose-Access-Key", "T"}, "T"},
		{[]string{"X-Amz-Firehose-Access-Key", "T", "Authorization", "Bearer U"}, "U"},
		{[]string{"Authorization", "Bearer " + strings.Repeat("T", TokenBytesMax)}, strings.Repeat("T", TokenBytesMax)},
	} {
		r := request(t, "192.0.2.1:1", c.headers...)
		got, ok := Token(r)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%.80q: %.80q, %t", c.headers, got, ok)
		}
	}
	for _, n := range []int{TokenBytesMax + 1, 100 * TokenBytesMax} {
		for _, value := range []string{"Bearer " + strings.Repeat("T", n), "Basic " + b64("u:"+strings.Repeat("T", n)), "ApiKey " + strings.Repeat("T", n)} {
			if _, ok := Token(request(t, "192.0.2.1:1", "Authorization", value)); ok {
				t.Errorf("a token of %d bytes is taken", n)
			}
		}
	}
	r := request(t, "192.0.2.1:1")
	r.URL.RawQuery = "token=good&access_token=good"
	if token, ok := Token(r); ok {
		t.Errorf("%q is taken from the query", token)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	f, _, a := newFront(Options{})
	g := f.Gate("p")
	if grant, err := g.Authenticate(request(t, "192.0.2.1:1", "Authorization", "Bearer good")); err != nil || grant.Source != "s" {
		t.Errorf("%v %v", grant, err)
	}
	_, err := g.Authenticate(request(t, "192.0.2.1:1", "Authorization", "Bearer bad"))
	wantFault(t, err, 401, ReasonToken)
	_, err = g.Authenticate(request(t, "192.0.2.1:1", "Authorization", "Bearer old"))
	wantFault(t, err, 401, ReasonExpired)
	asked := a.asked
	_, err = g.Authenticate(request(t, "192.0.2.1:1"))
	wantFault(t, err, 401, ReasonNoToken)
	_, err = g.AuthenticateToken(request(t, "192.0.2.1:1"), strings.Repeat("x", TokenBytesMax+1))
	wantFault(t, err, 401, ReasonNoToken)
	if a.asked != asked {
		t.Error("the authenticator was asked for nothing")
	}
}

// An address that fails too often is not asked about any more, until the
// minute is over; a token that was good from it goes on being good, and other
// addresses do not notice.
func TestFailedTokensHaveABudget(t *testing.T) {
	t.Parallel()
	c := newClock()
	f, _, a := newFront(Options{Clock: c, FailedAuthPerMinute: 10})
	g := f.Gate("p")
	try := func(remote, token string) error {
		_, err := g.Authenticate(request(t, remote, "Authorization", "Bearer "+token))
		return err
	}
	if err := try("192.0.2.1:1", "good"); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		wantFault(t, try("192.0.2.1:1", fmt.Sprint("bad", i)), 401, ReasonToken)
	}
	asked := a.asked
	for i := range 1000 {
		fault := wantFault(t, try("192.0.2.1:99", fmt.Sprint("worse", i)), 429, ReasonAttempts)
		if fault.Wait != 55*time.Second {
			t.Fatalf("wait %s", fault.Wait)
		}
	}
	if a.asked != asked {
		t.Errorf("the authenticator was asked %d times beyond the budget", a.asked-asked)
	}
	if err := try("192.0.2.1:2", "good"); err != nil {
		t.Errorf("a good agent behind the address: %v", err)
	}
	if err := try("198.51.100.1:1", "good"); err != nil {
		t.Errorf("another address: %v", err)
	}
	c.now = c.now.Add(55 * time.Second)
	wantFault(t, try("192.0.2.1:1", "bad"), 401, ReasonToken)
}

func TestBudgetIsOfAnIPv6Block(t *testing.T) {
	t.Parallel()
	f, _, _ := newFront(Options{FailedAuthPerMinute: 10})
	g := f.Gate("p")
	for i := range 20 {
		_, err := g.Authenticate(request(t, fmt.Sprintf("[2001:db8:1:2::%x]:1", i+1), "Authorization", "Bearer bad"))
		status := 401
		if i >= 10 {
			status = 429
		}
		if got := AsFault(err).Status; got != status {
			t.Errorf("attempt %d: %d", i, got)
		}
	}
}

func TestPeer(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote, forwarded string
		proxies           bool
		want              string
	}{
		{"192.0.2.1:5", "", false, "192.0.2.1"},
		{"[2001:db8::1]:5", "", false, "2001:db8::1"},
		{"[::ffff:192.0.2.1]:5", "", false, "192.0.2.1"},
		{"[fe80::1%eth0]:5", "", false, "fe80::1"},
		{"192.0.2.1:5", "203.0.113.9", false, "192.0.2.1"},
		{"192.0.2.1:5", "203.0.113.9", true, "192.0.2.1"},
		{"10.1.1.1:5", "203.0.113.9", true, "203.0.113.9"},
		{"10.1.1.1:5", "1.1.1.1, 203.0.113.9", true, "203.0.113.9"},
		{"10.1.1.1:5", "1.1.1.1, 203.0.113.9, 10.9.9.9", true, "203.0.113.9"},
		{"10.1.1.1:5", "10.2.2.2", true, "10.2.2.2"},
		{"10.1.1.1:5", "", true, "10.1.1.1"},
		{"10.1.1.1:5", "evil\"", true, "10.1.1.1"},
		{"10.1.1.1:5", "203.0.113.9, evil", true, "10.1.1.1"},
		{"10.1.1.1:5", strings.Repeat("10.0.0.1,", 3000) + "10.0.0.1", true, "10.0.0.1"},
		{"@", "", false, "invalid IP"},
		{"", "203.0.113.9", true, "invalid IP"},
	} {
		o := Options{}
		if c.proxies {
			o.Proxies = proxies
		}
		f, _, _ := newFront(o)
		r := request(t, c.remote)
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := f.Peer(r).String(); got != c.want {
			t.Errorf("%s %.40s: %s, want %s", c.remote, c.forwarded, got, c.want)
		}
	}
}

// The number of a shard must stay what it is: it places a sender's records.
func TestShardIsStable(t *testing.T) {
	t.Parallel()
	a := Shard(netip.MustParseAddr("192.0.2.1"), ingest.Grant{Token: "t"})
	if a != Shard(netip.MustParseAddr("::ffff:192.0.2.1"), ingest.Grant{Token: "t"}) {
		t.Error("an address mapped to IPv6 is another sender")
	}
	if a == Shard(netip.MustParseAddr("192.0.2.2"), ingest.Grant{Token: "t"}) || a == Shard(netip.MustParseAddr("192.0.2.1"), ingest.Grant{Token: "u"}) {
		t.Error("two senders share a number")
	}
	_ = Shard(netip.Addr{}, ingest.Grant{})
}

func BenchmarkRefuseToken(b *testing.B) {
	f, _, _ := newFront(Options{})
	g := f.Gate("p")
	r := request(b, "192.0.2.1:1", "Authorization", "Bearer bad")
	for b.Loop() {
		if _, err := g.Authenticate(r); err == nil {
			b.Fatal("taken")
		}
	}
}

// FuzzToken checks that no header makes a token of nothing or beyond its bound,
// and that a token survives each way to send it.
func FuzzToken(f *testing.F) {
	f.Add("Basic dTpU", "T")
	f.Add("ApiKey aWQ6VA==", "tt_abc")
	f.Fuzz(func(t *testing.T, value, token string) {
		r := request(t, "192.0.2.1:1")
		r.Header["Authorization"] = []string{value}
		if got, ok := Token(r); ok != (got != "" && len(got) <= TokenBytesMax) {
			t.Fatalf("%q, %t", got, ok)
		}
		if !printable(token) || len(token) > TokenBytesMax {
			return
		}
		b64 := base64.StdEncoding.EncodeToString
		for _, sent := range []string{"Bearer " + token, "SPLUNK " + token, "Basic " + b64([]byte("u:"+token)), "ApiKey " + b64([]byte("id:"+token))} {
			r.Header["Authorization"] = []string{sent}
			if got, ok := Token(r); !ok || got != token {
				t.Fatalf("%q gives %q", sent, got)
			}
		}
	})
}
