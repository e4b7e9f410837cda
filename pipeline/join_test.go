package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// auditRules ask for one line, for what stands in several, and for what does not
// stand in the event at all.
var auditRules = map[string]string{
	"process": "{product: linux, category: process_creation}\ndetection: {sel: {Image: /usr/bin/curl, CommandLine|contains: '-o evil', CurrentDirectory: /root, User: '0'}, condition: sel}",
	"line":    "{product: linux, service: auditd}\ndetection: {sel: {type: EXECVE, a0: curl}, condition: sel}",
	"both":    "{product: linux, service: auditd}\ndetection: {sel: {exe: /usr/bin/curl}, condition: sel}",
	"file":    "{product: linux, category: file_event}\ndetection: {sel: {Image: /usr/bin/curl, TargetFilename: /root/evil}, condition: sel}",
	"without": "{product: linux, category: process_creation}\ndetection: {sel: {CommandLine|contains: curl}, filter: {name: /root/evil}, condition: sel and not filter}",
	"end":     "{product: linux, service: auditd}\ndetection: {sel: {type: EOE}, condition: sel}",
}

var auditEngine = sync.OnceValues(func() (*Sigma, error) {
	set, err := pack.Embedded()
	if err != nil {
		return nil, err
	}
	res := &rulefile.Result{}
	for _, name := range []string{"both", "end", "file", "line", "process", "without"} {
		res.Add(name+".yml", []byte(fmt.Sprintf("title: %s\nid: 00000000-0000-4000-8000-%012x\nlevel: high\nlogsource: %s\n", name, name[:min(6, len(name))], auditRules[name])))
	}
	res.Link(rulefile.Options{Link: rule.Options{}})
	for _, d := range res.Diagnostics {
		if d.Severity == rule.Error {
			return nil, fmt.Errorf("%v", d)
		}
	}
	return NewSigma(res.Set.Rules, set, nil), nil
})

// auditEvent are the lines of one event, as a kernel writes them.
func auditEvent(node string, millis, serial int, evil bool, names int, eoe bool) []string {
	head := func(kind string) string {
		return fmt.Sprintf("%stype=%s msg=audit(%d.%03d:%d): ", node, kind, millis/1000, millis%1000, serial)
	}
	args := `argc=2 a0="curl" a1="--version"`
	if evil {
		args = `argc=3 a0="curl" a1="-o" a2="evil"`
	}
	lines := []string{
		head("SYSCALL") + `arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 items=2 ppid=1 pid=7 auid=1000 uid=0 ses=3 comm="curl" exe="/usr/bin/curl" key="x"`,
		head("EXECVE") + args,
		head("CWD") + `cwd="/root"`,
	}
	for i := range names {
		lines = append(lines, head("PATH")+fmt.Sprintf(`item=%d name="/root/%s" nametype=CREATE`, i, []string{"other", "evil"}[i%2]))
	}
	lines = append(lines, head("PROCTITLE")+"proctitle=6375726C")
	if eoe {
		lines = append(lines, head("EOE"))
	}
	return lines
}

// carriers make a document of a line as several agents do; each is read as JSON.
var carriers = []func(host, line string, i int) string{
	func(host, line string, i int) string {
		return fmt.Sprintf(`{"@timestamp":"2026-11-22T03:00:05Z","host":{"name":%s},"log":{"offset":%d,"file":{"path":"/var/log/audit/audit.log"}},"message":%s}`, quote(host), i, quote(line))
	},
	func(host, line string, i int) string {
		return fmt.Sprintf(`{"file":"/var/log/audit/audit.log","host":%s,"n":%d,"message":%s}`, quote(host), i, quote(line))
	},
	func(host, line string, i int) string {
		return fmt.Sprintf(`{"date":%d,"log":%s,"hostname":%s}`, i, quote(line), quote(host))
	},
}

// mingle puts lists into one, each in its own order.
func mingle(t *rapid.T, lists [][]string) (out []string, from []int) {
	left := slices.Clone(lists)
	for {
		var some []int
		for i := range left {
			if len(left[i]) > 0 {
				some = append(some, i)
			}
		}
		if len(some) == 0 {
			return out, from
		}
		i := rapid.SampledFrom(some).Draw(t, "next")
		n := rapid.IntRange(1, len(left[i])).Draw(t, "run")
		for _, line := range left[i][:n] {
			out, from = append(out, line), append(from, i)
		}
		left[i] = left[i][n:]
	}
}

// drawLogs makes the lines of some machines, in an order of arrival, with the
// machine of each.
func drawLogs(t *rapid.T) (hosts []string, logs [][]string, lines []string, from []int) {
	for h := range rapid.IntRange(1, 3).Draw(t, "machines") {
		hosts = append(hosts, fmt.Sprintf("web-%d", h))
		var events [][]string
		at, serial := 1795314000000, 1
		for range rapid.IntRange(1, 5).Draw(t, "events") {
			at += rapid.SampledFrom([]int{0, 1, 900, 2000, 4000}).Draw(t, "after")
			serial++
			node := rapid.SampledFrom([]string{"", "", "node=a ", "node=b "}).Draw(t, "node")
			events = append(events, auditEvent(node, at, serial, rapid.Bool().Draw(t, "evil"), rapid.IntRange(0, 3).Draw(t, "names"), rapid.Bool().Draw(t, "eoe")))
		}
		log, _ := mingle(t, events)
		logs = append(logs, log)
	}
	lines, from = mingle(t, logs)
	return hosts, logs, lines, from
}

// told is what must be the same of a match however its lines came.
func told(t failing, m *Match) string {
	var tree map[string]any
	if err := json.Unmarshal(m.Event, &tree); err != nil {
		t.Fatal(err)
	}
	for _, name := range envelopes {
		delete(tree, name)
	}
	text, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s %s %s %q %s %v %s", m.Time.Format(time.RFC3339Nano), m.Rule.Title, m.View, m.Host, m.TimeQuality, m.Fields, text)
}

// scanAudit scans files and returns what was told, by file.
func scanAudit(t *rapid.T, outer *testing.T, files map[string]string) (map[string][]string, Stats) {
	engine, err := auditEngine()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	var paths []string
	for name := range files {
		paths = append(paths, name)
	}
	slices.Sort(paths)
	stats, err := Scan(context.Background(), Config{
		Env: world(outer, files), Engine: engine, Paths: paths, Formats: formats.All(), Jobs: 2,
		Match: func(m *Match) error {
			out[m.Source.Path] = append(out[m.Source.Path], told(t, m))
			return nil
		},
		Problem: func(path string, list []format.Problem, n int) { t.Fatal(path, list) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range out {
		slices.Sort(list)
	}
	return out, stats
}

// Lines that agents send in documents, those of several machines in each other,
// give the events that they give in the logs of those machines.
func TestLinesInDocumentsAreJoined(t *testing.T) {
	t.Parallel()
	most := 0
	rapid.Check(t, func(rt *rapid.T) {
		hosts, logs, lines, from := drawLogs(rt)
		files := map[string]string{}
		for h, log := range logs {
			files[hosts[h]] = strings.Join(log, "\n") + "\n"
		}
		byFile, _ := scanAudit(rt, t, files)
		var want []string
		for _, list := range byFile {
			want = append(want, list...)
		}
		slices.Sort(want)
		carry := rapid.SampledFrom(carriers).Draw(rt, "agent")
		var docs strings.Builder
		for i, line := range lines {
			docs.WriteString(carry(hosts[from[i]], line, i) + "\n")
		}
		got, stats := scanAudit(rt, t, map[string]string{"docs.ndjson": docs.String()})
		if diff := cmp.Diff(want, got["docs.ndjson"]); diff != "" {
			rt.Fatalf("logs (-) and documents (+) differ:\n%s", diff)
		}
		if stats.Joined == 0 || stats.JoinedEarly != 0 || stats.Incomplete != 0 {
			rt.Fatalf("%+v", stats)
		}
		most = max(most, len(want))
	})
	if most < 10 {
		t.Errorf("at most %d matches were compared", most)
	}
}
