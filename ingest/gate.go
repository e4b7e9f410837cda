package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/tracing"
)

// KindEvents is the kind of the partitions that batches go to.
const KindEvents = "events"

// Quota bounds what a tenant may send; zero bounds nothing.
type Quota struct {
	EventsPerSecond, BytesPerSecond float64
}

// burst is how many seconds of a quota may come at once: agents send in
// gusts.
const burst = 5

// GateConfig is what a Gate needs.
type GateConfig struct {
	Log     store.Log
	Clock   env.Clock
	Metrics *metric.Set
	Logger  *slog.Logger
	// Traces may be nil.
	Traces *tracing.Tracer
	// Duplicate, if not nil, is told of batches that were acknowledged again.
	Duplicate func(b *Batch)
	// Shards is the number of partitions of a source; nil means one.
	Shards func(t event.Tenant, source string) int
	// Quota is a tenant's; nil means none.
	Quota func(t event.Tenant) Quota
	// Backlog says how far evaluation is behind for a tenant: the bytes that
	// wait and the age of the oldest. nil means not at all.
	Backlog func(t event.Tenant) (bytes int64, age time.Duration)
	// BacklogBytesMax and BacklogAgeMax are where new data is refused.
	BacklogBytesMax int64
	BacklogAgeMax   time.Duration
	// BytesInFlightMax bounds the bodies that are being received at once;
	// TenantShare is the part of it that one tenant may have.
	BytesInFlightMax int64
	TenantShare      float64
	// WindowKeys and WindowAge bound the window of duplicates.
	WindowKeys int
	WindowAge  time.Duration
}

// The defaults of a GateConfig.
const (
	// BacklogBytesDefault is some minutes of 60,000 events a second.
	BacklogBytesDefault = 8 << 30
	// BacklogAgeDefault keeps the way back to normal short after an overload:
	// what has been taken is evaluated within about as long.
	BacklogAgeDefault = 10 * time.Second
	// BytesInFlightDefault holds the bodies of three of the largest requests.
	BytesInFlightDefault = 192 << 20
	// WindowKeysDefault keys take some 100 bytes each.
	WindowKeysDefault = 200_000
	WindowAgeDefault  = 30 * time.Minute
	tenantShare       = 0.5
	// sizeUnknown is what a body without a length is taken for at first.
	sizeUnknown = 1 << 20
)

// Gate is the Sink in front of a log: it admits by what is in flight, by the
// backlog and by quotas, makes batches durable, and knows those that came
// before. It is safe for concurrent use.
type Gate struct {
	cfg GateConfig

	mu       sync.Mutex
	inFlight int64
	tenants  map[event.Tenant]*inflow
	window   map[windowKey]*pending
	order    []windowEntry // those of window that are stored, oldest first, from head on
	head     int
	closed   bool
}

type inflow struct {
	inFlight      int64
	events, bytes float64 // left of the quota
	at            time.Time
}

type windowKey struct {
	tenant event.Tenant
	source string
	key    [sha256.Size]byte
}

type windowEntry struct {
	key windowKey
	at  time.Time
}

// pending is a batch on its way into the log, or in it once done is closed
// with err nil.
type pending struct {
	done chan struct{}
	err  error
}

// NewGate makes a gate and fills its window of duplicates from the log.
func NewGate(cfg GateConfig) (*Gate, error) {
	orInt := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	orInt(&cfg.BacklogBytesMax, BacklogBytesDefault)
	orInt(&cfg.BytesInFlightMax, BytesInFlightDefault)
	if cfg.BacklogAgeMax <= 0 {
		cfg.BacklogAgeMax = BacklogAgeDefault
	}
	if cfg.TenantShare <= 0 {
		cfg.TenantShare = tenantShare
	}
	if cfg.WindowKeys <= 0 {
		cfg.WindowKeys = WindowKeysDefault
	}
	if cfg.WindowAge <= 0 {
		cfg.WindowAge = WindowAgeDefault
	}
	g := &Gate{cfg: cfg, tenants: make(map[event.Tenant]*inflow), window: make(map[windowKey]*pending)}
	return g, g.remember()
}

// soundness is what a log may know besides [store.Log]: whether the entry at an
// offset is whole.
type soundness interface {
	Sound(p store.Partition, offset int64) bool
}

// remember reads the keys of the batches in the log that are young enough.
func (g *Gate) remember() error {
	oldest := g.cfg.Clock.Now().Add(-g.cfg.WindowAge)
	stored := &pending{done: make(chan struct{})}
	close(stored.done)
	judge, _ := g.cfg.Log.(soundness)
	for _, h := range g.cfg.Log.Heads() {
		if h.Partition.Kind != KindEvents {
			continue
		}
		from := max(h.First, h.Next-int64(g.cfg.WindowKeys))
		err := g.cfg.Log.Metas(h.Partition, from, func(offset int64, meta []byte) bool {
			m, err := ParseMeta(meta)
			// What was taken up again from quarantine is no batch of a client.
			if err != nil || m.Kind != KindBatch || m.Retry {
				return true
			}
			// A power cut may have left the head of a batch and torn its records. Its
			// sender was not answered and must not be told that it is there.
			if judge != nil && !judge.Sound(h.Partition, offset) {
				return true
			}
			at := time.UnixMicro(m.Received)
			if at.Before(oldest) {
				return true
			}
			k := windowKey{h.Partition.Tenant, h.Partition.Source, m.Key}
			if g.window[k] == nil {
				g.window[k] = stored
				g.order = append(g.order, windowEntry{k, at})
			}
			return true
		})
		if err != nil {
			return fmt.Errorf("read the keys of the last batches: %w", err)
		}
	}
	// The window is dropped from its old end, whatever partition that is of.
	slices.SortStableFunc(g.order, func(a, b windowEntry) int { return a.at.Compare(b.at) })
	g.trim(g.cfg.Clock.Now())
	return nil
}

// trim drops keys beyond the window.
func (g *Gate) trim(now time.Time) {
	oldest := now.Add(-g.cfg.WindowAge)
	for g.head < len(g.order) && (len(g.order)-g.head > g.cfg.WindowKeys || g.order[g.head].at.Before(oldest)) {
		delete(g.window, g.order[g.head].key)
		g.head++
	}
	if g.head > len(g.order)/2 {
		kept := copy(g.order, g.order[g.head:])
		clear(g.order[kept:])
		g.order = g.order[:kept]
		g.head = 0
	}
}

func (g *Gate) tenant(t event.Tenant) *inflow {
	f := g.tenants[t]
	if f == nil {
		f = &inflow{at: g.cfg.Clock.Now()}
		if q := g.quota(t); q != (Quota{}) {
			f.events, f.bytes = q.EventsPerSecond*burst, q.BytesPerSecond*burst
		}
		g.tenants[t] = f
	}
	return f
}

func (g *Gate) quota(t event.Tenant) Quota {
	if g.cfg.Quota == nil {
		return Quota{}
	}
	return g.cfg.Quota(t)
}

// refill gives a tenant what its quota allows since the last look.
func (g *Gate) refill(f *inflow, q Quota, now time.Time) {
	// A clock that was set back must not keep the tenant waiting for as long.
	d := max(0, now.Sub(f.at).Seconds())
	f.at = now
	f.events = min(f.events+d*q.EventsPerSecond, q.EventsPerSecond*burst)
	f.bytes = min(f.bytes+d*q.BytesPerSecond, q.BytesPerSecond*burst)
}

// quotaWaitMax bounds how long a client is told to stay away for its quota:
// limits may be raised meanwhile.
const quotaWaitMax = time.Minute

// debt is how long a quota takes to have something left, at least a second and
// at most quotaWaitMax.
func debt(left, perSecond float64) time.Duration {
	if left > 0 || perSecond <= 0 {
		return time.Second
	}
	// The seconds are whole, as the protocols have them; the one on top leaves
	// something when they are over.
	wait := min(math.Floor(-left/perSecond)+1, quotaWaitMax.Seconds())
	return time.Duration(wait) * time.Second
}

// Admit implements [Sink].
func (g *Gate) Admit(t event.Tenant, source string, sizeHint int64) (release func(), err error) {
	size := sizeHint
	if size < 0 {
		size = sizeUnknown
	}
	if g.cfg.Backlog != nil {
		if n, age := g.cfg.Backlog(t); n > g.cfg.BacklogBytesMax || age > g.cfg.BacklogAgeMax {
			return nil, &Busy{Wait: time.Second, Why: "evaluation is behind"}
		}
	}
	now := g.cfg.Clock.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, &Busy{Wait: time.Second, Why: "stopping"}
	}
	f := g.tenant(t)
	q := g.quota(t)
	g.refill(f, q, now)
	switch {
	// One request is always let in, however large, so that none waits for ever.
	case g.inFlight > 0 && size > g.cfg.BytesInFlightMax-g.inFlight:
		return nil, &Busy{Wait: time.Second, Why: "too much is being received"}
	case f.inFlight > 0 && float64(f.inFlight)+float64(size) > g.cfg.TenantShare*float64(g.cfg.BytesInFlightMax):
		return nil, &Busy{Wait: time.Second, Why: "too much is being received for this tenant"}
	case q.EventsPerSecond > 0 && f.events <= 0, q.BytesPerSecond > 0 && f.bytes <= 0:
		return nil, &Busy{Wait: max(debt(f.events, q.EventsPerSecond), debt(f.bytes, q.BytesPerSecond)), Why: "the tenant's quota is used up"}
	}
	g.inFlight += size
	f.inFlight += size
	var once sync.Once
	return func() {
		once.Do(func() {
			g.mu.Lock()
			g.inFlight -= size
			f.inFlight -= size
			g.mu.Unlock()
		})
	}, nil
}

// entries are reused: an encoded batch can have 64 MiB.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// payloadKeptMax bounds what one pooled buffer may keep.
const payloadKeptMax = 4 << 20

// Accept implements [Sink].
func (g *Gate) Accept(ctx context.Context, b *Batch) error {
	if b.Tenant.IsZero() || b.Source == "" {
		return errors.New("a batch needs a tenant and a source")
	}
	if b.Records() == 0 && (b.File == nil || !b.File.Last) {
		return nil
	}
	if b.Received.IsZero() {
		b.Received = g.cfg.Clock.Now()
	}
	b.Again = false
	m := Meta{Kind: KindBatch, Protocol: b.Protocol, Received: b.Received.UnixMicro(), Records: b.Records(), Bytes: len(b.Data), Key: batchKey(b)}
	k := windowKey{b.Tenant, b.Source, m.Key}
	p, first := g.claim(k)
	if !first {
		select {
		case <-p.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if p.err == nil {
			b.Again = true
			g.cfg.Metrics.IngestDuplicates.WithLabelValues(b.Protocol).Inc()
			if g.cfg.Duplicate != nil {
				g.cfg.Duplicate(b)
			}
			return nil
		}
		return p.err
	}
	err := g.write(ctx, b, m)
	g.settle(k, p, err, b)
	return err
}

// Resubmit takes a batch of quarantined records again: it is never a
// duplicate.
func (g *Gate) Resubmit(b *Batch) error {
	b.Received = g.cfg.Clock.Now()
	m := Meta{Kind: KindBatch, Protocol: b.Protocol, Received: b.Received.UnixMicro(), Records: b.Records(), Bytes: len(b.Data), Key: batchKey(b), Retry: true}
	return g.write(context.Background(), b, m)
}

// batchKey is the client's own key, hashed to its length, or that of the data.
func batchKey(b *Batch) [sha256.Size]byte {
	switch {
	case len(b.Key) == 0:
		return sha256.Sum256(b.Data)
	case len(b.Key) == sha256.Size:
		return [sha256.Size]byte(b.Key)
	}
	return sha256.Sum256(b.Key)
}

// claim returns the batch known by a key, or makes the caller its first, who
// must settle it.
func (g *Gate) claim(k windowKey) (p *pending, first bool) {
	now := g.cfg.Clock.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trim(now)
	if p := g.window[k]; p != nil {
		return p, false
	}
	p = &pending{done: make(chan struct{})}
	g.window[k] = p
	return p, true
}

// settle tells those who wait for the same batch, and forgets one that failed.
func (g *Gate) settle(k windowKey, p *pending, err error, b *Batch) {
	now := g.cfg.Clock.Now()
	g.mu.Lock()
	p.err = err
	if err != nil {
		delete(g.window, k)
	} else {
		g.order = append(g.order, windowEntry{k, now})
		g.trim(now)
		if q := g.quota(b.Tenant); q != (Quota{}) {
			f := g.tenant(b.Tenant)
			g.refill(f, q, now)
			f.events -= float64(b.Records())
			f.bytes -= float64(len(b.Data))
		}
	}
	g.mu.Unlock()
	close(p.done)
}

// write makes a batch durable.
func (g *Gate) write(ctx context.Context, b *Batch, m Meta) error {
	shards := 1
	if g.cfg.Shards != nil {
		shards = max(1, g.cfg.Shards(b.Tenant, b.Source))
	}
	buf := payloads.Get().(*[]byte)
	*buf = AppendPayload((*buf)[:0], b)
	p := store.Partition{Tenant: b.Tenant, Kind: KindEvents, Source: b.Source, Shard: int(b.Shard % uint32(shards))}
	began := g.cfg.Clock.Now()
	offsets, err := g.cfg.Log.Append([]store.Entry{{Partition: p, Meta: AppendMeta(nil, m), Payload: *buf}})
	if g.cfg.Traces != nil && len(offsets) == 1 {
		place := tracing.Place{Tenant: p.Tenant.String(), Source: p.Source, Shard: p.Shard, Offset: offsets[0]}
		g.cfg.Traces.Batch(ctx, tracing.Append, place, tracing.Counts{Records: m.Records, Bytes: m.Bytes}, began, g.cfg.Clock.Now(), err)
	}
	if cap(*buf) <= payloadKeptMax {
		payloads.Put(buf)
	}
	switch {
	case err == nil:
		g.cfg.Metrics.IngestEvents.WithLabelValues(b.Protocol, b.Tenant.String(), b.Source).Add(float64(m.Records))
		g.cfg.Metrics.IngestBytes.WithLabelValues(b.Protocol, b.Tenant.String(), b.Source).Add(float64(m.Bytes))
		return nil
	case errors.Is(err, store.ErrFull):
		return &Busy{Wait: fullWait, Why: "the disk is nearly full"}
	case errors.Is(err, store.ErrFailed):
		return &Busy{Wait: time.Second, Why: "the log could not be written"}
	case errors.Is(err, store.ErrClosed):
		return &Busy{Wait: time.Second, Why: "stopping"}
	}
	return fmt.Errorf("append to the log: %w", err)
}

// fullWait is when to come again after the disk was nearly full; freeing room
// takes a person or retention some seconds.
const fullWait = 5 * time.Second

// Stop refuses what comes from now on; what is under way is finished.
func (g *Gate) Stop() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}
