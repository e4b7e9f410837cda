package segment

import (
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/store"
)

// openFilesMax bounds the segments held open for reading; a log of 1 GB has
// 16.
const openFilesMax = 16

// pool keeps files open for reading. A file is closed once it was dropped or
// crowded out and nobody reads it.
type pool struct {
	fs  vfs.FS
	dir string

	mu     sync.Mutex
	open   map[*file]*opened
	tick   int64
	closed bool
}

type opened struct {
	vfs.File
	users   int
	used    int64
	dropped bool
}

func (p *pool) init(fs vfs.FS, dir string) {
	p.fs, p.dir, p.open = fs, dir, make(map[*file]*opened)
}

// get opens a file, or takes one that is open. The caller gives it back with
// put.
func (p *pool) get(f *file) (*opened, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, store.ErrClosed
	}
	p.tick++
	if o := p.open[f]; o != nil {
		o.users++
		o.used = p.tick
		return o, nil
	}
	v, err := p.fs.Open(p.fs.PathJoin(p.dir, f.name))
	if err != nil {
		return nil, err
	}
	o := &opened{File: v, users: 1, used: p.tick}
	p.open[f] = o
	if len(p.open) > openFilesMax {
		var oldest *file
		for f, o := range p.open {
			if oldest == nil || o.used < p.open[oldest].used {
				oldest = f
			}
		}
		p.discard(oldest)
	}
	return o, nil
}

func (p *pool) put(o *opened) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if o.users--; o.users == 0 && o.dropped {
		_ = o.Close() // it was read only
	}
}

// drop forgets a file that is about to be removed.
func (p *pool) drop(f *file) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.discard(f)
}

func (p *pool) discard(f *file) {
	o := p.open[f]
	if o == nil {
		return
	}
	delete(p.open, f)
	o.dropped = true
	if o.users == 0 {
		_ = o.Close() // it was read only
	}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for f := range p.open {
		p.discard(f)
	}
}
