package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
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
		if s.Transport == "tls" { // else it is of no use, which Check says
			k.tlsFiles(fs, fmt.Sprintf("receivers.syslog[%d].tls", i), s.TLS)
		}
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

// tlsFiles checks the files of a certificate, each fault at the setting that
// names the file.
func (k *checker) tlsFiles(fs vfs.FS, path string, t TLS) {
	if t.Cert == "" || t.Key == "" {
		return // Check names the one that is missing
	}
	_, faults := t.load(fs)
	for _, f := range faults {
		k.fault(path+"."+f.key, f.hint, "%v", f.err)
	}
}

// Load reads the certificate, its key and the authorities of clients. The
// result demands TLS 1.2 and, with authorities, a certificate of the client. The
// error says which of the files cannot be used.
func (t TLS) Load(fs vfs.FS) (*tls.Config, error) {
	out, faults := t.load(fs)
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = fmt.Errorf("%s: %w", f.key, f.err)
	}
	return out, errors.Join(errs...)
}

// tlsFault is what is wrong with the file that one setting of TLS names.
type tlsFault struct {
	key  string
	err  error
	hint string
}

func (t TLS) load(fs vfs.FS) (*tls.Config, []tlsFault) {
	var faults []tlsFault
	fault := func(key, hint, format string, args ...any) {
		faults = append(faults, tlsFault{key, fmt.Errorf(format, args...), hint})
	}
	read := func(key string, name Path) []byte {
		data, err := readFile(fs, string(name), pemBytesMax)
		if err != nil {
			fault(key, "give the path of a PEM file that the server may read", "the file %q cannot be read: %w", clip(string(name)), err)
		}
		return data
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	cert, key := read("cert", t.Cert), read("key", t.Key)
	if len(faults) == 0 {
		pair, err := tls.X509KeyPair(cert, key)
		switch {
		case err == nil:
			out.Certificates = []tls.Certificate{pair}
		case !x509.NewCertPool().AppendCertsFromPEM(cert):
			fault("cert", "give a PEM file with the certificate first", "the file %q holds no certificate", clip(string(t.Cert)))
		default:
			fault("key", "give the PEM file of the key that the certificate was made for", "the file %q cannot be used with that certificate: %w", clip(string(t.Key)), err)
		}
	}
	if t.ClientCA != "" {
		out.ClientAuth, out.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		if pem := read("client_ca", t.ClientCA); pem != nil && !out.ClientCAs.AppendCertsFromPEM(pem) {
			fault("client_ca", "give a PEM file with the certificates of authorities", "the file %q holds no certificate", clip(string(t.ClientCA)))
		}
	}
	if len(faults) > 0 {
		return nil, faults
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
		if s.ExpectSilence && len(s.Silence.Except) > 0 {
			add(fmt.Sprintf("sources[%d].silence.except", i), "remove it or expect_silence", "a source that is never reported as silent needs no days on which it is not")
		}
		if slices.ContainsFunc(s.FilteredChannels, func(f string) bool { return strings.TrimSpace(f) == "*" }) && len(s.FilteredChannels) > 1 {
			add(fmt.Sprintf("sources[%d].filtered_channels", i), "remove the others", "* stands for every channel")
		}
	}
	return list
}
