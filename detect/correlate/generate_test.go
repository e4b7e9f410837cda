package correlate_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/detect/correlate/oracle"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// occurrence is an event of a generated run: what it is, not when it arrives.
type occurrence struct {
	at     int64 // µs
	seq    uint64
	id     event.ID
	rules  []int
	fields map[string][]string
}

// delivery is the arrival of an event's hits of some rules by a source.
type delivery struct {
	occurrence *occurrence
	rules      []int
	source     int
	// sooner is the arrival's key: time, plus what delays it.
	sooner int64
}

// setting is a generated run.
type setting struct {
	rules        []*rule.Rule
	correlations []*rule.Correlation
	episodes     []correlate.Episode
	alone        []bool // nil: by the correlations
	unit         int64  // µs of the grid of times
	base         int64
	lateness     int64
	sources      int
	lagging      bool // sources may stand behind one another by more than the lateness
	uniform      bool // every group key is the field g
	arrays       bool // group keys have several values
	crowd        int  // how many times as many events, about
	events       []*occurrence
	deliveries   []delivery
}

func (s *setting) config() correlate.Config {
	cfg := correlate.Config{
		Tenant: event.LocalTenant, Rules: s.rules, Correlations: s.correlations,
		Episode: func(i int) correlate.Episode { return s.episodes[i] },
	}
	if s.alone != nil {
		cfg.Alone = func(i int) bool { return s.alone[i] }
	}
	if s.lagging {
		cfg.LagMax = 1000 * 24 * time.Hour
	}
	return cfg
}

// expected is what the oracle says.
func (s *setting) expected() []oracle.Detection {
	cfg := oracle.Config{
		Tenant: event.LocalTenant, Rules: s.rules, Correlations: s.correlations,
		Episode: func(i int) oracle.Episode { return oracle.Episode(s.episodes[i]) },
	}
	if s.alone != nil {
		cfg.Alone = func(i int) bool { return s.alone[i] }
	}
	var hits []oracle.Hit
	for _, o := range s.events {
		for _, r := range o.rules {
			hits = append(hits, oracle.Hit{Rule: r, Time: o.at, Seq: o.seq, ID: o.id, Fields: o.fields})
		}
	}
	return oracle.Detections(cfg, hits)
}

func generate(t *rapid.T) *setting {
	s := &setting{
		unit:    rapid.SampledFrom([]int64{1e6, 1, 6 * 3600e6}).Draw(t, "unit"),
		sources: rapid.IntRange(1, 3).Draw(t, "sources"),
		lagging: rapid.Bool().Draw(t, "lagging"),
		uniform: rapid.Bool().Draw(t, "uniform"),
		arrays:  rapid.Bool().Draw(t, "arrays"),
	}
	s.base = rapid.SampledFrom([]int64{0, 1_790_000_000_000_000}).Draw(t, "base")
	s.crowd = 1
	switch crowd := rapid.IntRange(0, 199).Draw(t, "crowd"); {
	case crowd == 199:
		s.crowd = 30
	case crowd >= 180:
		s.crowd = 5
	}
	s.lateness = s.unit * rapid.SampledFrom([]int64{0, 1, 3, 12}).Draw(t, "lateness")
	for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
		name := string(rune('a' + i))
		s.rules = append(s.rules, &rule.Rule{ID: "rule-" + name, Name: name, SemanticHash: "hash-" + name})
		s.episodes = append(s.episodes, s.episode(t))
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "correlations") {
		s.correlations = append(s.correlations, s.correlation(t, i))
	}
	if len(s.correlations) == 0 || rapid.IntRange(0, 3).Draw(t, "alone") == 3 {
		for range s.rules {
			s.alone = append(s.alone, rapid.Bool().Draw(t, "alone"))
		}
	}
	s.stream(t)
	return s
}

func (s *setting) span(t *rapid.T) time.Duration {
	return time.Duration(s.unit*rapid.SampledFrom([]int64{2, 1, 3, 5, 8}).Draw(t, "span")) * time.Microsecond
}

func (s *setting) groupBy(t *rapid.T) []string {
	if s.uniform {
		return []string{"g"}
	}
	return rapid.SampledFrom([][]string{{"g"}, nil, {"u"}, {"g", "u"}, {"u", "g"}, {"k"}}).Draw(t, "group-by")
}

func (s *setting) episode(t *rapid.T) correlate.Episode {
	return correlate.Episode{Fields: s.groupBy(t), Gap: s.span(t), Every: rapid.IntRange(0, 4).Draw(t, "every") == 4}
}

func (s *setting) correlation(t *rapid.T, i int) *rule.Correlation {
	c := &rule.Correlation{
		ID: fmt.Sprintf("correlation-%d", i), Name: fmt.Sprintf("c%d", i), SemanticHash: fmt.Sprintf("hash-%d", i),
		Type:     rapid.SampledFrom(rule.CorrelationTypes).Draw(t, "type"),
		GroupBy:  s.groupBy(t),
		Timespan: s.span(t),
		Generate: rapid.Bool().Draw(t, "generate"),
		Custom:   map[string]string{},
	}
	var all []rule.Reference
	for _, child := range slices.Backward(s.correlations) {
		// An event with several values makes several episodes of one child.
		// Which of their keys its ancestors see is not defined, so none does.
		if s.arrays && slices.ContainsFunc(child.Rules, isCorrelation) {
			continue
		}
		all = append(all, rule.Reference{Name: child.Name, Correlation: child})
	}
	for _, r := range s.rules {
		all = append(all, rule.Reference{Name: r.Name, Rule: r})
	}
	n := rapid.IntRange(1, min(3, len(all))).Draw(t, "references")
	for range n {
		k := rapid.IntRange(0, len(all)-1).Draw(t, "reference")
		c.Rules = append(c.Rules, all[k])
		all = slices.Delete(all, k, k+1)
	}
	if rapid.IntRange(0, 5).Draw(t, "reset") == 5 {
		c.Custom["reset_on_fire"] = "true"
	}
	// A child's group key has no spelling of its own, only the folded one.
	if !slices.ContainsFunc(c.Rules, isCorrelation) && rapid.IntRange(0, 7).Draw(t, "cased") == 7 {
		c.Custom["cased"] = "true"
	}
	s.alias(t, c)
	s.condition(t, c)
	return c
}

func isCorrelation(r rule.Reference) bool { return r.Correlation != nil }

// alias gives the name k in a group key or among the fields a field of each
// rule. Of correlations named it is the component of their group key, where
// there is one.
func (s *setting) alias(t *rapid.T, c *rule.Correlation) {
	if !slices.Contains(c.GroupBy, "k") && !rapid.Bool().Draw(t, "aliased") {
		return
	}
	a := rule.Alias{Name: "k", Fields: make([]string, len(c.Rules))}
	for i, r := range c.Rules {
		if r.Rule != nil {
			a.Fields[i] = rapid.SampledFrom([]string{"g", "u", ""}).Draw(t, "alias")
			continue
		}
		a.Fields[i] = rapid.SampledFrom([]string{"g", "u"}).Draw(t, "alias")
	}
	c.Aliases = []rule.Alias{a}
}

func (s *setting) condition(t *rapid.T, c *rule.Correlation) {
	threshold := func(ops ...rule.ThresholdOp) rule.Threshold {
		n := float64(rapid.IntRange(1, 4).Draw(t, "threshold"))
		if c.Type != rule.EventCount && c.Type != rule.Temporal && rapid.IntRange(0, 4).Draw(t, "half") == 4 {
			n += 0.5
		}
		if s.crowd > 1 && c.Type != rule.Temporal && rapid.Bool().Draw(t, "many") {
			n *= float64(rapid.IntRange(2, 40).Draw(t, "times"))
		}
		return rule.Threshold{Op: rapid.SampledFrom(ops).Draw(t, "operator"), N: n}
	}
	upward := []rule.ThresholdOp{rule.OpGte, rule.OpGt}
	every := []rule.ThresholdOp{rule.OpGte, rule.OpGt, rule.OpLt, rule.OpLte, rule.OpEq, rule.OpNeq}
	switch c.Type {
	case rule.Temporal, rule.TemporalOrdered:
		n := float64(len(c.Rules))
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 0:
			c.Thresholds = []rule.Threshold{{Op: rule.OpGte, N: n}}
		case 1:
			c.Expr = s.words(t, c)
		case 2:
			if c.Type == rule.Temporal {
				c.Thresholds = []rule.Threshold{threshold(upward...)}
			} else {
				c.Thresholds = []rule.Threshold{{Op: rule.OpGt, N: n - 0.5}}
			}
		default:
			if c.Type == rule.Temporal {
				c.Thresholds = []rule.Threshold{threshold(every...)}
			} else {
				c.Thresholds = []rule.Threshold{{Op: rule.OpEq, N: n}}
			}
		}
		return
	case rule.ValueCount:
		c.Fields = rapid.SampledFrom([][]string{{"u"}, {"h"}, {"u", "h"}, {"h", "n"}}).Draw(t, "fields")
		if s.arrays && slices.ContainsFunc(c.Rules, isCorrelation) {
			c.Fields = []string{"h"}
		} else if len(c.Aliases) > 0 && rapid.Bool().Draw(t, "field aliased") {
			c.Fields = []string{"k"}
		}
	case rule.ValueSum, rule.ValueAvg, rule.ValueMedian, rule.ValuePercentile:
		c.Fields = []string{"n"}
		c.Percentile = rapid.SampledFrom([]float64{50, 0, 12.5, 25, 75, 100}).Draw(t, "percentile")
	}
	c.Thresholds = []rule.Threshold{threshold(upward...)}
	switch rapid.IntRange(0, 3).Draw(t, "form") {
	case 2:
		c.Thresholds = []rule.Threshold{threshold(every...)}
	case 3:
		c.Thresholds = append(c.Thresholds, threshold(every...))
	}
}

// words is a condition in words over the rules of a temporal type: for ordered
// ones a conjunction of names, some of them under not.
func (s *setting) words(t *rapid.T, c *rule.Correlation) rule.Expr {
	var all []rule.Expr
	for _, r := range c.Rules {
		var x rule.Expr = &rule.Ref{Name: r.Name}
		if rapid.IntRange(0, 2).Draw(t, "not") == 2 {
			x = &rule.Not{X: x}
		}
		all = append(all, x)
	}
	if c.Type == rule.TemporalOrdered || rapid.Bool().Draw(t, "and") {
		return &rule.And{X: all}
	}
	or := rule.Expr(&rule.Or{X: all})
	if rapid.IntRange(0, 3).Draw(t, "not") == 3 {
		or = &rule.Not{X: or}
	}
	return &rule.And{X: []rule.Expr{or, all[0]}}
}

// stream draws the events and how they arrive.
func (s *setting) stream(t *rapid.T) {
	n := s.crowd * rapid.IntRange(1, 40).Draw(t, "events")
	reach := rapid.SampledFrom([]int{6, 20, 60}).Draw(t, "reach")
	for i := range n {
		o := &occurrence{
			at:  s.base + s.unit*int64(rapid.IntRange(0, reach).Draw(t, "at")),
			seq: uint64(rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(t, "seq")),
		}
		binary.BigEndian.PutUint16(o.id[:], uint16(rapid.IntRange(0, 3).Draw(t, "id")))
		binary.BigEndian.PutUint16(o.id[14:], uint16(i))
		o.id[8] = 1
		mask := rapid.IntRange(1, 1<<len(s.rules)-1).Draw(t, "matches")
		for r := range s.rules {
			if mask>>r&1 == 1 {
				o.rules = append(o.rules, r)
			}
		}
		o.fields = s.fields(t)
		s.events = append(s.events, o)
		s.arrival(t, o)
	}
	slices.SortStableFunc(s.deliveries, func(a, b delivery) int {
		switch {
		case a.sooner < b.sooner:
			return -1
		case a.sooner > b.sooner:
			return 1
		}
		return 0
	})
}

func (s *setting) fields(t *rapid.T) map[string][]string {
	fields := map[string][]string{}
	some := func(name string, choices ...[]string) {
		if v := rapid.SampledFrom(choices).Draw(t, name); len(v) > 0 {
			fields[name] = v
		}
	}
	if s.arrays {
		some("g", []string{"x"}, []string{"y"}, []string{"X"}, nil, []string{"x", "y"}, []string{""})
		some("u", []string{"x"}, []string{"Ж"}, []string{"ж"}, nil, []string{"y", "x", "y"})
	} else {
		some("g", []string{"x"}, []string{"y"}, []string{"X"}, nil, []string{""})
		some("u", []string{"x"}, []string{"Ж"}, []string{"ж"}, nil)
	}
	if s.crowd > 1 {
		some("g", []string{"x"}) // windows with many hits
		fields["h"] = []string{strconv.Itoa(rapid.IntRange(1, 60).Draw(t, "h"))}
		fields["n"] = []string{strconv.Itoa(rapid.IntRange(-2, 5).Draw(t, "n"))}
		return fields
	}
	some("h", []string{"1"}, []string{"2"}, nil, []string{"1", "2"})
	some("n", []string{"1"}, []string{"2.5"}, []string{"0.1"}, []string{"-1"}, nil, []string{"n/a"}, []string{"4", "0x10", "0"}, []string{"1e1"}, []string{"NaN"}, []string{""})
	some("k", nil, nil, []string{"x"}, []string{"y"})
	return fields
}

// arrival draws how an event arrives: within the lateness of its source, all
// of its hits together or one by one, and at times once more.
func (s *setting) arrival(t *rapid.T, o *occurrence) {
	steps := 2 * s.lateness / max(1, s.unit)
	jitter := func() int64 {
		if steps == 0 {
			return 0
		}
		return s.lateness * int64(rapid.IntRange(0, int(steps)).Draw(t, "delay")) / steps
	}
	source := rapid.IntRange(0, s.sources-1).Draw(t, "source")
	deliver := func(rules []int, source int) {
		at := o.at + jitter()
		if s.lagging {
			at += s.unit * []int64{0, 7, 40}[source]
		}
		s.deliveries = append(s.deliveries, delivery{occurrence: o, rules: rules, source: source, sooner: at})
	}
	switch rapid.IntRange(0, 9).Draw(t, "arrival") {
	case 8:
		for _, r := range o.rules {
			deliver([]int{r}, source)
		}
	case 9:
		deliver(o.rules, source)
		deliver(o.rules, rapid.IntRange(0, s.sources-1).Draw(t, "source"))
	default:
		deliver(o.rules, source)
	}
}

// String shows the run for a person who looks for a fault.
func (s *setting) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "unit %s, lateness %s, %d sources\n", time.Duration(s.unit*1e3), time.Duration(s.lateness*1e3), s.sources)
	for i, e := range s.episodes {
		fmt.Fprintf(&b, "rule %s: group-by %v gap %s every %v alone %v\n", s.rules[i].Name, e.Fields, e.Gap, e.Every, s.alone)
	}
	for _, c := range s.correlations {
		names := []string{}
		for _, r := range c.Rules {
			names = append(names, r.Name)
		}
		fmt.Fprintf(&b, "%s: %s of %v group-by %v span %s aliases %v thresholds %v fields %v percentile %v generate %v %v", c.Name, c.Type, names, c.GroupBy, c.Timespan, c.Aliases, c.Thresholds, c.Fields, c.Percentile, c.Generate, c.Custom)
		if c.Expr != nil {
			fmt.Fprintf(&b, " words %s", spell(c.Expr))
		}
		b.WriteByte('\n')
	}
	for _, d := range s.deliveries {
		o := d.occurrence
		fmt.Fprintf(&b, "source %d: at %s seq %d id %x-%d rules %v %v\n", d.source, time.Duration((o.at-s.base)*1e3), o.seq, o.id[:2], o.id[15], d.rules, o.fields)
	}
	return b.String()
}

func spell(x rule.Expr) string {
	join := func(x []rule.Expr, with string) string {
		var out []string
		for _, y := range x {
			out = append(out, spell(y))
		}
		return "(" + strings.Join(out, with) + ")"
	}
	switch x := x.(type) {
	case *rule.And:
		return join(x.X, " and ")
	case *rule.Or:
		return join(x.X, " or ")
	case *rule.Not:
		return "not " + spell(x.X)
	case *rule.Ref:
		return x.Name
	}
	return "?"
}

// beginning is a watermark before all events.
const beginning = math.MinInt32
