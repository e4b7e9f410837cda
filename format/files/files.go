// Package files finds the files that paths name, in one order for all who read
// them: the scan of a folder and its import see the same files, one after the
// other in the same order. Nothing is kept but the names of the folders on the
// way, whose nesting is bounded. It is safe for concurrent use.
package files

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format"
)

// DepthMax bounds the nesting of folders; it stands in for loops where
// the file system cannot tell links.
const DepthMax = 128

// File is one file found, or a path that could not be walked.
type File struct {
	Path     string
	Size     int64
	Modified time.Time
	// Err says why the path cannot be read; the rest is then not known.
	Err error
	// Stream says that the path names no file but a pipe or a device, which
	// may make who opens or reads it wait.
	Stream bool
}

// Walk visits the files of paths in order until visit returns false: files as
// named, folders in the byte order of names, depth first. Links to folders
// inside a folder are not followed, so that a loop cannot hold the scan;
// inside folders only regular files are read. What cannot be read is visited
// with its error. The path "-" is visited as it is.
func Walk(world env.Env, paths []string, visit func(File) bool) {
	w := walker{world: world, visit: visit}
	w.links, _ = world.FS.(env.Links)
	for i, p := range paths {
		if slices.Contains(paths[:i], p) {
			continue
		}
		if p == "-" {
			if !visit(File{Path: p}) {
				return
			}
			continue
		}
		info, err := world.FS.Stat(p)
		switch {
		case err != nil:
			if !visit(File{Path: p, Err: Plain(err)}) {
				return
			}
		case info.IsDir():
			if !w.folder(p, 0) {
				return
			}
		default:
			if !visit(File{Path: p, Size: info.Size(), Modified: info.ModTime(), Stream: !info.Mode().IsRegular()}) {
				return
			}
		}
	}
}

type walker struct {
	world env.Env
	links env.Links
	visit func(File) bool
}

func (w *walker) folder(dir string, depth int) bool {
	if depth > DepthMax {
		return w.visit(File{Path: dir, Err: fmt.Errorf("folders are nested more than %d deep; give the inner folder as an argument", DepthMax)})
	}
	names, err := w.world.FS.List(dir)
	if err != nil {
		return w.visit(File{Path: dir, Err: Plain(err)})
	}
	slices.Sort(names)
	for _, name := range names {
		p := w.world.FS.PathJoin(dir, name)
		info, err := w.world.FS.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist) && w.links != nil && w.links.IsLink(p):
			continue // a link that leads nowhere
		case err != nil:
			if !w.visit(File{Path: p, Err: Plain(err)}) {
				return false
			}
		case info.IsDir():
			if w.links != nil && w.links.IsLink(p) {
				continue
			}
			if !w.folder(p, depth+1) {
				return false
			}
		case info.Mode().IsRegular():
			if !w.visit(File{Path: p, Size: info.Size(), Modified: info.ModTime()}) {
				return false
			}
		}
	}
	return true
}

// Plain removes the path from a file error, since whoever prints it has named
// the path already.
func Plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("cannot %s it: %w", p.Op, p.Err)
	}
	return err
}

// Surest returns the format that is surest of a file that begins with head and
// has this name, and how sure it is, from 1 to 100; nil when none wants it. Of
// equals it is the first.
func Surest(formats []format.Format, head []byte, name string) (best *format.Format, sure int) {
	for i := range formats {
		if n := formats[i].Detect(head, name); n > sure {
			best, sure = &formats[i], n
		}
	}
	return best, sure
}
