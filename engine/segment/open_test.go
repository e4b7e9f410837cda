package segment

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/store"
)

func TestTheFolderIsLocked(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string]vfs.FS{"in memory": vfs.NewMem(), "on disk": env.Real().FS} {
		cfg := Config{FS: fs, Dir: filepath.Join(t.TempDir(), "log"), Clock: newClock(), Tenants: mustTenants(t, "a")}
		l := mustOpen(t, cfg)
		if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "another process has this folder open") {
			t.Errorf("%s: %v", name, err)
		}
		must(t, l.Close())
		must(t, mustOpen(t, cfg).Close())
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := Open(Config{}); err == nil {
		t.Error("an empty configuration was taken")
	}
}

// A log by a newer version is refused, and not touched.
func TestNewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	fs, clk := vfs.NewMem(), newClock()
	l, p := retaining(t, fs, clk, Retention{}, "a")
	fill(t, l, p[0], 12)
	must(t, l.Close())
	path := fs.PathJoin(logDir, numberName(2)+segmentSuffix)
	b := bytes.Clone(content(fs, path))
	for i := range 2 {
		h := b[i*headerBytes:]
		binary.LittleEndian.PutUint16(h[8:], version+1)
		binary.LittleEndian.PutUint32(h[60:], checksum(h[:60]))
	}
	must(t, replace(fs, path, b))
	before, err := fs.List(logDir)
	must(t, err)
	_, err = Open(Config{FS: fs, Dir: logDir, Clock: clk, Tenants: mustTenants(t, "a")})
	if err == nil || !strings.Contains(err.Error(), "format version 2 and this build reads up to 1: start the newer Tiercel") || !strings.Contains(err.Error(), numberName(2)) {
		t.Errorf("error %v", err)
	}
	after, err := fs.List(logDir)
	must(t, err)
	slices.Sort(before)
	slices.Sort(after)
	if !slices.Equal(before, after) {
		t.Errorf("files %v, before %v", after, before)
	}
	if _, err := Verify(fs, logDir); err == nil {
		t.Error("verify said nothing")
	}
}

// A segment that is missing between others is named with what it held.
func TestMissingSegment(t *testing.T) {
	t.Parallel()
	fs, clk := vfs.NewMem(), newClock()
	l, p := retaining(t, fs, clk, Retention{}, "a")
	fill(t, l, p[0], 20)
	must(t, l.Close())
	name := numberName(2) + segmentSuffix
	must(t, fs.Remove(fs.PathJoin(logDir, name)))
	l, _ = retaining(t, fs, clk, Retention{}, "a")
	closing(t, l)
	d := l.Damage()
	if len(d) != 1 || d[0].File != name || d[0].Why != "the file is missing" || d[0].Partition != "a/events/s/0" || d[0].From != 5 || d[0].To != 10 {
		t.Fatalf("damage %v", d)
	}
	if s := l.Stats(); s.DamagedEntries != 5 {
		t.Errorf("stats %+v", s)
	}
	_, gaps, err := readEverything(l, p[0])
	must(t, err)
	if len(gaps) != 1 || gaps[0].From != 5 || gaps[0].To != 10 || gaps[0].Why != "the file is missing" {
		t.Errorf("gaps %+v", gaps)
	}
}

// A file that goes away while the log is open is a gap, not an error.
func TestSegmentRemovedWhileOpen(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l, p := retaining(t, fs, newClock(), Retention{}, "a")
	closing(t, l)
	fill(t, l, p[0], 12)
	must(t, fs.Remove(fs.PathJoin(logDir, numberName(1)+segmentSuffix)))
	all, gaps, err := readEverything(l, p[0])
	must(t, err)
	if len(all) != 7 || len(gaps) != 5 || string(gaps[0].Metas[0]) != "m" {
		t.Errorf("%d entries, gaps %+v", len(all), gaps)
	}
}

// A reader whose snapshot stands beyond the end is sent back to it.
func TestReaderBeyondTheEnd(t *testing.T) {
	t.Parallel()
	l, p := retaining(t, vfs.NewMem(), newClock(), Retention{}, "a")
	closing(t, l)
	fill(t, l, p[0], 3)
	page, err := l.Read(p[0], 10, 100)
	must(t, err)
	if len(page.Entries) != 0 || len(page.Gaps) != 0 || page.Next != 3 {
		t.Errorf("page %+v", page)
	}
}

// Payloads cannot smuggle frames in: one that holds a whole segment is found
// by no scan, wherever the damage is.
func TestPayloadOfFrames(t *testing.T) {
	t.Parallel()
	fs, clk := vfs.NewMem(), newClock()
	l, p := retaining(t, fs, clk, Retention{}, "a")
	fill(t, l, p[0], 3)
	must(t, l.Close())
	forged := bytes.Clone(content(fs, fs.PathJoin(logDir, numberName(1)+segmentSuffix)))
	l, _ = retaining(t, fs, clk, Retention{}, "a")
	_, err := l.Append([]store.Entry{{Partition: p[0], Payload: forged}})
	must(t, err)
	must(t, l.Close())
	path := fs.PathJoin(logDir, numberName(2)+segmentSuffix)
	b := bytes.Clone(content(fs, path))
	i := bytes.Index(b, forged)
	if i < 0 {
		t.Fatal("the payload is not in the file")
	}
	b[i-10] ^= 1
	must(t, replace(fs, path, b))
	removeIndexes(t, fs)
	l, _ = retaining(t, fs, clk, Retention{}, "a")
	closing(t, l)
	if h := l.Heads(); len(h) != 1 || h[0].Next != 4 {
		t.Errorf("heads %+v", h)
	}
	if d := l.Damage(); len(d) != 1 || d[0].From != 3 || d[0].To != 4 {
		t.Errorf("damage %v", d)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	fs, clk := vfs.NewMem(), newClock()
	l, p := retaining(t, fs, clk, Retention{}, "a")
	fill(t, l, p[0], 20)
	must(t, l.Close())
	r, err := Verify(fs, logDir)
	must(t, err)
	if r.Entries != 20 || r.Segments != 4 && r.Segments != 5 || r.Partitions != 1 || len(r.Damage) != 0 || r.Bytes < 20_000 {
		t.Fatalf("report %+v", r)
	}
	path := fs.PathJoin(logDir, numberName(3)+segmentSuffix)
	b := bytes.Clone(content(fs, path))
	b[len(b)/2] ^= 1
	must(t, replace(fs, path, b))
	// The index is sound; opening believes it, verifying does not.
	l, _ = retaining(t, fs, clk, Retention{}, "a")
	if d := l.Damage(); len(d) != 0 {
		t.Errorf("damage before anything was read: %v", d)
	}
	must(t, l.Close())
	r, err = Verify(fs, logDir)
	must(t, err)
	if r.Entries != 19 || len(r.Damage) != 1 || r.Damage[0].Partition != "a/events/s/0" || r.Damage[0].To != r.Damage[0].From+1 {
		t.Fatalf("report %+v", r)
	}
	if _, err := Verify(fs, "nowhere"); err == nil {
		t.Error("a folder that is not there was verified")
	}
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	for name, fs := range map[string]vfs.FS{"in memory": vfs.NewMem(), "on disk": env.Real().FS, "without links": linkless{vfs.NewMem()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			must(t, fs.MkdirAll(root, 0o755))
			tenants := mustTenants(t, "a", "b")
			cfg := Config{FS: fs, Dir: filepath.Join(root, "log"), Clock: newClock(), Tenants: tenants, SegmentBytes: 12 << 10}
			l := mustOpen(t, cfg)
			w := newWitness()
			rng := rand.New(rand.NewPCG(1, 5))
			parts := powerCutParts(tenants)
			must(t, w.load(l, rng, parts, 20, false))
			then := w.clone()
			copied := make(chan error, 1)
			go func() { copied <- l.Checkpoint(filepath.Join(root, "backup")) }()
			must(t, w.load(l, rng, parts, 20, false))
			must(t, <-copied)
			if err := l.Checkpoint(filepath.Join(root, "backup")); err == nil || !strings.Contains(err.Error(), "not empty") {
				t.Errorf("a second copy into the folder: %v", err)
			}
			r, err := Verify(fs, filepath.Join(root, "backup"))
			must(t, err)
			if len(r.Damage) != 0 {
				t.Errorf("damage in the copy: %v", r.Damage)
			}
			copyCfg := cfg
			copyCfg.Dir = filepath.Join(root, "backup")
			b := mustOpen(t, copyCfg)
			must(t, then.check(b))
			fill(t, b, parts[0], 20)
			must(t, b.Close())
			// What is done with the copy does not reach the log.
			must(t, w.check(l))
			must(t, l.Close())
			l = mustOpen(t, cfg)
			must(t, w.check(l))
			must(t, l.Close())
			if err := l.Checkpoint(filepath.Join(root, "late")); err == nil {
				t.Error("a closed log was copied")
			}
		})
	}
}

// linkless is a file system without hard links.
type linkless struct{ vfs.FS }

func (linkless) Link(string, string) error { return vfs.ErrUnsupported }
