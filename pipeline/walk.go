package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/tiercel-io/tiercel/env"
)

// folderDepthMax bounds the nesting of folders; it stands in for loops where
// the file system cannot tell links.
const folderDepthMax = 128

// walked is one file to scan, or a path that could not be walked.
type walked struct {
	path string
	size int64
	err  error
	// stream says that the path names no file but a pipe or a device, which
	// may make who opens or reads it wait.
	stream bool
}

// walk visits the files of paths in order until visit returns false: files as
// named, folders in the byte order of names, depth first. Links to folders
// inside a folder are not followed, so that a loop cannot hold the scan;
// inside folders only regular files are read. What cannot be read is visited
// with its error.
func walk(world env.Env, paths []string, visit func(walked) bool) {
	w := walker{world: world, visit: visit}
	w.links, _ = world.FS.(env.Links)
	for i, p := range paths {
		if slices.Contains(paths[:i], p) {
			continue
		}
		if p == "-" {
			if !visit(walked{path: p}) {
				return
			}
			continue
		}
		info, err := world.FS.Stat(p)
		switch {
		case err != nil:
			if !visit(walked{path: p, err: plain(err)}) {
				return
			}
		case info.IsDir():
			if !w.folder(p, 0) {
				return
			}
		default:
			if !visit(walked{path: p, size: info.Size(), stream: !info.Mode().IsRegular()}) {
				return
			}
		}
	}
}

type walker struct {
	world env.Env
	links env.Links
	visit func(walked) bool
}

func (w *walker) folder(dir string, depth int) bool {
	if depth > folderDepthMax {
		return w.visit(walked{path: dir, err: fmt.Errorf("folders are nested more than %d deep; give the inner folder as an argument", folderDepthMax)})
	}
	names, err := w.world.FS.List(dir)
	if err != nil {
		return w.visit(walked{path: dir, err: plain(err)})
	}
	slices.Sort(names)
	for _, name := range names {
		p := w.world.FS.PathJoin(dir, name)
		info, err := w.world.FS.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist) && w.links != nil && w.links.IsLink(p):
			continue // a link that leads nowhere
		case err != nil:
			if !w.visit(walked{path: p, err: plain(err)}) {
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
			if !w.visit(walked{path: p, size: info.Size()}) {
				return false
			}
		}
	}
	return true
}

// Size returns the number of bytes that the files of paths hold as they stand,
// for a progress bar.
func Size(world env.Env, paths []string) int64 {
	var n int64
	walk(world, paths, func(f walked) bool {
		n += f.size
		return true
	})
	return n
}

// plain removes the path from a file error, since whoever prints it has named
// the path already.
func plain(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("cannot %s it: %w", p.Op, p.Err)
	}
	return err
}
