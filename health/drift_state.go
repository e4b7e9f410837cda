package health

const (
	driftMagic   = "tiercel-drift"
	driftVersion = 1
)

func encodeFigure(e *encoder, f Figure) {
	e.text(f.Source)
	e.text(string(f.What))
	e.text(f.View)
	e.text(f.Field)
}

func decodeFigure(d *decoder) Figure {
	return Figure{Source: d.text(), What: What(d.text()), View: d.text(), Field: d.text()}
}

func encodeDrifting(e *encoder, t *Drifting) {
	e.raw(t.ID[:])
	encodeFigure(e, t.Figure)
	e.share(t.Was)
	e.share(t.Is)
	e.int(t.Since)
	e.int(t.At)
}

func decodeDrifting(d *decoder) (t Drifting) {
	copy(t.ID[:], d.raw(len(t.ID)))
	t.Figure, t.Was, t.Is, t.Since, t.At = decodeFigure(d), d.share(), d.share(), d.int(), d.int()
	return t
}

func encodeSample(e *encoder, s sample) {
	e.num(uint64(s.of))
	e.num(uint64(s.have))
}

func decodeSample(d *decoder) sample {
	of, have := d.num(), d.num()
	if of > 1<<32-1 || have > of {
		d.fail("a share is not one")
		return sample{}
	}
	return sample{of: uint32(of), have: uint32(have)}
}

// Encode returns the state. A finder restored from it goes on to the same
// findings.
func (q *Drift) Encode() []byte {
	e := newEncoder(driftMagic, driftVersion)
	e.num(q.evicted)
	e.num(q.refused)
	e.num(uint64(len(q.drifting)))
	for i := range q.drifting {
		encodeDrifting(e, &q.drifting[i])
	}
	e.num(uint64(len(q.steady)))
	for i := range q.steady {
		encodeDrifting(e, &q.steady[i].Drifting)
		e.int(q.steady[i].At)
	}
	e.num(uint64(q.order.Len()))
	for el := q.order.Front(); el != nil; el = el.Next() {
		m := el.Value.(*measure)
		encodeFigure(e, m.figure)
		for _, n := range []int64{m.last, m.age, m.week, m.since, m.doubtSince, int64(m.better)} {
			e.int(n)
		}
		encodeSample(e, m.pending)
		encodeSample(e, m.doubt)
		e.bool(m.drifting)
		if m.drifting {
			encodeDrifting(e, &m.told)
		}
		for _, hour := range m.hours {
			for _, g := range hour {
				encodeSample(e, g[0])
				encodeSample(e, g[1])
			}
		}
	}
	return e.done()
}

// RestoreDrift makes a finder with encoded state. The error is [ErrState].
func RestoreDrift(cfg DriftConfig, state []byte) (*Drift, error) {
	q := NewDrift(cfg)
	d := newDecoder(state, driftMagic, driftVersion)
	q.evicted, q.refused = d.num(), d.num()
	for range d.count(len(d.buf)) {
		q.drifting = append(q.drifting, decodeDrifting(d))
	}
	for range d.count(len(d.buf)) {
		q.steady = append(q.steady, Steady{Drifting: decodeDrifting(d), At: d.int()})
	}
	for range d.count(len(d.buf)) {
		m := &measure{figure: decodeFigure(d)}
		better := int64(0)
		for _, n := range []*int64{&m.last, &m.age, &m.week, &m.since, &m.doubtSince, &better} {
			*n = d.int()
		}
		m.better = int(better)
		m.pending, m.doubt = decodeSample(d), decodeSample(d)
		if m.drifting = d.bool(); m.drifting {
			m.told = decodeDrifting(d)
		}
		for h := range m.hours {
			for g := range m.hours[h] {
				m.hours[h][g] = lows{decodeSample(d), decodeSample(d)}
			}
		}
		if d.err == nil && (m.last <= 0 || m.age < 0 || m.week < 0 || m.doubtSince < 0 || better < 0 || better >= sustained || q.figures[m.figure] != nil) {
			d.fail("a figure contradicts itself")
		}
		if d.err != nil {
			break
		}
		if q.order.Len() >= q.cfg.MeasuresMax {
			q.evicted++
			continue
		}
		q.figures[m.figure] = q.order.PushBack(m)
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	return q, nil
}
