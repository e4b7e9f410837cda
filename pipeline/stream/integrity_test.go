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

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/health"
)

// ruleFiltered has a filter that a planted second value tries to meet.
const ruleFiltered = `
title: Shell with a filter
id: 00000000-0000-4000-8000-0000000000f1
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\whoami.exe'}
  filter: {ParentImage|endswith: '\setup.exe'}
  condition: selection and not filter
level: high
`

// started is a process creation with members added as they are.
func started(at time.Time, n int, members string) string {
	return fmt.Sprintf(`{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":"pc-1","EventRecordID":%d,"@timestamp":%q%s}`,
		n, at.UTC().Format(time.RFC3339Nano), members)
}

// What is planted twice is matched by any of its values, and told.
func TestPlantedDuplicateIsLoud(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := quiet(t, map[string]string{"a.yml": ruleFiltered}, nil)
		r.start()
		now := time.Now()
		hidden := []string{
			started(now, 1, `,"Image":"C:\\x\\whoami.exe","Image":"C:\\x\\good.exe"`),
			started(now, 2, `,"Image":"C:\\x\\good.exe","Image":"C:\\x\\whoami.exe"`),
			started(now, 3, `,"Image":"C:\\x\\whoami.exe","image":"C:\\x\\good.exe"`),
			started(now, 4, `,"IMAGE":"C:\\x\\good.exe","image":"C:\\x\\whoami.exe"`),
			started(now, 5, `,"Image":"C:\\x\\whoami.exe","x":"\ud800"`),
			started(now, 9, `,"Image":"C:\\x\\whoami.exe","ParentImage":"C:\\x\\cmd.exe","Other":1,"Other":2`),
			started(now, 6, ",\"Image\":\"C:\\\\x\\\\whoami.exe\",\"x\":\"\xff\""),
		}
		// Any of the values meets a filter too: the rule is told nothing of, the
		// plant is.
		planted := started(now, 10, `,"Image":"C:\\x\\whoami.exe","ParentImage":"C:\\x\\cmd.exe","ParentImage":"C:\\x\\setup.exe"`)
		sound := []string{started(now, 7, `,"Image":"C:\\x\\good.exe"`), started(now, 8, `,"Image":"C:\\é\\good.exe"`)}
		r.send("web", slices.Concat(hidden, []string{planted}, sound)...)
		r.send("sound", sound...)
		pass(time.Minute)
		if got := r.about("00000000-0000-4000-8000-0000000000f1"); len(got) != 1 || got[0].Count != uint64(len(hidden)) {
			t.Errorf("of %d events:%s", len(hidden), shortly(got))
		}
		list := r.about(ruleIntegrity)
		if len(list) != 1 {
			t.Fatalf("found%s", shortly(list))
		}
		d := list[0]
		for _, want := range []string{`of 10 records of source "web", 8 can`, "6 have a field twice", "2 have text", `the field "Image"`, d.Evidence[0].EventID} {
			if !strings.Contains(d.Reason, want) {
				t.Errorf("%q does not say %q", d.Reason, want)
			}
		}
		if d.Count != 8 || d.Phase != "final" || d.Evidence[0].Index != 0 || d.Evidence[0].Partition == "" {
			t.Errorf("%+v", d)
		}
		account, err := r.node.Ledger(event.LocalTenant, "web", now.Add(-time.Hour), now.Add(time.Hour), 0)
		if err != nil || account.Totals.DuplicateFields != 6 || account.Totals.InvalidTexts != 2 || account.Totals.Evaluated != 10 {
			t.Errorf("the ledger has %+v, %v", account.Totals, err)
		}
		account, err = r.node.Ledger(event.LocalTenant, "sound", now.Add(-time.Hour), now.Add(time.Hour), 0)
		if err != nil || account.Totals.DuplicateFields != 0 || account.Totals.InvalidTexts != 0 {
			t.Errorf("the ledger has %+v of sound records, %v", account.Totals, err)
		}
		r.end()
	})
}

// One detection over restarts, with exact counts, which ends an hour after the
// last such record.
func TestIntegrityOverRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := quiet(t, map[string]string{"a.yml": ruleWhoami}, nil)
		begin := time.Now()
		const perRun = 30
		n := 0
		for range 4 {
			r.start()
			for range perRun {
				n++
				r.send("broken", started(time.Now(), n, `,"x":1,"x":2`), started(time.Now(), n, ``))
				pass(time.Minute)
			}
			r.end()
			time.Sleep(time.Minute)
		}
		r.start()
		pass(time.Minute)
		list := r.about(ruleIntegrity)
		if len(list) != 1 || list[0].Phase != "final" || list[0].Count < uint64(n)/2 {
			t.Fatalf("found%s", shortly(list))
		}
		pass(65 * time.Minute)
		list = r.about(ruleIntegrity)
		if len(list) != 1 || list[0].Phase != "closed" || list[0].Count != uint64(n) {
			t.Fatalf("found%s", shortly(list))
		}
		if want := fmt.Sprintf("of %d records of source", 2*n); !strings.Contains(list[0].Reason, want) {
			t.Errorf("%q does not say %q", list[0].Reason, want)
		}
		account, err := r.node.Ledger(event.LocalTenant, "broken", begin.Add(-time.Hour), time.Now(), 0)
		if err != nil || account.Totals.DuplicateFields != uint64(n) || account.Totals.Evaluated != 2*uint64(n) {
			t.Errorf("the ledger has %+v of %d, %v", account.Totals, n, err)
		}
		// Another one is another finding.
		r.send("broken", started(time.Now(), n+1, `,"x":1,"x":2`))
		pass(time.Minute)
		if list = r.about(ruleIntegrity); len(list) != 2 {
			t.Errorf("found%s", shortly(list))
		}
		r.end()
	})
}

// Killed and started again, everything is counted once.
func TestIntegrityOverCrashes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 3))
			disk := vfs.NewCrashableMem()
			var first, sent, flagged uint64
			for life := range 4 {
				r := newRig(t, disk, map[string]string{"a.yml": ruleWhoami})
				r.start()
				for range 3 + rng.IntN(5) {
					lines := []string{started(time.Now(), int(sent), ``)}
					for range 1 + rng.IntN(3) {
						lines = append(lines, started(time.Now(), int(sent), `,"x":1,"x":2`))
						flagged++
					}
					if sent == 0 {
						first = uint64(len(lines)) - 1
					}
					sent += uint64(len(lines))
					r.send("broken", lines...)
				}
				if life < 3 {
					if rng.IntN(2) == 0 {
						r.settled(sent)
					}
					after := disk.CrashClone(vfs.CrashCloneCfg{})
					r.end()
					disk = after
					continue
				}
				got := r.settled(sent)
				if got.DuplicateFields != flagged || got.InvalidTexts != 0 || got.Evaluated+got.Late != sent {
					t.Errorf("the ledger says %+v of %d records, %d of them flagged", got, sent, flagged)
				}
				list := r.about(ruleIntegrity)
				if len(list) != 1 || list[0].Phase != "final" || list[0].Count < first {
					t.Errorf("found%s", shortly(list))
				}
				r.end()
				for p, s := range r.node.scopes {
					if p.Tenant != event.LocalTenant {
						continue
					}
					s.integrity.Observe(&health.Batch{Source: "broken", Producer: "end#0", Received: time.Now().UnixMicro(), Last: true})
					if f := s.integrity.Findings(); len(f) != 1 || f[0].Flagged != flagged || f[0].Records != sent || f[0].ID.String() != list[0].ID {
						t.Errorf("%v found %+v, want %d of %d", p, f, flagged, sent)
					}
				}
			}
		})
	}
}
