package syslog

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/ingest"
)

func datagram(t *testing.T, o Options) (*fixture, net.Conn) {
	t.Helper()
	c, err := o.Env.Net.ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{sink: o.Sink.(*sink), o: o}
	f.start(t, c.LocalAddr(), NewDatagram(c, o).Run)
	d, err := o.Env.Net.DialContext(context.Background(), "udp", c.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return f, d
}

func TestDatagrams(t *testing.T) {
	t.Parallel()
	f, c := datagram(t, options(t, newSink()))
	long := strings.Repeat("x", 60_000)
	want := []string{"<13>a", "<13>two\nlines", "<13>equal", "<13>equal", "5 no count", long, "\xff\xfe"}
	for i, m := range want {
		write(t, c, m+"\n")
		f.until(func() bool { return f.records() == i+1 })
	}
	for _, blank := range []string{"", "\n", " \x00"} {
		write(t, c, blank)
	}
	write(t, c, "<13>end")
	f.until(func() bool { return f.records() == len(want)+1 })
	if diff := cmp.Diff(append(want, "<13>end"), f.messages()); diff != "" {
		t.Errorf("%.1000s", diff)
	}
	if b := f.batches[0]; b.Peer != "127.0.0.1" || len(b.Key) != keyBytes || b.Format != "syslog" {
		t.Errorf("%+v", b)
	}
}

// packets is a socket whose datagrams a test makes up.
type packets struct {
	in     chan packet
	closed chan struct{}
	local  net.Addr
}

func newPackets() *packets {
	return &packets{in: make(chan packet), closed: make(chan struct{}), local: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 514}}
}

func (p *packets) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case m := <-p.in:
		return copy(b, m.data), net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(m.peer), 1)), nil
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

func (p *packets) WriteTo([]byte, net.Addr) (int, error) { return 0, net.ErrClosed }
func (p *packets) Close() error                          { close(p.closed); return nil }
func (p *packets) LocalAddr() net.Addr                   { return p.local }
func (p *packets) SetDeadline(time.Time) error           { return nil }
func (p *packets) SetReadDeadline(time.Time) error       { return nil }
func (p *packets) SetWriteDeadline(time.Time) error      { return nil }

// Each sender has its own batch and shard, and its own order.
func TestSenders(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	p := newPackets()
	f := &fixture{sink: o.Sink.(*sink), o: o}
	f.start(t, p.local, NewDatagram(p, o).Run)
	for i := range 40 {
		p.in <- packet{fmt.Sprintf("192.0.2.%d", i%20), fmt.Appendf(nil, "<13>%d", i)}
	}
	f.until(func() bool { return f.records() == 40 })
	f.stop()
	byPeer := map[string][]string{}
	for _, b := range f.batches {
		if b.Shard != shardOf(b.Peer) {
			t.Errorf("%s in shard %d", b.Peer, b.Shard)
		}
		for _, fr := range b.Frames {
			byPeer[b.Peer] = append(byPeer[b.Peer], string(b.Data[fr.Start:fr.End]))
		}
	}
	for i := range 20 {
		want := []string{fmt.Sprintf("<13>%d", i), fmt.Sprintf("<13>%d", i+20)}
		if diff := cmp.Diff(want, byPeer[fmt.Sprintf("192.0.2.%d", i)]); diff != "" {
			t.Error(diff)
		}
	}
}

// While the sink is busy the queue fills up to its bound and no further; then
// all that was read is delivered, also when the listener is being stopped.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	clock := newHand()
	o.Env.Clock = clock
	f := &fixture{sink: o.Sink.(*sink), o: o}
	f.set(func() { f.busy = &ingest.Busy{Wait: time.Second, Why: "test"} })
	p := newPackets()
	d := NewDatagram(p, o)
	f.start(t, p.local, d.Run)
	msg := packet{"192.0.2.9", []byte("<13>" + strings.Repeat("x", 10_000))}
	p.in <- msg
	clock.advance(BatchWait)
	f.until(func() bool { return f.refused == 1 })
	sent := 1
	bound := DatagramQueueBytesMax / (len(msg.data) + packetCost)
	for ; sent < bound+2; sent++ { // the queue, and one in the reader's hand
		p.in <- msg
	}
	d.mu.Lock()
	held := d.bytes
	d.mu.Unlock()
	if held > DatagramQueueBytesMax || held+len(msg.data)+packetCost <= DatagramQueueBytesMax {
		t.Errorf("%d bytes in the queue", held)
	}
	select {
	case p.in <- msg:
		t.Error("read beyond the bound")
	default:
	}
	f.set(func() { f.busy = nil })
	go f.stop()
	clock.advance(time.Second)
	f.until(func() bool { return f.records() == sent })
	f.stop()
}

const tableHead = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n"

func TestDropsAreCounted(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	clock := newHand()
	o.Env.Clock = clock
	fs := vfs.NewMem()
	o.Env.FS = fs
	table := func(drops int) {
		text := tableHead +
			"  100: 010200C0:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 " + fmt.Sprint(drops) + "\n" +
			"  101: 020200C0:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 99\n" +
			"  102: 010200C0:0203 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4713 2 0000000000000000 99\n" +
			"nonsense\n"
		if err := fs.MkdirAll("/proc/net", 0o755); err != nil {
			t.Error(err)
		}
		w, err := fs.Create(table4, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(text))
		_ = w.Close()
	}
	dropped := make(chan int64, 10)
	o.Dropped = func(n int64) { dropped <- n }
	p := newPackets()
	f := &fixture{sink: o.Sink.(*sink), o: o}
	table(3)
	f.start(t, p.local, NewDatagram(p, o).Run)
	clock.advance(dropsEvery)
	if n := <-dropped; n != 3 {
		t.Errorf("%d dropped", n)
	}
	table(10)
	clock.advance(dropsEvery)
	if n := <-dropped; n != 7 {
		t.Errorf("%d dropped", n)
	}
	f.stop()
	if n := counter(t, o.Metrics, "tiercel_ingest_udp_drops_total", ""); n != 10 {
		t.Errorf("%v counted", n)
	}
}

func TestKernelTable(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]struct {
		addr  string
		drops int64
	}{
		"  1: 0100007F:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 5":                                                 {"127.0.0.1:514", 5},
		"  1: 00000000000000000000000000000000:0202 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 6": {"[::]:514", 6},
		"  1: B80D0120000000000000000001000000:0202 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 7": {"[2001:db8::1]:514", 7},
		"": {}, "  1: x:0202 a b c d e f g h i j 7": {}, "  1: 0100007F:0202 a b c d e f g h i j -7": {}, "  1: 01:0202 a b c d e f g h i j 7": {},
	} {
		drops, addr, ok := tableLine(line)
		if ok != (want.addr != "") || ok && (addr.String() != want.addr || drops != want.drops) {
			t.Errorf("%q: %s, %d, %v", line, addr, drops, ok)
		}
	}
	if _, err := kernelDrops(vfs.NewMem(), &net.UDPAddr{Port: 1}); err == nil {
		t.Error("no table and no error")
	}
	// The real one, where there is one.
	if _, err := vfs.Default.Stat(table4); err == nil {
		c, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if n, err := kernelDrops(vfs.Default, c.LocalAddr()); err != nil || n != 0 {
			t.Errorf("%d, %v", n, err)
		}
		// Nobody reads, so the socket's buffer fills.
		d, err := net.Dial("udp", c.LocalAddr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for range 5000 {
			_, _ = d.Write(make([]byte, 8000))
		}
		if n, err := kernelDrops(vfs.Default, c.LocalAddr()); err != nil || n == 0 {
			t.Errorf("%d, %v", n, err)
		}
	}
}

func FuzzKernelTable(f *testing.F) {
	f.Add("  1: 0100007F:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1 2 0 5")
	f.Fuzz(func(t *testing.T, line string) {
		if drops, _, ok := tableLine(line); ok && drops < 0 {
			t.Fatal(drops)
		}
	})
}
