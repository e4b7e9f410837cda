package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// Certificate says whose messages come with one client certificate.
type Certificate struct {
	Match  string `key:"match" need:"yes" doc:"What the certificate must have: spki: and the SHA-256 of its public key in hexadecimal; or one of its alternative names, whole and without wildcards, as dns:fw1.example.org, ip:192.0.2.1, uri:spiffe://example.org/fw1 or email:fw1@example.org. A name counts only with client_ca."`
	Tenant string `key:"tenant" doc:"Whose messages these are. Empty means the tenant of the listener."`
	Source string `key:"source" doc:"The source they belong to. Empty means the source of the listener."`
}

// CertificatesMax bounds the certificates of one syslog listener.
const CertificatesMax = 10_000

// Key is what Match says in the one way in which it is compared: spki: in
// lower-case hexadecimal, names of hosts in lower case, addresses and URIs as
// they are printed. The error says what is wrong with it.
func (c Certificate) Key() (string, error) {
	kind, text, ok := strings.Cut(c.Match, ":")
	if !ok || text == "" {
		return "", errors.New("it has no kind and value")
	}
	switch kind {
	case "spki":
		sum, err := hex.DecodeString(text)
		if err != nil || len(sum) != 32 {
			return "", errors.New("a SHA-256 has 64 hexadecimal digits")
		}
		text = hex.EncodeToString(sum)
	case "dns":
		if strings.ContainsAny(text, "* /") {
			return "", errors.New("names are compared whole, so a wildcard fits nothing")
		}
		text = strings.ToLower(text)
	case "ip":
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return "", errors.New("this is not an address")
		}
		text = a.Unmap().String()
	case "uri":
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" {
			return "", errors.New("this is not a URI")
		}
		text = u.String()
	case "email":
		if name, host, _ := strings.Cut(text, "@"); name == "" || host == "" {
			return "", errors.New("this is not an address of mail")
		}
	default:
		return "", fmt.Errorf("%q is not a kind of name", clip(kind))
	}
	return kind + ":" + text, nil
}

// certificateHint says how Match is written.
const certificateHint = "write spki: and the SHA-256 of the public key in hexadecimal, or dns:, ip:, uri: or email: and a name of the certificate"

// SyslogTLS is the certificate of a listener with transport tls: its own, or that
// of http.
func (c *Config) SyslogTLS(s Syslog) TLS {
	if s.TLS.On() {
		return s.TLS
	}
	return c.HTTP.TLS
}

// DemandsCertificate reports whether a sender needs a certificate at a listener.
func (c *Config) DemandsCertificate(s Syslog) bool {
	return s.Transport == "tls" && (len(s.Certificates) > 0 || c.SyslogTLS(s).ClientCA != "")
}

// clientCertificates checks whom a syslog listener knows by certificate.
func (k *checker) clientCertificates(path string, s Syslog) {
	if len(s.Certificates) == 0 {
		return
	}
	path += ".certificates"
	if s.Transport != "tls" {
		k.fault(path, "write transport: tls, or remove them", "clients have no certificate with transport %s", s.Transport)
		return
	}
	if len(s.Certificates) > CertificatesMax {
		k.fault(path, "", "there are %d certificates, more than the limit of %d", len(s.Certificates), CertificatesMax)
		return
	}
	first := map[string]int{}
	for i, c := range s.Certificates {
		where := fmt.Sprintf("%s[%d]", path, i)
		if c.Tenant != s.Tenant { // else it is the listener's, which is checked there
			k.tenant(where+".tenant", c.Tenant)
		}
		if c.Source != s.Source && !event.SourceName(c.Source) {
			k.fault(where+".source", sourceNameHint, "%q cannot be the name of a source", clip(c.Source))
		}
		if c.Match == "" {
			continue // the decoder has said so
		}
		key, err := c.Key()
		if err != nil {
			k.fault(where+".match", certificateHint, "%q cannot be looked for: %v", clip(c.Match), err)
			continue
		}
		if at, twice := first[key]; twice {
			k.fault(where+".match", "remove one of them", "the same certificate stands at certificates[%d] too", at)
			continue
		}
		first[key] = i
		if !strings.HasPrefix(key, "spki:") && k.c.SyslogTLS(s).ClientCA == "" {
			k.fault(where+".match", "add client_ca to the tls of this listener or of http, or match by spki:", "anyone can write a name into a certificate of his own, and no authority is named that would vouch for it")
		}
	}
}
