package health

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// Bounds of a [Silence], in minutes where nothing else is said.
const (
	// SilenceSourcesMax is the default bound of the sources watched, at about
	// 1.4 kB each. Beyond it a new one is refused and counted: forgetting the one
	// that was not heard for longest would forget the one to report.
	SilenceSourcesMax = 10_000
	// SourceBytesMax bounds the name of a source.
	SourceBytesMax = 200

	// leastMinutes is the shortest silence that is told: agents hold records
	// back for some minutes when a network hiccups.
	leastMinutes = 10
	// learnMinutes is how long a source is learned: a week has all its hours.
	learnMinutes = 7 * 24 * 60
	// youngMinutes is the span of activity below which nothing is known.
	youngMinutes = 24 * 60
	// unsureMinutes is the least silence of a source that is still learned and
	// has been seen to pause: a weekend and its nights fit.
	unsureMinutes = 72 * 60
	// longMinutes is the gap from which a pause counts as one between two
	// deliveries and not as one within.
	longMinutes = 60
	// unwatchedMinutes is the step of time from which on nobody was listening.
	unwatchedMinutes = 5
	// habitMinutes: a silence that comes for the third time within it is a habit.
	habitMinutes = 14 * 24 * 60
	// UnheardMinutes is the cadence that is assumed of a source that was named,
	// has never spoken and has none declared: nothing can be learned of it, and a
	// day lets a nightly batch be one.
	UnheardMinutes = 24 * 60
	// generationMinutes is how long the longest gaps are gathered before they
	// become the older generation; they are forgotten after twice as long.
	generationMinutes = 4 * learnMinutes
)

// SilenceConfig configures a [Silence].
type SilenceConfig struct {
	// Tenant is whose sources they are.
	Tenant event.Tenant
	// SourcesMax replaces the default bound, when it is not 0.
	SourcesMax int
}

// Silent tells that a source has fallen silent.
type Silent struct {
	// ID is derived from tenant, source and Since.
	ID     event.ID
	Source string
	// Since is the minute of its last record, or of its declaration when there
	// was none; At the minute in which it was told.
	Since, At int64
	// Expected is within how many minutes a record was expected: the declared
	// cadence, or half the bound that was learned.
	Expected int64
	Declared bool
	// Unheard is set when it has never spoken; Since is then when it was named.
	Unheard bool
}

// Recovered tells that a silent source speaks again.
type Recovered struct {
	Silent Silent
	// At is the minute of the first record.
	At int64
}

// Silence learns the cadence of sources and tells when one is silent. Minutes
// are Unix time in minutes, of receive time.
//
// A source with a declared cadence of D minutes is silent when nothing came for
// more than 2 D. Of any other it learns, for each of the 168 hours of a week
// (UTC), whether the source speaks in it every week, how often, and how long its
// pauses are. Only minutes in hours in which it always speaks count as silence,
// those of less busy hours in proportion; it is told when they are more than
//
//   - 10,
//   - twice the longest pause seen in the same hour and the two around it, as
//     far as it lies in those,
//   - twice the longest pause seen within an hour that is about as busy, and
//   - where pauses are irregular, as many as chance makes in one of 10^7 cases;
//
// or when all minutes together are more than twice the longest pause ever seen
// (three times, where long pauses differ much). So a source that never pauses is
// named after 10 to 20 minutes; one of office hours after 10 minutes or twice
// its longest break while it should be busy, and on the next working morning when
// it stops in the evening or at a weekend; a daily or weekly batch when two are
// missing.
//
// A source is learned when it has spoken over a week. Until then the bound is
// twice the longest pause, and 72 hours once it has paused for an hour; before
// it has spoken over a day it is eight days. A silence that was told is not learned from, unless it is
// the third within 14 days: then it is a habit. When time stands still for more
// than 5 minutes nobody was listening, and silence counts from then on; of a source
// that has never spoken the time before counts too, without that time itself.
//
// A source that was named ([Silence.Await]) and has never spoken is silent when twice
// its cadence, declared or assumed, has passed since: nothing tells better that an
// agent was never connected.
//
// Times can be excepted ([Silence.Except]): in them no silence is told, they count
// for none, and nothing is learned of them.
//
// It is not safe for concurrent use.
type Silence struct {
	cfg       SilenceConfig
	sources   map[string]*cadence
	except    map[string][]Interval
	watched   int64
	recovered []Recovered
	refused   uint64
}

// NewSilence makes a finder without sources.
func NewSilence(cfg SilenceConfig) *Silence {
	if cfg.SourcesMax <= 0 {
		cfg.SourcesMax = SilenceSourcesMax
	}
	return &Silence{cfg: cfg, sources: map[string]*cadence{}, except: map[string][]Interval{}}
}

// Refused counts the calls for sources beyond the bound, or with a name that is
// too long.
func (q *Silence) Refused() uint64 { return q.refused }

// Observe takes how many records of a source came in a minute; none is nothing.
// Minutes before the newest one of a source change nothing.
func (q *Silence) Observe(source string, minute int64, records uint64) {
	q.watch(minute)
	if records == 0 || minute <= 0 {
		return
	}
	c := q.sources[source]
	if c == nil {
		if c = q.add(source); c == nil {
			return
		}
		c.begin(minute)
		return
	}
	if silent, ok := c.hear(minute, q.except[source]); ok {
		q.recovered = append(q.recovered, Recovered{Silent: silent, At: minute})
	}
}

// Declare sets the cadence of a source in minutes: it should speak at least that
// often. 0 goes back to what was learned. A source that has not spoken yet is
// watched from now on.
func (q *Silence) Declare(source string, minutes, now int64) {
	q.watch(now)
	c := q.sources[source]
	if c == nil {
		if minutes <= 0 {
			return
		}
		if c = q.add(source); c == nil {
			return
		}
		c.seen, c.from = now, now
	}
	c.declared = min(max(minutes, 0), generationMinutes)
}

// Await names a source that should speak, with its declared cadence in minutes or
// 0 for [UnheardMinutes]. One that has never spoken is watched from the first
// time it was named; of one that has spoken, and so has a cadence of its own, it
// changes nothing.
func (q *Silence) Await(source string, minutes, now int64) {
	if c := q.sources[source]; c != nil && c.first != 0 {
		return
	}
	if minutes <= 0 {
		minutes = UnheardMinutes
	}
	q.Declare(source, minutes, now)
}

// Unheard returns the sources that are watched and have never spoken, in order of
// name.
func (q *Silence) Unheard() []string {
	var list []string
	for name, c := range q.sources {
		if c.first == 0 {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

func (q *Silence) add(source string) *cadence {
	if len(q.sources) >= q.cfg.SourcesMax || len(source) > SourceBytesMax {
		q.refused++
		return nil
	}
	c := &cadence{}
	q.sources[strings.Clone(source)] = c
	return c
}

// Silent returns the sources that were told to be silent and have not spoken
// since, in order of name.
func (q *Silence) Silent() []Silent {
	var list []Silent
	for _, c := range q.sources {
		if c.silent {
			list = append(list, c.told)
		}
	}
	slices.SortFunc(list, func(a, b Silent) int { return strings.Compare(a.Source, b.Source) })
	return list
}

// Forget drops a source, as one that is no longer configured.
func (q *Silence) Forget(source string) { delete(q.sources, source) }

// watch notices that nobody was listening for a while: silence then counts
// from now on.
func (q *Silence) watch(minute int64) {
	if q.watched != 0 && minute-q.watched > unwatchedMinutes {
		for _, c := range q.sources {
			switch {
			case c.silent:
			case c.first == 0:
				// What it has been awaited before still counts: else a server that is
				// restarted often enough would never tell.
				c.from += minute - q.watched
			default:
				c.from = max(c.from, minute)
			}
		}
	}
	q.watched = max(q.watched, minute)
}

// Check tells that everything received before a minute has been observed, and
// returns the sources that have fallen silent and that speak again since the
// last call, in order of name. Call it every minute.
func (q *Silence) Check(now int64) ([]Silent, []Recovered) {
	q.watch(now)
	var list []Silent
	for name, c := range q.sources {
		if c.silent || now-c.from <= leastMinutes && c.declared == 0 || holds(q.except[name], now) {
			continue
		}
		limit, ok := c.silence(now, q.except[name])
		if !ok {
			continue
		}
		c.silent = true
		c.told = Silent{
			ID:     event.FindingID(q.cfg.Tenant, "silence", name, strconv.FormatInt(c.seen, 10)),
			Source: name, Since: c.seen, At: now, Expected: limit, Declared: c.declared > 0, Unheard: c.first == 0,
		}
		list = append(list, c.told)
	}
	slices.SortFunc(list, func(a, b Silent) int { return strings.Compare(a.Source, b.Source) })
	recovered := q.recovered
	q.recovered = nil
	slices.SortFunc(recovered, func(a, b Recovered) int {
		return cmp.Or(strings.Compare(a.Silent.Source, b.Silent.Source), cmp.Compare(a.At, b.At))
	})
	return list, recovered
}
