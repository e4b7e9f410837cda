package syslog

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format/lines"
)

const (
	// dropsEvery is how often the kernel's counters are read.
	dropsEvery = 10 * time.Second
	// deliveriesMax bounds the batches of one gathering that are on their way
	// to the sink at once: each sender has its own, and they share one sync.
	deliveriesMax = 16
	// packetCost is what a datagram takes in the queue besides its bytes.
	packetCost = 64
)

// Datagram serves a socket of datagrams. What arrives while the queue is full
// waits in the kernel's buffer, and what finds that full is dropped: on Linux
// the number is read from /proc/net/udp every 10 s and goes to the metric of UDP
// drops and to [Options.Dropped].
type Datagram struct {
	o    Options
	conn net.PacketConn

	mu     sync.Mutex
	queue  []packet
	bytes  int
	closed error
	ready  chan struct{} // has a value when the queue holds something
	room   chan struct{} // has a value when the queue has been emptied
}

type packet struct {
	peer string
	data []byte
}

// NewDatagram makes a server of c's datagrams. Run owns c from then on.
func NewDatagram(c net.PacketConn, o Options) *Datagram {
	o.defaults()
	return &Datagram{o: o, conn: c, ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// Run serves until ctx ends: it then closes the socket, delivers what was read,
// and returns nil. Any other error is the socket's. It is called once.
func (d *Datagram) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { _ = d.conn.Close() })
	defer stop()
	grace, release := d.o.grace(ctx)
	defer release()
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() { d.read(ctx) })
	parts.Go(func() { d.watch(ctx) })
	return d.gather(ctx, grace)
}

// signal wakes the one who waits on c, now or when it next does.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// read queues datagrams until the socket is closed.
func (d *Datagram) read(ctx context.Context) {
	buf := make([]byte, DatagramBytesMax)
	for {
		n, addr, err := d.conn.ReadFrom(buf)
		if err != nil && n == 0 {
			if ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				// An ICMP answer to some other datagram, or no memory: it passes.
				if env.Sleep(ctx, d.o.Env.Clock, acceptPause) == nil {
					continue
				}
			}
			d.mu.Lock()
			d.closed = err
			d.mu.Unlock()
			signal(d.ready)
			return
		}
		msg := trim(buf[:n])
		if lines.Blank(msg) {
			continue
		}
		p := packet{peer: peerOf(addr), data: bytes.Clone(msg)}
		for {
			d.mu.Lock()
			fits := d.bytes+len(p.data)+packetCost <= DatagramQueueBytesMax
			if fits {
				d.queue = append(d.queue, p)
				d.bytes += len(p.data) + packetCost
			}
			full := len(d.queue) >= BatchMessagesMax || d.bytes >= BatchBytesMax
			first := len(d.queue) == 1
			d.mu.Unlock()
			if first || full {
				signal(d.ready)
			}
			if fits {
				break
			}
			<-d.room // the gatherer empties the queue until the reader has ended
		}
	}
}

// take returns what fits into one gathering.
func (d *Datagram) take() (got []packet, closed error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, size := 0, 0
	for n < len(d.queue) && n < BatchMessagesMax && size < BatchBytesMax {
		size += len(d.queue[n].data)
		n++
	}
	got = append(got, d.queue[:n]...)
	d.bytes -= size + n*packetCost
	kept := copy(d.queue, d.queue[n:])
	clear(d.queue[kept:])
	d.queue = d.queue[:kept]
	if len(d.queue) == 0 {
		closed = d.closed
		if cap(d.queue) > 4*BatchMessagesMax {
			d.queue = nil
		}
	}
	signal(d.room)
	return got, closed
}

// enough reports whether a gathering is full.
func (d *Datagram) enough() (enough, some bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue) >= BatchMessagesMax || d.bytes >= BatchBytesMax || d.closed != nil, len(d.queue) > 0
}

// gather delivers what is queued until the reader has ended.
func (d *Datagram) gather(ctx, grace context.Context) error {
	for {
		<-d.ready
		if enough, _ := d.enough(); !enough {
			wait := d.o.Env.Clock.NewTimer(BatchWait)
			for due := false; !due; {
				select {
				case <-wait.C():
					due = true
				case <-d.ready:
					due, _ = d.enough()
				}
			}
			wait.Stop()
		}
		got, closed := d.take()
		d.deliver(grace, got)
		if closed != nil {
			if ctx.Err() != nil {
				return nil
			}
			return closed
		}
		if enough, some := d.enough(); enough || some {
			signal(d.ready)
		}
	}
}

// deliver hands the datagrams of each sender to the sink, in the order in
// which the senders were first heard.
func (d *Datagram) deliver(ctx context.Context, got []packet) {
	if len(got) == 0 {
		return
	}
	packs := map[string]*pack{}
	var peers []string
	for _, p := range got {
		if packs[p.peer] == nil {
			packs[p.peer] = &pack{}
			peers = append(peers, p.peer)
		}
		packs[p.peer].add(p.data, "", "")
	}
	slots := make(chan struct{}, deliveriesMax)
	var under sync.WaitGroup
	for _, peer := range peers {
		slots <- struct{}{}
		under.Go(func() {
			defer func() { <-slots }()
			d.o.deliver(ctx, d.o.Grant, peer, packs[peer])
		})
	}
	under.Wait()
}
