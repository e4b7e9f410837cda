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
	"net/netip"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Clock tells the time.
type Clock interface {
	// Now is the current wall-clock time.
	Now() time.Time
	// NewTimer makes a timer that fires once, after d.
	NewTimer(d time.Duration) Timer
}

// Timer fires once. It is time.Timer behind an interface.
type Timer interface {
	// C receives the time when the timer fires.
	C() <-chan time.Time
	// Stop keeps it from firing; it reports whether it was still to fire.
	Stop() bool
	// Reset makes it fire after d from now, whether or not it has fired.
	Reset(d time.Duration) bool
}

// Sleep waits for d or until ctx ends, whose error it then returns.
func Sleep(ctx context.Context, c Clock, d time.Duration) error {
	t := c.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Network makes connections and listens.
type Network interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	Listen(ctx context.Context, network, address string) (net.Listener, error)
	// ListenPacket listens for datagrams.
	ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error)
	// LookupNetIP resolves a host's addresses, so that they can be judged
	// before one is dialled.
	LookupNetIP(ctx context.Context, host string) ([]netip.Addr, error)
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

func (wallClock) NewTimer(d time.Duration) Timer { return wallTimer{time.NewTimer(d)} }

type wallTimer struct{ t *time.Timer }

func (w wallTimer) C() <-chan time.Time        { return w.t.C }
func (w wallTimer) Stop() bool                 { return w.t.Stop() }
func (w wallTimer) Reset(d time.Duration) bool { return w.t.Reset(d) }

type systemNetwork struct{}

func (systemNetwork) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

func (systemNetwork) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(ctx, network, address)
}

func (systemNetwork) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	var c net.ListenConfig
	return c.ListenPacket(ctx, network, address)
}

func (systemNetwork) LookupNetIP(ctx context.Context, host string) ([]netip.Addr, error) {
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
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
