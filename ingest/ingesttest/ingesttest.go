// Package ingesttest holds what the tests of receivers share: a sink that keeps
// what it takes as the real one does, once for each key, and can be made full,
// slow or broken; tokens that are known; and a clock that stands still. It
// checks the contract of package ingest on every batch and is imported by tests
// only. A Sink is safe for concurrent use.
package ingesttest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
	"github.com/tiercel-io/tiercel/metric"
)

// The tokens that [Tokens] knows; every other is unknown.
const (
	Good    = "tt_good"
	Expired = "tt_old"
)

// Tokens is an authenticator.
type Tokens struct{}

// Ingest implements ingest.Authenticator.
func (Tokens) Ingest(token string) (ingest.Grant, error) {
	switch token {
	case Good:
		return ingest.Grant{Tenant: event.LocalTenant, Source: "agents", Token: "good"}, nil
	case Expired:
		return ingest.Grant{}, ingest.ErrExpired
	}
	return ingest.Grant{}, ingest.ErrToken
}

// Kept is a batch that a Sink took, with copies of its pieces.
type Kept struct {
	ingest.Batch
	Raw     []string // of the frames
	Refused []string
	Reasons []string
	Details []string
}

// Sink keeps batches.
type Sink struct {
	TB testing.TB

	mu       sync.Mutex
	kept     []Kept
	seen     map[string]bool
	replays  int
	open     int
	refusals []error // for Admit
	failures []error // for Accept
	wait     chan struct{}
	waiting  chan struct{}
}

// RefuseNext makes the next calls of Admit fail.
func (s *Sink) RefuseNext(errs ...error) { s.set(func() { s.refusals = append(s.refusals, errs...) }) }

// FailNext makes the next calls of Accept return errs; nil takes the batch.
func (s *Sink) FailNext(errs ...error) { s.set(func() { s.failures = append(s.failures, errs...) }) }

// Hold makes Accept wait, as a disk that is slow to sync. The channel receives
// when a batch waits; resume lets all go on.
func (s *Sink) Hold() (waiting <-chan struct{}, resume func()) {
	w, in := make(chan struct{}), make(chan struct{}, 16)
	s.set(func() { s.wait, s.waiting = w, in })
	return in, func() {
		s.set(func() { s.wait = nil })
		close(w)
	}
}

func (s *Sink) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// Admit implements ingest.Sink.
func (s *Sink) Admit(event.Tenant, string, int64) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.refusals) > 0 {
		err := s.refusals[0]
		s.refusals = s.refusals[1:]
		return nil, err
	}
	s.open++
	var once sync.Once
	return func() { once.Do(func() { s.set(func() { s.open-- }) }) }, nil
}

// Accept implements ingest.Sink.
func (s *Sink) Accept(ctx context.Context, b *ingest.Batch) error {
	s.mu.Lock()
	wait, waiting := s.wait, s.waiting
	s.mu.Unlock()
	if wait != nil {
		waiting <- struct{}{}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.check(b)
	b.Again = false
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.failures) > 0 {
		err := s.failures[0]
		s.failures = s.failures[1:]
		if err != nil {
			return err
		}
	}
	key := string(b.Key)
	if key == "" {
		sum := sha256.Sum256(b.Data)
		key = string(sum[:])
	}
	if s.seen[key] {
		s.replays++
		b.Again = true
		return nil
	}
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	s.seen[key] = true
	k := Kept{Batch: *b}
	k.Data = append([]byte(nil), b.Data...)
	k.Frames = append(k.Frames[:0:0], b.Frames...)
	for _, f := range b.Frames {
		k.Raw = append(k.Raw, string(b.Data[f.Start:f.End]))
	}
	for _, r := range b.Refused {
		k.Refused = append(k.Refused, string(b.Data[r.Start:r.End]))
		k.Reasons, k.Details = append(k.Reasons, r.Reason), append(k.Details, r.Detail)
	}
	s.kept = append(s.kept, k)
	return nil
}

// check holds a batch against the contract.
func (s *Sink) check(b *ingest.Batch) {
	s.TB.Helper()
	if err := Check(b); err != nil {
		s.TB.Error(err)
	}
}

// Check says how a batch breaks the contract of package ingest, if it does.
func Check(b *ingest.Batch) error {
	if b.Tenant.IsZero() || b.Source == "" || b.Protocol == "" {
		return fmt.Errorf("a batch of tenant %q, source %q, protocol %q", b.Tenant, b.Source, b.Protocol)
	}
	if n := b.Records(); n == 0 || n > ingest.BatchEventsMax {
		return fmt.Errorf("a batch of %d records", n)
	}
	if len(b.Native) != 0 && len(b.Native) != len(b.Frames) {
		return fmt.Errorf("%d native ids of %d frames", len(b.Native), len(b.Frames))
	}
	return CheckPieces(b)
}

// CheckPieces checks the frames and refused pieces alone.
func CheckPieces(b *ingest.Batch) error {
	end := 0
	for i, f := range b.Frames {
		if f.Start < end || f.End < f.Start || f.End > len(b.Data) || f.End-f.Start > ingest.EventBytesMax {
			return fmt.Errorf("frame %d is %+v behind %d of %d bytes", i, f, end, len(b.Data))
		}
		end = f.End
	}
	end = 0
	known := map[string]bool{}
	for _, r := range ingest.Reasons() {
		known[r] = true
	}
	for i, r := range b.Refused {
		if r.Start < end || r.End < r.Start || r.End > len(b.Data) || r.End-r.Start > ingest.RefusedBytesMax || !known[r.Reason] {
			return fmt.Errorf("refused piece %d is %+v behind %d of %d bytes", i, r, end, len(b.Data))
		}
		end = r.End
	}
	for f, r := 0, 0; f < len(b.Frames) && r < len(b.Refused); {
		frame, refused := b.Frames[f], b.Refused[r]
		if frame.Start < refused.End && refused.Start < frame.End {
			return fmt.Errorf("frame %+v and refused piece %+v overlap", frame, refused)
		}
		if frame.Start <= refused.Start {
			f++
		} else {
			r++
		}
	}
	return nil
}

// Batches are those taken so far.
func (s *Sink) Batches() []Kept {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Kept(nil), s.kept...)
}

// Raw are the frames of all batches taken.
func (s *Sink) Raw() (all []string) {
	for _, k := range s.Batches() {
		all = append(all, k.Raw...)
	}
	return all
}

// Replays is how many batches came again, Open how much room was not given
// back.
func (s *Sink) Replays() int { s.mu.Lock(); defer s.mu.Unlock(); return s.replays }

// Open is how many admissions were not released.
func (s *Sink) Open() int { s.mu.Lock(); defer s.mu.Unlock(); return s.open }

// Clock stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock begins in January 2026.
func NewClock() *Clock { return &Clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

// Now implements env.Clock.
func (c *Clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// NewTimer implements env.Clock; receivers need none.
func (c *Clock) NewTimer(time.Duration) env.Timer { panic("a receiver made a timer") }

// Front is a front before a sink, with [Tokens].
func Front(s ingest.Sink, clock env.Clock) *httpin.Front {
	return httpin.New(httpin.Options{Clock: clock, Auth: Tokens{}, Sink: s, Metrics: metric.New()})
}

// Do sends a request to h with the good token, unless headers, in pairs, say
// otherwise; an empty value removes a header.
func Do(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r := httptest.NewRequest(method, target, reader)
	r.RemoteAddr = "192.0.2.7:4711"
	r.Header.Set("Authorization", "Bearer "+Good)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		} else {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
