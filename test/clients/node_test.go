package clients

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// The clients for Node.js, whose versions stand in node/package-lock.json.
func TestNode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, module, script string }{
		{"elasticsearch-js", "@elastic/elasticsearch", "bulk.mjs"},
		{"opensearch-js", "@opensearch-project/opensearch", "opensearch.mjs"},
		{"opentelemetry-js", "@opentelemetry/exporter-logs-otlp-http", "otlp.mjs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			report(t, c.name)
			node := need(t, c.name, "node", "nodejs")
			need(t, c.name, filepath.Join("node", "node_modules", c.module, "package.json"))
			script, err := filepath.Abs(filepath.Join("node", c.script))
			if err != nil {
				t.Fatal(err)
			}
			sends := client{
				name: c.name, kind: textAny, carries: holdsText,
				send: func(t *testing.T, to target, events []item) []*program {
					texts := make([]string, len(events))
					for i, e := range events {
						texts[i] = e.text
					}
					list, err := json.Marshal(texts)
					if err != nil {
						t.Fatal(err)
					}
					input := filepath.Join(to.dir, "events.json")
					write(t, input, string(list))
					p := start(t, to.dir, c.name, []string{"URL=" + to.url, "TOKEN=" + to.token, "EVENTS=" + input}, node, script)
					if err := p.finish(); err != nil {
						t.Fatalf("%s: %v", c.name, err)
					}
					return nil
				},
			}
			if c.script == "bulk.mjs" {
				sends.poison = 1
			}
			deliver(t, sends)
		})
	}
}
