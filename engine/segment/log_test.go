package segment

import (
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a clock that tests set. Its timers never fire.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) Now() time.Time { return time.Unix(0, c.nanos.Load()).UTC() }

func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

func (c *clock) NewTimer(time.Duration) env.Timer { return never{} }

type never struct{}

func (never) C() <-chan time.Time      { return nil }
func (never) Stop() bool               { return true }
func (never) Reset(time.Duration) bool { return true }

func mustTenants(t testing.TB, names ...string) *event.Tenants {
	t.Helper()
	all, err := event.NewTenants(names)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mustOpen(t testing.TB, cfg Config) *Log {
	t.Helper()
	l, err := Open(cfg)
	must(t, err)
	return l
}

// closing closes the log when the test ends.
func closing(t testing.TB, l *Log) *Log {
	t.Helper()
	t.Cleanup(func() { must(t, l.Close()) })
	return l
}

func TestContract(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		fs          func() vfs.FS
		segment     int64
		compression Compression
	}{
		{"in memory", func() vfs.FS { return vfs.NewMem() }, 0, CompressS2},
		{"in memory, small segments", func() vfs.FS { return vfs.NewMem() }, 600, CompressNone},
		{"on disk", func() vfs.FS { return env.Real().FS }, 4 << 10, CompressS2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Log(t, func(t *testing.T, tenants *event.Tenants) func() store.Log {
				cfg := Config{
					FS: c.fs(), Dir: filepath.Join(t.TempDir(), "log"), Clock: env.Real().Clock, Rand: env.Real().Rand,
					Tenants: tenants, SegmentBytes: c.segment, Compression: c.compression, Reserve: -1,
				}
				return func() store.Log { return mustOpen(t, cfg) }
			})
		})
	}
}
