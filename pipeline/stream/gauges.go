package stream

import (
	"sync/atomic"
	"time"

	"github.com/tiercel-io/tiercel/store"
)

// gaugesEvery is how often a scope counts what it holds.
const gaugesEvery = time.Second

// level is what a scope tells of itself for metrics. What is atomic is written
// by the scope's goroutine; queue belongs to the one that tends the node.
type level struct {
	next   atomic.Int64 // the next offset to read
	groups atomic.Int64

	countedAt time.Time
	evicted   uint64 // of the engine in use, as counted

	queue []reach
}

// reach is how far a partition reached at a time.
type reach struct {
	at   time.Time
	next int64
}

// reachesMax bounds what is remembered of a queue that does not move: an hour.
const reachesMax = 3600

// tell brings a scope's figures up to date, after a commit.
func (s *scope) tell(now time.Time) {
	s.level.next.Store(s.next)
	n := s.engine.Counters().EvictedGroups
	if n < s.level.evicted { // another engine
		s.level.evicted = 0
	}
	if n > s.level.evicted {
		s.node.cfg.Metrics.EvictedGroups.Add(float64(n - s.level.evicted))
		s.level.evicted = n
	}
	if now.Sub(s.level.countedAt) >= gaugesEvery {
		s.level.countedAt = now
		s.level.groups.Store(int64(s.engine.Groups()))
	}
}

// waits notes how far the scope's partition reaches and returns how many of its
// entries are not read yet, and the age of the oldest to the second.
func (l *level) waits(head int64, now time.Time) (entries int64, age time.Duration) {
	next := l.next.Load()
	done := 0
	for done < len(l.queue) && l.queue[done].next <= next {
		done++
	}
	l.queue = append(l.queue[:0], l.queue[done:]...)
	last := next
	if n := len(l.queue); n > 0 {
		last = l.queue[n-1].next
	}
	if head > last && len(l.queue) < reachesMax {
		l.queue = append(l.queue, reach{now, head})
	}
	if len(l.queue) > 0 {
		age = now.Sub(l.queue[0].at)
	}
	return max(0, head-next), age
}

// scopeGauges tells what waits to be decided and what correlations hold.
func (n *Node) scopeGauges(now time.Time) {
	heads := map[store.Partition]int64{}
	for _, h := range n.log.Heads() {
		if h.Partition.Kind == KindMatches {
			heads[h.Partition] = h.Next
		}
	}
	var waiting, groups int64
	var oldest time.Duration
	n.mu.Lock()
	for p, s := range n.scopes {
		entries, age := s.level.waits(heads[p], now)
		waiting += entries
		oldest = max(oldest, age)
		groups += s.level.groups.Load()
	}
	n.mu.Unlock()
	n.cfg.Metrics.QueueDepth.WithLabelValues("decide").Set(float64(waiting))
	n.cfg.Metrics.QueueOldest.WithLabelValues("decide").Set(oldest.Seconds())
	n.cfg.Metrics.Groups.Set(float64(groups))
}
