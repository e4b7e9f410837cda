package stream

import (
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// simDisk is the disk of one process: it can lose its power, fail, be full and
// be slow. After the power is gone the process goes on in a world that nobody
// sees.
type simDisk struct {
	mem     *vfs.MemFS
	percent int // of what was not synced that survives; with all of it only the process was killed

	mu       sync.Mutex
	rng      *rand.Rand
	ops      int
	cutAt    int // the operation before which the power goes; 0 is never
	survived *vfs.MemFS
	// Of the folder of the log:
	failing float64
	full    bool
	slow    time.Duration
}

func newSimDisk(mem *vfs.MemFS, rng *rand.Rand) *simDisk {
	return &simDisk{mem: mem, percent: []int{0, 50, 99, 100}[rng.IntN(4)], rng: rand.New(rand.NewPCG(rng.Uint64(), 7))}
}

func (d *simDisk) String() string { return "simulated disk" }

// MaybeError implements errorfs.Injector.
func (d *simDisk) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite && op.Kind != errorfs.OpOpenDir {
		return nil
	}
	sleep, err := d.judge(op)
	if sleep > 0 {
		time.Sleep(sleep)
	}
	return err
}

func (d *simDisk) judge(op errorfs.Op) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.survived != nil {
		return 0, nil
	}
	if d.ops++; d.ops == d.cutAt {
		d.take()
		return 0, nil
	}
	if !strings.HasPrefix(op.Path, "log") {
		// A failing disk beneath the documents ends the process, which the power
		// stands for.
		return 0, nil
	}
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpCreate:
		if d.full && (op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate) {
			return 0, syscall.ENOSPC
		}
		if d.failing > 0 && d.rng.Float64() < d.failing {
			return 0, errorfs.ErrInjected
		}
		if d.slow > 0 && op.Kind != errorfs.OpFileWrite && op.Kind != errorfs.OpCreate {
			return time.Duration(d.rng.Int64N(int64(d.slow))), nil
		}
	}
	return 0, nil
}

// take is the moment at which the power goes; the lock is held.
func (d *simDisk) take() {
	d.survived = d.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: d.percent, RNG: d.rng})
}

// cutNow takes the power unless it is gone.
func (d *simDisk) cutNow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.survived == nil {
		d.take()
	}
}

// cutIn lets the power go some operations from now.
func (d *simDisk) cutIn(ops int) {
	d.mu.Lock()
	d.cutAt = d.ops + ops
	d.mu.Unlock()
}

// heal ends all faults but a power cut that is to come; cut says whether that
// is called off too.
func (d *simDisk) heal(cut bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing, d.full, d.slow = 0, false, 0
	if cut {
		d.cutAt = 0
	}
}

// gone reports whether the power is gone, and what survived.
func (d *simDisk) gone() *vfs.MemFS {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.survived
}

// while runs f if the power is still there, so that what f notes was seen
// before it went.
func (d *simDisk) while(f func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.survived != nil {
		return false
	}
	f()
	return true
}

// lazyFS forgets to sync the log: a planted bug.
type lazyFS struct{ vfs.FS }

type lazyFile struct{ vfs.File }

func (lazyFile) Sync() error     { return nil }
func (lazyFile) SyncData() error { return nil }

func (lazyFile) SyncTo(int64) (bool, error) { return false, nil }

func lazy(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil || !strings.HasSuffix(name, ".seg") {
		return f, err
	}
	return lazyFile{f}, nil
}

// Create implements vfs.FS.
func (l lazyFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := l.FS.Create(name, c)
	return lazy(name, f, err)
}
