package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/engine/pebble"
	"github.com/tiercel-io/tiercel/engine/segment"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// textLoader makes content of rules in hand.
type textLoader struct {
	rules map[string]string // file to YAML
}

func (l *textLoader) Load() (*Content, error) {
	return l.Revive(archiveOf(l.rules))
}

// archiveOf is the archive of rules in hand.
func archiveOf(files map[string]string) []byte {
	data, _ := json.Marshal(files)
	return data
}

func (l *textLoader) Revive(archive []byte) (*Content, error) {
	files := map[string]string{}
	if err := json.Unmarshal(archive, &files); err != nil {
		return nil, err
	}
	res := &rulefile.Result{}
	for _, name := range sortedKeys(files) {
		res.Add(name, []byte(files[name]))
	}
	o := rulefile.Options{Link: rule.Options{Experimental: true}}
	res.Link(o)
	for _, d := range res.Diagnostics {
		if d.Severity == rule.Error {
			return nil, fmt.Errorf("%v", d)
		}
	}
	set, err := pack.Embedded()
	if err != nil {
		return nil, err
	}
	c := &Content{Sigma: pipeline.NewSigma(res.Set.Rules, set, nil), Correlations: res.Set.Correlations, Archive: archive, Disabled: map[string]string{}}
	copy(c.Version[:], fmt.Sprintf("%032x", len(archive)))
	for i, b := range archive {
		c.Version[i%len(c.Version)] ^= b
	}
	return c, nil
}

// rig is a node on a file system.
type rig struct {
	t       testing.TB
	fs      vfs.FS
	loader  *textLoader
	tenants *event.Tenants
	log     *segment.Log
	records *pebble.Engine
	node    *Node
	gate    *ingest.Gate
	stop    context.CancelFunc
	done    chan error
	metrics *metric.Set
	// change, when set, changes the configuration of the node.
	change func(*Config)
}

func newRig(t testing.TB, fs vfs.FS, rules map[string]string) *rig {
	tenants, err := event.NewTenants([]string{"local", "other"})
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t: t, fs: fs, loader: &textLoader{rules: rules}, tenants: tenants}
}

// start opens the folder and runs the node.
func (r *rig) start() {
	r.t.Helper()
	var err error
	world := env.Real()
	logger := slog.New(slog.DiscardHandler)
	if r.log, err = segment.Open(segment.Config{FS: r.fs, Dir: "log", Clock: world.Clock, Tenants: r.tenants, Reserve: -1, SegmentBytes: 1 << 20}); err != nil {
		r.t.Fatal(err)
	}
	if r.records, err = pebble.Open(pebble.Config{FS: r.fs, Dir: "state"}); err != nil {
		r.t.Fatal(err)
	}
	r.metrics = metric.New()
	cfg := Config{
		Clock: world.Clock, Log: r.log, Records: r.records, Detections: detection.Open(r.records, world.Clock),
		Quarantine: quarantine.Open(r.records, world.Clock), Metrics: r.metrics, Logger: logger, Loader: r.loader,
		Format: formats.ByName, Detect: func(head []byte) (format.Format, bool) { return formats.Detect(head, "") },
		Tenants: r.tenants.All(), Workers: 2, HeartbeatAfter: 20 * time.Millisecond,
		Source: func(_ event.Tenant, name string) Source {
			return Source{Lateness: time.Minute, Import: name == "import"}
		},
	}
	if r.change != nil {
		r.change(&cfg)
	}
	if r.node, err = Start(cfg); err != nil {
		r.t.Fatal(err)
	}
	if r.gate, err = ingest.NewGate(ingest.GateConfig{Log: r.log, Clock: world.Clock, Metrics: r.metrics, Backlog: r.node.Backlog}); err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan error, 1)
	go func() {
		err := r.node.Run(ctx)
		if err != nil {
			r.t.Errorf("the node stopped: %v", err)
		}
		r.done <- err
	}()
}

// end stops the node in order and closes everything.
func (r *rig) end() {
	r.t.Helper()
	r.stop()
	r.stop = nil
	if err := <-r.done; err != nil {
		r.t.Fatal(err)
	}
	if err := r.log.Close(); err != nil {
		r.t.Fatal(err)
	}
	if err := r.records.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// send makes lines of JSON durable as one batch.
func (r *rig) send(source string, lines ...string) {
	r.t.Helper()
	r.sendFor(event.LocalTenant, source, lines...)
}

func (r *rig) sendFor(tenant event.Tenant, source string, lines ...string) {
	r.t.Helper()
	b := &ingest.Batch{Tenant: tenant, Source: source, Protocol: "ndjson", Format: "json"}
	for _, line := range lines {
		start := len(b.Data)
		b.Data = append(b.Data, line...)
		b.Frames = append(b.Frames, format.Frame{Start: start, End: len(b.Data)})
		b.Data = append(b.Data, '\n')
	}
	if source == "import" {
		b.File = &ingest.File{Path: "f", Name: "f", Last: true, Fingerprint: event.Fingerprint(b.Data)}
		for i := range b.Frames {
			b.Frames[i].Offset = int64(b.Frames[i].Start)
		}
	}
	if err := r.gate.Accept(context.Background(), b); err != nil {
		r.t.Fatal(err)
	}
}

// await follows the feed until want detections are in the given phase.
func (r *rig) await(phase string, want int) []*detection.Detection {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	feed := r.node.detections.Feed(event.LocalTenant, 0)
	seen := map[string]*detection.Detection{}
	for {
		n := 0
		for _, d := range seen {
			if d.Phase == phase {
				n++
			}
		}
		if n >= want {
			var out []*detection.Detection
			for _, id := range sortedKeys(seen) {
				if seen[id].Phase == phase {
					out = append(out, seen[id])
				}
			}
			return out
		}
		list, err := feed.Next(ctx)
		if err != nil {
			r.t.Fatalf("%d of %d detections are %s: %v", n, want, phase, err)
		}
		for _, d := range list {
			seen[d.ID] = d
		}
	}
}

// settled waits until everything received is accounted for and returns the sums.
func (r *rig) settled(want uint64) ledger.Counts {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		if err := r.node.ledger.flush(); err != nil {
			r.t.Fatal(err)
		}
		s, err := ledger.Summarize(r.records.Scan, ledger.Query{Tenant: event.LocalTenant, From: time.Now().Unix()/60 - 60, To: time.Now().Unix()/60 + 60})
		if err != nil {
			r.t.Fatal(err)
		}
		c := s.Totals
		if c.Received >= want && c.Evaluated+c.Late+c.Quarantined+c.Damaged >= want {
			return c
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("not settled: %+v, want %d", c, want)
		}
	}
}

const (
	ruleWhoami = `
title: Who am I
id: 11111111-1111-4111-8111-111111111111
status: test
level: medium
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\whoami.exe'}
  condition: selection
`
	ruleMany = `
title: Many questions
id: 22222222-2222-4222-8222-222222222222
status: test
level: high
correlation:
  type: event_count
  rules: [11111111-1111-4111-8111-111111111111]
  group-by: [Computer]
  timespan: 5m
  condition: {gte: 3}
  generate: true
`
)

// process is a process creation on a host.
func process(at time.Time, host, image string, record int) string {
	return fmt.Sprintf(`{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":%q,"EventRecordID":%d,"RecordNumber":%d,"TimeCreated":%q,"Image":%q,"CommandLine":"x","User":"A\\b","@timestamp":%q}`,
		host, record, record, at.UTC().Format(time.RFC3339Nano), image, at.UTC().Format(time.RFC3339Nano))
}

func TestNodeDetects(t *testing.T) {
	t.Parallel()
	r := newRig(t, vfs.NewMem(), map[string]string{"a.yml": ruleWhoami, "b.yml": ruleMany})
	r.start()
	now := time.Now()
	const whoami = `C:\Windows\System32\whoami.exe`
	r.send("pc", process(now, "a", whoami, 1), process(now.Add(time.Second), "a", `C:\x.exe`, 2), `{"broken":`)
	r.send("pc", process(now.Add(2*time.Second), "a", whoami, 3), process(now.Add(3*time.Second), "b", whoami, 1))
	r.send("pc", process(now.Add(4*time.Second), "a", whoami, 4))
	got := r.await("provisional", 3)
	byRule := map[string]int{}
	for _, d := range got {
		byRule[d.Rule.Title+" "+d.Group[0].Value] += int(d.Count)
		if d.Reason == "" || len(d.Evidence) == 0 {
			t.Errorf("a detection without reason or evidence: %+v", d)
		}
		if err := detection.Attach(r.records, event.LocalTenant, d); err != nil || len(d.Evidence[0].Event) == 0 || len(d.Evidence[0].Fields) == 0 {
			t.Errorf("evidence without its event: %+v, %v", d.Evidence, err)
		}
	}
	want := map[string]int{"Who am I a": 3, "Who am I b": 1, "Many questions a": 3}
	for k, n := range want {
		if byRule[k] != n {
			t.Errorf("%s: count %d, want %d (%v)", k, byRule[k], n, byRule)
		}
	}
	c := r.settled(6)
	if c.Received != 6 || c.Evaluated != 5 || c.Quarantined != 1 || c.Late != 0 {
		t.Errorf("ledger %+v", c)
	}
	page, err := r.node.quarantine.List(event.LocalTenant, quarantine.Filter{Limit: 10})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Reason != ingest.ReasonUnparsed {
		t.Errorf("quarantine %+v, %v", page, err)
	}
	r.end()
	// A second start reads again what was not kept and shows nothing twice.
	latest, err := func() (uint64, error) { r.start(); return r.node.detections.Latest(event.LocalTenant) }()
	if err != nil {
		t.Fatal(err)
	}
	r.send("pc", process(now.Add(5*time.Second), "b", whoami, 2))
	if c := r.settled(7); c.Received != 7 || c.Evaluated != 6 {
		t.Errorf("ledger after a restart %+v", c)
	}
	if again, err := r.node.detections.Latest(event.LocalTenant); err != nil || again < latest {
		t.Errorf("feed went from %d to %d, %v", latest, again, err)
	}
	r.end()
}

func TestImportIsDecidedAtItsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, vfs.NewMem(), map[string]string{"a.yml": ruleWhoami, "b.yml": ruleMany})
	r.start()
	old := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	const whoami = `C:\Windows\System32\whoami.exe`
	r.send("import", process(old.Add(2*time.Second), "a", whoami, 3), process(old, "a", whoami, 1), process(old.Add(time.Second), "a", whoami, 2))
	got := r.await("closed", 2)
	for _, d := range got {
		if d.Count != 3 && d.Rule.Kind == "rule" || d.Late {
			t.Errorf("%s: count %d, late %v", d.Rule.Title, d.Count, d.Late)
		}
	}
	r.end()
}

func TestReloadTakesEffectInOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t, vfs.NewMem(), map[string]string{"b.yml": ruleWhoami})
	r.start()
	now := time.Now()
	r.send("pc", process(now, "a", `C:\calc.exe`, 1))
	r.settled(1)
	r.loader.rules = map[string]string{"b.yml": ruleWhoami, "c.yml": `
title: Calculator
id: 33333333-3333-4333-8333-333333333333
status: test
level: low
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\calc.exe'}
  condition: selection
`}
	if got, err := r.node.Reload(); err != nil || !got.Changed || got.Rules != 2 {
		t.Fatalf("reload: %+v, %v", got, err)
	}
	if got, err := r.node.Reload(); err != nil || got.Changed {
		t.Fatalf("a second reload: %+v, %v", got, err)
	}
	r.send("pc", process(now.Add(time.Second), "a", `C:\calc.exe`, 2))
	if got := r.await("provisional", 1); got[0].Rule.Title != "Calculator" || got[0].Count != 1 {
		t.Errorf("after the reload: %+v", got[0])
	}
	r.end()
	// After a restart the old offsets are still met by the old rules.
	r.start()
	r.settled(2)
	r.end()
}
