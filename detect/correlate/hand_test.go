package correlate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// hand drives an engine by hand, and is its sink. Times are durations from an
// arbitrary start; events are numbered from 1 as they come.
type hand struct {
	engine *correlate.Engine
	events int
	final  []string // ANCHOR:COUNT of what became final, in order
	last   map[event.ID]correlate.Detection
	late   []time.Duration
}

func newHand(cfg correlate.Config) *hand {
	cfg.Tenant = event.LocalTenant
	return &hand{engine: correlate.New(cfg), last: map[event.ID]correlate.Detection{}}
}

var handRule = &rule.Rule{ID: "rule-a", Name: "a", SemanticHash: "hash-a"}

// counted is event_count gte n within five minutes by g.
func counted(n float64) correlate.Config {
	return correlate.Config{
		Rules: []*rule.Rule{handRule},
		Correlations: []*rule.Correlation{{
			ID: "correlation-a", Name: "c", SemanticHash: "hash-c", Type: rule.EventCount,
			Rules: []rule.Reference{{Name: "a", Rule: handRule}}, GroupBy: []string{"g"}, Timespan: 5 * time.Minute,
			Thresholds: []rule.Threshold{{Op: rule.OpGte, N: n}},
		}},
	}
}

func (h *hand) Detection(d *correlate.Detection) {
	if d.Phase == correlate.Final {
		if old, ok := h.last[d.ID]; !ok || old.Phase == correlate.Provisional {
			h.final = append(h.final, fmt.Sprintf("%d:%d", d.Anchor[15], d.Count))
		}
	}
	h.last[d.ID] = *d
}

func (h *hand) Late(l correlate.Late) {
	h.late = append(h.late, time.Duration(l.Time)*time.Microsecond)
}

// hit hands over an event of group g by a source.
func (h *hand) hit(source int, at time.Duration, g string) {
	h.events++
	h.engine.Hit(&correlate.Hit{
		Source: source, Time: at.Microseconds(), ID: event.ID{13: byte(h.events >> 16), 14: byte(h.events >> 8), 15: byte(h.events)}, Fields: [][]string{{g}},
	}, h)
}

func (h *hand) watermark(source int, at time.Duration) {
	h.engine.Watermark(source, at.Microseconds(), h)
	h.engine.Flush(h)
}

// standing are the detections that were not superseded, as ANCHOR:COUNT, with
// an L when marked late.
func (h *hand) standing() []string {
	var out []string
	for _, d := range h.last {
		if d.Phase == correlate.Superseded {
			continue
		}
		s := fmt.Sprintf("%d:%d", d.Anchor[15], d.Count)
		if d.Late {
			s += "L"
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func (h *hand) wantStanding(t *testing.T, want ...string) {
	t.Helper()
	if got := h.standing(); !slices.Equal(got, want) {
		t.Errorf("detections %v, want %v", got, want)
	}
}

func (h *hand) wantFinal(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(h.final, want) {
		t.Errorf("final are %v, want %v", h.final, want)
	}
}

func (h *hand) wantLate(t *testing.T, want ...time.Duration) {
	t.Helper()
	if !slices.Equal(h.late, want) {
		t.Errorf("late are %v, want %v", h.late, want)
	}
	if n := h.engine.Counters().LateHits; n != uint64(len(want)) {
		t.Errorf("%d late hits were counted, want %d", n, len(want))
	}
}

const lateness = 5 * time.Minute

// A source whose clock is a day behind leaves the minimum: what the others say
// becomes final when their own watermarks pass.
func TestClockBehind(t *testing.T) {
	t.Parallel()
	h := newHand(counted(2))
	h.watermark(0, 24*time.Hour-lateness)
	h.watermark(1, -lateness) // its clock shows a day less
	h.hit(0, 24*time.Hour, "x")
	h.hit(1, time.Second, "y")
	h.hit(0, 24*time.Hour+time.Minute, "x")
	h.watermark(1, time.Second-lateness)
	h.watermark(0, 24*time.Hour+10*time.Minute-lateness)
	h.wantFinal(t, "3:2")
	h.wantLate(t, time.Second)
	h.engine.Close(h)
	h.wantStanding(t, "3:2")
}

// A source whose clock is a day ahead cannot advance its watermark past the
// receive time; its own events wait, those of others are in time.
func TestClockAhead(t *testing.T) {
	t.Parallel()
	h := newHand(counted(2))
	h.watermark(0, -lateness)
	h.watermark(1, -lateness)
	h.hit(1, 24*time.Hour, "y")
	h.watermark(1, time.Second-lateness) // of the receive time
	h.hit(0, 2*time.Second, "x")
	h.hit(1, 24*time.Hour+time.Second, "y")
	h.hit(0, 3*time.Second, "x")
	h.wantLate(t)
	h.wantStanding(t, "3:2", "4:2")
	h.watermark(1, 10*time.Minute-lateness)
	h.watermark(0, 10*time.Minute-lateness)
	h.wantFinal(t, "4:2")
	h.watermark(0, 24*time.Hour+10*time.Minute-lateness)
	h.watermark(1, 24*time.Hour+10*time.Minute-lateness)
	h.wantFinal(t, "4:2", "3:2")
}

// A source that lags by less than the allowed lag holds the others: what it
// brings is in time.
func TestLaggingSource(t *testing.T) {
	t.Parallel()
	h := newHand(counted(3))
	h.watermark(1, -lateness)
	h.hit(0, 0, "x")
	h.hit(0, 2*time.Minute, "x")
	h.watermark(0, 50*time.Minute)
	h.hit(1, time.Minute, "x")
	h.wantLate(t)
	h.wantFinal(t)
	h.watermark(1, 40*time.Minute)
	h.wantFinal(t, "2:3")
	h.wantStanding(t, "2:3")
}

// One that lags by more leaves the minimum; what it brings is late, and joins
// the windows still held.
func TestSourceLeftBehind(t *testing.T) {
	t.Parallel()
	h := newHand(counted(4))
	h.watermark(1, -lateness)
	h.hit(0, 70*time.Minute, "x")
	h.hit(0, 72*time.Minute, "x")
	h.watermark(0, 73*time.Minute)
	h.hit(1, 71*time.Minute, "x")
	h.engine.Flush(h)
	h.wantLate(t, 71*time.Minute)
	h.wantStanding(t)
	h.hit(0, 74*time.Minute, "x")
	h.engine.Close(h)
	h.wantStanding(t, "4:4L")
}

// The allowed lag is a setting.
func TestLagMax(t *testing.T) {
	t.Parallel()
	cfg := counted(2)
	cfg.LagMax = 10 * time.Minute
	h := newHand(cfg)
	h.watermark(1, 0)
	h.hit(0, time.Minute, "x")
	h.hit(0, 2*time.Minute, "x")
	h.watermark(0, 10*time.Minute)
	h.wantFinal(t)
	h.watermark(0, 10*time.Minute+time.Microsecond)
	h.wantFinal(t, "2:2")
}

// An idle source is moved on by its heartbeats, which carry no event.
func TestIdleSource(t *testing.T) {
	t.Parallel()
	h := newHand(counted(2))
	h.watermark(1, -lateness)
	h.hit(0, 0, "x")
	h.hit(0, time.Minute, "x")
	h.watermark(0, 20*time.Minute)
	h.wantFinal(t)
	h.watermark(1, 15*time.Minute)
	h.wantFinal(t, "2:2")
}

// A watermark never moves back.
func TestWatermarkBack(t *testing.T) {
	t.Parallel()
	h := newHand(counted(1))
	h.watermark(0, 10*time.Minute)
	h.watermark(0, 0)
	h.hit(0, time.Minute, "x")
	h.wantLate(t, time.Minute)
}

// A late hit beyond all windows held is handed to the queue, counted, and
// decides nothing.
func TestLateBeyondReach(t *testing.T) {
	t.Parallel()
	h := newHand(counted(2))
	h.hit(0, 0, "x")
	h.watermark(0, time.Hour)
	h.hit(0, time.Minute, "x")
	h.engine.Close(h)
	h.wantLate(t, time.Minute)
	h.wantStanding(t)
}

// A rule of its own fires however late its hit is: what follows in its group
// is decided with it, and one that comes while an episode of the group is held
// counts there and moves no anchor.
func TestLateAlone(t *testing.T) {
	t.Parallel()
	cfg := correlate.Config{
		Rules:   []*rule.Rule{handRule},
		Episode: func(int) correlate.Episode { return correlate.Episode{Fields: []string{"g"}, Gap: time.Hour} },
	}
	h := newHand(cfg)
	h.watermark(0, 48*time.Hour)
	h.hit(0, 47*time.Hour+50*time.Minute, "minutes") // 1
	h.hit(0, 20*time.Hour, "a day")                  // 2
	h.hit(0, 20*time.Hour-time.Minute, "a day")      // 3: before the other
	h.hit(0, 30*time.Hour, "a day")                  // 4: an episode of its own
	h.engine.Flush(h)
	h.hit(0, 49*time.Hour, "a day") // 5: in time
	h.wantStanding(t, "1:1L", "3:2L", "4:1L", "5:1")
	h.watermark(0, 49*time.Hour+time.Minute)
	h.wantFinal(t, "3:2", "4:1", "1:1", "5:1")
	h.hit(0, 48*time.Hour+30*time.Minute, "a day") // 6: the group's episode is held
	h.engine.Close(h)
	h.wantStanding(t, "1:1L", "3:2L", "4:1L", "5:2L")
	h.wantLate(t, 47*time.Hour+50*time.Minute, 20*time.Hour, 20*time.Hour-time.Minute, 30*time.Hour, 48*time.Hour+30*time.Minute)
}

// What was final stays as it is when a late hit would have moved its anchor.
func TestLateMovesNothingFinal(t *testing.T) {
	t.Parallel()
	h := newHand(counted(2))
	h.hit(0, time.Minute, "x")
	h.hit(0, 3*time.Minute, "x")
	h.watermark(0, 4*time.Minute)
	h.wantFinal(t, "2:2")
	h.hit(0, 2*time.Minute, "x")
	h.engine.Flush(h)
	h.engine.Close(h)
	h.wantLate(t, 2*time.Minute)
	for _, d := range h.last {
		if d.Anchor[15] == 2 && d.Phase != correlate.Closed {
			t.Errorf("the final detection is of phase %d", d.Phase)
		}
	}
	if len(h.standing()) == 0 {
		t.Error("nothing stands")
	}
}

// A window decided without a hit is not decided again from memory.
func TestLateForDecidedWindow(t *testing.T) {
	t.Parallel()
	cfg := counted(0)
	cfg.Correlations[0].Thresholds = []rule.Threshold{{Op: rule.OpLt, N: 2}}
	h := newHand(cfg)
	h.hit(0, 0, "x")
	h.watermark(0, 6*time.Minute)
	h.wantFinal(t)
	h.wantStanding(t, "1:1")
	h.hit(0, time.Minute, "x")
	h.engine.Close(h)
	h.wantLate(t, time.Minute)
	h.wantStanding(t, "1:1")
}

// An event that comes again behind the watermark, while its group is held,
// changes no count.
func TestRedeliveredLate(t *testing.T) {
	t.Parallel()
	h := newHand(counted(2))
	h.hit(0, 0, "x")
	h.watermark(0, time.Minute)
	h.events--
	h.hit(0, 0, "x")
	h.engine.Close(h)
	h.wantStanding(t)
	if c := h.engine.Counters(); c.Hits != 2 || c.Repeated != 1 {
		t.Errorf("%+v, want two hits, one of them repeated", c)
	}
}

// Groups beyond the budget of their shard are given up and counted; budgets
// of other shards are not touched.
func TestGroupBudget(t *testing.T) {
	t.Parallel()
	cfg := counted(2)
	cfg.Budget.GroupsPerShard = 3
	h := newHand(cfg)
	var keys [2][]string
	for n := 0; len(keys[0]) < 5 || len(keys[1]) < 3; n++ {
		g := fmt.Sprintf("%04d", n)
		if s := correlate.ShardOf(append([]byte{4}, g...)); s < 2 {
			keys[s] = append(keys[s], g)
		}
	}
	for _, g := range slices.Concat(keys[0][:5], keys[1][:3]) {
		h.hit(0, 0, g)
	}
	if c := h.engine.Counters(); c.EvictedGroups != 2 {
		t.Errorf("%d groups were given up, want 2", c.EvictedGroups)
	}
	for _, g := range keys[1][:3] {
		h.hit(0, time.Second, g)
	}
	h.engine.Close(h)
	if got := h.standing(); len(got) != 3 {
		t.Errorf("detections %v, want those of the three groups of the shard within its budget", got)
	}
}

// A flood of keys with one hit each does not push out a group that makes
// progress: at most its first hit is lost.
func TestFlood(t *testing.T) {
	t.Parallel()
	cfg := counted(5)
	cfg.Budget.GroupsPerShard = 16
	h := newHand(cfg)
	at := time.Duration(0)
	for step := range 6 {
		h.hit(0, at, "planted")
		for n := range 2000 {
			at += 10 * time.Millisecond
			h.hit(0, at, fmt.Sprintf("flood-%d-%d", step, n))
		}
		h.watermark(0, at-time.Second)
	}
	h.engine.Close(h)
	found := false
	for _, d := range h.last {
		found = found || d.Count >= 5 && d.Group[0].Value == "planted" && d.Phase == correlate.Closed
	}
	if !found {
		t.Errorf("the planted attack was not found: %v", h.standing())
	}
	if c := h.engine.Counters(); c.EvictedGroups == 0 {
		t.Error("nothing was given up")
	}
}

// Hits beyond the budget of a group are given up and counted, and what fires
// says so.
func TestHitBudget(t *testing.T) {
	t.Parallel()
	cfg := counted(10)
	cfg.Budget.HitsPerGroup = 20
	h := newHand(cfg)
	for range 60 {
		h.hit(0, time.Duration(h.events)*time.Second, "x")
		h.engine.Flush(h)
	}
	h.engine.Close(h)
	if c := h.engine.Counters(); c.DroppedHits == 0 {
		t.Error("no hit was given up")
	}
	truncated := false
	for _, d := range h.last {
		truncated = truncated || d.Truncated
	}
	if !truncated {
		t.Error("no detection says that it was truncated")
	}
}

// Of many contributing events the first and the last are kept, and counted are
// all.
func TestEvidenceSample(t *testing.T) {
	t.Parallel()
	for _, n := range []int{correlate.EvidenceFirst + correlate.EvidenceLast, correlate.EvidenceFirst + correlate.EvidenceLast + 1, 250} {
		h := newHand(counted(3))
		for i := range n {
			h.hit(0, time.Duration(i)*time.Second, "x")
			if i%7 == 0 {
				h.watermark(0, time.Duration(i-9)*time.Second)
			}
		}
		h.engine.Close(h)
		if len(h.last) != 1 {
			t.Fatalf("%d detections, want one", len(h.last))
		}
		for _, d := range h.last {
			if d.Count != uint64(n) || len(d.Evidence) != min(n, correlate.EvidenceFirst+correlate.EvidenceLast) {
				t.Fatalf("%d events and %d ids, want %d events", d.Count, len(d.Evidence), n)
			}
			for i, id := range d.Evidence {
				want := i + 1
				if i >= correlate.EvidenceFirst {
					want = n - len(d.Evidence) + i + 1
				}
				if int(id[14])<<8|int(id[15]) != want {
					t.Errorf("of %d events, id %d of the evidence is event %d, want %d", n, i, int(id[14])<<8|int(id[15]), want)
				}
			}
		}
	}
}
