package scenario

import "math/bits"

// officeHours is how busy people are in each hour of a working day, of 100.
var officeHours = [24]uint64{2, 1, 1, 1, 1, 2, 6, 25, 70, 100, 100, 95, 60, 85, 100, 95, 85, 55, 20, 10, 8, 6, 4, 3}

// busy is how busy people are at a local time, of 1,000: between the hours in
// a straight line, at weekends a tenth.
func busy(local int64) uint64 {
	h, part := local/hour%24, uint64(local%hour/second)
	level := officeHours[h]*(3600-part) + officeHours[(h+1)%24]*part
	level /= 360
	// 1 January 1970 was a Thursday.
	if weekday := (local/day + 4) % 7; weekday == 0 || weekday == 6 {
		level /= 10
	}
	return level + 1
}

// The lanes are what activity is drawn from: the people of a site, its
// machines, the cloud, and strangers that visit the web servers.
const (
	lanePeople = iota
	laneWindows
	laneLinux
	laneVisitors
	laneCloud
	laneCount
)

// rhythm draws when something happens next and in which lane.
type rhythm struct {
	// weights are those of each site's people, then of the other lanes.
	weights []uint64
	sum     uint64
	mean    uint64 // of sum, over the span
	until   int64  // when the weights are computed again
	// perEvent is the time that one event may take now, in 1/256 ns.
	perEvent uint64
	// microRate is the wanted rate in events per million seconds.
	microRate uint64
}

// rhythmStep is how long weights hold.
const rhythmStep = 5 * minute

// weigh computes the weights for a time.
func (s *Scenario) weigh(at int64) {
	r := &s.rhythm
	r.sum = 0
	f := &s.fleet
	for i := range f.sites {
		w := uint64(len(f.sites[i].users)) * busy(at+f.sites[i].zone)
		r.weights[i] = w
		r.sum += w
	}
	n := len(f.sites)
	home := busy(at + f.sites[0].zone)
	r.weights[n] = uint64(len(f.hosts)-len(f.linux)) * 60
	r.weights[n+1] = uint64(len(f.linux)) * 120
	r.weights[n+2] = 200 + home/2
	r.weights[n+3] = 150 + uint64(len(f.users))*home/16
	r.sum += r.weights[n] + r.weights[n+1] + r.weights[n+2] + r.weights[n+3]
}

// newRhythm measures the mean weight of the span, so that the rate comes out
// whatever hours it covers.
func (s *Scenario) newRhythm() {
	r := &s.rhythm
	r.weights = make([]uint64, len(s.fleet.sites)+laneCount-1)
	var total, n uint64
	// The rhythm repeats every week.
	span := min(s.end-s.start, 7*day)
	step := min(hour/2, max(span/64, 1))
	for at := s.start + step/2; at < s.start+span; at += step {
		s.weigh(at)
		total += r.sum
		n++
	}
	r.mean = max(total/max(n, 1), 1)
}

// pick draws a lane at a time; for lanePeople also the site.
func (s *Scenario) pick(at int64) (lane, site int) {
	r := &s.rhythm
	if at >= r.until {
		s.weigh(at)
		r.until = at + rhythmStep
		// 1e9 ns * 1e6 * 256 / microRate, times mean / sum.
		per, _ := bits.Div64(0, 256e15, r.microRate)
		hi, lo := bits.Mul64(per, r.mean)
		if hi >= r.sum {
			r.perEvent = 1 << 62
		} else {
			r.perEvent, _ = bits.Div64(hi, lo, r.sum)
		}
	}
	at64 := int64(s.background.next() % r.sum)
	for i, w := range r.weights {
		if at64 -= int64(w); at64 < 0 {
			if sites := len(s.fleet.sites); i < sites {
				return lanePeople, i
			}
			return i - len(s.fleet.sites) + 1, 0
		}
	}
	return laneCloud, 0
}

// gap is the time to the next activity after one of n events: on average the
// time that n events may take. The product of two uniform numbers, times four,
// has mean one and the shape of the gaps of independent arrivals: many short,
// few long.
func (s *Scenario) gap(n int) int64 {
	factor := s.background.next() >> 32 * (s.background.next() >> 32) >> 46 // of 2^16: mean 2^18 / 4
	hi, lo := bits.Mul64(s.rhythm.perEvent, uint64(n)*factor)
	if hi>>24 != 0 {
		return int64(1) << 62
	}
	return int64(min(hi<<40|lo>>24, 1<<62))
}
