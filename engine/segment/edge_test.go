package segment

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/store"
)

// Metas come from the segment when its index is gone.
func TestMetasWithoutIndex(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l, p := retaining(t, fs, newClock(), Retention{}, "a", "b")
	closing(t, l)
	for i := range 12 {
		for _, p := range p {
			_, err := l.Append([]store.Entry{{Partition: p, Meta: fmt.Appendf(nil, "%s%d", p.Tenant, i), Payload: make([]byte, 700)}})
			must(t, err)
		}
	}
	removeIndexes(t, fs)
	var got []string
	must(t, l.Metas(p[1], 3, func(offset int64, meta []byte) bool {
		got = append(got, fmt.Sprint(offset, " ", string(meta)))
		return len(got) < 7
	}))
	if want := []string{"3 b3", "4 b4", "5 b5", "6 b6", "7 b7", "8 b8", "9 b9"}; !slices.Equal(got, want) {
		t.Errorf("metas %v, want %v", got, want)
	}
}

// Many partitions make a segment's beginning longer than one write.
func TestManyPartitions(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	l, p := retaining(t, fs, newClock(), Retention{}, "a")
	const many = 3000
	long := strings.Repeat("s", sourceBytesMax-4)
	var entries []store.Entry
	for i := range many {
		p := p[0]
		p.Source = fmt.Sprintf("%s%04d", long, i)
		entries = append(entries, store.Entry{Partition: p, Payload: []byte("x")})
	}
	for range 3 {
		_, err := l.Append(entries)
		must(t, err)
	}
	must(t, l.Close())
	removeIndexes(t, fs)
	l, _ = retaining(t, fs, newClock(), Retention{}, "a")
	closing(t, l)
	heads := l.Heads()
	if len(heads) != many || len(l.Damage()) != 0 {
		t.Fatalf("%d heads, damage %v", len(heads), l.Damage())
	}
	for _, h := range heads {
		if h.First != 0 || h.Next != 3 {
			t.Fatalf("head %+v", h)
		}
	}
}

// badBlock fails reads that touch a position of a file.
type badBlock struct {
	path string
	at   int64
	on   atomic.Bool
}

type badFS struct {
	vfs.FS
	*badBlock
}

type badFile struct {
	vfs.File
	*badBlock
}

func (b badFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := b.FS.Open(name, opts...)
	if err == nil && name == b.path {
		f = badFile{f, b.badBlock}
	}
	return f, err
}

func (b badFile) ReadAt(p []byte, at int64) (int, error) {
	if b.on.Load() && at <= b.at && b.at < at+int64(len(p)) {
		return 0, syscall.EIO
	}
	return b.File.ReadAt(p, at)
}

// A bad block in the newest file, at start: the log opens, no offset is given
// twice, and when the disk gives the block after all, nothing is lost.
func TestBadBlockInTheNewestFile(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	tenants := mustTenants(t, "a")
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	cfg := Config{FS: fs, Dir: logDir, Clock: newClock(), Tenants: tenants, Compression: CompressNone}
	l := mustOpen(t, cfg)
	fill(t, l, p, 20)
	must(t, l.Close())
	removeIndexes(t, fs)
	bad := &badBlock{path: fs.PathJoin(logDir, numberName(1)+segmentSuffix)}
	bad.at = int64(len(content(fs, bad.path))) - 1500 // in the last entry
	bad.on.Store(true)
	cfg.FS = badFS{fs, bad}
	l = mustOpen(t, cfg)
	all, gaps, err := readEverything(l, p)
	must(t, err)
	h := l.Heads()[0]
	if len(all) < 15 || len(gaps) == 0 || h.Next < 20 || len(l.Damage()) == 0 {
		t.Fatalf("%d entries, gaps %v, head %+v, damage %v", len(all), gaps, h, l.Damage())
	}
	_, err = l.Append([]store.Entry{{Partition: p, Payload: []byte("new")}})
	must(t, err)
	must(t, l.Close())
	bad.on.Store(false)
	l = closing(t, mustOpen(t, cfg))
	all, _, err = readEverything(l, p)
	must(t, err)
	if len(all) != 21 || string(all[h.Next].Payload) != "new" {
		t.Fatalf("%d entries", len(all))
	}
}

// shortFS has room for so many bytes, and then writes what fits.
type shortFS struct {
	vfs.FS
	room atomic.Int64
}

type shortFile struct {
	vfs.File
	fs *shortFS
}

func (s *shortFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := s.FS.Create(name, c)
	return &shortFile{f, s}, err
}

func (f *shortFile) Write(b []byte) (int, error) {
	n := min(int64(len(b)), f.fs.room.Load())
	f.fs.room.Add(-n)
	written, err := f.File.Write(b[:n])
	if err == nil && written < len(b) {
		err = syscall.ENOSPC
	}
	return written, err
}

// The disk fills up in the middle of a write: an append of which no frame got
// through is refused as full, one of which a frame did has failed, and neither is
// there when the log is opened again.
func TestNoSpaceInTheMiddle(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a")
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	for _, c := range []struct {
		room int64
		want error
	}{{0, store.ErrFull}, {500, store.ErrFull}, {1500, store.ErrFailed}} {
		fs, clk := &shortFS{FS: vfs.NewMem()}, newClock()
		fs.room.Store(1 << 30)
		cfg := Config{FS: fs, Dir: logDir, Clock: clk, Tenants: tenants, Compression: CompressNone}
		var l *Log
		synctest.Test(t, func(t *testing.T) {
			l = mustOpen(t, cfg)
			fill(t, l, p, 2)
			synctest.Wait() // for the mark
			fs.room.Store(c.room)
			_, err := l.Append([]store.Entry{{Partition: p, Payload: make([]byte, 1000)}, {Partition: p, Payload: make([]byte, 1000)}})
			if !errors.Is(err, c.want) {
				t.Errorf("room of %d bytes: %v, want %v", c.room, err, c.want)
			}
			fs.room.Store(1 << 30)
			clk.advance(tickFull)
			offsets, err := l.Append([]store.Entry{{Partition: p, Payload: []byte("after")}})
			must(t, err)
			if offsets[0] != 2 {
				t.Errorf("offset %d", offsets[0])
			}
			must(t, l.Close())
		})
		l = mustOpen(t, cfg)
		all, gaps, err := readEverything(l, p)
		must(t, err)
		if len(all) != 3 || len(gaps) != 0 || string(all[2].Payload) != "after" || len(l.Damage()) != 0 {
			t.Errorf("room of %d bytes: %d entries, gaps %v, damage %v", c.room, len(all), gaps, l.Damage())
		}
		must(t, l.Close())
	}
}

// A reader that follows while others append and retention runs behind it gets
// every entry once, in order.
func TestFollowing(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a")
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	l := closing(t, mustOpen(t, Config{
		FS: vfs.NewMem(), Dir: logDir, Clock: env.Real().Clock, Tenants: tenants, SegmentBytes: 20_000, Retention: Retention{Bytes: 50_000}, Compression: CompressNone,
	}))
	const writers, each = 4, 150
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if _, err := l.Append([]store.Entry{{Partition: p, Payload: bytes.Repeat([]byte{byte(w)}, 500+i)}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for next := int64(0); next < writers*each; {
		<-l.Changed()
		for {
			if len(l.Heads()) == 0 {
				break
			}
			page, err := l.Read(p, next, 3000)
			must(t, err)
			if len(page.Gaps) > 0 {
				t.Fatalf("gaps %+v", page.Gaps)
			}
			if len(page.Entries) == 0 {
				break
			}
			for _, e := range page.Entries {
				if e.Offset != next {
					t.Fatalf("offset %d, want %d", e.Offset, next)
				}
				next++
			}
			l.Release(p, next)
		}
	}
	wg.Wait()
	if h := l.Heads()[0]; h.First == 0 {
		t.Errorf("retention did not run: %+v", h)
	}
}

// Closing waits for appends under way; each is acknowledged or refused.
func TestCloseWhileAppending(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a", "b")
	mem := vfs.NewCrashableMem()
	cfg := Config{FS: mem, Dir: logDir, Clock: newClock(), Tenants: tenants}
	l := mustOpen(t, cfg)
	w := newWitness()
	parts := powerCutParts(tenants)
	var wg sync.WaitGroup
	began := make(chan struct{}, 8)
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				payload := fmt.Appendf(nil, "%d.%06d.", g, i)
				offsets, err := l.Append([]store.Entry{{Partition: parts[0], Meta: []byte(metaOf(payload)), Payload: payload}})
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err = errors.Join(err, w.ack(parts[0], offsets[0], payload)); err != nil {
					t.Error(err)
					return
				}
				if i == 5 {
					began <- struct{}{}
				}
			}
		})
	}
	<-began
	must(t, l.Close())
	wg.Wait()
	cfg.FS = mem.CrashClone(vfs.CrashCloneCfg{})
	l = closing(t, mustOpen(t, cfg))
	must(t, w.check(l))
}

// The folder cannot be made durable: the log does not open.
func TestFolderThatCannotBeSynced(t *testing.T) {
	t.Parallel()
	f := &faults{}
	f.set(1, errorfs.ErrInjected, errorfs.OpOpenDir)
	_, err := Open(Config{FS: errorfs.Wrap(vfs.NewMem(), f), Dir: logDir, Clock: newClock(), Tenants: mustTenants(t, "a")})
	if !errors.Is(err, errorfs.ErrInjected) {
		t.Errorf("error %v", err)
	}
}
