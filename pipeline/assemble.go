package pipeline

import (
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// Limits of what waits for its missing parts, in one file. PowerShell logs a
// script block in parts of at most 16,000 characters or so, one after the
// other; the largest scripts in public incident logs are some hundred kB.
const (
	partsMax          = 4096     // parts of one event
	partTextBytesMax  = 4 << 20  // text and names of one event
	partsWaitBytesMax = 16 << 20 // the same of all events that wait
	partsEventsMax    = 4096     // events that wait
	placeBytes        = 72       // of each part: its text's slice and its evidence, on 64-bit machines
)

// Part is one part of an event that was logged in parts, as PowerShell does
// with script blocks (event 4104: MessageNumber of MessageTotal). Each part is
// matched as it stands, and the whole once all parts have been seen; a rule is
// reported once for both [D49].
type Part struct {
	// Key names the event: for script blocks computer and ScriptBlockId.
	Key string
	// Number counts from 1 to Total; Total is at least 2.
	Number, Total int
	// Text is the part's share of the text, a copy.
	Text []byte
	// Node is the record's node that holds it.
	Node int
	// Hint and RecordFormat are those of the record.
	Hint, RecordFormat string
	// Tree is the record as JSON, node for node, to be the whole's frame.
	Tree []byte
}

// Piece is a record that is a part, as an Assembler takes it.
type Piece struct {
	*Part
	Evidence
	Source      Source
	Time        time.Time
	TimeQuality event.TimeQuality
	// Options are those of the record's source.
	Options format.Options
}

// Assembler puts events in parts together, and joins the lines of audit events
// that came one by one. It takes them in the order of the
// input, on which alone the outcome depends. When a limit is exceeded the event
// that has waited longest is given up and counted. It belongs to one goroutine.
type Assembler struct {
	engine  Engine
	prepare func(Evaluator)
	eval    Evaluator
	wait    map[string]*whole
	order   []string // keys of wait, oldest first
	bytes   int
	lost    int64 // of which lostTold were told of

	lostTold int64

	frame  event.Tree
	record event.Record
	joins  joins
}

type whole struct {
	texts    [][]byte // by number-1; nil until seen
	evidence []Evidence
	missing  int
	bytes    int
	reported []int // rules
}

// NewAssembler makes an assembler. prepare, when not nil, is told of the
// evaluator that decides wholes before it is used.
func NewAssembler(e Engine, prepare func(Evaluator)) *Assembler {
	return &Assembler{engine: e, prepare: prepare, wait: make(map[string]*whole), joins: newJoins()}
}

// Reset forgets what waits, open audit events among it, and returns the number of
// events in parts that were never completed.
func (a *Assembler) Reset() int64 {
	n := a.lost + int64(len(a.wait))
	clear(a.wait)
	a.order, a.bytes, a.lost, a.lostTold = a.order[:0], 0, 0, 0
	a.joins = newJoins()
	return n
}

func (a *Assembler) drop(key string) {
	if w := a.wait[key]; w != nil {
		a.bytes -= w.bytes
		delete(a.wait, key)
		i := slices.Index(a.order, key)
		a.order = slices.Delete(a.order, i, i+1)
	}
}

// whole returns the event that p is a part of. A part seen before, or another
// total, begins the event anew: the block was logged again.
func (a *Assembler) whole(p *Part) *whole {
	w := a.wait[p.Key]
	if w != nil && (len(w.texts) != p.Total || w.texts[p.Number-1] != nil) {
		a.lost++
		a.drop(p.Key)
		w = nil
	}
	if w == nil {
		if len(a.order) >= partsEventsMax {
			a.lost++
			a.drop(a.order[0])
		}
		w = &whole{texts: make([][]byte, p.Total), evidence: make([]Evidence, p.Total), missing: p.Total, bytes: len(p.Key) + p.Total*placeBytes}
		a.bytes += w.bytes
		a.wait[p.Key] = w
		a.order = append(a.order, p.Key)
	}
	return w
}

func (p *Part) sound() bool {
	return p.Total >= 2 && p.Total <= partsMax && p.Number >= 1 && p.Number <= p.Total
}

// First reports whether the rule was not yet reported for the event that p is
// a part of, and remembers it.
func (a *Assembler) First(p *Part, ruleIndex int) bool {
	if !p.sound() {
		return true
	}
	w := a.whole(p)
	if slices.Contains(w.reported, ruleIndex) {
		return false
	}
	w.reported = append(w.reported, ruleIndex)
	return true
}

// Add takes a part in. When it completes the event, done is true, and hits are
// those rules that no part alone has met, with the whole event as JSON and the
// evidence of its parts.
func (a *Assembler) Add(f *Piece) (hits []Hit, whole []byte, parts []Evidence, done bool) {
	p := f.Part
	if !p.sound() {
		return nil, nil, nil, false
	}
	w := a.whole(p)
	w.texts[p.Number-1] = p.Text
	w.evidence[p.Number-1] = f.Evidence
	if p.Text == nil {
		w.texts[p.Number-1] = []byte{}
	}
	w.missing--
	w.bytes += len(p.Text)
	a.bytes += len(p.Text)
	if w.bytes > partTextBytesMax {
		a.lost++
		a.drop(p.Key)
		return nil, nil, nil, false
	}
	for a.bytes > partsWaitBytesMax && a.order[0] != p.Key {
		a.lost++
		a.drop(a.order[0])
	}
	if w.missing > 0 {
		return nil, nil, nil, false
	}
	a.drop(p.Key)
	all := a.evaluate(f, slices.Concat(w.texts...))
	for _, h := range all {
		if !slices.Contains(w.reported, h.Rule) {
			hits = append(hits, h)
		}
	}
	if len(hits) > 0 {
		whole = a.record.Tree.AppendJSON(nil, 0)
	}
	return hits, whole, w.evidence, true
}

// evaluate matches the completing part's record with the whole text in place
// of its own. A whole that the engine cannot bear is one without hits.
func (a *Assembler) evaluate(f *Piece, text []byte) (hits []Hit) {
	defer func() {
		if recover() != nil {
			hits, a.eval = nil, nil
		}
	}()
	a.evaluator()
	if err := a.frame.ParseJSON(f.Part.Tree); err != nil {
		return nil
	}
	r := &a.record
	r.Reset(nil)
	copyTree(&r.Tree, &a.frame, 0, f.Node, text)
	r.Format, r.Hint = f.RecordFormat, f.Hint
	r.RecordID, r.Line, r.Offset = f.Source.Record, f.Source.Line, f.Source.Offset
	r.Time, r.TimeQuality = f.Time, f.TimeQuality
	a.eval.Source(f.Options)
	if r.Tree.Err() != nil || !a.eval.Route(r).Claimed {
		return nil
	}
	return a.eval.Match()
}

// evaluator makes sure that there is one.
func (a *Assembler) evaluator() {
	if a.eval != nil {
		return
	}
	a.eval = a.engine.Evaluator()
	if a.prepare != nil {
		a.prepare(a.eval)
	}
}

// copyTree appends the subtree at i of src to dst, with text in place of the
// value at node.
func copyTree(dst, src *event.Tree, i, node int, text []byte) {
	if key := src.Key(i); key != nil {
		dst.PutKey(key)
	}
	if i == node {
		dst.PutString(text)
		return
	}
	switch src.Kind(i) {
	case event.Object, event.Array:
		if src.Kind(i) == event.Object {
			dst.BeginObject()
		} else {
			dst.BeginArray()
		}
		for c := i + 1; c < src.End(i); c = src.End(c) {
			copyTree(dst, src, c, node, text)
		}
		dst.EndContainer()
	case event.Null:
		dst.PutNull()
	case event.True, event.False:
		dst.PutBool(src.Kind(i) == event.True)
	case event.Number:
		dst.PutNumber(src.NumberText(i))
	case event.String:
		dst.PutString(src.AppendText(nil, i))
	}
}

// inRange reports whether from <= t < to; a zero bound bounds nothing.
func inRange(t, from, to time.Time) bool {
	return (from.IsZero() || !t.Before(from)) && (to.IsZero() || t.Before(to))
}
