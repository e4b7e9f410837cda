package segment

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// wholeLog makes a folder with several sealed segments and a newest one that
// is sealed or, like after a kill, is not; nothing is unsynced but marks.
func wholeLog(t *testing.T, rng *rand.Rand, tenants *event.Tenants, killed bool) (*vfs.MemFS, *witness) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	w := newWitness()
	var clone *vfs.MemFS
	synctest.Test(t, func(t *testing.T) {
		l := mustOpen(t, Config{FS: mem, Dir: logDir, Clock: newClock(), Tenants: tenants, SegmentBytes: 12 << 10})
		must(t, w.load(l, rng, powerCutParts(tenants), 8, false))
		// The last mark is written once the committer is idle.
		synctest.Wait()
		clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})
		must(t, l.Close())
	})
	if killed {
		return clone, w
	}
	return mem, w
}

// A flipped bit or an overwritten byte anywhere loses at most the entry it is
// in, which is named; nothing else moves.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a", "b")
	for seed := range uint64(*seeds) {
		if err := flipBit(t, seed, tenants, sabotage{}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// A test of the test: a reader that believes payloads is caught.
func TestFlippedBitsCatchesPlantedBug(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a", "b")
	for seed := range uint64(100) {
		if flipBit(t, seed, tenants, sabotage{trustPayload: true}) != nil {
			return
		}
	}
	t.Error("100 seeds did not find it")
}

func flipBit(t *testing.T, seed uint64, tenants *event.Tenants, planted sabotage) error {
	rng := rand.New(rand.NewPCG(seed, 2))
	fs, w := wholeLog(t, rng, tenants, seed%2 == 0)
	path, b := randomFile(t, fs, rng)
	at := rng.IntN(len(b))
	b[at] ^= 1 << rng.IntN(8)
	must(t, replace(fs, path, b))
	if seed%3 == 0 {
		removeIndexes(t, fs)
	}
	lost, err := w.compare(fs, tenants, planted)
	if err == nil && lost > 1 {
		err = fmt.Errorf("%d entries are lost", lost)
	}
	if err != nil {
		return fmt.Errorf("byte %d of %s: %w", at, path, err)
	}
	return nil
}

// A truncated or partly zeroed file loses what was there, which is named.
func TestTruncatedFiles(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a", "b")
	for seed := range uint64(*seeds) {
		rng := rand.New(rand.NewPCG(seed, 3))
		fs, w := wholeLog(t, rng, tenants, false)
		path, b := randomFile(t, fs, rng)
		at := rng.IntN(len(b))
		what := "truncated at"
		switch seed % 3 {
		case 0:
			b = b[:at]
		case 1:
			clear(b[at:min(len(b), at+rng.IntN(5000))])
			what = "zeroed from"
		case 2:
			for i := at; i < min(len(b), at+rng.IntN(5000)); i++ {
				b[i] = byte(rng.Uint32())
			}
			what = "garbled from"
		}
		must(t, replace(fs, path, b))
		if _, err := w.compare(fs, tenants, sabotage{}); err != nil {
			t.Fatalf("seed %d: %s %s %d: %v", seed, path, what, at, err)
		}
	}
}

// removeIndexes makes the next open read the segments.
func removeIndexes(t testing.TB, fs vfs.FS) {
	t.Helper()
	names, err := fs.List(logDir)
	must(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, indexSuffix) {
			must(t, fs.Remove(fs.PathJoin(logDir, name)))
		}
	}
}

func randomFile(t testing.TB, fs *vfs.MemFS, rng *rand.Rand) (string, []byte) {
	t.Helper()
	names, err := fs.List(logDir)
	must(t, err)
	slices.Sort(names)
	names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, segmentSuffix) && !strings.HasSuffix(n, indexSuffix) })
	path := fs.PathJoin(logDir, names[rng.IntN(len(names))])
	return path, bytes.Clone(content(fs, path))
}

// compare opens a damaged log, appends and opens it again, and counts what is
// lost. It is an error when something is wrong that is not lost, when a loss is not
// named as gap and as damage, and when an offset is given twice.
func (w *witness) compare(fs vfs.FS, tenants *event.Tenants, planted sabotage) (lost int, err error) {
	for round := range 2 {
		l, err := Open(Config{FS: fs, Dir: logDir, Clock: newClock(), Tenants: tenants, sabotage: planted})
		if err != nil {
			return 0, err
		}
		lost, err = w.compareOpen(l, round)
		if err = errors.Join(err, l.Close()); err != nil {
			return lost, err
		}
	}
	return lost, nil
}

func (w *witness) compareOpen(l *Log, round int) (lost int, err error) {
	for p, acked := range w.acked {
		all, gaps, err := readEverything(l, p)
		if err != nil {
			return 0, err
		}
		for o, payload := range acked {
			if e, ok := all[o]; ok {
				if !bytes.Equal(e.Payload, payload) || string(e.Meta) != metaOf(payload) {
					return 0, fmt.Errorf("offset %d of %v holds something else", o, p)
				}
				continue
			}
			lost++
			gap := slices.IndexFunc(gaps, func(g store.Gap) bool { return g.From <= o && o < g.To })
			if gap < 0 {
				return 0, fmt.Errorf("offset %d of %v is lost without a gap; damage %v", o, p, l.Damage())
			}
			if m, ok := gaps[gap].Metas[o]; ok && string(m) != metaOf(payload) {
				return 0, fmt.Errorf("offset %d of %v has meta %q in its gap", o, p, m)
			}
			if !slices.ContainsFunc(l.Damage(), func(d Damage) bool {
				return d.Partition == p.String() && d.From <= o && o < d.To && d.File != "" && !d.Torn
			}) {
				return 0, fmt.Errorf("offset %d of %v is lost and not named: %v", o, p, l.Damage())
			}
		}
		// What is appended now does not take the place of anything.
		offsets, err := l.Append([]store.Entry{{Partition: p, Payload: []byte("next")}})
		if err != nil {
			return 0, err
		}
		if want := int64(len(acked) + round); offsets[0] != want {
			return 0, fmt.Errorf("the next offset of %v is %d, want %d", p, offsets[0], want)
		}
	}
	return lost, nil
}
