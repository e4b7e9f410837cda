package httpin

import (
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/metric"
)

// The defaults of [Options].
const (
	// RatioMax is how many times its size a body may inflate to, once
	// [RatioFreeBytes] are out. Telemetry compresses up to about 30 : 1; gzip of
	// zeros reaches 1,029 : 1.
	RatioMax = 100
	// RatioFreeBytes is how much may come out of a body of any size.
	RatioFreeBytes = 1 << 20
	// BodyRateMin is the least rate of a body, in bytes a second, judged after
	// BodyGrace.
	BodyRateMin = 1 << 10
	// BodyGrace is how long a body may take before its rate is judged.
	BodyGrace = 10 * time.Second
	// AnswerWait bounds how long a client may take to read an answer.
	AnswerWait = time.Minute
	// FailedAuthPerMinute is how many tokens one address may fail with in a
	// minute. Agents with an old token try again for ever, up to once a second.
	FailedAuthPerMinute = 120
)

// Options are what a Front needs. Auth, Sink, Clock and Metrics must be set;
// zero numbers take the defaults.
type Options struct {
	Clock   env.Clock
	Auth    ingest.Authenticator
	Sink    ingest.Sink
	Metrics *metric.Set
	// Logger is told of faults of ours only, never of a request refused; nil
	// is silent.
	Logger *slog.Logger
	// BodyBytesMax bounds a body, as sent and inflated; 0 is
	// [ingest.BodyBytesMax], and more than 1 GiB is taken as that, so that
	// positions in a body fit 32 bits.
	BodyBytesMax int64
	// HeaderBytesMax replaces the constant of its name.
	HeaderBytesMax int64
	// RatioMax, BodyRateMin (bytes a second) and FailedAuthPerMinute replace
	// the constants of their names.
	RatioMax            int
	BodyRateMin         int
	FailedAuthPerMinute int
	// Proxies are the addresses whose X-Forwarded-For is believed; nobody's is
	// when it is empty.
	Proxies []netip.Prefix
}

// Front is where requests of all protocols come in.
type Front struct {
	o    Options
	seed maphash.Seed
	auth failures
	// told is the minute in which a fault of ours was logged last.
	told atomic.Uint64
}

// tell logs a fault of ours, at most once a minute: the metrics count them all.
func (f *Front) tell(protocol string, err error) {
	now := minute(f.o.Clock.Now()) + 1 // never 0, which is what told begins with
	if last := f.told.Load(); last == now || !f.told.CompareAndSwap(last, now) {
		return
	}
	f.o.Logger.Error("batch could not be accepted", "protocol", protocol, "error", fmt.Sprintf("%.500q", err.Error()))
}

// New makes the front of a process: all receivers share one, so that they
// share the budget of failed tokens.
func New(o Options) *Front {
	if o.BodyBytesMax <= 0 {
		o.BodyBytesMax = ingest.BodyBytesMax
	}
	o.BodyBytesMax = min(o.BodyBytesMax, 1<<30)
	if o.HeaderBytesMax <= 0 {
		o.HeaderBytesMax = HeaderBytesMax
	}
	if o.RatioMax <= 0 {
		o.RatioMax = RatioMax
	}
	if o.BodyRateMin <= 0 {
		o.BodyRateMin = BodyRateMin
	}
	if o.FailedAuthPerMinute <= 0 {
		o.FailedAuthPerMinute = FailedAuthPerMinute
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Front{o: o, seed: maphash.MakeSeed()}
}

// Clock is the front's clock, for receivers that keep time themselves.
func (f *Front) Clock() env.Clock { return f.o.Clock }

// Logger is the front's logger; never nil.
func (f *Front) Logger() *slog.Logger { return f.o.Logger }

// Gate is a Front for one protocol.
type Gate struct {
	*Front
	protocol string
	ack      prometheus.Observer
}

// Gate makes the gate of a protocol, whose name labels its metrics and its
// batches.
func (f *Front) Gate(protocol string) *Gate {
	return &Gate{Front: f, protocol: protocol, ack: f.o.Metrics.IngestAck.WithLabelValues(protocol)}
}

// Protocol is the name the gate was made with.
func (g *Gate) Protocol() string { return g.protocol }

// Answered counts a request by the status it was answered with. [Gate.Answer]
// calls it.
func (g *Gate) Answered(status int) {
	g.o.Metrics.IngestRequests.WithLabelValues(g.protocol, strconv.Itoa(status)).Inc()
}

// Rejected counts a refusal; reason is one of [Reasons].
func (g *Gate) Rejected(reason string) {
	g.o.Metrics.IngestRejected.WithLabelValues(g.protocol, reason).Inc()
}
