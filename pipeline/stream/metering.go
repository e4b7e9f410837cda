package stream

import (
	"time"

	"github.com/tiercel-io/tiercel/detect"
)

// Of the time that a worker evaluates, stretches are metered: there the clock is
// read around each evaluation of a rule, which costs some 5 %.
const (
	// meteredEvery is how often a batch begins with such a stretch.
	meteredEvery = 32
	// meteredAtLeast is how long at most a worker at work does without one: a
	// batch of ten thousand records may last for minutes when a rule is dear.
	meteredAtLeast = time.Second
	// meteredFor is how long one lasts, or to the end of the batch: more than a
	// thousand records, and 2 % of the time of a worker that is never idle.
	meteredFor = 20 * time.Millisecond
	// pacedEvery is after how many frames the worker looks at the clock.
	pacedEvery = 8
)

// metering is how a worker measures what rules cost.
type metering struct {
	// bound is the time beyond which an evaluation counts as slow, 0 for none.
	bound time.Duration
	// take is given what a stretch has measured, which stands for factor times
	// as much; nil measures for nobody. stats is the worker's.
	take func(c *Content, stats []detect.Stats, factor float64)

	current  *evaluators
	began    int64  // of the stretch under way, metered or not
	unparsed uint64 // of the evaluator, at that time
	taken    int64  // when take was last called
	// rest is how long was evaluated since then and not metered. What was metered
	// stands for it by time: a stretch on small records does not count for large ones,
	// and all rules together cannot cost more than the worker worked.
	rest int64
}

// enter begins a stretch.
func (w *worker) enter(e *evaluators, metered bool) {
	w.current, w.eval = e, e.plain
	if metered {
		w.eval = e.metered
	}
	w.began, w.unparsed = w.now(), w.eval.Unparsed()
	w.prepare(w.eval)
}

// leave ends it.
func (w *worker) leave() {
	w.out.unparsed += w.eval.Unparsed() - w.unparsed
	now := w.now()
	// The clock may have been set back.
	lasted := max(0, now-w.began)
	if w.eval != w.current.metered {
		w.rest += lasted
		return
	}
	factor := 1.0
	if lasted > 0 {
		factor += float64(w.rest) / float64(lasted)
	}
	w.rest, w.taken = 0, now
	if w.take != nil {
		w.take(w.current.content, w.current.stats, factor)
	}
	clear(w.current.stats)
}

// pace ends a metered stretch that has lasted long enough, and begins one that
// is due.
func (w *worker) pace() {
	now := w.now()
	metered := w.eval == w.current.metered
	if metered && now-w.began >= int64(meteredFor) || !metered && w.due(now) {
		w.leave()
		w.enter(w.current, !metered)
	}
}

// due reports whether nothing was metered for long.
func (w *worker) due(now int64) bool {
	if now < w.taken {
		w.taken = now // the clock was set back
	}
	return now-w.taken >= int64(meteredAtLeast)
}

// renew makes evaluators anew, in place of those that a panic may have left half
// changed. What the stretch had measured is lost.
func (w *worker) renew() {
	e := w.current
	w.out.unparsed += w.eval.Unparsed() - w.unparsed
	w.rest += max(0, w.now()-w.began)
	w.make(e)
	w.enter(e, false)
}

// make makes the evaluators of a content.
func (w *worker) make(e *evaluators) {
	e.plain = e.content.Sigma.NewEvaluator()
	e.metered, e.stats = e.content.Sigma.NewMeteredEvaluator(w.now, w.took)
	e.metered.Bound(int64(w.bound))
}
