package health

import (
	"cmp"
	"slices"
)

// observation is a number with its event time (0: none) and the clock's value
// when it came.
type observation struct {
	number   uint64
	time, at int64
}

// run is a run of numbers of which all (or, when approximate, some) are
// missing.
type run struct {
	Span
	missing       uint64
	before, after int64
	// since is the clock's value when a number beyond it was first seen.
	since       int64
	approximate bool
	// gap is what was reported of it, or nil. The pieces of a run share it.
	gap *Gap
}

// epoch is one numbering: from its first number to its highest, everything has
// been seen but what the runs name.
type epoch struct {
	first, last         uint64
	firstTime, lastTime int64
	// newest and born are the latest and the earliest event time seen, opened is
	// the clock's value when it began.
	newest, born, opened int64
	// floor is, in a numbering that followed another, the event time up to which
	// its records were taken for those of the other: what stood there is not
	// known, so that nothing at or before it can be missing.
	floor int64
	// closed is the clock's value when the next numbering began.
	closed int64
	runs   []run
}

func newEpoch(o observation) epoch {
	return epoch{first: o.number, last: o.number, firstTime: o.time, lastTime: o.time, newest: o.time, born: o.time, opened: o.at}
}

// find returns the index of the run that holds a number, or where it would be
// and false.
func (e *epoch) find(n uint64) (int, bool) {
	return slices.BinarySearchFunc(e.runs, n, func(r run, n uint64) int {
		switch {
		case n < r.From:
			return 1
		case n > r.To:
			return -1
		}
		return 0
	})
}

// wants tells whether a record would be news.
func (e *epoch) wants(o observation, settle int64) bool {
	_, missing := e.find(o.number)
	return missing || o.number > e.last || e.begins(o, settle)
}

// begins tells whether a number below the first one moves the beginning.
func (e *epoch) begins(o observation, settle int64) bool {
	return o.number < e.first && o.at-e.opened <= settle && e.first-o.number <= nearNumbers && (e.floor == 0 || o.time > e.floor)
}

// take enters a number and returns the reported gap that it fills, if any.
func (e *epoch) take(o observation, settle int64) *Gap {
	if o.time != 0 {
		e.born = min(e.born, o.time)
	}
	switch {
	case o.number > e.last:
		// Only what continues the numbering moves its time: the first low numbers
		// of the next one would otherwise carry it along and never stand out.
		e.newest = max(e.newest, o.time)
		if o.number-e.last > 1 {
			e.runs = append(e.runs, run{Span: Span{e.last + 1, o.number - 1}, missing: o.number - e.last - 1, before: e.lastTime, after: o.time, since: o.at})
		}
		e.last, e.lastTime = o.number, o.time
	case o.number < e.first:
		if !e.begins(o, settle) {
			return nil
		}
		if e.first-o.number > 1 {
			e.runs = slices.Insert(e.runs, 0, run{Span: Span{o.number + 1, e.first - 1}, missing: e.first - o.number - 1, before: o.time, after: e.firstTime, since: o.at})
		}
		e.first, e.firstTime = o.number, o.time
	default:
		return e.fill(o)
	}
	return nil
}

// fill takes a number out of the run that misses it.
func (e *epoch) fill(o observation) *Gap {
	i, missing := e.find(o.number)
	if !missing {
		return nil
	}
	r := &e.runs[i]
	gap := r.gap
	r.missing--
	switch {
	case r.missing == 0:
		e.runs = slices.Delete(e.runs, i, i+1)
	case o.number == r.From:
		r.From++
		r.before = o.time
	case o.number == r.To:
		r.To--
		r.after = o.time
	case r.approximate:
		// Which of its numbers are missing is not known; how many is counted.
	default:
		right := *r
		right.From, right.before = o.number+1, o.time
		right.missing = right.To - right.From + 1
		r.To, r.after = o.number-1, o.time
		r.missing = r.To - r.From + 1
		e.runs = slices.Insert(e.runs, i+1, right)
	}
	return gap
}

// merge takes the two neighbouring runs together that are not yet reported and
// have the fewest numbers between them. It tells whether there were two.
func (e *epoch) merge() bool {
	best, width := -1, uint64(0)
	for i := 0; i+1 < len(e.runs); i++ {
		a, b := &e.runs[i], &e.runs[i+1]
		if a.gap != nil || b.gap != nil {
			continue
		}
		if w := b.From - a.To; best < 0 || w < width {
			best, width = i, w
		}
	}
	if best < 0 {
		return false
	}
	a, b := &e.runs[best], &e.runs[best+1]
	a.To, a.after = b.To, b.after
	a.missing += b.missing
	// The older one decides when it is told: otherwise a stream that loses
	// every other number would be merged for ever and never told.
	a.since = min(a.since, b.since)
	a.approximate = true
	e.runs = slices.Delete(e.runs, best+1, best+2)
	return true
}

// unreported counts the runs that were not told yet.
func (e *epoch) unreported() uint64 {
	n := uint64(0)
	for i := range e.runs {
		if e.runs[i].gap == nil {
			n++
		}
	}
	return n
}

// stream is what is known of one stream.
type stream struct {
	key Stream
	// epochs are its numberings, the current one last.
	epochs []epoch
	// restart holds the numbers that may begin a new one; newest and last are
	// those of the current numbering when the first of them came.
	restart []observation
	newest  int64
	last    uint64
	// leap holds the numbers that are too far beyond the last one.
	leap []observation
	// touched are reported gaps of which numbers came since the last Settle.
	touched []*Gap
}

func (s *stream) runs() int {
	n := 0
	for i := range s.epochs {
		n += len(s.epochs[i].runs)
	}
	return n
}

// waits tells whether time alone can change something: a run is to be
// reported or an old numbering forgotten.
func (s *stream) waits() bool {
	return len(s.epochs) > 1 || s.epochs[0].unreported() > 0
}

// suspected tells whether a number of a run has come and waits for what it
// means.
func (s *stream) suspected(r *run) bool {
	return slices.ContainsFunc(s.restart, func(o observation) bool { return o.number >= r.From && o.number <= r.To })
}

func (s *stream) observe(q *Sequences, o observation) {
	if len(s.epochs) == 0 {
		s.epochs = append(s.epochs, newEpoch(o))
		return
	}
	last := len(s.epochs) - 1
	if at := s.epochOf(q, o); at < last {
		if older := &s.epochs[at]; o.number > older.last && o.number-older.last > leapNumbers {
			return
		}
		s.enter(q, at, o)
		return
	}
	e := &s.epochs[last]
	if o.number > e.last {
		// The numbering goes on, so what looked like a restart was not one.
		if len(s.restart) > 0 && o.time > s.restart[0].time {
			s.dismiss(q)
		}
		if o.number-e.last > leapNumbers {
			s.leapTo(q, o)
			return
		}
		s.enter(q, last, o)
		return
	}
	if len(s.restart) > 0 && o.at-s.restart[0].at > q.settle {
		s.dismiss(q)
	}
	if len(s.restart) == 0 {
		s.newest, s.last = e.newest, e.last
	}
	// In one numbering no number below the last has a later time than all seen;
	// late records of the old one may have moved its newest time since.
	if o.time != 0 && s.newest != 0 && (o.time > e.newest+slackMicros || o.time > s.newest+slackMicros && o.number <= s.last) {
		s.suspect(q, o)
		return
	}
	s.enter(q, last, o)
}

// epochOf returns which numbering a record belongs to: event time decides, and
// near the border between two, which of them misses the number.
func (s *stream) epochOf(q *Sequences, o observation) int {
	at := len(s.epochs) - 1
	for ; at > 0 && o.time != 0; at-- {
		e, older := &s.epochs[at], &s.epochs[at-1]
		if o.time > e.born+slackMicros {
			break
		}
		if o.time < e.floor-2*slackMicros {
			continue
		}
		here, there := e.wants(o, q.settle), older.wants(o, q.settle)
		if here && there {
			here = distance(o.number, e.last) <= distance(o.number, older.last)
		}
		if here || !there && o.time >= e.born {
			break
		}
	}
	return at
}

func distance(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// leapTo keeps a number that is far beyond the last one, and believes it when
// there are enough of them close to each other.
func (s *stream) leapTo(q *Sequences, o observation) {
	if len(s.leap) > 0 && distance(o.number, s.leap[0].number) > nearNumbers {
		s.leap = nil
	}
	if slices.ContainsFunc(s.leap, func(l observation) bool { return l.number == o.number }) {
		return
	}
	if s.leap = append(s.leap, o); len(s.leap) < restartNumbers {
		return
	}
	list := s.leap
	s.leap = nil
	slices.SortFunc(list, func(a, b observation) int { return cmp.Compare(a.number, b.number) })
	for _, l := range list {
		s.enter(q, len(s.epochs)-1, l)
	}
}

func (s *stream) enter(q *Sequences, at int, o observation) {
	gap := s.epochs[at].take(o, q.settle)
	if gap == nil {
		return
	}
	q.touched[s] = struct{}{}
	if !slices.Contains(s.touched, gap) {
		s.touched = append(s.touched, gap)
	}
}

// suspect keeps a number that is too low for its event time, and begins a new
// numbering when there are enough of them close to each other.
func (s *stream) suspect(q *Sequences, o observation) {
	if len(s.restart) > 0 && distance(o.number, s.restart[0].number) > nearNumbers {
		s.dismiss(q)
	}
	if slices.ContainsFunc(s.restart, func(r observation) bool { return r.number == o.number }) {
		return
	}
	s.restart = append(s.restart, o)
	if len(s.restart) < restartNumbers {
		// The earliest stands first, for it says when the restart was.
		slices.SortStableFunc(s.restart, func(a, b observation) int { return cmp.Compare(a.time, b.time) })
		return
	}
	e := newEpoch(s.restart[0])
	e.floor = s.newest + slackMicros
	for _, r := range s.restart {
		e.take(r, q.settle)
	}
	s.restart = nil
	s.epochs[len(s.epochs)-1].closed = o.at
	s.epochs = append(s.epochs, e)
	q.counts.Restarts++
	if len(s.epochs) > epochsMax {
		q.counts.EvictedRuns += s.epochs[0].unreported()
		s.epochs = slices.Delete(s.epochs, 0, 1)
	}
}

// dismiss gives the suspected numbers back to the current numbering.
func (s *stream) dismiss(q *Sequences) {
	list := s.restart
	s.restart = nil
	for _, r := range list {
		if e := &s.epochs[len(s.epochs)-1]; r.number <= e.last {
			s.enter(q, len(s.epochs)-1, r)
		}
	}
}

// makeRoom gives up one run: it takes two together, or lets a reported one go,
// or forgets the oldest numbering.
func (s *stream) makeRoom(counts *SequenceCounts) {
	for i := len(s.epochs) - 1; i >= 0; i-- {
		if s.epochs[i].merge() {
			counts.MergedRuns++
			return
		}
	}
	for i := range s.epochs {
		for j := range s.epochs[i].runs {
			if s.epochs[i].runs[j].gap != nil {
				s.epochs[i].runs = slices.Delete(s.epochs[i].runs, j, j+1)
				return
			}
		}
	}
	counts.EvictedRuns += s.epochs[0].unreported()
	s.epochs = slices.Delete(s.epochs, 0, 1)
}

// trimReported lets reported runs beyond their bound go, the lowest numbers
// first.
func (s *stream) trimReported() {
	n := 0
	for i := len(s.epochs) - 1; i >= 0; i-- {
		e := &s.epochs[i]
		for j := len(e.runs) - 1; j >= 0; j-- {
			if e.runs[j].gap == nil {
				continue
			}
			if n++; n > ReportedRunsMax {
				e.runs = slices.Delete(e.runs, j, j+1)
			}
		}
	}
}

// retire forgets old numberings without missing runs that closed before a
// value of the clock.
func (s *stream) retire(before int64) {
	for i := 0; i < len(s.epochs)-1; {
		if e := &s.epochs[i]; len(e.runs) == 0 && e.closed < before {
			s.epochs = slices.Delete(s.epochs, i, i+1)
			continue
		}
		i++
	}
}

// remaining returns what is still missing of a reported gap.
func (s *stream) remaining(g *Gap) []Span {
	var list []Span
	for i := range s.epochs {
		for j := range s.epochs[i].runs {
			if r := &s.epochs[i].runs[j]; r.gap == g {
				list = append(list, r.Span)
			}
		}
	}
	return list
}
