package stream

import (
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/metric"
)

// RuleFigures is what one rule has cost and found since it was loaded.
type RuleFigures struct {
	ID, Title, Kind, Level string
	Matches, Detections    uint64
	// Cost is extrapolated from what was measured.
	Cost time.Duration
}

// figures are the counts of a node, for metrics and people. It is safe for
// concurrent use.
type figures struct {
	set *metric.Set

	mu         sync.Mutex
	content    *Content
	costs      []int64 // of content's rules, in nanoseconds
	matches    map[string]uint64
	detections map[string]uint64
	totals     Totals
}

// Totals count since the process started.
type Totals struct {
	Received, ReceivedBytes, Evaluated, Late, Quarantined, Matches, Detections uint64
}

func newFigures(set *metric.Set) *figures {
	return &figures{set: set, matches: make(map[string]uint64), detections: make(map[string]uint64)}
}

// use makes c the content that is counted from now on.
func (f *figures) use(c *Content) {
	f.mu.Lock()
	f.content = c
	f.costs = make([]int64, len(c.Sigma.Rules()))
	clear(f.matches)
	clear(f.detections)
	f.mu.Unlock()
	f.set.RulesLoaded.Reset()
	f.set.RulesLoaded.WithLabelValues("enabled").Set(float64(len(c.Sigma.Rules())))
	f.set.RulesLoaded.WithLabelValues("correlation").Set(float64(len(c.Correlations)))
	f.set.RulesLoaded.WithLabelValues("disabled").Set(float64(len(c.Disabled)))
	f.set.RulesLoaded.WithLabelValues("over_budget").Set(float64(len(c.held)))
	f.set.RulesLoaded.WithLabelValues("refused").Set(float64(c.Refused))
}

// cost takes what a worker has measured in a stretch that stands for factor
// times as much.
func (f *figures) cost(c *Content, stats []detect.Stats, factor float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.content != c {
		return
	}
	for i := range stats {
		if stats[i].Nanos > 0 {
			f.costs[i] += int64(float64(stats[i].Nanos) * factor)
		}
	}
}

// stage notes how long a batch took.
func (f *figures) stage(name string, d time.Duration) {
	f.set.StageSeconds.WithLabelValues(name).Observe(d.Seconds())
}

// evaluated notes how long one rule took on one record, of a metered batch.
func (f *figures) evaluated(nanos int64) { f.set.RuleEval.Observe(float64(nanos) / 1e9) }

// givenUp counts events in several records that were not whole.
func (f *figures) givenUp(scripts, audit int64) {
	for kind, n := range map[string]int64{"script": scripts, "audit": audit} {
		if n > 0 {
			f.set.GivenUp.WithLabelValues(kind).Add(float64(n))
		}
	}
}

// count takes the sections of a commit of a tenant.
func (f *figures) count(tenant string, sections []*Section) {
	if len(sections) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range sections {
		c := &s.Counts
		f.totals.Evaluated += c.Evaluated + c.Late
		f.totals.Late += c.Late
		f.totals.Quarantined += c.Quarantined
		f.totals.Matches += c.Matches
		for i := range s.Hits {
			f.matches[s.Hits[i].Rule]++
		}
		for i := range s.Quarantine {
			f.set.Quarantined.WithLabelValues(s.Protocol, s.Quarantine[i].Reason).Inc()
		}
		f.set.Evaluated.WithLabelValues(tenant, s.Source).Add(float64(c.Evaluated + c.Late))
		if c.Late > 0 {
			f.set.Late.WithLabelValues(tenant, s.Source).Add(float64(c.Late))
		}
		f.set.Matches.Add(float64(c.Matches))
		if c.Flagged > 0 {
			f.set.Flagged.WithLabelValues("duplicate_field").Add(float64(c.DuplicateFields))
			f.set.Flagged.WithLabelValues("invalid_text").Add(float64(c.InvalidTexts))
		}
	}
}

// detected takes what a commit changed. received are the receive times, in
// microseconds, of the entries that completed detections.
func (f *figures) detected(changes []detection.Change, received map[string]int64, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range changes {
		c := &changes[i]
		if !c.First {
			continue
		}
		f.totals.Detections++
		f.detections[c.Detection.Rule.ID]++
		f.set.Detections.WithLabelValues(c.Detection.Rule.Level).Inc()
		if at := received[c.Detection.ID]; at > 0 {
			f.set.DetectionLatency.Observe(now.Sub(time.UnixMicro(at)).Seconds())
		}
	}
}

// Rules returns what each rule has cost and found since it was loaded.
func (n *Node) Rules() []RuleFigures {
	f := n.metrics
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.content == nil {
		return nil
	}
	var out []RuleFigures
	for i, r := range f.content.Sigma.Rules() {
		out = append(out, RuleFigures{
			ID: r.ID, Title: r.Title, Kind: "rule", Level: r.Level.String(), Matches: f.matches[r.ID], Detections: f.detections[r.ID],
			Cost: time.Duration(f.costs[i]),
		})
	}
	for _, c := range f.content.Correlations {
		out = append(out, RuleFigures{ID: c.ID, Title: c.Title, Kind: "correlation", Level: c.Level.String(), Detections: f.detections[c.ID]})
	}
	return out
}

// Totals returns what was counted since the process started.
func (n *Node) Totals() Totals {
	n.metrics.mu.Lock()
	defer n.metrics.mu.Unlock()
	return n.metrics.totals
}

// Tenants are those that the node serves.
func (n *Node) Tenants() []event.Tenant { return n.cfg.Tenants }
