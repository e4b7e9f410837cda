package segment

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

var seeds = flag.Int("segment.seeds", 240, "how many seeds the power-cut and the damage model run")

const logDir = "data/log"

// witness remembers what was acknowledged and what was released.
type witness struct {
	mu       sync.Mutex
	acked    map[store.Partition]map[int64][]byte
	released map[store.Partition]int64
}

func newWitness() *witness {
	return &witness{acked: make(map[store.Partition]map[int64][]byte), released: make(map[store.Partition]int64)}
}

func (w *witness) ack(p store.Partition, offset int64, payload []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.acked[p] == nil {
		w.acked[p] = make(map[int64][]byte)
	}
	if _, ok := w.acked[p][offset]; ok {
		return fmt.Errorf("offset %d of %v was acknowledged twice", offset, p)
	}
	w.acked[p][offset] = payload
	return nil
}

func (w *witness) clone() *witness {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := newWitness()
	for p, m := range w.acked {
		c.acked[p] = make(map[int64][]byte, len(m))
		for o, b := range m {
			c.acked[p][o] = b
		}
	}
	for p, o := range w.released {
		c.released[p] = o
	}
	return c
}

// readEverything reads a partition from its first offset with all gaps.
func readEverything(l *Log, p store.Partition) (map[int64]store.Stored, []store.Gap, error) {
	all := make(map[int64]store.Stored)
	var gaps []store.Gap
	for from := int64(0); ; {
		page, err := l.Read(p, from, 5000)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range page.Entries {
			if e.Offset < from {
				return nil, nil, fmt.Errorf("offset %d comes after %d", e.Offset, from)
			}
			from = e.Offset + 1
			all[e.Offset] = e
		}
		gaps = append(gaps, page.Gaps...)
		if len(page.Entries) == 0 && len(page.Gaps) == 0 {
			return all, gaps, nil
		}
		from = page.Next
	}
}

// check compares a log with what was acknowledged.
func (w *witness) check(l *Log) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p, acked := range w.acked {
		all, _, err := readEverything(l, p)
		if err != nil {
			return fmt.Errorf("read %v: %w", p, err)
		}
		for o, payload := range acked {
			e, ok := all[o]
			if !ok && o < w.released[p] {
				continue
			}
			if !ok {
				return fmt.Errorf("offset %d of %v was acknowledged and is lost; damage: %v", o, p, l.Damage())
			}
			if !bytes.Equal(e.Payload, payload) {
				return fmt.Errorf("offset %d of %v holds %.40q, acknowledged was %.40q", o, p, e.Payload, payload)
			}
			if !l.Sound(p, o) {
				return fmt.Errorf("offset %d of %v is read and does not pass for sound", o, p)
			}
			if string(e.Meta) != metaOf(payload) {
				return fmt.Errorf("offset %d of %v has meta %q", o, p, e.Meta)
			}
		}
	}
	return nil
}

func metaOf(payload []byte) string { return fmt.Sprintf("%.8s", payload) }

// cut is the moment at which the power goes.
type cut struct {
	mem     *vfs.MemFS
	rng     *rand.Rand
	percent int
	// at counts down the operations that change the disk.
	at       int
	failures float64
	witness  *witness

	mu sync.Mutex
	// synced is what certainly survives, survived what did; then is what had been
	// acknowledged by then.
	synced, survived *vfs.MemFS
	then             *witness
}

// MaybeError implements errorfs.Injector.
func (c *cut) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() != errorfs.OpIsWrite && op.Kind != errorfs.OpOpenDir {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at--; c.at == 0 {
		c.take()
	}
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpCreate, errorfs.OpRename, errorfs.OpRemove:
		if c.failures > 0 && c.rng.Float64() < c.failures {
			return errorfs.ErrInjected
		}
	}
	return nil
}

func (c *cut) String() string { return "power cut" }

func (c *cut) take() {
	c.then = c.witness.clone()
	c.synced = c.mem.CrashClone(vfs.CrashCloneCfg{})
	c.survived = c.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: c.percent, RNG: c.rng})
}

// content is a file's content, nil when there is none.
func content(fs *vfs.MemFS, name string) []byte {
	f, err := fs.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		return nil
	}
	return b
}

func replace(fs *vfs.MemFS, name string, b []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(fs, fs.PathDir(name)))
}

// tear garbles what was not synced, byte by byte: a disk may leave a sector half
// written.
func (c *cut) tear() error {
	names, err := c.survived.List(logDir)
	if err != nil {
		return nil // the folder itself did not survive
	}
	for _, name := range names {
		path := c.survived.PathJoin(logDir, name)
		b, sure := content(c.survived, path), len(content(c.synced, path))
		if len(b) <= sure || !strings.HasSuffix(name, segmentSuffix) && !strings.HasSuffix(name, indexSuffix) {
			continue
		}
		b = bytes.Clone(b)
		switch c.rng.IntN(4) {
		case 0:
			b = b[:sure+c.rng.IntN(len(b)-sure+1)]
		case 1:
			for range 1 + c.rng.IntN(8) {
				b[sure+c.rng.IntN(len(b)-sure)] ^= byte(1 + c.rng.IntN(255))
			}
		case 2:
			clear(b[sure+c.rng.IntN(len(b)-sure):])
		}
		if err := replace(c.survived, path, b); err != nil {
			return err
		}
	}
	return nil
}

// load appends from several goroutines at once.
func (w *witness) load(l *Log, rng *rand.Rand, parts []store.Partition, calls int, release bool) error {
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for g := range 4 {
		own := rand.New(rand.NewPCG(rng.Uint64(), uint64(g)))
		wg.Go(func() {
			for i := range calls {
				var entries []store.Entry
				for range 1 + own.IntN(3) {
					payload := make([]byte, 8+own.IntN(1<<own.IntN(14)))
					copy(payload, fmt.Sprintf("%d.%d.", g, i))
					for j := 8; j < len(payload); j++ {
						payload[j] = byte(own.Uint32())
					}
					entries = append(entries, store.Entry{Partition: parts[own.IntN(len(parts))], Meta: []byte(metaOf(payload)), Payload: payload})
				}
				offsets, err := l.Append(entries)
				if err != nil {
					if !errors.Is(err, store.ErrFailed) && !errors.Is(err, store.ErrFull) {
						errs <- err
						return
					}
					continue
				}
				for j, o := range offsets {
					if err := w.ack(entries[j].Partition, o, entries[j].Payload); err != nil {
						errs <- err
						return
					}
				}
				if release && own.IntN(4) == 0 {
					w.mu.Lock()
					p := parts[own.IntN(len(parts))]
					for _, h := range l.Heads() {
						if h.Partition == p && h.Next > w.released[p] {
							w.released[p] = h.Next
						}
					}
					o := w.released[p]
					w.mu.Unlock()
					l.Release(p, o)
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}

func powerCutParts(tenants *event.Tenants) []store.Partition {
	var parts []store.Partition
	for i, tenant := range tenants.All() {
		for shard := range 2 {
			parts = append(parts, store.Partition{Tenant: tenant, Kind: "events", Source: fmt.Sprint("source", i), Shard: shard})
		}
	}
	return parts
}

// powerCut runs one seed: load, a power cut, load on what survived, a second
// power cut, and each time everything acknowledged must be there.
func powerCut(seed uint64, tenants *event.Tenants, planted sabotage) (err error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	mem := vfs.NewCrashableMem()
	w := newWitness()
	parts := powerCutParts(tenants)
	percent := []int{0, 50, 99}[seed%3]
	faulty := seed%4 == 3
	release := rng.IntN(2) == 0
	for round := range 3 {
		c := &cut{mem: mem, rng: rand.New(rand.NewPCG(seed, uint64(10+round))), percent: percent, at: 1 + rng.IntN(100), witness: w}
		if faulty {
			c.failures = 0.1
		}
		cfg := Config{
			FS: errorfs.Wrap(mem, c), Dir: logDir, Clock: newClock(), Tenants: tenants, SegmentBytes: 16 << 10,
			Rand: rand.NewChaCha8([32]byte{byte(seed), byte(round)}), sabotage: planted,
		}
		if release {
			cfg.Retention.Bytes = 40 << 10
		}
		l, err := Open(cfg)
		if err != nil {
			if errors.Is(err, errorfs.ErrInjected) {
				continue
			}
			return fmt.Errorf("open for round %d: %w", round, err)
		}
		if !faulty {
			if err := w.check(l); err != nil {
				return errors.Join(fmt.Errorf("round %d: %w", round, err), l.Close())
			}
		}
		err = w.load(l, rng, parts, 8, release)
		err = errors.Join(err, l.Close())
		if err != nil {
			return fmt.Errorf("load of round %d: %w", round, err)
		}
		c.mu.Lock()
		if c.survived == nil {
			// The power goes after all is over.
			c.take()
		}
		c.mu.Unlock()
		if err := c.tear(); err != nil {
			return err
		}
		mem, w = c.survived, c.then
		for twice := range 2 {
			l, err := Open(Config{FS: mem, Dir: logDir, Clock: newClock(), Tenants: tenants})
			if err != nil {
				return fmt.Errorf("open %d after the power cut: %w", twice, err)
			}
			if err := errors.Join(w.check(l), l.Close()); err != nil {
				return fmt.Errorf("after the power cut of round %d: %w", round, err)
			}
		}
	}
	return nil
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a", "b")
	for seed := range uint64(*seeds) {
		if err := powerCut(seed, tenants, sabotage{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// A test of the test: each planted bug must turn it red.
func TestPowerCutCatchesPlantedBugs(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a", "b")
	for name, planted := range map[string]sabotage{
		"the sync is skipped":                  {skipSync: true},
		"the folder is not synced":             {skipDirSync: true},
		"the answer comes before the sync":     {ackEarly: true},
		"a sync that failed passes for a good": {trustFailedSync: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(200) {
				if err := powerCut(seed, tenants, planted); err != nil {
					t.Logf("caught by seed %d: %.200s", seed, err.Error())
					return
				}
			}
			t.Error("200 seeds did not find it")
		})
	}
}
