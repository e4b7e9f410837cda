package stream

import (
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/store"
)

// task is one entry of an events partition on its way through stage 1.
type task struct {
	feed   *feed
	offset int64
	meta   ingest.Meta
	// payload is what batch borrows.
	payload []byte
	out     *outcome // nil unless a batch was read
	// damaged says why the entry could not be read, through what offset.
	damaged string
	through int64
	records int // of a damaged entry, where its meta is sound
	bytes   int
	started time.Time
	done    bool
}

// section in hand: encoded, with what must happen once it is in the log.
type output struct {
	through  int64 // the next offset of the feed
	data     []byte
	snapshot []byte // of the feed behind it, when one is due
	received int64
}

// feed is one events partition in stage 1. The scheduler owns what stands
// first; mu guards the rest.
type feed struct {
	partition store.Partition
	source    *Source
	// since is the first offset whose section is for the scope that the source
	// has; it changes only while the feed is opened.
	since int64

	// Owned by the scheduler, under its lock:
	next, head int64 // the next offset to hand out, and the log's
	inFlight   int
	waiting    int // outputs that are not in the log yet
	vtime      float64

	mu      sync.Mutex
	pending []*task // in order of offset
	outputs []output

	// State, a function of what was read:
	content   *Content
	watermark int64 // microseconds; never before the first record
	assembler *pipeline.Assembler
	groups    pipeline.Groups
	sequences *health.Sequences
	collected int64 // the next offset
	// written is the next offset whose section is not in the log yet.
	written int64

	version    Version   // of the content behind all that is in the log
	snapshotAt time.Time // when the last was taken
	// reread is where the log ended at the start: once there, the state is kept
	// again, so that a process that is killed again and again gets on.
	reread     int64
	lastSeen   int64 // receive time of the last batch collected
	measuredAt int64 // that of the last batch that was looked through for fields

	// What came, for people; since the process started.
	arrived, arrivedBytes uint64
	arrivedAt             int64
	unrouted, flagged     uint64
	// views are the names of those that its records have had.
	views map[string]bool

	backlog backlog
}

const never = math.MinInt64

// settle gives the feed the content that decides what comes next.
func (f *feed) settle(c *Content) {
	var waiting []byte
	if f.assembler != nil {
		waiting = f.assembler.AppendSnapshot(nil)
	}
	old := f.content
	f.content = c
	f.assembler = pipeline.NewAssembler(c.Sigma, func(e pipeline.Evaluator) {
		e.(*pipeline.SigmaEvaluator).Pin(f.source.Pack)
	})
	if old != nil {
		// Both read what this program wrote a moment ago.
		if err := f.assembler.RestoreSnapshot(waiting); err != nil {
			panic("stream: an assembler cannot read its own snapshot")
		}
		f.groups.Move(old.Sigma, c.Sigma)
	}
}

// collect takes the entry that is due. contents finds a content by its version.
func (f *feed) collect(t *task, contents func(Version) (*Content, error)) (*Section, error) {
	s := &Section{Source: f.partition.Source, Protocol: t.meta.Protocol, Shard: f.partition.Shard, Offset: t.offset, Next: t.through, Kind: t.meta.Kind, Received: t.meta.Received}
	switch {
	case t.damaged != "":
		s.Kind = ingest.KindBatch
		s.Counts.Records, s.Counts.Damaged = uint64(t.records), uint64(t.records)
	case t.meta.Kind == ingest.KindHeartbeat:
		f.advance(t.meta.Received)
	case t.meta.Kind == ingest.KindContent:
		c, err := contents(Version(t.meta.Key))
		if err != nil {
			return nil, err
		}
		f.settle(c)
	default:
		f.batch(t, s)
	}
	if f.sequences != nil && s.Received > 0 {
		f.gaps(s)
	}
	f.joined(f.assembler.Before(f.watermark, &f.groups), s, 0)
	if s.Last {
		f.joined(f.assembler.Close(&f.groups), s, 0)
	}
	f.saw(f.assembler.JoinedViews())
	s.Counts.Matches = uint64(len(s.Hits))
	s.Watermark = f.watermark
	f.collected = t.through
	f.backlog.done(t.through)
	return s, nil
}

// observe takes the numbers that a batch's records had.
func (f *feed) observe(runs []numberRun, received int64) {
	for i := range runs {
		r := &runs[i]
		host, channel := splitStream(r.stream)
		key := health.Stream{Kind: health.RecordID, Source: f.source.Name, Host: host, Channel: channel}
		if !f.sequences.Watched(key) {
			continue
		}
		for n := r.from; ; n++ {
			f.sequences.Observe(key, n, r.time, received)
			if n == r.to {
				break
			}
		}
	}
}

// splitStream takes a stream of numbers apart: the channel comes last.
func splitStream(stream string) (host, channel string) {
	i := strings.LastIndexByte(stream, 0)
	if i < 0 {
		return "", stream
	}
	return strings.ReplaceAll(stream[:i], "\x00", " "), stream[i+1:]
}

// gaps adds the runs of numbers that are known to be missing by now.
func (f *feed) gaps(s *Section) {
	gap := func(g *health.Gap) Gap {
		return Gap{
			ID: g.ID, Kind: string(g.Stream.Kind), Host: g.Stream.Host, Channel: g.Stream.Channel, From: g.From, To: g.To,
			Missing: g.Missing, Before: g.Before, After: g.After, Found: g.FoundAt,
		}
	}
	found, filled := f.sequences.Settle(s.Received)
	for i := range found {
		s.Gaps = append(s.Gaps, gap(&found[i]))
	}
	for i := range filled {
		g := gap(&filled[i].Gap)
		g.Filled = true
		for _, left := range filled[i].Remaining {
			g.Remaining = append(g.Remaining, ledger.Numbers{From: left.From, To: left.To})
		}
		s.Gaps = append(s.Gaps, g)
	}
}

// advance moves the watermark: nothing older than at less the lateness is
// expected any more.
func (f *feed) advance(at int64) {
	if at == never || f.source.Import {
		return
	}
	f.watermark = max(f.watermark, at-f.source.lateness())
}

// batch does what depends on the order of batches.
func (f *feed) batch(t *task, s *Section) {
	out := t.out
	f.lastSeen = t.meta.Received
	c := &s.Counts
	c.Records = uint64(out.batch.Records())
	c.Quarantined = uint64(len(out.unread))
	for _, at := range out.times {
		if at < f.watermark {
			c.Late++
		} else {
			c.Evaluated++
		}
	}
	c.Unrouted, c.Unparsed, c.DroppedBytes, c.Types = out.unrouted, out.unparsed, out.droppedBytes, out.types
	c.DuplicateFields, c.InvalidTexts, c.Flagged, s.Doubtful = out.duplicateFields, out.invalidTexts, out.flagged, out.doubtful
	f.unrouted += out.unrouted
	f.flagged += out.flagged
	s.Quarantine = out.unread
	s.Last = out.batch.File != nil && out.batch.File.Last
	if f.sequences != nil {
		f.observe(out.numbers, t.meta.Received)
	}
	f.saw(out.views)
	rules := f.content.Sigma.Rules()
	for i := range out.found {
		r := &out.found[i]
		r.evidence.Seq = r.seq(t.offset)
		at := -1
		hand := func(h pipeline.Hit) {
			if at < 0 {
				at = len(s.Evidence)
				s.Evidence = append(s.Evidence, r.evidence)
			}
			s.hit(at, rules[h.Rule].ID, h, f.content)
		}
		if r.line != nil {
			f.line(r, s, out)
			continue
		}
		for _, h := range r.hits {
			if r.group != 0 && !f.groups.First(r.group, h.Rule) {
				continue
			}
			if r.part != nil && !f.assembler.First(r.part, h.Rule) {
				continue
			}
			hand(h)
		}
		if r.part == nil {
			continue
		}
		hits, whole, parts, _ := f.assembler.Add(&pipeline.Piece{
			Part: r.part, Evidence: pipeline.Evidence{ID: r.evidence.ID, RawHash: r.evidence.RawHash},
			Source: r.source, Time: r.time, TimeQuality: r.quality, Options: r.options,
		})
		if len(hits) == 0 {
			continue
		}
		e := r.evidence
		kept, dropped := f.source.keep(whole)
		e.Event = kept
		c.DroppedBytes += dropped
		for _, p := range parts {
			e.Parts = append(e.Parts, p.ID)
		}
		s.Evidence = append(s.Evidence, e)
		for _, h := range hits {
			s.hit(len(s.Evidence)-1, rules[h.Rule].ID, h, f.content)
		}
	}
	if len(out.times) > 0 {
		f.advance(out.newest)
	}
}

// saw notes the views that records have had.
func (f *feed) saw(views map[int]bool) {
	for v := range views {
		if name := f.content.Sigma.ViewName(v); !f.views[name] {
			if f.views == nil {
				f.views = make(map[string]bool)
			}
			f.views[name] = true
		}
	}
}

// line takes in a line of an audit event.
func (f *feed) line(r *foundRecord, s *Section, out *outcome) {
	from := out.batch.Peer
	if file := out.batch.File; file != nil {
		from = string(file.Fingerprint[:])
	} else if r.line.Host != "" {
		from = "" // a machine may come by several ways
	}
	told, wholes := f.assembler.Line(&pipeline.LinePiece{
		Line: r.line, Evidence: pipeline.Evidence{ID: r.evidence.ID, RawHash: r.evidence.RawHash}, Source: r.source,
		From: from, Seq: r.evidence.Seq, Group: r.group, Expected: f.watermark,
	}, r.hits, &f.groups)
	if len(told) > 0 {
		s.Evidence = append(s.Evidence, r.evidence)
		for _, h := range told {
			s.hit(len(s.Evidence)-1, f.content.Sigma.Rules()[h.Rule].ID, h, f.content)
		}
	}
	f.joined(wholes, s, r.evidence.Index)
}

// joined adds the hits of audit events that the record at an index completed.
func (f *feed) joined(wholes []pipeline.Whole, s *Section, index int) {
	for i := range wholes {
		w := &wholes[i]
		kept, dropped := f.source.keep(w.Event)
		s.Counts.DroppedBytes += dropped
		e := Evidence{ID: w.ID, RawHash: w.RawHash, Index: index, Time: w.Time.UnixMicro(), Seq: w.Seq, Host: w.Host, Kind: w.Kind, Event: kept}
		for _, p := range w.Parts {
			e.Parts = append(e.Parts, p.ID)
		}
		s.Evidence = append(s.Evidence, e)
		for _, h := range w.Hits {
			s.hit(len(s.Evidence)-1, f.content.Sigma.Rules()[h.Rule].ID, h, f.content)
		}
	}
}

// seq orders events of equal times: what is the record's own as the worker found
// it, else its place in the log.
func (r *foundRecord) seq(offset int64) uint64 {
	if r.own {
		return r.evidence.Seq
	}
	return uint64(offset)<<indexBits | uint64(r.evidence.Index)
}

// indexBits hold the index of a record in its batch (ingest.BatchEventsMax).
const indexBits = 14

func (s *Section) hit(evidence int, id string, h pipeline.Hit, c *Content) {
	out := Hit{Evidence: evidence, Rule: id, View: h.View, Key: h.Key}
	for _, field := range h.Fields {
		out.Fields = append(out.Fields, field.Name, field.Value)
	}
	if s.Needs == nil {
		s.Needs = map[string][]string{}
	}
	if _, ok := s.Needs[id]; !ok {
		s.Needs[id] = c.needs[id]
	}
	s.Hits = append(s.Hits, out)
}

// measure reports whether a batch is looked through for the fields that rules
// need.
func (f *feed) measure(received int64) bool {
	d := received - f.measuredAt
	if d >= 0 && d < measuredEvery.Microseconds() {
		return false
	}
	f.measuredAt = received
	return true
}

// seen notes that a batch came.
func (f *feed) seen(offset int64, m ingest.Meta) {
	f.mu.Lock()
	// After a restart the ledger may be further back than the evaluation; what is
	// evaluated is not waiting, or its age would have all that is new refused.
	if offset >= f.collected {
		f.backlog.add(offset, m)
	}
	f.arrived += uint64(m.Records)
	f.arrivedBytes += uint64(m.Bytes)
	f.arrivedAt = max(f.arrivedAt, m.Received)
	f.mu.Unlock()
}

// take adds a task in the order of offsets.
func (f *feed) take(t *task) { f.pending = append(f.pending, t) }

// due returns the first task when it is done, or nil.
func (f *feed) due() *task {
	if len(f.pending) == 0 || !f.pending[0].done {
		return nil
	}
	t := f.pending[0]
	f.pending = slices.Delete(f.pending, 0, 1)
	return t
}

// tenantOf is the feed's tenant.
func (f *feed) tenant() event.Tenant { return f.partition.Tenant }
