package health

import (
	"cmp"
	"slices"
)

// Interval is a time in minutes, From included and To not.
type Interval struct{ From, To int64 }

// Except names times in which a source need not speak, as holidays: no silence is
// told in them, and what they have of a pause is neither silence nor learned. A
// later call replaces them; none ends it. They are not part of the state, and have
// to be named again after [RestoreSilence]. The caller keeps the slice.
func (q *Silence) Except(source string, times []Interval) {
	list := slices.DeleteFunc(slices.Clone(times), func(i Interval) bool { return i.From >= i.To })
	if len(list) == 0 {
		delete(q.except, source)
		return
	}
	slices.SortFunc(list, func(a, b Interval) int { return cmp.Compare(a.From, b.From) })
	// Those that touch become one.
	joined := list[:1]
	for _, i := range list[1:] {
		if last := &joined[len(joined)-1]; i.From <= last.To {
			last.To = max(last.To, i.To)
		} else {
			joined = append(joined, i)
		}
	}
	q.except[source] = joined
}

// holds reports whether a minute lies in one of the intervals.
func holds(times []Interval, minute int64) bool {
	return slices.ContainsFunc(times, func(i Interval) bool { return i.From <= minute && minute < i.To })
}

// within is how many minutes between two are in the intervals.
func within(times []Interval, from, to int64) int64 {
	sum := int64(0)
	for _, i := range times {
		sum += overlap(from, to, i.From, i.To)
	}
	return sum
}

// behind is from, or the end of the last interval that ended between it and now:
// as if nobody had listened until then.
func behind(times []Interval, from, now int64) int64 {
	for _, i := range times {
		if i.To > from && i.To <= now {
			from = i.To
		}
	}
	return from
}
