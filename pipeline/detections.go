package pipeline

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
)

// keySlots are the slots of the fields that correlations need of a rule's
// matches, by view and rule.
type keySlots map[[2]int][][]int

// Key makes evaluators read with each hit the fields that needs names for its
// rule. Call it before the first evaluator is made.
func (s *Sigma) Key(needs func(ruleIndex int) []string) {
	s.keys = keySlots{}
	packs := map[string]*pack.Pack{}
	for _, p := range s.packs {
		packs[p.Name] = p
	}
	for v := range s.views {
		view := &s.views[v]
		for r, x := range s.Rules() {
			names := needs(r)
			if len(names) == 0 || !detect.Proves(view, x) {
				continue
			}
			slots := make([][]int, len(names))
			for i, name := range names {
				slots[i] = s.keySlot(view, packs[view.Pack], name)
			}
			s.keys[[2]int{v, r}] = slots
		}
	}
}

// keySlot returns the slots that a field is read from, the first that has a
// value winning.
func (s *Sigma) keySlot(view *event.View, p *pack.Pack, name string) []int {
	var entity string
	switch name {
	case correlate.HostField:
		entity = "host"
	case correlate.UserField:
		entity = "user"
	default:
		return []int{s.plan.Slot(view.Lookup(name))}
	}
	var out []int
	if p != nil {
		for _, field := range p.Entities[entity] {
			out = append(out, s.plan.Slot(view.Lookup(field)))
		}
	}
	return out
}

// key reads the fields of a match that correlations need.
func (e *SigmaEvaluator) key(m detect.Match) [][]string {
	slots := e.sigma.keys[[2]int{m.View, m.Rule}]
	if slots == nil {
		return nil
	}
	out := make([][]string, len(slots))
	for i, alternatives := range slots {
		for _, slot := range alternatives {
			for _, text := range e.reader.Texts(slot) {
				out[i] = append(out[i], string(text))
			}
			if len(out[i]) > 0 {
				break
			}
		}
	}
	return out
}

// Detections turns the matches of a scan into detections: it takes them in any
// order, sorts them by event time, through files when there are many, and runs
// stage 2 over them. It belongs to one goroutine.
type Detections struct {
	engine  *correlate.Engine
	spool   *spool
	started time.Time
}

// NewDetections prepares stage 2. The spool's files are written below the world's TempDir and
// removed by Finish or Close.
func NewDetections(world env.Env, engine *correlate.Engine) *Detections {
	return &Detections{
		engine: engine, started: world.Clock.Now(),
		spool: &spool{fs: world.FS, prefix: world.FS.PathJoin(world.TempDir, "tiercel-"+strconv.FormatInt(world.Clock.Now().UnixNano(), 36)+"-")},
	}
}

// Add takes a match. A match without a time gets that of the scan [D52].
func (d *Detections) Add(m *Match) error {
	if !d.engine.Feeds(m.RuleIndex) {
		return nil
	}
	at := m.Time
	if at.IsZero() {
		at = d.started
	}
	seq := m.Source.Record
	if seq == 0 {
		seq = uint64(m.Source.Offset)
	}
	fields := m.Key
	if n := len(d.engine.Needs(m.RuleIndex)); len(fields) < n {
		fields = append(slices.Clone(fields), make([][]string, n-len(fields))...)
	}
	return d.spool.add(spooled{
		time: at.UnixMicro(), seq: seq, rule: m.RuleIndex, fields: fields,
		id: m.ID,
	})
}

// flushHits is how many hits pass between two looks at what is due.
const flushHits = 1024

// Finish runs stage 2 over all that was added and ends it: what is emitted last
// of each detection is final.
func (d *Detections) Finish(s correlate.Sink) error {
	n := 0
	err := d.spool.each(func(h *spooled) {
		d.engine.Hit(&correlate.Hit{Rule: h.rule, Time: h.time, Seq: h.seq, ID: h.id, Fields: h.fields}, s)
		if n++; n%flushHits == 0 {
			d.engine.Flush(s)
			d.engine.Watermark(0, h.time-1, s)
		}
	})
	d.engine.Flush(s)
	d.engine.Close(s)
	if err != nil {
		return fmt.Errorf("sort matches by time: %w", err)
	}
	return nil
}

// Close removes the spool's files.
func (d *Detections) Close() { d.spool.remove() }

// Detection is a final detection with what it is about.
type Detection struct {
	*correlate.Detection
	// Rule is set for a rule of its own, Correlation for a correlation.
	Rule        *rule.Rule
	Correlation *rule.Correlation
}
