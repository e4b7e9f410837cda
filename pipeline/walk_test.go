package pipeline

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
)

// closedFolder is a file system in which one folder may not be listed and one
// file not be opened.
type closedFolder struct{ vfs.FS }

func (c closedFolder) List(dir string) ([]string, error) {
	if strings.HasSuffix(dir, "closed") {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: fs.ErrPermission}
	}
	return c.FS.List(dir)
}

func (c closedFolder) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if strings.HasSuffix(name, "secret") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return c.FS.Open(name, opts...)
}

func TestScanGoesOnBehindClosedFolders(t *testing.T) {
	t.Parallel()
	w := world(t, map[string]string{"d/a": `{"r0":1}`, "d/closed/b": `{"r0":2}`, "d/secret": `{"r0":3}`, "d/z": `{"r0":4}`})
	w.FS = closedFolder{w.FS}
	o := run(t, Config{Env: w, Paths: []string{"d"}, Jobs: 2})
	expect(t, o,
		`d/a:1 r0 {"r0":1}`,
		"d/closed: byte 0: cannot open it: permission denied",
		"d/secret: byte 0: cannot open it: permission denied",
		`d/z:1 r0 {"r0":4}`,
	)
	if o.stats.Problems != 2 {
		t.Errorf("stats %+v", o.stats)
	}
}

// Links to folders are not followed, links to files are, dangling ones are left
// out, and a link given by name is followed.
func TestWalkIsSafeFromLinks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "logs", "inner"), 0o755))
	must(os.WriteFile(filepath.Join(dir, "logs", "a"), []byte("x"), 0o644))
	must(os.WriteFile(filepath.Join(dir, "logs", "inner", "b"), []byte("xyz"), 0o644))
	must(os.Symlink("..", filepath.Join(dir, "logs", "inner", "loop")))
	must(os.Symlink("nowhere", filepath.Join(dir, "logs", "inner", "dangling")))
	must(os.Symlink("inner/b", filepath.Join(dir, "logs", "link")))
	must(os.Symlink("logs", filepath.Join(dir, "named")))
	visit := func(paths ...string) (got []string) {
		walk(env.Real(), paths, func(w walked) bool {
			must(w.err)
			rel, err := filepath.Rel(dir, w.path)
			must(err)
			got = append(got, rel)
			return true
		})
		return got
	}
	if got, want := visit(filepath.Join(dir, "logs")), []string{"logs/a", "logs/inner/b", "logs/link"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := visit(filepath.Join(dir, "named")), []string{"named/a", "named/inner/b", "named/link"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if n := Size(env.Real(), []string{filepath.Join(dir, "logs"), "-", filepath.Join(dir, "none")}); n != 7 {
		t.Errorf("size %d, want 7", n)
	}
}

func TestWalkIsBoundedInDepth(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", folderDepthMax+5)
	w := world(t, map[string]string{deep + "x": "{}", "d/y": `{"r0":1}`})
	o := run(t, Config{Env: w, Paths: []string{"d"}})
	if len(o.lines) != 2 || !strings.Contains(o.lines[0], "nested more than 128 deep") {
		t.Errorf("got %q", o.lines)
	}
}
