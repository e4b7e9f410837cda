package main

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// openRoomBytes is what opening the documents writes besides what it takes from
// their logs: manifest, options and a table's index.
const openRoomBytes = 1 << 20

// roomToOpen checks that the documents in dir can be opened: that writes what
// stands in their logs to tables, and the store tries a write that fails again
// and again, at once and without end, deaf to a signal. What the file system
// does not tell is taken to be enough.
func roomToOpen(fsys vfs.FS, dir string) error {
	names, err := fsys.List(dir)
	if err != nil {
		dir, names = fsys.PathDir(dir), nil // it is not there yet
	}
	need := uint64(openRoomBytes)
	for _, name := range names {
		if !strings.HasSuffix(name, ".log") {
			continue
		}
		if info, err := fsys.Stat(fsys.PathJoin(dir, name)); err == nil {
			need += uint64(info.Size())
		}
	}
	usage, err := fsys.GetDiskUsage(dir)
	if err != nil || usage.AvailBytes >= need {
		return nil
	}
	return &codedError{exitInput, fmt.Errorf("the disk of %s is full: %s free, and opening what is there needs %s; make room and start again, nothing that was acknowledged is lost",
		dir, binarySize(usage.AvailBytes), binarySize(need))}
}
