package segment

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/store"
)

// fill appends n entries of 1,000 bytes that do not compress.
func fill(t testing.TB, l *Log, p store.Partition, n int) {
	t.Helper()
	for i := range n {
		payload := bytes.Repeat([]byte{byte(i)}, 1000)
		_, err := l.Append([]store.Entry{{Partition: p, Meta: []byte("m"), Payload: payload}})
		must(t, err)
	}
}

func retaining(t testing.TB, fs vfs.FS, clk *clock, keep Retention, names ...string) (*Log, []store.Partition) {
	t.Helper()
	tenants := mustTenants(t, names...)
	l := mustOpen(t, Config{
		FS: fs, Dir: logDir, Clock: clk, Tenants: tenants, SegmentBytes: 5000, Retention: keep, Compression: CompressNone,
	})
	var parts []store.Partition
	for _, tenant := range tenants.All() {
		parts = append(parts, store.Partition{Tenant: tenant, Kind: "events", Source: "s"})
	}
	return l, parts
}

func TestRetentionBySize(t *testing.T) {
	t.Parallel()
	fs, clk := vfs.NewMem(), newClock()
	l, p := retaining(t, fs, clk, Retention{Bytes: 20_000}, "a", "b")
	fill(t, l, p[0], 50)
	if s := l.Stats(); s.Bytes < 50_000 {
		t.Fatalf("what is not released was removed: %+v", s)
	}
	l.Release(p[0], 40)
	fill(t, l, p[0], 5) // retention runs when a segment ends
	s := l.Stats()
	if s.Bytes > 25_000 || s.Bytes < 15_000 {
		t.Errorf("%d bytes are kept of 20,000", s.Bytes)
	}
	h := l.Heads()[0]
	if h.First == 0 || h.First > 40 || h.Next != 55 || h.Bytes > 25_000 {
		t.Errorf("head %+v", h)
	}
	page, err := l.Read(p[0], 0, 1)
	must(t, err)
	if len(page.Gaps) != 1 || page.Gaps[0].From != 0 || page.Gaps[0].To != h.First || page.Gaps[0].Why != "removed by retention" ||
		len(page.Entries) != 1 || page.Entries[0].Offset != h.First {
		t.Errorf("page %+v", page)
	}
	if d := l.Damage(); len(d) != 0 {
		t.Errorf("damage %v", d)
	}
	must(t, l.Close())
	l, _ = retaining(t, fs, clk, Retention{Bytes: 20_000}, "a", "b")
	again := l.Heads()[0]
	if again.First != h.First || again.Next != h.Next || again.Bytes != h.Bytes || len(l.Damage()) != 0 {
		t.Errorf("head %+v, want %+v, damage %v", again, h, l.Damage())
	}
	names, err := fs.List(logDir)
	must(t, err)
	if len(names) != 2*l.Stats().Segments+1 {
		t.Errorf("files %v of %d segments", names, l.Stats().Segments)
	}
	must(t, l.Close())
}

// One reader that is behind holds its segments, and with them all later ones.
func TestRetentionWaitsForReaders(t *testing.T) {
	t.Parallel()
	l, p := retaining(t, vfs.NewMem(), newClock(), Retention{Bytes: 1}, "a", "b")
	closing(t, l)
	fill(t, l, p[0], 10)
	fill(t, l, p[1], 1)
	fill(t, l, p[0], 30)
	l.Release(p[0], 40)
	fill(t, l, p[0], 5)
	heads := l.Heads()
	if heads[0].First == 0 || heads[0].First > 10 || heads[1].First != 0 {
		t.Errorf("heads %+v", heads)
	}
	l.Release(p[1], 1)
	fill(t, l, p[0], 5)
	heads = l.Heads()
	if heads[0].First < 30 || heads[1].First != 1 || heads[1].Next != 1 {
		t.Errorf("heads %+v", heads)
	}
}

func TestRetentionByAge(t *testing.T) {
	t.Parallel()
	fs, clk := vfs.NewMem(), newClock()
	l, p := retaining(t, fs, clk, Retention{Age: time.Hour}, "a", "b")
	fill(t, l, p[0], 20)
	l.Release(p[0], 20)
	clk.advance(59 * time.Minute)
	fill(t, l, p[0], 5)
	if h := l.Heads()[0]; h.First != 0 {
		t.Errorf("entries of 59 minutes were removed: %+v", h)
	}
	clk.advance(2 * time.Minute)
	fill(t, l, p[0], 5)
	if h := l.Heads()[0]; h.First < 15 || h.First > 20 {
		t.Errorf("head %+v", h)
	}
	// A partition of which nothing is left keeps its offsets.
	fill(t, l, p[1], 1)
	l.Release(p[1], 1)
	l.Release(p[0], 100)
	for range 4 {
		clk.advance(2 * time.Hour)
		fill(t, l, p[0], 1)
	}
	must(t, l.Close())
	l, _ = retaining(t, fs, clk, Retention{}, "a", "b")
	closing(t, l)
	if h := l.Heads()[1]; h.First != 1 || h.Next != 1 || h.Bytes != 0 {
		t.Errorf("head of an empty partition %+v", h)
	}
	fill(t, l, p[1], 1)
	page, err := l.Read(p[1], 0, 1)
	must(t, err)
	if len(page.Entries) != 1 || page.Entries[0].Offset != 1 || len(page.Gaps) != 1 {
		t.Errorf("page %+v", page)
	}
}

// On a full disk what nobody needs goes before new data is refused.
func TestReleasedSegmentsMakeRoom(t *testing.T) {
	t.Parallel()
	tenants := mustTenants(t, "a")
	fs, clk := &usageFS{FS: vfs.NewMem(), freed: 5000}, newClock()
	fs.total.Store(1 << 40)
	p := store.Partition{Tenant: tenants.All()[0], Kind: "events", Source: "s"}
	l := closing(t, mustOpen(t, Config{FS: fs, Dir: logDir, Clock: clk, Tenants: tenants, SegmentBytes: 5000, Reserve: 1000, Compression: CompressNone}))
	fill(t, l, p, 20)
	l.Release(p, 20)
	fs.used.Store(1<<40 - 1500)
	clk.advance(time.Second)
	_, err := l.Append([]store.Entry{{Partition: p, Payload: make([]byte, 1000)}})
	must(t, err)
	if h := l.Heads()[0]; h.First != 5 {
		t.Errorf("head %+v", h)
	}
	// What a reader still needs stays, and new data is refused.
	fs.used.Store(1<<40 - 1500)
	fs.freed = 0
	for range 10 {
		clk.advance(time.Second)
		if _, err := l.Append([]store.Entry{{Partition: p, Payload: make([]byte, 1000)}}); !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
	}
	if h := l.Heads()[0]; h.First != 20 || h.Next != 21 {
		t.Errorf("head %+v", h)
	}
}

// A tenant that is no longer configured is not served, and is back with its
// offsets once it is.
func TestTenantThatIsNotConfigured(t *testing.T) {
	t.Parallel()
	fs, clk := vfs.NewMem(), newClock()
	l, p := retaining(t, fs, clk, Retention{}, "a", "b")
	fill(t, l, p[0], 3)
	fill(t, l, p[1], 2)
	must(t, l.Close())
	l, _ = retaining(t, fs, clk, Retention{}, "b")
	if h := l.Heads(); len(h) != 1 || h[0].Partition != p[1] {
		t.Errorf("heads %+v", h)
	}
	u := l.Unserved()
	if len(u) != 1 || u[0].Tenant != "a" || u[0].Kind != "events" || u[0].Source != "s" || u[0].Next != 3 || u[0].Bytes == 0 {
		t.Errorf("unserved %+v", u)
	}
	if _, err := l.Read(p[0], 0, 1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("read: %v", err)
	}
	if err := l.Metas(p[0], 0, func(int64, []byte) bool { t.Error("a meta was shown"); return true }); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("metas: %v", err)
	}
	if _, err := l.Append([]store.Entry{{Partition: p[0]}}); err == nil || !strings.Contains(err.Error(), "tenant") {
		t.Errorf("append: %v", err)
	}
	fill(t, l, p[1], 1)
	must(t, l.Close())
	l, _ = retaining(t, fs, clk, Retention{}, "a", "b")
	closing(t, l)
	if h := l.Heads(); len(h) != 2 || h[0].Next != 3 || h[1].Next != 3 || len(l.Unserved()) != 0 {
		t.Errorf("heads %+v", h)
	}
}
