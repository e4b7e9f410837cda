package stream

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/store"
)

// quiet is a rig for tests in which hours pass, within a synctest bubble.
func quiet(t testing.TB, rules map[string]string, source func(name string, s *Source)) *rig {
	r := newRig(t, vfs.NewMem(), rules)
	t.Cleanup(func() { // after a failure
		if r.stop != nil {
			r.end()
		}
	})
	r.change = func(c *Config) {
		c.HeartbeatAfter = HeartbeatDefault
		given := c.Source
		c.Source = func(tenant event.Tenant, name string) Source {
			s := given(tenant, name)
			if source != nil {
				source(name, &s)
			}
			return s
		}
	}
	return r
}

// pass lets time pass and waits until nothing is under way.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// about returns the latest revisions of the detections of a rule, by id.
func (r *rig) about(rule string) []*detection.Detection {
	r.t.Helper()
	page, err := r.node.detections.List(event.LocalTenant, detection.Filter{RuleID: rule, Limit: detection.LimitMax})
	if err != nil {
		r.t.Fatal(err)
	}
	if page.Next != "" {
		r.t.Fatal("more detections than a page holds")
	}
	out := page.Detections
	slices.SortFunc(out, func(a, b *detection.Detection) int { return strings.Compare(a.Reason, b.Reason) })
	return out
}

// shortly is what a failure shows of detections.
func shortly(list []*detection.Detection) string {
	var b strings.Builder
	for _, d := range list {
		fmt.Fprintf(&b, "\n%s, count %d: %s", d.Phase, d.Count, d.Reason)
	}
	return b.String()
}

// numbered is a record of a channel on a host.
func numbered(at time.Time, host, channel string, n int) string {
	return fmt.Sprintf(`{"EventID":4624,"Channel":%q,"Computer":%q,"EventRecordID":%d,"TimeCreated":%q,"@timestamp":%q}`,
		channel, host, n, at.UTC().Format(time.RFC3339Nano), at.UTC().Format(time.RFC3339Nano))
}

// gapsFound are the gaps that the ledger names and those that detections do.
func (r *rig) gapsFound() (book, told []string) {
	r.t.Helper()
	list, more, err := ledger.ListUpstreamGaps(r.records.Scan, event.LocalTenant, "", 0, 1<<62)
	if err != nil || more {
		r.t.Fatalf("gaps: more %v, %v", more, err)
	}
	for _, g := range list {
		if g.Missing != g.To-g.From+1 || g.Approximate || g.FilledAt != 0 {
			r.t.Errorf("gap %+v is not a plain run", g)
		}
		book = append(book, fmt.Sprintf("%s/%s %d-%d", g.Host, g.Channel, g.From, g.To))
	}
	for _, d := range r.about(ruleGap) {
		var host, channel string
		for _, f := range d.Group {
			switch f.Field {
			case "host":
				host = f.Value
			case "channel":
				channel = f.Value
			}
		}
		var n, from, to uint64
		if _, err := fmt.Sscanf(d.Reason, "%d records numbered %d to %d", &n, &from, &to); err != nil || n != to-from+1 || d.Count != n {
			r.t.Errorf("detection of %d: %s", d.Count, d.Reason)
		}
		told = append(told, fmt.Sprintf("%s/%s %d-%d", host, channel, from, to))
	}
	slices.Sort(book)
	slices.Sort(told)
	return book, told
}

func TestDeletedRecordsAreNamed(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { deleted(t, seed) })
		})
	}
}

// deleted sends the records of some hosts and channels of which one in a hundred
// was deleted, out of order within the lateness and some of them twice.
func deleted(t *testing.T, seed uint64) {
	const (
		steps    = 60
		perStep  = 40
		filtered = "Filtered Channel"
	)
	rng := rand.New(rand.NewPCG(seed, 1))
	r := quiet(t, map[string]string{"a.yml": ruleWhoami}, func(_ string, s *Source) { s.Filtered = []string{strings.ToLower(filtered)} })
	r.start()
	type stream struct{ host, channel string }
	var streams []stream
	next := map[stream]int{}
	for _, host := range []string{"pc-1", "pc-2.example", "pc-3"} {
		for _, channel := range []string{"Security", "Microsoft-Windows-Sysmon/Operational", filtered} {
			x := stream{host, channel}
			streams = append(streams, x)
			next[x] = 1 + rng.IntN(1_000_000)
		}
	}
	gone := map[stream][]int{}
	// What waits at the sender: the lateness is a minute, steps are 15 seconds.
	type waiting struct {
		line string
		step int
	}
	var held []waiting
	sent := uint64(0)
	for step := range steps + 4 {
		if step == steps/2 {
			r.end()
			pass(time.Second)
			r.start()
		}
		now := time.Now()
		if step < steps {
			for range perStep {
				x := streams[rng.IntN(len(streams))]
				n := next[x]
				next[x]++
				// Neither the first nor the last of a stream: nobody can know of those.
				if step > 2 && step < steps-10 && rng.IntN(100) == 0 {
					for range 1 + rng.IntN(3) { // a run
						gone[x] = append(gone[x], n)
						n = next[x]
						next[x]++
					}
				}
				line := numbered(now, x.host, x.channel, n)
				held = append(held, waiting{line, step + rng.IntN(4)})
				if rng.IntN(20) == 0 {
					held = append(held, waiting{line, step + rng.IntN(4)})
				}
			}
		}
		var lines []string
		kept := held[:0]
		for _, w := range held {
			if w.step <= step {
				lines = append(lines, w.line)
			} else {
				kept = append(kept, w)
			}
		}
		held = kept
		rng.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		for len(lines) > 0 {
			n := min(len(lines), 1+rng.IntN(20))
			r.send("pc", lines[:n]...)
			sent += uint64(n)
			lines = lines[n:]
		}
		pass(15 * time.Second)
	}
	pass(health.SettleDefault + 2*time.Minute)
	if c := r.settled(sent); c.Received != sent || c.Evaluated+c.Late != sent || c.Late != 0 {
		t.Errorf("of %d records: %+v", sent, c)
	}
	var want []string
	for x, numbers := range gone {
		if x.channel == filtered {
			continue
		}
		for i := 0; i < len(numbers); {
			j := i
			for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
				j++
			}
			want = append(want, fmt.Sprintf("%s/%s %d-%d", x.host, x.channel, numbers[i], numbers[j]))
			i = j + 1
		}
	}
	slices.Sort(want)
	if len(want) < 5 {
		t.Fatalf("only %d gaps were made", len(want))
	}
	book, told := r.gapsFound()
	if d := cmp.Diff(want, book); d != "" {
		t.Errorf("gaps in the ledger (-deleted +named):\n%s", d)
	}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("gaps told (-deleted +named):\n%s", d)
	}
	// Another start finds none anew.
	r.end()
	pass(time.Second)
	r.start()
	pass(10 * time.Minute)
	if again, told := r.gapsFound(); len(again) != len(want) || len(told) != len(want) {
		t.Errorf("after a restart %d gaps in the ledger and %d told, want %d", len(again), len(told), len(want))
	}
	r.end()
}

func TestGapIsFilledLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := quiet(t, map[string]string{"a.yml": ruleWhoami}, nil)
		r.start()
		at := time.Now()
		var late []string
		for n := 1; n <= 20; n++ {
			line := numbered(at.Add(time.Duration(n)*time.Second), "pc", "Security", n)
			if n >= 10 && n < 14 {
				late = append(late, line)
				continue
			}
			r.send("s", line)
		}
		expect := func(phase, says string) {
			t.Helper()
			got := r.about(ruleGap)
			if len(got) != 1 || got[0].Phase != phase || got[0].Count != 4 || !strings.Contains(got[0].Reason, "records numbered 10 to 13") || !strings.HasSuffix(got[0].Reason, says) {
				t.Fatalf("want %s that ends in %q, got %s", phase, says, shortly(got))
			}
		}
		pass(7 * time.Minute)
		expect("final", `by source "s"`)
		// One run is left each time, but not the same.
		r.send("s", late[0])
		pass(time.Minute)
		expect("final", "all but 3 came later")
		r.send("s", late[1])
		pass(time.Minute)
		expect("final", "all but 2 came later")
		r.end()
		r.start()
		r.send("s", late[2:]...)
		pass(time.Minute)
		expect("closed", "all of them came later")
		list, _, err := ledger.ListUpstreamGaps(r.records.Scan, event.LocalTenant, "s", 0, 1<<62)
		if err != nil || len(list) != 1 || list[0].Missing != 4 || list[0].FilledAt == 0 || len(list[0].Remaining) != 0 {
			t.Errorf("ledger %+v, %v", list, err)
		}
		r.end()
	})
}

// ruleLogon looks at a channel that ruleWhoami does not.
const ruleLogon = `
title: Logon of nobody
id: 44444444-4444-4444-8444-444444444444
status: test
level: low
logsource: {product: windows, service: security}
detection:
  selection: {EventID: 4624, TargetUserName: nobody}
  condition: selection
`

func TestSilentSource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const blind = "44444444-4444-4444-8444-444444444444"
		allowed := false
		r := quiet(t, map[string]string{"a.yml": ruleWhoami, "b.yml": ruleLogon}, func(name string, s *Source) {
			switch name {
			case "dc":
				s.Cadence, s.ExpectSilence = 5*time.Minute, allowed
			case "pc":
				s.Cadence = 2 * time.Minute
			}
		})
		r.start()
		n := 0
		// speak lets a source send each minute.
		speak := func(minutes int, sources ...string) {
			for range minutes {
				for _, source := range sources {
					n++
					if source == "dc" {
						r.send(source, numbered(time.Now(), "dc", "Security", n))
					} else {
						r.send(source, process(time.Now(), "pc", `C:\x.exe`, n))
					}
				}
				pass(time.Minute)
			}
		}
		// told checks the detections about dc, and what is said of the source.
		told := func(when string, silent bool, phases ...string) {
			t.Helper()
			got := r.about(ruleSilent)
			if len(got) != len(phases) {
				t.Fatalf("%s: want %v, got %s", when, phases, shortly(got))
			}
			for i, d := range got {
				if d.Phase != phases[i] || len(d.Group) != 1 || d.Group[0].Value != "dc" || !slices.Equal(d.Values, []string{blind}) ||
					!strings.Contains(d.Reason, blind) || !strings.Contains(d.Reason, "declared") {
					t.Errorf("%s: want %s of dc that names %s: %s, values %v", when, phases[i], blind, shortly(got[i:i+1]), d.Values)
				}
			}
			for _, s := range r.node.Sources(event.LocalTenant) {
				is := s.Name == "dc" && silent
				if s.Silent.IsZero() == is || is && (s.Expected != 5*time.Minute || !slices.Equal(s.Blind, []string{blind})) {
					t.Errorf("%s: source %s since %v, expected %v, blind %v", when, s.Name, s.Silent, s.Expected, s.Blind)
				}
				if v := gauge(t, r.metrics, "tiercel_source_silent", "source", s.Name); (v == 1) != is {
					t.Errorf("%s: gauge of %s is %v", when, s.Name, v)
				}
			}
		}
		speak(5, "dc", "pc")
		speak(8, "pc")
		told("within twice its cadence", false)
		speak(6, "pc")
		told("silent", true, "final")
		r.end()
		pass(time.Minute)
		r.start()
		told("right after a restart", true, "final")
		speak(30, "pc")
		told("still silent", true, "final")
		speak(3, "dc", "pc")
		told("speaks again", false, "closed")
		r.end()
		r.start()
		told("after another restart", false, "closed")
		speak(20, "pc")
		told("silent again", true, "closed", "final")
		// One that may be silent is so no longer to anybody's harm.
		r.end()
		allowed = true
		r.start()
		speak(20, "pc")
		told("allowed to be silent", false, "closed", "closed")
		r.end()
	})
}

// A source that is configured and never sent anything is told once, counted from
// the first start that knew it, with the rules that only its pack would feed.
func TestSourceThatNeverSpoke(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, pack, says string }{
		{"with a pack", "windows", "one rule sees nothing meanwhile: 44444444-4444-4444-8444-444444444444"},
		{"without a pack", "", "which rules need it is not known, since it pins no pack"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { neverSpoke(t, c.pack, c.says) })
		})
	}
}

func neverSpoke(t *testing.T, pack, says string) {
	r := quiet(t, map[string]string{"a.yml": ruleWhoami, "b.yml": ruleLogon}, func(name string, s *Source) {
		switch name {
		case "dc", "gone":
			s.Cadence, s.Pack = 5*time.Minute, pack
		case "rare":
			s.ExpectSilence = true
		case "holiday":
			now := time.Now().Unix() / 60
			s.Cadence, s.Except = 5*time.Minute, []health.Interval{{From: now - 1, To: now + 24*60}}
		case "import":
			s.Cadence = time.Minute
		}
	})
	configured := []string{"dc", "gone", "rare", "import", "holiday", "some day"}
	usual := r.change
	r.change = func(c *Config) {
		usual(c)
		c.Settings = func(event.Tenant) Settings { return Settings{Sources: configured} }
		c.Tenants = c.Tenants[:1]
	}
	n := 0
	speak := func(minutes int, more ...string) {
		for range minutes {
			n++
			// What only this source tells, no rule is blind to.
			r.send("pc", process(time.Now(), "pc", `C:\x.exe`, n))
			for _, source := range more {
				r.send(source, numbered(time.Now(), source, "Security", n))
			}
			pass(time.Minute)
		}
	}
	told := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, d := range r.about(ruleSilent) {
			got = append(got, d.Group[0].Value+" "+d.Phase)
			if !strings.Contains(d.Reason, "is configured and has never sent anything") {
				t.Errorf("%s: %s", when, d.Reason)
			}
			// Once it has spoken, its records tell what it feeds.
			named := slices.Equal(d.Values, []string{"44444444-4444-4444-8444-444444444444"})
			if d.Phase == "final" && (!strings.HasSuffix(d.Reason, says) || named != (pack != "")) {
				t.Errorf("%s: %s, values %v", when, d.Reason, d.Values)
			}
		}
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Fatalf("%s: told %q, want %q", when, got, want)
		}
		silent := map[string]bool{}
		for _, w := range want {
			if name, phase, _ := strings.Cut(w, " "); phase == "final" {
				silent[name] = true
			}
		}
		names := 0
		for _, s := range r.node.Sources(event.LocalTenant) {
			names++
			if s.Silent.IsZero() == silent[s.Name] {
				t.Errorf("%s: source %s since %v", when, s.Name, s.Silent)
			}
			if v := gauge(t, r.metrics, "tiercel_source_silent", "source", s.Name); (v == 1) != silent[s.Name] {
				t.Errorf("%s: gauge of %s is %v", when, s.Name, v)
			}
		}
		if names != len(configured)+1 {
			t.Errorf("%s: %d sources are listed", when, names)
		}
	}
	r.start()
	speak(8)
	told("within twice its cadence")
	// Restarts, the first within the minute, do not begin anew.
	for range 2 {
		r.end()
		r.start()
	}
	speak(2)
	told("shortly before")
	speak(2)
	told("silent", "dc final", "gone final")
	r.end()
	pass(time.Hour)
	r.start()
	speak(15)
	told("still silent", "dc final", "gone final")
	// One speaks, and is a source as any other; one is configured no longer.
	r.end()
	configured = []string{"dc", "rare", "import", "holiday", "some day"}
	r.start()
	speak(3, "dc")
	told("speaks", "dc closed", "gone closed")
	r.end()
}

// A silence that was found when the power went, and not yet told, is told by the
// next start.
func TestSilenceIsToldAfterACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		settings := func(name string, s *Source) { s.Cadence, s.Pack = 5*time.Minute, "windows" }
		r := quiet(t, map[string]string{"a.yml": ruleWhoami}, settings)
		disk := vfs.NewCrashableMem()
		r.fs = disk
		var left *vfs.MemFS
		usual := r.change
		r.change = func(c *Config) {
			usual(c)
			c.Tenants = c.Tenants[:1]
			c.Settings = func(event.Tenant) Settings { return Settings{Sources: []string{"dc"}} }
			c.Outbox = func(_ event.Tenant, changes []detection.Change) ([]store.Write, error) {
				if left == nil && len(changes) > 0 {
					left = disk.CrashClone(vfs.CrashCloneCfg{})
				}
				return nil, nil
			}
		}
		r.start()
		pass(15 * time.Minute)
		told := r.about(ruleSilent)
		if len(told) != 1 || left == nil {
			t.Fatalf("told %s", shortly(told))
		}
		r.end()
		r.fs = left
		r.start()
		pass(2 * time.Minute)
		again := r.about(ruleSilent)
		if len(again) != 1 || again[0].ID != told[0].ID || again[0].Phase != "final" {
			t.Errorf("after the crash %s, before it %s", shortly(again), shortly(told))
		}
		r.end()
	})
}

func TestDriftIsToldWithinTwoWindows(t *testing.T) {
	t.Parallel()
	// Two batches a minute, by each of which the source is known.
	const perBatch, batches = 6, 2 * health.WindowMinutes
	lines := func(n int, at time.Time, change func(string) string) []string {
		var out []string
		for i := range perBatch {
			out = append(out, change(process(at, "pc", `C:\x.exe`, n*perBatch+i)))
		}
		return out
	}
	same := func(line string) string { return line }
	for _, c := range []struct {
		name, says string
		blind      []string
		change     func(string) string
	}{
		{"a parser breaks", "records that parse", nil, func(line string) string { return "{" + line }},
		{
			"a field is renamed", `with the field "Image"`,
			[]string{"11111111-1111-4111-8111-111111111111"},
			func(line string) string { return strings.Replace(line, `"Image"`, `"ImagePath"`, 1) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := quiet(t, map[string]string{"a.yml": ruleWhoami}, nil)
				r.start()
				n := 0
				window := func(change func(string) string) {
					for range batches {
						r.send("pc", lines(n, time.Now(), change)...)
						n++
						pass(health.WindowMinutes * time.Minute / batches)
					}
				}
				// What a window of the source is like, for two days before this one: the
				// finder must have known it for longer than this test wants to run.
				window(same)
				r.node.watching.Lock()
				w := r.node.watchers[event.LocalTenant]
				x := w.windows["pc"]
				usual := health.Window{Records: x.records, Parsed: x.parsed, Routed: x.routed}
				for _, f := range x.fields {
					usual.Fields = append(usual.Fields, *f)
				}
				for m := x.start - 2*24*60; m < x.start; m += health.WindowMinutes {
					w.drift.Observe("pc", m, usual)
				}
				r.node.watching.Unlock()
				window(same)
				window(same)
				if got := r.about(ruleDrift); len(got) != 0 {
					t.Fatalf("told of a source as it always was: %s", shortly(got))
				}
				window(c.change)
				window(c.change)
				pass(2 * time.Minute) // a window is over when the minute behind it is
				got := r.about(ruleDrift)
				if !slices.ContainsFunc(got, func(d *detection.Detection) bool {
					return d.Phase == "final" && strings.Contains(d.Reason, c.says) && slices.Equal(d.Values, c.blind)
				}) {
					t.Fatalf("want a drift of %s, got %s", c.says, shortly(got))
				}
				window(same)
				window(same)
				window(same)
				for _, d := range r.about(ruleDrift) {
					if d.Phase != "closed" {
						t.Errorf("it is as before, but %s", shortly([]*detection.Detection{d}))
					}
				}
				r.end()
			})
		})
	}
}
