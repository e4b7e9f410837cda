package stream

import (
	"cmp"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// SourceInfo is how one source is doing.
type SourceInfo struct {
	Tenant event.Tenant
	Name   string
	Pack   string
	Import bool
	// Last is when a record was last received since the process started, zero if
	// none was; Events and Bytes count since then.
	Last          time.Time
	Events, Bytes uint64
	// Unrouted are the records evaluated since then that no pack knows.
	Unrouted uint64
	// Flagged are those with a field twice or with text that is not Unicode.
	Flagged uint64
	// Lag is the age of the oldest batch that waits to be evaluated, Waiting how
	// many do.
	Lag     time.Duration
	Waiting int
	// Watermark is the event time up to which all is decided, zero before the
	// first record.
	Watermark time.Time
	// Unaccounted is what the last audit of the ledger could not explain.
	Unaccounted int64
	// Silent is since when the source has been silent for longer than expected,
	// or zero; Expected is the declared or learned time between records.
	Silent   time.Time
	Expected time.Duration
	// Blind are the ids of the rules that see nothing while it is silent.
	Blind []string
	// EventsPerSecond and BytesPerSecond are averages over the last minute.
	EventsPerSecond, BytesPerSecond float64
}

// Sources lists the sources of a tenant, or with the zero tenant of all, by
// tenant and name: those that have sent, and those that are configured.
func (n *Node) Sources(t event.Tenant) []SourceInfo {
	now := n.clock.Now()
	by := map[sourceKey]*SourceInfo{}
	for _, f := range n.scheduler.all() {
		if !t.IsZero() && f.partition.Tenant != t {
			continue
		}
		k := sourceKey{f.partition.Tenant, f.partition.Source}
		s := by[k]
		if s == nil {
			s = &SourceInfo{Tenant: k.tenant, Name: k.name, Pack: f.source.Pack, Import: f.source.Import}
			by[k] = s
		}
		f.mu.Lock()
		s.Events += f.arrived
		s.Bytes += f.arrivedBytes
		s.Unrouted += f.unrouted
		s.Flagged += f.flagged
		s.Waiting += f.backlog.waiting()
		if f.arrivedAt > 0 && time.UnixMicro(f.arrivedAt).After(s.Last) {
			s.Last = time.UnixMicro(f.arrivedAt).UTC()
		}
		if f.watermark != never {
			if w := time.UnixMicro(f.watermark).UTC(); s.Watermark.IsZero() || w.Before(s.Watermark) {
				s.Watermark = w
			}
		}
		f.mu.Unlock()
		if at := f.backlog.oldest.Load(); at > 0 {
			s.Lag = max(s.Lag, now.Sub(time.UnixMicro(at)))
		}
	}
	for _, tenant := range n.cfg.Tenants {
		if !t.IsZero() && tenant != t {
			continue
		}
		for _, name := range n.settings(tenant).Sources {
			if k := (sourceKey{tenant, name}); by[k] == nil {
				c := n.source(tenant, name)
				by[k] = &SourceInfo{Tenant: tenant, Name: name, Pack: c.Pack, Import: c.Import}
			}
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	out := make([]SourceInfo, 0, len(by))
	for k, s := range by {
		s.Unaccounted = n.unaccounted[k]
		if w := n.watched[k]; w != nil {
			s.Silent, s.Expected, s.Blind = w.silent, w.expected, w.blind
		}
		r := n.rates[k]
		s.EventsPerSecond, s.BytesPerSecond = r.perSecond()
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b SourceInfo) int {
		return cmp.Or(cmp.Compare(a.Tenant.String(), b.Tenant.String()), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// sourceKey names a source of a tenant.
type sourceKey struct {
	tenant event.Tenant
	name   string
}

// rateSeconds is the time over which rates are averages.
const rateSeconds = 60

// rate keeps the counts of the last minute, one a second.
type rate struct {
	events, bytes [rateSeconds + 1]uint64
	at, n         int
}

// tick takes the counts of a second that has passed.
func (r *rate) tick(events, bytes uint64) {
	r.at = (r.at + 1) % len(r.events)
	r.events[r.at], r.bytes[r.at] = events, bytes
	r.n = min(r.n+1, len(r.events))
}

func (r *rate) perSecond() (events, bytes float64) {
	if r == nil || r.n < 2 {
		return 0, 0
	}
	first := (r.at - r.n + 1 + len(r.events)) % len(r.events)
	span := float64(r.n - 1)
	return float64(r.events[r.at]-r.events[first]) / span, float64(r.bytes[r.at]-r.bytes[first]) / span
}

// Started is when the node was started.
func (n *Node) Started() time.Time { return n.started }

// Rates are averages over the last minute.
type Rates struct {
	Events, Bytes, Evaluated, Quarantined, Matches, Detections float64
}

// Rates returns what went through in the last minute, per second.
func (n *Node) Rates() Rates {
	n.mu.Lock()
	defer n.mu.Unlock()
	var r Rates
	for _, s := range n.rates {
		events, bytes := s.perSecond()
		r.Events += events
		r.Bytes += bytes
	}
	r.Evaluated, r.Quarantined = n.work1.perSecond()
	r.Matches, r.Detections = n.work2.perSecond()
	return r
}

// tickRates takes the counts of the second that has passed.
func (n *Node) tickRates() {
	type count struct{ events, bytes uint64 }
	counts := map[sourceKey]count{}
	for _, f := range n.scheduler.all() {
		k := sourceKey{f.partition.Tenant, f.partition.Source}
		f.mu.Lock()
		c := counts[k]
		c.events += f.arrived
		c.bytes += f.arrivedBytes
		f.mu.Unlock()
		counts[k] = c
	}
	totals := n.Totals()
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, c := range counts {
		r := n.rates[k]
		if r == nil {
			r = &rate{}
			n.rates[k] = r
		}
		r.tick(c.events, c.bytes)
	}
	n.work1.tick(totals.Evaluated, totals.Quarantined)
	n.work2.tick(totals.Matches, totals.Detections)
}

// Content is what decides now.
func (n *Node) Content() *Content { return n.current.Load() }
