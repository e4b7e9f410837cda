package config_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/config"
)

// files makes a file system with these files.
func files(t *testing.T, list map[string]string) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	for name, text := range list {
		if err := fs.MkdirAll(fs.PathDir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return fs
}

// certificate makes a PEM certificate and its key.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs}))
}

// faultsOf loads a file and returns what is wrong with it, one line each. Beside
// it stand a certificate and its key, cert.pem and key.pem, and in two.txt two
// secrets of which the second is too short.
func faultsOf(t *testing.T, text string, environ []string, flags ...config.Flag) []string {
	t.Helper()
	cert, key := certificate(t)
	_, _, err := config.Load(files(t, map[string]string{"t.yml": text, "cert.pem": cert, "key.pem": key, "two.txt": whsec + "\nwhsec_MDEy\n"}), "t.yml", environ, flags)
	if err == nil {
		return nil
	}
	var f config.Faults
	if !errors.As(err, &f) {
		t.Fatalf("the error %v is no list of faults", err)
	}
	return strings.Split(err.Error(), "\n")
}

const whsec = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz" // 24 bytes

// elevenSecrets are one more than a webhook may have.
func elevenSecrets() []string {
	var list []string
	for i := range config.SecretsMax + 1 {
		list = append(list, "whsec_"+base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "the secret of number %3d", i)))
	}
	return list
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	hook := func(more string) string {
		return "webhooks:\n  - name: a\n    url: https://example.org/x\n    secret: " + whsec + "\n" + more
	}
	several := func(secrets string) string {
		return strings.Replace(hook(""), "secret: "+whsec, "secrets: "+secrets, 1)
	}
	listener := func(certificates string) string {
		return "http: {tls: {cert: cert.pem, key: key.pem}}\nreceivers: {syslog: [{listen: '127.0.0.1:6514', transport: tls, certificates: [" + certificates + "]}]}\n"
	}
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "htpp:\n  listen: x\n", "t.yml:1:1: unknown key \"htpp\"; did you mean http?"},
		{"unknown key in a section", "http:\n  tls:\n    certificate: x\n", "t.yml:3:5: http.tls: unknown key \"certificate\"; its settings are cert, key, client_ca"},
		{"case of a key", "http:\n  Listen: 127.0.0.1:1\n", "t.yml:2:3: http: unknown key \"Listen\"; did you mean listen?"},
		{"unknown key in a list", "sources:\n  - name: a\n    latenes: 5m\n", "t.yml:3:5: sources[0]: unknown key \"latenes\"; did you mean lateness?"},
		{"duplicate key", "data: a\ndata: b\n", `t.yml:2:1: the key "data" stands twice in one map, first in line 1; keep one of them, or put the values into one list`},
		{"syntax", "http: [\n", "t.yml:1: this is not YAML"},
		{"two documents", "data: a\n---\ndata: b\n", "t.yml:3:1: the file has more than one document; remove the line ---"},
		{"list for the file", "- a\n", "t.yml:1:1: this must be a map, not a list; write its settings below it, indented"},
		{"text for a section", "http: 127.0.0.1:1\n", "t.yml:1:7: http: this must be a map, not text"},
		{"map for text", "data: {a: b}\n", "t.yml:1:7: data: this must be a path, not a map; write a path"},
		{"number for text", "http:\n  listen: 8600\n", "t.yml:2:11: http.listen: this must be text, not a number; put it in quotes if it is meant as text"},
		{"truth for a path", "data: true\n", "t.yml:1:7: data: this must be text, not true or false"},
		{"nothing for text", "data:\n", "t.yml:1:6: data: this has no value; write a path, or remove the line"},
		{"text for a list", "sources:\n  - name: a\n    drop_fields: x\n", "t.yml:3:18: sources[0].drop_fields: this must be a list, not text; write [x]"},
		{"map for a list", "sources: {name: a}\n", "t.yml:1:10: sources: this must be a list, not a map; begin each entry with a dash"},
		{"text for an entry", "sources: [a]\n", "t.yml:1:11: sources[0]: this must be a map, not text"},
		{"duration without a unit", "detections:\n  retention: 300\n", `t.yml:2:14: detections.retention: "300" is not a duration; write a duration with its unit, as 30s, 5m or 7d`},
		{"duration below zero", "detections: {retention: -5m}\n", `t.yml:1:25: detections.retention: "-5m" is not a duration`},
		{"size", "log: {segment_bytes: 64 megs}\n", `t.yml:1:22: log.segment_bytes: "64 megs" is not a size in bytes; write a size, as 512KiB, 64MiB or 10GB`},
		{"size out of bounds", "limits: {body_bytes: 1GiB}\n", "t.yml:1:22: limits.body_bytes: 1GiB is out of bounds; write a value from 2MiB to 64MiB"},
		{"number in quotes", "limits: {connections: '5'}\n", `t.yml:1:23: limits.connections: "5" is not a whole number; write a whole number without quotes`},
		{"number out of bounds", "sources: [{name: a, shards: 65}]\n", "t.yml:1:29: sources[0].shards: 65 is out of bounds; write a value from 1 to 64"},
		{"truth value", "content: {experimental: yes}\n", `t.yml:1:25: content.experimental: "yes" is not true or false; write true or false`},
		{"word", "observability: {log_level: warning}\n", `t.yml:1:28: observability.log_level: "warning" is not known here; did you mean warn? The choice is debug, info, warn, error`},
		{"network", "auth: {trusted_proxies: [10.0.0.0/33]}\n", `t.yml:1:26: auth.trusted_proxies[0]: "10.0.0.0/33" is not an address or a network`},
		{"control character", "data: \"a\\nb\"\n", `t.yml:1:7: data: the text holds the control character "\n"; remove it`},
		{"variable outside a secret", "data: ${env:HOME}\n", "t.yml:1:7: data: ${env:…} works in secrets only; set TIERCEL_DATA instead"},
		{"no such variable", strings.Replace(hook(""), whsec, "${env:NOPE}", 1), "t.yml:4:13: webhooks[0].secret: the environment has no variable NOPE; set it where the server is started, or use secret_file"},
		{"half a variable", strings.Replace(hook(""), whsec, "${env:NOPE", 1), "t.yml:4:13: webhooks[0].secret: the reference to a variable is not complete; write ${env:NAME} and nothing else"},
		{"text and variable", strings.Replace(hook(""), whsec, "whsec_${env:NOPE}", 1), "t.yml:4:13: webhooks[0].secret: a secret is either a variable or text, not both"},

		{"no tenant", "tenants: []\n", "t.yml:1:10: tenants: there is no tenant; name at least one, or remove the key"},
		{"name of a tenant", "tenants: [{name: ../x}]\n", `t.yml:1:18: tenants[0].name: "../x" cannot be the name of a tenant; write 1 to 64 of`},
		{"tenant without a name", "tenants: [{weight: 2}]\n", "t.yml:1:11: tenants[0]: name is missing; add name: …"},
		{"tenant twice", "tenants: [{name: a}, {name: a}]\n", `t.yml:1:29: tenants[1].name: the tenant "a" stands at tenants[0] too; remove one of them`},
		{"unknown tenant", "tenants: [{name: acme}]\nsources: [{name: a, tenant: acne}]\n", `t.yml:2:29: sources[0].tenant: there is no tenant "acne"; did you mean acme?`},
		{"no tenant named", "tenants: [{name: a}, {name: b}]\nsources:\n  - name: x\n", "t.yml:3:5: sources[0].tenant: there are several tenants, and this names none; choose from a, b"},
		{"name of a source", "sources: [{name: a/../b}]\n", `t.yml:1:18: sources[0].name: "a/../b" cannot be the name of a source`},
		{"source twice", "sources: [{name: a}, {name: a}]\n", `t.yml:1:29: sources[1].name: the source "a" stands at sources[0] too`},
		{"zone", "sources: [{name: a, zone: Berlin}]\n", `t.yml:1:27: sources[0].zone: "Berlin" is not a time zone; write a name of the IANA database, as Europe/Berlin`},
		{"zone of the machine", "sources: [{name: a, zone: Local}]\n", `sources[0].zone: "Local" is not a time zone`},
		{"silence and cadence", "sources: [{name: a, cadence: 5m, expect_silence: true}]\n", "t.yml:1:50: sources[0].expect_silence: a source with a cadence cannot be expected to be silent; remove it or cadence"},
		{"day", "sources: [{name: a, silence: {except: [2026-12-25, 2026-02-30]}}]\n", `t.yml:1:52: sources[0].silence.except[1]: "2026-02-30" is not a day; write year, month and day, as 2026-12-25`},
		{"day of another form", "sources: [{name: a, silence: {except: ['25.12.2026']}}]\n", `t.yml:1:40: sources[0].silence.except[0]: "25.12.2026" is not a day`},
		{"zone of days", "sources: [{name: a, silence: {zone: Berlin}}]\n", `t.yml:1:37: sources[0].silence.zone: "Berlin" is not a time zone`},
		{"zone of days of the machine", "sources: [{name: a, silence: {zone: Local}}]\n", `sources[0].silence.zone: "Local" is not a time zone`},
		{"empty field", "sources: [{name: a, drop_fields: ['']}]\n", "sources[0].drop_fields[0]: the name is empty"},
		{"empty channel", "sources: [{name: a, filtered_channels: [' ']}]\n", "sources[0].filtered_channels[0]: the name is empty"},
		{"empty path", "sources: [{name: a, files: {paths: ['']}}]\n", "sources[0].files.paths[0]: the path is empty"},
		{"import of nothing", "sources: [{name: a, files: {mode: import}}]\n", "t.yml:1:35: sources[0].files.mode: there is nothing to import; add files.paths"},

		{"no main port", "http: {listen: ''}\n", "t.yml:1:16: http.listen: the main port cannot be switched off; write 127.0.0.1:8600"},
		{"address", "http: {listen: localhost}\n", `t.yml:1:16: http.listen: "localhost" is not an address; write host:port`},
		{"port", "http: {listen: '127.0.0.1:70000'}\n", `"127.0.0.1:70000" is not an address`},
		{"public in clear", "http: {listen: '0.0.0.0:8600'}\n", `t.yml:1:16: http.listen: "0.0.0.0:8600" can be reached from outside, and tokens would cross the network in clear; add http.tls.cert and http.tls.key, or listen on 127.0.0.1`},
		{"every address in clear", "http: {listen: ':8600'}\n", `":8600" can be reached from outside`},
		{"name in clear", "http: {listen: 'siem.example.org:8600'}\n", `"siem.example.org:8600" can be reached from outside`},
		{"mapped address", "http: {listen: '[::ffff:10.0.0.1]:8600'}\n", "can be reached from outside"},
		{"public elastic in clear", "receivers: {elastic: {listen: '0.0.0.0:9200'}}\n", "receivers.elastic.listen: \"0.0.0.0:9200\" can be reached from outside, and tokens"},
		{"public hec in clear", "receivers: {hec: {listen: '0.0.0.0:8088'}}\n", "receivers.hec.listen: \"0.0.0.0:8088\" can be reached from outside, and tokens"},
		{"public grpc in clear", "receivers: {otlp: {grpc: '0.0.0.0:4317'}}\n", "receivers.otlp.grpc: \"0.0.0.0:4317\" can be reached from outside, and tokens"},
		{"public otlp in clear", "receivers: {otlp: {http: '0.0.0.0:4318'}}\n", "receivers.otlp.http: \"0.0.0.0:4318\" can be reached from outside, and tokens"},
		{"public admin", "admin: {listen: '0.0.0.0:8601'}\n", "t.yml:1:17: admin.listen: \"0.0.0.0:8601\" can be reached from outside, and this port asks for no token"},
		{"public syslog", "receivers: {syslog: [{listen: '0.0.0.0:514', transport: udp}]}\n", "t.yml:1:31: receivers.syslog[0].listen: \"0.0.0.0:514\" can be reached from outside, where anyone can read and forge plain syslog; use transport: tls, listen on 127.0.0.1, or add insecure: true to this listener"},
		{"insecure of another", "receivers: {syslog: [{listen: '0.0.0.0:514', insecure: true}, {listen: '0.0.0.0:515'}]}\n", "receivers.syslog[1].listen: \"0.0.0.0:515\" can be reached"},
		{"one port twice", "receivers: {elastic: {listen: '127.0.0.1:8600'}}\n", "t.yml:1:31: receivers.elastic.listen: port 8600 is that of http.listen (127.0.0.1:8600) too; choose another port"},
		{"one port by another name", "receivers: {hec: {listen: 'localhost:8601'}}\n", "port 8601 is that of admin.listen"},
		{"one port for all addresses", "receivers: {syslog: [{listen: '0.0.0.0:8600', insecure: true}]}\n", "port 8600 is that of http.listen"},
		{"syslog without a port", "receivers: {syslog: [{transport: udp}]}\n", "receivers.syslog[0]: listen is missing"},
		{"syslog source", "receivers: {syslog: [{listen: '127.0.0.1:514', source: 'a b'}]}\n", `receivers.syslog[0].source: "a b" cannot be the name of a source`},
		{"syslog tenant", "receivers: {syslog: [{listen: '127.0.0.1:514', tenant: other}]}\n", `receivers.syslog[0].tenant: there is no tenant "other"`},
		{"tls without a certificate", "receivers: {syslog: [{listen: '127.0.0.1:6514', transport: tls}]}\n", "receivers.syslog[0].transport: tls needs a certificate; add receivers.syslog[0].tls or http.tls"},
		{"certificate without tls", "receivers: {syslog: [{listen: '127.0.0.1:6514', tls: {cert: a, key: b}}]}\n", "receivers.syslog[0].tls: a certificate is of no use to transport tcp"},
		{"certificate without a key", "http: {tls: {cert: a}}\n", "t.yml:1:20: http.tls.cert: the certificate has no key; add http.tls.key"},
		{"key without a certificate", "http: {tls: {key: a}}\n", "http.tls.key: the key has no certificate"},
		{"authority without a certificate", "http: {tls: {client_ca: a}}\n", "http.tls.client_ca: clients can be asked for a certificate by TLS alone"},
		{"certificates without tls", "receivers: {syslog: [{listen: '127.0.0.1:514', certificates: [{match: 'dns:a'}]}]}\n", "t.yml:1:62: receivers.syslog[0].certificates: clients have no certificate with transport tcp; write transport: tls, or remove them"},
		{"certificate of nobody", listener("{source: a}"), "t.yml:2:80: receivers.syslog[0].certificates[0]: match is missing"},
		{"certificate of no kind", listener("{match: fw1.example.org}"), `t.yml:2:88: receivers.syslog[0].certificates[0].match: "fw1.example.org" cannot be looked for: it has no kind and value; write spki:`},
		{"certificate of another kind", listener("{match: 'cn:fw1'}"), `"cn" is not a kind of name`},
		{"half a key", listener("{match: 'spki:abcd'}"), "a SHA-256 has 64 hexadecimal digits"},
		{"wildcard", listener("{match: 'dns:*.example.org'}"), "names are compared whole"},
		{"name for an address", listener("{match: 'ip:fw1'}"), "this is not an address"},
		{"path for a URI", listener("{match: 'uri:/fw1'}"), "this is not a URI"},
		{"name for mail", listener("{match: 'email:fw1'}"), "this is not an address of mail"},
		{"name that nobody vouches for", listener("{match: 'dns:fw1'}"), "t.yml:2:88: receivers.syslog[0].certificates[0].match: anyone can write a name into a certificate of his own, and no authority is named that would vouch for it; add client_ca"},
		{"certificate twice", listener("{match: 'spki:" + strings.Repeat("ab", 32) + "'}, {match: 'spki:" + strings.Repeat("AB", 32) + "', source: b}"), "receivers.syslog[0].certificates[1].match: the same certificate stands at certificates[0] too; remove one of them"},
		{"source of a certificate", listener("{match: 'spki:" + strings.Repeat("ab", 32) + "', source: a b}"), `receivers.syslog[0].certificates[0].source: "a b" cannot be the name of a source`},
		{"tenant of a certificate", listener("{match: 'spki:" + strings.Repeat("ab", 32) + "', tenant: other}"), `receivers.syslog[0].certificates[0].tenant: there is no tenant "other"`},
		{"no such certificate", "http: {tls: {cert: a, key: key.pem}}\n", `t.yml:1:20: http.tls.cert: the file "a" cannot be read`},
		{"no such key", "http: {tls: {cert: cert.pem, key: a}}\n", `t.yml:1:35: http.tls.key: the file "a" cannot be read`},
		{"no such authority", "http: {tls: {cert: cert.pem, key: key.pem, client_ca: a}}\n", `t.yml:1:55: http.tls.client_ca: the file "a" cannot be read`},
		{"key for a certificate", "http: {tls: {cert: key.pem, key: key.pem}}\n", `t.yml:1:20: http.tls.cert: the file "key.pem" holds no certificate; give a PEM file`},
		{"certificate for a key", "http: {tls: {cert: cert.pem, key: cert.pem}}\n", `t.yml:1:35: http.tls.key: the file "cert.pem" cannot be used with that certificate`},
		{"key for an authority", "http: {tls: {cert: cert.pem, key: key.pem, client_ca: key.pem}}\n", `t.yml:1:55: http.tls.client_ca: the file "key.pem" holds no certificate`},
		{"no such certificate of a listener", "receivers:\n  syslog:\n    - listen: 127.0.0.1:6514\n      transport: tls\n      tls:\n        cert: a\n        key: key.pem\n", `t.yml:6:15: receivers.syslog[0].tls.cert: the file "a" cannot be read`},

		{"webhook without a URL", "webhooks: [{name: a, secret: " + whsec + "}]\n", "webhooks[0]: url is missing"},
		{"webhook without a secret", "webhooks: [{name: a, url: 'https://example.org'}]\n", "t.yml:1:12: webhooks[0].secret: messages could not be signed: there is no secret"},
		{"short secret", strings.Replace(hook(""), whsec, "whsec_MDEy", 1), "webhooks[0].secret: this is not whsec_ and base64 of 24 to 64 bytes"},
		{"secret without a mark", strings.Replace(hook(""), whsec, whsec[len("whsec_"):], 1), "webhooks[0].secret: this is not whsec_ and base64 of 24 to 64 bytes"},
		{"short secret in a list", several("[" + whsec + ", whsec_MDEy]"), "t.yml:4:55: webhooks[0].secrets[1]: this is not whsec_ and base64 of 24 to 64 bytes"},
		{"secret twice in a list", several("[" + whsec + ", " + whsec + "]"), "webhooks[0].secrets[1]: it is the same as secret 1; remove one of them"},
		{"no secret in a list", several("[]"), "t.yml:4:14: webhooks[0].secrets: messages could not be signed: there is no secret"},
		{"too many secrets", several("[" + strings.Join(elevenSecrets(), ", ") + "]"), "webhooks[0].secrets[10]: there are 11 secrets, more than the limit of 10"},
		{"no such variable in a list", several("['${env:NOPE}']"), "t.yml:4:15: webhooks[0].secrets[0]: the environment has no variable NOPE"},
		{"secret and secrets", hook("    secrets: [" + whsec + "]\n"), "t.yml:5:14: webhooks[0].secrets: there is a secret as well; put it into the list"},
		{"secrets and file", several("[" + whsec + "]\n    secret_file: s"), "webhooks[0].secret_file: there are secrets as well; remove one of them"},
		{"short secret in a file", strings.Replace(hook(""), "secret: "+whsec, "secret_file: two.txt", 1), "t.yml:4:18: webhooks[0].secret_file: secret 2: this is not whsec_ and base64"},
		{"proxy", hook("    proxy: proxy:3128\n"), "t.yml:5:12: webhooks[0].proxy: this is not the URL of an HTTP proxy; write http://host:port"},
		{"proxy of another kind", hook("    proxy: socks5://proxy:1080\n"), "webhooks[0].proxy: this is not the URL of an HTTP proxy"},
		{"proxy with a password", hook("    proxy: http://a:b@proxy:3128\n"), "webhooks[0].proxy: the URL holds a name or a password; write them into proxy_auth"},
		{"proxy with a path", hook("    proxy: http://proxy:3128/x\n"), "webhooks[0].proxy: the URL has more than a host and a port"},
		{"proxy for http", strings.Replace(hook("    allow_private: true\n    proxy: http://proxy:3128\n"), "https", "http", 1), "webhooks[0].proxy: a proxy would read and could change what goes to http"},
		{"password for no proxy", hook("    proxy_auth: ${env:PROXY}\n"), "webhooks[0].proxy_auth: there is no proxy; add webhooks[0].proxy"},
		{"password for a proxy", hook("    proxy: http://proxy:3128\n    proxy_auth: ${env:WRONG}\n"), "webhooks[0].proxy_auth: this is not a name and a password; write name:password"},
		{"secret and file", hook("    secret_file: s\n"), "webhooks[0].secret_file: there is a secret as well; remove one of them"},
		{"no such secret file", strings.Replace(hook(""), "secret: "+whsec, "secret_file: s", 1), "t.yml:4:18: webhooks[0].secret_file: the secret cannot be read"},
		{"webhook in clear", strings.Replace(hook(""), "https", "http", 1), "webhooks[0].url: detections would cross the network in clear"},
		{"webhook scheme", strings.Replace(hook(""), "https", "file", 1), `webhooks[0].url: "file" is not a scheme`},
		{"webhook password", strings.Replace(hook(""), "https://", "https://a:b@", 1), "webhooks[0].url: the URL holds a name or a password"},
		{"webhook fragment", strings.Replace(hook(""), "/x", "/x#y", 1), "webhooks[0].url: the URL has a fragment"},
		{"webhook without a host", strings.Replace(hook(""), "example.org", "", 1), "webhooks[0].url: this is not a URL"},
		{"private webhook", strings.Replace(hook(""), "example.org", "[::ffff:10.0.0.1]", 1), "webhooks[0].url: \"::ffff:10.0.0.1\" is a private address; add allow_private: true if that is meant"},
		{"local webhook", strings.Replace(hook(""), "example.org", "localhost", 1), "is a private address"},
		{"webhook twice", hook("") + "  - name: a\n    url: https://example.org/y\n    secret: " + whsec + "\n", `webhooks[1].name: the webhook "a" stands at webhooks[0] too`},
		{"webhook for nothing", hook("    events: []\n"), "webhooks[0].events: nothing would be sent"},
		{"webhook event", hook("    events: [detection.made]\n"), `webhooks[0].events[0]: "detection.made" is not known here; did you mean detection.created?`},
		{"webhook tenant", hook("    tenant: other\n"), `webhooks[0].tenant: there is no tenant "other"`},

		{"version", "receivers: {elastic: {version: '8'}}\n", `receivers.elastic.version: "8" is not a version; write three numbers with dots`},
		{"room for no body", "limits: {in_flight_bytes: 64MiB, body_bytes: 64MiB}\nlog: {retention_bytes: 64MiB}\n", "t.yml:2:24: log.retention_bytes: retention removes whole files, and less than two would fit"},
		{"statuses", "content: {statuses: []}\n", "content.statuses: no rule would be run"},
		{"no such rules", "content: {rules: [sigma]}\n", "t.yml:1:19: content.rules[0]: \"sigma\" cannot be read"},
		{"traces", "observability: {traces: {endpoint: 'localhost:4318'}}\n", "observability.traces.endpoint: this is not a URL; write http://host:4318"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := faultsOf(t, c.text, []string{"PROXY=name:pass:word", "WRONG=name"})
			if len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("got\n%s\nwant one fault with\n%s", strings.Join(got, "\n"), c.want)
			}
		})
	}
}

// All faults are found at once, of all kinds, and their number is bounded.
func TestAllFaults(t *testing.T) {
	t.Parallel()
	got := faultsOf(t, "htpp: 1\nlog: {segment_bytes: x}\nadmin: {listen: ':1'}\n", []string{"TIERCEL_LIMITS_BODY_RATIO=many"},
		config.Flag{Name: "--set", Key: "detections.retension", Value: "1d"}, config.Flag{Name: "--data", Key: "data", Value: "a\x00b"})
	want := []string{"t.yml:1:1: unknown key", "t.yml:2:22: log.segment_bytes", `TIERCEL_LIMITS_BODY_RATIO: limits.body_ratio: "many" is not a whole number`, `--set: unknown key "detections.retension"; did you mean detections.retention?`, "--data: data: the text holds", "t.yml:3:17: admin.listen"}
	if len(got) != len(want) {
		t.Fatalf("got %d faults:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("fault %d is\n%s\nwant\n%s", i, got[i], want[i])
		}
	}
	if got := faultsOf(t, "sources: ["+strings.Repeat("{nme: x}, ", 500)+"]\n", nil); len(got) != config.FaultsMax {
		t.Errorf("%d faults, want %d", len(got), config.FaultsMax)
	}
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	_, _, err := config.Load(vfs.NewMem(), "nowhere.yml", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "nowhere.yml: cannot be read") {
		t.Errorf("got %v", err)
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	text := "http: {listen: '127.0.0.1:1'}\nadmin: {listen: '127.0.0.1:2'}\ncontent: {statuses: [stable]}\ntenants: [{name: file}]\n"
	fs := files(t, map[string]string{"conf/t.yml": text})
	environ := []string{
		"TIERCEL_CONFIG=conf/t.yml", "TIERCEL_ADMIN_LISTEN=127.0.0.1:3", "TIERCEL_LIMITS_CONNECTIONS=77", "TIERCEL_DATA=from-env",
		"TIERCEL_CONTENT_STATUSES=stable, test", "TIERCEL_RECEIVERS_ELASTIC_LISTEN=127.0.0.1:9200", "TIERCEL_SOURCES=[{name: s, lateness: 1m}]",
	}
	c, warnings, err := config.Load(fs, "", environ, []config.Flag{{Name: "--listen", Key: "http.listen", Value: "127.0.0.1:4"}, {Name: "--data", Key: "data", Value: "from-flag"}})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	got := map[string]config.Value{}
	for _, v := range c.Values() {
		got[v.Key] = v
	}
	for key, want := range map[string][2]string{
		"http.listen":               {`"127.0.0.1:4"`, "--listen"},
		"admin.listen":              {`"127.0.0.1:3"`, "TIERCEL_ADMIN_LISTEN"},
		"data":                      {"from-flag", "--data"},
		"limits.connections":        {`"77"`, ""},
		"limits.body_bytes":         {"64MiB", "default"},
		"content.statuses":          {"[stable, test]", "TIERCEL_CONTENT_STATUSES"},
		"tenants[0].name":           {"file", "conf/t.yml:4:18"},
		"tenants[0].weight":         {"", "default"},
		"sources[0].name":           {"s", "TIERCEL_SOURCES"},
		"sources[0].lateness":       {"1m", "TIERCEL_SOURCES"},
		"sources[0].lag_max":        {"1h", "default"},
		"receivers.syslog":          {"[]", "default"},
		"receivers.elastic.listen":  {`"127.0.0.1:9200"`, "TIERCEL_RECEIVERS_ELASTIC_LISTEN"},
		"receivers.elastic.version": {`"8.19.0"`, "default"},
	} {
		v, ok := got[key]
		if !ok {
			t.Errorf("%s is not shown", key)
			continue
		}
		if text := strings.Trim(want[0], `"`); want[0] != "" && strings.Trim(v.Text, `"`) != text {
			t.Errorf("%s is %s, want %s", key, v.Text, want[0])
		}
		if want[1] != "" && v.Place.String() != want[1] {
			t.Errorf("%s comes from %s, want %s", key, v.Place, want[1])
		}
	}
	if c.Sources[0].Tenant != "file" {
		t.Errorf("the source has the tenant %q, want the only one", c.Sources[0].Tenant)
	}
	if got := c.Source("file", "s").Lateness; got != time.Minute {
		t.Errorf("lateness is %s", got)
	}
}

// What is shown can be written into a file and says the same.
func TestShownIsReadable(t *testing.T) {
	t.Parallel()
	c := config.Default()
	var flags []config.Flag
	for _, v := range c.Values() {
		if strings.Contains(v.Key, "[") {
			continue
		}
		flags = append(flags, config.Flag{Name: "--set", Key: v.Key, Value: strings.Trim(v.Text, `"`)})
	}
	again, _, err := config.Load(vfs.NewMem(), "", nil, flags)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range again.Values() {
		if v.Text != c.Values()[i].Text {
			t.Errorf("%s was %s and is %s", v.Key, c.Values()[i].Text, v.Text)
		}
	}
}

func TestPathsAreTakenFromTheFile(t *testing.T) {
	t.Parallel()
	fs := files(t, map[string]string{"conf/t.yml": "data: d\ncontent: {rules: [r, /abs]}\n", "conf/r/a.yml": "", "/abs/a.yml": ""})
	c, _, err := config.Load(fs, "conf/t.yml", []string{"TIERCEL_CONTENT_LOOKUPS=conf"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "conf/d" || c.Content.Rules[0] != "conf/r" || c.Content.Rules[1] != "/abs" || c.Content.Lookups != "conf" {
		t.Errorf("data %q, rules %q, lookups %q", c.Data, c.Content.Rules, c.Content.Lookups)
	}
}

func TestDataFolder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ []string
		want    config.Path
	}{
		{nil, "tiercel-data"},
		{[]string{"HOME=/home/a"}, "/home/a/.local/share/tiercel"},
		{[]string{"HOME=/"}, "tiercel-data"},
		{[]string{"HOME=/home/a", "XDG_DATA_HOME=/x"}, "/x/tiercel"},
		{[]string{"HOME=/home/a", "XDG_DATA_HOME=x"}, "/home/a/.local/share/tiercel"},
		{[]string{"HOME=/home/a", "TIERCEL_DATA=here"}, "here"},
	} {
		got, _, err := config.Load(vfs.NewMem(), "", c.environ, nil)
		if err != nil || got.Data != c.want {
			t.Errorf("%q gives %v (%v), want %q", c.environ, got, err, c.want)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	_, other := certificate(t)
	fs := files(t, map[string]string{
		"cert.pem": cert, "key.pem": key, "other.pem": other,
		"good.yml":  "http: {listen: '0.0.0.0:8600', tls: {cert: cert.pem, key: key.pem, client_ca: cert.pem}}\nreceivers: {elastic: {listen: ':9200'}, otlp: {grpc: ':4317'}, syslog: [{listen: ':6514', transport: tls}]}\n",
		"mixed.yml": "http: {tls: {cert: cert.pem, key: other.pem}}\n",
		"none.yml":  "http: {tls: {cert: no.pem, key: no.key}}\n",
		"ca.yml":    "http: {tls: {cert: cert.pem, key: key.pem, client_ca: key.pem}}\n",
	})
	c, warnings, err := config.Load(fs, "good.yml", nil, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	for _, l := range c.Listeners() {
		if want := l.Key != "admin.listen"; l.TLS != want {
			t.Errorf("%s: TLS is %v", l.Key, l.TLS)
		}
	}
	if got, err := c.HTTP.TLS.Load(fs); err != nil || got.ClientCAs == nil || len(got.Certificates) != 1 {
		t.Errorf("loaded %+v, %v", got, err)
	}
	// A file that a variable or a flag names is wrong there, and all that are
	// wrong are named.
	for _, c := range []struct {
		environ []string
		flags   []config.Flag
		want    []string
	}{
		{nil, nil, []string{"none.yml:1:20: http.tls.cert:", "none.yml:1:33: http.tls.key:"}},
		{[]string{"TIERCEL_HTTP_TLS_CERT=cert.pem", "TIERCEL_HTTP_TLS_KEY=here.key"}, nil, []string{"TIERCEL_HTTP_TLS_KEY: http.tls.key:"}},
		{[]string{"TIERCEL_HTTP_TLS_CERT=cert.pem"}, []config.Flag{{Name: "--set", Key: "http.tls.key", Value: "there.key"}}, []string{"--set: http.tls.key:"}},
	} {
		_, _, err := config.Load(fs, "none.yml", c.environ, c.flags)
		var faults config.Faults
		if !errors.As(err, &faults) || len(faults) != len(c.want) {
			t.Errorf("%q gives %v, want %q", c.environ, err, c.want)
			continue
		}
		for i, f := range faults {
			if !strings.HasPrefix(f.String(), c.want[i]) {
				t.Errorf("%s, want %s", f, c.want[i])
			}
		}
	}
	for name, want := range map[string]string{"mixed.yml": "private key does not match", "ca.yml": "holds no certificate"} {
		if _, _, err := config.Load(fs, name, nil, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A certificate leaves to its listener what it does not say, and is looked for
// in one spelling.
func TestCertificates(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("0a", 32)
	cert, key := certificate(t)
	fs := files(t, map[string]string{"cert.pem": cert, "key.pem": key, "t.yml": `
http: {tls: {cert: cert.pem, key: key.pem}}
tenants: [{name: acme}, {name: lab}]
receivers:
  syslog:
    - listen: 127.0.0.1:6514
      transport: tls
      tenant: acme
      source: network
      tls: {cert: cert.pem, key: key.pem, client_ca: cert.pem}
      certificates:
        - {match: "dns:FW1.example.org"}
        - {match: "spki:` + strings.ToUpper(sum) + `", source: pinned}
        - {match: "ip:2001:DB8:0::1", tenant: lab}
        - {match: "ip:::ffff:192.0.2.1", tenant: lab, source: old}
        - {match: "uri:spiffe://example.org/fw1"}
        - {match: "email:fw1@example.org"}
`})
	c, warnings, err := config.Load(fs, "t.yml", nil, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	var got []string
	for _, entry := range c.Receivers.Syslog[0].Certificates {
		key, err := entry.Key()
		if err != nil {
			t.Error(err)
		}
		got = append(got, key+" "+entry.Tenant+" "+entry.Source)
	}
	want := []string{
		"dns:fw1.example.org acme network", "spki:" + sum + " acme pinned", "ip:2001:db8::1 lab network", "ip:192.0.2.1 lab old",
		"uri:spiffe://example.org/fw1 acme network", "email:fw1@example.org acme network",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
	if !c.DemandsCertificate(c.Receivers.Syslog[0]) {
		t.Error("no certificate is demanded")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t)
	for _, c := range []struct{ text, variable, want string }{
		{"", "TIERCEL_HTTP_LISEN=x", "TIERCEL_HTTP_LISEN: this variable is no setting; did you mean TIERCEL_HTTP_LISTEN?"},
		{"", "TIERCEL_PORT_8600_TCP=tcp://10.0.0.1:8600", ""},
		{"webhooks: [{name: a, url: 'https://example.org', secret: " + whsec + "}]\n", "A=b", "t.yml:1:58: webhooks[0].secret: the secret stands in the file in clear"},
		{"webhooks: [{name: a, url: 'https://example.org', secret: '${env:A}'}]\n", "A=" + whsec, ""},
		{"receivers: {syslog: [{listen: '127.0.0.1:514', insecure: true}]}\n", "A=b", "insecure is of no use here"},
		{"receivers: {syslog: [{listen: '0.0.0.0:514', insecure: true}]}\n", "A=b", "anyone who reaches this port can send as this source"},
		{"receivers: {syslog: [{listen: '0.0.0.0:514', insecure: true, clients: [10.0.0.0/8]}]}\n", "A=b", ""},
		{"http: {tls: {cert: cert.pem, key: key.pem}}\nreceivers: {syslog: [{listen: '0.0.0.0:6514', transport: tls}]}\n", "A=b", "t.yml:2:22: receivers.syslog[0]: anyone who reaches this port can send as this source; set tls.client_ca"},
		{"http: {tls: {cert: cert.pem, key: key.pem, client_ca: cert.pem}}\nreceivers: {syslog: [{listen: '0.0.0.0:6514', transport: tls}]}\n", "A=b", ""},
		{"http: {tls: {cert: cert.pem, key: key.pem}}\nreceivers: {syslog: [{listen: '0.0.0.0:6514', transport: tls, certificates: [{match: 'spki:" + strings.Repeat("ab", 32) + "'}]}]}\n", "A=b", ""},
		{"sources: [{name: a, expect_silence: true, silence: {except: [2026-12-25]}}]\n", "A=b", "t.yml:1:61: sources[0].silence.except: a source that is never reported as silent needs no days"},
		{"sources: [{name: a, filtered_channels: ['*', Security]}]\n", "A=b", "* stands for every channel"},
	} {
		_, warnings, err := config.Load(files(t, map[string]string{"t.yml": c.text, "cert.pem": cert, "key.pem": key}), "t.yml", []string{c.variable}, nil)
		if err != nil {
			t.Errorf("%s%s: %v", c.text, c.variable, err)
		}
		switch {
		case c.want == "" && len(warnings) > 0:
			t.Errorf("%s%s: warns %v", c.text, c.variable, warnings)
		case c.want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0].String(), c.want)):
			t.Errorf("%s%s: warns %v, want %s", c.text, c.variable, warnings, c.want)
		}
	}
}

// Days without silence are from midnight to midnight in their zone, whatever the
// clocks do on them.
func TestDaysWithoutSilence(t *testing.T) {
	t.Parallel()
	fs := files(t, map[string]string{"t.yml": "sources:\n- {name: a, zone: Europe/Berlin, silence: {except: [2026-12-25, 2026-03-29, 2026-10-25]}}\n" +
		"- {name: b, zone: Europe/Berlin, silence: {zone: America/New_York, except: ['2026-12-25']}}\n- {name: c, silence: {except: [2024-02-29]}}\n- {name: d}\n"})
	c, warnings, err := config.Load(fs, "t.yml", nil, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	for i, want := range []string{
		"2026-12-24T23:00:00Z 24h0m0s, 2026-03-28T23:00:00Z 23h0m0s, 2026-10-24T22:00:00Z 25h0m0s",
		"2026-12-25T05:00:00Z 24h0m0s", "2024-02-29T00:00:00Z 24h0m0s", "",
	} {
		var got []string
		for _, d := range c.Sources[i].Excepted() {
			got = append(got, fmt.Sprint(d.From.UTC().Format(time.RFC3339), " ", d.To.Sub(d.From)))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %s, want %s", c.Sources[i].Name, strings.Join(got, ", "), want)
		}
	}
}

// Secrets are given as one, as a list, or in a file of one or several lines.
func TestSecretsOfAWebhook(t *testing.T) {
	t.Parallel()
	two := elevenSecrets()[:2]
	fs := files(t, map[string]string{
		"t.yml": "webhooks:\n- {name: a, url: 'https://example.org', secret: '${env:A}'}\n- {name: b, url: 'https://example.org', secrets: ['${env:A}', '${env:B}']}\n" +
			"- {name: c, url: 'https://example.org', secret_file: one, proxy: 'https://proxy:3128', proxy_auth: '${env:PROXY}'}\n- {name: d, url: 'https://example.org', secret_file: two}\n",
		"one": "\n" + two[0] + "\n", "two": two[0] + "\r\n\n  " + two[1],
	})
	c, warnings, err := config.Load(fs, "t.yml", []string{"A=" + two[0], "B=" + two[1], "PROXY=name:pass:word"}, nil)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	for i, want := range [][]string{two[:1], two, two[:1], two} {
		var got []string
		for _, s := range c.Webhooks[i].SigningSecrets() {
			got = append(got, s.Reveal())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has %q, want %q", c.Webhooks[i].Name, got, want)
		}
	}
	for _, v := range c.Values() {
		if strings.Contains(v.Text, "whsec_") || strings.Contains(v.Text, "pass") {
			t.Errorf("a secret is shown: %s", v.Text)
		}
		if v.Key == "webhooks[1].secrets" && v.Text != "[********, ********]" {
			t.Errorf("shown as %s", v.Text)
		}
	}
}

// A secret is never printed, however one tries.
func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	fs := files(t, map[string]string{
		"t.yml":  "webhooks:\n- {name: a, url: 'https://example.org', secret: '${env:A}'}\n- {name: b, url: 'https://example.org', secret_file: secret}\n- {name: c, url: 'https://example.org', secret: " + whsec + "}\n",
		"secret": whsec + "\n",
	})
	c, _, err := config.Load(fs, "t.yml", []string{"A=" + whsec}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, w := range c.Webhooks {
		if w.Secret.Reveal() != whsec {
			t.Errorf("the secret of %s is %q", w.Name, w.Secret.Reveal())
		}
		fmt.Fprintf(&out, "%v %+v %#v %s %q\n", w, w, w, w.Secret, w.Secret)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "secret", w.Secret, "webhook", w)
		if err := json.NewEncoder(&out).Encode(w); err != nil {
			t.Fatal(err)
		}
	}
	for _, v := range c.Values() {
		fmt.Fprintf(&out, "%s %s %s\n", v.Key, v.Text, v.Place)
	}
	if strings.Contains(out.String(), whsec[6:]) {
		t.Errorf("a secret was printed:\n%s", &out)
	}
	if !strings.Contains(out.String(), "webhooks[0].secret ******** t.yml:2:") {
		t.Errorf("the place of a secret is not shown:\n%s", &out)
	}
	// Nor does a fault repeat one.
	for _, text := range []string{"short", "${env:A", "x${env:A}"} {
		for _, line := range faultsOf(t, "webhooks: [{name: a, url: 'https://example.org', secret: '"+text+"'}]\n", nil) {
			if strings.Contains(line, `"`+text) {
				t.Errorf("the fault repeats the secret: %s", line)
			}
		}
	}
}

func TestReferenceNamesEverySetting(t *testing.T) {
	t.Parallel()
	page := config.Reference()
	for _, key := range config.Keys() {
		last := key[strings.LastIndexByte(key, '.')+1:]
		if !strings.Contains(page, "| `"+last+"` |") {
			t.Errorf("%s is not in the reference", key)
		}
	}
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "| `") && strings.Contains(line, "|  |\n") {
			t.Errorf("no meaning in %s", line)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add("http: {listen: '127.0.0.1:1'}\n", "127.0.0.1:2")
	f.Add("sources: [{name: a, lateness: 5m, files: {paths: [x]}}]\n", "[a, b]")
	f.Add("webhooks: [{name: a, url: 'https://e', secret: '${env:A}'}]\n", "x")
	f.Fuzz(func(t *testing.T, text, value string) {
		var flags []config.Flag
		for _, key := range config.Keys() {
			if len(value) > 0 && strings.Contains(text, key) {
				flags = append(flags, config.Flag{Name: "--set", Key: key, Value: value})
			}
		}
		fs := vfs.NewMem()
		file, err := fs.Create("t.yml", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = file.Write([]byte(text))
		_ = file.Close()
		c, _, err := config.Load(fs, "t.yml", []string{"TIERCEL_ADMIN_LISTEN=" + value, "A=" + value}, flags)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v with error %v", c, err)
		}
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if !strings.Contains(line, ": ") {
					t.Errorf("the fault %q does not say where", line)
				}
			}
			return
		}
		if faults := config.Check(c); len(faults) > 0 {
			t.Errorf("a configuration that was loaded has faults: %v", faults)
		}
	})
}
