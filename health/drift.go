package health

import (
	"cmp"
	"container/list"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// Bounds of a [Drift].
const (
	// MeasuresMax is the default bound of the figures watched, over all sources,
	// at about 500 bytes each. Beyond it the one not seen for longest is
	// forgotten.
	MeasuresMax = 65_536
	// FieldsMax bounds the fields taken per source and window: those that rules
	// need, in the caller's order.
	FieldsMax = 256
	// FieldBytesMax bounds the names of a field and its view.
	FieldBytesMax = 512
	// WindowMinutes is how long a window is that the caller counts over.
	WindowMinutes = 5

	// dropLeast is the drop, as a share of the whole, below which nothing is
	// told; dropYoung that within the first week, when not every hour and day of
	// a week has been seen.
	dropLeast, dropYoung = 0.20, 0.50
	// certainZ is how many standard deviations a drop must be: six are one in
	// 10^9, and there are 10^8 windows and figures in a large installation's year.
	certainZ = 6
	// samplesMin is how many records a window must have; smaller ones are added
	// up.
	samplesMin = 50
	// sustained is how many windows in a row make a drift, or its end.
	sustained = 2
	// driftDay and driftWeek are how much of a source's life must have been seen
	// before anything is told, and before a day like any other has been seen.
	driftDay, driftWeek = 24 * 60, 7 * 24 * 60
)

// DriftConfig configures a [Drift].
type DriftConfig struct {
	// Tenant is whose sources they are.
	Tenant event.Tenant
	// MeasuresMax replaces the default bound, when it is not 0.
	MeasuresMax int
}

// FieldCount is how many records of a view carry a field.
type FieldCount struct {
	View, Field string
	// Records are those of the view, Present those of them with the field.
	Records, Present uint64
}

// Window is what a source brought in one window.
type Window struct {
	// Records were received, Parsed of them parsed, Routed of them fitted a view.
	Records, Parsed, Routed uint64
	// Fields are those that rules need, at most [FieldsMax].
	Fields []FieldCount
}

// What says which figure drifts.
type What string

// The figures: shares of the records received that parsed and that fitted a
// view, and of a view's records that carry a field.
const (
	ParseRate   What = "parse_rate"
	RoutedShare What = "routed_share"
	FieldShare  What = "field_share"
)

// Figure names one figure of a source.
type Figure struct {
	Source string
	What   What
	// View and Field are set for [FieldShare].
	View, Field string
}

func (f Figure) compare(o Figure) int {
	return cmp.Or(strings.Compare(f.Source, o.Source), strings.Compare(string(f.What), string(o.What)),
		strings.Compare(f.View, o.View), strings.Compare(f.Field, o.Field))
}

// Drifting tells that a figure has dropped.
type Drifting struct {
	// ID is derived from tenant, figure and Since.
	ID event.ID
	Figure
	// Was is the lowest share that was usual, Is that of the windows that told;
	// both from 0 to 1.
	Was, Is float64
	// Since and At are the first minutes of the first window that showed it and
	// of the one that told it.
	Since, At int64
}

// Steady tells that a figure that drifted is usual again.
type Steady struct {
	Drifting Drifting
	// At is the first minute of the window that told it.
	At int64
}

// Drift tells when the records of a source change: when fewer parse, fewer fit
// a view, or a field that rules need goes missing.
//
// What is usual is learned for each hour of the day (UTC): the second lowest
// share that a window of it, or of the hours beside it, had in the last one to
// two weeks. A source whose composition shifts over the day is so compared with
// its own night, and a single bad window lowers nothing. What is usual at an
// hour of a Sunday is so at that hour of any day. Two windows in a row
// that are at least 20 points lower, and lower by more than six standard
// deviations, are a drift; nothing is learned while it lasts. It ends with two
// windows that are not.
//
// Before a source has been seen for a day nothing is told, and within its first
// week only a drop of 50 points below everything seen. Times are Unix time in
// minutes. It is not safe for concurrent use.
type Drift struct {
	cfg     DriftConfig
	figures map[Figure]*list.Element
	// order holds *measure, the one seen last at the back.
	order            *list.List
	drifting         []Drifting
	steady           []Steady
	evicted, refused uint64
}

// NewDrift makes a finder that has learned nothing.
func NewDrift(cfg DriftConfig) *Drift {
	if cfg.MeasuresMax <= 0 {
		cfg.MeasuresMax = MeasuresMax
	}
	return &Drift{cfg: cfg, figures: map[Figure]*list.Element{}, order: list.New()}
}

// Evicted counts the figures forgotten for room, Refused those not taken since
// their names are too long or there were too many fields.
func (q *Drift) Evicted() uint64 { return q.evicted }

// Refused: see [Drift.Evicted].
func (q *Drift) Refused() uint64 { return q.refused }

// Observe takes what a source brought in the window of [WindowMinutes] that
// begins at a minute. The windows of a source come in order; one that is not
// later than the last changes nothing.
func (q *Drift) Observe(source string, minute int64, w Window) {
	q.observe(Figure{Source: source, What: ParseRate}, minute, w.Parsed, w.Records)
	q.observe(Figure{Source: source, What: RoutedShare}, minute, w.Routed, w.Records)
	fields := w.Fields
	if len(fields) > FieldsMax {
		q.refused += uint64(len(fields) - FieldsMax)
		fields = fields[:FieldsMax]
	}
	for _, f := range fields {
		q.observe(Figure{Source: source, What: FieldShare, View: f.View, Field: f.Field}, minute, f.Present, f.Records)
	}
}

func (q *Drift) observe(f Figure, minute int64, have, of uint64) {
	if of == 0 || minute <= 0 {
		return
	}
	el := q.figures[f]
	if el == nil {
		if len(f.Source) > SourceBytesMax || len(f.View)+len(f.Field) > FieldBytesMax {
			q.refused++
			return
		}
		for q.order.Len() >= q.cfg.MeasuresMax {
			oldest := q.order.Front()
			q.order.Remove(oldest)
			delete(q.figures, oldest.Value.(*measure).figure)
			q.evicted++
		}
		f.Source, f.View, f.Field = strings.Clone(f.Source), strings.Clone(f.View), strings.Clone(f.Field)
		el = q.order.PushBack(&measure{figure: f, last: minute - 1})
		q.figures[f] = el
	} else {
		q.order.MoveToBack(el)
	}
	m := el.Value.(*measure)
	if minute <= m.last {
		return
	}
	m.live(min(minute-m.last, driftDay))
	m.last = minute
	if m.pending.of == 0 {
		m.since = minute
	}
	m.pending.add(have, of)
	if m.pending.of < samplesMin {
		return
	}
	s := m.pending
	m.pending = sample{}
	began, ended := m.take(s, m.since, minute)
	if began {
		m.told.ID = event.FindingID(q.cfg.Tenant, "drift", f.Source, string(f.What), f.View, f.Field, strconv.FormatInt(m.told.Since, 10))
		q.drifting = append(q.drifting, m.told)
	}
	if ended {
		q.steady = append(q.steady, Steady{Drifting: m.told, At: minute})
	}
}

// Forget drops what was learned of a figure, as when somebody has accepted its
// new share: it is learned anew. A drift of it ends without being told.
func (q *Drift) Forget(f Figure) {
	if el := q.figures[f]; el != nil {
		q.order.Remove(el)
		delete(q.figures, f)
	}
}

// Findings returns what began and ended to drift since the last call, in order
// of figure.
func (q *Drift) Findings() ([]Drifting, []Steady) {
	d, s := q.drifting, q.steady
	q.drifting, q.steady = nil, nil
	slices.SortStableFunc(d, func(a, b Drifting) int { return a.compare(b.Figure) })
	slices.SortStableFunc(s, func(a, b Steady) int { return a.Drifting.compare(b.Drifting.Figure) })
	return d, s
}

// sample is a share: have of of.
type sample struct{ have, of uint32 }

// add adds up, keeping the share when a figure is at its end.
func (s *sample) add(have, of uint64) {
	h, n := min(have, of), of
	for n > math.MaxUint32/2 {
		h, n = h/2, n/2
	}
	if s.of > math.MaxUint32/2 {
		s.have, s.of = s.have/2, s.of/2
	}
	s.have, s.of = s.have+uint32(h), s.of+uint32(n)
}

func (s sample) share() float64 { return float64(s.have) / float64(max(s.of, 1)) }

// below tells whether a share is lower than another by a drop, and by more than
// chance: the test of two proportions with the pooled variance.
func (s sample) below(o sample, drop float64) bool {
	if o.share()-s.share() < drop {
		return false
	}
	n, m := float64(s.of), float64(o.of)
	p := (float64(s.have) + float64(o.have)) / (n + m)
	return o.share()-s.share() > certainZ*math.Sqrt(p*(1-p)*(1/n+1/m))
}

// lows are the two lowest samples of an hour; of is 0 where there is none.
type lows [2]sample

func (l *lows) add(s sample) {
	switch {
	case l[0].of == 0 || s.share() < l[0].share():
		l[0], l[1] = s, l[0]
	case l[1].of == 0 || s.share() < l[1].share():
		l[1] = s
	}
}

// measure is what is known of one figure.
type measure struct {
	figure Figure
	// last is the last window, in minutes. age is for how many minutes it has
	// been seen, an absence counting as a day at most; week how many of them lie
	// in the present generation.
	last, age, week int64
	// pending gathers windows, from since on, until there are enough records.
	pending sample
	since   int64
	// doubt holds a sample that was low, of doubtSince, until the next one tells
	// what it means; better counts those at the end of a drift.
	doubt      sample
	doubtSince int64
	better     int
	drifting   bool
	told       Drifting
	// hours holds the lowest samples of each hour of the day, of this week and
	// the one before.
	hours [24][2]lows
}

// take judges a sample and learns from it.
func (m *measure) take(s sample, since, minute int64) (began, ended bool) {
	hour := int(minute / 60 % 24)
	usual, drop, ok := m.usual(hour)
	if !ok {
		m.learn(hour, s)
		return false, false
	}
	low := s.below(usual, drop)
	if m.drifting {
		// What was usual at this hour before it began decides when it ends; it is
		// neither learned nor forgotten meanwhile.
		if s.share() <= usual.share()-drop {
			m.better = 0
			return false, false
		}
		if m.better++; m.better < sustained {
			return false, false
		}
		m.drifting, m.better = false, 0
		m.learn(hour, s)
		return false, true
	}
	switch {
	case low && m.doubt.of == 0:
		m.doubt, m.doubtSince = s, since
	case low:
		both := m.doubt
		both.add(uint64(s.have), uint64(s.of))
		m.drifting, m.better, m.doubt = true, 0, sample{}
		m.told = Drifting{Figure: m.figure, Was: usual.share(), Is: both.share(), Since: m.doubtSince, At: minute}
		return true, false
	default:
		if m.doubt.of > 0 {
			m.learn(int(m.doubtSince/60%24), m.doubt)
			m.doubt = sample{}
		}
		m.learn(hour, s)
	}
	return false, false
}

func (m *measure) learn(hour int, s sample) { m.hours[hour][0].add(s) }

// live lets a figure grow older and begins a new generation each week of its
// life, but not while it drifts: that would forget what was usual.
func (m *measure) live(minutes int64) {
	if m.drifting {
		return
	}
	m.age += minutes
	if m.week += minutes; m.week < driftWeek {
		return
	}
	m.week = 0
	for i := range m.hours {
		m.hours[i] = [2]lows{{}, m.hours[i][0]}
	}
}

// usual returns the lowest usual sample at an hour and the least drop below it
// that is told, or false while too little is known.
func (m *measure) usual(hour int) (sample, float64, bool) {
	if m.age < driftDay {
		return sample{}, 0, false
	}
	near := []int{(hour + 23) % 24, hour, (hour + 1) % 24}
	if m.age < driftWeek {
		return m.lowest(nil), dropYoung, true
	}
	if s := m.lowest(near); s.of > 0 {
		return s, dropLeast, true
	}
	s := m.lowest(nil)
	return s, dropLeast, s.of > 0
}

// lowest returns the second lowest sample of some hours of the day, or of all
// (nil).
func (m *measure) lowest(hours []int) sample {
	var l lows
	for h := range m.hours {
		if hours != nil && !slices.Contains(hours, h) {
			continue
		}
		for _, g := range m.hours[h] {
			for _, s := range g {
				if s.of > 0 {
					l.add(s)
				}
			}
		}
	}
	if l[1].of == 0 {
		return l[0]
	}
	return l[1]
}
