package pebble

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// On a full disk tables are tried now and then and not without pause, and
// written once there is room.
func TestFullDiskIsNotTriedWithoutPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		var refused atomic.Int64
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if full.Load() && strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpFileWrite {
				refused.Add(1)
				return syscall.ENOSPC
			}
			return nil
		}))
		e, err := Open(Config{FS: fs, Dir: "state", Clock: env.Real().Clock, MemTableBytes: 256 << 10})
		if err != nil {
			t.Fatal(err)
		}
		full.Store(true)
		value := make([]byte, 16<<10)
		key := func(i int) store.Key {
			return store.Key{Tenant: event.LocalTenant, Kind: "x", ID: fmt.Sprint(i)}
		}
		write := func(i int) {
			if err := e.Apply([]store.Write{{Key: key(i), Value: value}}, store.Relaxed); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 24 { // one memtable is full, the other has room
			write(i)
		}
		time.Sleep(10 * time.Second)
		if n := refused.Load(); n == 0 || n > 50 {
			t.Errorf("%d tries in 10 s; want some, at most 50", n)
		}
		full.Store(false)
		time.Sleep(time.Second)
		before := refused.Load()
		for i := range 200 {
			write(24 + i)
		}
		if refused.Load() != before {
			t.Error("still refused after there is room")
		}
		for i := range 224 {
			if _, err := e.Get(key(i)); err != nil {
				t.Errorf("document %d: %v", i, err)
			}
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
}
