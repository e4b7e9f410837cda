package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest"
)

const (
	// readBytes is the size of the buffers that connections are read into.
	readBytes = 16 << 10
	// heldFree is what a connection may hold without asking.
	heldFree = 2 * readBytes
	// acceptPause is how long to wait when a connection cannot be taken, for
	// want of file descriptors mostly.
	acceptPause = 100 * time.Millisecond
)

// Stream serves a listener of TCP or TLS connections.
type Stream struct {
	o        Options
	listener net.Listener
	tls      *tls.Config
	held     atomic.Int64 // of HeldBytesMax
}

// NewStream makes a server of l's connections, over TLS unless config is nil.
// Run owns l from then on.
func NewStream(l net.Listener, config *tls.Config, o Options) *Stream {
	o.defaults()
	return &Stream{o: o, listener: l, tls: config}
}

// Run serves until ctx ends: it then closes the listener and the connections,
// delivers what was read, and returns nil. Any other error is the listener's.
// It is called once.
func (s *Stream) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.listener.Close() })
	defer stop()
	defer s.listener.Close()
	grace, release := s.o.grace(ctx)
	defer release()
	conns, cancel := context.WithCancel(ctx)
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	slots := make(chan struct{}, ConnectionsMax)
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			s.o.Logger.Warn("a syslog connection could not be taken", "address", s.listener.Addr().String(), "error", err)
			if env.Sleep(ctx, s.o.Env.Clock, acceptPause) != nil {
				return nil
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			s.o.rejected(reasonConnections)
			_ = c.Close()
			continue
		}
		open.Go(func() {
			defer func() { <-slots }()
			s.serve(conns, grace, c)
		})
	}
}

// serve reads one connection to its end.
func (s *Stream) serve(ctx, grace context.Context, c net.Conn) {
	defer c.Close()
	grant, peer := s.o.Grant, peerOf(c.RemoteAddr())
	if s.tls != nil {
		secure := tls.Server(c, s.tls)
		if err := s.handshake(ctx, secure); err != nil {
			if ctx.Err() == nil {
				s.o.rejected(reasonHandshake)
			}
			return
		}
		c = secure
		if s.o.Certificates != nil {
			var ok bool
			if grant, ok = grantOf(secure.ConnectionState(), s.o.Certificates); !ok {
				s.o.rejected(reasonCertificate)
				return
			}
		}
	}
	conn := &connection{s: s, grace: grace, grant: grant, peer: peer}
	conn.run(ctx, c)
}

// handshake bounds the handshake by the clock.
func (s *Stream) handshake(ctx context.Context, c *tls.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		if env.Sleep(ctx, s.o.Env.Clock, HandshakeMax) == nil {
			cancel()
		}
	})
	return c.HandshakeContext(ctx)
}

// piece is what one read gave, or why there are no more.
type piece struct {
	data []byte
	err  error
}

// connection gathers the messages of one connection.
type connection struct {
	s *Stream
	// grace is the context of deliveries; it outlives that of the reading.
	grace context.Context
	grant ingest.Grant
	peer  string
	frame framer
	pack  pack
	taken int64 // of the listener's budget
}

// run reads c until it ends, is idle for too long or ctx ends. One goroutine
// reads, one gathers: the reader waits for the gatherer, which waits for the
// sink, so that a slow sink stops the reading.
func (c *connection) run(ctx context.Context, conn net.Conn) {
	pieces := make(chan piece)
	free := make(chan []byte, 1)
	free <- make([]byte, readBytes)
	done := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(pieces)
		for {
			var buf []byte
			select {
			case buf = <-free:
			case <-done:
				return
			}
			n, err := conn.Read(buf)
			select {
			case pieces <- piece{buf[:n], err}:
			case <-done:
				return
			}
			if err != nil {
				return
			}
		}
	})
	defer reader.Wait()
	defer conn.Close()
	defer close(done)
	defer c.release()

	clock := c.s.o.Env.Clock
	idle := clock.NewTimer(IdleMax)
	defer idle.Stop()
	var wait env.Timer
	var due <-chan time.Time // set while messages wait
	defer func() {
		if wait != nil {
			wait.Stop()
		}
	}()
	for {
		select {
		case p, more := <-pieces:
			if len(p.data) > 0 {
				c.frame.write(p.data)
				free <- p.data[:readBytes]
				if !c.cut() {
					return
				}
				idle.Reset(IdleMax)
			}
			if p.err != nil || !more {
				c.finish()
				return
			}
		case <-due:
			c.flush()
		case <-idle.C():
			c.s.o.rejected(reasonIdle)
			c.finish()
			return
		case <-ctx.Done():
			c.finish()
			return
		}
		switch {
		case c.pack.len() == 0:
			due = nil
		case due == nil:
			if wait == nil {
				wait = clock.NewTimer(BatchWait)
			} else {
				wait.Reset(BatchWait)
			}
			due = wait.C()
		}
	}
}

// cut takes the whole messages in hand; false when there is no memory for what
// is not whole.
func (c *connection) cut() bool {
	for {
		msg, detail, ok := c.frame.next()
		if !ok {
			break
		}
		c.add(msg, detail)
	}
	c.frame.rest()
	if c.budget(int64(len(c.pack.data) + c.frame.held())) {
		return true
	}
	c.flush()
	if c.budget(int64(c.frame.held())) {
		return true
	}
	c.s.o.rejected(reasonMemory)
	c.finish()
	return false
}

// add takes a message, or what is kept of one that is too large, with a detail.
func (c *connection) add(msg []byte, detail string) {
	reason := ""
	if detail != "" {
		reason = ingest.ReasonTooLarge
	}
	c.pack.add(msg, reason, detail)
	if c.pack.full() {
		c.flush()
	}
}

// budget asks for the memory to hold n bytes, or gives back what is not needed.
func (c *connection) budget(n int64) bool {
	need := max(0, n-heldFree)
	if c.s.held.Add(need-c.taken) > HeldBytesMax && need > c.taken {
		c.s.held.Add(c.taken - need)
		return false
	}
	c.taken = need
	return true
}

func (c *connection) release() {
	c.s.held.Add(-c.taken)
	c.taken = 0
}

// flush delivers what was gathered.
func (c *connection) flush() {
	c.s.o.deliver(c.grace, c.grant, c.peer, &c.pack)
	c.pack.reset()
}

// finish delivers all that was read.
func (c *connection) finish() {
	if msg, detail := c.frame.end(); msg != nil {
		c.add(msg, detail)
	}
	c.flush()
}
