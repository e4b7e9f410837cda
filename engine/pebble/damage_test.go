package pebble

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// folder makes a folder with tables, a log of writes and the rest, closed.
func folder(t *testing.T) (files *vfs.MemFS, want map[string]string) {
	t.Helper()
	files = vfs.NewMem()
	e, err := Open(Config{FS: files, Dir: "d"})
	if err != nil {
		t.Fatal(err)
	}
	want = map[string]string{}
	for i := range 300 {
		id, value := fmt.Sprintf("%04d", i), strings.Repeat(fmt.Sprint(i, " "), 150)
		put(t, e, id, value, i%10 == 9)
		want[id] = value
		if i == 150 {
			if err := e.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return files, want
}

func readFile(t *testing.T, files vfs.FS, name string) []byte {
	t.Helper()
	f, err := files.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, files vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := files.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// A flipped bit, a cut or a missing file is told as damage or changes nothing
// that can be read; only the newest log of writes may be shorter, since its end
// cannot be told from one that a power cut tore.
func TestDamageIsTold(t *testing.T) {
	t.Parallel()
	base, want := folder(t)
	names, err := base.List("d")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	rng := rand.New(rand.NewPCG(7, 7))
	told := map[string]int{}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		content := readFile(t, base, "d/"+name)
		for round := range 24 {
			broken := slices.Clone(content)
			remove := round == 0
			switch {
			case remove:
			case len(content) == 0:
				continue
			case round < 5:
				broken = broken[:rng.IntN(len(broken))]
			default:
				broken[rng.IntN(len(broken))] ^= 1 << rng.IntN(8)
			}
			copyFS := vfs.NewMem()
			if err := copyFS.MkdirAll("d", 0o755); err != nil {
				t.Fatal(err)
			}
			for _, other := range names {
				if other != name {
					writeFile(t, copyFS, "d/"+other, readFile(t, base, "d/"+other))
				} else if !remove {
					writeFile(t, copyFS, "d/"+other, broken)
				}
			}
			got, err := reopen(t, copyFS)
			kind := name[strings.LastIndexByte(name, '.')+1:]
			switch {
			case errors.Is(err, ErrDamaged):
				told[kind]++
			case err != nil:
				t.Errorf("%s, round %d: not told as damage: %v", name, round, err)
			case maps.Equal(got, want):
			case strings.HasSuffix(name, ".log") && prefixOf(got, want):
			default:
				t.Errorf("%s, round %d: %d of %d documents, no error", name, round, len(got), len(want))
			}
		}
	}
	t.Log("damage told, by kind of file:", told)
	for _, kind := range []string{"sst", "log", "MANIFEST-000001"} {
		if told[kind] == 0 {
			t.Errorf("no damage of a file %s was told", kind)
		}
	}
}

func reopen(t *testing.T, files vfs.FS) (map[string]string, error) {
	t.Helper()
	e, err := Open(Config{FS: files, Dir: "d"})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return all(t, e)
}

func prefixOf(got, want map[string]string) bool {
	for i := range len(got) {
		id := fmt.Sprintf("%04d", i)
		if got[id] != want[id] {
			return false
		}
	}
	return true
}
