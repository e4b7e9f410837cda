package stream

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/rule"
)

// CostLimits bound what one rule may cost; zero is no bound.
type CostLimits struct {
	// Share is the part of one core, 0.05 for 5 %, over the last minute.
	Share float64
	// P99 is what 99 of 100 records must stay below.
	P99 time.Duration
}

// The time over which rules are judged: the last minute, in buckets short enough
// that a rule is taken out within ten seconds of its being over.
const (
	bucketLength = 5 * time.Second
	bucketCount  = 12
	judgedTime   = bucketCount * bucketLength
)

// What keeps a rule from being taken out for what is not its doing. The clock
// around an evaluation is that of the wall: a collection of garbage, or the
// kernel giving the core to another, counts for the rule that is at work.
const (
	// overBucketsMin is in how many buckets by themselves the share must be
	// exceeded: a burst or a stall is over sooner.
	overBucketsMin = bucketCount / 2
	// dearMin is what a rule must cost on average for each record that it is asked
	// of. All of a large set of rules together take some 12 µs for a record; a
	// rule that takes less than four times that by itself is no runaway, it has
	// much to do, and to take it out would let a flood of records switch off what
	// looks for them.
	dearMin = 50 * time.Microsecond
	// slowMin and slowBucketsMin are how many evaluations must have been slow, in
	// how many buckets: single ones are chance.
	slowMin        = 10
	slowBucketsMin = 3
	// slowPerEvaluation is the part of evaluations that may be slow: with more the
	// 99th percentile is beyond the limit, so that nothing but counting is needed.
	slowPerEvaluation = 0.01
	// stallFactor is how many times as many slow evaluations a rule must have as
	// stalls give it: they hit whatever is at work, so that per time at work all
	// rules have as many of them. How many that is, the rules within the limit tell.
	stallFactor = 4
)

// breaker judges what rules cost. It knows no clock: times are arguments, in
// nanoseconds. It is not safe for concurrent use.
type breaker struct {
	limits CostLimits
	rules  map[string]*account // by rule id
}

// account is what one rule has cost lately. A rule of the same id and another
// hash is another rule.
type account struct {
	hash string
	// ring has one place more than are judged: the bucket under way.
	ring [bucketCount + 1]bucket
}

// bucket is a part of the time. share is extrapolated to all records; the other
// figures are of those that were measured.
type bucket struct {
	number                 int64
	share, nanos, slowTime int64
	evaluated, slow        uint64
}

func newBreaker(limits CostLimits) *breaker {
	return &breaker{limits: limits, rules: make(map[string]*account)}
}

// on reports whether there is anything to judge.
func (b *breaker) on() bool { return b.limits.Share > 0 || b.limits.P99 > 0 }

// keep forgets all rules but those given.
func (b *breaker) keep(rules []*rule.Rule) {
	kept := make(map[string]*account, len(b.rules))
	for _, r := range rules {
		if a := b.rules[r.ID]; a != nil && a.hash == r.SemanticHash {
			kept[r.ID] = a
		}
	}
	b.rules = kept
}

// observe takes what was measured of a rule in a stretch of work that stands for
// factor times as much.
func (b *breaker) observe(at int64, r *rule.Rule, s *detect.Stats, factor float64) {
	if s.Evaluated == 0 {
		return
	}
	a := b.rules[r.ID]
	if a == nil || a.hash != r.SemanticHash {
		a = &account{hash: r.SemanticHash}
		b.rules[r.ID] = a
	}
	number := at / int64(bucketLength)
	x := &a.ring[number%int64(len(a.ring))]
	if x.number != number {
		*x = bucket{number: number}
	}
	// A clock that was set back makes times that are none.
	nanos := max(0, s.Nanos)
	x.nanos += nanos
	x.share += int64(float64(nanos) * factor)
	x.evaluated += s.Evaluated
	x.slow += s.Slow
	x.slowTime += min(nanos, max(0, s.SlowNanos))
}

// total is the sum of the buckets from first to last, and how many of them were
// over the share and had slow evaluations.
func (a *account) total(first, last int64, over int64) (t bucket, above, slow int) {
	for i := range a.ring {
		x := &a.ring[i]
		if x.number < first || x.number > last {
			continue
		}
		t.share += x.share
		t.nanos += x.nanos
		t.evaluated += x.evaluated
		t.slow += x.slow
		t.slowTime += x.slowTime
		if x.share > over {
			above++
		}
		if x.slow > 0 {
			slow++
		}
	}
	return t, above, slow
}

// breach is a rule that costs more than it may.
type breach struct {
	rule, hash string
	// figure says what it cost and limit what it may, for people.
	figure, limit string
}

// judge returns the rules that are over a limit, by id.
func (b *breaker) judge(at int64) []breach {
	var out []breach
	number := at / int64(bucketLength)
	// Stalls are known by the rules that are not slow themselves.
	var calm, stalls float64
	type suspect struct {
		id    string
		hash  string
		total bucket
	}
	var slow []suspect
	for id, a := range b.rules {
		if b.limits.Share > 0 {
			// The bucket under way is not whole.
			t, above, _ := a.total(number-bucketCount, number-1, int64(b.limits.Share*float64(bucketLength)))
			share := float64(t.share) / float64(judgedTime)
			if share > b.limits.Share && above >= overBucketsMin && t.nanos >= int64(dearMin)*int64(t.evaluated) {
				out = append(out, breach{
					id, a.hash,
					fmt.Sprintf("it took %.1f %% of a core over the last minute, %s for each record that it was asked of", 100*share, rounded(t.nanos/int64(t.evaluated))),
					fmt.Sprintf("%g %% of a core", 100*b.limits.Share),
				})
				continue
			}
		}
		if b.limits.P99 > 0 {
			t, _, with := a.total(number-bucketCount+1, number, 0)
			if t.slow >= slowMin && with >= slowBucketsMin && float64(t.slow) > slowPerEvaluation*float64(t.evaluated) {
				slow = append(slow, suspect{id, a.hash, t})
				continue
			}
			calm += float64(t.nanos - t.slowTime)
			stalls += float64(t.slow)
		}
	}
	for _, s := range slow {
		expected := 0.0
		if calm > 0 {
			expected = stalls / calm * float64(s.total.nanos-s.total.slowTime)
		}
		if float64(s.total.slow) <= stallFactor*expected {
			continue
		}
		out = append(out, breach{
			s.id, s.hash,
			fmt.Sprintf("%.1f %% of the records that it was asked of in the last minute took it longer than %s, %s on average", 100*float64(s.total.slow)/float64(s.total.evaluated),
				b.limits.P99, rounded(s.total.slowTime/int64(s.total.slow))),
			fmt.Sprintf("%s for 99 of 100 records", b.limits.P99),
		})
	}
	slices.SortFunc(out, func(a, b breach) int { return strings.Compare(a.rule, b.rule) })
	return out
}

// rounded is a time in nanoseconds for people.
func rounded(nanos int64) string {
	d := time.Duration(nanos)
	switch {
	case d >= time.Second:
		d = d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		d = d.Round(10 * time.Microsecond)
	default:
		d = d.Round(100 * time.Nanosecond)
	}
	return d.String()
}
