package pebble

import (
	"errors"
	"io"
	"strconv"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Any flipped bit in the manifests and logs of a folder that was closed is seen,
// at the end of a file too, where it looks like a torn write.
func TestSealFindsEveryFlip(t *testing.T) {
	t.Parallel()
	made := vfs.NewMem()
	for i := range 3 {
		e, err := Open(Config{FS: made, Dir: "d"})
		if err != nil {
			t.Fatal(err)
		}
		k := store.Key{Tenant: event.LocalTenant, Kind: "k", ID: strconv.Itoa(i)}
		if err := e.Apply([]store.Write{{Key: k, Value: []byte("value")}}, store.Durable); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := made.List("d")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, name := range names {
		if !sealed(name) {
			continue
		}
		whole := contents(t, made, "d/"+name)
		for at := 0; at < len(whole); at += 1 + len(whole)/40 {
			tried++
			files := vfs.NewMem()
			if ok, err := vfs.Clone(made, files, "d", "d"); !ok || err != nil {
				t.Fatal(ok, err)
			}
			flipped := append([]byte(nil), whole...)
			flipped[at] ^= 1
			f, err := files.Create("d/"+name, vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(flipped); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if e, err := Open(Config{FS: files, Dir: "d"}); !errors.Is(err, ErrDamaged) {
				t.Errorf("byte %d of %d of %s: %v", at, len(whole), name, err)
				if err == nil {
					_ = e.Close()
				}
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d flips were tried in %v", tried, names)
	}
	// While it is open, and so after a crash, there is no seal to be held to.
	e, err := Open(Config{FS: made, Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := made.Stat("d/" + sealName); err == nil {
		t.Error("an open folder has a seal")
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, files vfs.FS, name string) []byte {
	t.Helper()
	f, err := files.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return data
}
