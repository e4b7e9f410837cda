package correlate

import (
	"encoding/binary"
	"slices"

	"github.com/tiercel-io/tiercel/event"
)

// detectionID derives the id of the episode of this group with that anchor.
func (g *group) detectionID(anchor order) event.ID {
	d := g.det
	tenant := d.tenant
	var key []event.GroupValue
	for i, c := range components(g.key) {
		key = append(key, event.GroupValue{Field: d.groupBy[i], Value: c})
	}
	return event.DetectionID(tenant, d.id, d.hash, key, anchor.id)
}

// blank is a detection of the group with nothing but its identity.
func (g *group) blank(id event.ID, anchor order) *Detection {
	d := &Detection{ID: id, Rule: g.det.rule, Correlation: g.det.correlation, Anchor: anchor.id, AnchorTime: anchor.t}
	for i, c := range g.shown() {
		d.Group = append(d.Group, event.GroupValue{Field: g.det.groupBy[i], Value: c})
	}
	return d
}

// detection renders an episode.
func (g *group) detection(x *episode, phase Phase, key event.ID) *Detection {
	d := g.blank(x.id, x.anchor)
	d.Phase, d.NotifyKey = phase, key
	d.Completing = x.completing
	d.First, d.Last, d.Count, d.Value = x.first, x.last, x.count, x.value
	d.ByRule = slices.Clone(x.byRule)
	d.Values = slices.Clone(x.values)
	d.Evidence = x.evidence()
	d.Children = slices.Clone(x.children)
	d.Late, d.Truncated, d.Suppressed = x.late, g.truncated, g.said().suppressed == x.id
	var count event.ID
	binary.BigEndian.PutUint64(count[8:], x.count)
	d.Revision = event.RevisionID(append(slices.Clone(d.Evidence), count))
	return d
}

// fire hands an episode to the correlations that name its correlation.
func (e *Engine) fire(g *group, x *episode, s Sink) {
	d := g.det
	if len(d.parents) == 0 {
		return
	}
	fields := g.handed(x.fields)
	at := x.completed
	for i := range d.parents {
		e.feed(&d.parents[i], at, fields, more{child: x.id}, s)
	}
}

// handed are the fields of a fire: the group key's components, then those of
// the completing event.
func (g *group) handed(extra [][]string) [][]string {
	d := g.det
	fields := make([][]string, 0, len(d.groupBy)+len(d.parentFields))
	for _, c := range g.shown() {
		fields = append(fields, []string{c})
	}
	for i := range d.parentFields {
		if i < len(extra) {
			fields = append(fields, extra[i])
		} else {
			fields = append(fields, nil)
		}
	}
	return fields
}

// unfire takes back a fire that does not stand any more.
func (e *Engine) unfire(g *group, a announced) {
	for i := range g.det.parents {
		f := &g.det.parents[i]
		e.eachKey(f, g.handed(a.fields), func(key []byte, _ []string) {
			p := f.to.shards[ShardOf(key)].get(key)
			if p == nil {
				return
			}
			h := f.to.newHit(a.order, f.ref)
			at, found := p.find(&h)
			if !found || at < int(p.done) {
				return
			}
			if p.hits[at].copies--; p.hits[at].copies > 0 {
				return
			}
			p.remove(at, at+1)
			p.ahead = nil
			e.soil(p)
			e.settle(p)
		})
	}
}
