package correlate_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/detect/correlate/oracle"
	"github.com/tiercel-io/tiercel/event"
)

// What is final depends on the set of hits alone, and is what the oracle says:
// for every kind of detector, whatever the order within the lateness, the
// batches, the partitions and the restarts. Some 2,000 runs; make torture asks
// for 100,000.
func TestFinalDetections(t *testing.T) {
	t.Parallel()
	parts := 20 // each of as many runs as -rapid.checks says
	if testing.Short() {
		parts = 2
	}
	for i := range parts {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, checkFinal)
		})
	}
}

func checkFinal(t *rapid.T) {
	s := generate(t)
	got := newRecord()
	s.run(t, drawPlan(t, s), got)
	for _, fault := range got.judge(s.expected()) {
		t.Error(fault)
	}
	if t.Failed() {
		t.Log("\n" + s.String() + strings.Join(got.log, "\n"))
	}
}

// A snapshot taken at any hit and restored continues to the same output.
func TestRestartChangesNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := generate(t)
		p := drawPlan(t, s)
		p.restarts = nil
		want := newRecord()
		s.run(t, p, want)
		for range s.deliveries {
			p.restarts = append(p.restarts, rapid.IntRange(0, 3).Draw(t, "restart")-1)
		}
		got := newRecord()
		s.run(t, p, got)
		if slices.Equal(got.full, want.full) {
			return
		}
		for i := range max(len(got.full), len(want.full)) {
			if i >= len(got.full) || i >= len(want.full) || got.full[i] != want.full[i] {
				t.Errorf("output %d differs; with restarts\n%s\nwithout\n%s\n%s", i, strings.Join(got.log, "\n"), strings.Join(want.log, "\n"), s)
				return
			}
		}
	})
}

// With late hits nothing that is final is taken back, and each is counted; with
// late hits and tight budgets the number of partitions and restarts changes
// nothing.
func TestLateAndTight(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := generate(t)
		p := drawPlan(t, s)
		p.loose = true
		p.hasty = rapid.Bool().Draw(t, "hasty")
		if rapid.Bool().Draw(t, "tight") {
			p.budget = correlate.Budget{GroupsPerShard: rapid.IntRange(1, 3).Draw(t, "groups"), HitsPerGroup: rapid.IntRange(3, 20).Draw(t, "hits")}
		}
		got := newRecord()
		s.run(t, p, got)
		if got.late != got.counted {
			t.Errorf("%d hits were late, %d counted", got.late, got.counted)
		}
		for _, fault := range got.faults {
			if p.budget == (correlate.Budget{}) { // what was given up may come again
				t.Error(fault)
			}
		}
		p.partitions, p.restarts = 1, nil
		alone := newRecord()
		s.run(t, p, alone)
		for id := range got.last {
			if a, b := fmt.Sprint(got.last[id]), fmt.Sprint(alone.last[id]); a != b {
				t.Errorf("other partitions or restarts, other detections:\n%s\n%s", a, b)
			}
		}
		if len(got.last) != len(alone.last) {
			t.Errorf("%d detections, without partitions and restarts %d", len(got.last), len(alone.last))
		}
		if t.Failed() {
			t.Logf("%+v\n%s%s\n\n%s", p, s, strings.Join(got.log, "\n"), strings.Join(alone.log, "\n"))
		}
	})
}

// plan is how a setting is run.
type plan struct {
	partitions, batch int
	hasty             bool // the watermark allows for no lateness
	loose             bool // hits may be late or given up
	budget            correlate.Budget
	// restarts holds, by delivery, the partition to restart behind it, if it
	// is one.
	restarts []int
}

func drawPlan(t *rapid.T, s *setting) plan {
	p := plan{
		partitions: rapid.SampledFrom([]int{1, 2, 4}).Draw(t, "partitions"),
		batch:      rapid.SampledFrom([]int{1, 2, 5, 1000}).Draw(t, "batch"),
	}
	often := rapid.SampledFrom([]int{0, 0, 3, 10}).Draw(t, "restarts")
	for range s.deliveries {
		at := -1
		if often > 0 && rapid.IntRange(0, often).Draw(t, "restart") == often {
			at = rapid.IntRange(0, p.partitions-1).Draw(t, "restarted")
		}
		p.restarts = append(p.restarts, at)
	}
	return p
}

// run plays the deliveries into engines, each of which is given all of them and
// keeps what it owns.
func (s *setting) run(t *rapid.T, p plan, sink *record) {
	config := func(partition int) correlate.Config {
		cfg := s.config()
		cfg.Owns = func(shard int) bool { return shard%p.partitions == partition }
		cfg.Budget = p.budget
		return cfg
	}
	engines := make([]*correlate.Engine, p.partitions)
	for i := range engines {
		engines[i] = correlate.New(config(i))
		for source := range s.sources {
			engines[i].Watermark(source, s.base+beginning, sink)
		}
	}
	furthest := map[int]int64{}
	allowed := s.lateness
	if p.hasty {
		allowed = 0
	}
	flush := func() {
		for _, e := range engines {
			for _, source := range slices.Sorted(maps.Keys(furthest)) {
				e.Watermark(source, furthest[source]-allowed-1, sink)
			}
			e.Flush(sink)
		}
	}
	for n, d := range s.deliveries {
		o := d.occurrence
		for _, r := range d.rules {
			sink.deliveries[hitOf{r, o.id}]++
		}
		for _, e := range engines {
			for _, r := range d.rules {
				h := &correlate.Hit{Rule: r, Source: d.source, Time: o.at, Seq: o.seq, ID: o.id}
				for _, name := range e.Needs(r) {
					h.Fields = append(h.Fields, o.fields[name])
				}
				e.Hit(h, sink)
			}
		}
		if old, ok := furthest[d.source]; !ok || o.at > old {
			furthest[d.source] = o.at
		}
		if p.restarts != nil && p.restarts[n] >= 0 && p.restarts[n] < p.partitions {
			k := p.restarts[n]
			engines[k] = restart(t, config(k), engines[k])
		}
		if (n+1)%p.batch == 0 {
			flush()
		}
	}
	flush()
	for _, e := range engines {
		e.Close(sink)
		c := e.Counters()
		sink.counted += int(c.LateHits)
		if !p.loose && (c.LateHits > 0 || c.EvictedGroups > 0 || c.DroppedHits > 0 || sink.late > 0) {
			t.Errorf("nothing was late or given up, but %+v", c)
		}
	}
}

// restart takes a snapshot of an engine and returns the engine restored of it.
func restart(t *rapid.T, cfg correlate.Config, e *correlate.Engine) *correlate.Engine {
	var b bytes.Buffer
	if err := e.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	restored, err := correlate.Restore(cfg, &b)
	if err != nil {
		t.Fatal(err)
	}
	return restored
}

// record is a sink that keeps the last revision of each detection.
type record struct {
	last   map[event.ID]correlate.Detection
	keys   map[event.ID]event.ID // notification key → final detection
	faults []string
	late   int
	// counted are the late hits that engines counted.
	counted int
	// deliveries counts how often a hit was handed over.
	deliveries map[hitOf]int
	log        []string // what came, in brief and in full
	full       []string
}

// hitOf is an event as a hit of a rule.
type hitOf struct {
	rule int
	id   event.ID
}

func newRecord() *record {
	return &record{deliveries: map[hitOf]int{}, last: map[event.ID]correlate.Detection{}, keys: map[event.ID]event.ID{}}
}

func (r *record) Detection(d *correlate.Detection) {
	r.log = append(r.log, fmt.Sprintf("phase %d anchor %x-%d group %v count %d id %s key %s by %s", d.Phase, d.Anchor[:2], d.Anchor[15], d.Group, d.Count, d.ID.String()[:8], d.NotifyKey.String()[:8], d.SupersededBy.String()[:8]))
	r.full = append(r.full, fmt.Sprintf("%+v", *d))
	old, known := r.last[d.ID]
	if known && old.Phase == correlate.Superseded && d.Phase == correlate.Superseded {
		r.fault("%s is superseded again", d.ID)
	}
	// An event of a rule of its own that is delivered again, late, when its group
	// is forgotten is told again under its own id; whoever stores detections has
	// it already, and takes no phase back.
	again := d.Rule >= 0 && d.Late && r.deliveries[hitOf{d.Rule, d.Anchor}] > 1
	if known && !again && (old.Phase == correlate.Final || old.Phase == correlate.Closed) && d.Phase != correlate.Final && d.Phase != correlate.Closed {
		r.fault("%s was final and is now of phase %d", d.ID, d.Phase)
	}
	if known && old.Phase == correlate.Closed && !again {
		r.fault("%s was closed and is now of phase %d", d.ID, d.Phase)
	}
	if known && old.Phase != correlate.Superseded && old.NotifyKey != d.NotifyKey {
		r.fault("the notification key of %s was %s and is now %s", d.ID, old.NotifyKey, d.NotifyKey)
	}
	if next, ok := r.last[d.SupersededBy]; d.Phase == correlate.Superseded && d.SupersededBy != (event.ID{}) && (!ok || next.NotifyKey != d.NotifyKey) {
		r.fault("%s is superseded by %s, which does not have its notification key", d.ID, d.SupersededBy)
	}
	if !known && d.Phase == correlate.Superseded {
		r.fault("%s is superseded before it was announced", d.ID)
	}
	if d.Phase == correlate.Final || d.Phase == correlate.Closed {
		if other, ok := r.keys[d.NotifyKey]; ok && other != d.ID {
			r.fault("the notification key %s stands for two final detections, %s and %s", d.NotifyKey, other, d.ID)
		}
		r.keys[d.NotifyKey] = d.ID
	}
	c := *d
	c.Group, c.Evidence, c.ByRule = slices.Clone(d.Group), slices.Clone(d.Evidence), slices.Clone(d.ByRule)
	r.last[d.ID] = c
}

func (r *record) Late(l correlate.Late) {
	r.late++
	r.full = append(r.full, fmt.Sprintf("%+v", l))
}

func (r *record) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// judge compares what is final with what should be.
func (r *record) judge(want []oracle.Detection) []string {
	faults := r.faults
	wanted := map[event.ID]bool{}
	for _, w := range want {
		wanted[w.ID] = true
		g, ok := r.last[w.ID]
		switch {
		case !ok:
			faults = append(faults, fmt.Sprintf("missing: %s", show(w)))
		case g.Phase != correlate.Closed:
			faults = append(faults, fmt.Sprintf("not closed but of phase %d: %s", g.Phase, show(w)))
		default:
			faults = append(faults, compare(g, w)...)
		}
	}
	ids := slices.SortedFunc(maps.Keys(r.last), func(a, b event.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		if g := r.last[id]; !wanted[id] && g.Phase != correlate.Superseded {
			faults = append(faults, fmt.Sprintf("unexpected, of phase %d: rule %d correlation %d group %v anchor %x-%d count %d", g.Phase, g.Rule, g.Correlation, g.Group, g.Anchor[:2], g.Anchor[15], g.Count))
		}
	}
	return faults
}

func show(w oracle.Detection) string {
	return fmt.Sprintf("rule %d correlation %d group %v anchor %x-%d count %d value %v", w.Rule, w.Correlation, w.Group, w.Anchor[:2], w.Anchor[15], w.Count, w.Value)
}

// compare says in what a closed detection differs from what it should be.
func compare(g correlate.Detection, w oracle.Detection) (faults []string) {
	differs := func(what string, got, want any) {
		if fmt.Sprint(got) != fmt.Sprint(want) {
			faults = append(faults, fmt.Sprintf("%s: %s is %v", show(w), what, got)+fmt.Sprintf(", want %v", want))
		}
	}
	differs("the rule", g.Rule, w.Rule)
	differs("the correlation", g.Correlation, w.Correlation)
	differs("the anchor", g.Anchor, w.Anchor)
	differs("the anchor's time", g.AnchorTime, w.AnchorTime)
	differs("the completing event", g.Completing, w.Completing)
	differs("the first time", g.First, w.First)
	differs("the last time", g.Last, w.Last)
	differs("the count", g.Count, w.Count)
	differs("the count by rule", g.ByRule, w.ByRule)
	differs("the value", g.Value, w.Value)
	evidence := w.Evidence
	if n := len(evidence); n > correlate.EvidenceFirst+correlate.EvidenceLast {
		evidence = slices.Concat(evidence[:correlate.EvidenceFirst], evidence[n-correlate.EvidenceLast:])
	}
	differs("the evidence", g.Evidence, evidence)
	differs("late, truncated or suppressed", g.Late || g.Truncated || g.Suppressed, false)
	if len(g.Group) != len(w.Group) {
		faults = append(faults, fmt.Sprintf("%s: the group is %v", show(w), g.Group))
		return faults
	}
	for i := range w.Group {
		differs("a field of the group", g.Group[i].Field, w.Group[i].Field)
		differs("a value of the group", event.FoldString(g.Group[i].Value), event.FoldString(w.Group[i].Value))
	}
	return faults
}
