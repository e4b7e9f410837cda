package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest/syslog"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	c := a.sign(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.cert, a.key = c.Leaf, c.PrivateKey.(*ecdsa.PrivateKey)
	return a
}

// sign makes a key and a certificate for it; by itself while it has none.
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

// client makes a client's certificate with names.
func (a *authority) client(t *testing.T, names ...string) *tls.Certificate {
	t.Helper()
	c := a.sign(t, &x509.Certificate{DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return &c
}

// pemFiles writes a certificate and its key.
func pemFiles(t *testing.T, dir, name string, c tls.Certificate) {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, b := range map[string]*pem.Block{name + ".pem": {Type: "CERTIFICATE", Bytes: c.Certificate[0]}, name + ".key": {Type: "PRIVATE KEY", Bytes: key}} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// serving runs a server with a configuration and calls use once it is ready.
func serving(t *testing.T, dir, text string, use func(context.Context, *server) error) {
	t.Helper()
	file := filepath.Join(dir, "tiercel.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var flags []config.Flag
	for key, value := range map[string]string{"data": filepath.Join(dir, "data"), "admin.listen": "", "log.reserve_bytes": "16MiB", "observability.log_level": "error"} {
		flags = append(flags, config.Flag{Name: "--set", Key: key, Value: value})
	}
	cfg, _, err := config.Load(env.Real().FS, file, nil, flags)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }, world: env.Real()}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	s := newServer(p, cfg)
	s.ready = func(ctx context.Context) error {
		defer stop()
		return use(ctx, s)
	}
	if err := s.serve(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func valueOf(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// A syslog listener takes messages from those whose certificate it knows, as
// the source that belongs to it, and sends away everyone else.
func TestSyslogKnowsCertificates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ours, others := newAuthority(t), newAuthority(t)
	pemFiles(t, dir, "server", ours.sign(t, &x509.Certificate{DNSNames: []string{"localhost"}}))
	pemFiles(t, dir, "ca", tls.Certificate{Certificate: [][]byte{ours.cert.Raw}, PrivateKey: ours.key})
	pinned := others.client(t, "anything.example.org")
	text := fmt.Sprintf(`
http: {listen: '127.0.0.1:0', tls: {cert: server.pem, key: server.key}}
receivers:
  syslog:
    - listen: 127.0.0.1:0
      transport: tls
      source: named
      tls: {cert: server.pem, key: server.key, client_ca: ca.pem}
      certificates:
        - {match: "dns:FW1.example.org", source: fw1}
        - {match: "dns:fw2.example.org"}
        - {match: "ip:2001:DB8:0::1", source: six}
        - {match: "ip:::ffff:192.0.2.1", source: four}
        - {match: "uri:spiffe://example.org/fw4", source: uri}
        - {match: "email:fw5@example.org", source: mail}
    - listen: 127.0.0.1:0
      transport: tls
      certificates: [{match: %q, source: pinned}]
    - listen: 127.0.0.1:0
      transport: tls
      source: vouched
      tls: {cert: server.pem, key: server.key, client_ca: ca.pem}
`, syslog.SPKI(pinned.Leaf))
	named := func(names *x509.Certificate) *tls.Certificate {
		names.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c := ours.sign(t, names)
		return &c
	}
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	serving(t, dir, text, func(ctx context.Context, s *server) error {
		for _, c := range []struct {
			name     string
			listener int
			cert     *tls.Certificate
			// want is the source that the message belongs to, or the reason
			// behind a ! for which the client is sent away.
			want string
		}{
			{"a name that is known", 0, ours.client(t, "fw1.example.org"), "fw1"},
			{"a name without a source", 0, ours.client(t, "FW2.example.org"), "named"},
			{"an address", 0, named(&x509.Certificate{IPAddresses: []net.IP{net.ParseIP("2001:db8::1")}}), "six"},
			{"an address of IPv4", 0, named(&x509.Certificate{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}), "four"},
			{"a URI", 0, named(&x509.Certificate{URIs: []*url.URL{{Scheme: "spiffe", Host: "example.org", Path: "/fw4"}}}), "uri"},
			{"an address of mail", 0, named(&x509.Certificate{EmailAddresses: []string{"fw5@example.org"}}), "mail"},
			{"names of two sources", 0, named(&x509.Certificate{DNSNames: []string{"fw1.example.org"}, EmailAddresses: []string{"fw5@example.org"}}), "!certificate"},
			{"a name that is not known", 0, ours.client(t, "fw3.example.org"), "!certificate"},
			{"a known name by another authority", 0, others.client(t, "fw1.example.org"), "!handshake"},
			{"no certificate", 0, nil, "!handshake"},
			{"a key that is known", 1, pinned, "pinned"},
			{"a key that is not known", 1, others.client(t, "anything.example.org"), "!certificate"},
			{"no key", 1, nil, "!handshake"},
			{"anyone of the authority", 2, ours.client(t), "vouched"},
			{"anyone of another authority", 2, others.client(t), "!handshake"},
		} {
			address := s.addresses[fmt.Sprintf("receivers.syslog[%d].listen", c.listener)]
			reason, refused := strings.CutPrefix(c.want, "!")
			counter := s.metrics.IngestEvents.WithLabelValues(syslog.Protocol, "local", c.want)
			if refused {
				counter = s.metrics.IngestRejected.WithLabelValues(syslog.Protocol, reason)
			}
			before := valueOf(t, counter)
			conf := &tls.Config{RootCAs: roots, ServerName: "localhost"}
			if c.cert != nil {
				conf.Certificates = []tls.Certificate{*c.cert}
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			secure := tls.Client(conn, conf)
			// TLS 1.3 tells a client that it is refused after its first message.
			_, err = secure.Write([]byte("<13>May  1 12:00:00 host app: hello\n"))
			if refused {
				if _, err := secure.Read(make([]byte, 1)); err == nil {
					t.Errorf("%s: the connection is answered", c.name)
				}
			} else if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			for valueOf(t, counter) == before {
				if err := env.Sleep(ctx, s.world.Clock, 5*time.Millisecond); err != nil {
					t.Errorf("%s: want %s, which is not counted", c.name, c.want)
					return nil
				}
			}
			_ = conn.Close()
		}
		return nil
	})
}
