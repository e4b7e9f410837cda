package main

import (
	"embed"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/report"
)

// agentFiles are the templates of agents' configurations, one each. They keep
// what the agent has read until it is acknowledged: an agent that gives up or
// forgets is the one loss that the server cannot see.
//
//go:embed agents/*.tmpl
var agentFiles embed.FS

// agent is a program that sends to us.
type agent struct {
	name, about string
	// protocol is what it speaks: elastic, hec, otlp, ndjson or syslog.
	protocol string
	// variable is how its configuration refers to the variable TIERCEL_INGEST_TOKEN,
	// empty where it cannot.
	variable string
}

var agents = []agent{
	{"filebeat", "Filebeat 7.17 and later", "elastic", "${TIERCEL_INGEST_TOKEN}"},
	{"winlogbeat", "Winlogbeat 7.17 and later", "elastic", "${TIERCEL_INGEST_TOKEN}"},
	{"auditbeat", "Auditbeat 7.17 and later", "elastic", "${TIERCEL_INGEST_TOKEN}"},
	{"fluent-bit", "Fluent Bit 3 and later", "elastic", "${TIERCEL_INGEST_TOKEN}"},
	{"vector", "Vector", "elastic", "${TIERCEL_INGEST_TOKEN}"},
	{"rsyslog", "rsyslog 8 with omelasticsearch", "elastic", ""},
	{"syslog-ng", "syslog-ng 3.38 and later", "ndjson", ""},
	{"otel", "OpenTelemetry Collector", "otlp", "${env:TIERCEL_INGEST_TOKEN}"},
	{"logstash", "Logstash 7.17 and later", "elastic", "${TIERCEL_INGEST_TOKEN}"},
	{"splunk-forwarder", "Splunk heavy forwarder", "syslog", ""},
}

func agentNames() []string {
	var names []string
	for _, a := range agents {
		names = append(names, a.name)
	}
	return names
}

// agentValues fill a template.
type agentValues struct {
	// URL is scheme://host:port, without a path.
	URL, Host, Port string
	TLS             bool
	// CA is the file of the authority on the agent's machine, or empty.
	CA string
	// Cert and Key are the files of the agent's own certificate, empty where it
	// needs none.
	Cert, Key string
	// Syslog is the syslog listener over TLS, nil where there is none.
	Syslog *syslogValues
	Token  string
	// Given is set when Token is a real one.
	Given bool
}

// syslogValues fill the part of a template that sends syslog over TLS.
type syslogValues struct {
	Host, Port, CA string
	// Cert and Key are empty where the listener asks for no certificate.
	Cert, Key string
}

// agentFlags are what only who runs the agent can know.
type agentFlags struct {
	to, token, ca, cert, key string
}

// The files that are written for a certificate that the server demands when no
// others are named.
const (
	agentCert = "/etc/tiercel/agent.pem"
	agentKey  = "/etc/tiercel/agent.key"
	agentCA   = "/etc/tiercel/ca.pem"
)

func newConfigAgent(p *process) *cobra.Command {
	var f configFlags
	var a agentFlags
	c := &cobra.Command{
		Use:   "print-agent NAME",
		Short: "Print a ready configuration for an agent",
		Long: "Print-agent prints what an agent needs to send here and lose nothing on the way. When the server demands\n" +
			"a certificate of clients, it says where the agent's belongs. Without --token\n" +
			"the agent takes it from the variable TIERCEL_INGEST_TOKEN where it can. Agents: " + strings.Join(agentNames(), ", ") + ".",
		Example: "  tiercel config print-agent filebeat --to https://siem.example.org:8600 --token tc1_…",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("print-agent needs the name of one agent: %s", strings.Join(agentNames(), ", "))
			}
			return nil
		},
		ValidArgs: agentNames(),
		RunE: func(_ *cobra.Command, args []string) error {
			cfg, err := f.must(p)
			if err != nil {
				return err
			}
			text, err := agentConfig(cfg, args[0], a)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(p.stdout, text)
			return err
		},
	}
	f.register(c)
	flags := c.Flags()
	flags.StringVar(&a.to, "to", "", "`URL` at which agents reach the server (default: what the configuration listens on)")
	flags.StringVar(&a.token, "token", "", "ingest `token` to write into it")
	flags.StringVar(&a.ca, "agent-ca", "", "`file` on the agent's machine with the authority of the server's certificate")
	flags.StringVar(&a.cert, "agent-cert", "", "`file` on the agent's machine with its own certificate (default "+agentCert+" when the server demands one)")
	flags.StringVar(&a.key, "agent-key", "", "`file` on the agent's machine with the key of its certificate (default "+agentKey+" when the server demands one)")
	return c
}

// agentConfig fills the template of an agent.
func agentConfig(cfg *config.Config, name string, f agentFlags) (string, error) {
	var a agent
	for _, known := range agents {
		if known.name == name {
			a = known
		}
	}
	if a.name == "" {
		return "", usageError("there is no template for %q%s\nThere are %s", report.Clean(name, 80), didYouMean(name, agentNames()), strings.Join(agentNames(), ", "))
	}
	// What goes into a file in someone else's syntax must not be able to end
	// its quotes.
	for flag, text := range map[string]string{"--token": f.token, "--agent-ca": f.ca, "--agent-cert": f.cert, "--agent-key": f.key, "--to": f.to} {
		if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'$`+"`"+`{}\`, r) }) && !(strings.HasPrefix(flag, "--agent-") && safePath(text)) {
			return "", usageError("%s has a character that cannot stand in an agent's configuration: %s", flag, report.Clean(text, 200))
		}
	}
	to := firstOf(f.to, addressFor(cfg, a.protocol))
	u, err := url.Parse(to)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil {
		return "", usageError("--to %s is not the address of a server; write https://host:port", report.Clean(to, 200))
	}
	v := agentValues{Host: u.Hostname(), Port: u.Port(), TLS: u.Scheme == "https" || u.Scheme == "tls", CA: f.ca, Token: f.token, Given: f.token != ""}
	if v.Port == "" {
		v.Port = map[bool]string{true: "443", false: "80"}[v.TLS]
	}
	v.URL = map[bool]string{true: "https://", false: "http://"}[v.TLS] + net.JoinHostPort(v.Host, v.Port)
	if v.Cert, v.Key = f.cert, f.key; v.TLS && a.protocol != "syslog" && cfg.HTTP.TLS.ClientCA != "" || v.Cert+v.Key != "" {
		v.Cert, v.Key = firstOf(v.Cert, agentCert), firstOf(v.Key, agentKey)
	}
	v.Syslog = syslogFor(cfg, v.Host, f)
	if !v.Given {
		v.Token = a.variable
		if v.Token == "" {
			v.Token = "REPLACE_WITH_A_TOKEN"
		}
	}
	text, err := fs.ReadFile(agentFiles, "agents/"+name+".tmpl")
	if err != nil {
		return "", err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if err := t.Execute(&b, v); err != nil {
		return "", err
	}
	return b.String(), nil
}

// syslogFor is the first syslog listener over TLS, as the agent reaches it; nil
// where there is none. Its host is that of the main port if it listens on every
// address.
func syslogFor(cfg *config.Config, host string, f agentFlags) *syslogValues {
	for _, s := range cfg.Receivers.Syslog {
		own, port, err := net.SplitHostPort(s.Listen)
		if s.Transport != "tls" || err != nil {
			continue
		}
		if ip := net.ParseIP(own); own != "" && (ip == nil || !ip.IsUnspecified()) {
			host = own
		}
		v := &syslogValues{Host: host, Port: port, CA: firstOf(f.ca, agentCA)}
		if cfg.DemandsCertificate(s) {
			v.Cert, v.Key = firstOf(f.cert, agentCert), firstOf(f.key, agentKey)
		}
		return v
	}
	return nil
}

// safePath allows the backslashes of a Windows path, which templates put in
// single quotes where they mean nothing.
func safePath(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune(`"'$`+"`"+`{}`, r) })
}

// addressFor is where the configuration listens for a protocol, as a client on
// this machine reaches it.
func addressFor(cfg *config.Config, protocol string) string {
	address, tls := cfg.HTTP.Listen, cfg.HTTP.TLS.On()
	switch r := cfg.Receivers; {
	case protocol == "elastic" && r.Elastic.Listen != "":
		address = r.Elastic.Listen
	case protocol == "hec" && r.HEC.Listen != "":
		address = r.HEC.Listen
	case protocol == "otlp" && r.OTLP.HTTP != "":
		address = r.OTLP.HTTP
	case protocol == "syslog":
		address, tls = "127.0.0.1:6514", false
		for _, s := range r.Syslog {
			if s.Transport != "udp" {
				address, tls = s.Listen, s.Transport == "tls"
				break
			}
		}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // of the name that agents use, only the operator knows
	}
	scheme := "http"
	if tls {
		scheme = "https"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}
