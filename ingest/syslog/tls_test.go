package syslog

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	c := a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	a.pool.AddCert(a.cert)
	return a
}

func (a *authority) sign(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	server := ca.sign(t, &x509.Certificate{DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	client := func(names ...string) tls.Certificate {
		return ca.sign(t, &x509.Certificate{DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	}
	named, pinned, unknown, double := client("FW1.example.net"), client(), client("fw1.example.net.evil"), client("fw1.example.net", "fw2.example.net")
	grant := func(source string) ingest.Grant { return ingest.Grant{Tenant: event.LocalTenant, Source: source} }
	tests := []struct {
		name  string
		auth  tls.ClientAuthType
		certs map[string]ingest.Grant
		cert  *tls.Certificate
		want  string // the source, or the reason for refusal behind a !
	}{
		{"no certificates asked", tls.NoClientCert, nil, nil, "net"},
		{"by name", tls.RequireAndVerifyClientCert, map[string]ingest.Grant{"dns:fw1.example.net": grant("fw1")}, &named, "fw1"},
		{"by key", tls.RequireAnyClientCert, map[string]ingest.Grant{SPKI(pinned.Leaf): grant("pinned")}, &pinned, "pinned"},
		{"a name that nobody verified", tls.RequireAnyClientCert, map[string]ingest.Grant{"dns:fw1.example.net": grant("fw1")}, &named, "!" + reasonCertificate},
		{"unknown", tls.RequireAndVerifyClientCert, map[string]ingest.Grant{"dns:fw1.example.net": grant("fw1")}, &unknown, "!" + reasonCertificate},
		{"two grants", tls.RequireAndVerifyClientCert, map[string]ingest.Grant{"dns:fw1.example.net": grant("a"), "dns:fw2.example.net": grant("b")}, &double, "!" + reasonCertificate},
		{"two names of one grant", tls.RequireAndVerifyClientCert, map[string]ingest.Grant{"dns:fw1.example.net": grant("a"), "dns:fw2.example.net": grant("a")}, &double, "a"},
		{"none given", tls.VerifyClientCertIfGiven, map[string]ingest.Grant{"dns:fw1.example.net": grant("a")}, nil, "!" + reasonCertificate},
		{"none given where one must be", tls.RequireAndVerifyClientCert, map[string]ingest.Grant{}, nil, "!" + reasonHandshake},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := options(t, newSink())
			o.Certificates = tt.certs
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			f := &fixture{sink: o.Sink.(*sink), o: o}
			f.start(t, l.Addr(), NewStream(l, &tls.Config{Certificates: []tls.Certificate{server}, ClientAuth: tt.auth, ClientCAs: ca.pool}, o).Run)
			config := &tls.Config{RootCAs: ca.pool, ServerName: "localhost"}
			if tt.cert != nil {
				config.Certificates = []tls.Certificate{*tt.cert}
			}
			c := tls.Client(f.dial(t), config)
			_, _ = c.Write([]byte("<13>secret\n")) // fails in some of the cases
			if reason, refused := cutPrefix(tt.want); refused {
				if _, err := c.Read(make([]byte, 1)); err == nil {
					t.Error("the connection is still open")
				}
				counted(t, o.Metrics, reason)
				f.stop()
				if f.records() != 0 {
					t.Errorf("%d records", f.records())
				}
				return
			}
			f.until(func() bool { return f.records() == 1 })
			if got := f.batches[0].Source; got != tt.want {
				t.Errorf("source %q", got)
			}
		})
	}
}

func cutPrefix(s string) (string, bool) {
	if s[0] == '!' {
		return s[1:], true
	}
	return s, false
}

// A client that does not get on with the handshake is sent away.
func TestSlowHandshake(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	o := options(t, newSink())
	clock := newHand()
	o.Env.Clock = clock
	l, err := o.Env.Net.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{sink: o.Sink.(*sink), o: o}
	f.start(t, l.Addr(), NewStream(l, &tls.Config{Certificates: []tls.Certificate{ca.sign(t, &x509.Certificate{})}}, o).Run)
	c := f.dial(t)
	write(t, c, "\x16\x03\x01")
	clock.advance(HandshakeMax)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	counted(t, o.Metrics, reasonHandshake)
}
