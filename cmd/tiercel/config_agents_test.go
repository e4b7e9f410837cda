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
		for variant, args := range map[string][3]string{
			"plain": {},
			"full":  {"https://siem.example.org:9443", "tc1_k3v9x2ab_0123456789ABCDEFabcdefGHIJKLMNop_3BF9ld", "/etc/ssl/siem.pem"},
		} {
			got, err := agentConfig(config.Default(), a.name, args[0], args[1], args[2])
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
				for _, part := range []string{"siem.example.org", "9443", args[1], args[2]} {
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
		text, err := agentConfig(config.Default(), name, "", "", "")
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
	for _, c := range [][3]string{
		{"https://a\"b:1", "", ""},
		{"https://a.example/path", "", ""},
		{"a.example:1", "", ""},
		{"https://u:p@a.example:1", "", ""},
		{"", "tok\"en", ""},
		{"", "tok\nen", ""},
		{"", "${x}", ""},
		{"", "", "/a'b"},
		{"", "", "/a\nb"},
	} {
		if text, err := agentConfig(config.Default(), "filebeat", c[0], c[1], c[2]); err == nil {
			t.Errorf("%q is taken:\n%s", c, text)
		}
	}
	if _, err := agentConfig(config.Default(), "winlogbeat", "", "", `C:\certs\siem.pem`); err != nil {
		t.Error(err)
	}
	if _, err := agentConfig(config.Default(), "filebaet", "", "", ""); err == nil || !strings.Contains(err.Error(), `did you mean "filebeat"?`) {
		t.Error(err)
	}
}
