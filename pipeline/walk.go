package pipeline

import (
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format/files"
)

// folderDepthMax bounds the nesting of folders.
const folderDepthMax = files.DepthMax

// walked is one file to scan, or a path that could not be walked.
type walked struct {
	path string
	size int64
	err  error
	// stream says that the path names no file but a pipe or a device, which
	// may make who opens or reads it wait.
	stream bool
}

// walk visits the files of paths in order until visit returns false; see
// [files.Walk].
func walk(world env.Env, paths []string, visit func(walked) bool) {
	files.Walk(world, paths, func(f files.File) bool {
		return visit(walked{path: f.Path, size: f.Size, err: f.Err, stream: f.Stream})
	})
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

// plain is [files.Plain].
func plain(err error) error { return files.Plain(err) }
