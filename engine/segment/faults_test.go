package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/store"
)

// faults fails operations of some kinds: every nth, or while on.
type faults struct {
	mu    sync.Mutex
	kinds map[errorfs.OpKind]bool
	every int
	count int
	hits  int
	err   error
}

func (f *faults) String() string { return "faults" }

func (f *faults) set(every int, err error, kinds ...errorfs.OpKind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.every, f.err, f.count = every, err, 0
	f.kinds = make(map[errorfs.OpKind]bool)
	for _, k := range kinds {
		f.kinds[k] = true
	}
}

// MaybeError implements errorfs.Injector.
func (f *faults) MaybeError(op errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.every == 0 || !f.kinds[op.Kind] {
		return nil
	}
	if f.count++; f.count%f.every != 0 {
		return nil
	}
	f.hits++
	return f.err
}

// Every nth operation fails: what was acknowledged survives a power cut all the
// same, and the log goes on by itself.
func TestEveryNthOperationFails(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a", "b")
	for name, kind := range map[string]errorfs.OpKind{
		"write": errorfs.OpFileWrite, "sync": errorfs.OpFileSync, "data sync": errorfs.OpFileSyncData,
		"create": errorfs.OpCreate, "rename": errorfs.OpRename, "remove": errorfs.OpRemove,
		"open folder": errorfs.OpOpenDir, "close": errorfs.OpFileClose, "read": errorfs.OpFileReadAt, "open": errorfs.OpOpen,
	} {
		for every := 1; every <= 7; every++ {
			t.Run(fmt.Sprint(name, " ", every), func(t *testing.T) {
				t.Parallel()
				mem := vfs.NewCrashableMem()
				f := &faults{}
				w := newWitness()
				cfg := Config{FS: errorfs.Wrap(mem, f), Dir: logDir, Clock: newClock(), Tenants: tenants, SegmentBytes: 8 << 10}
				l := mustOpen(t, cfg)
				f.set(every, errorfs.ErrInjected, kind)
				rng := rand.New(rand.NewPCG(uint64(every), 4))
				parts := powerCutParts(tenants)
				must(t, w.load(l, rng, parts, 10, false))
				f.set(0, nil)
				must(t, w.check(l))
				// It recovers without being opened again.
				for range 2 {
					offsets, err := l.Append([]store.Entry{{Partition: parts[0], Payload: []byte("again 1."), Meta: []byte("again 1.")}})
					must(t, err)
					must(t, w.ack(parts[0], offsets[0], []byte("again 1.")))
				}
				if s := l.Stats(); s.Failed != nil {
					t.Errorf("the log says it cannot write: %v", s.Failed)
				}
				f.set(every, errorfs.ErrInjected, kind)
				if err := l.Close(); err != nil && !errors.Is(err, errorfs.ErrInjected) {
					t.Fatal(err)
				}
				f.set(0, nil)
				cfg.FS = mem.CrashClone(vfs.CrashCloneCfg{})
				l = mustOpen(t, cfg)
				must(t, errors.Join(w.check(l), l.Close()))
				for _, d := range l.Damage() {
					if !d.Torn {
						t.Errorf("damage %v", d)
					}
				}
			})
		}
	}
}

// When a new segment fails too, the log says so until it can write again.
func TestFailStop(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a")
	f := &faults{}
	l := closing(t, mustOpen(t, Config{FS: errorfs.Wrap(vfs.NewMem(), f), Dir: logDir, Clock: newClock(), Tenants: tenants}))
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	one := func() error {
		_, err := l.Append([]store.Entry{{Partition: p, Payload: []byte("x")}})
		return err
	}
	must(t, one())
	f.set(1, errorfs.ErrInjected, errorfs.OpFileSync, errorfs.OpFileSyncData)
	if err := one(); !errors.Is(err, store.ErrFailed) || !errors.Is(err, errorfs.ErrInjected) {
		t.Fatalf("first failure: %v", err)
	}
	if s := l.Stats(); s.Failed != nil || s.Failures != 1 {
		t.Fatalf("after one failure: %+v", s)
	}
	for range 3 {
		if err := one(); !errors.Is(err, store.ErrFailed) {
			t.Fatalf("with every sync failing: %v", err)
		}
		if s := l.Stats(); !errors.Is(s.Failed, errorfs.ErrInjected) {
			t.Fatalf("the log does not say that it cannot write: %+v", s)
		}
	}
	f.set(0, nil)
	must(t, one())
	s := l.Stats()
	if s.Failed != nil || s.Failures != 4 || s.Segments != 2 {
		t.Fatalf("after it recovered: %+v", s)
	}
	page, err := l.Read(p, 0, 100)
	must(t, err)
	if len(page.Entries) != 2 || page.Next != 2 || len(page.Gaps) != 0 {
		t.Fatalf("page %+v", page)
	}
}

// A disk that runs out while writing: nothing of the entry is there, so that
// it may be refused rather than failed.
func TestNoSpace(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a")
	f, clk := &faults{}, newClock()
	mem := vfs.NewCrashableMem()
	l := mustOpen(t, Config{FS: errorfs.Wrap(mem, f), Dir: logDir, Clock: clk, Tenants: tenants})
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	one := func() error {
		_, err := l.Append([]store.Entry{{Partition: p, Payload: []byte("x")}})
		return err
	}
	must(t, one())
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpCreate} {
		f.set(1, syscall.ENOSPC, kind)
		for range 3 {
			if err := one(); !errors.Is(err, store.ErrFull) {
				t.Fatalf("no space: %v", err)
			}
			clk.advance(time.Second)
		}
		if s := l.Stats(); !s.Full || s.Failures != 0 || s.Failed != nil {
			t.Fatalf("no space: %+v", s)
		}
	}
	// A sync may fail after the kernel has written a part.
	f.set(1, syscall.ENOSPC, errorfs.OpFileSync)
	if err := one(); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("sync without space: %v", err)
	}
	f.set(0, nil)
	clk.advance(time.Second)
	must(t, one())
	if s := l.Stats(); s.Full {
		t.Fatalf("after it recovered: %+v", s)
	}
	must(t, l.Close())
	l = closing(t, mustOpen(t, Config{FS: mem.CrashClone(vfs.CrashCloneCfg{}), Dir: logDir, Clock: clk, Tenants: tenants}))
	if h := l.Heads(); len(h) != 1 || h[0].Next != 2 {
		t.Fatalf("heads %+v", h)
	}
}

// usageFS has a disk whose room the test sets; files count.
type usageFS struct {
	vfs.FS
	total, used atomic.Int64
	asked       atomic.Int64
	// freed is what removing a segment frees.
	freed int64
}

func (u *usageFS) Remove(name string) error {
	if strings.HasSuffix(name, segmentSuffix) {
		u.used.Add(-u.freed)
	}
	return u.FS.Remove(name)
}

func (u *usageFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	u.asked.Add(1)
	free := max(0, u.total.Load()-u.used.Load())
	return vfs.DiskUsage{AvailBytes: uint64(free), TotalBytes: uint64(u.total.Load()), UsedBytes: uint64(u.used.Load())}, nil
}

func TestDiskNearlyFull(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a")
	fs, clk := &usageFS{FS: vfs.NewMem()}, newClock()
	fs.total.Store(100 << 30)
	const reserve = 100 << 30 / 50
	l := closing(t, mustOpen(t, Config{
		FS: fs, Dir: logDir, Clock: clk, Tenants: tenants,
		Essential: func(p store.Partition) bool { return p.Kind == "matches" },
	}))
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	matches := store.Partition{Tenant: p.Tenant, Kind: "matches", Source: "s"}
	one := func() error {
		_, err := l.Append([]store.Entry{{Partition: p, Payload: []byte("x")}})
		return err
	}
	must(t, one())
	fs.used.Store(100<<30 - reserve - 1<<20)
	clk.advance(time.Second)
	must(t, one())
	fs.used.Store(100<<30 - reserve)
	must(t, one()) // within the second the disk is not looked at again
	asked := fs.asked.Load()
	clk.advance(time.Second)
	for range 100 {
		if err := one(); !errors.Is(err, store.ErrFull) {
			t.Fatalf("below the reserve: %v", err)
		}
	}
	if n := fs.asked.Load() - asked; n != 1 {
		t.Errorf("the disk was looked at %d times in a second", n)
	}
	if !l.Stats().Full {
		t.Error("the log does not say that it is full")
	}
	// What is essential uses the reserve, alone only.
	_, err := l.Append([]store.Entry{{Partition: matches, Payload: []byte("x")}})
	must(t, err)
	if _, err := l.Append([]store.Entry{{Partition: matches}, {Partition: p}}); !errors.Is(err, store.ErrFull) {
		t.Fatalf("essential and new data together: %v", err)
	}
	// A little room is not enough to begin again.
	fs.used.Store(100<<30 - reserve - 8<<20)
	clk.advance(time.Second)
	if err := one(); !errors.Is(err, store.ErrFull) {
		t.Fatalf("within the hysteresis: %v", err)
	}
	fs.used.Store(100<<30 - reserve - 17<<20)
	clk.advance(time.Second)
	must(t, one())
	if l.Stats().Full {
		t.Error("the log still says that it is full")
	}
	if h := l.Heads(); h[0].Next != 4 {
		t.Errorf("head %+v", h[0])
	}
}

// A full disk is looked at by an idle log too, so that one who waits for it to
// have room need not try.
func TestDiskRecoversWithoutAppends(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a")
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	synctest.Test(t, func(t *testing.T) {
		fs := &usageFS{FS: vfs.NewMem()}
		fs.total.Store(1 << 30)
		fs.used.Store(1 << 30)
		l := closing(t, mustOpen(t, Config{FS: fs, Dir: logDir, Clock: env.Real().Clock, Tenants: tenants}))
		if _, err := l.Append([]store.Entry{{Partition: p}}); !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
		fs.used.Store(0)
		time.Sleep(1100 * time.Millisecond) // of the bubble's clock
		synctest.Wait()
		if l.Stats().Full {
			t.Error("the log did not look")
		}
	})
}

func TestReserve(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ config, total, want int64 }{
		{0, 100 << 30, 100 << 30 / 50},
		{0, 10 << 30, 256 << 20},
		{0, 400 << 20, 100 << 20},
		{5, 100 << 30, 5},
		{-1, 100 << 30, 0},
	} {
		l := &Log{cfg: Config{Reserve: c.config}}
		got := l.reserve(c.total)
		if got != c.want {
			t.Errorf("reserve of %d on %d bytes is %d, want %d", c.config, c.total, got, c.want)
		}
	}
}

// A read that fails is an error first, and damage only after it went on failing.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a")
	f, clk := &faults{}, newClock()
	l := closing(t, mustOpen(t, Config{FS: errorfs.Wrap(vfs.NewMem(), f), Dir: logDir, Clock: clk, Tenants: tenants}))
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	_, err := l.Append([]store.Entry{{Partition: p, Meta: []byte("m"), Payload: []byte("x")}})
	must(t, err)
	f.set(1, errorfs.ErrInjected, errorfs.OpFileReadAt)
	for range readFailuresMax {
		if _, err := l.Read(p, 0, 1); !errors.Is(err, errorfs.ErrInjected) {
			t.Fatalf("a read that fails: %v", err)
		}
	}
	clk.advance(readFailuresFor)
	page, err := l.Read(p, 0, 1)
	must(t, err)
	if len(page.Gaps) != 1 || page.Gaps[0].From != 0 || page.Next != 1 || string(page.Gaps[0].Metas[0]) != "m" {
		t.Fatalf("page %+v", page)
	}
	if d := l.Damage(); len(d) != 1 || d[0].Partition != "a/events/s/0" {
		t.Fatalf("damage %v", d)
	}
	f.set(0, nil)
	page, err = l.Read(p, 0, 1)
	must(t, err)
	if len(page.Entries) != 1 {
		t.Fatalf("the entry did not come back: %+v", page)
	}
}
