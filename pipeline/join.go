package pipeline

import (
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/auditd"
)

// Limits of the audit events whose lines came one by one, besides those of
// package auditd for each machine.
const (
	// linesWaitBytesMax bounds what all machines of a source have open. Two
	// seconds of a fleet with 10,000 lines a second are some 10 MiB.
	linesWaitBytesMax = 16 << 20
	openEventBytes    = 512 // of each event that is open: its place in tables, its fields
	openLineBytes     = 96  // of each line: its evidence, its line end
	// lateMicros is how far what is expected moves on, in microseconds, before an
	// event that came later than expected is taken to be whole.
	lateMicros = 60 * 1e6
)

// LinePiece is a record that is a line, as an Assembler takes it.
type LinePiece struct {
	*Line
	Evidence
	Source Source
	// From tells apart what Host does not: files, and the addresses of agents
	// that do not say which machine they run on.
	From string
	// Seq orders events of equal times.
	Seq uint64
	// Group is the record's.
	Group uint64
	// Expected is the event time in microseconds before which nothing is expected
	// any more, or math.MinInt64.
	Expected int64
}

// Whole is an event joined of lines that came one by one, with the rules that
// were not reported for it before.
type Whole struct {
	Hits []Hit
	// Event is the joined record as JSON, with what stood around its first line.
	Event []byte
	// Parts is the evidence of its lines, in their order. Evidence, Source and Seq
	// are those of the last.
	Parts []Evidence
	Evidence
	Source Source
	Seq    uint64
	// Time is the event's.
	Time time.Time
	// Host is the machine that the event speaks of, or "", and Kind what it is.
	Host, Kind string
}

// openEvent is what is kept of an audit event that may have more lines.
type openEvent struct {
	parts    []Evidence
	source   Source // of the last line
	seq      uint64
	beside   []byte
	group    uint64
	due      int64 // it is whole when what is expected is later
	decided  int   // how many of its records were joined and matched
	reported []int // rules
	bytes    int
}

// machine is where lines of one log come from.
type machine struct {
	key    string
	joiner *auditd.Joiner[openEvent]
	gone   bool // nothing is open, and it is not among the machines any more
}

// joins are the audit events of an Assembler that may have more lines.
type joins struct {
	machines map[string]*machine
	order    []*machine // by when they had nothing open before; some are gone
	bytes    int
	due      int64 // no event is due before it
	joined   int64
	early    int64 // of which earlyTold were told of

	earlyTold int64

	views  map[int]bool
	parser format.Parser
	block  format.Block
	// Of the call under way:
	groups *Groups
	wholes []Whole
}

func newJoins() joins {
	return joins{machines: make(map[string]*machine), views: make(map[int]bool), due: math.MaxInt64, parser: auditd.Joined()}
}

// Joins returns how many audit events of two lines or more were joined since the
// Assembler was made or reset, and how many events were given up before they were
// whole: joined of what there was, because too much was open.
func (a *Assembler) Joins() (joined, early int64) { return a.joins.joined, a.joins.early }

// JoinedViews are the views, by index, that joined audit events have had since the
// Assembler was made. The map belongs to the Assembler.
func (a *Assembler) JoinedViews() map[int]bool { return a.joins.views }

// GivenUp returns how many events in parts, and how many audit events, were given
// up before they were whole since the last call or since a snapshot was restored.
func (a *Assembler) GivenUp() (scripts, audit int64) {
	scripts, audit = a.lost-a.lostTold, a.joins.early-a.joins.earlyTold
	a.lostTold, a.joins.earlyTold = a.lost, a.joins.early
	return scripts, audit
}

// Line takes in a line of an audit event and the rules that it met. It returns
// those of them that were not reported for the event before, and the events that
// are whole by now and meet more rules than their lines. An event is first joined
// when it seems to be whole and again if it was not; g remembers what was
// reported for the events of before.
func (a *Assembler) Line(p *LinePiece, hits []Hit, g *Groups) (told []Hit, wholes []Whole) {
	j := &a.joins
	j.groups = g
	key := p.From + "\x00" + p.Host
	need := len(key) + len(p.Text) + len(p.Beside) + openEventBytes + openLineBytes
	for j.bytes+need > linesWaitBytesMax && a.finishFirst() {
		j.early++
	}
	m := j.machines[key]
	if m == nil {
		m = a.machine(key)
	}
	e, _, ok := m.joiner.Take(p.Text)
	j.early += m.joiner.Early()
	if !ok {
		// What a parser took for an audit record is one for its joiner too.
		a.leave(m)
		return hits, a.taken()
	}
	o := &e.More
	if e.Lines == 1 {
		*o = openEvent{beside: p.Beside, group: groupIn(key, p.Group), bytes: len(key) + len(p.Beside) + openEventBytes}
		j.bytes += o.bytes
	}
	o.parts = append(o.parts, p.Evidence)
	o.source, o.seq = p.Source, p.Seq
	o.bytes += len(p.Text) + openLineBytes
	j.bytes += len(p.Text) + openLineBytes
	o.due = e.Time() * 1000
	if o.due < p.Expected {
		o.due = p.Expected + lateMicros
	}
	j.due = min(j.due, o.due)
	for _, h := range hits {
		if a.firstOf(o, h.Rule) {
			told = append(told, h)
		}
	}
	switch {
	case e.Ended():
		m.joiner.Finish(e)
	case e.Last():
		a.join(e)
	}
	a.leave(m)
	return told, a.taken()
}

// Before completes the audit events that can have no more lines when nothing
// before an event time, in microseconds, is expected any more.
func (a *Assembler) Before(expected int64, g *Groups) []Whole {
	j := &a.joins
	if expected <= j.due {
		return nil
	}
	j.groups, j.due = g, math.MaxInt64
	for _, m := range slices.Clone(j.order) {
		if m.gone {
			continue
		}
		m.joiner.All(func(e *auditd.Open[openEvent]) bool {
			if e.More.due < expected {
				m.joiner.Finish(e)
			} else {
				j.due = min(j.due, e.More.due)
			}
			return true
		})
		a.leave(m)
	}
	return a.taken()
}

// Close completes all audit events: no more lines come.
func (a *Assembler) Close(g *Groups) []Whole {
	a.joins.groups = g
	for a.finishFirst() {
	}
	return a.taken()
}

// machine begins one.
func (a *Assembler) machine(key string) *machine {
	m := &machine{key: key}
	m.joiner = auditd.NewJoiner(a.finished)
	a.joins.machines[key] = m
	a.joins.order = append(a.joins.order, m)
	return m
}

// leave forgets a machine of which nothing is open.
func (a *Assembler) leave(m *machine) {
	j := &a.joins
	if m.gone || m.joiner.Len() > 0 {
		return
	}
	m.gone = true
	delete(j.machines, m.key)
	const slack = 64
	if len(j.order) > 2*len(j.machines)+slack {
		j.order = slices.DeleteFunc(j.order, func(m *machine) bool { return m.gone })
	}
}

// finishFirst completes the oldest event of the machine that has had some open
// for longest; false when none has.
func (a *Assembler) finishFirst() bool {
	for _, m := range a.joins.order {
		if !m.gone {
			m.joiner.FinishOldest()
			a.leave(m)
			return true
		}
	}
	return false
}

// finished is told of each event that is whole or given up.
func (a *Assembler) finished(e *auditd.Open[openEvent]) {
	j := &a.joins
	o := &e.More
	if e.Records() > 1 {
		j.joined++
		if e.Records() != o.decided {
			a.join(e)
		}
	}
	j.bytes -= o.bytes
	*o = openEvent{}
}

// taken returns what a call has gathered.
func (a *Assembler) taken() []Whole {
	wholes := a.joins.wholes
	a.joins.wholes, a.joins.groups = nil, nil
	return wholes
}

// firstOf reports whether a rule was not yet reported for an event, and remembers
// it.
func (a *Assembler) firstOf(o *openEvent, rule int) bool {
	if slices.Contains(o.reported, rule) {
		return false
	}
	o.reported = append(o.reported, rule)
	return a.joins.groups.First(o.group, rule)
}

// groupIn is the group of an event of one machine: that of its lines tells only
// the events of one log apart.
func groupIn(key string, group uint64) uint64 {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(key)) // a hash never fails
	return max(sum.Sum64()^group, 1)
}

// join matches the joined record of an event as it is now. One that the engine
// cannot bear has no hits.
func (a *Assembler) join(e *auditd.Open[openEvent]) {
	if e.Records() < 2 {
		return
	}
	o := &e.More
	o.decided = e.Records()
	j := &a.joins
	defer func() {
		if recover() != nil {
			a.eval, j.parser = nil, auditd.Joined()
		}
	}()
	a.evaluator()
	a.eval.Source(format.Options{})
	j.block.Data = e.Data
	_ = j.parser.Parse(&j.block, format.Frame{End: len(e.Data) - 1}, func(rec *event.Record) { // a line that is none has been refused
		rec.RecordID, rec.Line, rec.Offset = o.source.Record, o.source.Line, o.source.Offset
		a.beside(&rec.Tree, o.beside)
		if rec.Tree.Err() != nil || !a.eval.Route(rec).Claimed {
			return
		}
		if e, ok := a.eval.(interface{ Views() []int }); ok {
			for _, v := range e.Views() {
				j.views[v] = true
			}
		}
		var hits []Hit
		for _, h := range a.eval.Match() {
			if a.firstOf(o, h.Rule) {
				hits = append(hits, h)
			}
		}
		if len(hits) == 0 {
			return
		}
		w := Whole{
			Hits: hits, Event: rec.Tree.AppendJSON(nil, 0), Parts: slices.Clone(o.parts), Evidence: o.parts[len(o.parts)-1],
			Source: o.source, Seq: o.seq, Time: time.UnixMilli(e.Time()).UTC(), Host: a.eval.Host(),
		}
		if k, ok := a.eval.(interface{ Kind() string }); ok {
			w.Kind = k.Kind()
		}
		j.wholes = append(j.wholes, w)
	})
	j.block.Data = nil
}

// beside adds the members of an object of JSON to a tree.
func (a *Assembler) beside(t *event.Tree, object []byte) {
	if len(object) == 0 || a.frame.ParseJSON(object) != nil || a.frame.Kind(0) != event.Object || !t.Reopen() {
		return
	}
	for at := 1; at < a.frame.End(0); at = a.frame.End(at) {
		t.PutKey(a.frame.Key(at))
		t.Graft(&a.frame, at)
	}
	t.EndContainer()
}
