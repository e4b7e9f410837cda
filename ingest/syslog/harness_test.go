package syslog

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/metric"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sink keeps what it accepts. While busy is set it takes nothing.
type sink struct {
	mu      sync.Mutex
	changed *sync.Cond
	busy    *ingest.Busy
	err     error
	refused int // how often it was busy
	batches []ingest.Batch
	open    int // admitted and not released
}

func newSink() *sink {
	s := &sink{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

func (s *sink) Admit(event.Tenant, string, int64) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open++
	return func() { s.mu.Lock(); s.open--; s.mu.Unlock() }, nil
}

func (s *sink) Accept(ctx context.Context, b *ingest.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.changed.Broadcast()
	if s.busy != nil {
		s.refused++
		return s.busy
	}
	if s.err != nil {
		return s.err
	}
	c := *b
	c.Data = bytes.Clone(b.Data)
	c.Frames = append(c.Frames[:0:0], b.Frames...)
	c.Refused = append(c.Refused[:0:0], b.Refused...)
	s.batches = append(s.batches, c)
	return nil
}

// until waits for a condition on the sink, which must come about.
func (s *sink) until(cond func() bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !cond() {
		s.changed.Wait()
	}
}

func (s *sink) set(change func()) {
	s.mu.Lock()
	change()
	s.changed.Broadcast()
	s.mu.Unlock()
}

// messages lists the messages of all batches; the caller holds no lock.
func (s *sink) messages() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list()
}

func (s *sink) list() []string {
	var out []string
	for _, b := range s.batches {
		for _, f := range b.Frames {
			out = append(out, string(b.Data[f.Start:f.End]))
		}
	}
	return out
}

// records counts frames and refused pieces.
func (s *sink) records() int {
	n := 0
	for i := range s.batches {
		n += s.batches[i].Records()
	}
	return n
}

// hand is a clock moved by hand.
type hand struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*handTimer]bool
	set    *sync.Cond
}

func newHand() *hand {
	h := &hand{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), timers: map[*handTimer]bool{}}
	h.set = sync.NewCond(&h.mu)
	return h
}

type handTimer struct {
	h    *hand
	at   time.Time
	d    time.Duration
	c    chan time.Time
	live bool
}

func (h *hand) Now() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return h.now }

func (h *hand) NewTimer(d time.Duration) env.Timer {
	t := &handTimer{h: h, c: make(chan time.Time, 1)}
	h.mu.Lock()
	h.timers[t] = true
	h.mu.Unlock()
	t.Reset(d)
	return t
}

func (t *handTimer) C() <-chan time.Time { return t.c }

func (t *handTimer) Stop() bool {
	t.h.mu.Lock()
	defer t.h.mu.Unlock()
	was := t.live
	t.live = false
	select {
	case <-t.c:
	default:
	}
	return was
}

func (t *handTimer) Reset(d time.Duration) bool {
	was := t.Stop()
	t.h.mu.Lock()
	t.at, t.d, t.live = t.h.now.Add(d), d, true
	t.h.set.Broadcast()
	t.h.mu.Unlock()
	return was
}

// advance waits until a timer of length d runs and moves the clock past it.
func (h *hand) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		for t := range h.timers {
			if t.live && t.d == d {
				if t.at.After(h.now) {
					h.now = t.at
				}
				for o := range h.timers {
					if o.live && !o.at.After(h.now) {
						o.live = false
						o.c <- h.now
					}
				}
				return
			}
		}
		h.set.Wait()
	}
}

type fixture struct {
	*sink
	o    Options
	addr net.Addr
	stop func() // ends Run and waits for it
	run  error
}

func options(t *testing.T, s *sink) Options {
	t.Helper()
	world := env.Real()
	world.FS = vfs.NewMem()
	world.Rand = rand.Reader
	return Options{Env: world, Sink: s, Grant: ingest.Grant{Tenant: event.LocalTenant, Source: "net", Token: "t"}, Metrics: metric.New()}
}

func (f *fixture) start(t *testing.T, addr net.Addr, run func(context.Context) error) {
	t.Helper()
	f.addr = addr
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f.run = run(ctx) }()
	var once sync.Once
	f.stop = func() {
		once.Do(func() {
			cancel()
			<-done
			if f.run != nil {
				t.Errorf("Run: %v", f.run)
			}
			if f.open != 0 {
				t.Errorf("%d admissions were not released", f.open)
			}
		})
	}
	t.Cleanup(f.stop)
}

func stream(t *testing.T, o Options) *fixture {
	t.Helper()
	l, err := o.Env.Net.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{sink: o.Sink.(*sink), o: o}
	f.start(t, l.Addr(), NewStream(l, nil, o).Run)
	return f
}

func (f *fixture) dial(t *testing.T) *net.TCPConn {
	t.Helper()
	c, err := f.o.Env.Net.DialContext(context.Background(), "tcp", f.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*net.TCPConn)
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Error(err)
	}
}

func counter(t *testing.T, m *metric.Set, name, reason string) float64 {
	t.Helper()
	families, err := m.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, v := range f.GetMetric() {
			labels := prometheus.Labels{}
			for _, l := range v.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if reason == "" || labels["reason"] == reason {
				return v.GetCounter().GetValue()
			}
		}
	}
	return 0
}

var errBad = errors.New("bad batch")

// counted waits until one refusal was counted, which may be after the client
// has noticed it.
func counted(t *testing.T, m *metric.Set, reason string) {
	t.Helper()
	for counter(t, m, "tiercel_ingest_rejected_total", reason) != 1 {
		runtime.Gosched()
	}
}
