package correlate

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// kind is how a detector decides.
type kind uint8

const (
	countKind    kind = iota // distinct events
	distinctKind             // distinct values
	sumKind
	avgKind
	rankKind // percentile and median
	temporalKind
	orderedKind
)

// Detector is one rule of its own or one correlation, compiled.
type detector struct {
	tenant      event.Tenant
	index       int // among the engine's detectors
	rule        int // index in Config.Rules, or -1
	correlation int // index in Config.Correlations, or -1
	id, hash    string
	kind        kind
	windowed    bool
	timespan    int64 // µs
	ageMax      int64 // µs after which an open episode is closed
	every       bool  // each hit is an episode
	reset       bool  // reset_on_fire
	cased       bool
	thresholds  []rule.Threshold
	refs        int // number of rules referred to
	expr        rule.Expr
	// positive holds the refs that must occur, in order; negative those that
	// must not.
	positive, negative []int
	refNames           []string
	percentile         float64
	groupBy            []string
	optionalKey        bool // absent components are empty
	values             bool // hits carry values
	chained            bool // some refs are correlations
	keep               int  // committed hits worth keeping, 0 for all in the window
	parents            []feed
	parentFields       []string // fields of the completing event that parents need
	family             int      // shard that owns all groups of a chain, or -1
	settled            int64    // µs up to which groups were looked at
	delay              int64    // µs the watermark is held back for children
	suppress           *Suppression
	suppressBy         []int // components of the group key

	shards [Shards]shard
	due    dueHeap
	stood  map[string]int64 // suppression key → decision time of what stands
}

// feed leads hits of a rule, or fires of a correlation, to a detector.
type feed struct {
	to     *detector
	ref    int
	group  []int // positions in the fields handed over, one a component
	value  []int
	parent []int // positions of the fields kept for parents
}

// order is the place of a hit among the hits of its group.
type order struct {
	t   int64
	seq uint64
	id  event.ID
}

func (a order) compare(b order) int {
	switch {
	case a.t != b.t:
		return sign(a.t < b.t)
	case a.seq != b.seq:
		return sign(a.seq < b.seq)
	}
	return bytes.Compare(a.id[:], b.id[:])
}

func sign(less bool) int {
	if less {
		return -1
	}
	return 1
}

// ageMin is the least age at which an open episode is closed so that a lasting
// attack reappears [D60].
const ageMin = 24 * time.Hour

// newEpisodeDetector makes the detector of a rule of its own.
func newEpisodeDetector(index int, r *rule.Rule, e Episode) *detector {
	gap := e.Gap
	if gap <= 0 {
		gap = GapDefault
	}
	d := &detector{
		rule: index, correlation: -1, family: -1, id: r.ID, hash: r.SemanticHash, kind: countKind,
		timespan: gap.Microseconds(), every: e.Every, refs: 1, groupBy: e.Fields, optionalKey: true,
		thresholds: []rule.Threshold{{Op: rule.OpGte, N: 1}},
	}
	d.finish()
	return d
}

func newCorrelationDetector(index int, c *rule.Correlation) *detector {
	d := &detector{
		rule: -1, correlation: index, family: -1, id: c.ID, hash: c.SemanticHash,
		timespan: c.Timespan.Microseconds(), refs: len(c.Rules), groupBy: c.GroupBy,
		thresholds: c.Thresholds, expr: c.Expr, percentile: c.Percentile,
		reset: c.Custom["reset_on_fire"] == "true", cased: c.Custom["cased"] == "true",
	}
	for _, r := range c.Rules {
		d.refNames = append(d.refNames, r.Name)
	}
	switch c.Type {
	case rule.ValueCount:
		d.kind = distinctKind
	case rule.ValueSum:
		d.kind = sumKind
	case rule.ValueAvg:
		d.kind = avgKind
	case rule.ValuePercentile:
		d.kind = rankKind
	case rule.ValueMedian:
		d.kind, d.percentile = rankKind, 50
	case rule.Temporal:
		d.kind = temporalKind
	case rule.TemporalOrdered:
		d.kind = orderedKind
	default:
		d.kind = countKind
	}
	d.finish()
	return d
}

// single reports whether the detector is one rule of its own, for which every
// hit is an episode's.
func (d *detector) single() bool { return d.correlation < 0 }

func (d *detector) finish() {
	d.ageMax = max(d.timespan, ageMin.Microseconds())
	d.values = d.kind == distinctKind || d.kind == sumKind || d.kind == avgKind || d.kind == rankKind
	d.windowed = d.kind == avgKind || d.kind == rankKind
	least := 1.0
	for _, t := range d.thresholds {
		if d.expr == nil && d.kind != orderedKind && t.Op != rule.OpGt && t.Op != rule.OpGte {
			d.windowed = true
		}
		n := t.N
		if t.Op == rule.OpGt {
			n = math.Floor(n) + 1
		}
		least = max(least, math.Ceil(n))
	}
	if d.expr != nil {
		d.polarity(d.expr, false)
		if len(d.negative) > 0 {
			d.windowed = true
		}
		slices.Sort(d.positive)
		slices.Sort(d.negative)
		d.positive, d.negative = slices.Compact(d.positive), slices.Compact(d.negative)
	} else {
		for i := range d.refs {
			d.positive = append(d.positive, i)
		}
	}
	if d.kind == countKind && !d.windowed && least < 1<<20 {
		d.keep = int(least)
	}
	d.stood = map[string]int64{}
	d.settled = never
}

// polarity gathers the refs of a condition in words by whether they stand under
// a not.
func (d *detector) polarity(x rule.Expr, negated bool) {
	switch x := x.(type) {
	case *rule.And:
		for _, s := range x.X {
			d.polarity(s, negated)
		}
	case *rule.Or:
		for _, s := range x.X {
			d.polarity(s, negated)
		}
	case *rule.Not:
		d.polarity(x.X, !negated)
	case *rule.Ref:
		if i := slices.Index(d.refNames, x.Name); i >= 0 {
			if negated {
				d.negative = append(d.negative, i)
			} else {
				d.positive = append(d.positive, i)
			}
		}
	}
}

// holdsExpr evaluates a condition in words.
func (d *detector) holdsExpr(x rule.Expr, present func(ref int) bool) bool {
	switch x := x.(type) {
	case *rule.And:
		for _, s := range x.X {
			if !d.holdsExpr(s, present) {
				return false
			}
		}
		return true
	case *rule.Or:
		for _, s := range x.X {
			if d.holdsExpr(s, present) {
				return true
			}
		}
		return false
	case *rule.Not:
		return !d.holdsExpr(x.X, present)
	case *rule.Ref:
		i := slices.Index(d.refNames, x.Name)
		return i >= 0 && present(i)
	}
	return false
}

func (d *detector) meets(value float64) bool {
	for _, t := range d.thresholds {
		if !t.Holds(value) {
			return false
		}
	}
	return true
}

// owner returns the shard whose partition keeps a group: that of its key, but
// for a chain, whose groups lead to others, one for all.
func (d *detector) owner(key []byte) int {
	if d.family >= 0 {
		return d.family
	}
	return ShardOf(key)
}

// semantic names the detector across configurations: state moves from one to
// the next only between detectors that decide alike.
func (d *detector) semantic() string {
	return strings.Join([]string{d.id, d.hash, strings.Join(d.groupBy, "\x00"), time.Duration(d.timespan * 1000).String()}, "\x01")
}
