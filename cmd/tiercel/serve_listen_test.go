package main

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
)

// dialled is a listener of connections in memory, each from an address.
type dialled struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *dialled) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *dialled) Close() error   { close(l.closed); return nil }
func (l *dialled) Addr() net.Addr { return &net.TCPAddr{} }

type from struct {
	net.Conn
	addr   net.Addr
	closed *bool
}

func (c from) RemoteAddr() net.Addr { return c.addr }
func (c from) Close() error         { *c.closed = true; return c.Conn.Close() }

func (l *dialled) dial(address string) *bool {
	_, far := net.Pipe()
	closed := new(bool)
	l.conns <- from{far, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address)), closed}
	return closed
}

// limits.connections: the next one waits until another ends, and a connection
// that is closed twice makes room once.
func TestConnectionsOfAPortAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := &dialled{conns: make(chan net.Conn, 100), closed: make(chan struct{})}
		const most = 3
		l := limitListener(inner, most)
		for range 100 {
			inner.dial("192.0.2.1:1")
		}
		accepted := make(chan net.Conn, 100)
		done := make(chan error, 1)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					done <- err
					return
				}
				accepted <- c
			}
		}()
		open := func(want int) {
			t.Helper()
			synctest.Wait()
			if len(accepted) != want {
				t.Fatalf("%d connections are open, want %d", len(accepted), want)
			}
		}
		open(most)
		c := <-accepted
		open(most - 1)
		_ = c.Close()
		_ = c.Close()
		open(most)
		// The listener is closed while it waits for a place.
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// Strangers to a listener's networks are closed at once; a mapped address is the
// one it stands for.
func TestNetworksOfAListener(t *testing.T) {
	t.Parallel()
	inner := &dialled{conns: make(chan net.Conn, 10), closed: make(chan struct{})}
	l := onlyConns(inner, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")})
	stranger, other := inner.dial("198.51.100.7:5"), inner.dial("[2001:db9::1]:5")
	for _, address := range []string{"192.0.2.9:5", "[::ffff:192.0.2.9]:5", "[2001:db8::1]:5"} {
		inner.dial(address)
		c, err := l.Accept()
		if err != nil || !inside(c.RemoteAddr(), []netip.Prefix{netip.MustParsePrefix("192.0.2.9/32"), netip.MustParsePrefix("2001:db8::1/128")}) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if !*stranger || !*other {
		t.Error("a stranger's connection is open")
	}
	if onlyConns(inner, nil) != net.Listener(inner) {
		t.Error("no networks must mean any")
	}
}
