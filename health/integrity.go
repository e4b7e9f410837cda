package health

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// Bounds of an [Integrity]. Times are in microseconds.
const (
	// IntegritySourcesMax is the default bound of the sources remembered, at some
	// hundred bytes each. Beyond it the one that has been sound for longest is
	// forgotten.
	IntegritySourcesMax = 1_000
	// ProducersMax bounds the producers of one source: its shards.
	ProducersMax = 256
	// ExampleBytesMax bounds the key of an example.
	ExampleBytesMax = 512

	// calm is for how long a source must have sent nothing doubtful before its
	// finding ends: an agent that is broken sends again within the hour.
	calm = 60 * 60 * 1_000_000
	// tellFirst is how soon a finding is told again when there was more, and
	// tellMost how soon at the latest: the time doubles each time, so that a
	// source that is always so tells once a day.
	tellFirst, tellMost = 10 * 60 * 1_000_000, 24 * calm
)

// IntegrityConfig configures an [Integrity].
type IntegrityConfig struct {
	// Tenant is whose sources they are.
	Tenant event.Tenant
	// SourcesMax replaces the default bound, when it is not 0.
	SourcesMax int
}

// Example is a doubtful record.
type Example struct {
	ID event.ID
	// Index is its place in the batch at Offset of the producer, and Key the field
	// that it has twice, or empty.
	Index int
	Key   string
	// Time is the event's.
	Time int64
}

// Batch is what a batch of records says of its source's integrity.
type Batch struct {
	// Source has one or more producers, each of which numbers its batches: a batch
	// that is not behind the last one counted of its producer is not counted.
	Source, Producer string
	Offset           int64
	// Received is when it came.
	Received int64
	// Records were readable; Flagged of them are doubtful, DuplicateFields and
	// InvalidTexts say why and may overlap.
	Records, Flagged, DuplicateFields, InvalidTexts uint64
	// Example is the first of them.
	Example Example
	// Last ends the source: nothing follows.
	Last bool
}

// Doubtful tells that a source sends records that can be read in more than one
// way, or not as they were written.
type Doubtful struct {
	// ID is derived from tenant, source and the first doubtful batch.
	ID     event.ID
	Source string
	// Since and Until are when the first and the last doubtful batch came.
	Since, Until int64
	// Records came between them, both included.
	Records, Flagged, DuplicateFields, InvalidTexts uint64
	// Example stood in the batch at Offset of Producer, the first one.
	Example  Example
	Producer string
	Offset   int64
	// Over is when it was known to have ended, or 0.
	Over int64
}

// Integrity tells which sources send records whose parsed form is doubtful: a
// field given twice may hide what a filter or another program looks for, and text
// that is not Unicode is not what was written.
//
// The first such record opens a finding: one that was planted is as loud as many.
// It is told again when more came, after 10 minutes and then each time after
// twice as long, and ends when none came for an hour. All of it follows from the
// batches alone. It is not safe for concurrent use.
type Integrity struct {
	cfg     IntegrityConfig
	sources map[string]*doubt
	changed map[string]bool
	told    map[event.ID]Doubtful
	refused uint64
}

// doubt is what is known of one source.
type doubt struct {
	open bool
	// finding is the one that is open, or the last.
	finding Doubtful
	// since counts the records behind the last doubtful batch.
	since uint64
	// tellAt is from when on it is told again, and wait how long that was.
	tellAt, wait int64
	// through is the next offset of each producer that may count.
	through map[string]int64
}

// NewIntegrity makes a finder that knows of nothing.
func NewIntegrity(cfg IntegrityConfig) *Integrity {
	if cfg.SourcesMax <= 0 {
		cfg.SourcesMax = IntegritySourcesMax
	}
	return &Integrity{cfg: cfg, sources: map[string]*doubt{}, changed: map[string]bool{}, told: map[event.ID]Doubtful{}}
}

// Refused counts the batches that had no room or too long a name.
func (q *Integrity) Refused() uint64 { return q.refused }

// Observe takes a batch. The batches of a producer come in order and may come
// again from any earlier one.
func (q *Integrity) Observe(b *Batch) {
	d := q.sources[b.Source]
	if d == nil {
		if b.Flagged == 0 {
			return
		}
		if d = q.add(b.Source); d == nil {
			return
		}
	}
	if !d.open && b.Flagged == 0 || b.Offset < d.through[b.Producer] {
		return
	}
	over := d.open && (b.Received-d.finding.Until >= calm || b.Last)
	if b.Records == 0 && !over {
		return
	}
	if _, known := d.through[b.Producer]; !known && len(d.through) >= ProducersMax || len(b.Producer) > FieldBytesMax {
		q.refused++
		return
	}
	d.through[strings.Clone(b.Producer)] = b.Offset + 1
	q.changed[d.finding.Source] = true
	if d.open && b.Received-d.finding.Until >= calm {
		q.close(d, b.Received)
	}
	if b.Flagged == 0 {
		d.since += b.Records
		if d.open && b.Last {
			q.close(d, b.Received)
		}
		return
	}
	f := &d.finding
	if !d.open {
		*f = Doubtful{
			ID:     event.FindingID(q.cfg.Tenant, "integrity", f.Source, b.Producer, strconv.FormatInt(b.Offset, 10)),
			Source: f.Source, Since: b.Received, Until: b.Received,
			Example: b.Example, Producer: strings.Clone(b.Producer), Offset: b.Offset,
		}
		f.Example.Key = strings.Clone(f.Example.Key[:min(len(f.Example.Key), ExampleBytesMax)])
		d.open, d.since, d.tellAt, d.wait = true, 0, b.Received, tellFirst
	}
	f.Until = max(f.Until, b.Received)
	f.Records += d.since + b.Records
	f.Flagged += b.Flagged
	f.DuplicateFields += b.DuplicateFields
	f.InvalidTexts += b.InvalidTexts
	d.since = 0
	switch {
	case b.Last:
		q.close(d, b.Received)
	case b.Received >= d.tellAt:
		q.told[f.ID] = *f
		d.tellAt = b.Received + d.wait
		d.wait = min(2*d.wait, tellMost)
	}
}

func (q *Integrity) close(d *doubt, at int64) {
	d.open, d.finding.Over = false, at
	q.told[d.finding.ID] = d.finding
}

// add makes room for a source; nil when there is none.
func (q *Integrity) add(source string) *doubt {
	if len(source) > SourceBytesMax {
		q.refused++
		return nil
	}
	if len(q.sources) >= q.cfg.SourcesMax {
		oldest := ""
		for _, name := range slices.Sorted(maps.Keys(q.sources)) {
			d := q.sources[name]
			if !d.open && (oldest == "" || d.finding.Over < q.sources[oldest].finding.Over) {
				oldest = name
			}
		}
		if oldest == "" {
			q.refused++
			return nil
		}
		delete(q.sources, oldest)
		q.changed[oldest] = true
	}
	source = strings.Clone(source)
	d := &doubt{finding: Doubtful{Source: source}, through: map[string]int64{}}
	q.sources[source] = d
	return d
}

// Findings returns what began, grew or ended since the last call, each as it is
// now, in order of source and time.
func (q *Integrity) Findings() []Doubtful {
	if len(q.told) == 0 {
		return nil
	}
	list := slices.SortedFunc(maps.Values(q.told), func(a, b Doubtful) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), cmp.Compare(a.Since, b.Since), slices.Compare(a.ID[:], b.ID[:]))
	})
	clear(q.told)
	return list
}
