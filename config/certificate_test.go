package config_test

import (
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/config"
)

// What a certificate is looked for by has one spelling, which stands for itself.
func FuzzCertificateKey(f *testing.F) {
	for _, s := range []string{
		"dns:FW1.example.org", "spki:" + strings.Repeat("aB", 32), "ip:2001:DB8:0::1", "ip:::ffff:192.0.2.1", "ip:fe80::1%eth0",
		"uri:spiffe://example.org/a b", "uri:A:b", "email:a@b", "email:@", "cn:x", "dns:", ":", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, err := config.Certificate{Match: s}.Key()
		if err != nil {
			if key != "" {
				t.Fatalf("%q gives %q and %v", s, key, err)
			}
			return
		}
		kind, value, _ := strings.Cut(key, ":")
		if !strings.HasPrefix(s, kind+":") || value == "" {
			t.Fatalf("%q gives %q", s, key)
		}
		if again, err := (config.Certificate{Match: key}).Key(); err != nil || again != key {
			t.Fatalf("%q gives %q, which gives %q, %v", s, key, again, err)
		}
	})
}
