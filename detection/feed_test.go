package detection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/engine/pebble"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/storetest"
)

// Readers follow while writers write: each gets the newest revision of all, in
// order, nothing twice.
func TestFeedFollows(t *testing.T) {
	t.Parallel()
	engine, err := pebble.Open(pebble.Config{FS: vfs.NewMem(), Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	a, _, _ := storetest.Tenants(t)
	s := Open(engine, &clock{now: start})
	const writers, each, revisions = 3, 20, 3
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			got := map[string]string{}
			var last uint64
			done := 0
			for r := s.Feed(a, 0); done < writers*each; {
				list, err := r.Next(t.Context())
				if err != nil || len(list) == 0 {
					t.Error(len(list), err)
					return
				}
				for _, d := range list {
					if d.Seq <= last || got[d.ID] == d.Revision {
						t.Errorf("%s %s at %d after %d", d.ID, d.Revision, d.Seq, last)
					}
					last, got[d.ID] = d.Seq, d.Revision
					if d.Revision == fmt.Sprint("v", revisions-1) {
						done++
					}
				}
			}
		})
	}
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				for v := range revisions {
					if _, err := s.Put(a, []*Detection{made(fmt.Sprintf("%d-%d", w, i), fmt.Sprint("v", v), Provisional, uint64(v))}, nil, v%2 == 0); err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestFeedEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	f.put(made("aa01", "v1", Final, 1))
	latest, err := f.store.Latest(f.tenant)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.store.Feed(f.tenant, latest).Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if list, err := f.store.Feed(f.tenant, 0).Next(ctx); err != nil || len(list) != 1 {
		t.Fatal("what is there needs no waiting", list, err)
	}
}

// A crash takes relaxed writes back; a reader that had seen their numbers misses
// nothing of what is written in their place.
func TestFeedNumbersAreNotGivenTwiceAfterACrash(t *testing.T) {
	t.Parallel()
	a, _, _ := storetest.Tenants(t)
	mem := vfs.NewCrashableMem()
	engine, err := pebble.Open(pebble.Config{FS: mem, Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	s := Open(engine, &clock{now: start})
	if _, err := s.Put(a, []*Detection{made("kept", "v1", Final, 1)}, nil, store.Relaxed); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := s.Put(a, []*Detection{made(fmt.Sprint("lost", i), "v1", Final, 1)}, nil, store.Relaxed); err != nil {
			t.Fatal(err)
		}
	}
	after, err := s.Latest(a)
	if err != nil {
		t.Fatal(err)
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := engine.Close(); err != nil {
		t.Fatal(err)
	}
	engine, err = pebble.Open(pebble.Config{FS: left, Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	s = Open(engine, &clock{now: start})
	if _, err := s.Get(a, "lost49"); !errors.Is(err, store.ErrNotFound) {
		t.Fatal("the crash took nothing back", err)
	}
	if _, err := s.Put(a, []*Detection{made("lost0", "v1", Final, 1)}, nil, store.Durable); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	list, err := s.Feed(a, after).Next(ctx)
	if err != nil || len(list) != 1 || list[0].ID != "lost0" {
		t.Fatal(list, err)
	}
}
