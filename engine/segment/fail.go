package segment

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/store"
)

// complainEvery is how often a failure that lasts is logged.
const complainEvery = 10 * time.Second

// fail ends the live segment, if there is one, after a write or a sync that
// failed, and answers. A call of which the disk's lack of room let nothing
// through learns that it is full; unknown says that nothing can be told of what
// got through.
func (l *Log) fail(cause error, calls []*call, unknown bool) {
	c := &l.committer
	full := vfs.IsNoSpaceError(cause)
	first := c.live == nil || c.fresh
	if now := l.cfg.Clock.Now(); !first || now.Sub(c.complained) >= complainEvery {
		// While nothing can be written each append comes by here.
		c.complained = now
		l.log.Error("a write to the log failed", "error", cause, "appends", len(calls), "disk_full", full)
	}
	written := c.written
	if c.live == nil {
		// Nothing was written at all.
		written, unknown = 0, !full
	}
	if full {
		l.full.Store(true)
		l.nextLook.Store(l.cfg.Clock.Now().Add(tickFull).UnixNano())
	}
	l.mu.Lock()
	if !full || unknown {
		l.failures++
	}
	if first && !full {
		l.failed = cause
	}
	l.mu.Unlock()
	l.abandon()
	answer(calls, func(call *call) error {
		h := &call.frames[0].header
		if full && !unknown && (h.position == 0 || written < h.position+int64(len(call.frames[0].buf))) {
			return store.ErrFull
		}
		return fmt.Errorf("%w: %w", store.ErrFailed, cause)
	})
}

// abandon gives the live segment up. What is synced of it counts.
func (l *Log) abandon() {
	c := &l.committer
	f := c.live
	if f == nil {
		return
	}
	if err := c.w.Close(); err != nil {
		l.log.Warn("an abandoned segment could not be closed", "file", f.name, "error", err)
	}
	c.live, c.w = nil, nil
	c.gathered = c.gathered[:0]
	l.mu.Lock()
	counts := f.end > 0
	f.live, f.bytes = nil, max(c.written, f.end)
	l.mu.Unlock()
	if counts {
		c.previous, c.previousEnd = f.number, f.end
		return
	}
	if err := l.cfg.FS.Remove(l.cfg.FS.PathJoin(l.cfg.Dir, f.name)); err != nil {
		l.log.Warn("an abandoned segment could not be removed; it is tried again before any other goes", "file", f.name, "error", err)
		c.leftover = append(c.leftover, f.name)
	}
}
