package main

import (
	"net"
	"net/netip"
	"sync"
)

// limitListener lets n connections be open at a time; others wait in the
// kernel's queue.
func limitListener(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &placed{Conn: c, leave: func() { <-l.places }}, nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

type placed struct {
	net.Conn
	once  sync.Once
	leave func()
}

// Close implements net.Conn.
func (c *placed) Close() error {
	c.once.Do(c.leave)
	return c.Conn.Close()
}

// onlyConns closes connections from addresses outside of networks; none means
// any.
func onlyConns(l net.Listener, networks []netip.Prefix) net.Listener {
	if len(networks) == 0 {
		return l
	}
	return &fencedListener{l, networks}
}

type fencedListener struct {
	net.Listener
	networks []netip.Prefix
}

// Accept implements net.Listener.
func (l *fencedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil || inside(c.RemoteAddr(), l.networks) {
			return c, err
		}
		_ = c.Close() // a stranger's connection
	}
}

func onlyPackets(c net.PacketConn, networks []netip.Prefix) net.PacketConn {
	if len(networks) == 0 {
		return c
	}
	return &fencedPackets{c, networks}
}

type fencedPackets struct {
	net.PacketConn
	networks []netip.Prefix
}

// ReadFrom implements net.PacketConn.
func (c *fencedPackets) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.PacketConn.ReadFrom(b)
		if err != nil || inside(from, c.networks) {
			return n, from, err
		}
	}
}

func inside(a net.Addr, networks []netip.Prefix) bool {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap()
	for _, n := range networks {
		if n.Contains(addr) {
			return true
		}
	}
	return false
}
