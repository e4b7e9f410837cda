package httpin

import (
	"net/http"
	"time"
)

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

// ReadFault is the fault of an error that a receiver met which reads what stands
// before a body itself: 408 for a client that was too slow, else 400. It ends
// the connection.
func (g *Gate) ReadFault(w http.ResponseWriter, err error) error {
	return readFault(w, err, g.o.BodyRateMin)
}
