package pebble

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tiercel-io/tiercel/store"
)

// cutter takes, before each operation that changes a disk, what a power cut would
// leave there. It implements errorfs.Injector.
type cutter struct {
	mem     *vfs.MemFS
	percent int // of what was not synced that survives
	rng     *rand.Rand

	mu      sync.Mutex
	durable int // steps that are acknowledged
	left    []remains
}

// remains are what one power cut leaves, and how much of it was acknowledged.
type remains struct {
	files   *vfs.MemFS
	durable int
}

// String implements errorfs.Injector.
func (*cutter) String() string { return "a power cut" }

// MaybeError implements errorfs.Injector.
func (c *cutter) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = append(c.left, remains{c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.percent, RNG: c.rng}), c.durable})
	return nil
}

// live opens, writes and closes a folder some times, with a flush in between.
func (c *cutter) live(t *testing.T) {
	t.Helper()
	files := errorfs.Wrap(c.mem, c)
	for life := range 3 {
		e, err := Open(Config{FS: files, Dir: "d", MemTableBytes: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 4 {
			put(t, e, fmt.Sprintf("%04d", 4*life+n), strings.Repeat(fmt.Sprint(n), 1000), store.Durable)
			c.mu.Lock()
			c.durable++
			c.mu.Unlock()
			if n == 1 {
				if err := e.db.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// The power may go before any operation of the disk, while a folder is made,
// opened, written or closed, and any of what was not synced may survive, names
// too: the folder opens, and holds what was acknowledged.
func TestPowerCutAtEachOperation(t *testing.T) {
	t.Parallel()
	rounds := 24
	if testing.Short() {
		rounds = 4
	}
	for round := range rounds {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			c := &cutter{mem: vfs.NewCrashableMem(), percent: []int{50, 100, 90, 0}[round%4], rng: rand.New(rand.NewPCG(uint64(round), 3))}
			c.live(t)
			for at, r := range c.left {
				got, err := reopen(t, r.files)
				if err != nil {
					t.Errorf("cut before operation %d of %d, %d of 100 survive: %v", at, len(c.left), c.percent, err)
				} else if len(got) < r.durable || len(got) > r.durable+1 {
					t.Errorf("cut before operation %d of %d, %d of 100 survive: %d documents, %d were acknowledged", at, len(c.left), c.percent, len(got), r.durable)
				}
			}
		})
	}
}
