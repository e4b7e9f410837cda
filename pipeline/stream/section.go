package stream

import (
	"encoding/binary"
	"errors"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/store/wire"
)

// KindMatches is the kind of the partitions that sections go to.
const KindMatches = "matches"

// Section is what stage 1 found in one entry of an events partition. Times are
// microseconds since 1970.
type Section struct {
	Kind ingest.Kind
	// Source, Shard and Offset say which entry: the producer's position.
	Source   string
	Shard    int
	Protocol string
	Offset   int64
	// Next is the producer's offset behind the entry.
	Next int64
	// Received is the entry's receive time.
	Received int64
	// Watermark is the partition's behind this entry.
	Watermark int64
	// Last ends an import: everything in its scope can be decided.
	Last bool
	// Counts are for the ledger.
	Counts Counts
	// Evidence are the records that matched; hits refer to them by index.
	Evidence []Evidence
	Hits     []Hit
	// Needs names the fields that Hit.Key holds, by rule id.
	Needs map[string][]string
	// Quarantine are the records that could not be read.
	Quarantine []Unread
	// Gaps are runs of numbers that a sender gave and that did not arrive.
	Gaps []Gap
	// Doubtful is the first flagged record, when Counts.Flagged is not 0.
	Doubtful Doubtful
}

// Counts say what became of the records of an entry: Records = Evaluated +
// Late + Quarantined + Damaged.
type Counts struct {
	Records, Evaluated, Late, Quarantined, Damaged uint64
	// Unrouted are the evaluated ones that no pack claims, Unparsed those whose
	// text did not fit their pack; Matches counts hits.
	Unrouted, Unparsed, Matches uint64
	// DroppedBytes are those of fields that the source is told to drop.
	DroppedBytes uint64
	// DuplicateFields and InvalidTexts are the evaluated or late ones with these
	// flags, Flagged those with any.
	DuplicateFields, InvalidTexts, Flagged uint64
	// Types is the volume by kind of record, by name.
	Types []TypeCount
}

// TypeCount is the volume of one kind of record.
type TypeCount struct {
	Name          string
	Events, Bytes uint64
}

// numbers are the figures in the order of the encoding; version 1 has the first
// numbersV1.
func (c *Counts) numbers() []*uint64 {
	return []*uint64{
		&c.Records, &c.Evaluated, &c.Late, &c.Quarantined, &c.Damaged, &c.Unrouted, &c.Unparsed, &c.Matches, &c.DroppedBytes,
		&c.DuplicateFields, &c.InvalidTexts, &c.Flagged,
	}
}

const numbersV1 = 9

func (c *Counts) append(dst []byte) []byte {
	for _, n := range c.numbers() {
		dst = binary.AppendUvarint(dst, *n)
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.Types)))
	for _, t := range c.Types {
		dst = binary.AppendUvarint(binary.AppendUvarint(wire.AppendText(dst, t.Name), t.Events), t.Bytes)
	}
	return dst
}

func (c *Counts) read(d *wire.Decoder, version byte) {
	numbers := c.numbers()
	if version == 1 {
		numbers = numbers[:numbersV1]
	}
	for _, n := range numbers {
		*n = d.Uvarint()
	}
	for range d.Count(3) {
		c.Types = append(c.Types, TypeCount{Name: d.Text(), Events: d.Uvarint(), Bytes: d.Uvarint()})
	}
}

// Doubtful is a flagged record.
type Doubtful struct {
	ID    event.ID
	Index int
	Time  int64
	// Key is the beginning of the key that it has twice; empty when that is not
	// its flag.
	Key string
}

// Evidence is a record that matched.
type Evidence struct {
	ID      event.ID
	RawHash [32]byte
	// Index is the record's in its batch.
	Index int
	// Time is the event's, or the receive time where it has none.
	Time int64
	Seq  uint64
	Host string
	Kind string
	// Event is the record as one JSON document.
	Event []byte
	// Parts are the ids of the parts of an event that was put together.
	Parts []event.ID
}

// Hit is a rule that a record met.
type Hit struct {
	Evidence int
	Rule     string
	View     string
	// Fields are those that decided, name and value in turn.
	Fields []string
	// Key are the values of the fields that correlations need.
	Key [][]string
}

// Gap is a run of numbers, From to To, both included, that a sender gave and
// that did not arrive; or, when Filled, one of which some came after all.
type Gap struct {
	ID            event.ID
	Kind          string
	Host, Channel string
	From, To      uint64
	Missing       uint64
	Before, After int64
	Found         int64
	Filled        bool
	// Remaining are the runs that are still missing of one that was filled.
	Remaining []ledger.Numbers
}

// Unread is a record for quarantine.
type Unread struct {
	Index  int
	Reason string
	Detail string
	Format string
	Peer   string
	// Bytes is the record's length, of which Raw may be the beginning.
	Bytes int
	Raw   []byte
}

// sectionVersion is the version of the encoding. Version 1, which is read too,
// knew no flagged records.
const sectionVersion = 2

var errSection = errors.New("not a section that this version reads")

// append appends the encoding of s.
func (s *Section) append(dst []byte) []byte {
	dst = append(dst, sectionVersion, byte(s.Kind))
	dst = wire.AppendText(wire.AppendText(dst, s.Source), s.Protocol)
	dst = binary.AppendUvarint(dst, uint64(s.Shard))
	for _, n := range []int64{s.Offset, s.Next, s.Received, s.Watermark} {
		dst = binary.AppendVarint(dst, n)
	}
	dst = wire.AppendBool(dst, s.Last)
	dst = s.Counts.append(dst)
	if s.Counts.Flagged > 0 {
		dst = append(dst, s.Doubtful.ID[:]...)
		dst = binary.AppendUvarint(dst, uint64(s.Doubtful.Index))
		dst = wire.AppendText(binary.AppendVarint(dst, s.Doubtful.Time), s.Doubtful.Key)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Evidence)))
	for i := range s.Evidence {
		e := &s.Evidence[i]
		dst = append(append(dst, e.ID[:]...), e.RawHash[:]...)
		dst = binary.AppendUvarint(dst, uint64(e.Index))
		dst = binary.AppendVarint(dst, e.Time)
		dst = binary.AppendUvarint(dst, e.Seq)
		dst = wire.AppendText(wire.AppendText(dst, e.Host), e.Kind)
		dst = wire.AppendText(dst, e.Event)
		dst = binary.AppendUvarint(dst, uint64(len(e.Parts)))
		for _, id := range e.Parts {
			dst = append(dst, id[:]...)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Hits)))
	seen := map[string]bool{}
	var order []string
	for i := range s.Hits {
		h := &s.Hits[i]
		if !seen[h.Rule] {
			seen[h.Rule] = true
			order = append(order, h.Rule)
		}
		dst = binary.AppendUvarint(dst, uint64(h.Evidence))
		dst = wire.AppendText(wire.AppendText(dst, h.Rule), h.View)
		dst = wire.AppendTexts(dst, h.Fields)
		dst = binary.AppendUvarint(dst, uint64(len(h.Key)))
		for _, values := range h.Key {
			dst = wire.AppendTexts(dst, values)
		}
	}
	for _, id := range order {
		dst = wire.AppendTexts(dst, s.Needs[id])
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Quarantine)))
	for i := range s.Quarantine {
		q := &s.Quarantine[i]
		dst = binary.AppendUvarint(dst, uint64(q.Index))
		for _, text := range []string{q.Reason, q.Detail, q.Format, q.Peer} {
			dst = wire.AppendText(dst, text)
		}
		dst = binary.AppendUvarint(dst, uint64(q.Bytes))
		dst = wire.AppendText(dst, q.Raw)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Gaps)))
	for i := range s.Gaps {
		g := &s.Gaps[i]
		dst = append(dst, g.ID[:]...)
		dst = wire.AppendText(wire.AppendText(wire.AppendText(dst, g.Kind), g.Host), g.Channel)
		for _, n := range []uint64{g.From, g.To, g.Missing} {
			dst = binary.AppendUvarint(dst, n)
		}
		for _, n := range []int64{g.Before, g.After, g.Found} {
			dst = binary.AppendVarint(dst, n)
		}
		dst = wire.AppendBool(dst, g.Filled)
		dst = binary.AppendUvarint(dst, uint64(len(g.Remaining)))
		for _, r := range g.Remaining {
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, r.From), r.To)
		}
	}
	return dst
}

// parseSection reads one section and leaves what stands behind it in d. The
// section borrows d's bytes.
func parseSection(d *wire.Decoder) (*Section, error) {
	version := d.Byte()
	if version < 1 || version > sectionVersion {
		return nil, errSection
	}
	s := &Section{Kind: ingest.Kind(d.Byte()), Source: d.Text(), Protocol: d.Text(), Shard: d.Length(), Offset: d.Varint(), Next: d.Varint(), Received: d.Varint(), Watermark: d.Varint(), Last: d.Bool()}
	s.Counts.read(d, version)
	if s.Counts.Flagged > 0 {
		copy(s.Doubtful.ID[:], d.Take(len(s.Doubtful.ID)))
		s.Doubtful.Index, s.Doubtful.Time, s.Doubtful.Key = d.Length(), d.Varint(), d.Text()
	}
	for range d.Count(len(event.ID{}) + 32) {
		var e Evidence
		copy(e.ID[:], d.Take(len(e.ID)))
		copy(e.RawHash[:], d.Take(len(e.RawHash)))
		e.Index, e.Time, e.Seq, e.Host, e.Kind, e.Event = d.Length(), d.Varint(), d.Uvarint(), d.Text(), d.Text(), d.Bytes()
		for range d.Count(len(event.ID{})) {
			var id event.ID
			copy(id[:], d.Take(len(id)))
			e.Parts = append(e.Parts, id)
		}
		s.Evidence = append(s.Evidence, e)
	}
	var order []string
	for range d.Count(5) {
		h := Hit{Evidence: d.Length(), Rule: d.Text(), View: d.Text(), Fields: d.Texts()}
		if h.Evidence >= len(s.Evidence) || len(h.Fields)%2 != 0 {
			return nil, errSection
		}
		if n := d.Count(1); n > 0 {
			h.Key = make([][]string, n)
			for i := range h.Key {
				h.Key[i] = d.Texts()
			}
		}
		if _, ok := s.Needs[h.Rule]; !ok {
			if s.Needs == nil {
				s.Needs = map[string][]string{}
			}
			s.Needs[h.Rule] = nil
			order = append(order, h.Rule)
		}
		s.Hits = append(s.Hits, h)
	}
	for _, id := range order {
		s.Needs[id] = d.Texts()
	}
	for range d.Count(7) {
		s.Quarantine = append(s.Quarantine, Unread{
			Index: d.Length(), Reason: d.Text(), Detail: d.Text(), Format: d.Text(), Peer: d.Text(), Bytes: d.Length(), Raw: d.Bytes(),
		})
	}
	for range d.Count(1) {
		var g Gap
		copy(g.ID[:], d.Take(len(g.ID)))
		g.Kind, g.Host, g.Channel = d.Text(), d.Text(), d.Text()
		g.From, g.To, g.Missing = d.Uvarint(), d.Uvarint(), d.Uvarint()
		g.Before, g.After, g.Found, g.Filled = d.Varint(), d.Varint(), d.Varint(), d.Bool()
		for range d.Count(2) {
			g.Remaining = append(g.Remaining, ledger.Numbers{From: d.Uvarint(), To: d.Uvarint()})
		}
		s.Gaps = append(s.Gaps, g)
	}
	if d.Failed {
		return nil, errSection
	}
	return s, nil
}
