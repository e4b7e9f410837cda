package stream

import (
	"time"

	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/health"
)

// Settings are a tenant's.
type Settings struct {
	// Weight is the tenant's share of the workers against that of others; 0
	// counts as 1.
	Weight float64
	// LagMax and Budget are those of correlations (correlate.Config).
	LagMax time.Duration
	Budget correlate.Budget
	// Sources are the names of the sources that are configured. One that never
	// speaks is told of, unless its silence is expected or it is read once.
	Sources []string
}

// Source is what is known of a configured feed. The zero value of everything
// but the names is a working default.
type Source struct {
	Tenant event.Tenant
	Name   string
	// Pack pins the pack; empty lets records decide. Format pins the format of
	// batches that name none.
	Pack, Format string
	// Zone is the zone of times that name none; nil is UTC.
	Zone *time.Location
	// Lateness is how late events may be and still count in order; 0 means
	// LatenessDefault.
	Lateness time.Duration
	// Cadence is the declared time between records; 0 learns it.
	Cadence time.Duration
	// ExpectSilence never reports it as silent.
	ExpectSilence bool
	// Except are times in which it need not speak, in minutes of Unix time.
	Except []health.Interval
	// DropFields are members of the record, by path, that are taken out of what
	// is kept of it. DetectOnly keeps nothing of a record but its hash.
	DropFields []string
	DetectOnly bool
	// Filtered are channels of which the sender leaves records out, so that
	// missing numbers mean nothing there.
	Filtered []string
	// Import says that the source is read once.
	Import bool
}

// LatenessDefault is the allowed lateness of a source.
const LatenessDefault = 5 * time.Minute

func (s *Source) lateness() int64 {
	if s.Lateness > 0 {
		return s.Lateness.Microseconds()
	}
	return LatenessDefault.Microseconds()
}

// keep returns what is kept of an event that was put together of several
// records, and the bytes that are not.
func (s *Source) keep(whole []byte) (kept []byte, dropped uint64) {
	if s.DetectOnly {
		return nil, uint64(len(whole))
	}
	if len(s.DropFields) == 0 {
		return whole, 0
	}
	var tree event.Tree
	if err := tree.ParseJSON(whole); err != nil {
		// It was written a moment ago; what cannot be looked through is not kept.
		return nil, uint64(len(whole))
	}
	kept = tree.AppendJSONWithout(nil, s.DropFields)
	return kept, uint64(max(0, len(whole)-len(kept)))
}

// scope is the name of the matches that a source's hits go to.
func (s *Source) scope() string {
	if s.Import {
		return "import:" + s.Name
	}
	return liveScope
}

const liveScope = "live"
