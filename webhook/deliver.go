package webhook

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/store"

	"github.com/tiercel-io/tiercel/event"
)

// schedule is the wait before each attempt, counted from the failure before: the
// example of the specification.
var schedule = []time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	// attemptTimeout is the shorter end of what the specification asks for.
	attemptTimeout = 15 * time.Second
	// retryAfterMax bounds what a receiver may ask for.
	retryAfterMax = 24 * time.Hour
	// jitterPercent spreads what failed together: it is added at most.
	jitterPercent = 20
	// perEndpointMax and concurrentMax bound the deliveries under way.
	perEndpointMax = 4
	concurrentMax  = 16
	// pollEvery finds what was applied without Wake, and endpoints that another
	// process enabled.
	pollEvery = 5 * time.Second
	// pendingMax bounds what is counted for the metric.
	pendingMax = 100_000
	// writeAttemptsMax bounds the tries at recording an outcome against others
	// who change the row.
	writeAttemptsMax = 4
)

var errTimeout = fmt.Errorf("no answer within %s", attemptTimeout)

// Run delivers until ctx ends, waits for deliveries under way, and returns nil;
// or the error of the store when it was closed. It is called once.
func (o *Outbox) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, e := range o.endpoints {
		wg.Go(func() {
			defer e.transport.CloseIdleConnections()
			if err := o.serve(ctx, e); err != nil {
				cancel(err)
			}
		})
	}
	<-ctx.Done()
	wg.Wait()
	if err := context.Cause(ctx); errors.Is(err, store.ErrClosed) {
		return fmt.Errorf("deliver webhooks: %w", err)
	}
	return nil
}

// serve delivers to one endpoint.
func (o *Outbox) serve(ctx context.Context, e *endpoint) error {
	var paused, counted time.Time // paused: the receiver asked for silence until then
	for ctx.Err() == nil {
		changed := o.waking()
		now := o.env.Clock.Now()
		count := now.Sub(counted) >= pollEvery
		if count {
			counted = now
		}
		due, next, err := o.due(e, now, count)
		if errors.Is(err, store.ErrClosed) {
			return err
		}
		if err != nil {
			o.log.Error("webhook notifications cannot be read", "endpoint", e.Name, "error", err)
		}
		if len(due) > 0 && !now.Before(paused) && !o.isDisabled(e) {
			until, err := o.batch(ctx, e, due)
			if errors.Is(err, store.ErrClosed) {
				return err
			}
			if err == nil {
				paused = until
				continue
			}
			o.log.Error("the outcome of a webhook cannot be stored", "endpoint", e.Name, "error", err)
		}
		wait := pollEvery
		if at := later(next, paused); !at.IsZero() && at.After(now) {
			wait = min(wait, at.Sub(now))
		}
		timer := o.env.Clock.NewTimer(wait)
		select {
		case <-timer.C():
		case <-changed:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// due returns the ids of rows whose time has come, at most perEndpointMax, and
// when the next one after them comes; when asked it counts all that wait.
func (o *Outbox) due(e *endpoint, now time.Time, counting bool) (rows []string, next time.Time, err error) {
	prefix := e.Name + endpointEndsWith
	count := 0
	err = o.records.Scan(store.Range{Tenant: e.Tenant, Kind: kindDue, From: prefix, To: e.Name + "\x01"}, func(d store.Document) bool {
		rest := strings.TrimPrefix(d.ID, prefix)
		if len(rest) != timeDigits+rowIDBytes {
			return true
		}
		count++
		switch {
		case rest[:timeDigits] <= timeKey(now) && len(rows) < perEndpointMax:
			rows = append(rows, strings.Clone(rest))
		case next.IsZero():
			next = keyTime(rest[:timeDigits])
		}
		return counting && count < pendingMax || next.IsZero() && len(rows) < perEndpointMax
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	if counting {
		o.count(e, count)
	}
	return rows, next, nil
}

// keyTime is the time of a key; zero where it is none.
func keyTime(key string) time.Time {
	n, err := strconv.ParseUint(key, 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, int64(n^1<<63)).UTC()
}

func (o *Outbox) count(e *endpoint, n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending[e] = n
	sum := 0
	for _, n := range o.pending {
		sum += n
	}
	o.metrics.OutboxPending.Set(float64(sum))
}

// batch makes one attempt at each and waits for all. until is how long the
// receiver asked for silence.
func (o *Outbox) batch(ctx context.Context, e *endpoint, due []string) (until time.Time, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, rest := range due {
		select {
		case o.slots <- struct{}{}:
		case <-ctx.Done():
			wg.Wait()
			return until, err
		}
		wg.Go(func() {
			defer func() { <-o.slots }()
			silence, failed := o.one(ctx, e, rest)
			mu.Lock()
			defer mu.Unlock()
			until = later(until, silence)
			err = errors.Join(err, failed)
		})
	}
	wg.Wait()
	return until, err
}

// one attempts a notification by its entry among those that are due.
func (o *Outbox) one(ctx context.Context, e *endpoint, rest string) (time.Time, error) {
	rid := rest[timeDigits:]
	dueKey := store.Key{Tenant: e.Tenant, Kind: kindDue, ID: e.Name + endpointEndsWith + rest}
	doc, err := o.records.Get(store.Key{Tenant: e.Tenant, Kind: kindRow, ID: rid})
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, o.records.Apply([]store.Write{{Key: dueKey}}, store.Relaxed)
	}
	if err != nil {
		return time.Time{}, err
	}
	var r row
	if err := json.Unmarshal(doc.Value, &r); err != nil {
		return time.Time{}, fmt.Errorf("notification %.80q: %w", rid, err)
	}
	if ctx.Err() != nil {
		return time.Time{}, nil
	}
	a := o.attempt(ctx, e, &r)
	if a.err != nil && ctx.Err() != nil {
		return time.Time{}, nil // the process ends; the attempt did not count
	}
	return o.settle(e, dueKey, doc, &r, a)
}

// answer is what came of an attempt.
type answer struct {
	err        error // nil for 2xx
	gone       bool
	retryAfter time.Duration
}

// attempt sends a notification once.
func (o *Outbox) attempt(ctx context.Context, e *endpoint, r *row) answer {
	ctx, stop := limit(ctx, o.env.Clock, attemptTimeout, errTimeout)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url.String(), bytes.NewReader(r.Body))
	if err != nil {
		return answer{err: err}
	}
	now := o.env.Clock.Now()
	for name, value := range e.Headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Tiercel")
	req.Header.Set("webhook-id", r.ID)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("webhook-signature", sign(e.keys, r.ID, now, r.Body))
	resp, err := e.transport.RoundTrip(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, errRefused) {
			err = cause
		}
		return answer{err: err}
	}
	defer resp.Body.Close()
	// Reading what there is lets the connection be used again; an error of it
	// changes nothing about the status.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, responseBytesMax))
	switch {
	case resp.StatusCode >= 200 && resp.StatusCode < 300:
		return answer{}
	case resp.StatusCode == http.StatusGone:
		return answer{err: errDisabled, gone: true}
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return answer{err: fmt.Errorf("the receiver answered %d; redirects are not followed", resp.StatusCode)}
	}
	return answer{
		err:        fmt.Errorf("the receiver answered %d", resp.StatusCode),
		retryAfter: retryAfter(resp.Header.Get("Retry-After"), now),
	}
}

// retryAfter reads the header of RFC 9110, section 10.2.3: seconds or a date; 0
// where it says neither.
func retryAfter(value string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(value, 10, 32); err == nil {
		return min(time.Duration(n)*time.Second, retryAfterMax)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(at.Sub(now), 0), retryAfterMax)
	}
	return 0
}

// jitter is a wait of at least d.
func (o *Outbox) jitter(d time.Duration) time.Duration {
	var b [8]byte
	if _, err := io.ReadFull(o.env.Rand, b[:]); err != nil {
		return d // a wait without jitter is a wait
	}
	return d + time.Duration(binary.BigEndian.Uint64(b[:])%uint64(max(d*jitterPercent/100, 1)))
}

// settle records an attempt.
func (o *Outbox) settle(e *endpoint, dueKey store.Key, doc store.Document, r *row, a answer) (silence time.Time, err error) {
	now := o.env.Clock.Now().UTC().Round(0)
	rowKey := store.Key{Tenant: e.Tenant, Kind: kindRow, ID: doc.ID}
	r.Attempts++
	r.LastAttempt = now
	writes := []store.Write{{Key: dueKey}}
	result := ""
	durable := store.Relaxed
	// The answer's text comes from outside.
	if a.err != nil {
		r.LastError = event.Clip(fmt.Sprintf("%.*q", errorBytesMax, a.err.Error()), errorBytesMax)
		r.LastError = strings.TrimSuffix(strings.TrimPrefix(r.LastError, `"`), `"`)
	}
	switch {
	case a.err == nil:
		result = "ok"
		writes = append(writes, store.Write{Key: rowKey, If: &doc.Version})
	case a.gone, r.Attempts >= len(schedule):
		result = "failed"
		if a.gone {
			result, durable = "disabled", store.Durable
		}
		r.State, r.NextAttempt = Failed, time.Time{}
		writes = append(writes, put(rowKey, r, &doc.Version))
	default:
		result = "retry"
		if errors.Is(a.err, errRefused) {
			result = "refused"
		}
		wait := o.jitter(max(schedule[r.Attempts], a.retryAfter))
		r.NextAttempt = now.Add(wait)
		if a.retryAfter > 0 {
			silence = now.Add(a.retryAfter)
		}
		writes = append(writes, put(rowKey, r, &doc.Version),
			store.Write{Key: store.Key{Tenant: e.Tenant, Kind: kindDue, ID: dueID(e.Name, r.NextAttempt, doc.ID)}, Value: []byte{}})
	}
	o.metrics.WebhookAttempts.WithLabelValues(result).Inc()
	if result == "failed" || result == "disabled" {
		o.log.Warn("a webhook was given up", "endpoint", e.Name, "id", r.ID, "attempts", r.Attempts, "error", r.LastError)
	}
	e.settling.Lock()
	defer e.settling.Unlock()
	for attempt := 1; ; attempt++ {
		st, version, err := o.status(e)
		if err != nil {
			return time.Time{}, err
		}
		if a.err == nil {
			st.LastSuccess = now
		} else {
			st.LastError, st.LastErrorAt = r.LastError, now
		}
		if a.gone {
			st.Disabled = now
		}
		err = o.records.Apply(append(writes[:len(writes):len(writes)], put(statusKey(e), st, &version)), durable)
		if err == nil {
			if a.gone {
				o.setDisabled(e, true)
			}
			return silence, nil
		}
		if !errors.Is(err, store.ErrConflict) || attempt == writeAttemptsMax {
			return time.Time{}, err
		}
		current, err := o.records.Get(rowKey)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return time.Time{}, err
		}
		if current.Version != doc.Version {
			return silence, nil // somebody asked for a retry meanwhile: that holds
		}
	}
}

// put writes a document as JSON. Ours always have a JSON form.
func put(key store.Key, v any, version *uint64) store.Write {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("webhook: %v", err))
	}
	return store.Write{Key: key, Value: b, If: version}
}
