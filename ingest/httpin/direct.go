package httpin

import "time"

// Acked measures the time from a request's last byte to its answer, for
// receivers that do not answer with [Gate.Answer].
func (g *Gate) Acked(end time.Time) { g.ack.Observe(g.o.Clock.Now().Sub(end).Seconds()) }

// Fault is [AsFault] for the errors of a sink that a receiver called itself:
// those that are faults of ours are logged, once a minute.
func (g *Gate) Fault(err error) *Fault {
	fault := AsFault(err)
	if fault.Reason == ReasonInternal {
		g.tell(g.protocol, err)
	}
	return fault
}
