package clients

import (
	"path/filepath"
	"strings"
	"testing"
)

// filebeatVersion is the one that install builds.
const filebeatVersion = "7.17.29"

// Filebeat with the configuration that print-agent prints.
func TestFilebeat(t *testing.T) {
	t.Parallel()
	report(t, "filebeat")
	filebeat := need(t, "filebeat", filepath.Join(cache, "bin", "filebeat-"+filebeatVersion))
	deliver(t, client{
		name: "filebeat", kind: textLine, carries: holdsText,
		send: func(t *testing.T, to target, events []item) []*program {
			input := writeLines(t, to.dir, events)
			config := adapt(t, printAgent(t, "filebeat", to), "/var/log/*.log", input)
			write(t, filepath.Join(to.dir, "filebeat.yml"), config)
			return []*program{start(t, to.dir, "filebeat", nil, filebeat, "-e", "-c", "filebeat.yml",
				"--path.home", to.dir, "--path.config", to.dir, "--path.data", filepath.Join(to.dir, "data"), "--strict.perms=false")}
		},
	})
}

// writeLines writes the events as lines of a log.
func writeLines(t *testing.T, dir string, events []item) string {
	t.Helper()
	var b strings.Builder
	for _, e := range events {
		b.WriteString(e.text)
		b.WriteByte('\n')
	}
	name := filepath.Join(dir, "input.log")
	write(t, name, b.String())
	return name
}

// printAgent is the configuration that tiercel prints for an agent.
func printAgent(t *testing.T, agent string, to target) string {
	t.Helper()
	return tiercel(t, "config", "print-agent", agent, "--to", to.url, "--token", to.token)
}

// adapt replaces what in a printed configuration is of another machine: pairs
// of texts, each of which must be there.
func adapt(t *testing.T, config string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(config, pairs[i]) {
			t.Fatalf("the configuration has no %q:\n%s", pairs[i], config)
		}
		config = strings.ReplaceAll(config, pairs[i], pairs[i+1])
	}
	return config
}
