package stream

import (
	"sync"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// scheduler hands out entries of events partitions to workers: of the tenant
// that is furthest behind its share, and of its partitions the one that is.
// That is start-time fair queueing (Goyal, Vin, Cheng: SFQ, SIGCOMM 1996) over
// bytes, among tenants and once more among the partitions of each: who was away
// begins where the others are and gets no credit.
//
// Its lock is taken before that of a feed, never while one is held.
type scheduler struct {
	mu      sync.Mutex
	cond    *sync.Cond
	feeds   map[store.Partition]*feed
	order   []*feed // as added
	tenants map[event.Tenant]*share
	vtime   float64 // the tenants', as far as entries were handed out
	bytes   int64   // in hand
	stopped bool
}

// share is a tenant's.
type share struct {
	weight float64
	vtime  float64
	inner  float64 // its partitions', as far as entries were handed out
}

// Bounds of what is under way.
const (
	// feedInFlightMax entries of one partition are evaluated at once; they are
	// collected in order, so more would only wait.
	feedInFlightMax = 16
	// feedWaitingMax outputs of one partition may wait for the log.
	feedWaitingMax = 256
	// inHandBytesMax bounds the batches that are evaluated and wait for those
	// before them; each worker may go beyond it by one batch, whose size is
	// known only once it is read.
	inHandBytesMax = 256 << 20
	// entryCost is what an entry costs besides its bytes.
	entryCost = 4 << 10
)

func newScheduler() *scheduler {
	s := &scheduler{feeds: make(map[store.Partition]*feed), tenants: make(map[event.Tenant]*share)}
	s.cond = sync.NewCond(&s.mu)
	return s
}

// add makes a partition known.
func (s *scheduler) add(f *feed, weight float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds[f.partition] = f
	s.order = append(s.order, f)
	if s.tenants[f.tenant()] == nil {
		if weight <= 0 {
			weight = 1
		}
		s.tenants[f.tenant()] = &share{weight: weight}
	}
	s.arrive(f)
	s.cond.Broadcast()
}

func (s *scheduler) feed(p store.Partition) *feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.feeds[p]
}

func (s *scheduler) all() []*feed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*feed(nil), s.order...)
}

// arrive lets a partition that had nothing to do begin where the others are.
func (s *scheduler) arrive(f *feed) {
	t := s.tenants[f.tenant()]
	f.vtime = max(f.vtime, t.inner)
	t.vtime = max(t.vtime, s.vtime)
}

// grown tells how far the log of a partition reaches.
func (s *scheduler) grown(f *feed, head int64) {
	s.mu.Lock()
	if head > f.head {
		if f.next >= f.head {
			s.arrive(f)
		}
		f.head = head
		s.cond.Broadcast()
	}
	s.mu.Unlock()
}

func (f *feed) ready() bool {
	return f.next < f.head && f.inFlight < feedInFlightMax && f.waiting < feedWaitingMax
}

// next waits for an entry to evaluate; nil means that the scheduler stopped.
func (s *scheduler) next() *task {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.stopped {
			return nil
		}
		if s.bytes < inHandBytesMax {
			if f := s.pick(); f != nil {
				return s.hand(f)
			}
		}
		s.cond.Wait()
	}
}

// pick chooses the partition, or nil.
func (s *scheduler) pick() *feed {
	var best *feed
	for _, f := range s.order {
		if !f.ready() {
			continue
		}
		if best == nil {
			best = f
			continue
		}
		mine, its := s.tenants[f.tenant()], s.tenants[best.tenant()]
		if mine != its {
			if mine.vtime < its.vtime {
				best = f
			}
		} else if f.vtime < best.vtime {
			best = f
		}
	}
	return best
}

func (s *scheduler) hand(f *feed) *task {
	t := &task{feed: f, offset: f.next, through: f.next + 1}
	f.next++
	f.inFlight++
	f.waiting++
	mine := s.tenants[f.tenant()]
	s.vtime, mine.inner = max(s.vtime, mine.vtime), max(mine.inner, f.vtime)
	s.charge(f, entryCost)
	f.mu.Lock()
	f.take(t)
	f.mu.Unlock()
	return t
}

func (s *scheduler) charge(f *feed, bytes int) {
	f.vtime += float64(bytes)
	t := s.tenants[f.tenant()]
	t.vtime += float64(bytes) / t.weight
}

// loaded tells how large an entry turned out to be.
func (s *scheduler) loaded(t *task) {
	s.mu.Lock()
	s.charge(t.feed, t.bytes)
	s.bytes += int64(t.bytes)
	s.mu.Unlock()
}

// evaluated tells that an entry is through the workers.
func (s *scheduler) evaluated(t *task) {
	s.mu.Lock()
	t.feed.inFlight--
	s.cond.Broadcast()
	s.mu.Unlock()
}

// collected tells that entries with as many bytes are in order and no longer in
// hand.
func (s *scheduler) collected(bytes int) {
	if bytes == 0 {
		return
	}
	s.mu.Lock()
	s.bytes -= int64(bytes)
	s.cond.Broadcast()
	s.mu.Unlock()
}

// written tells that n outputs of a partition are in the log.
func (s *scheduler) written(f *feed, n int) {
	s.mu.Lock()
	f.waiting -= n
	s.cond.Broadcast()
	s.mu.Unlock()
}

// stop makes workers end.
func (s *scheduler) stop() {
	s.mu.Lock()
	s.stopped = true
	s.cond.Broadcast()
	s.mu.Unlock()
}
