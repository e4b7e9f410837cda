package scenario

// kind says how an item is written.
type kind uint8

// item is an event that is due: what its writer needs, without its text. Ids
// that must increase in a log (record ids, serials) are not in it; they are
// given when the item is written, in the order of time.
type item struct {
	at            int64 // nanoseconds since the epoch, by a right clock
	kind          kind
	host          int32 // index of the host it happens on, or -1
	user          int32 // index of the user it concerns, or -1
	peer          int32 // index of the other host, or -1
	port, srcPort uint16
	ip            uint32 // address of the other side
	truth         *Truth // nil for background
	proc, parent  process
	s1, s2, s3    string // texts, as text.expand understands them
	n, m          uint64 // numbers that the texts and the writer use
	logon         uint64
	call          *apiCall
	stage         *running // for kindStage
}

// queue holds the items that are due, by time and, at one time, in the order
// of push. Items stay in slots that are used again, so that the heap moves
// small entries only.
type queue struct {
	heap  []entry
	slots []item
	free  []int32
	seq   uint64
}

type entry struct {
	at   int64
	seq  uint64
	slot int32
}

func (e entry) before(o entry) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

func (q *queue) len() int { return len(q.heap) }

// push stores a copy of the item.
func (q *queue) push(it *item) {
	var slot int32
	if n := len(q.free); n > 0 {
		slot, q.free = q.free[n-1], q.free[:n-1]
		q.slots[slot] = *it
	} else {
		slot = int32(len(q.slots))
		q.slots = append(q.slots, *it)
	}
	e := entry{it.at, q.seq, slot}
	q.seq++
	i := len(q.heap)
	q.heap = append(q.heap, e)
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

// pop moves the first item into it.
func (q *queue) pop(it *item) {
	first := q.heap[0]
	*it = q.slots[first.slot]
	q.free = append(q.free, first.slot)
	n := len(q.heap) - 1
	last := q.heap[n]
	q.heap = q.heap[:n]
	if n == 0 {
		return
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if r := down + 1; r < n && q.heap[r].before(q.heap[down]) {
			down = r
		}
		if !q.heap[down].before(last) {
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	q.heap[i] = last
}
