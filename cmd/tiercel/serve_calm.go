package main

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// calmBurst is how many lines of one message may come at once, and
	// calmEvery how often one may come after that: a fault that repeats itself
	// without pause, as a full disk, must not fill the disk of the journal too.
	calmBurst = 200
	calmEvery = time.Second
	// calmMessages bounds the messages that are told apart. They are constant
	// phrases; there are some hundred.
	calmMessages = 1000
)

// calmLog passes the lines of a log on, each message not more often than a
// person can make use of. A line that passes after others were left out says how
// many. It is safe for concurrent use; what is derived from it shares its count.
type calmLog struct {
	slog.Handler
	seen *calmCount
}

// calmCount counts lines by message.
type calmCount struct {
	mu sync.Mutex
	by map[string]*calmMessage
}

// calmMessage is a bucket of tokens, and the lines left out since one passed.
type calmMessage struct {
	tokens float64
	at     time.Time
	left   int
}

// calm makes a handler that keeps a log readable.
func calm(h slog.Handler) slog.Handler {
	return &calmLog{h, &calmCount{by: make(map[string]*calmMessage)}}
}

// take reports whether a line passes, and how many before it did not.
func (c *calmCount) take(message string, at time.Time) (left int, passes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.by[message]
	if m == nil {
		if len(c.by) >= calmMessages {
			return 0, true
		}
		m = &calmMessage{tokens: calmBurst, at: at}
		c.by[message] = m
	}
	if d := at.Sub(m.at); d > 0 {
		m.tokens, m.at = min(m.tokens+float64(d)/float64(calmEvery), calmBurst), at
	}
	if m.tokens < 1 {
		m.left++
		return 0, false
	}
	m.tokens--
	left, m.left = m.left, 0
	return left, true
}

// Handle implements slog.Handler.
func (c *calmLog) Handle(ctx context.Context, r slog.Record) error {
	left, passes := c.seen.take(r.Message, r.Time)
	if !passes {
		return nil
	}
	if left > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("left_out", left))
	}
	return c.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (c *calmLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &calmLog{c.Handler.WithAttrs(attrs), c.seen}
}

// WithGroup implements slog.Handler.
func (c *calmLog) WithGroup(name string) slog.Handler {
	return &calmLog{c.Handler.WithGroup(name), c.seen}
}
