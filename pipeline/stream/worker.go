package stream

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/pipeline"
)

// outcome is what a worker found in one batch, before what depends on the
// order of batches.
type outcome struct {
	version Version
	batch   ingest.Batch
	// measure says that presence is wanted.
	measure bool
	// times are the event times of the frames that are records, in
	// microseconds; a frame with several records has the latest of theirs.
	times   []int64
	found   []foundRecord
	unread  []Unread
	numbers []numberRun
	types   []TypeCount
	// views are those that records had, and presence, of some batches, whether
	// the fields that rules need were there.
	views    map[int]bool
	presence []health.FieldCount

	unrouted, unparsed, droppedBytes       uint64
	duplicateFields, invalidTexts, flagged uint64
	doubtful                               Doubtful
	// newest is the latest event time, at most the receive time.
	newest int64
}

// foundRecord is a record with hits, or one that is a part or a line of an event.
type foundRecord struct {
	evidence Evidence
	own      bool // the evidence's Seq does not depend on the place in the log
	source   pipeline.Source
	time     time.Time
	quality  event.TimeQuality
	group    uint64
	hits     []pipeline.Hit
	part     *pipeline.Part
	line     *pipeline.Line
	options  format.Options
}

// numberRun is a run of consecutive numbers of one stream.
type numberRun struct {
	stream   string
	from, to uint64
	time     int64
}

// evaluators are one worker's for one content.
type evaluators struct {
	content *Content
	plain   *pipeline.SigmaEvaluator
	metered *pipeline.SigmaEvaluator
	stats   []detect.Stats
	batches int
}

// measuredEvery is how often a batch of each source is looked through for the
// fields that rules need: 30 batches in each window of drift, so that a small
// source is known in time and a large one costs nothing to speak of.
const measuredEvery = 10 * time.Second

// parsersMax bounds the parsers that a worker keeps: one for each format and
// name of a source.
const parsersMax = 256

// streamsMax bounds the names of streams that a worker keeps: as many hosts
// with some channels each.
const streamsMax = 10_000

type parserKey struct {
	format, name, zone string
	reference          int64
}

// worker evaluates batches. It belongs to one goroutine.
type worker struct {
	formats func(name string) (format.Format, bool)
	detect  func(head []byte) (format.Format, bool)
	now     func() int64
	took    func(nanos int64) // told of each evaluation in metered batches

	evals   []*evaluators // newest last
	parsers map[parserKey]format.Parser
	streams map[string]string // names of streams of numbers, each once

	metering

	// Of the batch under way:
	eval     *pipeline.SigmaEvaluator
	measured bool
	out      *outcome
	source   *Source
	tenant   event.Tenant
	options  format.Options
	index    int   // of the frame
	latest   int64 // event time of the frame's records
	records  int   // of the frame
	emit     func(*event.Record)
	stream   []byte
	lastRun  int
}

func newWorker(formats func(string) (format.Format, bool), detectFormat func([]byte) (format.Format, bool), now func() int64, took func(nanos int64)) *worker {
	w := &worker{formats: formats, detect: detectFormat, now: now, took: took, parsers: make(map[parserKey]format.Parser), streams: make(map[string]string)}
	w.emit = w.record
	w.taken = now()
	return w
}

// contentsKept is how many contents a worker keeps evaluators for: the one that
// is going and the one that is coming.
const contentsKept = 2

// use returns the worker's evaluators for a content.
func (w *worker) use(c *Content) *evaluators {
	for _, e := range w.evals {
		if e.content == c {
			return e
		}
	}
	e := &evaluators{content: c}
	w.make(e)
	if len(w.evals) >= contentsKept {
		w.evals = append(w.evals[:0], w.evals[1:]...)
	}
	w.evals = append(w.evals, e)
	return e
}

// evaluate decides the records of a batch. out.batch is set; the rest is filled.
func (w *worker) evaluate(c *Content, tenant event.Tenant, source *Source, out *outcome) {
	defer func() { w.out = nil }() // what was found may be much, and the next batch far
	e := w.use(c)
	e.batches++
	w.measured = out.measure
	b := &out.batch
	out.version = c.Version
	w.out, w.source, w.tenant, w.lastRun = out, source, tenant, -1
	for _, r := range b.Refused {
		w.unread(len(b.Frames)+len(out.unread), b.Data[r.Start:r.End], r.Reason, r.Detail, r.End-r.Start)
	}
	w.options = format.Options{Zone: source.Zone, Reference: b.Received.Add(yearSlack), Name: b.Dataset}
	kind := b.Format
	if f := b.File; f != nil {
		w.options.Name = f.Name
		if !f.Reference.IsZero() {
			w.options.Reference = f.Reference
		}
	}
	if kind == "" {
		kind = source.Format
	}
	w.enter(e, e.batches%meteredEvery == 0 || w.due(w.now()))
	defer w.leave()
	block, err := w.block(kind)
	if err != nil {
		for i, f := range b.Frames {
			w.unread(i, b.Data[f.Start:f.End], ingest.ReasonUnparsed, err.Error(), f.End-f.Start)
		}
		return
	}
	for next := 0; next < len(b.Frames); {
		next = w.frames(kind, &block, next)
	}
	if out.newest > b.Received.UnixMicro() {
		out.newest = b.Received.UnixMicro()
	}
}

// yearSlack lets a record without a year be a day ahead of its receive time: the
// sender's clock and zone may be.
const yearSlack = 24 * time.Hour

// prepare tells an evaluator of the source.
func (w *worker) prepare(e *pipeline.SigmaEvaluator) {
	e.Source(w.options)
	e.Pin(w.source.Pack)
}

// block returns the block that the batch's frames are read from.
func (w *worker) block(kind string) (format.Block, error) {
	b := &w.out.batch
	if kind == "" {
		return b.Block(&format.Format{})
	}
	f, ok := w.formats(kind)
	if !ok {
		return format.Block{}, fmt.Errorf("no format is called %q", kind)
	}
	return b.Block(&f)
}

// frames works on the frames from one on and returns the frame to go on with:
// the one behind a frame that panicked.
func (w *worker) frames(kind string, block *format.Block, from int) (next int) {
	defer func() {
		if r := recover(); r != nil {
			f := block.Frames[next]
			w.forget()
			w.unread(next, block.Data[f.Start:f.End], ingest.ReasonPanic, fmt.Sprintf("%v\n%s", r, debug.Stack()), f.End-f.Start)
			next++
		}
	}()
	next = from
	// A format that is known is the same for all of them.
	var known format.Parser
	var unknown error
	if kind != "" {
		known, unknown = w.parser(kind, nil)
	}
	for ; next < len(block.Frames); next++ {
		if next%pacedEvery == pacedEvery-1 {
			w.pace()
		}
		f := block.Frames[next]
		p, err := known, unknown
		if kind == "" {
			p, err = w.parser(kind, block.Data[f.Start:f.End])
		}
		if err == nil {
			w.index, w.records, w.latest = next, 0, 0
			err = p.Parse(block, f, w.emit)
		}
		if err != nil {
			reason := ingest.ReasonUnparsed
			if limit := new(event.LimitError); errors.As(err, &limit) {
				reason = ingest.ReasonLimit
			}
			w.unread(next, block.Data[f.Start:f.End], reason, err.Error(), f.End-f.Start)
			continue
		}
		if w.records == 0 {
			w.latest = w.out.batch.Received.UnixMicro()
		}
		w.out.times = append(w.out.times, w.latest)
	}
	return next
}

// forget drops what a panic may have left half changed.
func (w *worker) forget() {
	clear(w.parsers)
	w.renew()
}

// parser returns the parser for a frame.
func (w *worker) parser(kind string, raw []byte) (format.Parser, error) {
	var f format.Format
	ok := true
	if kind == "" {
		if f, ok = w.detect(raw); !ok {
			return nil, errors.New("not a record in a known format")
		}
		kind = f.Name
	}
	k := parserKey{format: kind}
	if f.Name == "" {
		f, ok = w.formats(kind)
	}
	if !ok {
		return nil, fmt.Errorf("no format is called %q", kind)
	}
	if !f.AnyOptions {
		k.name, k.reference = w.options.Name, w.options.Reference.Unix()/86400
		if w.options.Zone != nil {
			k.zone = w.options.Zone.String()
		}
	}
	p := w.parsers[k]
	if p == nil {
		if len(w.parsers) >= parsersMax {
			clear(w.parsers)
		}
		p = f.NewParser(w.options)
		w.parsers[k] = p
	}
	return p, nil
}

// unread puts a record into quarantine.
func (w *worker) unread(index int, raw []byte, reason, detail string, size int) {
	const detailMax = 2 << 10
	w.out.unread = append(w.out.unread, Unread{
		Index: index, Reason: reason, Detail: detail[:min(len(detail), detailMax)], Format: w.out.batch.Format, Peer: w.out.batch.Peer,
		Bytes: size, Raw: bytes.Clone(raw),
	})
}

// record is what a parser calls for each record.
func (w *worker) record(rec *event.Record) {
	out, b := w.out, &w.out.batch
	w.records++
	if b.File == nil && rec.Text == nil && rec.Format == "auditd" {
		rec.Text = rec.Raw // what is not of a file may have lines elsewhere
	}
	routed := w.eval.Route(rec)
	if !routed.Claimed {
		out.unrouted++
	}
	at := b.Received.UnixMicro()
	if !rec.Time.IsZero() {
		at = rec.Time.UnixMicro()
	}
	w.latest = max(w.latest, at)
	out.newest = max(out.newest, at)
	if routed.Flags != 0 {
		w.flagged(rec, routed.Flags, at)
	}
	w.volume(w.eval.Kind(), len(rec.Raw))
	w.looked()
	var given uint64
	if stream, number, ok := w.eval.Number(w.stream[:0]); ok {
		w.stream, given = stream, number
		own := int64(0) // a record without a time of its own cannot tell a new numbering
		if !rec.Time.IsZero() {
			own = at
		}
		w.number(stream, number, own)
	}
	if !routed.Claimed {
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
	seq, own := w.seq(rec, given)
	f := foundRecord{
		own: own,
		evidence: Evidence{
			ID: w.eventID(rec), RawHash: sha256.Sum256(rec.Raw), Index: w.index, Time: at, Seq: seq,
			Host: w.eval.Host(), Kind: w.eval.Kind(),
		},
		source: pipeline.Source{Format: rec.Format, Record: rec.RecordID, Line: rec.Line, Offset: rec.Offset},
		time:   rec.Time, quality: rec.TimeQuality, group: rec.Group, hits: hits, part: routed.Part, line: routed.Line, options: w.options,
	}
	if len(hits) > 0 || routed.Line == nil {
		f.evidence.Event = w.kept(rec)
	}
	out.found = append(out.found, f)
}

// flagged counts a record whose parsed form is doubtful, and keeps the first.
func (w *worker) flagged(rec *event.Record, flags event.Flags, at int64) {
	out := w.out
	if flags&event.DuplicateField != 0 {
		out.duplicateFields++
	}
	if flags&event.InvalidText != 0 {
		out.invalidTexts++
	}
	if out.flagged++; out.flagged == 1 {
		key := w.eval.DuplicateKey()
		out.doubtful = Doubtful{ID: w.eventID(rec), Index: w.index, Time: at, Key: string(key[:min(len(key), reasonValueMax)])}
	}
}

// looked notes the views of a record and, in a batch that is measured, which
// fields it has.
func (w *worker) looked() {
	for _, v := range w.eval.Views() {
		if !w.out.views[v] {
			if w.out.views == nil {
				w.out.views = make(map[int]bool)
			}
			w.out.views[v] = true
		}
	}
	if !w.measured {
		return
	}
	w.eval.Presence(func(view, field string, present bool) {
		var f *health.FieldCount
		for i := range w.out.presence {
			if p := &w.out.presence[i]; p.View == view && p.Field == field {
				f = p
				break
			}
		}
		if f == nil {
			if len(w.out.presence) >= health.FieldsMax {
				return
			}
			w.out.presence = append(w.out.presence, health.FieldCount{View: view, Field: field})
			f = &w.out.presence[len(w.out.presence)-1]
		}
		f.Records++
		if present {
			f.Present++
		}
	})
}

// kept is what is kept of a record: its JSON without the fields that the source
// is told to drop, or nothing of a source that is for detection only. What is
// left out is counted.
func (w *worker) kept(rec *event.Record) []byte {
	full := pipeline.EventJSON(rec)
	if w.source.DetectOnly {
		w.out.droppedBytes += uint64(len(full))
		return nil
	}
	if len(w.source.DropFields) == 0 {
		return full
	}
	kept := rec.Tree.AppendJSONWithout(nil, w.source.DropFields)
	if n := len(full) - len(kept); n > 0 {
		w.out.droppedBytes += uint64(n)
	}
	return kept
}

// eventID derives the id of a record from where it stands.
func (w *worker) eventID(rec *event.Record) event.ID {
	b := &w.out.batch
	at := event.BatchPosition(b.Key, w.index<<recordsInFrameBits|min(w.records-1, 1<<recordsInFrameBits-1))
	switch {
	case b.File != nil:
		at = event.FilePosition(b.File.Fingerprint, rec.Offset)
	case len(b.Native) > w.index && len(b.Native[w.index]) > 0:
		at = event.NativePosition(b.Native[w.index])
	}
	return event.EventID(w.tenant, w.source.Name, at)
}

// recordsInFrameBits leave room for the records of one frame in the index of an
// event; a frame with more gives the rest one id, which no known format does.
const recordsInFrameBits = 12

// seq orders events of equal times: the record's own number, where it stands in
// its file, which are its own, or where it stands in its batch. A record with an
// id of its own may come again in another batch, at another place, and is then the
// same event: it has the number that the sender gave it, or none, and its id
// decides.
func (w *worker) seq(rec *event.Record, given uint64) (seq uint64, own bool) {
	b := &w.out.batch
	switch {
	case rec.RecordID != 0:
		return rec.RecordID, true
	case b.File != nil:
		return uint64(rec.Offset), true
	case len(b.Native) > w.index && len(b.Native[w.index]) > 0:
		return given, true
	}
	return uint64(w.index), false
}

// volume counts a record of a kind.
func (w *worker) volume(kind string, size int) {
	for i := range w.out.types {
		if t := &w.out.types[i]; t.Name == kind {
			t.Events++
			t.Bytes += uint64(size)
			return
		}
	}
	if len(w.out.types) >= typesMax {
		if kind != "other" {
			w.volume("other", size)
			return
		}
	}
	w.out.types = append(w.out.types, TypeCount{Name: kind, Events: 1, Bytes: uint64(size)})
}

// typesMax bounds the kinds told apart in one batch; "other" may come on top.
const typesMax = 64

// number notes a number that the sender gave.
func (w *worker) number(stream []byte, n uint64, at int64) {
	runs := w.out.numbers
	if w.lastRun >= 0 {
		if r := &runs[w.lastRun]; r.stream == string(stream) {
			if n == r.to+1 {
				r.to, r.time = n, max(r.time, at)
				return
			}
		} else {
			// Streams come in turns: look for the one whose run goes on.
			for i := len(runs) - 1; i >= max(0, len(runs)-8); i-- {
				if r := &runs[i]; n == r.to+1 && r.stream == string(stream) {
					r.to, r.time = n, max(r.time, at)
					w.lastRun = i
					return
				}
			}
		}
	}
	name, ok := w.streams[string(stream)]
	if !ok {
		if len(w.streams) >= streamsMax {
			clear(w.streams)
		}
		name = string(stream)
		w.streams[name] = name
	}
	w.out.numbers = append(runs, numberRun{stream: name, from: n, to: n, time: at})
	w.lastRun = len(w.out.numbers) - 1
}
