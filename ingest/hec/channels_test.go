package hec

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tiercel-io/tiercel/ingest/ingesttest"
)

// Each id is true once, whatever the order in which ids are asked for.
func TestAcksOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := newChannels(ingesttest.NewClock())
		k := channelKey{"t", "c"}
		open := map[uint64]bool{}
		next := uint64(0)
		t.Repeat(map[string]func(*rapid.T){
			"give": func(t *rapid.T) {
				if id := s.give(k); id != next {
					t.Fatalf("gave %d, want %d", id, next)
				}
				open[next] = true
				next++
			},
			"take": func(t *rapid.T) {
				ids := rapid.SliceOfN(rapid.Uint64Range(0, next+1), 1, 4).Draw(t, "ids")
				slices.Sort(ids)
				ids = slices.Compact(ids)
				for i, got := range s.take(k, ids) {
					if got != open[ids[i]] {
						t.Fatalf("%d is %v", ids[i], got)
					}
					delete(open, ids[i])
				}
			},
			"": func(t *rapid.T) {
				size := 0
				for el := s.used.Front(); el != nil; el = el.Next() {
					size += el.Value.(*channel).size()
				}
				if size != s.bytes || len(s.byKey) != s.used.Len() {
					t.Fatalf("%d bytes counted, %d held", s.bytes, size)
				}
			},
		})
	})
}

func TestChannelsAreBounded(t *testing.T) {
	t.Parallel()
	clock := ingesttest.NewClock()
	s := newChannels(clock)
	for i := range 2 * ChannelsBytesMax / channelBytes {
		s.give(channelKey{"t", fmt.Sprint(i)})
	}
	if s.bytes > ChannelsBytesMax || len(s.byKey) < ChannelsBytesMax/(2*channelBytes) {
		t.Errorf("%d bytes in %d channels", s.bytes, len(s.byKey))
	}
	last := channelKey{"t", fmt.Sprint(2*ChannelsBytesMax/channelBytes - 1)}
	if got := s.take(channelKey{"t", "0"}, []uint64{0}); got[0] {
		t.Error("the oldest channel is still there")
	}
	clock.Advance(ChannelIdle - 1)
	if id := s.give(last); id != 1 {
		t.Errorf("id %d of a channel in use", id)
	}
	clock.Advance(time.Nanosecond)
	if id := s.give(channelKey{"t", "new"}); id != 0 || len(s.byKey) != 2 {
		t.Errorf("%d channels after the time", len(s.byKey))
	}
	// One channel whose ids are asked for with holes.
	k := channelKey{"t", "holes"}
	for range 3 * runsMax {
		s.give(k)
	}
	for i := range uint64(3 * runsMax) {
		if i%2 == 1 {
			s.take(k, []uint64{i})
		}
	}
	if c := s.byKey[k]; len(c.runs) > runsMax {
		t.Errorf("%d runs", len(c.runs))
	}
	if got := s.take(k, []uint64{3*runsMax - 2}); !got[0] {
		t.Error("a late id was lost before an early one")
	}
}
