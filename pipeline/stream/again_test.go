package stream

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/engine/pebble"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store"
)

// matchesIn returns where the payloads of sections begin, by file, in the order
// of the log: a frame's names stand 80 bytes behind its beginning, and its kind
// and the length of its meta 12 and 14.
func matchesIn(t *testing.T, fs vfs.FS) (places []place) {
	t.Helper()
	names, err := fs.List("log")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		if !strings.HasSuffix(name, ".seg") {
			continue
		}
		data := contentOf(t, fs, path.Join("log", name))
		for _, source := range []string{liveScope, "import:import"} {
			mark := []byte("local" + KindMatches + source)
			for at := 0; ; at++ {
				i := bytes.Index(data[at:], mark)
				if i < 0 {
					break
				}
				at += i
				if frame := data[at-80:]; frame[12] == 1 && frame[14] == 1 && data[at+len(mark)] == metaSections {
					places = append(places, place{path.Join("log", name), at + len(mark) + 1})
				}
			}
		}
	}
	slices.SortFunc(places, func(a, b place) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.at, b.at)) })
	return places
}

type place struct {
	file string
	at   int
}

func contentOf(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// flipAt changes one byte of a file.
func flipAt(t *testing.T, fs vfs.FS, p place) {
	t.Helper()
	data := contentOf(t, fs, p.file)
	data[p.at] ^= 0x20
	f, err := fs.Create(p.file, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// scriptPart is one part of a script block in PowerShell's log.
func scriptPart(at time.Time, host, block, text string, number, total, record int) string {
	return fmt.Sprintf(`{"EventID":4104,"Channel":"Microsoft-Windows-PowerShell/Operational","Computer":%q,"EventRecordID":%d,"RecordNumber":%d,"MessageNumber":%d,"MessageTotal":%d,"ScriptBlockText":%q,"ScriptBlockId":%q,"TimeCreated":%q,"@timestamp":%q}`,
		host, record, record, number, total, text, block, at.UTC().Format(time.RFC3339Nano), at.UTC().Format(time.RFC3339Nano))
}

const ruleScript = `
title: Split word
id: 44444444-4444-4444-8444-444444444444
status: test
level: high
logsource: {product: windows, category: ps_script}
detection:
  selection: {ScriptBlockText|contains: 'Invoke-Marvel'}
  condition: selection
`

// outlines are what people see of the detections, but for when it was made.
func outlines(list []*detection.Detection) map[string]string {
	out := map[string]string{}
	for _, d := range list {
		out[d.ID] = fmt.Sprintf("%s %s %v count %d late %v evidence %d", d.Rule.Title, d.Phase, d.Group, d.Count, d.Late, len(d.Evidence))
	}
	return out
}

// What stage 1 wrote of some entries and cannot be read back is found again from
// the entries themselves: no record is lost and what is detected is the same,
// whether the entry is in the middle or the last, and the state is there or not.
func TestDamagedMatches(t *testing.T) {
	t.Parallel()
	rules := map[string]string{"a.yml": ruleWhoami, "b.yml": ruleMany, "c.yml": ruleScript}
	for _, name := range []string{"killed", "without its state", "without what stage 2 kept"} {
		for seed := range uint64(6) {
			t.Run(fmt.Sprintf("%s/%d", name, seed), func(t *testing.T) {
				t.Parallel()
				rng := rand.New(rand.NewPCG(seed, 1))
				disk := vfs.NewCrashableMem()
				r := newRig(t, disk, rules)
				r.change = func(c *Config) { c.HeartbeatAfter = time.Hour }
				r.start()
				now := time.Now().Add(-time.Minute)
				sent := uint64(0)
				for i := range 12 {
					var lines []string
					for j := range 1 + rng.IntN(4) {
						at := now.Add(time.Duration(i)*time.Second + time.Duration(j)*time.Millisecond)
						image := `C:\Windows\System32\` + []string{"whoami.exe", "calc.exe"}[rng.IntN(2)]
						lines = append(lines, process(at, []string{"a", "b"}[rng.IntN(2)], image, i*10+j+1))
					}
					// A word that is split over two parts in two batches.
					lines = append(lines, scriptPart(now.Add(time.Duration(i)*time.Second), "a", fmt.Sprint("block", i/2), []string{"Invoke-", "Marvel"}[i%2], i%2+1, 2, 1000+i))
					sent += uint64(len(lines))
					r.send([]string{"pc", "pc", "import"}[i%3], lines...)
					r.settled(sent)
				}
				want := r.settled(sent)
				wanted := everything(t, r)
				if len(wanted) < 4 {
					t.Fatalf("too little was detected to tell: %v", wanted)
				}
				after := disk.CrashClone(vfs.CrashCloneCfg{})
				r.end()
				switch name {
				case "without its state":
					if err := after.RemoveAll("state"); err != nil {
						t.Fatal(err)
					}
				case "without what stage 2 kept":
					after = disk
					r.start()
					r.caughtUp()
					r.end()
					keepStage1(t, after)
				}

				places := matchesIn(t, after)
				if len(places) < 6 {
					t.Fatalf("%d entries of matches", len(places))
				}
				for _, i := range []int{len(places) - 1, rng.IntN(len(places)), rng.IntN(len(places))} {
					p := places[i]
					if rng.IntN(3) == 0 {
						p.at -= 4 // the header, and with it what it was
					}
					flipAt(t, after, p)
				}
				r = newRig(t, after, rules)
				r.change = func(c *Config) { c.HeartbeatAfter = time.Hour }
				r.start()
				got := r.settled(sent)
				if got.Evaluated != want.Evaluated || got.Late != want.Late || got.Damaged != 0 || got.Received != sent {
					t.Errorf("the ledger says %+v, and before %+v", got, want)
				}
				found := everything(t, r)
				if !maps.Equal(found, wanted) {
					for id := range maps.Keys(wanted) {
						if found[id] != wanted[id] {
							t.Errorf("%s\n  was %s\n  is  %s", id, wanted[id], found[id])
						}
					}
					for id := range maps.Keys(found) {
						if wanted[id] == "" {
							t.Errorf("%s is new: %s", id, found[id])
						}
					}
				}
				r.end()
			})
		}
	}
}

// caughtUp waits until stage 1 has kept that it evaluated all that is in the log.
func (r *rig) caughtUp() {
	r.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for _, h := range r.log.Heads() {
		for h.Partition.Kind == ingest.KindEvents {
			state, err := loadState(r.records, h.Partition.Tenant, kindFeed, feedID(h.Partition))
			if err == nil && snapshotNext(state) >= h.Next {
				break
			}
			if time.Now().After(deadline) { // an error before may have been a read between two writes
				r.t.Fatalf("the state of %v is not kept: %v", h.Partition, err)
			}
		}
	}
}

// keepStage1 drops all documents but those of stage 1 and the content.
func keepStage1(t *testing.T, fs vfs.FS) {
	t.Helper()
	open := func() *pebble.Engine {
		records, err := pebble.Open(pebble.Config{FS: fs, Dir: "state"})
		if err != nil {
			t.Fatal(err)
		}
		return records
	}
	done := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	records := open()
	var kept []store.Write
	for _, kind := range []string{kindFeed, kindContent} {
		done(records.Scan(store.Range{Tenant: event.LocalTenant, Kind: kind}, func(d store.Document) bool {
			kept = append(kept, store.Write{Key: store.Key{Tenant: event.LocalTenant, Kind: kind, ID: d.ID}, Value: slices.Clone(d.Value)})
			return true
		}))
	}
	done(records.Close())
	done(fs.RemoveAll("state"))
	records = open()
	done(records.Apply(kept, store.Durable))
	done(records.Close())
}

// everything is all that is shown at the moment.
func everything(t *testing.T, r *rig) map[string]string {
	t.Helper()
	page, err := r.node.detections.List(event.LocalTenant, detection.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return outlines(page.Detections)
}

// The log names the content that decided; when its rules are lost with the state,
// those that are there now decide, and nothing stands still.
func TestLostContent(t *testing.T) {
	t.Parallel()
	disk := vfs.NewCrashableMem()
	r := newRig(t, disk, map[string]string{"a.yml": ruleWhoami})
	r.change = func(c *Config) { c.HeartbeatAfter = time.Hour } // nothing closes while the test runs
	r.start()
	now := time.Now()
	r.send("pc", process(now, "a", `C:\Windows\System32\whoami.exe`, 1))
	r.settled(1)
	r.loader.rules = map[string]string{"a.yml": ruleWhoami, "b.yml": ruleMany}
	if got, err := r.node.Reload(); err != nil || !got.Changed {
		t.Fatalf("reload: %+v, %v", got, err)
	}
	r.send("pc", process(now.Add(time.Second), "a", `C:\Windows\System32\whoami.exe`, 2))
	r.settled(2)
	r.end()
	if err := disk.RemoveAll("state"); err != nil {
		t.Fatal(err)
	}
	r.loader.rules = map[string]string{"a.yml": ruleWhoami, "c.yml": ruleScript}
	r.start()
	r.send("pc", process(now.Add(2*time.Second), "a", `C:\Windows\System32\whoami.exe`, 3))
	if c := r.settled(3); c.Evaluated != 3 || c.Received != 3 {
		t.Errorf("the ledger says %+v", c)
	}
	if got := r.await("provisional", 1); got[0].Count != 3 {
		t.Errorf("detected %d of 3", got[0].Count)
	}
	r.end()
}

// An orderly stop leaves nothing to read again.
func TestStopKeepsWhatIsEvaluated(t *testing.T) {
	t.Parallel()
	disk := vfs.NewMem()
	r := newRig(t, disk, map[string]string{"a.yml": ruleWhoami})
	r.change = func(c *Config) { c.HeartbeatAfter = time.Hour }
	r.start()
	now := time.Now()
	for i := range 3 {
		r.send("pc", process(now.Add(time.Duration(i)*time.Second), "a", `C:\Windows\System32\whoami.exe`, i+1))
	}
	r.settled(3)
	r.end()
	records, err := pebble.Open(pebble.Config{FS: disk, Dir: "state"})
	if err != nil {
		t.Fatal(err)
	}
	defer records.Close()
	state, err := loadState(records, event.LocalTenant, kindFeed, feedID(store.Partition{Source: "pc"}))
	if err != nil || snapshotNext(state) != 3 {
		t.Errorf("kept up to %d of 3 entries, %v", snapshotNext(state), err)
	}
}
