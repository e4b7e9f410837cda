package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/quarantine"
)

// watchedParser calls see with the bytes of each record before it is parsed.
type watchedParser struct {
	format.Parser
	see func(raw string)
}

// Parse implements format.Parser.
func (p watchedParser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	p.see(string(b.Data[f.Start:f.End]))
	return p.Parser.Parse(b, f, emit)
}

// seeing lets see look at each record of a node.
func seeing(c *Config, see func(raw string)) {
	known := c.Format
	c.Format = func(name string) (format.Format, bool) {
		f, ok := known(name)
		make := f.NewParser
		f.NewParser = func(o format.Options) format.Parser { return watchedParser{make(o), see} }
		return f, ok
	}
}

const whoami = `C:\Windows\System32\whoami.exe`

// TestPoisonIsSetAside puts one record of each kind that cannot be read between
// sound ones: those are decided, and none of it is lost.
func TestPoisonIsSetAside(t *testing.T) {
	t.Parallel()
	const depth = 100
	for _, c := range []struct {
		reason, raw string
	}{
		{ingest.ReasonUnparsed, `{"broken":`},
		{ingest.ReasonUnparsed, "\x00\xff\xfe"},
		{ingest.ReasonLimit, `{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}`},
		{ingest.ReasonPanic, `{"a":"poison of the parser"}`},
		{ingest.ReasonTooLarge, "the beginning of ten megabytes"}, // as a receiver hands it over
	} {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			now := time.Now() // of when it runs, which may be long after the test began
			sound := func(n int) string { return process(now.Add(time.Duration(n)*time.Second), "pc", whoami, n) }
			r := newRig(t, vfs.NewMem(), map[string]string{"a.yml": ruleWhoami})
			r.change = func(cfg *Config) {
				seeing(cfg, func(raw string) {
					if strings.Contains(raw, "poison of the parser") {
						panic("poisoned")
					}
				})
			}
			r.start()
			r.send("pc", sound(1))
			b := &ingest.Batch{Tenant: event.LocalTenant, Source: "pc", Protocol: "ndjson", Format: "json", Peer: "192.0.2.1"}
			for _, line := range []string{sound(2), c.raw, sound(3)} {
				start := len(b.Data)
				b.Data = append(b.Data, line...)
				if c.reason == ingest.ReasonTooLarge && line == c.raw {
					b.Refused = append(b.Refused, ingest.Refused{Start: start, End: len(b.Data), Reason: c.reason, Detail: "10 MB"})
				} else {
					b.Frames = append(b.Frames, format.Frame{Start: start, End: len(b.Data)})
				}
			}
			if err := r.gate.Accept(context.Background(), b); err != nil {
				t.Fatal(err)
			}
			r.send("pc", sound(4))
			if got := r.settled(5); got.Received != 5 || got.Evaluated != 4 || got.Quarantined != 1 || got.Late != 0 || got.Damaged != 0 {
				t.Errorf("ledger %+v", got)
			}
			d := r.await("provisional", 1)
			for d[0].Count < 4 {
				d = r.await("provisional", 1)
			}
			page, err := r.node.quarantine.List(event.LocalTenant, quarantine.Filter{Limit: 10})
			if err != nil || len(page.Entries) != 1 {
				t.Fatalf("quarantine %+v, %v", page, err)
			}
			e, err := r.node.quarantine.Get(event.LocalTenant, page.Entries[0].ID)
			if err != nil || e.Reason != c.reason || string(e.Raw) != c.raw || e.Source != "pc" || e.Protocol != "ndjson" || e.Peer != "192.0.2.1" || e.Detail == "" {
				t.Errorf("quarantined %+v, %v", e, err)
			}
			r.end() // figures follow the commit they tell of
			if got, want := series(t, r.metrics, "tiercel_quarantine_events_total"), "protocol=ndjson reason="+c.reason; len(got) != 1 || got[want] != 1 {
				t.Errorf("counted %v, want one of %s", got, want)
			}
		})
	}
}

// TestFloodOfOneTenant lets one tenant fill the queue before another sends.
func TestFloodOfOneTenant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const flood, few = 400, 20
		var mu sync.Mutex
		var order []string
		hold := make(chan struct{})
		r := newRig(t, vfs.NewMem(), map[string]string{"a.yml": ruleWhoami})
		r.change = func(c *Config) {
			c.Workers, c.HeartbeatAfter = 1, HeartbeatDefault
			seeing(c, func(raw string) {
				<-hold
				var e struct{ Computer string }
				_ = json.Unmarshal([]byte(raw), &e)
				mu.Lock()
				order = append(order, e.Computer)
				mu.Unlock()
			})
		}
		r.start()
		at := time.Now()
		for i := range flood {
			r.send("flood", process(at, "flood", `C:\x.exe`, i))
		}
		other := r.tenants.All()[slices.IndexFunc(r.tenants.All(), func(t event.Tenant) bool { return t != event.LocalTenant })]
		for i := range few {
			r.sendFor(other, "small", process(at, "small", `C:\x.exe`, i))
		}
		synctest.Wait()
		close(hold)
		pass(time.Minute)
		r.end()
		if len(order) != flood+few {
			t.Fatalf("%d batches were evaluated, want %d", len(order), flood+few)
		}
		// In turns from the first on: batches are of about the same size, and one of
		// the flood was in hand.
		for i := range few {
			at := slices.Index(order, "small")
			if at > 2 {
				t.Fatalf("small batch %d waited for %d batches of another tenant", i, at)
			}
			order = order[at+1:]
		}
	})
}

func TestGapsOfRules(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const id = "44444444-4444-4444-8444-444444444444"
		both := map[string]string{"a.yml": ruleWhoami, "b.yml": ruleLogon}
		one := map[string]string{"a.yml": ruleWhoami}
		r := quiet(t, both, nil)
		r.start()
		gaps := func(when string, want ...time.Time) {
			t.Helper()
			for _, tenant := range r.tenants.All() {
				list, _, err := ledger.ListRuleGaps(r.records.Scan, tenant, "", 0, 1<<62)
				if err != nil || len(list) != (len(want)+1)/2 {
					t.Fatalf("%s: %+v, %v", when, list, err)
				}
				for i, g := range list {
					var to int64
					if 2*i+1 < len(want) {
						to = want[2*i+1].UnixMicro()
					}
					if g.Rule != id || g.Source != "" || g.Reason != ledger.ReasonRemoved || g.From != want[2*i].UnixMicro() || g.To != to {
						t.Errorf("%s: %+v, want %v", when, g, want)
					}
				}
			}
		}
		reload := func(rules map[string]string) time.Time {
			t.Helper()
			r.loader.rules = rules
			if got, err := r.node.Reload(); err != nil || !got.Changed {
				t.Fatalf("reload: %+v, %v", got, err)
			}
			return time.Now()
		}
		gaps("at first")
		pass(time.Minute)
		first := reload(one)
		gaps("without it", first)
		pass(time.Minute)
		r.end()
		r.start()
		gaps("after a restart without it", first)
		pass(time.Minute)
		second := reload(both)
		gaps("it is back", first, second)
		pass(time.Minute)
		// Taken out while the process was down: from its start on.
		r.end()
		r.loader.rules = one
		pass(time.Hour)
		r.start()
		third := time.Now()
		gaps("out at a start", first, second, third)
		pass(time.Minute)
		r.end()
		r.loader.rules = both
		r.start()
		gaps("back at a start", first, second, third, time.Now())
		r.end()
	})
}

func TestWhatASourceDoesNotKeep(t *testing.T) {
	t.Parallel()
	// A script block in two parts is put together and keeps to it too.
	block := func(part int, text string) string {
		return fmt.Sprintf(`{"EventID":4104,"Channel":"Microsoft-Windows-PowerShell/Operational","Provider_Name":"Microsoft-Windows-PowerShell","Computer":"pc","RecordNumber":%d,"MessageNumber":%d,"MessageTotal":2,"ScriptBlockText":%q,"ScriptBlockId":"7","Secret":"hidden"}`, part, part, text)
	}
	const script = `
title: Script in parts
id: 55555555-5555-4555-8555-555555555555
status: test
level: low
logsource: {product: windows, category: ps_script}
detection:
  selection: {ScriptBlockText|contains: first-and-second}
  condition: selection
`
	run := strings.Replace(process(time.Now(), "pc", whoami, 1), `"User"`, `"Secret":"hidden","User"`, 1)
	for name, c := range map[string]struct {
		set  func(*Source)
		kept bool
	}{
		"drop fields": {func(s *Source) { s.DropFields = []string{"Secret"} }, true},
		"detect only": {func(s *Source) { s.DetectOnly = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, vfs.NewMem(), map[string]string{"a.yml": ruleWhoami, "b.yml": script})
			r.change = func(cfg *Config) {
				cfg.Source = func(event.Tenant, string) Source {
					s := Source{Lateness: time.Hour} // nothing closes, however long the test waits for its turn
					c.set(&s)
					return s
				}
			}
			r.start()
			r.send("pc", run, block(1, "first-and-"), block(2, "second"))
			got := r.await("provisional", 2)
			for _, d := range got {
				if err := detection.Attach(r.records, event.LocalTenant, d); err != nil || len(d.Evidence) == 0 {
					t.Fatal(err)
				}
				for _, e := range d.Evidence {
					if (len(e.Event) > 0) != c.kept || strings.Contains(string(e.Event), "hidden") {
						t.Errorf("%s: kept %s", d.Rule.Title, e.Event)
					}
				}
			}
			sum := r.settled(3)
			least := uint64(len(`"Secret":"hidden",`)) * 2
			if !c.kept {
				least = uint64(len(run))
			}
			if sum.DroppedFieldBytes < least || sum.Evaluated != 3 {
				t.Errorf("%d bytes not kept in the ledger, want at least %d: %+v", sum.DroppedFieldBytes, least, sum)
			}
			r.end()
		})
	}
}
