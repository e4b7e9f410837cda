package stream

import (
	"fmt"
	"math"
	"testing"
	"testing/synctest"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store"
)

// queues are a scheduler's partitions in a test, one worker taking from them.
type queues struct {
	*scheduler
	t       testing.TB
	tenants []event.Tenant
	feeds   map[string]*feed
	sizes   map[string]int // of a feed's entries, in bytes
	handed  map[string]int // bytes handed out, by feed
}

func newQueues(t testing.TB, tenants ...string) *queues {
	t.Helper()
	list, err := event.NewTenants(tenants)
	if err != nil {
		t.Fatal(err)
	}
	return &queues{scheduler: newScheduler(), t: t, tenants: list.All(), feeds: map[string]*feed{}, sizes: map[string]int{}, handed: map[string]int{}}
}

// open adds a partition with entries of a size.
func (q *queues) open(tenant int, name string, weight float64, size int) {
	p := store.Partition{Tenant: q.tenants[tenant], Kind: ingest.KindEvents, Source: name}
	f := &feed{partition: p}
	q.add(f, weight)
	q.feeds[name], q.sizes[name] = f, size
}

// come lets n more entries wait.
func (q *queues) come(name string, n int64) { q.grown(q.feeds[name], q.feeds[name].head+n) }

// waits reports whether any entry waits.
func (q *queues) waits() bool { return q.pick() != nil }

// step takes one entry through all of stage 1 and names its partition.
func (q *queues) step() string {
	q.t.Helper()
	if !q.waits() {
		q.t.Fatal("nothing waits")
	}
	t := q.next()
	name := t.feed.partition.Source
	t.bytes = q.sizes[name]
	q.loaded(t)
	q.handed[name] += t.bytes + entryCost
	q.evaluated(t)
	q.collected(t.bytes)
	q.written(t.feed, 1)
	return name
}

// until takes entries until one of a partition came, and returns how many bytes
// came before it.
func (q *queues) until(name string) (before int) {
	q.t.Helper()
	for {
		got := q.step()
		if got == name {
			return before
		}
		before += q.sizes[got] + entryCost
	}
}

// even checks that two amounts are the same but for a few entries.
func even(t testing.TB, what string, a, b float64, entries int) {
	t.Helper()
	if math.Abs(a-b) > float64(entries) {
		t.Errorf("%s: %.0f and %.0f, further apart than %d", what, a, b, entries)
	}
}

func TestSharesOfTenants(t *testing.T) {
	t.Parallel()
	for _, weight := range []float64{0, 1, 3, 0.5} {
		for _, sizes := range [][2]int{{1000, 1000}, {100, 50_000}, {200_000, 10}} {
			t.Run(fmt.Sprintf("weight %v, entries of %v bytes", weight, sizes), func(t *testing.T) {
				t.Parallel()
				q := newQueues(t, "a", "b")
				q.open(0, "a", 1, sizes[0])
				q.open(1, "b", weight, sizes[1])
				q.come("a", 100_000)
				q.come("b", 100_000)
				expected := max(weight, 0)
				if expected == 0 {
					expected = 1
				}
				for range 20_000 {
					q.step()
				}
				largest := max(sizes[0], sizes[1]) + entryCost
				even(t, "bytes for their weights", float64(q.handed["a"]), float64(q.handed["b"])/expected, int(2*float64(largest)/min(1, expected)))
			})
		}
	}
}

func TestFloodDoesNotDelayAnother(t *testing.T) {
	t.Parallel()
	for _, weight := range []float64{1, 3} {
		q := newQueues(t, "a", "b")
		q.open(0, "flood", 1, 50_000)
		q.open(1, "b", weight, 500)
		q.come("flood", 10_000)
		for range 1000 {
			q.step()
		}
		// Small batches now and then: each waits for what is in hand, and no more.
		for i := range 100 {
			q.come("b", 1)
			if before := q.until("b"); before > 50_000+entryCost {
				t.Fatalf("batch %d waited for %d bytes of another tenant", i, before)
			}
			for range 3 {
				q.step()
			}
		}
		// And many at once get their share from the first on.
		q.come("b", 1000)
		flooded := q.handed["flood"]
		for range 1000 {
			q.until("b")
		}
		limit := float64(1000*(500+entryCost))/weight + 2*(50_000+entryCost)
		if n := q.handed["flood"] - flooded; float64(n) > limit {
			t.Errorf("weight %v: %d bytes of the flood came before 1,000 small batches, want at most %.0f", weight, n, limit)
		}
	}
}

func TestIdleTenantGetsNoCredit(t *testing.T) {
	t.Parallel()
	q := newQueues(t, "a", "b", "c")
	q.open(0, "a", 1, 10_000)
	q.open(1, "b", 1, 10_000)
	q.come("a", 50_000)
	q.come("b", 1)
	for range 10_000 {
		q.step()
	}
	// b was away, and c was not there: both begin where a is.
	q.open(2, "c", 1, 10_000)
	q.come("b", 5000)
	q.come("c", 5000)
	clear(q.handed)
	for range 300 {
		q.step()
	}
	entry := 10_000 + entryCost
	even(t, "who was away", float64(q.handed["b"]), float64(q.handed["a"]), 2*entry)
	even(t, "who is new", float64(q.handed["c"]), float64(q.handed["a"]), 2*entry)
	// Nor does one who was alone pay for it.
	q2 := newQueues(t, "a", "b")
	q2.open(0, "a", 1, 10_000)
	q2.open(1, "b", 1, 10_000)
	q2.come("a", 1000)
	for q2.waits() {
		q2.step()
	}
	q2.come("b", 1)
	q2.step()
	q2.come("a", 1000)
	q2.come("b", 1000)
	clear(q2.handed)
	for range 100 {
		q2.step()
	}
	even(t, "who was alone", float64(q2.handed["a"]), float64(q2.handed["b"]), 2*entry)
}

func TestCreditWhileTheLastEntryIsUnderWay(t *testing.T) {
	t.Parallel()
	q := newQueues(t, "a", "b")
	q.open(0, "a", 1, 1000)
	q.open(1, "b", 1, 1000)
	q.come("b", 1)
	slow := q.next() // stays in hand
	q.come("a", 10_000)
	for range 5000 {
		q.step()
	}
	q.come("b", 1000)
	clear(q.handed)
	for range 100 {
		if got := q.step(); got == "b" && q.feeds["b"].inFlight != 1 {
			t.Fatal("the slow one is not in hand any more")
		}
	}
	even(t, "with one under way", float64(q.handed["a"]), float64(q.handed["b"]), 2*(1000+entryCost))
	q.evaluated(slow)
}

func TestPartitionsOfATenantShareEvenly(t *testing.T) {
	t.Parallel()
	q := newQueues(t, "a", "b")
	// a has been at work for long when b comes, whose clock then begins there.
	q.open(0, "a", 1, 10_000)
	q.come("a", 100_000)
	for range 5000 {
		q.step()
	}
	entry := 10_000 + entryCost
	for _, name := range []string{"b1", "b2", "b3"} {
		q.open(1, name, 3, 10_000)
	}
	q.come("b1", 50_000)
	for range 1000 {
		q.step()
	}
	// b2 was idle meanwhile, b3 too and then some.
	q.come("b2", 50_000)
	clear(q.handed)
	for range 1000 {
		q.step()
	}
	even(t, "a partition that was idle", float64(q.handed["b1"]), float64(q.handed["b2"]), 2*entry)
	even(t, "the tenants", float64(q.handed["a"]), float64(q.handed["b1"]+q.handed["b2"])/3, 3*entry)
	q.come("b3", 50_000)
	clear(q.handed)
	for range 1000 {
		q.step()
	}
	even(t, "one that came later", float64(q.handed["b1"]), float64(q.handed["b3"]), 2*entry)
	even(t, "one that came earlier", float64(q.handed["b2"]), float64(q.handed["b3"]), 2*entry)
}

func TestManyPartitionsGetNoMoreThanOne(t *testing.T) {
	t.Parallel()
	q := newQueues(t, "a", "b")
	q.open(0, "a", 1, 1000)
	q.come("a", 10_000)
	for i := range 50 {
		name := fmt.Sprint("b", i)
		q.open(1, name, 1, 1000)
		q.come(name, 10_000)
	}
	for range 1000 {
		q.step()
	}
	sum := 0
	for name, n := range q.handed {
		if name != "a" {
			sum += n
		}
	}
	even(t, "one partition against fifty", float64(q.handed["a"]), float64(sum), 2*(1000+entryCost))
}

func TestOrderWithinAPartition(t *testing.T) {
	t.Parallel()
	q := newQueues(t, "a")
	q.open(0, "a", 1, 1)
	q.come("a", feedInFlightMax)
	for i := range int64(feedInFlightMax) {
		if task := q.next(); task.offset != i || task.through != i+1 {
			t.Fatalf("entry %d came as %d to %d", i, task.offset, task.through)
		}
	}
}

func TestBoundsOfWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	q := newQueues(t, "a", "b")
	q.open(0, "a", 1, 1)
	q.come("a", 10_000)
	var tasks []*task
	for q.waits() {
		tasks = append(tasks, q.next())
	}
	if len(tasks) != feedInFlightMax {
		t.Fatalf("%d entries of one partition in flight, want %d", len(tasks), feedInFlightMax)
	}
	// Through the workers, they still wait for the log.
	n := 0
	for len(tasks) > 0 {
		q.evaluated(tasks[0])
		tasks = tasks[1:]
		n++
		if q.waits() {
			tasks = append(tasks, q.next())
		}
	}
	if n != feedWaitingMax {
		t.Fatalf("%d outputs of one partition wait for the log, want %d", n, feedWaitingMax)
	}
	q.written(q.feeds["a"], 1)
	if !q.waits() {
		t.Fatal("no entry although there is room for its output")
	}
	// A partition that is full does not hold up another.
	q.open(1, "b", 1, 1)
	q.come("b", 1)
	q.next()
	if !q.waits() {
		t.Fatal("an entry of another partition was not given")
	}
}

// asked starts a worker that waits for an entry, within a synctest bubble.
func (q *queues) asked() chan *task {
	got := make(chan *task, 1)
	go func() { got <- q.next() }()
	return got
}

func TestBytesInHand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueues(t, "a")
		q.open(0, "a", 1, 0)
		q.come("a", 10)
		first, second := q.next(), q.next()
		first.bytes, second.bytes = inHandBytesMax-1, 1
		q.loaded(first)
		q.loaded(second)
		third := q.asked()
		synctest.Wait()
		if len(third) != 0 {
			t.Fatal("an entry was handed out beyond the bound")
		}
		// The second is evaluated and waits for the first: its bytes are still there.
		q.evaluated(second)
		synctest.Wait()
		if len(third) != 0 {
			t.Fatal("an entry was handed out while another waits in memory")
		}
		q.evaluated(first)
		q.collected(first.bytes + second.bytes)
		<-third
		if q.bytes != 0 {
			t.Errorf("%d bytes in hand of nothing", q.bytes)
		}
	})
}

func TestStopWakesEverybody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueues(t, "a")
		q.open(0, "a", 1, 1)
		waiting := []chan *task{q.asked(), q.asked(), q.asked()}
		synctest.Wait()
		q.stop()
		q.stop()
		for _, w := range waiting {
			if <-w != nil {
				t.Error("an entry came from a scheduler that stopped")
			}
		}
		q.come("a", 1)
		if q.next() != nil {
			t.Error("an entry came from a scheduler that stopped")
		}
	})
}

func TestGrowthWakesAWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueues(t, "a")
		q.open(0, "a", 1, 1)
		w := q.asked()
		synctest.Wait()
		q.come("a", 1)
		if got := <-w; got == nil || got.offset != 0 {
			t.Errorf("got %+v", got)
		}
		q.grown(q.feeds["a"], 0) // what is known already changes nothing
		if q.feeds["a"].head != 1 {
			t.Error("a partition went back")
		}
	})
}
