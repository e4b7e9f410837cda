package api

import (
	"sync"
	"time"
)

// refusedEvery is how often refused tokens are recorded at most: someone who
// guesses tokens must not fill the audit log.
const refusedEvery = time.Minute

// refusals counts refused tokens between two entries of the audit log.
type refusals struct {
	mu    sync.Mutex
	count uint64    // not recorded yet
	last  time.Time // of the last entry
	peer  string    // of the last refusal
}

// refused counts one, and records what is counted when it is time.
func (s *server) refused(peer string) {
	s.refusals.mu.Lock()
	s.refusals.count++
	s.refusals.peer = peer
	s.refusals.mu.Unlock()
	s.settleRefused()
}

// settleRefused records the refusals counted, if there are any and the last
// entry is old enough. Every request that is let in calls it, so that what a
// burst left is recorded soon after.
func (s *server) settleRefused() {
	now := s.clock.Now()
	r := &s.refusals
	r.mu.Lock()
	if r.count == 0 || !r.last.IsZero() && now.Sub(r.last) < refusedEvery {
		r.mu.Unlock()
		return
	}
	e := Entry{At: now, Kind: "token.refused", Status: rowOf(CodeUnauthorized).Status, Peer: r.peer, Count: r.count}
	r.count, r.last = 0, now
	r.mu.Unlock()
	s.auditor.Record(e)
}
