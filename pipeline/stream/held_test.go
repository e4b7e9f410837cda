package stream

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/engine/pebble"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/store"
)

const whoamiID = "11111111-1111-4111-8111-111111111111"

// dear is a rig whose clock for evaluations goes on by step with each look at it,
// so that each evaluation takes as long.
func dear(t testing.TB, rules map[string]string, limits CostLimits, step time.Duration) *rig {
	r := quiet(t, rules, nil)
	given := r.change
	var looks atomic.Int64
	r.change = func(c *Config) {
		given(c)
		c.Workers, c.Costs = 1, limits
		c.Elapsed = func() int64 { return time.Now().UnixNano() + looks.Add(1)*int64(step) }
	}
	return r
}

// logon is a logon that ruleLogon finds.
func logon(at time.Time, record int) string {
	return strings.NewReplacer("TIME", at.UTC().Format(time.RFC3339Nano), "RECORD", string(rune('0'+record%10))).Replace(
		`{"EventID":4624,"Channel":"Security","Provider_Name":"Microsoft-Windows-Security-Auditing","Computer":"dcRECORD","TargetUserName":"nobody","@timestamp":"TIME"}`)
}

// burn sends eight records a second that one rule is asked of, until a rule is
// taken out, and returns the second.
func (r *rig) burn(seconds int, record *int) int {
	r.t.Helper()
	for i := range seconds {
		var lines []string
		for range 8 {
			*record++
			lines = append(lines, process(time.Now(), "a", whoami, *record))
		}
		r.send("pc", lines...)
		pass(time.Second)
		if len(r.node.Held()) > 0 {
			return i + 1
		}
	}
	return -1
}

func (r *rig) costGaps() []ledger.Interval {
	r.t.Helper()
	var all []ledger.Interval
	for _, tenant := range r.tenants.All() {
		list, _, err := ledger.ListRuleGaps(r.records.Scan, tenant, whoamiID, 0, 1<<62)
		if err != nil || len(list) == 0 {
			r.t.Fatalf("gaps %+v, %v", list, err)
		}
		all = append(all, list...)
	}
	return all
}

// count is how many records the rule's detections have.
func (r *rig) count(rule string) (n uint64) {
	for _, d := range r.about(rule) {
		n += d.Count
	}
	return n
}

func TestDearRuleIsTakenOut(t *testing.T) {
	t.Parallel()
	for name, limits := range map[string]struct {
		CostLimits
		step     time.Duration
		from, to int
	}{
		"share": {CostLimits{Share: 0.05, P99: 11 * time.Millisecond}, 11 * time.Millisecond, 30, 70},
		"p99":   {CostLimits{P99: 10 * time.Millisecond}, 10*time.Millisecond + 1, 10, 20},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := dear(t, map[string]string{"a.yml": ruleWhoami, "b.yml": ruleMany, "c.yml": ruleLogon}, limits.CostLimits, limits.step)
				r.start()
				record := 0
				before := r.node.Content().Version
				at := r.burn(100, &record)
				if at < limits.from || at > limits.to {
					t.Fatalf("taken out in second %d, want %d to %d", at, limits.from, limits.to)
				}
				held := r.node.Held()
				if len(held) != 1 || held[0].ID != whoamiID || len(held[0].Blind) != 1 || held[0].Blind[0] != "22222222-2222-4222-8222-222222222222" {
					t.Fatalf("held %+v", held)
				}
				pass(time.Second)
				counted := r.count(whoamiID)
				if counted == 0 {
					t.Error("nothing was found before")
				}
				told := r.about(ruleCost)
				if len(told) != 1 || told[0].Phase != "final" || told[0].Rule.Level != "high" || !strings.Contains(told[0].Reason, whoamiID) || !strings.Contains(told[0].Reason, "release") ||
					!strings.Contains(told[0].Reason, "blind to it: 22222222") || len(told[0].Values) != 2 {
					t.Errorf("told %+v", told)
				}
				for _, g := range r.costGaps() {
					if g.Reason != ledger.ReasonOverBudget || g.To != 0 || g.Source != "" {
						t.Errorf("gap %+v", g)
					}
				}
				// The stream goes on, without it.
				goesOn := func(when string, want uint64) {
					t.Helper()
					had := r.count("44444444-4444-4444-8444-444444444444")
					record++
					r.send("pc", process(time.Now(), "a", whoami, record), logon(time.Now(), record))
					pass(2 * time.Second)
					if got := r.count("44444444-4444-4444-8444-444444444444"); got != had+1 {
						t.Errorf("%s: another rule found %d, had %d", when, got, had)
					}
					if got := r.count(whoamiID); got != counted+want {
						t.Errorf("%s: it found %d, had %d", when, got, counted)
					}
				}
				goesOn("held", 0)
				without := r.node.Content().Version
				if without == before {
					t.Error("the version is that of the whole")
				}
				if got, err := r.node.Reload(); err != nil || got.Changed || got.Rules != 1 {
					t.Errorf("a reload of the same: %+v, %v", got, err)
				}
				r.end()
				r.start()
				if v := r.node.Content().Version; v != without || len(r.node.Held()) != 1 {
					t.Errorf("after a restart %s is current, %s was", v, without)
				}
				goesOn("held after a restart", 0)
				if told := r.about(ruleCost); len(told) != 1 || told[0].Phase != "final" {
					t.Errorf("after a restart %s", shortly(told))
				}
				if _, err := r.node.Release("nobody"); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("a release of what runs: %v", err)
				}
				if got, err := r.node.Release(whoamiID); err != nil || !got.Changed || got.Rules != 2 {
					t.Fatalf("release: %+v, %v", got, err)
				}
				if r.node.Content().Version != before || len(r.node.Held()) != 0 {
					t.Error("released, and yet not the content that there was")
				}
				for _, g := range r.costGaps() {
					if g.To == 0 {
						t.Errorf("still open: %+v", g)
					}
				}
				if told := r.about(ruleCost); len(told) != 1 || told[0].Phase != "closed" {
					t.Errorf("after the release %s", shortly(told))
				}
				goesOn("released", 1)
				r.end()
			})
		})
	}
}

// A rule that is changed is another one; one that is gone is held no longer.
func TestChangedRuleIsReleased(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := dear(t, map[string]string{"a.yml": ruleWhoami, "c.yml": ruleLogon}, CostLimits{P99: time.Millisecond}, 2*time.Millisecond)
		r.start()
		record := 0
		if r.burn(30, &record) == -1 {
			t.Fatal("not taken out")
		}
		pass(time.Second)
		r.loader.rules = map[string]string{"a.yml": strings.Replace(ruleWhoami, "Who am I", "Who are we", 1), "c.yml": ruleLogon}
		if got, err := r.node.Reload(); err != nil || got.Rules != 1 || len(r.node.Held()) != 1 {
			t.Errorf("another title: %+v, %v", got, err)
		}
		r.loader.rules = map[string]string{"a.yml": strings.Replace(ruleWhoami, "whoami.exe", "whoareyou.exe", 1), "c.yml": ruleLogon}
		if got, err := r.node.Reload(); err != nil || got.Rules != 2 || len(r.node.Held()) != 0 {
			t.Errorf("another rule: %+v, %v", got, err)
		}
		if told := r.about(ruleCost); len(told) != 1 || told[0].Phase != "closed" {
			t.Errorf("%s", shortly(told))
		}
		for _, g := range r.costGaps() {
			if g.To == 0 {
				t.Errorf("still open: %+v", g)
			}
		}
		// What is changed while the process is down is found at the start.
		if r.burn(30, &record) != -1 {
			t.Error("it is not asked any more, and yet taken out")
		}
		r.loader.rules = map[string]string{"a.yml": ruleWhoami, "c.yml": ruleLogon}
		if _, err := r.node.Reload(); err != nil || r.burn(30, &record) == -1 {
			t.Fatal("not taken out again")
		}
		r.end()
		r.loader.rules = map[string]string{"c.yml": ruleLogon}
		r.start()
		if len(r.node.Held()) != 0 || len(r.node.Rules()) != 1 {
			t.Errorf("held %+v", r.node.Held())
		}
		for _, d := range r.about(ruleCost) {
			if d.Phase != "closed" {
				t.Errorf("%s", shortly([]*detection.Detection{d}))
			}
		}
		r.end()
	})
}

// What decided an entry stands in the log: read again from its beginning it gives
// the same detections, with the rule before it was taken out and without it after.
func TestReplayAcrossAHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := dear(t, map[string]string{"a.yml": ruleWhoami, "b.yml": ruleMany, "c.yml": ruleLogon}, CostLimits{P99: time.Millisecond}, 2*time.Millisecond)
		given := r.change
		r.change = func(c *Config) { given(c); c.HeartbeatAfter = time.Hour }
		r.start()
		record := 1
		r.send("pc", process(time.Now(), "a", `C:\x.exe`, record))
		pass(time.Second)
		r.end()
		records := func(do func(*pebble.Engine) error) {
			t.Helper()
			open, err := pebble.Open(pebble.Config{FS: r.fs, Dir: "state"})
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(do(open), open.Close()); err != nil {
				t.Fatal(err)
			}
		}
		var early []store.Write // what stage 2 knew at its beginning
		records(func(e *pebble.Engine) error {
			return e.Scan(store.Range{Tenant: event.LocalTenant, Kind: kindScope}, func(d store.Document) bool {
				early = append(early, store.Write{Key: store.Key{Tenant: event.LocalTenant, Kind: kindScope, ID: d.ID}, Value: slices.Clone(d.Value)})
				return true
			})
		})
		r.start()
		if r.burn(30, &record) == -1 {
			t.Fatal("not taken out")
		}
		for range 5 {
			record++
			r.send("pc", process(time.Now(), "a", whoami, record), logon(time.Now(), record))
			pass(time.Second)
		}
		want := everything(t, r)
		r.end()
		keepStage1(t, r.fs)
		records(func(e *pebble.Engine) error { return e.Apply(early, store.Durable) })
		r.start()
		pass(5 * time.Second)
		got := everything(t, r)
		for id, outline := range want {
			if got[id] != outline {
				t.Errorf("%s was %s, is %s", id, outline, got[id])
			}
		}
		if len(got) != len(want) || len(want) < 3 {
			t.Errorf("%d detections, had %d", len(got), len(want))
		}
		r.end()
	})
}

// A batch may last for minutes; the rule is taken out while it does, for what
// comes behind it.
func TestDearRuleWithinABatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := dear(t, map[string]string{"a.yml": ruleWhoami, "c.yml": ruleLogon}, CostLimits{P99: 10 * time.Millisecond}, 11*time.Millisecond)
		given := r.change
		var read atomic.Int64
		r.change = func(c *Config) {
			given(c)
			seeing(c, func(string) { read.Add(1); time.Sleep(100 * time.Millisecond) })
		}
		r.start()
		const records = 600 // a minute's worth
		var lines []string
		for i := range records {
			lines = append(lines, process(time.Now(), "a", whoami, i+1))
		}
		r.send("pc", lines...)
		for range 30 {
			pass(time.Second)
		}
		if len(r.node.Held()) != 1 || read.Load() >= records {
			t.Errorf("held %+v after %d of %d records", r.node.Held(), read.Load(), records)
		}
		r.send("pc", process(time.Now(), "a", whoami, records+1), logon(time.Now(), 1))
		pass(2 * time.Minute)
		if got := r.count(whoamiID); got != records {
			t.Errorf("it found %d of the %d that came before", got, records)
		}
		if got := r.count("44444444-4444-4444-8444-444444444444"); got != 1 {
			t.Errorf("another rule found %d behind them", got)
		}
		r.end()
	})
}

// All rules may be held: the node runs and starts with none.
func TestLastRuleIsTakenOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := dear(t, map[string]string{"a.yml": ruleWhoami}, CostLimits{P99: time.Millisecond}, 2*time.Millisecond)
		r.start()
		record := 0
		if r.burn(30, &record) == -1 {
			t.Fatal("not taken out")
		}
		r.end()
		r.start()
		r.send("pc", process(time.Now(), "a", whoami, 1000))
		pass(time.Second)
		if got := len(r.node.Content().Sigma.Rules()); got != 0 {
			t.Errorf("%d rules run", got)
		}
		r.end()
		// Without limits nothing is held.
		given := r.change
		r.change = func(c *Config) { given(c); c.Costs = CostLimits{} }
		r.start()
		if got := len(r.node.Content().Sigma.Rules()); got != 1 || len(r.node.Held()) != 0 {
			t.Errorf("%d rules run", got)
		}
		r.end()
	})
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	c := &Content{held: []string{"a", "b"}, whole: Version{1, 2}}
	data := c.envelope([]byte("archive"))
	back, archive, err := openEnvelope(data)
	if err != nil || string(archive) != "archive" || back.whole != c.whole || strings.Join(back.held, " ") != "a b" {
		t.Errorf("%+v, %q, %v", back, archive, err)
	}
	if _, archive, err := openEnvelope([]byte("plain")); err != nil || string(archive) != "plain" {
		t.Errorf("%q, %v", archive, err)
	}
	for n := len(envelopeMark); n < len(data)-len("archive"); n++ {
		if _, _, err := openEnvelope(data[:n]); !errors.Is(err, errState) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
