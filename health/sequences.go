package health

import (
	"cmp"
	"container/list"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// StreamKind says what numbers a stream.
type StreamKind string

// The kinds of stream.
const (
	// RecordID is the EventRecordID of a Windows channel on one host.
	RecordID StreamKind = "event_record_id"
	// AuditSerial is the serial of the Linux audit subsystem of one host. The
	// kernel takes a serial for records that its rules then do not emit, so that
	// holes are normal on many systems: these streams are watched only where
	// [SequencesConfig.AuditSources] says so.
	AuditSerial StreamKind = "audit_serial"
	// SensorSequence is the number that a sensor gives each record it sends.
	SensorSequence StreamKind = "sensor_sequence"
)

// Stream names one stream of numbers that should be contiguous.
type Stream struct {
	Kind StreamKind
	// Source is the configured feed; Host the host, audit node or sensor;
	// Channel the Windows channel, or empty.
	Source, Host, Channel string
}

func (s Stream) compare(o Stream) int {
	return cmp.Or(strings.Compare(s.Source, o.Source), strings.Compare(string(s.Kind), string(o.Kind)),
		strings.Compare(s.Host, o.Host), strings.Compare(s.Channel, o.Channel))
}

// Bounds of a [Sequences].
const (
	// StreamBytesMax bounds the names of a stream together.
	StreamBytesMax = 1024
	// StreamsMax is the default bound of the streams watched: 10,000 hosts with
	// ten channels. Beyond it the one that was not seen for longest is forgotten.
	StreamsMax = 100_000
	// StreamRunsMax bounds the missing runs held of one stream. Beyond it the
	// two closest are taken together and the gap is marked approximate.
	StreamRunsMax = 1024
	// RunsMax bounds the runs of all streams, at about 100 bytes each; beyond
	// it a stream may hold no more than two.
	RunsMax = 1 << 17
	// ReportedRunsMax bounds the reported runs per stream that are still watched
	// for being filled; beyond it the one with the lowest numbers is let go.
	ReportedRunsMax = 256
	// SettleDefault is how long a number may be missing while later ones are
	// there: the default lateness of events.
	SettleDefault = 5 * time.Minute

	// stepMaxMicros is the most that one Settle can move the clock: a longer
	// pause means that nobody was listening, and senders must have the time to
	// deliver what they held back.
	stepMaxMicros = int64(time.Minute / time.Microsecond)
	// slackMicros is how far event times of neighbouring numbers may stand in
	// the wrong order: providers write through buffers that are flushed once a
	// second.
	slackMicros = int64(10 * time.Second / time.Microsecond)
	// nearNumbers is how far below the first number seen others may still
	// belong to the same beginning: ten full batches in flight.
	nearNumbers = 100_000
	// leapNumbers is how far beyond the highest number one is believed alone: a
	// single mangled number would otherwise open a gap that holds all to come.
	leapNumbers = 1 << 20
	// restartNumbers is how many different numbers that are too low and too new
	// make a restart of the numbering, or that are beyond leapNumbers a leap of it:
	// a single one may be a stray.
	restartNumbers = 3
	// epochsMax is how many numberings of a stream are held: the current one and
	// those whose late records may still come.
	epochsMax = 3
)

// Filter names streams in which holes are normal, as where a forwarder sends
// only some event ids of a channel. In each field * stands for any text, case
// does not matter, and an empty one fits everything.
type Filter struct{ Source, Host, Channel string }

// SequencesConfig configures a [Sequences]. The zero value of a field takes its
// default.
type SequencesConfig struct {
	// Tenant is whose streams they are.
	Tenant event.Tenant
	// Settle is how long, in receive time, a number must be missing to be a gap;
	// at least the lateness of the sources.
	Settle time.Duration
	// Off names streams that are not watched.
	Off []Filter
	// AuditSources names the sources, with *, whose audit serials are known to be
	// contiguous. None by default; see [AuditSerial].
	AuditSources []string
	// StreamsMax replaces the default bound of that name.
	StreamsMax int
}

// Span is a run of numbers, both ends included.
type Span struct{ From, To uint64 }

// Gap is a run of numbers that are missing.
type Gap struct {
	// ID is derived from tenant, stream, numbers and the time before them.
	ID     event.ID
	Stream Stream
	Span
	// Missing is how many numbers of the span are missing: all of them, unless
	// the gap is Approximate, when it is the least that can be said.
	Missing     uint64
	Approximate bool
	// Before and After are the event times of the neighbouring records in
	// microseconds since 1970, 0 where they had none.
	Before, After int64
	// FoundAt is the receive time through which it was missing, in microseconds.
	FoundAt int64
}

// Filled tells that numbers of a gap that was reported have come after all.
type Filled struct {
	Gap Gap
	// Remaining are the runs still missing, in order; none when the gap is closed.
	Remaining []Span
	// At is the receive time of the Settle that tells it, in microseconds.
	At int64
}

// SequenceCounts says what a [Sequences] holds and what it had to give up.
type SequenceCounts struct {
	// Streams and Runs are what is held now.
	Streams, Runs int
	// Restarts counts numberings that began anew.
	Restarts uint64
	// EvictedStreams were forgotten for room; EvictedRuns were missing runs
	// forgotten unreported with them or with an old numbering; MergedRuns were
	// taken together with a neighbour; RefusedNames were too long.
	EvictedStreams, EvictedRuns, MergedRuns, RefusedNames uint64
}

// Sequences finds gaps in streams of numbers that should be contiguous.
//
// Records may come in any order and more than once. A number counts as missing
// from the moment a higher one is seen, and as a gap when it is still missing
// after the settle time. The first numbers of a stream begin it: what lies
// before them is not missing, nor what lies beyond the highest seen. Numbers
// that are lower than the highest while their event times are later than all
// before begin a new numbering once three of them came: a log that was cleared,
// a host that started again, a snapshot that was put back. A leap of more than a
// million numbers is believed when three records came from behind it. Old records sent
// again have old event times and change nothing.
//
// It is not safe for concurrent use.
type Sequences struct {
	cfg    SequencesConfig
	settle int64
	// clock counts the receive time during which somebody listened, in
	// microseconds; through is the receive time of the last Settle.
	clock, through int64
	streams        map[Stream]*list.Element
	// order holds *stream, the one seen last at the back.
	order *list.List
	// waiting are the streams with runs not yet reported, touched those of whose
	// reported gaps some numbers came.
	waiting, touched map[*stream]struct{}
	runs             int
	counts           SequenceCounts
}

// NewSequences makes a finder without streams.
func NewSequences(cfg SequencesConfig) *Sequences {
	if cfg.Settle <= 0 {
		cfg.Settle = SettleDefault
	}
	if cfg.StreamsMax <= 0 {
		cfg.StreamsMax = StreamsMax
	}
	return &Sequences{
		cfg: cfg, settle: cfg.Settle.Microseconds(), streams: map[Stream]*list.Element{}, order: list.New(),
		waiting: map[*stream]struct{}{}, touched: map[*stream]struct{}{},
	}
}

// Counts returns what is held and what was given up.
func (q *Sequences) Counts() SequenceCounts {
	c := q.counts
	c.Streams, c.Runs = q.order.Len(), q.runs
	return c
}

// Watched tells whether a stream is watched under the configuration.
func (q *Sequences) Watched(s Stream) bool {
	if s.Kind == AuditSerial && !slices.ContainsFunc(q.cfg.AuditSources, func(p string) bool { return matches(p, s.Source) }) {
		return false
	}
	return !slices.ContainsFunc(q.cfg.Off, func(f Filter) bool {
		return matches(f.Source, s.Source) && matches(f.Host, s.Host) && matches(f.Channel, s.Channel)
	})
}

// Observe takes the number of one record. eventTime and receiveTime are in
// microseconds since 1970; eventTime is 0 when the record has no time of its
// own, and must not be the receive time then: such records cannot tell a restart
// of the numbering.
func (q *Sequences) Observe(key Stream, number uint64, eventTime, receiveTime int64) {
	el := q.streams[key]
	if el == nil {
		if len(key.Kind)+len(key.Source)+len(key.Host)+len(key.Channel) > StreamBytesMax {
			q.counts.RefusedNames++
			return
		}
		if !q.Watched(key) {
			return
		}
		for q.order.Len() >= q.cfg.StreamsMax {
			q.evict()
		}
		// The names may be slices of a batch that is larger than they are.
		key = Stream{
			Kind: StreamKind(strings.Clone(string(key.Kind))), Source: strings.Clone(key.Source),
			Host: strings.Clone(key.Host), Channel: strings.Clone(key.Channel),
		}
		el = q.order.PushBack(&stream{key: key})
		q.streams[key] = el
	} else {
		q.order.MoveToBack(el)
	}
	s := el.Value.(*stream)
	at := q.clock + min(max(receiveTime-q.through, 0), stepMaxMicros)
	if q.through == 0 {
		at = q.clock
	}
	before := s.runs()
	s.observe(q, observation{number: number, time: eventTime, at: at})
	for n := s.runs(); n > before && (n > StreamRunsMax || n > 2 && q.runs+n-before > RunsMax); n = s.runs() {
		s.makeRoom(&q.counts)
	}
	q.runs += s.runs() - before
	if s.waits() {
		q.waiting[s] = struct{}{}
	}
}

func (q *Sequences) evict() {
	el := q.order.Front()
	s := el.Value.(*stream)
	q.order.Remove(el)
	delete(q.streams, s.key)
	delete(q.waiting, s)
	delete(q.touched, s)
	q.runs -= s.runs()
	q.counts.EvictedStreams++
	for i := range s.epochs {
		q.counts.EvictedRuns += s.epochs[i].unreported()
	}
}

// Settle tells that every record received up to a time, in microseconds since
// 1970, has been observed, and returns the gaps found and filled since the last
// call, in order of stream and numbers. Call it at least once a minute: a longer
// pause counts as a minute, since after a standstill senders need the settle
// time again. A time before the last one moves nothing, as batches that came at
// the same moment are stored in any order. It takes time in proportion to the
// streams with missing numbers.
func (q *Sequences) Settle(through int64) ([]Gap, []Filled) {
	switch step := through - q.through; {
	case q.through == 0 || step < -stepMaxMicros: // the clock was set back
		q.through = through
	case step > 0:
		q.clock += min(step, stepMaxMicros)
		q.through = through
	}
	var gaps []Gap
	for s := range q.waiting {
		before := s.runs()
		if len(s.restart) > 0 && q.clock-s.restart[0].at > q.settle {
			s.dismiss(q)
		}
		gaps = append(gaps, q.report(s)...)
		s.retire(q.clock - q.settle)
		q.runs += s.runs() - before
		if !s.waits() {
			delete(q.waiting, s)
		}
	}
	slices.SortFunc(gaps, compareGaps)
	var filled []Filled
	for s := range q.touched {
		for _, g := range s.touched {
			filled = append(filled, Filled{Gap: *g, Remaining: s.remaining(g), At: q.through})
		}
		s.touched = nil
	}
	clear(q.touched)
	slices.SortFunc(filled, func(a, b Filled) int { return compareGaps(a.Gap, b.Gap) })
	return gaps, filled
}

func compareGaps(a, b Gap) int {
	return cmp.Or(a.Stream.compare(b.Stream), cmp.Compare(a.From, b.From), cmp.Compare(a.Before, b.Before), cmp.Compare(a.FoundAt, b.FoundAt))
}

// report makes gaps of the runs of a stream that have been missing for the
// settle time.
func (q *Sequences) report(s *stream) []Gap {
	var gaps []Gap
	for i := range s.epochs {
		for j := range s.epochs[i].runs {
			r := &s.epochs[i].runs[j]
			if r.gap != nil || q.clock-r.since < q.settle || s.suspected(r) {
				continue
			}
			g := Gap{
				ID: event.FindingID(q.cfg.Tenant, "gap", string(s.key.Kind), s.key.Source, s.key.Host, s.key.Channel,
					strconv.FormatUint(r.From, 10), strconv.FormatUint(r.To, 10), strconv.FormatInt(r.before, 10)),
				Stream: s.key, Span: r.Span, Missing: r.missing, Approximate: r.approximate,
				Before: r.before, After: r.after, FoundAt: q.through,
			}
			r.gap = &g
			gaps = append(gaps, g)
		}
	}
	s.trimReported()
	return gaps
}
