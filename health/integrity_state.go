package health

import (
	"fmt"
	"maps"
	"slices"
)

const (
	integrityMagic   = "tiercel-integrity"
	integrityVersion = 1
)

// SourceState is the encoded state of one source; nil when it was forgotten.
type SourceState struct {
	Source string
	State  []byte
}

// Changed returns the states that have changed since the last call, in order of
// source. What they hold and what was found must be written together.
func (q *Integrity) Changed() []SourceState {
	var list []SourceState
	for _, name := range slices.Sorted(maps.Keys(q.changed)) {
		s := SourceState{Source: name}
		if d := q.sources[name]; d != nil {
			s.State = d.encode()
		}
		list = append(list, s)
	}
	clear(q.changed)
	return list
}

// Restore takes up the state of a source. The error is [ErrState]; the source is
// not known then.
func (q *Integrity) Restore(state []byte) error {
	d, err := decodeDoubt(state)
	if err != nil {
		return err
	}
	if q.sources[d.finding.Source] != nil || len(q.sources) >= q.cfg.SourcesMax {
		return fmt.Errorf("%w: the source is there already, or there is no room for it", ErrState)
	}
	q.sources[d.finding.Source] = d
	return nil
}

func (d *doubt) encode() []byte {
	e := newEncoder(integrityMagic, integrityVersion)
	f := &d.finding
	e.bool(d.open)
	e.raw(f.ID[:])
	e.text(f.Source)
	for _, n := range []int64{f.Since, f.Until, f.Over, f.Offset, d.tellAt, d.wait, f.Example.Time, int64(f.Example.Index)} {
		e.int(n)
	}
	for _, n := range []uint64{f.Records, f.Flagged, f.DuplicateFields, f.InvalidTexts, d.since} {
		e.num(n)
	}
	e.raw(f.Example.ID[:])
	e.text(f.Example.Key)
	e.text(f.Producer)
	e.num(uint64(len(d.through)))
	for _, name := range slices.Sorted(maps.Keys(d.through)) {
		e.text(name)
		e.int(d.through[name])
	}
	return e.done()
}

func decodeDoubt(state []byte) (*doubt, error) {
	r := newDecoder(state, integrityMagic, integrityVersion)
	d := &doubt{open: r.bool(), through: map[string]int64{}}
	f := &d.finding
	copy(f.ID[:], r.raw(len(f.ID)))
	f.Source = r.text()
	index := int64(0)
	for _, n := range []*int64{&f.Since, &f.Until, &f.Over, &f.Offset, &d.tellAt, &d.wait, &f.Example.Time, &index} {
		*n = r.int()
	}
	f.Example.Index = int(index)
	for _, n := range []*uint64{&f.Records, &f.Flagged, &f.DuplicateFields, &f.InvalidTexts, &d.since} {
		*n = r.num()
	}
	copy(f.Example.ID[:], r.raw(len(f.Example.ID)))
	f.Example.Key, f.Producer = r.text(), r.text()
	for range r.count(ProducersMax) {
		name := r.text()
		d.through[name] = r.int()
	}
	if r.err == nil && (len(f.Source) > SourceBytesMax || d.wait < tellFirst || d.wait > tellMost || f.Offset < 0 || index < 0) {
		r.fail("a source contradicts itself")
	}
	return d, r.done()
}
