package segment

import (
	"sync"

	"github.com/tiercel-io/tiercel/store"
)

// call is one Append that waits.
type call struct {
	frames  []pending
	bytes   int64
	offsets []int64
	// essential: it may use the reserve.
	essential bool
	done      chan error
}

// pending is an encoded frame: head bytes, of which the committer fills in
// what is not known before, and the payload.
type pending struct {
	header frame
	buf    []byte
}

// queue is where appends wait for the committer. It is bounded in bytes; an
// append that finds no room waits before it encodes.
type queue struct {
	mu     sync.Mutex
	room   *sync.Cond
	calls  []*call
	bytes  int64
	count  int
	closed bool
	// wake has one place: the committer looks at everything when it wakes.
	wake chan struct{}
}

func (q *queue) init() {
	q.room = sync.NewCond(&q.mu)
	q.wake = make(chan struct{}, 1)
}

// enter waits for room for n bytes, which leave gives back.
func (q *queue) enter(n int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && q.bytes > 0 && q.bytes+n > queueBytesMax {
		q.room.Wait()
	}
	if q.closed {
		return store.ErrClosed
	}
	q.bytes += n
	q.count++
	return nil
}

func (q *queue) leave(n int64) {
	q.mu.Lock()
	q.bytes -= n
	q.count--
	last := q.closed && q.count == 0
	q.mu.Unlock()
	q.room.Broadcast()
	if last {
		q.poke()
	}
}

// put queues a call that has entered.
func (q *queue) put(c *call) {
	q.mu.Lock()
	q.calls = append(q.calls, c)
	q.mu.Unlock()
	q.poke()
}

// take returns calls of up to bytesMax, at least one if there is any, and
// whether the queue is closed and nobody is in it.
func (q *queue) take(bytesMax int64) (calls []*call, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var sum int64
	n := 0
	for n < len(q.calls) && (n == 0 || sum+q.calls[n].bytes <= bytesMax) {
		sum += q.calls[n].bytes
		n++
	}
	calls = append(calls, q.calls[:n]...)
	rest := copy(q.calls, q.calls[n:])
	clear(q.calls[rest:])
	q.calls = q.calls[:rest]
	return calls, q.closed && q.count == 0
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.room.Broadcast()
	q.poke()
}
