package webhook

import (
	"net/netip"
	"testing"
	"time"
)

// Any URL is refused, or names a host that is an address or a name that no
// resolver takes for one.
func FuzzURL(f *testing.F) {
	for _, s := range []string{"https://example.com/x", "https://[::1]:8443/", "https://0x7f.1/", "https://a@b/", "https://a..b/", "https://%31/", "https://[fe80::1%25e]/"} {
		f.Add(s)
	}
	base := Endpoint{Name: "hook", Secrets: []string{secret}}
	f.Fuzz(func(t *testing.T, s string) {
		e := base
		e.Tenant = hook(t, "hook").Tenant
		e.URL = s
		checked, err := check(e)
		if err != nil {
			return
		}
		host := checked.url.Hostname()
		if _, err := netip.ParseAddr(host); err != nil && disguised(host) || checked.url.User != nil || checked.url.Scheme != "https" {
			t.Fatalf("%q was taken", s)
		}
	})
}

// Whatever a receiver asks for, the wait has bounds.
func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Sun, 01 Nov 2026 12:01:00 GMT")
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, now); d < 0 || d > retryAfterMax {
			t.Fatalf("%q: %s", s, d)
		}
	})
}
