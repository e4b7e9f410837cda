package main

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/yamltree"
)

var updateAgents = flag.Bool("update-agents", false, "rewrite testdata/agents")

// What is printed for each agent is what stands in testdata/agents, read by a
// person: once as a token in a variable on this machine, once with everything.
func TestAgentConfigurations(t *testing.T) {
	t.Parallel()
	for _, a := range agents {
		for variant, args := range map[string]agentFlags{
			"plain": {},
			"full": {
				to: "https://siem.example.org:9443", token: "tc1_k3v9x2ab_0123456789ABCDEFabcdefGHIJKLMNop_3BF9ld",
				ca: "/etc/ssl/siem.pem", cert: "/etc/ssl/agent.pem", key: "/etc/ssl/agent.key",
			},
		} {
			got, err := agentConfig(config.Default(), a.name, args)
			if err != nil {
				t.Errorf("%s: %v", a.name, err)
				continue
			}
			file := filepath.Join("testdata", "agents", a.name+"."+variant)
			if *updateAgents {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || got != string(want) {
				t.Errorf("%s is not what is printed (%v); run with -update-agents and read the difference", file, err)
			}
			// The variable TIERCEL_TOKEN is for an admin token, which no agent may have.
			if strings.Contains(got, "TIERCEL_TOKEN") || (variant == "plain" && a.variable != "") != strings.Contains(got, "TIERCEL_INGEST_TOKEN") {
				t.Errorf("%s %s takes its token from another variable:\n%s", a.name, variant, got)
			}
			if strings.Contains(got, "<no value>") {
				t.Errorf("%s: a value is missing:\n%s", a.name, got)
			}
			switch a.name {
			case "rsyslog", "syslog-ng", "logstash", "splunk-forwarder":
			default:
				docs, err := yamltree.Parse([]byte(got))
				if err != nil || len(docs) != 1 {
					t.Errorf("%s %s is not YAML: %v", a.name, variant, err)
				}
			}
			if variant == "full" && a.name != "splunk-forwarder" {
				for _, part := range []string{"siem.example.org", "9443", args.token, args.ca, args.cert, args.key} {
					if !strings.Contains(got, part) {
						t.Errorf("%s does not hold %s", a.name, part)
					}
				}
			}
		}
	}
}

// What keeps an agent from losing events stands in its configuration.
func TestAgentsLoseNothing(t *testing.T) {
	t.Parallel()
	for name, parts := range map[string][]string{
		"filebeat":   {"setup.template.enabled: false", "setup.ilm.enabled: false"},
		"winlogbeat": {"setup.template.enabled: false", "setup.ilm.enabled: false"},
		"auditbeat":  {"queue.disk", "max_retries: -1", "setup.ilm.enabled: false"},
		"fluent-bit": {"retry_limit: no_limits", "storage.type: filesystem"},
		"vector":     {"type: disk", "when_full: block"},
		"rsyslog":    {`searchType=""`, `queue.filename="tiercel"`, `queue.saveOnShutdown="on"`, `action.resumeRetryCount="-1"`},
		"syslog-ng":  {"reliable(yes)", "retries(", "flow-control"},
		"otel":       {"storage: file_storage", "max_elapsed_time: 0s"},
		"logstash":   {"queue.type: persisted"},
	} {
		text, err := agentConfig(config.Default(), name, agentFlags{})
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			if !strings.Contains(text, part) {
				t.Errorf("%s lacks %s", name, part)
			}
		}
	}
}

// What is given cannot end a quote of the file it is put into.
func TestAgentArguments(t *testing.T) {
	t.Parallel()
	for _, c := range []agentFlags{
		{to: "https://a\"b:1"},
		{to: "https://a.example/path"},
		{to: "a.example:1"},
		{to: "https://u:p@a.example:1"},
		{token: "tok\"en"},
		{token: "tok\nen"},
		{token: "${x}"},
		{ca: "/a'b"},
		{ca: "/a\nb"},
		{cert: "/a'b"},
		{key: "/a\nb"},
	} {
		if text, err := agentConfig(config.Default(), "filebeat", c); err == nil {
			t.Errorf("%q is taken:\n%s", c, text)
		}
	}
	if _, err := agentConfig(config.Default(), "winlogbeat", agentFlags{ca: `C:\certs\siem.pem`}); err != nil {
		t.Error(err)
	}
	if _, err := agentConfig(config.Default(), "filebaet", agentFlags{}); err == nil || !strings.Contains(err.Error(), `did you mean "filebeat"?`) {
		t.Error(err)
	}
}

// Where the server demands a certificate of clients, each agent that speaks TLS
// is told where its own belongs, and rsyslog for the syslog listener too.
func TestAgentsShowCertificates(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	cfg.HTTP = config.HTTP{Listen: "0.0.0.0:8600", TLS: config.TLS{Cert: "cert.pem", Key: "key.pem", ClientCA: "ca.pem"}}
	cfg.Receivers.Syslog = []config.Syslog{{Listen: "127.0.0.1:514", Transport: "udp"}, {Listen: ":6514", Transport: "tls"}}
	for _, a := range agents {
		text, err := agentConfig(cfg, a.name, agentFlags{to: map[bool]string{true: "http://siem.example.org:1", false: "https://siem.example.org:8600"}[a.protocol == "syslog"]})
		if err != nil {
			t.Error(err)
			continue
		}
		if a.protocol != "syslog" && (!strings.Contains(text, "/etc/tiercel/agent.pem") || !strings.Contains(text, "/etc/tiercel/agent.key")) {
			t.Errorf("%s does not say where its certificate belongs:\n%s", a.name, text)
		}
	}
	rsyslog := func() string {
		text, err := agentConfig(cfg, "rsyslog", agentFlags{to: "https://siem.example.org:8600", cert: "/a.pem", key: "/a.key"})
		if err != nil {
			t.Error(err)
		}
		return text
	}
	for _, part := range []string{
		`#    target="siem.example.org"`, `#    port="6514"`, `#    StreamDriverPermittedPeers="siem.example.org"`,
		`#    StreamDriver.CAFile="/etc/tiercel/ca.pem"`, `#    StreamDriver.CertFile="/a.pem"`, `#    StreamDriver.KeyFile="/a.key"`,
	} {
		if !strings.Contains(rsyslog(), part) {
			t.Errorf("rsyslog lacks %s:\n%s", part, rsyslog())
		}
	}
	cfg.HTTP.TLS.ClientCA = ""
	if text := rsyslog(); strings.Contains(text, "StreamDriver.CertFile") || !strings.Contains(text, "StreamDriver.CAFile") {
		t.Errorf("the listener asks for no certificate:\n%s", text)
	}
	cfg.Receivers.Syslog = nil
	if text := rsyslog(); strings.Contains(text, "omfwd") {
		t.Errorf("there is no syslog listener:\n%s", text)
	}
}
