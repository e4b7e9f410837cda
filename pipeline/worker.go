package pipeline

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"unicode/utf8"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// task is one block on its way from a file's reader through a worker to the
// collector.
type task struct {
	stream *stream
	block  format.Block
	shared bool // the block is one of the shared budget
	result result
	done   chan struct{} // receives once when the worker is through
}

// result is what a worker found in a block.
type result struct {
	found        []found
	problems     []format.Problem // the first ProblemsListedMax
	problemCount int

	records, routed, outOfRange, untimed, bytesRead int64
	duplicateFields, invalidTexts                   int64
}

func (r *result) reset() {
	clear(r.found)
	clear(r.problems)
	*r = result{found: r.found[:0], problems: r.problems[:0]}
}

// flagged counts a record with flags.
func (r *result) flagged(f event.Flags) {
	if f&event.DuplicateField != 0 {
		r.duplicateFields++
	}
	if f&event.InvalidText != 0 {
		r.invalidTexts++
	}
}

// found is a record with hits, or one that is a part or a line of an event.
type found struct {
	match Match // what the matches of the record have in common
	group uint64
	hits  []Hit
	part  *Part
	line  *Line
	// options are those of the record's source, for a record with a part.
	options format.Options
}

// worker parses, routes and matches blocks.
type worker struct {
	config *Config
	engine Engine
	eval   Evaluator
	// parser holds the parsers of open files: zones and names differ from file
	// to file, so none can be shared; common holds those, by format, that pay
	// no heed to them.
	parser map[*stream]format.Parser
	common map[string]format.Parser
	emit   func(*event.Record)
	task   *task
	frame  format.Frame
}

func newWorker(c *Config) *worker {
	w := &worker{config: c, engine: c.Engine, eval: c.Engine.Evaluator(), parser: make(map[*stream]format.Parser), common: make(map[string]format.Parser)}
	w.emit = w.record
	return w
}

// run works until tasks is closed.
func (w *worker) run(tasks <-chan *task) {
	for t := range tasks {
		w.block(t)
		t.done <- struct{}{}
	}
}

func (w *worker) block(t *task) {
	t.result.reset()
	w.task = t
	for s := range w.parser {
		if s.collected.Load() {
			delete(w.parser, s)
		}
	}
	for next := 0; next < len(t.block.Frames); {
		next = w.frames(next)
	}
}

// frames works on the frames of the block from the given one and returns the
// frame to go on with: the one behind a frame that panicked.
func (w *worker) frames(from int) (next int) {
	t := w.task
	s := t.stream
	defer func() {
		if r := recover(); r != nil {
			w.problem(w.frame, fmt.Errorf("internal error while reading this record, please report it: %v", r))
			// What panicked may have been left half changed.
			delete(w.parser, s)
			delete(w.common, s.format.Name)
			w.eval = w.engine.Evaluator()
			next++
		}
	}()
	w.eval.Source(s.options)
	p := w.parserOf(s)
	for next = from; next < len(t.block.Frames); next++ {
		w.frame = t.block.Frames[next]
		t.result.bytesRead += int64(w.frame.End - w.frame.Start)
		if err := p.Parse(&t.block, w.frame, w.emit); err != nil {
			w.problem(w.frame, err)
		}
	}
	return next
}

// parserOf returns the worker's parser for a stream.
func (w *worker) parserOf(s *stream) format.Parser {
	if s.format.AnyOptions {
		p := w.common[s.format.Name]
		if p == nil {
			p = s.format.NewParser(s.options)
			w.common[s.format.Name] = p
		}
		return p
	}
	p := w.parser[s]
	if p == nil {
		p = s.format.NewParser(s.options)
		w.parser[s] = p
	}
	return p
}

func (w *worker) problem(f format.Frame, err error) {
	r := &w.task.result
	if r.problemCount++; len(r.problems) < ProblemsListedMax {
		r.problems = append(r.problems, format.Problem{Offset: f.Offset, Line: f.Line, Err: err})
	}
}

// record is what a parser calls for each record.
func (w *worker) record(rec *event.Record) {
	r := &w.task.result
	r.records++
	routed := w.eval.Route(rec)
	if routed.Flags != 0 {
		r.flagged(routed.Flags)
	}
	if !routed.Claimed {
		return
	}
	r.routed++
	if rec.TimeQuality == event.TimeMissing {
		r.untimed++
	} else if !inRange(rec.Time, w.config.From, w.config.To) {
		r.outOfRange++
		return
	}
	hits := w.eval.Match()
	if len(hits) == 0 && routed.Part == nil && routed.Line == nil {
		return
	}
	if p := routed.Part; p != nil {
		p.RecordFormat, p.Hint = rec.Format, rec.Hint
		p.Tree = rec.Tree.AppendJSON(nil, 0)
	}
	s := w.task.stream
	r.found = append(r.found, found{
		match: Match{
			Time: rec.Time, TimeQuality: rec.TimeQuality, Host: w.eval.Host(),
			Source: Source{Path: s.path, Format: rec.Format, Record: rec.RecordID, Line: rec.Line, Offset: rec.Offset},
			Evidence: Evidence{
				ID:      event.EventID(event.LocalTenant, s.path, event.FilePosition(s.fingerprint, rec.Offset)),
				RawHash: sha256.Sum256(rec.Raw),
			},
		},
		group: rec.Group, hits: hits, part: routed.Part, line: routed.Line, options: s.options,
	})
	if len(hits) > 0 {
		r.found[len(r.found)-1].match.Event = EventJSON(rec)
	}
}

// EventJSON returns a copy of the record as one line of JSON: its very bytes
// where it was JSON on one line, its tree otherwise.
func EventJSON(rec *event.Record) []byte {
	if rec.Format == "json" && oneLine(rec.Raw) {
		return bytes.Clone(bytes.TrimSpace(rec.Raw))
	}
	return rec.Tree.AppendJSON(nil, 0)
}

// oneLine reports whether JSON text that a parser has accepted is valid JSON
// on one line: the parser lets control characters and invalid UTF-8 pass.
func oneLine(raw []byte) bool {
	for _, c := range bytes.TrimRight(raw, "\r\n") {
		if c < 0x20 {
			return false
		}
	}
	return utf8.Valid(raw)
}
