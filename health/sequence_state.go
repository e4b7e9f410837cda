package health

import (
	"slices"
)

const (
	sequencesMagic   = "tiercel-sequences"
	sequencesVersion = 1
)

// Encode returns the state. A finder restored from it goes on to the same
// findings.
func (q *Sequences) Encode() []byte {
	e := newEncoder(sequencesMagic, sequencesVersion)
	e.int(q.clock)
	e.int(q.through)
	c := &q.counts
	for _, n := range []uint64{c.Restarts, c.EvictedStreams, c.EvictedRuns, c.MergedRuns, c.RefusedNames} {
		e.num(n)
	}
	e.num(uint64(q.order.Len()))
	for el := q.order.Front(); el != nil; el = el.Next() {
		encodeStream(e, el.Value.(*stream))
	}
	return e.done()
}

func encodeStream(e *encoder, s *stream) {
	e.text(string(s.key.Kind))
	e.text(s.key.Source)
	e.text(s.key.Host)
	e.text(s.key.Channel)
	// The gaps stand in front, for several runs may be pieces of one.
	gaps := slices.Clone(s.touched)
	for i := range s.epochs {
		for j := range s.epochs[i].runs {
			if g := s.epochs[i].runs[j].gap; g != nil && !slices.Contains(gaps, g) {
				gaps = append(gaps, g)
			}
		}
	}
	e.num(uint64(len(gaps)))
	for _, g := range gaps {
		e.raw(g.ID[:])
		e.num(g.From)
		e.num(g.To)
		e.num(g.Missing)
		e.bool(g.Approximate)
		e.int(g.Before)
		e.int(g.After)
		e.int(g.FoundAt)
	}
	e.num(uint64(len(s.touched)))
	e.int(s.newest)
	e.num(s.last)
	for _, list := range [][]observation{s.restart, s.leap} {
		e.num(uint64(len(list)))
		for _, o := range list {
			e.num(o.number)
			e.int(o.time)
			e.int(o.at)
		}
	}
	e.num(uint64(len(s.epochs)))
	for i := range s.epochs {
		p := &s.epochs[i]
		e.num(p.first)
		e.num(p.last)
		for _, t := range []int64{p.firstTime, p.lastTime, p.newest, p.born, p.opened, p.floor, p.closed} {
			e.int(t)
		}
		e.num(uint64(len(p.runs)))
		for _, r := range p.runs {
			e.num(r.From)
			e.num(r.To)
			e.num(r.missing)
			e.bool(r.approximate)
			e.int(r.before)
			e.int(r.after)
			e.int(r.since)
			e.num(uint64(slices.Index(gaps, r.gap) + 1))
		}
	}
}

// RestoreSequences makes a finder with encoded state. Streams that the
// configuration no longer watches are left out. The error is [ErrState].
func RestoreSequences(cfg SequencesConfig, state []byte) (*Sequences, error) {
	q := NewSequences(cfg)
	d := newDecoder(state, sequencesMagic, sequencesVersion)
	q.clock, q.through = d.int(), d.int()
	c := &q.counts
	for _, n := range []*uint64{&c.Restarts, &c.EvictedStreams, &c.EvictedRuns, &c.MergedRuns, &c.RefusedNames} {
		*n = d.num()
	}
	for range d.count(len(state)) {
		s := decodeStream(d)
		if d.err != nil {
			break
		}
		if q.streams[s.key] != nil {
			d.fail("a stream stands in it twice")
			break
		}
		if !q.Watched(s.key) {
			continue
		}
		for q.order.Len() >= q.cfg.StreamsMax {
			q.evict()
		}
		q.streams[s.key] = q.order.PushBack(s)
		q.runs += s.runs()
		if s.waits() {
			q.waiting[s] = struct{}{}
		}
		if len(s.touched) > 0 {
			q.touched[s] = struct{}{}
		}
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	return q, nil
}

func decodeStream(d *decoder) *stream {
	s := &stream{key: Stream{Kind: StreamKind(d.text()), Source: d.text(), Host: d.text(), Channel: d.text()}}
	if len(s.key.Kind)+len(s.key.Source)+len(s.key.Host)+len(s.key.Channel) > StreamBytesMax {
		d.fail("the names of a stream are too long")
	}
	gaps := make([]*Gap, d.count(len(d.buf)))
	for i := range gaps {
		g := &Gap{Stream: s.key}
		copy(g.ID[:], d.raw(len(g.ID)))
		g.From, g.To, g.Missing, g.Approximate = d.num(), d.num(), d.num(), d.bool()
		g.Before, g.After, g.FoundAt = d.int(), d.int(), d.int()
		gaps[i] = g
	}
	if n := d.count(len(gaps)); n > 0 {
		s.touched = slices.Clone(gaps[:n])
	}
	s.newest, s.last = d.int(), d.num()
	for _, list := range []*[]observation{&s.restart, &s.leap} {
		for range d.count(restartNumbers - 1) {
			*list = append(*list, observation{number: d.num(), time: d.int(), at: d.int()})
		}
	}
	s.epochs = make([]epoch, d.count(epochsMax))
	if len(s.epochs) == 0 {
		d.fail("a stream has no numbering")
	}
	for i := range s.epochs {
		decodeEpoch(d, &s.epochs[i], gaps)
	}
	return s
}

func decodeEpoch(d *decoder, p *epoch, gaps []*Gap) {
	p.first, p.last = d.num(), d.num()
	for _, t := range []*int64{&p.firstTime, &p.lastTime, &p.newest, &p.born, &p.opened, &p.floor, &p.closed} {
		*t = d.int()
	}
	p.runs = make([]run, d.count(StreamRunsMax))
	beyond := p.first
	for i := range p.runs {
		r := &p.runs[i]
		r.From, r.To, r.missing, r.approximate = d.num(), d.num(), d.num(), d.bool()
		r.before, r.after, r.since = d.int(), d.int(), d.int()
		if n := d.num(); n > uint64(len(gaps)) {
			d.fail("a run names a gap that is not there")
		} else if n > 0 {
			r.gap = gaps[n-1]
		}
		// What the code relies on: runs in order inside the numbering.
		all := r.To - r.From + 1
		if r.From <= beyond || r.To < r.From || r.To >= p.last || r.missing == 0 || r.missing > all || !r.approximate && r.missing != all {
			if d.err == nil {
				d.fail("the runs of a numbering contradict each other")
			}
		}
		beyond = r.To
	}
}
