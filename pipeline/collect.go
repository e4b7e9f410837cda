package pipeline

import (
	"math"
	"slices"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/rule"
)

// collector takes results in the order of the input and hands them out. All
// state that spans records lives here and starts anew with each file, so that
// a file gives the same matches alone and among others.
type collector struct {
	config *Config
	rules  []*rule.Rule
	stats  Stats
	stream *stream
	format int // index into stats.Formats
	// records and unrouted are those of the stream.
	records, unrouted int64
	groups            Groups
	parts             *Assembler
}

func newCollector(c *Config) *collector {
	rules := c.Engine.Rules()
	return &collector{
		config: c, rules: rules,
		stats: Stats{RuleMatches: make([]int64, len(rules))},
		parts: NewAssembler(c.Engine, nil),
	}
}

// formatStats returns the index of the figures of a format.
func (c *collector) formatStats(name string) int {
	i := slices.IndexFunc(c.stats.Formats, func(f FormatStats) bool { return f.Name == name })
	if i < 0 {
		c.stats.Formats = append(c.stats.Formats, FormatStats{Name: name})
		i = len(c.stats.Formats) - 1
	}
	return i
}

func (c *collector) begin(st *stream) {
	c.stream = st
	if name := st.format.Name; name != "" {
		c.stats.Files++
		c.format = c.formatStats(name)
		c.stats.Formats[c.format].Files++
	}
}

// end tells what no pack knew of the stream and forgets what spans its records.
func (c *collector) end() {
	if c.unrouted > 0 && c.config.Unrouted != nil {
		c.config.Unrouted(c.stream.path, c.records, c.unrouted)
	}
	c.records, c.unrouted = 0, 0
	c.groups.Reset()
	joined, early := c.parts.Joins()
	c.stats.Joined += joined
	c.stats.JoinedEarly += early
	c.stats.Incomplete += c.parts.Reset()
	c.stream = nil
}

// problems counts n problems of a file, the first of which are listed.
func (c *collector) problems(path, formatName string, list []format.Problem, n int) {
	if n == 0 {
		return
	}
	c.stats.Problems += int64(n)
	if formatName != "" {
		c.stats.Formats[c.formatStats(formatName)].Problems += int64(n)
	}
	if c.config.Problem != nil {
		c.config.Problem(path, list[:min(len(list), ProblemsListedMax)], n)
	}
}

// take hands out what a worker found in one block.
func (c *collector) take(t *task) error {
	r := &t.result
	c.stats.Records += r.records
	c.stats.Routed += r.routed
	c.stats.Unrouted += r.records - r.routed
	c.records += r.records
	c.unrouted += r.records - r.routed
	c.stats.OutOfRange += r.outOfRange
	c.stats.Untimed += r.untimed
	c.stats.DuplicateFields += r.duplicateFields
	c.stats.InvalidTexts += r.invalidTexts
	c.stats.Bytes += r.bytesRead
	c.stats.Formats[c.format].Records += r.records
	c.problems(t.stream.path, t.stream.format.Name, inOrder(t.block.Problems, r.problems), len(t.block.Problems)+r.problemCount)
	for i := range r.found {
		f := &r.found[i]
		if err := c.record(f); err != nil {
			return err
		}
	}
	return nil
}

// inOrder merges two lists of problems, each in the order of the file.
func inOrder(a, b []format.Problem) []format.Problem {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := slices.Concat(a, b)
	slices.SortStableFunc(out, func(x, y format.Problem) int {
		switch {
		case x.Offset < y.Offset:
			return -1
		case x.Offset > y.Offset:
			return 1
		}
		return 0
	})
	return out
}

// record reports a record's hits: of a group, and of an event in parts, each
// rule once.
func (c *collector) record(f *found) error {
	if f.line != nil {
		return c.line(f)
	}
	for _, h := range f.hits {
		if f.group != 0 && !c.groups.First(f.group, h.Rule) {
			continue
		}
		if f.part != nil && !c.parts.First(f.part, h.Rule) {
			continue
		}
		if err := c.hand(f, h, f.match.Event, nil); err != nil {
			return err
		}
	}
	if f.part == nil {
		return nil
	}
	hits, event, parts, done := c.parts.Add(&Piece{
		Part: f.part, Evidence: f.match.Evidence, Source: f.match.Source, Time: f.match.Time, TimeQuality: f.match.TimeQuality, Options: f.options,
	})
	if done {
		c.stats.Reassembled++
	}
	for _, h := range hits {
		if err := c.hand(f, h, event, parts); err != nil {
			return err
		}
	}
	return nil
}

// line reports the hits of a line of an audit event, and of the events that it
// completes.
func (c *collector) line(f *found) error {
	told, wholes := c.parts.Line(&LinePiece{
		Line: f.line, Evidence: f.match.Evidence, Source: f.match.Source, Group: f.group, Expected: math.MinInt64,
	}, f.hits, &c.groups)
	for _, h := range told {
		if err := c.hand(f, h, f.match.Event, nil); err != nil {
			return err
		}
	}
	return c.wholes(wholes)
}

func (c *collector) wholes(wholes []Whole) error {
	for i := range wholes {
		w := &wholes[i]
		f := found{match: Match{Time: w.Time, TimeQuality: event.TimeParsed, Host: w.Host, Source: w.Source, Evidence: w.Evidence}}
		for _, h := range w.Hits {
			if err := c.hand(&f, h, w.Event, w.Parts); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish completes what has no more lines to come, behind the last record of a
// stream.
func (c *collector) finish() error { return c.wholes(c.parts.Close(&c.groups)) }

func (c *collector) hand(f *found, h Hit, event []byte, parts []Evidence) error {
	m := f.match
	m.Parts = parts
	m.Rule, m.RuleIndex, m.View, m.Fields, m.Key, m.Event = c.rules[h.Rule], h.Rule, h.View, h.Fields, h.Key, event
	if int(m.Rule.Level) < len(c.stats.Matches) {
		c.stats.Matches[m.Rule.Level]++
	}
	c.stats.RuleMatches[h.Rule]++
	if c.config.Progress != nil {
		c.config.Progress.Matches.Add(1)
	}
	return c.config.Match(&m)
}

// groupsMax bounds the groups remembered at once. The records of one event
// stand close together: the kernel writes an audit event's records within
// milliseconds of each other.
const groupsMax = 1024

// Groups remembers which rules were reported for the last groups of records.
// The zero value is ready; it belongs to one goroutine.
type Groups struct {
	seen  map[uint64][]int
	order []uint64
}

// Reset forgets all groups.
func (g *Groups) Reset() {
	clear(g.seen)
	g.order = g.order[:0]
}

// First reports whether the rule was not yet reported for the group, and
// remembers it.
func (g *Groups) First(group uint64, ruleIndex int) bool {
	reported, known := g.seen[group]
	if slices.Contains(reported, ruleIndex) {
		return false
	}
	if !known {
		if g.seen == nil {
			g.seen = make(map[uint64][]int)
		}
		if len(g.order) == groupsMax {
			delete(g.seen, g.order[0])
			g.order = append(g.order[:0], g.order[1:]...)
		}
		g.order = append(g.order, group)
	}
	g.seen[group] = append(reported, ruleIndex)
	return true
}
