package stream

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
)

const ruleCurl = `
title: Fetched to the home of root
id: 33333333-3333-4333-8333-333333333333
status: test
level: high
logsource: {product: linux, category: process_creation}
detection:
  selection: {Image: /usr/bin/curl, CommandLine: curl -o evil, CurrentDirectory: /root}
  condition: selection
`

// auditDocuments are the documents of an agent with the lines of one event, but
// for the one that the kernel writes last.
func auditDocuments(at time.Time, host string, serial int) (out []string) {
	for _, line := range []string{
		`SYSCALL msg=audit(%d.%03d:%d): arch=c000003e syscall=59 success=yes pid=7 uid=0 comm=\"curl\" exe=\"/usr/bin/curl\"`,
		`EXECVE msg=audit(%d.%03d:%d): argc=3 a0=\"curl\" a1=\"-o\" a2=\"evil\"`,
		`CWD msg=audit(%d.%03d:%d): cwd=\"/root\"`,
	} {
		line = fmt.Sprintf(line, at.Unix(), at.Nanosecond()/1e6, serial)
		out = append(out, fmt.Sprintf(`{"@timestamp":%q,"host":{"name":%q},"message":"type=%s"}`, at.Format(time.RFC3339Nano), host, line))
	}
	return out
}

// An event whose lines come before and after a restart, with another content
// between them, is one; and one that nothing follows is decided, in time, when
// nothing of its time is expected any more.
func TestAuditEventsOutlastARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t, vfs.NewMem(), map[string]string{"a.yml": ruleCurl})
	r.change = func(c *Config) {
		c.Source = func(_ event.Tenant, name string) Source {
			if name == "short" {
				return Source{Lateness: 300 * time.Millisecond}
			}
			return Source{Lateness: time.Hour}
		}
	}
	r.start()
	at := time.Now().Truncate(time.Millisecond)
	lines := auditDocuments(at, "a", 1)
	r.send("long", lines[0])
	r.end()
	r.loader.rules["b.yml"] = ruleWhoami
	r.start()
	r.send("long", append(auditDocuments(at, "b", 1)[1:], lines[1])...)
	r.send("long", lines[2], auditDocuments(at.Add(2*time.Second), "a", 2)[0])
	r.send("short", auditDocuments(time.Now().Truncate(time.Millisecond), "c", 1)...)
	got := map[string]int{}
	deadline := time.Now().Add(20 * time.Second)
	for got["long"]+got["short"] < 2 && time.Now().Before(deadline) {
		clear(got)
		for _, d := range r.await("provisional", 1) {
			if err := detection.Attach(r.records, event.LocalTenant, d); err != nil {
				t.Fatal(err)
			}
			for _, e := range d.Evidence {
				got[e.Source]++
				if len(e.Parts) != 3 || !slices.Contains(e.Parts, e.EventID) || d.Late {
					t.Errorf("%s: %q, late %v", e.Source, e.Parts, d.Late)
				}
			}
		}
	}
	if got["long"] != 1 || got["short"] != 1 {
		t.Errorf("events by source: %v", got)
	}
	for _, f := range r.node.scheduler.all() {
		f.mu.Lock()
		if !f.views["linux/process_creation"] || !f.views["linux/auditd"] {
			t.Errorf("%s: views %v", f.source.Name, f.views)
		}
		f.mu.Unlock()
	}
	if c := r.settled(9); c.Late != 0 || c.Evaluated != 9 || c.Matches != 2 {
		t.Errorf("ledger %+v", c)
	}
	r.end()
}
