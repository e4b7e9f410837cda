package syslog

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"

	"github.com/tiercel-io/tiercel/ingest"
)

// SPKI is the key of a certificate in [Options.Certificates] by its public key:
// "spki:" and the SHA-256 of its SubjectPublicKeyInfo in lower-case
// hexadecimal. It needs no authority, since the handshake proves the key.
func SPKI(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return "spki:" + hex.EncodeToString(sum[:])
}

// SAN lists the keys of a certificate in [Options.Certificates] by its subject
// alternative names: "dns:" with the name in lower case, "ip:", "uri:" and
// "email:". They are compared whole, without wildcards, and count only when
// the certificate was verified.
func SAN(c *x509.Certificate) []string {
	var keys []string
	for _, n := range c.DNSNames {
		keys = append(keys, "dns:"+strings.ToLower(n))
	}
	for _, ip := range c.IPAddresses {
		keys = append(keys, "ip:"+ip.String())
	}
	for _, u := range c.URIs {
		keys = append(keys, "uri:"+u.String())
	}
	for _, m := range c.EmailAddresses {
		keys = append(keys, "email:"+m)
	}
	return keys
}

// grantOf returns the one grant that a client's certificate stands for.
func grantOf(state tls.ConnectionState, grants map[string]ingest.Grant) (ingest.Grant, bool) {
	if len(state.PeerCertificates) == 0 {
		return ingest.Grant{}, false
	}
	leaf := state.PeerCertificates[0]
	keys := []string{SPKI(leaf)}
	if len(state.VerifiedChains) > 0 {
		keys = append(keys, SAN(leaf)...)
	}
	var found ingest.Grant
	ok := false
	for _, k := range keys {
		g, known := grants[k]
		if !known {
			continue
		}
		if ok && g != found {
			return ingest.Grant{}, false
		}
		found, ok = g, true
	}
	return found, ok
}
