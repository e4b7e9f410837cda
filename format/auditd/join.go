package auditd

import (
	"bytes"

	"github.com/tiercel-io/tiercel/event"
)

// Bounds of what a Joiner holds back.
const (
	// waitMillis is how long in event time an event without EOE stays open.
	// auparse, which comes with the audit daemon, waits as long by default.
	waitMillis   = 2000
	openMax      = 1000
	openBytesMax = 8 << 20
	linesMax     = 1000
)

// stamp is what all lines of an event share.
type stamp struct {
	node   string
	millis int64
	serial uint64
}

// Open is an event of a [Joiner] that may have more lines.
type Open[T any] struct {
	// Data are its lines in the order in which they came, each with a line end,
	// and Lines how many there are.
	Data  []byte
	Lines int
	// More is what the Joiner's owner keeps of the event. It is that of an event
	// of before when Lines is 1.
	More T

	stamp stamp
	ended bool // its EOE came
	last  bool // what came last is PROCTITLE
	done  bool // it was handed out
}

// Time is the event's, in milliseconds since 1970.
func (e *Open[T]) Time() int64 { return e.stamp.millis }

// Ended reports whether the line that ends the event came.
func (e *Open[T]) Ended() bool { return e.ended }

// Last reports whether the newest line is PROCTITLE, the one that the kernel
// writes last but for EOE, which daemons leave out of their logs
// (audit_log_exit in kernel/auditsc.c). The event stays open all the same.
func (e *Open[T]) Last() bool { return e.last }

// Records is the number of lines besides EOE.
func (e *Open[T]) Records() int {
	if e.ended {
		return e.Lines - 1
	}
	return e.Lines
}

// Joiner brings the lines of one log together that belong to one event, by the
// rules of the package. What it does depends on the lines and their order alone.
// It belongs to one goroutine.
type Joiner[T any] struct {
	finish func(*Open[T])
	byID   map[stamp]*Open[T]
	queue  []*Open[T] // by age; those that are done are left out later
	free   []*Open[T]
	bytes  int
	early  int64
}

// Early returns how many events were handed out since the last call, though they
// could have had more lines, because too much was open or they were too large.
func (j *Joiner[T]) Early() int64 {
	n := j.early
	j.early = 0
	return n
}

// NewJoiner returns a Joiner. finish is called with each event that is complete,
// which it must not keep.
func NewJoiner[T any](finish func(*Open[T])) *Joiner[T] {
	return &Joiner[T]{finish: finish, byID: map[stamp]*Open[T]{}}
}

// Len returns the number of events that are open.
func (j *Joiner[T]) Len() int { return len(j.byID) }

// All calls visit with each open event, the oldest first, until it returns
// false. visit may finish the event.
func (j *Joiner[T]) All(visit func(*Open[T]) bool) {
	for _, e := range j.queue {
		if !e.done && !visit(e) {
			return
		}
	}
}

// Take finishes the events that can have no more lines in front of this one, and
// adds it to its own, where it begins at Data[at]. The caller finishes that one
// when it has ended. ok is false for what is no audit record, which changes
// nothing. line is copied.
func (j *Joiner[T]) Take(line []byte) (e *Open[T], at int, ok bool) {
	h, ok := parseStamp(line)
	if !ok {
		return nil, 0, false
	}
	id := stamp{millis: h.millis, serial: h.number}
	if len(h.node) > 0 {
		id.node = string(h.node)
	}
	for len(j.queue) > 0 {
		if first := j.queue[0]; first.done {
			j.queue = j.queue[1:]
			j.recycle(first)
		} else if first.stamp.millis+waitMillis <= h.millis {
			j.FinishOldest()
		} else {
			break
		}
	}
	e = j.byID[id]
	if e != nil && (e.Lines >= linesMax || len(e.Data)+len(line) >= event.RecordBytesMax) {
		j.early++
		j.Finish(e)
		e = nil
	}
	for len(j.byID) > 0 && (j.bytes+len(line) > openBytesMax || e == nil && len(j.byID) >= openMax) {
		j.early++
		j.FinishOldest()
		e = j.byID[id]
	}
	if e == nil {
		e = j.begin(id)
	}
	at = len(e.Data)
	e.Data = append(append(e.Data, line...), '\n')
	e.Lines++
	e.ended, e.last = string(h.kind) == "EOE", string(h.kind) == "PROCTITLE"
	j.bytes += len(line) + 1
	return e, at, true
}

func (j *Joiner[T]) begin(id stamp) *Open[T] {
	var e *Open[T]
	if n := len(j.free); n > 0 {
		e, j.free = j.free[n-1], j.free[:n-1]
		*e = Open[T]{stamp: id, Data: e.Data[:0], More: e.More}
	} else {
		e = &Open[T]{stamp: id}
	}
	if len(j.queue) > 2*openMax {
		kept := j.queue[:0]
		for _, old := range j.queue {
			if old.done {
				j.recycle(old)
			} else {
				kept = append(kept, old)
			}
		}
		clear(j.queue[len(kept):])
		j.queue = kept
	}
	j.byID[id] = e
	j.queue = append(j.queue, e)
	return e
}

// FinishOldest finishes the oldest open event; false when there is none.
func (j *Joiner[T]) FinishOldest() bool {
	for len(j.queue) > 0 {
		e := j.queue[0]
		j.queue = j.queue[1:]
		if !e.done {
			j.Finish(e)
			j.recycle(e)
			return true
		}
		j.recycle(e)
	}
	return false
}

// Finish hands an open event out.
func (j *Joiner[T]) Finish(e *Open[T]) {
	j.finish(e)
	j.bytes -= len(e.Data)
	delete(j.byID, e.stamp)
	e.done = true
	if cap(e.Data) > 1<<16 {
		e.Data = nil // the queue may hold it for a while yet
	}
}

// recycle keeps the memory of an event that has left the queue, unless it is
// much.
func (j *Joiner[T]) recycle(e *Open[T]) {
	const keepBytes, keepEvents = 16 << 10, 64
	if cap(e.Data) <= keepBytes && len(j.free) < keepEvents {
		j.free = append(j.free, e)
	}
}

// Restore adds an open event with the lines in data, each with a line end,
// behind those that there are. It reports whether data could be those of one
// that was open: lines of one event that is not open yet.
func (j *Joiner[T]) Restore(data []byte) (*Open[T], bool) {
	var e *Open[T]
	if len(j.byID) >= openMax || len(j.byID) > 0 && j.bytes+len(data) > openBytesMax+1 {
		return nil, false
	}
	for rest := data; len(rest) > 0; {
		line, after, whole := bytes.Cut(rest, []byte{'\n'})
		h, ok := parseStamp(line)
		if !ok || !whole {
			return nil, false
		}
		id := stamp{node: string(h.node), millis: h.millis, serial: h.number}
		if e == nil {
			e = &Open[T]{stamp: id}
		}
		if e.stamp != id || string(h.kind) == "EOE" {
			return nil, false
		}
		e.Lines++
		rest = after
	}
	if e == nil || e.Lines > linesMax || j.byID[e.stamp] != nil {
		return nil, false
	}
	e.Data = bytes.Clone(data)
	j.byID[e.stamp] = e
	j.queue = append(j.queue, e)
	j.bytes += len(data)
	return e, true
}
