package pack

import (
	"github.com/tiercel-io/tiercel/event"
)

// timeSpec is one place where a record's time may stand.
type timeSpec struct {
	lookup event.Lookup
	layout string
	zoned  bool
}

func (c *compiler) time(d *timeDoc) timeSpec {
	return timeSpec{lookup: c.pack.fieldLookup(d.Field), layout: d.Layout, zoned: d.Zoned}
}

// setTime sets the record's time from the first of the pack's places that
// holds one.
func (s *Session) setTime(rec *event.Record, r *event.Reader, p *routedPack) {
	for i, slot := range p.times {
		spec := &p.Pack.times[i]
		for _, v := range r.Values(slot) {
			if v.Kind != event.String && v.Kind != event.Number {
				continue
			}
			t, quality, ok := parseTime(v.Text, spec.layout, s.zone, s.reference)
			if !ok || spec.zoned && quality != event.TimeParsed {
				continue
			}
			rec.Time, rec.TimeQuality = t, quality
			return
		}
	}
}
