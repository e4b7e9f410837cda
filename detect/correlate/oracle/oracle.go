// Package oracle says which detections are final, slowly and plainly. It is
// the judge of package correlate: it follows the same definitions, takes all
// hits at once, computes each window anew for each hit, and shares no code with
// what it judges. It is quadratic and worse, and meant for tests only.
//
// It knows no arrival: all its hits are in time. What it returns is what an
// engine must hold once the watermark has passed everything, whatever the order
// in which the hits came.
package oracle

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// Hit is one match.
type Hit struct {
	// Rule is the index of the rule in [Config.Rules].
	Rule int
	// Time is the event time in microseconds since 1970, Seq the event's own
	// number, ID its id.
	Time int64
	Seq  uint64
	ID   event.ID
	// Fields are the event's, by name; absent and null ones are not there.
	Fields map[string][]string
}

// Episode says how the matches of a rule of its own are put together.
type Episode struct {
	// Fields are the group key; an absent field is an empty value.
	Fields []string
	// Gap ends an episode; Every makes each match one.
	Gap   time.Duration
	Every bool
}

// Config is what is run.
type Config struct {
	Tenant event.Tenant
	Rules  []*rule.Rule
	// Correlations stand behind those they name.
	Correlations []*rule.Correlation
	// Alone reports whether a rule raises detections of its own; nil means
	// all that no correlation silences.
	Alone func(ruleIndex int) bool
	// Episode says how, by index; nil means one group and an hour.
	Episode func(ruleIndex int) Episode
}

// Detection is a final detection whose episode has ended.
type Detection struct {
	ID event.ID
	// Rule or Correlation is the index of what fired; the other is -1.
	Rule, Correlation int
	// Group is the group key, values folded.
	Group      []event.GroupValue
	Anchor     event.ID
	AnchorTime int64
	Completing event.ID
	// First and Last are the times of the first and last contributing event.
	First, Last int64
	Count       int
	// ByRule counts the contributing events by rule of the correlation; nil
	// for a rule of its own.
	ByRule []int
	// Value is the figure that the thresholds were compared with.
	Value float64
	// Evidence are the ids of all contributing events, in order.
	Evidence []event.ID
}

// Detections returns the final detections of the hits, ordered by id.
func Detections(cfg Config, hits []Hit) []Detection {
	var found []Detection
	raw := map[event.ID]map[string][]string{}
	for _, h := range hits {
		if raw[h.ID] == nil {
			raw[h.ID] = map[string][]string{}
		}
		maps.Copy(raw[h.ID], h.Fields)
	}
	episodesOf := map[*rule.Correlation][]episode{}
	for index, c := range cfg.Correlations {
		d := ofCorrelation(c)
		var in []hit
		for position, ref := range c.Rules {
			if ref.Rule != nil {
				in = append(in, hitsOf(cfg, hits, ref.Rule, position)...)
				continue
			}
			for _, e := range episodesOf[ref.Correlation] {
				in = append(in, e.asHit(position, raw))
			}
		}
		episodesOf[c] = d.episodes(in)
		for _, e := range episodesOf[c] {
			found = append(found, e.detection(cfg.Tenant, d, -1, index))
		}
	}
	for index, r := range cfg.Rules {
		alone := !silenced(cfg, r.ID)
		if cfg.Alone != nil {
			alone = cfg.Alone(index)
		}
		if !alone {
			continue
		}
		how := Episode{Gap: time.Hour}
		if cfg.Episode != nil {
			how = cfg.Episode(index)
		}
		d := ofRule(r, how)
		for _, e := range d.episodes(hitsOf(cfg, hits, r, 0)) {
			found = append(found, e.detection(cfg.Tenant, d, index, -1))
		}
	}
	slices.SortFunc(found, func(a, b Detection) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return found
}

// silenced reports whether some correlation names the rule of that id and none
// of those lets it raise detections of its own. Correlations are never silent.
func silenced(cfg Config, id string) bool {
	named := false
	for _, c := range cfg.Correlations {
		for _, ref := range c.Rules {
			if ref.ID() != id {
				continue
			}
			if c.Generate {
				return false
			}
			named = true
		}
	}
	return named
}

// hit is a hit of the rule, or correlation, at a position of a detector's list.
type hit struct {
	rule   int
	time   int64
	seq    uint64
	id     event.ID
	fields map[string][]string
}

func hitsOf(cfg Config, hits []Hit, r *rule.Rule, position int) []hit {
	var out []hit
	for _, h := range hits {
		if cfg.Rules[h.Rule] == r {
			out = append(out, hit{position, h.Time, h.Seq, h.ID, h.Fields})
		}
	}
	return out
}

// moment is an event within a group, with its hits there by rule.
type moment struct {
	time int64
	seq  uint64
	id   event.ID
	hits []hit
}

func (m moment) meets(rule int) bool {
	return slices.ContainsFunc(m.hits, func(h hit) bool { return h.rule == rule })
}

func (m moment) compare(n moment) int {
	return cmp.Or(cmp.Compare(m.time, n.time), cmp.Compare(m.seq, n.seq), bytes.Compare(m.id[:], n.id[:]))
}

// momentsOf puts hits in order, one moment an event. A hit without what its
// detector counts is none. Where an event counts once, whatever rules it
// matches, the first of them in the detector's list stands for it.
func (d detector) momentsOf(hits []hit) []moment {
	var out []moment
	for _, h := range hits {
		if !d.countable(h) {
			continue
		}
		at := slices.IndexFunc(out, func(m moment) bool { return m.id == h.id })
		if at < 0 {
			at = len(out)
			out = append(out, moment{time: h.time, seq: h.seq, id: h.id})
		}
		out[at].hits = append(out[at].hits, h)
	}
	for i, m := range out {
		slices.SortStableFunc(m.hits, func(a, b hit) int { return cmp.Compare(a.rule, b.rule) })
		if d.kind != rule.Temporal && d.kind != rule.TemporalOrdered {
			out[i].hits = m.hits[:1]
		}
	}
	slices.SortFunc(out, moment.compare)
	return out
}

// episode is one that opened, with what contributed until it closed.
type episode struct {
	group              []event.GroupValue
	anchor, completing moment
	value              float64
	evidence           []moment
}

// asHit is the hit that an episode is for the correlations that name its own.
func (e episode) asHit(position int, raw map[event.ID]map[string][]string) hit {
	fields := maps.Clone(raw[e.completing.id])
	for _, g := range e.group {
		fields[g.Field] = []string{g.Value}
	}
	return hit{position, e.completing.time, e.completing.seq, e.completing.id, fields}
}

func (e episode) detection(tenant event.Tenant, d detector, ruleIndex, correlationIndex int) Detection {
	out := Detection{
		ID:   event.DetectionID(tenant, d.id, d.hash, e.group, e.anchor.id),
		Rule: ruleIndex, Correlation: correlationIndex, Group: e.group,
		Anchor: e.anchor.id, AnchorTime: e.anchor.time, Completing: e.completing.id,
		First: e.evidence[0].time, Last: e.evidence[len(e.evidence)-1].time,
		Count: len(e.evidence), Value: e.value,
	}
	if correlationIndex >= 0 {
		out.ByRule = make([]int, d.rules)
	}
	for _, m := range e.evidence {
		out.Evidence = append(out.Evidence, m.id)
		for r := range out.ByRule {
			if m.meets(r) {
				out.ByRule[r]++
			}
		}
	}
	return out
}
