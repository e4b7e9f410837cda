package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The shape of the load. Time runs in the events, not on the clock: a batch
// spans batchSpan of it, and batches are at most batchesAhead apart while they
// wait for their acknowledgement, so that no event is ever later than the
// lateness of a minute, however long a client has to try.
const (
	batchEvents  = 250
	batchSpan    = 500 * time.Millisecond
	batchesAhead = 64
	// perSecond is the events a second that the clients try to send.
	perSecond = 10_000
	// markedOf and brokenOf are one in how many events the rules look for, and
	// one in how many is no JSON.
	markedOf, brokenOf = 100, 1000
	hosts              = 50
	// userBatches is how many batches have the same user.
	userBatches = 400
	workersEach = 4 // connections of a source
)

// sourceNames are the sources that batches go to in turn.
var sourceNames = []string{"a", "b"}

// mark is an event that the rules look for, as the oracle keeps it.
type mark struct {
	stamp string // source, epoch and number
	at    time.Time
	host  string
	user  string
	tool  string
}

// batch is a request on its way. The body is sent until it is acknowledged, and
// never changed.
type batch struct {
	number int
	source int
	body   []byte
	marks  []mark
	broken int
}

// load makes batches and sends them, and remembers what was acknowledged. The
// fields behind mu may be read while it runs through its methods.
type load struct {
	t       testing.TB
	node    *node
	tokens  []string
	rng     *rand.Rand
	begin   time.Time // event time of the first batch
	rate    int       // events a second; 0 is as fast as it goes
	last    int       // how many batches there are; 0 is no end
	queue   chan *batch
	epoch   atomic.Int64
	acked   atomic.Int64 // events
	answers atomic.Int64 // requests that were acknowledged
	refused atomic.Int64 // answers that asked to come again
	tries   atomic.Int64 // requests without an answer

	mu      sync.Mutex
	cond    *sync.Cond
	next    int // number of the next batch
	open    map[int]bool
	marks   []mark // of acknowledged batches
	broken  int    // of acknowledged batches
	strange []string
	waits   map[string]int // answers that asked to come again
}

// newLoad makes a load for a node, with tokens for its sources.
func newLoad(n *node, run uint64) *load {
	l := &load{
		t: n.t, node: n, rng: rand.New(rand.NewPCG(*seed, run)), rate: perSecond,
		// As far back as the longest run needs, so that event time stays in the past.
		begin: time.Now().Add(-30 * time.Hour).Truncate(time.Second),
		queue: make(chan *batch), open: map[int]bool{}, waits: map[string]int{},
	}
	l.cond = sync.NewCond(&l.mu)
	for _, s := range sourceNames {
		l.tokens = append(l.tokens, n.token(s))
	}
	return l
}

// make makes the next batch. It belongs to one goroutine.
func (l *load) make() *batch {
	b := &batch{number: l.next, source: l.next % len(sourceNames)}
	at := l.begin.Add(time.Duration(l.next) * batchSpan)
	user := "user" + strconv.Itoa(l.next/userBatches)
	epoch := l.epoch.Load()
	body := make([]byte, 0, batchEvents*420)
	for i := range batchEvents {
		at = at.Add(batchSpan / batchEvents)
		stamp := sourceNames[b.source] + "-" + strconv.FormatInt(epoch, 10) + "-" + strconv.Itoa(l.next*batchEvents+i)
		body = append(body, `{"create":{"_index":"winlogbeat"}}`+"\n"...)
		if l.rng.IntN(brokenOf) == 0 {
			b.broken++
			body = append(append(append(body, `{"broken":"`...), stamp...), "\n"...)
			continue
		}
		m := mark{stamp: stamp, at: at, host: "host" + strconv.Itoa(l.rng.IntN(hosts)), user: user, tool: "none"}
		image := "work.exe"
		if l.rng.IntN(markedOf) == 0 {
			image = "mark.exe"
			m.tool = "tool" + strconv.Itoa(l.rng.IntN(6))
			b.marks = append(b.marks, m)
		}
		body = m.append(body, image)
	}
	b.body = body
	l.next++
	return b
}

// append writes the event as Winlogbeat would send a process creation.
func (m *mark) append(dst []byte, image string) []byte {
	dst = append(dst, `{"@timestamp":"`...)
	dst = m.at.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(append(dst, `","stamp":"`...), m.stamp...)
	dst = append(append(dst, `","winlog":{"channel":"Microsoft-Windows-Sysmon/Operational","event_id":1,"provider_name":"Microsoft-Windows-Sysmon","computer_name":"`...), m.host...)
	dst = append(append(dst, `","event_data":{"Image":"C:\\Programs\\`...), image...)
	dst = append(append(dst, `","CommandLine":"run --with some arguments","User":"`...), m.user...)
	dst = append(append(dst, `","Tool":"`...), m.tool...)
	return append(dst, `"}}}`+"\n"...)
}

// oldest is the number of the oldest batch that waits, or next. The caller
// holds mu.
func (l *load) oldest() int {
	least := l.next
	for n := range l.open {
		least = min(least, n)
	}
	return least
}

// run sends until ctx ends, then until all that was made is acknowledged.
func (l *load) run(ctx context.Context) {
	var wg sync.WaitGroup
	for range workersEach * len(sourceNames) {
		wg.Go(func() {
			for b := range l.queue {
				l.deliver(b)
			}
		})
	}
	stop := context.AfterFunc(ctx, func() { l.mu.Lock(); l.cond.Broadcast(); l.mu.Unlock() })
	defer stop()
	began, first := time.Now(), l.next
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil && (l.last == 0 || l.next < l.last) {
		if l.rate > 0 {
			if due := first + int(time.Since(began).Seconds()*float64(l.rate)/batchEvents); l.next >= due {
				<-pace.C
				continue
			} else if due > l.next+batchesAhead {
				began, first = time.Now(), l.next // no catching up with a pause
			}
		}
		l.mu.Lock()
		for ctx.Err() == nil && l.next-l.oldest() >= batchesAhead {
			l.cond.Wait()
		}
		if ctx.Err() != nil {
			l.mu.Unlock()
			break
		}
		l.open[l.next] = true
		l.mu.Unlock()
		l.queue <- l.make()
	}
	close(l.queue)
	wg.Wait()
	l.queue = make(chan *batch)
}

// deliver sends a batch until it is acknowledged.
func (l *load) deliver(b *batch) {
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	deadline := time.Now().Add(doneWithin)
	for !l.send(b) && !l.t.Failed() {
		if time.Now().After(deadline) {
			l.complain("batch %d was not acknowledged within %v", b.number, doneWithin)
			break
		}
		<-pause.C
	}
	l.mu.Lock()
	delete(l.open, b.number)
	l.cond.Broadcast()
	l.mu.Unlock()
}

func (l *load) complain(format string, args ...any) {
	l.mu.Lock()
	if len(l.strange) < 20 {
		l.strange = append(l.strange, fmt.Sprintf(format, args...))
	}
	l.mu.Unlock()
}

// send sends a batch once and reports whether it was acknowledged.
func (l *load) send(b *batch) bool {
	status, answer, header, err := l.post(b)
	switch {
	case err != nil:
		l.tries.Add(1)
		return false
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		l.refused.Add(1)
		wait := header.Get("Retry-After")
		if wait == "" {
			l.complain("batch %d: %d without Retry-After: %.200s", b.number, status, answer)
		}
		l.mu.Lock()
		l.waits[fmt.Sprintf("%d, Retry-After %s: %.200s", status, wait, answer)]++
		l.mu.Unlock()
		return false
	case status != http.StatusOK:
		l.complain("batch %d: %d %.200s", b.number, status, answer)
		return false
	}
	var out struct {
		Errors bool              `json:"errors"`
		Items  []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(answer, &out); err != nil || out.Errors || len(out.Items) != batchEvents {
		l.complain("batch %d: not an answer for %d items: %v %.200s", b.number, batchEvents, err, answer)
		return false
	}
	l.mu.Lock()
	l.marks = append(l.marks, b.marks...)
	l.broken += b.broken
	l.mu.Unlock()
	l.acked.Add(batchEvents)
	l.answers.Add(1)
	return true
}

func (l *load) post(b *batch) (status int, answer []byte, header http.Header, err error) {
	r, err := http.NewRequest(http.MethodPost, "http://"+l.node.address+"/_bulk", bytes.NewReader(b.body))
	if err != nil {
		return 0, nil, nil, err
	}
	r.Header.Set("Authorization", "ApiKey "+l.tokens[b.source])
	r.Header.Set("Content-Type", "application/x-ndjson")
	res, err := l.node.client.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, res.Header, errors.Join(err, res.Body.Close())
}

// forSome sends for a while.
func (l *load) forSome(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	l.run(ctx)
}

// until sends until so many batches are made.
func (l *load) until(batches int) {
	l.last = batches
	l.run(context.Background())
	l.last = 0
}

// background sends until the returned function is called, which waits until
// all is acknowledged.
func (l *load) background() (finish func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with finish
		defer close(done)
		l.run(ctx)
	}()
	var once sync.Once
	finish = func() { once.Do(func() { cancel(); <-done }) }
	return finish
}

// end sends each source a last event of long after all others, by which
// everything before is decided for good.
func (l *load) end() {
	l.t.Helper()
	at := l.begin.Add(time.Duration(l.next)*batchSpan + 3*time.Hour)
	for source := range sourceNames {
		b := &batch{number: l.next, source: source}
		for i := range batchEvents {
			m := mark{stamp: sourceNames[source] + "-end-" + strconv.Itoa(i), at: at, host: "host0", user: "last", tool: "none"}
			b.body = append(b.body, `{"create":{"_index":"winlogbeat"}}`+"\n"...)
			b.body = m.append(b.body, "work.exe")
		}
		await(l.t, backWithin, "the last batch is acknowledged", func() error {
			if !l.send(b) {
				return errors.New("it was not")
			}
			return nil
		})
	}
	for _, text := range l.strange {
		l.t.Error(text)
	}
}
