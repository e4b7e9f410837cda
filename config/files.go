package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// pemBytesMax bounds a file of certificates or keys.
const pemBytesMax = 1 << 20

// checkFiles looks at the files that a configuration names: certificates must
// be usable, content must exist. Files to read as a source may come later.
func checkFiles(fs vfs.FS, c *Config) Faults {
	k := &checker{c: c}
	k.tlsFiles(fs, "http.tls", c.HTTP.TLS)
	for i, s := range c.Receivers.Syslog {
		k.tlsFiles(fs, fmt.Sprintf("receivers.syslog[%d].tls", i), s.TLS)
	}
	exists := func(key string, p Path) {
		if p == "" {
			return
		}
		if _, err := fs.Stat(string(p)); err != nil {
			k.fault(key, "correct the path; it is taken from the folder of the configuration file", "%q cannot be read: %v", clip(string(p)), err)
		}
	}
	for i, p := range c.Content.Rules {
		exists(fmt.Sprintf("content.rules[%d]", i), p)
	}
	for i, p := range c.Content.Packs {
		exists(fmt.Sprintf("content.packs[%d]", i), p)
	}
	exists("content.overrides", c.Content.Overrides)
	exists("content.lookups", c.Content.Lookups)
	exists("content.values", c.Content.Values)
	return k.faults
}

func (k *checker) tlsFiles(fs vfs.FS, path string, t TLS) {
	if t.Cert == "" || t.Key == "" {
		return // Check names the one that is missing
	}
	if _, err := t.Load(fs); err != nil {
		k.fault(path, "give PEM files that belong together and that the server may read", "the certificate cannot be used: %v", err)
	}
}

// Load reads the certificate, its key and the authorities of clients. The
// result demands TLS 1.2 and, with authorities, a certificate of the client.
func (t TLS) Load(fs vfs.FS) (*tls.Config, error) {
	cert, err := readFile(fs, string(t.Cert), pemBytesMax)
	if err != nil {
		return nil, fmt.Errorf("cert %q: %w", t.Cert, err)
	}
	key, err := readFile(fs, string(t.Key), pemBytesMax)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", t.Key, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	out := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if t.ClientCA != "" {
		pem, err := readFile(fs, string(t.ClientCA), pemBytesMax)
		if err != nil {
			return nil, fmt.Errorf("client_ca %q: %w", t.ClientCA, err)
		}
		out.ClientCAs = x509.NewCertPool()
		if !out.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("client_ca %q holds no certificate", t.ClientCA)
		}
		out.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return out, nil
}

// doubts are settings that work and are probably not meant.
func (c *Config) doubts() []Warning {
	var list []Warning
	add := func(path, hint, msg string) {
		list = append(list, Warning{Place: c.Place(path), Key: path, Msg: msg, Hint: hint})
	}
	for i, s := range c.Receivers.Syslog {
		path := fmt.Sprintf("receivers.syslog[%d]", i)
		host, _, ok := splitAddress(s.Listen)
		if s.Insecure && (s.Transport == "tls" || ok && loopback(host)) {
			add(path+".insecure", "remove it", "insecure is of no use here: nobody can listen in")
		}
		if s.Transport == "tls" && !(ok && loopback(host)) && len(s.Clients) == 0 && len(s.Certificates) == 0 && c.SyslogTLS(s).ClientCA == "" {
			add(path, "set tls.client_ca or certificates, or list the networks of the senders in clients", "anyone who reaches this port can send as this source")
		}
		if !s.Insecure || ok && loopback(host) || len(s.Clients) > 0 {
			continue
		}
		add(path+".clients", "list the networks of the senders", "anyone who reaches this port can send as this source")
	}
	for i, s := range c.Sources {
		if s.Cadence > 0 && s.LagMax > 0 && s.Lateness > s.LagMax {
			add(fmt.Sprintf("sources[%d].lateness", i), "make lag_max the larger one", "the source may be later than the time after which the others stop waiting for it")
		}
		if slices.ContainsFunc(s.FilteredChannels, func(f string) bool { return strings.TrimSpace(f) == "*" }) && len(s.FilteredChannels) > 1 {
			add(fmt.Sprintf("sources[%d].filtered_channels", i), "remove the others", "* stands for every channel")
		}
	}
	return list
}
