package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// load is traffic to a server: agents that each send one request after the
// other over a connection of their own.
type load struct {
	s *server
	t *templates
	o *options

	// hold makes agents wait between requests: the server is behind.
	hold atomic.Bool
	// rate is in events a second over all agents; 0 is as fast as it goes.
	rate float64
	// insist makes an agent send on schedule whatever the answer was, and the
	// same body again when it was refused.
	insist bool
	// marks are sent with the next request that takes one.
	marks chan mark
	// sent is told when a request with marks is on its way.
	sent func([]mark, time.Time)

	events, bytes, zipped, requests, refused, offered atomic.Int64

	mu    sync.Mutex
	acks  []time.Duration
	fault error
}

// agentBase gives each agent of a run hosts of its own, since numbers of records
// must not begin again.
var agentBase int

// run sends until ctx ends.
func (l *load) run(ctx context.Context) error {
	var wg sync.WaitGroup
	base := agentBase
	agentBase += l.o.agents
	for i := range l.o.agents {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := l.agent(ctx, newMaker(l.t, base+i, l.o)); err != nil {
				l.mu.Lock()
				l.fault = err
				l.mu.Unlock()
			}
		}()
	}
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.fault
}

// agent makes the next request while one is on its way.
func (l *load) agent(ctx context.Context, m *maker) error {
	free, made := make(chan *body, 2), make(chan *body)
	free <- &body{}
	free <- &body{}
	done := make(chan struct{})
	defer func() { <-done }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer close(done)
		for {
			select {
			case b := <-free:
				m.make(b, l.take())
				select {
				case made <- b:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true, WriteBufferSize: 64 << 10}}
	defer client.CloseIdleConnections()
	next := time.Now()
	for {
		var b *body
		select {
		case b = <-made:
		case <-ctx.Done():
			return nil
		}
		for taken := false; !taken; {
			if !l.wait(ctx, &next, b.events) {
				return nil
			}
			var err error
			if taken, err = l.send(client, b); err != nil {
				return err
			}
			if !taken && !l.insist && !sleep(ctx, time.Second) {
				return nil
			}
		}
		free <- b
	}
}

// take takes the marks that wait, at most a few.
func (l *load) take() []mark {
	var out []mark
	for len(out) < 4 {
		select {
		case m := <-l.marks:
			out = append(out, m)
			continue
		default:
		}
		break
	}
	return out
}

// wait waits until a request is due; false means that the run is over.
func (l *load) wait(ctx context.Context, next *time.Time, events int) bool {
	for l.hold.Load() {
		if !sleep(ctx, 5*time.Millisecond) {
			return false
		}
	}
	if l.rate > 0 {
		now := time.Now()
		if now.Sub(*next) > time.Second {
			*next = now // what was missed is not made up for
		}
		if d := next.Sub(now); d > 0 && !sleep(ctx, d) {
			return false
		}
		*next = next.Add(time.Duration(float64(events) * float64(l.o.agents) / l.rate * float64(time.Second)))
	}
	return ctx.Err() == nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// bulkPath asks for what Beats ask for.
const bulkPath = "/_bulk?filter_path=errors,items.*.error,items.*.status"

// send sends a request and reports whether it was acknowledged; false is a
// refusal in order. A request under way is never given up, so that what was
// acknowledged is known.
func (l *load) send(client *http.Client, b *body) (bool, error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+l.s.address+bulkPath, bytes.NewReader(b.zipped))
	if err != nil {
		return false, err
	}
	req.Header.Set("Authorization", "Bearer "+l.s.token)
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Content-Encoding", "gzip")
	begin := time.Now()
	if len(b.marks) > 0 && l.sent != nil {
		l.sent(b.marks, begin)
	}
	l.offered.Add(int64(b.events))
	resp, err := client.Do(req)
	if err != nil {
		if l.insist && l.s.alive() {
			// Go's client reports a connection that was closed while the body was still
			// on its way as an error even where an answer came.
			l.refused.Add(1)
			return false, nil
		}
		return false, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return false, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		l.refused.Add(1)
		return false, nil
	default:
		return false, fmt.Errorf("the server answered %s: %.300s", resp.Status, answer)
	}
	if !bytes.Contains(answer, []byte(`"errors":false`)) {
		return false, fmt.Errorf("the server did not take every event: %.300s", answer)
	}
	l.requests.Add(1)
	l.events.Add(int64(b.events))
	l.bytes.Add(int64(b.plain))
	l.zipped.Add(int64(len(b.zipped)))
	l.mu.Lock()
	l.acks = append(l.acks, time.Since(begin))
	l.mu.Unlock()
	return true, nil
}

// ackTimes takes the times since the last call.
func (l *load) ackTimes() []time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.acks
	l.acks = nil
	return out
}

// percentile of times, which it sorts.
func percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[min(len(times)-1, int(p*float64(len(times))))]
}

// ownCPU is the processor time of the generator.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
