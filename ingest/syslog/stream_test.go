package syslog

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
)

func TestStreamDelivers(t *testing.T) {
	t.Parallel()
	f := stream(t, options(t, newSink()))
	c := f.dial(t)
	write(t, c, "<13>a\n5 <13>b<13>c\x00")
	f.until(func() bool { return f.records() == 3 })
	write(t, c, "<13>equal\n<13>equal\n")
	f.until(func() bool { return f.records() == 5 })
	// A client that has nothing more to send may still leave a line open.
	write(t, c, "<13>last")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	f.until(func() bool { return f.records() == 6 })
	f.stop()
	want := []string{"<13>a", "<13>b", "<13>c", "<13>equal", "<13>equal", "<13>last"}
	if diff := cmp.Diff(want, f.messages()); diff != "" {
		t.Error(diff)
	}
	keys := map[string]bool{}
	for _, b := range f.batches {
		if b.Tenant != event.LocalTenant || b.Source != "net" || b.Protocol != "syslog" || b.Format != "syslog" || b.Peer != "127.0.0.1" || b.File != nil || b.Received.IsZero() {
			t.Errorf("%+v", b)
		}
		if b.Shard != f.batches[0].Shard || len(b.Key) != keyBytes || keys[string(b.Key)] {
			t.Errorf("shard %d, key %x", b.Shard, b.Key)
		}
		keys[string(b.Key)] = true
	}
}

func TestStreamCutsBatches(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	clock := newHand() // which never moves: nothing is flushed by time
	o.Env.Clock = clock
	f := stream(t, o)
	c := f.dial(t)
	go func() { _, _ = c.Write([]byte(strings.Repeat("<13>a\n", 2*BatchMessagesMax+1))) }()
	f.until(func() bool { return f.records() == 2*BatchMessagesMax })
	clock.advance(BatchWait)
	f.until(func() bool { return f.records() == 2*BatchMessagesMax+1 })
	line := strings.Repeat("x", 100<<10) + "\n"
	go func() { _, _ = c.Write([]byte(strings.Repeat(line, 6))) }() // the sixth goes beyond 512 KiB
	f.until(func() bool { return f.records() == 2*BatchMessagesMax+7 })
	if n := len(f.batches); n != 4 {
		t.Errorf("%d batches", n)
	}
}

// While the sink is busy nothing is read; then all of it comes, in order.
func TestBusyStopsTheReading(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	clock := newHand()
	o.Env.Clock = clock
	f := stream(t, o)
	const wait = 7 * time.Second
	f.set(func() { f.busy = &ingest.Busy{Wait: wait, Why: "test"} })
	c := f.dial(t)
	pad := strings.Repeat("x", 1000)
	const total = 100_000 // 100 MB: more than all buffers on the way
	sent := make(chan struct{})
	var want []string
	for i := range total {
		want = append(want, fmt.Sprintf("<13>%06d %s", i, pad))
	}
	go func() {
		defer close(sent)
		for chunk := range slices.Chunk(want, 100) {
			if _, err := c.Write([]byte(strings.Join(chunk, "\n") + "\n")); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	f.until(func() bool { return f.refused == 1 })
	for i := range 3 {
		clock.advance(wait)
		f.until(func() bool { return f.refused == i+2 })
	}
	select {
	case <-sent:
		t.Error("the client was never held back")
	default:
	}
	if n := len(f.messages()); n != 0 {
		t.Errorf("%d messages while busy", n)
	}
	f.set(func() { f.busy = nil })
	clock.advance(wait)
	<-sent
	_ = c.CloseWrite()
	f.until(func() bool { return f.records() == total })
	if !slices.Equal(want, f.messages()) {
		t.Error("not in order")
	}
	if n := counter(t, o.Metrics, "tiercel_ingest_rejected_total", ""); n != 0 {
		t.Errorf("%v rejected", n)
	}
}

// What was read before the end is delivered, even when the sink was busy.
func TestStopDelivers(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	clock := newHand()
	o.Env.Clock = clock
	f := stream(t, o)
	f.set(func() { f.busy = &ingest.Busy{Wait: time.Second, Why: "test"} })
	c := f.dial(t)
	write(t, c, "<13>a\n<13>open")
	clock.advance(BatchWait)
	f.until(func() bool { return f.refused == 1 })
	f.set(func() { f.busy = nil })
	go f.stop()
	clock.advance(time.Second)
	f.until(func() bool { return f.records() == 2 })
	f.stop()
	if diff := cmp.Diff([]string{"<13>a", "<13>open"}, f.messages()); diff != "" {
		t.Error(diff)
	}
}

// A sink that stays busy does not keep the process from ending; what is lost
// then is counted.
func TestStopGivesUp(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	clock := newHand()
	o.Env.Clock = clock
	f := stream(t, o)
	f.set(func() { f.busy = &ingest.Busy{Wait: time.Hour, Why: "test"} })
	c := f.dial(t)
	write(t, c, "<13>a\n<13>b\n")
	clock.advance(BatchWait)
	f.until(func() bool { return f.refused == 1 })
	go f.stop()
	clock.advance(LastFlushMax)
	f.stop()
	if n := counter(t, o.Metrics, "tiercel_ingest_rejected_total", reasonStopped); n != 2 {
		t.Errorf("%v counted as lost", n)
	}
}

func TestBadBatchIsCounted(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	f := stream(t, o)
	f.set(func() { f.err = errBad })
	c := f.dial(t)
	write(t, c, "<13>a\n")
	_ = c.CloseWrite()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the server wrote something")
	}
	f.stop()
	if n := counter(t, o.Metrics, "tiercel_ingest_rejected_total", reasonBatch); n != 1 {
		t.Errorf("%v counted", n)
	}
}

func TestOversize(t *testing.T) {
	t.Parallel()
	f := stream(t, options(t, newSink()))
	c := f.dial(t)
	go func() { _, _ = c.Write([]byte(strings.Repeat("x", 3*MessageBytesMax) + "\n<13>a\n")) }()
	f.until(func() bool { return f.records() == 2 })
	f.stop()
	if diff := cmp.Diff([]string{"<13>a"}, f.messages()); diff != "" {
		t.Error(diff)
	}
	for _, b := range f.batches {
		for _, r := range b.Refused {
			if r.Reason != ingest.ReasonTooLarge || r.End-r.Start != ingest.RefusedBytesMax || r.Detail != ingest.LargeDetail([]byte(strings.Repeat("x", 3*MessageBytesMax))) {
				t.Errorf("%+v", r)
			}
		}
	}
}

func TestIdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	clock := newHand()
	o.Env.Clock = clock
	f := stream(t, o)
	c := f.dial(t)
	write(t, c, "<13>slow\n")
	clock.advance(BatchWait)
	f.until(func() bool { return f.records() == 1 })
	clock.advance(IdleMax)
	f.until(func() bool { return f.records() == 1 })
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is still open")
	}
	if n := counter(t, o.Metrics, "tiercel_ingest_rejected_total", reasonIdle); n != 1 {
		t.Errorf("%v counted", n)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	f := stream(t, o)
	for range ConnectionsMax {
		f.dial(t)
	}
	// Connections are taken in order, so this one finds all places taken.
	c := f.dial(t)
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("one too many was taken")
	}
	f.stop()
	if n := counter(t, o.Metrics, "tiercel_ingest_rejected_total", reasonConnections); n != 1 {
		t.Errorf("%v counted", n)
	}
}

// A connection that would hold more than the listener has left is closed, and
// what it held is delivered.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	l, err := o.Env.Net.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewStream(l, nil, o)
	s.held.Store(HeldBytesMax - 1000)
	f := &fixture{sink: o.Sink.(*sink), o: o}
	f.start(t, l.Addr(), s.Run)
	c := f.dial(t)
	go func() { _, _ = c.Write([]byte(strings.Repeat("x", 200<<10))) }()
	f.until(func() bool { return f.records() == 1 })
	f.stop()
	if n := counter(t, o.Metrics, "tiercel_ingest_rejected_total", reasonMemory); n != 1 {
		t.Errorf("%v counted", n)
	}
	if n := s.held.Load(); n != HeldBytesMax-1000 {
		t.Errorf("%d bytes held", n)
	}
}

// A listener that fails says so.
func TestListenerFails(t *testing.T) {
	t.Parallel()
	o := options(t, newSink())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := NewStream(l, nil, o).Run(context.Background()); err == nil {
		t.Error("no error")
	}
}
