package hec

import (
	"container/list"
	"sort"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest"
)

// Bounds of what is remembered of acknowledgements.
const (
	// ChannelBytesMax bounds a channel's name; clients use UUIDs.
	ChannelBytesMax = 128
	// ChannelIdle is how long a channel is kept without a request.
	ChannelIdle = 300 * time.Second
	// ChannelsBytesMax bounds the memory of all channels: some 60,000 of them.
	// Beyond it those that were used longest ago are forgotten.
	ChannelsBytesMax = 16 << 20
	// runsMax bounds the runs of ids of one channel that were not asked for;
	// the oldest go first. A client that asks in order has one.
	runsMax = 4096

	channelBytes = 256 // of a channel without its name and runs
	runBytes     = 16
)

// channels remembers which ids were given out and not reported yet. An id is
// given only once its batch is durable, so that every id of a channel is true
// whenever it is asked for; what was forgotten is reported as false, and a batch
// sent again for that is known by its key. It is safe for concurrent use.
type channels struct {
	clock env.Clock
	mu    sync.Mutex
	byKey map[channelKey]*channel
	used  *list.List // of *channel, longest ago first
	bytes int
}

type channelKey struct {
	token, name string
}

type channel struct {
	key  channelKey
	next uint64
	runs []run // in order, not empty, not adjacent
	at   time.Time
	el   *list.Element
}

// run is the ids from <= id < to.
type run struct{ from, to uint64 }

func newChannels(clock env.Clock) *channels {
	return &channels{clock: clock, byKey: make(map[channelKey]*channel), used: list.New()}
}

func keyOf(g ingest.Grant, name string) channelKey {
	return channelKey{g.Tenant.String() + "/" + g.Token, name}
}

func (c *channel) size() int {
	return channelBytes + len(c.key.token) + len(c.key.name) + runBytes*cap(c.runs)
}

// give gives the next id of a channel.
func (s *channels) give(k channelKey) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.forget(now)
	c := s.byKey[k]
	if c == nil {
		c = &channel{key: k}
		c.el = s.used.PushBack(c)
		s.byKey[k] = c
		s.bytes += c.size()
	}
	s.touch(c, now)
	id := c.next
	c.next++
	s.bytes -= c.size()
	if last := len(c.runs) - 1; last >= 0 && c.runs[last].to == id {
		c.runs[last].to = c.next
	} else {
		if len(c.runs) == runsMax {
			c.runs = append(c.runs[:0], c.runs[1:]...)
		}
		c.runs = append(c.runs, run{id, c.next})
	}
	s.bytes += c.size()
	for s.bytes > ChannelsBytesMax && s.used.Len() > 1 {
		s.drop(s.used.Front().Value.(*channel))
	}
	return id
}

// take reports for each id whether it was given and not reported before.
func (s *channels) take(k channelKey, ids []uint64) []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	s.forget(now)
	out := make([]bool, len(ids))
	c := s.byKey[k]
	if c == nil {
		return out
	}
	s.touch(c, now)
	s.bytes -= c.size()
	for i, id := range ids {
		out[i] = c.take(id)
	}
	s.bytes += c.size()
	return out
}

func (c *channel) take(id uint64) bool {
	i := sort.Search(len(c.runs), func(i int) bool { return c.runs[i].to > id })
	if i == len(c.runs) || c.runs[i].from > id {
		return false
	}
	r := &c.runs[i]
	switch {
	case r.from+1 == r.to:
		c.runs = append(c.runs[:i], c.runs[i+1:]...)
	case id == r.from:
		r.from++
	case id+1 == r.to:
		r.to--
	default:
		behind := run{id + 1, r.to}
		r.to = id
		if len(c.runs) == runsMax {
			c.runs = append(c.runs[:0], c.runs[1:]...)
			i--
		}
		c.runs = append(c.runs, run{})
		copy(c.runs[i+2:], c.runs[i+1:])
		c.runs[i+1] = behind
	}
	return true
}

func (s *channels) touch(c *channel, now time.Time) {
	c.at = now
	s.used.MoveToBack(c.el)
}

// forget drops the channels that were idle for too long.
func (s *channels) forget(now time.Time) {
	for el := s.used.Front(); el != nil; el = s.used.Front() {
		c := el.Value.(*channel)
		if now.Sub(c.at) < ChannelIdle {
			return
		}
		s.drop(c)
	}
}

func (s *channels) drop(c *channel) {
	s.bytes -= c.size()
	s.used.Remove(c.el)
	delete(s.byKey, c.key)
}
