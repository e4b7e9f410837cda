package pipeline

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	jsonformat "github.com/tiercel-io/tiercel/format/json"
)

// carriedRecord is how a document is read and routed.
func carriedRecord(t *testing.T, e *SigmaEvaluator, doc string, look func(rec *event.Record, r Routed)) {
	t.Helper()
	e.Source(format.Options{Reference: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)})
	block := format.Block{Data: []byte(doc), Frames: []format.Frame{{End: len(doc)}}}
	n := 0
	err := jsonformat.Format().NewParser(format.Options{}).Parse(&block, block.Frames[0], func(rec *event.Record) {
		n++
		look(rec, e.Route(rec))
	})
	if err != nil || n != 1 {
		t.Fatalf("%d records, %v", n, err)
	}
}

func TestCarriedLines(t *testing.T) {
	t.Parallel()
	sigma, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	e := sigma.NewEvaluator()
	const (
		sshd    = `Nov 22 03:00:01 web-001 sshd[123]: Accepted password for root from 203.0.113.9 port 5555 ssh2`
		audit   = `node=web-001 type=SERVICE_STOP msg=audit(1795314000.020:37): pid=1 uid=0 msg='unit=auditd res=success'`
		windows = `{"Channel":"Security","EventID":1102,"Provider_Name":"Microsoft-Windows-Eventlog","Computer":"dc"}`
	)
	for _, c := range []struct {
		name, doc    string
		pack         string // "" for none
		time, hint   string
		has, missing []string
	}{
		{
			name: "beats, syslog", doc: `{"@timestamp":"2026-11-22T03:00:05Z","host":{"name":"a"},"log":{"offset":0,"file":{"path":"/var/log/auth.log"}},"message":` + quote(sshd) + `}`,
			pack: "linux-syslog", time: "2026-11-22T03:00:01Z", hint: "auth", has: []string{`"program":"sshd"`, `"user":"root"`, `"carrier":{`, `"path":"/var/log/auth.log"`}, missing: []string{`"@timestamp":"2026-11-22T03:00:01Z"`},
		},
		{name: "fluent bit, syslog", doc: `{"@timestamp":"2026-11-22T03:00:05.123Z","log":` + quote(sshd) + `}`, pack: "linux-syslog", time: "2026-11-22T03:00:01Z", has: []string{`"program":"sshd"`}},
		{name: "vector, audit", doc: `{"file":"/var/log/audit/audit.log","host":"h","source_type":"file","message":` + quote(audit) + `}`, pack: "linux-auditd", time: "2026-11-22T02:20:00.02Z", hint: "audit", has: []string{`"type":"SERVICE_STOP"`, `"carrier":{"file":`}},
		{name: "beats, an event in JSON", doc: `{"@timestamp":"2026-11-22T03:00:05Z","message":` + quote(windows) + `}`, pack: "windows", time: "2026-11-22T03:00:05Z", has: []string{`"EventID":1102`, `"carrier":{"@timestamp":`}},
		{name: "text of a known file", doc: `{"@timestamp":"2026-11-22T03:00:05Z","log":{"file":{"path":"/var/log/auth.log"}},"message":"a line without a header"}`, pack: "linux-syslog", time: "2026-11-22T03:00:05Z", hint: "auth"},
		{name: "text of no known file", doc: `{"@timestamp":"2026-11-22T03:00:05Z","message":"hello"}`},
		{name: "two audit events in one", doc: `{"message":` + quote(audit+"\n"+strings.ReplaceAll(audit, ":37)", ":38)")) + `}`, has: []string{`"message":"node=web-001`}, missing: []string{`"carrier"`}},
		{name: "no text", doc: `{"message":{"a":1},"log":[1]}`, has: []string{`{"message":{"a":1},"log":[1]}`}},
		{name: "what a pack knows stays as it is", doc: `{"Channel":"Security","EventID":1102,"Provider_Name":"Microsoft-Windows-Eventlog","Computer":"dc","message":` + quote(sshd) + `}`, pack: "windows", has: []string{`"message":"Nov 22`}, missing: []string{`"carrier"`}},
		{name: "not an object in a line", doc: `{"message":"{\"a\":"}`, has: []string{`"message"`}},
	} {
		carriedRecord(t, e, c.doc, func(rec *event.Record, r Routed) {
			tree := string(rec.Tree.AppendJSON(nil, 0))
			name := ""
			if e.Pack() != nil {
				name = e.Pack().Name
			}
			if name != c.pack || r.Claimed != (c.pack != "") {
				t.Errorf("%s: pack %q, want %q: %s", c.name, name, c.pack, tree)
			}
			if c.time != "" && rec.Time.Format(time.RFC3339Nano) != c.time {
				t.Errorf("%s: time %s, want %s", c.name, rec.Time.Format(time.RFC3339Nano), c.time)
			}
			if c.hint != "" && rec.Hint != c.hint {
				t.Errorf("%s: hint %q, want %q", c.name, rec.Hint, c.hint)
			}
			for _, text := range c.has {
				if !strings.Contains(tree, text) {
					t.Errorf("%s: %s is not in %s", c.name, text, tree)
				}
			}
			for _, text := range c.missing {
				if strings.Contains(tree, text) {
					t.Errorf("%s: %s is in %s", c.name, text, tree)
				}
			}
			if string(rec.Raw) != c.doc {
				t.Errorf("%s: the bytes are not what was sent: %s", c.name, rec.Raw)
			}
		})
	}
}

// A source that is pinned to the pack of audit records has its lines opened too;
// what is pinned to another stays as it is.
func TestCarriedLinesOfAPinnedSource(t *testing.T) {
	t.Parallel()
	sigma, err := shipped()
	if err != nil {
		t.Fatal(err)
	}
	e := sigma.NewEvaluator()
	const doc = `{"host":{"name":"a"},"message":"type=EXECVE msg=audit(1795314000.020:37): argc=1 a0=\"id\""}`
	for _, c := range []struct {
		pin, doc, has string
		line          bool
	}{
		{"linux-auditd", doc, `"a0":"id"`, true},
		{"linux-auditd", `{"host":{"name":"a"},"message":"type=EXECVE msg=audit(x"}`, `"message":"type=`, false},
		{"linux-auditd", `{"type":"EXECVE","a0":"id","message":"text"}`, `"message":"text"`, false},
		{"windows", doc, `"message":"type=`, false},
		{"", doc, `"a0":"id"`, true},
	} {
		e.Pin(c.pin)
		carriedRecord(t, e, c.doc, func(rec *event.Record, r Routed) {
			if tree := string(rec.Tree.AppendJSON(nil, 0)); !strings.Contains(tree, c.has) || (r.Line != nil) != c.line || string(rec.Raw) != c.doc {
				t.Errorf("pinned to %q: %s, line %v", c.pin, tree, r.Line)
			}
			if r.Line != nil && (r.Line.Host != "a" || string(r.Line.Text) != `type=EXECVE msg=audit(1795314000.020:37): argc=1 a0="id"` || string(r.Line.Beside) != `{"carrier":{"host":{"name":"a"}}}`) {
				t.Errorf("line %q of %q with %s", r.Line.Text, r.Line.Host, r.Line.Beside)
			}
		})
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
