package pebble

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func tenant(t testing.TB) event.Tenant {
	t.Helper()
	a, _, _ := storetest.Tenants(t)
	return a
}

func open(t testing.TB, files vfs.FS, dir string) *Engine {
	t.Helper()
	e, err := Open(Config{FS: files, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestContractInMemory(t *testing.T) {
	t.Parallel()
	storetest.Records(t, func(t *testing.T) store.Records { return open(t, vfs.NewMem(), "records") })
}

func TestContractOnDisk(t *testing.T) {
	t.Parallel()
	storetest.Records(t, func(t *testing.T) store.Records { return open(t, vfs.Default, t.TempDir()) })
}

func key(tn event.Tenant, id string) store.Key { return store.Key{Tenant: tn, Kind: "k", ID: id} }

func put(t testing.TB, e *Engine, id, value string, d store.Durability) {
	t.Helper()
	if err := e.Apply([]store.Write{{Key: key(tenant(t), id), Value: []byte(value)}}, d); err != nil {
		t.Fatal(err)
	}
}

func all(t testing.TB, e *Engine) (map[string]string, error) {
	t.Helper()
	out := map[string]string{}
	err := e.Scan(store.Range{Tenant: tenant(t), Kind: "k"}, func(d store.Document) bool {
		out[d.ID] = string(d.Value)
		return true
	})
	return out, err
}

func TestVersionsGrowOverARestart(t *testing.T) {
	t.Parallel()
	files := vfs.NewMem()
	e, err := Open(Config{FS: files, Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, e, "x", "1", store.Relaxed)
	before, err := e.Get(key(tenant(t), "x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Apply([]store.Write{{Key: key(tenant(t), "x")}}, store.Relaxed); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = open(t, files, "d")
	put(t, e, "x", "1", store.Relaxed)
	after, err := e.Get(key(tenant(t), "x"))
	if err != nil || after.Version <= before.Version+1 {
		t.Fatalf("version %d after %d and a deletion, %v", after.Version, before.Version, err)
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	e, err := Open(Config{FS: vfs.NewMem(), Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = e.Get(key(tenant(t), "x"))
	for _, err := range []error{
		err,
		e.Apply(nil, store.Durable),
		e.Scan(store.Range{Tenant: tenant(t), Kind: "k"}, nil),
		e.DeleteRange(store.Range{Tenant: tenant(t), Kind: "k"}, store.Durable),
		e.Checkpoint("c"),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestOneOwner(t *testing.T) {
	t.Parallel()
	files := vfs.NewMem()
	open(t, files, "d")
	if e, err := Open(Config{FS: files, Dir: "d"}); err == nil || errors.Is(err, ErrDamaged) {
		t.Fatalf("a second owner: %v, %v", e, err)
	}
}

func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	files := vfs.NewMem()
	e, err := Open(Config{FS: files, Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(e.db.Set(formatKey, []byte("2"), nil), e.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = Open(Config{FS: files, Dir: "d"})
	if err == nil || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "newer version") || !strings.Contains(err.Error(), "restore a backup") {
		t.Fatal(err)
	}
}

func TestCheckpointOpens(t *testing.T) {
	t.Parallel()
	files := vfs.NewMem()
	e := open(t, files, "d")
	put(t, e, "x", "1", store.Relaxed)
	if err := e.Checkpoint("copy"); err != nil {
		t.Fatal(err)
	}
	put(t, e, "x", "2", store.Relaxed)
	if err := e.Checkpoint("copy"); err == nil {
		t.Error("a copy was written over another")
	}
	got, err := all(t, open(t, files, "copy"))
	if err != nil || got["x"] != "1" {
		t.Fatal(got, err)
	}
}

func TestSetAside(t *testing.T) {
	t.Parallel()
	files := vfs.NewCrashableMem()
	for _, want := range []string{"data/records.damaged", "data/records.damaged-2"} {
		if err := files.MkdirAll("data/records", 0o755); err != nil {
			t.Fatal(err)
		}
		got, err := SetAside(files, "data/records", "damaged")
		if err != nil || got != want {
			t.Fatal(got, err)
		}
	}
	if _, err := files.Stat("data/records"); err == nil {
		t.Error("the folder is still there")
	}
}

// A failed sync is final: the write is refused, and so is each that follows,
// until the folder is opened again and holds what was acknowledged.
func TestFailedSyncIsFinal(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	var broken errorfs.Toggle
	broken.Injector = errorfs.ErrInjected.If(errorfs.And(errorfs.Writes, errorfs.PathMatch("d/*.log")))
	e, err := Open(Config{FS: errorfs.Wrap(mem, &broken), Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	put(t, e, "kept", "1", store.Durable)
	broken.On()
	if err := e.Apply([]store.Write{{Key: key(tenant(t), "lost"), Value: []byte("1")}}, store.Durable); !errors.Is(err, store.ErrFailed) {
		t.Fatalf("a write that the disk refused: %v", err)
	}
	broken.Off()
	for range 2 {
		if err := e.Apply([]store.Write{{Key: key(tenant(t), "later"), Value: []byte("1")}}, store.Durable); !errors.Is(err, store.ErrFailed) {
			t.Fatalf("a write after it: %v", err)
		}
	}
	select {
	case <-e.Failed():
	default:
		t.Error("the owner is not told")
	}
	_ = e.Close() // reports the same failure
	got, err := all(t, open(t, mem.CrashClone(vfs.CrashCloneCfg{}), "d"))
	if err != nil || got["kept"] != "1" || got["later"] != "" {
		t.Fatal(got, err)
	}
}

// history is what a run applied: one Apply a step, its number in every
// document of it.
type history struct {
	applied int
	durable int // all steps up to it returned from a durable call
}

const documentsEach = 3

// powerCut runs random calls, cuts the power and says what is wrong with what is
// left, or nothing.
func powerCut(t *testing.T, seed uint64, planted bool) string {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	mem := vfs.NewCrashableMem()
	e, err := Open(Config{FS: mem, Dir: "d", MemTableBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	e.nosync = planted
	var h history
	tn := tenant(t)
	filler := strings.Repeat("f", 500)
	for range 1 + rng.IntN(150) {
		h.applied++
		var writes []store.Write
		for d := range documentsEach {
			writes = append(writes, store.Write{Key: key(tn, fmt.Sprintf("%d/%06d", d, h.applied)), Value: fmt.Append(nil, h.applied, filler)})
		}
		d := store.Durability(rng.IntN(4) == 0)
		if err := e.Apply(writes, d); err != nil {
			t.Fatal(err)
		}
		if d == store.Durable {
			h.durable = h.applied
		}
	}
	left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 99}[seed%3], RNG: rng})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := Open(Config{FS: left, Dir: "d"})
	if err != nil {
		return fmt.Sprintf("seed %d: %v", seed, err)
	}
	defer after.Close()
	got, err := all(t, after)
	if err != nil {
		return fmt.Sprintf("seed %d: %v", seed, err)
	}
	// A prefix of the steps, whole, at least up to the last durable one.
	steps := len(got) / documentsEach
	for d := range documentsEach {
		for n := 1; n <= steps; n++ {
			if _, ok := got[fmt.Sprintf("%d/%06d", d, n)]; !ok {
				return fmt.Sprintf("seed %d: of %d documents, document %d of step %d is missing", seed, len(got), d, n)
			}
		}
	}
	if len(got)%documentsEach != 0 {
		return fmt.Sprintf("seed %d: %d documents are no whole number of steps", seed, len(got))
	}
	if steps < h.durable {
		return fmt.Sprintf("seed %d: %d steps are left, %d were durable", seed, steps, h.durable)
	}
	return ""
}

func TestPowerCut(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		if fault := powerCut(t, seed, false); fault != "" {
			t.Error(fault)
		}
	}
}

// The power-cut test must find an engine that does not sync.
func TestPowerCutFindsAMissingSync(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		if fault := powerCut(t, seed, true); fault != "" {
			return
		}
	}
	t.Error("an engine that never syncs passed")
}
