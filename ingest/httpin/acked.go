package httpin

import "time"

// Acked measures the time from a request's last byte to its answer, for
// receivers that do not answer with [Gate.Answer].
func (g *Gate) Acked(end time.Time) { g.ack.Observe(g.o.Clock.Now().Sub(end).Seconds()) }
