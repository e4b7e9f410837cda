package segment

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// telemetry is text that compresses about as JSON events do: 1 in 4.
func telemetry(n int, seed uint64) []byte {
	rng := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, 0, n+400)
	for len(b) < n {
		b = fmt.Appendf(b, `{"EventID":%d,"Computer":"host-%d.example","Image":"C:\\Windows\\System32\\%x.exe","CommandLine":"%x --flag %x","ProcessGuid":"{%016x-%016x}","User":"EXAMPLE\\user%d"}`+"\n",
			rng.IntN(20), rng.IntN(1000), rng.Uint32(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.IntN(500))
	}
	return b[:n]
}

func benchLog(b *testing.B, dir string) (*Log, store.Partition) {
	b.Helper()
	tenants, err := event.NewTenants([]string{"a"})
	must(b, err)
	l := mustOpen(b, Config{FS: env.Real().FS, Dir: dir, Clock: env.Real().Clock, Rand: env.Real().Rand, Tenants: tenants})
	return l, store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
}

// BenchmarkAppend appends batches durably from several goroutines; bytes are
// those of the caller.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ writers, size int }{{1, 100 << 10}, {8, 100 << 10}, {8, 1 << 20}, {64, 4 << 10}} {
		b.Run(fmt.Sprintf("%dx%dKB", c.writers, c.size>>10), func(b *testing.B) {
			l, p := benchLog(b, filepath.Join(b.TempDir(), "log"))
			payload := telemetry(c.size, 1)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for range c.writers {
				wg.Go(func() {
					entries := []store.Entry{{Partition: p, Meta: []byte("meta of a batch"), Payload: payload}}
					for left.Add(-1) >= 0 {
						if _, err := l.Append(entries); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			must(b, l.Close())
		})
	}
}

// BenchmarkRead reads a partition from its beginning, from the page cache.
func BenchmarkRead(b *testing.B) {
	l, p := benchLog(b, filepath.Join(b.TempDir(), "log"))
	payload := telemetry(100<<10, 1)
	const entries = 500
	for range entries / 50 {
		batch := make([]store.Entry, 50)
		for i := range batch {
			batch[i] = store.Entry{Partition: p, Payload: payload}
		}
		_, err := l.Append(batch)
		must(b, err)
	}
	b.SetBytes(int64(len(payload)))
	b.ReportAllocs()
	b.ResetTimer()
	from := int64(0)
	for n := 0; n < b.N; {
		page, err := l.Read(p, from, 1<<20)
		must(b, err)
		n += len(page.Entries)
		if from = page.Next; from == entries {
			from = 0
		}
	}
	b.StopTimer()
	must(b, l.Close())
}

// BenchmarkOpen opens 1 GB of log: with its indexes, and with none.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "log")
	tenants, err := event.NewTenants([]string{"a"})
	must(b, err)
	cfg := Config{FS: env.Real().FS, Dir: dir, Clock: env.Real().Clock, Tenants: tenants, Compression: CompressNone}
	l := mustOpen(b, cfg)
	payload := telemetry(100<<10, 1)
	batch := make([]store.Entry, 100)
	for i := range batch {
		batch[i] = store.Entry{Partition: store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s", Shard: i % 4}, Meta: []byte("meta of a batch, as long as it is: 0123456789abcdef0123456789abcdef"), Payload: payload}
	}
	for range 100 {
		_, err := l.Append(batch)
		must(b, err)
	}
	must(b, l.Close())
	open := func(b *testing.B, prepare func()) {
		for b.Loop() {
			b.StopTimer()
			prepare()
			b.StartTimer()
			l := mustOpen(b, cfg)
			b.StopTimer()
			if n := l.Stats(); n.Bytes < 1e9 || l.Heads()[0].Next != 2500 {
				b.Fatalf("stats %+v", n)
			}
			must(b, l.Close())
			b.StartTimer()
		}
	}
	b.Run("indexed", func(b *testing.B) { open(b, func() {}) })
	b.Run("scanned", func(b *testing.B) {
		open(b, func() {
			names, err := cfg.FS.List(dir)
			must(b, err)
			for _, name := range names {
				if filepath.Ext(name) == indexSuffix {
					must(b, cfg.FS.Remove(filepath.Join(dir, name)))
				}
			}
		})
	})
	b.Run("metas", func(b *testing.B) {
		l := mustOpen(b, cfg)
		for b.Loop() {
			for shard := range 4 {
				n := 0
				must(b, l.Metas(store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s", Shard: shard}, 0, func(int64, []byte) bool { n++; return true }))
				if n != 2500 {
					b.Fatal(n)
				}
			}
		}
		must(b, l.Close())
	})
}
