// Package env is everything outside the process that Tiercel touches: the
// clock, files, the network and randomness. Code receives an [Env], so that a
// simulator or a test can own all four; the architecture test keeps every
// other package away from time.Now, os.Open, net.Dial and their like.
//
// An Env is safe for concurrent use if its parts are; those of [Real] are.
package env

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Clock tells the time.
type Clock interface {
	// Now is the current wall-clock time.
	Now() time.Time
}

// Network makes connections and listens.
type Network interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	Listen(ctx context.Context, network, address string) (net.Listener, error)
}

// Env is one outside world.
type Env struct {
	Clock Clock
	// FS is the file system; Pebble's interface, so that its in-memory and
	// fault-injecting ones fit. It may implement [Links].
	FS vfs.FS
	// Net is the network.
	Net Network
	// Rand is a source of unpredictable bytes.
	Rand io.Reader
	// TempDir is a folder of FS for files that live no longer than the process.
	TempDir string
}

// Real is the world the process runs in.
func Real() Env {
	return Env{Clock: wallClock{}, FS: realFS{vfs.Default}, Net: systemNetwork{}, Rand: rand.Reader, TempDir: os.TempDir()}
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

type systemNetwork struct{}

func (systemNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (systemNetwork) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(ctx, network, address)
}

// Links tells symbolic links from what they point to, which vfs.FS does not. A
// file system that has links implements it.
type Links interface {
	// IsLink reports whether name itself is a symbolic link.
	IsLink(name string) bool
}

// realFS is the process's file system.
type realFS struct{ vfs.FS }

// IsLink implements [Links].
func (realFS) IsLink(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode()&os.ModeSymlink != 0
}
