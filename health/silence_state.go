package health

import (
	"maps"
	"slices"
)

const (
	silenceMagic   = "tiercel-silence"
	silenceVersion = 1
)

func (c *cadence) numbers() []*int64 {
	return []*int64{
		&c.declared, &c.first, &c.seen, &c.from, &c.habits[0], &c.habits[1], &c.active, &c.longest[0], &c.longest[1],
		&c.pauses[0], &c.pauses[1], &c.paused[0], &c.paused[1], &c.generation,
	}
}

func (h *hourOfWeek) bytes() []*uint8 {
	return []*uint8{&h.weeks, &h.known, &h.rate, &h.within[0], &h.within[1], &h.around[0], &h.around[1]}
}

// Bits of a byte that was Declared alone once.
const (
	silentDeclared = 1 << iota
	silentUnheard
)

func encodeSilent(e *encoder, s *Silent) {
	e.raw(s.ID[:])
	e.text(s.Source)
	e.int(s.Since)
	e.int(s.At)
	e.int(s.Expected)
	flags := uint8(0)
	if s.Declared {
		flags |= silentDeclared
	}
	if s.Unheard {
		flags |= silentUnheard
	}
	e.byte(flags)
}

func decodeSilent(d *decoder) (s Silent) {
	copy(s.ID[:], d.raw(len(s.ID)))
	s.Source, s.Since, s.At, s.Expected = d.text(), d.int(), d.int(), d.int()
	flags := d.byte()
	s.Declared, s.Unheard = flags&silentDeclared != 0, flags&silentUnheard != 0
	return s
}

// Encode returns the state. A finder restored from it goes on to the same
// findings.
func (q *Silence) Encode() []byte {
	e := newEncoder(silenceMagic, silenceVersion)
	e.int(q.watched)
	e.num(q.refused)
	e.num(uint64(len(q.recovered)))
	for i := range q.recovered {
		encodeSilent(e, &q.recovered[i].Silent)
		e.int(q.recovered[i].At)
	}
	e.num(uint64(len(q.sources)))
	for _, name := range slices.Sorted(maps.Keys(q.sources)) {
		c := q.sources[name]
		e.text(name)
		for _, n := range c.numbers() {
			e.int(*n)
		}
		e.bool(c.silent)
		if c.silent {
			encodeSilent(e, &c.told)
		}
		for i := range c.hours {
			for _, b := range c.hours[i].bytes() {
				e.byte(*b)
			}
		}
	}
	return e.done()
}

// RestoreSilence makes a finder with encoded state. The error is [ErrState].
func RestoreSilence(cfg SilenceConfig, state []byte) (*Silence, error) {
	q := NewSilence(cfg)
	d := newDecoder(state, silenceMagic, silenceVersion)
	q.watched, q.refused = d.int(), d.num()
	for range d.count(len(d.buf)) {
		q.recovered = append(q.recovered, Recovered{Silent: decodeSilent(d), At: d.int()})
	}
	for range d.count(len(d.buf)) {
		name := d.text()
		c := &cadence{}
		for _, n := range c.numbers() {
			*n = d.int()
		}
		if c.silent = d.bool(); c.silent {
			c.told = decodeSilent(d)
		}
		for i := range c.hours {
			for _, b := range c.hours[i].bytes() {
				*b = d.byte()
			}
		}
		if d.err == nil && (len(name) > SourceBytesMax || c.first < 0 || c.seen < c.first || c.from < c.seen || c.declared < 0) {
			d.fail("a source contradicts itself")
		}
		if d.err != nil {
			break
		}
		if len(q.sources) >= q.cfg.SourcesMax {
			q.refused++
			continue
		}
		q.sources[name] = c
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	return q, nil
}
