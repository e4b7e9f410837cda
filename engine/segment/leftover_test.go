package segment

import (
	"bytes"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tiercel-io/tiercel/store"
)

// stubborn fails what it is told to, by kind and file.
type stubborn struct {
	mu    sync.Mutex
	kinds map[errorfs.OpKind]string // the file, or "" for any
}

func (s *stubborn) set(kinds map[errorfs.OpKind]string) {
	s.mu.Lock()
	s.kinds = kinds
	s.mu.Unlock()
}

// String implements errorfs.Injector.
func (*stubborn) String() string { return "stubborn" }

// MaybeError implements errorfs.Injector.
func (s *stubborn) MaybeError(op errorfs.Op) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name, ok := s.kinds[op.Kind]; ok && (name == "" || op.Path == logDir+"/"+name) {
		return errorfs.ErrInjected
	}
	return nil
}

// refuse appends what the disk does not take.
func refuse(t *testing.T, l *Log, p store.Partition) {
	t.Helper()
	if _, err := l.Append([]store.Entry{{Partition: p, Meta: []byte("m"), Payload: []byte("refused")}}); err == nil {
		t.Fatal("a disk that fails has taken an entry")
	}
}

// unrefused checks that nothing of what was refused is read, and that nothing
// looks damaged.
func unrefused(t *testing.T, l *Log, p store.Partition) {
	t.Helper()
	all, _, err := readEverything(l, p)
	must(t, err)
	for offset, e := range all {
		if bytes.Equal(e.Payload, []byte("refused")) {
			t.Errorf("offset %d holds what was refused", offset)
		}
	}
	if d := l.Damage(); len(d) != 0 {
		t.Errorf("damage %v", d)
	}
}

// A segment that was given up and could not be removed stays without effect,
// also when those that say so have grown old.
func TestRefusedEntriesStayRefused(t *testing.T) {
	t.Parallel()
	sync := map[errorfs.OpKind]string{errorfs.OpFileSync: "", errorfs.OpFileSyncData: "", errorfs.OpRemove: ""}
	write := map[errorfs.OpKind]string{errorfs.OpFileWrite: "", errorfs.OpRemove: ""}
	for name, c := range map[string]struct {
		fails []map[errorfs.OpKind]string
		after map[errorfs.OpKind]string // what goes on failing
		kept  bool                      // so that retention has to wait
	}{
		"it can be removed later":            {fails: []map[errorfs.OpKind]string{sync}},
		"it cannot be removed":               {fails: []map[errorfs.OpKind]string{sync}, after: map[errorfs.OpKind]string{errorfs.OpRemove: "0000000000000001.seg"}, kept: true},
		"the next never got as far as that":  {fails: []map[errorfs.OpKind]string{sync, write}},
		"nor can the two of them be removed": {fails: []map[errorfs.OpKind]string{sync, write}, after: map[errorfs.OpKind]string{errorfs.OpRemove: ""}, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem, disk := vfs.NewMem(), &stubborn{}
			l, p := retaining(t, errorfs.Wrap(mem, disk), newClock(), Retention{Bytes: 10_000}, "a")
			for _, kinds := range c.fails {
				disk.set(kinds)
				refuse(t, l, p[0])
			}
			disk.set(c.after)
			fill(t, l, p[0], 30)
			l.Release(p[0], 30)
			fill(t, l, p[0], 10)
			if first := l.Heads()[0].First; (first == 0) != c.kept {
				t.Errorf("the first entry is %d", first)
			}
			unrefused(t, l, p[0])
			must(t, l.Close())
			for range 2 {
				l, _ = retaining(t, mem, newClock(), Retention{Bytes: 10_000}, "a")
				unrefused(t, l, p[0])
				if h := l.Heads()[0]; h.Next != 40 {
					t.Errorf("head %+v", h)
				}
				must(t, l.Close())
			}
		})
	}
}

// A retired segment that could not be removed goes before younger ones do:
// without these it would look as if something had been lost behind it.
func TestRetiredSegmentsGoInOrder(t *testing.T) {
	t.Parallel()
	mem, disk := vfs.NewMem(), &stubborn{}
	l, p := retaining(t, errorfs.Wrap(mem, disk), newClock(), Retention{Bytes: 10_000}, "a")
	fill(t, l, p[0], 30)
	disk.set(map[errorfs.OpKind]string{errorfs.OpRemove: "0000000000000001.seg"})
	l.Release(p[0], 30)
	fill(t, l, p[0], 20)
	must(t, l.Close())
	l, _ = retaining(t, mem, newClock(), Retention{}, "a")
	unrefused(t, l, p[0])
	must(t, l.Close())

	l, _ = retaining(t, errorfs.Wrap(mem, disk), newClock(), Retention{Bytes: 10_000}, "a")
	l.Release(p[0], 100)
	fill(t, l, p[0], 10)
	disk.set(nil)
	fill(t, l, p[0], 10)
	if s := l.Stats(); s.Bytes > 15_000 {
		t.Errorf("%d bytes are kept of 10,000", s.Bytes)
	}
	must(t, l.Close())
	if content(mem, logDir+"/0000000000000001.seg") != nil {
		t.Error("the oldest segment is still there")
	}
}
