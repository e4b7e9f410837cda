package scenario

import "time"

// delivery holds events back that are to arrive late.
type delivery struct {
	rng     random
	share   uint64 // of 2^32: how many are late
	longest int64
	held    []heldEvent // a heap by when they are due
	buffers [][]byte    // to be used again
	raw, id []byte      // of the event handed out
}

type heldEvent struct {
	at    int64
	event Event
}

// heldMax bounds what is held back; beyond, events are on time.
const heldMax = 1 << 16

func (d *delivery) init(late float64, longest int64, seed uint64) {
	d.rng.state, d.longest = seed, longest
	d.share = uint64(late * (1 << 32))
}

// hold keeps an event for later and reports whether it did.
func (d *delivery) hold(e *Event, at int64) bool {
	if d.share == 0 || d.rng.next()>>32 >= d.share || len(d.held) >= heldMax {
		return false
	}
	h := heldEvent{at: at + d.rng.between(1, d.longest), event: *e}
	h.event.Raw = append(d.buffer(), e.Raw...)
	h.event.ID = append(d.buffer(), e.ID...)
	d.held = append(d.held, h)
	i := len(d.held) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !d.held[i].before(&d.held[up]) {
			break
		}
		d.held[i], d.held[up] = d.held[up], d.held[i]
		i = up
	}
	return true
}

// before orders by when they are due, and then by index, so that the order
// does not depend on the heap.
func (h *heldEvent) before(o *heldEvent) bool {
	return h.at < o.at || h.at == o.at && h.event.Index < o.event.Index
}

// due hands out a held event that arrives before next.
func (d *delivery) due(next int64, e *Event) bool {
	if len(d.held) == 0 || d.held[0].at > next {
		return false
	}
	h := d.held[0]
	n := len(d.held) - 1
	d.held[0] = d.held[n]
	d.held[n] = heldEvent{}
	d.held = d.held[:n]
	for i := 0; ; {
		down := 2*i + 1
		if down >= n {
			break
		}
		if r := down + 1; r < n && d.held[r].before(&d.held[down]) {
			down = r
		}
		if !d.held[down].before(&d.held[i]) {
			break
		}
		d.held[i], d.held[down] = d.held[down], d.held[i]
		i = down
	}
	d.release(d.raw)
	d.release(d.id)
	*e = h.event
	e.Delivered = time.Unix(0, h.at).UTC()
	d.raw, d.id = e.Raw, e.ID
	return true
}

func (d *delivery) buffer() []byte {
	n := len(d.buffers)
	if n == 0 {
		return nil
	}
	b := d.buffers[n-1]
	d.buffers = d.buffers[:n-1]
	return b[:0]
}

func (d *delivery) release(b []byte) {
	if cap(b) > 0 {
		d.buffers = append(d.buffers, b)
	}
}
