package pack

import (
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/timestamp"
)

// timeSpec is one place where a record's time may stand.
type timeSpec struct {
	lookup event.Lookup
	layout string
	zoned  bool
}

// Layouts of the pack language beside those of package timestamp.
const (
	// layoutAuto is any form that timestamp.Parse reads.
	layoutAuto = "auto"
	// layoutUTC is the same where the vendor documents UTC and writes no zone.
	layoutUTC = "utc"
)

func (c *compiler) time(d *timeDoc) timeSpec {
	layout := d.Layout
	switch layout {
	case "", "epoch":
		layout = layoutAuto
	case layoutAuto, layoutUTC:
	default:
		if !timestamp.LayoutKnown(layout) {
			c.fail(d.place, "time layout %q is not known: write auto, utc, epoch_s, epoch_ms, epoch_us, epoch_ns, rfc3339, rfc3164, clf or a layout of Go's package time", layout)
		}
	}
	return timeSpec{lookup: c.pack.fieldLookup(d.Field), layout: layout, zoned: d.Zoned}
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
			t, quality, ok := spec.parse(v.Text, timestamp.Options{Zone: s.router.opts.Zone, Reference: s.router.opts.Reference})
			if !ok || spec.zoned && quality != event.TimeParsed {
				continue
			}
			rec.Time, rec.TimeQuality = t, quality
			return
		}
	}
}

func (t *timeSpec) parse(text []byte, o timestamp.Options) (time.Time, event.TimeQuality, bool) {
	switch t.layout {
	case layoutAuto:
		return timestamp.Parse(text, o)
	case layoutUTC:
		o.Zone = nil
		at, quality, ok := timestamp.Parse(text, o)
		if quality == event.TimeAssumedZone {
			quality = event.TimeParsed
		}
		return at, quality, ok
	}
	return timestamp.ParseLayout(text, t.layout, o)
}
