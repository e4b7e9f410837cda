package pebble

import (
	"context"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
)

// fullPause is how long a table that the disk has no room for keeps Pebble
// waiting. It tries again at once, over and over, for as long as the disk is
// full; that would take a core.
const fullPause = 250 * time.Millisecond

// patientFS makes tables that find no room fail slowly.
type patientFS struct {
	vfs.FS
	clock env.Clock
}

// patientFile is a table of a patientFS.
type patientFile struct {
	vfs.File
	fs patientFS
}

// Create implements vfs.FS.
func (p patientFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := p.FS.Create(name, category)
	if !strings.HasSuffix(name, ".sst") {
		return f, err
	}
	if err != nil {
		return nil, p.pause(err)
	}
	return patientFile{f, p}, nil
}

// Unwrap implements vfs.FS.
func (p patientFS) Unwrap() vfs.FS { return p.FS }

// Write implements vfs.File.
func (f patientFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	return n, f.fs.pause(err)
}

// Sync implements vfs.File.
func (f patientFile) Sync() error { return f.fs.pause(f.File.Sync()) }

// pause waits when err says that there is no room, and returns it. Tables are
// written without a lock of Pebble, so that nobody else waits.
func (p patientFS) pause(err error) error {
	if vfs.IsNoSpaceError(err) {
		_ = env.Sleep(context.Background(), p.clock, fullPause) // it ends by itself
	}
	return err
}
