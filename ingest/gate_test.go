package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/store"
)

// fakeLog keeps entries in memory. Methods that a gate has no use for are nil.
type fakeLog struct {
	store.Log

	mu      sync.Mutex
	entries map[store.Partition][]store.Entry
	err     error         // of the next appends
	hold    chan struct{} // when set, appends wait for it
}

func (l *fakeLog) Append(entries []store.Entry) ([]int64, error) {
	l.mu.Lock()
	hold := l.hold
	l.mu.Unlock()
	if hold != nil {
		<-hold
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	if l.entries == nil {
		l.entries = map[store.Partition][]store.Entry{}
	}
	var offsets []int64
	for _, e := range entries {
		e.Meta, e.Payload = slices.Clone(e.Meta), slices.Clone(e.Payload)
		offsets = append(offsets, int64(len(l.entries[e.Partition])))
		l.entries[e.Partition] = append(l.entries[e.Partition], e)
	}
	return offsets, nil
}

func (l *fakeLog) Heads() []store.Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []store.Head
	for _, p := range slices.SortedFunc(maps.Keys(l.entries), func(a, b store.Partition) int {
		return slices.Compare([]string{a.String()}, []string{b.String()})
	}) {
		out = append(out, store.Head{Partition: p, Next: int64(len(l.entries[p]))})
	}
	return out
}

func (l *fakeLog) Metas(p store.Partition, from int64, visit func(int64, []byte) bool) error {
	for i := from; i < int64(len(l.entries[p])); i++ {
		if !visit(i, l.entries[p][i].Meta) {
			break
		}
	}
	return nil
}

func (l *fakeLog) set(err error, hold chan struct{}) {
	l.mu.Lock()
	l.err, l.hold = err, hold
	l.mu.Unlock()
}

// stored is the number of entries of all partitions.
func (l *fakeLog) stored() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, list := range l.entries {
		n += len(list)
	}
	return n
}

// setClock stands still until it is set.
type setClock struct {
	env.Clock
	mu  sync.Mutex
	now time.Time
}

func (c *setClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *setClock) pass(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	c.mu.Unlock()
}

// counted is the sum of a counter over its labels.
func counted(t testing.TB, set *metric.Set, name string) (sum float64) {
	t.Helper()
	families, err := set.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

// gateRig is a gate with what stands around it.
type gateRig struct {
	*Gate
	t     testing.TB
	log   *fakeLog
	clock *setClock
	cfg   GateConfig
	twice int // batches acknowledged again
	a, b  event.Tenant
}

func newGateRig(t testing.TB, change func(*GateConfig)) *gateRig {
	t.Helper()
	tenants, err := event.NewTenants([]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	r := &gateRig{t: t, log: &fakeLog{}, clock: &setClock{now: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}}
	r.a, _ = tenants.Lookup("a")
	r.b, _ = tenants.Lookup("b")
	r.cfg = GateConfig{Log: r.log, Clock: r.clock, Metrics: metric.New(), Duplicate: func(*Batch) { r.twice++ }}
	if change != nil {
		change(&r.cfg)
	}
	r.open()
	return r
}

// open makes the gate anew, as a restart does.
func (r *gateRig) open() {
	r.t.Helper()
	var err error
	if r.Gate, err = NewGate(r.cfg); err != nil {
		r.t.Fatal(err)
	}
}

// batchOf is a batch of one record of tenant a.
func (r *gateRig) batchOf(source, data string) *Batch {
	return &Batch{Tenant: r.a, Source: source, Protocol: "ndjson", Data: []byte(data), Frames: []format.Frame{{End: len(data)}}}
}

// accept hands a batch over and expects an acknowledgement.
func (r *gateRig) accept(b *Batch) {
	r.t.Helper()
	if err := r.Accept(context.Background(), b); err != nil {
		r.t.Fatalf("batch %q: %v", b.Data, err)
	}
}

// expect checks how many batches are in the log and how many came again.
func (r *gateRig) expect(stored, twice int) {
	r.t.Helper()
	if n := r.log.stored(); n != stored || r.twice != twice {
		r.t.Fatalf("%d batches stored and %d known, want %d and %d", n, r.twice, stored, twice)
	}
	if n := counted(r.t, r.cfg.Metrics, "tiercel_ingest_duplicates_total"); int(n) != twice {
		r.t.Fatalf("%v duplicates counted, want %d", n, twice)
	}
}

// busy checks that an error tells the client to come again.
func busy(t testing.TB, err error) *Busy {
	t.Helper()
	b := new(Busy)
	if !errors.As(err, &b) {
		t.Fatalf("got %v, want a busy answer", err)
	}
	if b.Wait < time.Second || b.Wait%time.Second != 0 || b.Why == "" {
		t.Fatalf("busy answer %+v, want whole seconds and a reason", b)
	}
	return b
}

func (r *gateRig) admit(t event.Tenant, size int64) func() {
	r.t.Helper()
	release, err := r.Admit(t, "s", size)
	if err != nil {
		r.t.Fatalf("%d bytes were refused: %v", size, err)
	}
	return release
}

func (r *gateRig) refused(t event.Tenant, size int64) *Busy {
	r.t.Helper()
	_, err := r.Admit(t, "s", size)
	return busy(r.t, err)
}

func TestAdmissionBoundsBytesInFlight(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) { c.BytesInFlightMax, c.TenantShare = 1000, 0.5 })
	first := r.admit(r.a, 400)
	second := r.admit(r.a, 100)
	r.refused(r.a, 1) // the tenant's share is used up
	other := r.admit(r.b, 500)
	r.refused(r.b, 1) // and so is the whole
	first()
	first() // a second call gives nothing back
	third := r.admit(r.a, 400)
	r.refused(r.a, 1)
	for _, release := range []func(){second, third, other} {
		release()
	}
	r.admit(r.a, 500)()
}

func TestOneRequestIsAlwaysLetIn(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1001, 1 << 40, math.MaxInt64} {
		r := newGateRig(t, func(c *GateConfig) { c.BytesInFlightMax = 1000 })
		release := r.admit(r.a, size)
		r.refused(r.b, 1)
		r.refused(r.a, math.MaxInt64)
		release()
		r.admit(r.b, 1)()
	}
	// A tenant's first may be beyond its share, as long as there is room at all.
	r := newGateRig(t, func(c *GateConfig) { c.BytesInFlightMax = 1000 })
	r.admit(r.b, 100)
	r.admit(r.a, 900)
	r.refused(r.a, 1)
}

func TestBodyWithoutLengthCounts(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) { c.BytesInFlightMax, c.TenantShare = 3<<20, 1 })
	for range 3 {
		r.admit(r.a, -1)
	}
	r.refused(r.a, -1)
}

func TestQuotaOfEvents(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) {
		c.Quota = func(t event.Tenant) Quota {
			if t.String() == "a" {
				return Quota{EventsPerSecond: 2}
			}
			return Quota{}
		}
	})
	// Five seconds' worth may come at once; what is under way when the last of it
	// is used up is not refused any more.
	for i := range 10 {
		r.admit(r.a, 1)()
		r.accept(r.batchOf("s", fmt.Sprint(i)))
	}
	if b := r.refused(r.a, 1); b.Wait != time.Second {
		t.Errorf("wait %v, want 1s", b.Wait)
	}
	r.admit(r.b, 1)() // has no quota
	r.clock.pass(time.Second)
	r.admit(r.a, 1)()
	many := r.batchOf("s", "many")
	for range 20 {
		many.Frames = append(many.Frames, format.Frame{})
	}
	r.accept(many) // 21 of the 2 that there were
	b := r.refused(r.a, 1)
	if b.Wait != 10*time.Second {
		t.Errorf("19 events beyond a quota of 2 a second: wait %v, want 10s", b.Wait)
	}
	r.clock.pass(b.Wait - time.Second)
	r.refused(r.a, 1)
	r.clock.pass(time.Second)
	r.admit(r.a, 1)()
	// A pause does not gather more than a burst.
	r.clock.pass(time.Hour)
	many.Data = []byte("again many")
	many.Frames = make([]format.Frame, 10)
	r.admit(r.a, 1)()
	r.accept(many)
	r.refused(r.a, 1)
}

func TestQuotaOfBytes(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) { c.Quota = func(event.Tenant) Quota { return Quota{BytesPerSecond: 10} } })
	r.accept(r.batchOf("s", string(make([]byte, 49))))
	r.admit(r.a, 1)()
	r.accept(r.batchOf("s", string(make([]byte, 2000))))
	if b := r.refused(r.a, 1); b.Wait != time.Minute {
		t.Errorf("wait %v, want the longest, a minute", b.Wait)
	}
	// A duplicate costs nothing, nor does what was not stored.
	r2 := newGateRig(t, func(c *GateConfig) { c.Quota = func(event.Tenant) Quota { return Quota{BytesPerSecond: 10} } })
	r2.accept(r2.batchOf("s", string(make([]byte, 40))))
	r2.accept(r2.batchOf("s", string(make([]byte, 40))))
	r2.log.set(store.ErrFull, nil)
	busy(t, r2.Accept(context.Background(), r2.batchOf("s", string(make([]byte, 41)))))
	r2.admit(r2.a, 1)()
}

func TestQuotaWhenClockIsSetBack(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) { c.Quota = func(event.Tenant) Quota { return Quota{EventsPerSecond: 1} } })
	for i := range 5 {
		r.accept(r.batchOf("s", fmt.Sprint(i)))
	}
	r.clock.pass(-time.Hour)
	r.refused(r.a, 1)
	r.clock.pass(time.Second)
	r.admit(r.a, 1)()
}

func TestBacklogRefusesNewData(t *testing.T) {
	t.Parallel()
	var bytes int64
	var age time.Duration
	r := newGateRig(t, func(c *GateConfig) {
		c.BacklogBytesMax, c.BacklogAgeMax = 100, 10*time.Second
		c.Backlog = func(t event.Tenant) (int64, time.Duration) {
			if t.String() == "a" {
				return bytes, age
			}
			return 0, 0
		}
	})
	bytes, age = 100, 10*time.Second
	r.admit(r.a, 1)()
	bytes = 101
	r.refused(r.a, 1)
	r.admit(r.b, 1)()
	bytes, age = 0, 10*time.Second+1
	r.refused(r.a, 1)
	age = 0
	r.admit(r.a, 1)()
}

func TestDuplicatesAreAcknowledgedOnce(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, nil)
	r.accept(r.batchOf("s", "x"))
	r.accept(r.batchOf("s", "x"))
	r.expect(1, 1)
	r.accept(r.batchOf("other", "x")) // another source
	b := r.batchOf("s", "x")
	b.Tenant = r.b
	r.accept(b)
	r.expect(3, 1)
	// The client's own key decides where it gives one, whatever its length.
	long := sha256.Sum256([]byte("a key of a batch"))
	for _, key := range []string{"k", "another key", string(long[:])} {
		one, two := r.batchOf("s", "1"+key), r.batchOf("s", "2"+key)
		one.Key, two.Key = []byte(key), []byte(key)
		had, known := r.log.stored(), r.twice
		two.Again = true
		r.accept(one)
		if r.accept(two); one.Again || !two.Again {
			t.Errorf("the first came again: %t, the second: %t", one.Again, two.Again)
		}
		r.expect(had+1, known+1)
		two.Key = nil // what was told of another batch does not stay
		if r.accept(two); two.Again {
			t.Error("a batch that never came is known")
		}
	}
	// Equal bytes under different keys are different batches.
	had, known := r.log.stored(), r.twice
	for _, key := range []string{"p", "q"} {
		b := r.batchOf("s", "same")
		b.Key = []byte(key)
		r.accept(b)
	}
	r.expect(had+2, known)
}

// waitOn starts an Accept and returns its error later. Within a synctest bubble.
func (r *gateRig) waitOn(ctx context.Context, b *Batch) chan error {
	done := make(chan error, 1)
	go func() { done <- r.Accept(ctx, b) }()
	return done
}

func TestDuplicateWhileTheFirstIsWritten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newGateRig(t, nil)
		hold := make(chan struct{})
		r.log.set(nil, hold)
		first := r.waitOn(t.Context(), r.batchOf("s", "x"))
		synctest.Wait()
		second := r.waitOn(t.Context(), r.batchOf("s", "x"))
		impatient, leave := context.WithCancel(t.Context())
		third := r.waitOn(impatient, r.batchOf("s", "x"))
		synctest.Wait()
		select {
		case err := <-second:
			t.Fatalf("acknowledged before the first was durable: %v", err)
		default:
		}
		leave()
		if err := <-third; !errors.Is(err, context.Canceled) {
			t.Errorf("one who left got %v", err)
		}
		close(hold)
		if err := errors.Join(<-first, <-second); err != nil {
			t.Error(err)
		}
		r.expect(1, 1)
	})
}

func TestDuplicateOfABatchThatFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newGateRig(t, func(c *GateConfig) { c.WindowKeys = 2 })
		hold := make(chan struct{})
		r.log.set(store.ErrFailed, hold)
		first := r.waitOn(t.Context(), r.batchOf("s", "x"))
		synctest.Wait()
		second := r.waitOn(t.Context(), r.batchOf("s", "x"))
		synctest.Wait()
		close(hold)
		busy(t, <-first)
		busy(t, <-second)
		r.expect(0, 0)
		// Sent again it is stored, and from then on known: what failed must not
		// take its place in the window.
		r.log.set(nil, nil)
		r.accept(r.batchOf("s", "x"))
		r.accept(r.batchOf("s", "y"))
		r.accept(r.batchOf("s", "x"))
		r.expect(2, 1)
	})
}

func TestFailuresLeaveTheWindow(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) { c.WindowKeys = 2 })
	r.accept(r.batchOf("s", "x"))
	r.log.set(store.ErrFull, nil)
	for i := range 100 {
		busy(t, r.Accept(context.Background(), r.batchOf("s", fmt.Sprint(i))))
	}
	r.log.set(nil, nil)
	r.accept(r.batchOf("s", "x"))
	r.expect(1, 1)
	if len(r.window) != 1 || len(r.order) != 1 {
		t.Errorf("the window holds %d keys and %d times for one batch", len(r.window), len(r.order))
	}
}

func TestWindowByAge(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) { c.WindowAge = time.Minute })
	r.accept(r.batchOf("s", "x"))
	r.clock.pass(time.Minute)
	r.accept(r.batchOf("s", "x"))
	r.expect(1, 1)
	// Nothing came in between: the age alone must end it.
	r.clock.pass(time.Second)
	r.accept(r.batchOf("s", "x"))
	r.expect(2, 1)
}

func TestWindowByCount(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) { c.WindowKeys = 3 })
	for _, data := range []string{"1", "2", "3"} {
		r.accept(r.batchOf("s", data))
	}
	r.accept(r.batchOf("s", "1"))
	r.expect(3, 1)
	r.accept(r.batchOf("s", "4")) // drops 1, the oldest
	r.accept(r.batchOf("s", "2"))
	r.expect(4, 2)
	r.accept(r.batchOf("s", "1"))
	r.expect(5, 2)
	for i := range 1000 {
		r.accept(r.batchOf("s", fmt.Sprint("n", i)))
	}
	if len(r.window) != 3 || len(r.order) > 7 {
		t.Errorf("the window holds %d keys and %d times, want 3", len(r.window), len(r.order))
	}
}

func TestWindowIsMadeAgainFromTheLog(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) {
		c.WindowKeys, c.WindowAge = 3, time.Minute
		c.Shards = func(event.Tenant, string) int { return 2 }
	})
	r.accept(r.batchOf("old", "0"))
	r.clock.pass(50 * time.Second)
	// In two partitions, in turns: the window goes by time, not by partition.
	for i, source := range []string{"z", "a", "z", "a"} {
		b := r.batchOf(source, fmt.Sprint(i))
		b.Shard = uint32(i)
		r.accept(b)
		r.clock.pass(time.Second)
	}
	retried := r.batchOf("a", "retried")
	if err := r.Resubmit(retried); err != nil {
		t.Fatal(err)
	}
	if _, err := r.log.Append([]store.Entry{
		{Partition: store.Partition{Tenant: r.a, Kind: KindEvents, Source: "a"}, Meta: AppendMeta(nil, Meta{Kind: KindHeartbeat, Received: r.clock.now.UnixMicro()})},
		{Partition: store.Partition{Tenant: r.a, Kind: KindEvents, Source: "a"}, Meta: []byte("not a meta")},
		{Partition: store.Partition{Tenant: r.a, Kind: "matches", Source: "a"}, Meta: AppendMeta(nil, Meta{Kind: KindBatch, Received: r.clock.now.UnixMicro()})},
	}); err != nil {
		t.Fatal(err)
	}
	r.open()
	had := r.log.stored()
	for i, source := range []string{"z", "a", "z", "a"} {
		if i > 0 {
			r.accept(r.batchOf(source, fmt.Sprint(i)))
		}
	}
	r.expect(had, 3)
	r.accept(r.batchOf("z", "0")) // beyond the three newest
	r.accept(retried)             // what was resubmitted makes nobody's batch a duplicate
	r.expect(had+2, 3)
	r.clock.pass(2 * time.Minute)
	r.open()
	r.accept(r.batchOf("a", "3"))
	r.expect(had+3, 3)
}

func TestResubmitIsNeverADuplicate(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, nil)
	r.accept(r.batchOf("s", "x"))
	for range 2 {
		if err := r.Resubmit(r.batchOf("s", "x")); err != nil {
			t.Fatal(err)
		}
	}
	r.expect(3, 0)
	for p, list := range r.log.entries {
		for i, e := range list {
			m, err := ParseMeta(e.Meta)
			if err != nil || m.Retry != (i > 0) || m.Received != r.clock.now.UnixMicro() {
				t.Errorf("%v at %d: %+v, %v", p, i, m, err)
			}
		}
	}
	r.log.set(store.ErrFull, nil)
	busy(t, r.Resubmit(r.batchOf("s", "x")))
}

func TestEmptyBatches(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, nil)
	r.accept(&Batch{Tenant: r.a, Source: "s", Protocol: "ndjson"})
	r.accept(&Batch{Tenant: r.a, Source: "s", Protocol: "file", File: &File{}})
	r.expect(0, 0)
	r.accept(&Batch{Tenant: r.a, Source: "s", Protocol: "file", File: &File{Last: true}, Key: []byte("last")})
	r.expect(1, 0)
	for _, b := range []*Batch{{Source: "s", Frames: make([]format.Frame, 1)}, {Tenant: r.a, Frames: make([]format.Frame, 1)}} {
		if r.Accept(context.Background(), b) == nil {
			t.Error("a batch of nobody was taken")
		}
	}
	r.expect(1, 0)
}

func TestErrorsOfTheLog(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, nil)
	for _, err := range []error{store.ErrFull, store.ErrFailed, store.ErrClosed} {
		r.log.set(fmt.Errorf("segment 7: %w", err), nil)
		busy(t, r.Accept(context.Background(), r.batchOf("s", "x")))
	}
	other := errors.New("a payload beyond the bound")
	r.log.set(other, nil)
	err := r.Accept(context.Background(), r.batchOf("s", "x"))
	if b := new(Busy); !errors.Is(err, other) || errors.As(err, &b) {
		t.Errorf("got %v, want what is wrong with the batch", err)
	}
	if n := counted(t, r.cfg.Metrics, "tiercel_ingest_events_total"); n != 0 {
		t.Errorf("%v events counted as acknowledged", n)
	}
}

func TestWhatIsWritten(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, func(c *GateConfig) { c.Shards = func(event.Tenant, string) int { return 3 } })
	b := r.batchOf("s", "one two")
	b.Shard, b.Refused = 5, []Refused{{End: 3, Reason: ReasonNotRecord}}
	r.accept(b)
	list := r.log.entries[store.Partition{Tenant: r.a, Kind: KindEvents, Source: "s", Shard: 2}]
	if len(list) != 1 {
		t.Fatalf("not in the third partition: %v", r.log.Heads())
	}
	m, err := ParseMeta(list[0].Meta)
	if err != nil || m.Records != 2 || m.Bytes != 7 || m.Received != r.clock.now.UnixMicro() || m.Protocol != "ndjson" || m.Key != sha256.Sum256(b.Data) || m.Retry {
		t.Errorf("meta %+v, %v", m, err)
	}
	var got Batch
	if err := ParsePayload(list[0].Payload, m, &got); err != nil || string(got.Data) != "one two" || len(got.Frames) != 1 || len(got.Refused) != 1 {
		t.Errorf("payload %+v, %v", got, err)
	}
	if n := counted(t, r.cfg.Metrics, "tiercel_ingest_events_total"); n != 2 {
		t.Errorf("%v events counted, want 2", n)
	}
	if n := counted(t, r.cfg.Metrics, "tiercel_ingest_bytes_total"); n != 7 {
		t.Errorf("%v bytes counted, want 7", n)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	r := newGateRig(t, nil)
	release := r.admit(r.a, 10)
	r.Stop()
	r.Stop()
	r.refused(r.a, 1)
	r.accept(r.batchOf("s", "under way"))
	release()
	r.expect(1, 0)
}
