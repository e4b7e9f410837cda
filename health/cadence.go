package health

import "math"

const (
	weekHours = 168
	// steadyWeeks is how many of the latest weeks an hour must have been active
	// in to be one in which the source always speaks.
	steadyWeeks = 4
	// irregular is how many times the mean a pause may be in a source that keeps
	// time.
	irregular = 1.5
	// sureWeeks is how many weeks make it more than chance: a burst in every
	// third hour hits the same hour of three weeks once in fifty.
	sureWeeks = 3
	// rateScale makes active minutes an hour, 0 to 60, fine enough in a byte for
	// an average that takes a quarter of the new value.
	rateScale = 4
)

// hourOfWeek is what is learned of one hour of the week.
type hourOfWeek struct {
	// weeks has a bit per week, the latest lowest, set when it was active;
	// known is how many of them count, up to eight.
	weeks, known uint8
	// rate is the average of active minutes, times rateScale.
	rate uint8
	// within and around are the longest pauses in minutes as far as they lie
	// in the hour (60) and in it and its two neighbours (180), of this
	// generation and the one before.
	within, around [2]uint8
}

func (h *hourOfWeek) push(minutes int64) {
	h.weeks <<= 1
	rate := min(minutes, 60) * rateScale
	if minutes > 0 {
		h.weeks |= 1
	}
	if h.known == 0 {
		h.rate = uint8(rate)
	} else {
		h.rate = uint8((int64(h.rate)*3 + rate + 2) / 4)
	}
	h.known = min(h.known+1, 8)
}

// steady tells whether the source always speaks in this hour. One or two weeks
// in which it did can be chance, unless it also made no long pause around it.
func (h *hourOfWeek) steady() bool {
	if h.known == 0 || h.known < sureWeeks && older(h.around) >= longMinutes {
		return false
	}
	mask := uint8(1)<<min(h.known, steadyWeeks) - 1
	return h.weeks&mask == mask
}

// cadence is what is known of one source. Times are in minutes.
type cadence struct {
	declared int64
	// first and seen are its first and its last record; from is seen, or where
	// somebody listened again after a pause of ours.
	first, seen, from int64
	silent            bool
	told              Silent
	// habits are the ends of the last two silences told.
	habits [2]int64
	// active counts the minutes with records in the hour of seen.
	active int64
	// longest is the longest pause, pauses and paused number and sum of those
	// of an hour and more, of this generation and the one before.
	longest, pauses, paused [2]int64
	generation              int64
	hours                   [weekHours]hourOfWeek
}

func (c *cadence) begin(minute int64) {
	c.first, c.seen, c.from, c.active = minute, minute, minute, 1
	c.generation = minute / generationMinutes
}

// hear takes a minute with records, of a source with excepted times. It returns
// the silence that it ends.
func (c *cadence) hear(minute int64, except []Interval) (Silent, bool) {
	if c.first == 0 {
		// Declared, and silent until now.
		was := c.silent
		c.silent = false
		c.begin(minute)
		return c.told, was
	}
	if minute <= c.seen {
		return Silent{}, false
	}
	learn := true
	ended := c.silent
	if ended {
		learn = !c.learned() || c.habits[0] != 0 && minute-c.habits[0] <= habitMinutes
		c.habits = [2]int64{c.habits[1], minute}
		c.silent = false
	}
	from := behind(except, c.from, minute)
	learn = learn && !holds(except, minute)
	c.turn(minute)
	if hour, last := minute/60, c.seen/60; hour > last {
		if !holds(except, c.seen) {
			c.hour(last).push(c.active)
		}
		c.active = 0
		if learn {
			// More than nine weeks say nothing more than eight.
			for h := max(last+1, (from+59)/60, hour-9*weekHours); h < hour; h++ {
				c.hour(h).push(0)
			}
		}
	}
	if learn {
		c.pause(from, minute)
	}
	c.active++
	c.seen, c.from = minute, minute
	return c.told, ended
}

// turn begins a new generation of longest pauses when it is time.
func (c *cadence) turn(minute int64) {
	now := minute / generationMinutes
	for range min(now-c.generation, 2) {
		for _, p := range []*[2]int64{&c.longest, &c.pauses, &c.paused} {
			*p = [2]int64{0, p[0]}
		}
		for i := range c.hours {
			h := &c.hours[i]
			h.within, h.around = [2]uint8{0, h.within[0]}, [2]uint8{0, h.around[0]}
		}
	}
	c.generation = max(c.generation, now)
}

// hour returns what is known of the hour of the week of an hour since 1970.
func (c *cadence) hour(h int64) *hourOfWeek {
	return &c.hours[(h%weekHours+weekHours)%weekHours]
}

// pause learns a pause between two records.
func (c *cadence) pause(from, to int64) {
	length := to - from
	if length < 2 {
		return
	}
	c.longest[0] = max(c.longest[0], length)
	if length >= longMinutes {
		c.pauses[0]++
		c.paused[0] += length
	}
	// The hours on either side see it in their neighbourhood. A pause of a week
	// has met every hour.
	first := max(from/60-1, to/60-weekHours-1)
	for h := first; h <= to/60+1; h++ {
		o := c.hour(h)
		o.within[0] = max(o.within[0], uint8(overlap(from, to, h*60, h*60+60)))
		o.around[0] = max(o.around[0], uint8(overlap(from, to, h*60-60, h*60+120)))
	}
}

func overlap(from, to, low, high int64) int64 { return max(min(to, high)-max(from, low), 0) }

func older(p [2]uint8) int64   { return int64(max(p[0], p[1])) }
func longest(p [2]int64) int64 { return max(p[0], p[1]) }

// learned tells whether it has spoken over a week: every hour of the week lies
// between two records, those of a weekend too.
func (c *cadence) learned() bool { return c.seen-c.first >= learnMinutes }

// silence tells whether a source with excepted times is silent, and within how
// many minutes it should have spoken.
func (c *cadence) silence(now int64, except []Interval) (expected int64, silent bool) {
	if c.declared > 0 {
		return c.declared, now-c.from-within(except, c.from, now) > 2*c.declared
	}
	if c.first == 0 {
		return 0, false
	}
	from := behind(except, c.from, now)
	length := now - from
	if length <= leastMinutes {
		return 0, false
	}
	pause := longest(c.longest)
	if !c.learned() {
		limit := max(leastMinutes, 2*pause)
		switch {
		case c.seen-c.first < youngMinutes:
			limit = max(limit, youngMinutes+learnMinutes)
		case pause >= longMinutes:
			limit = max(limit, unsureMinutes)
		}
		return limit / 2, length > limit
	}
	factor := int64(2)
	if n := c.pauses[0] + c.pauses[1]; n > 0 && float64(pause)*float64(n) > irregular*float64(c.paused[0]+c.paused[1]) {
		factor = 3
	}
	if limit := max(leastMinutes, factor*pause); length > limit {
		return limit / 2, true
	}
	hour := now / 60
	if !c.hour(hour).steady() {
		return 0, false
	}
	counted, here := int64(0), c.rate(hour)
	for h := from / 60; h <= hour; h++ {
		if c.hour(h).steady() {
			// A minute counts as much as its hour is busy beside the present one: the
			// first minutes of work on an early day do not make it a full hour.
			counted += overlap(from, now, h*60, h*60+60) * min(int64(c.hour(h).rate), here) / max(here, 1)
		}
	}
	if counted <= leastMinutes {
		return 0, false
	}
	limit := c.limit(hour)
	return limit / 2, counted > limit
}

// limit is how many minutes of expected activity may pass in silence at an
// hour in which the source always speaks.
func (c *cadence) limit(hour int64) int64 {
	here := c.hour(hour)
	pause := max(older(c.hour(hour-1).around), older(here.around), older(c.hour(hour+1).around))
	rate := c.rate(hour)
	for i := range c.hours {
		// Three quarters as busy is about as busy.
		if o := &c.hours[i]; o.steady() && int64(o.rate)*4 >= rate*3 {
			pause = max(pause, older(o.within))
		}
	}
	limit := max(leastMinutes, 2*pause)
	p := float64(rate) / (60 * rateScale)
	if float64(pause)*p > irregular && p < 1 {
		// Were records independent, a pause of n minutes had the chance (1-p)^n;
		// e^-16 is 10^-7.
		limit = max(limit, int64(min(16/-math.Log1p(-p), learnMinutes)))
	}
	return limit
}

// rate is the mean rate of an hour and those around it, on its day and the days
// before and after, as far as they are steady: a single hour of few weeks says
// little.
func (c *cadence) rate(hour int64) int64 {
	sum, n := int64(0), int64(0)
	for _, d := range []int64{-25, -24, -23, -1, 0, 1, 23, 24, 25} {
		if o := c.hour(hour + d); o.steady() {
			sum += int64(o.rate)
			n++
		}
	}
	return sum / max(n, 1)
}
