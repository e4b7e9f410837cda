package serve

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A server that is killed again and again at any moment, under load, loses
// nothing that it acknowledged, comes back by itself, and shows each detection
// once.
func TestKill(t *testing.T) {
	rounds := *kills
	if testing.Short() {
		rounds = min(rounds, 5)
	}
	t.Logf("seed %d", *seed)
	hook := newReceiver(t)
	n := newNode(t, setup{more: hook.settings()})
	n.start()
	l := newLoad(n, 1)
	feed, unfollow := n.follow()
	defer unfollow()
	finish := l.background()
	defer finish()

	rng := rand.New(rand.NewPCG(*seed, 2))
	var back []time.Duration
	began := time.Now()
	for round := range rounds {
		await(t, backWithin, "something is acknowledged", func() error {
			if l.answers.Load() == 0 {
				return errors.New("nothing was")
			}
			return nil
		})
		// Most kills are under load, some while the server is coming up.
		wait := 300*time.Millisecond + time.Duration(rng.Int64N(int64(1200*time.Millisecond)))
		if round%7 == 6 {
			wait = time.Duration(rng.Int64N(int64(400 * time.Millisecond)))
			n.kill()
			n.launch()
		}
		<-time.After(wait)
		n.kill()
		l.epoch.Add(1)
		before := l.answers.Load()
		down := time.Now()
		n.start()
		await(t, backWithin, "a request is acknowledged", func() error {
			if l.answers.Load() == before {
				return errors.New("none is")
			}
			return nil
		})
		back = append(back, time.Since(down))
		if round%10 == 9 {
			acked := uint64(l.acked.Load())
			await(t, doneWithin, "the ledger reaches what was acknowledged", func() error {
				c, err := n.ledger()
				if err == nil && c.Received < acked {
					err = fmt.Errorf("%d acknowledged: %+v", acked, c)
				}
				return err
			})
		}
	}
	lasted := time.Since(began)
	finish()
	l.end()
	c := n.account(l)
	list := n.judge(l.marks)
	await(t, backWithin, "all notifications are delivered", func() error {
		if m := hook.missing(list); m > 0 {
			return fmt.Errorf("%d of %d are missing", m, len(list))
		}
		return nil
	})
	await(t, backWithin, "the follower has seen the last change", func() error { return seenAll(n, feed) })
	unfollow()
	feed.agrees(t, list)
	for _, text := range hook.faults {
		t.Errorf("webhook: %s", text)
	}
	for text, times := range l.waits {
		t.Logf("%d times: %s", times, text)
	}
	slices.Sort(back)
	t.Logf("%d kills in %v; back after %v at the median, %v at worst; %d events acknowledged (%.0f/s), %d requests refused, %d without an answer; %+v; %d detections, %d changes in the feed",
		rounds, lasted.Round(time.Second), back[len(back)/2].Round(time.Millisecond), back[len(back)-1].Round(time.Millisecond),
		l.acked.Load(), float64(l.acked.Load())/lasted.Seconds(), l.refused.Load(), l.tries.Load(), c, len(list), feed.changes)
	if n.stop() != 0 && n.code != 130 {
		t.Errorf("the server ended with code %d", n.code)
	}
}
