// Package syslog receives syslog messages over UDP, TCP and TLS.
//
//	datagram or connection ──framing──▶ messages ──gather──▶ Batch ──Sink──▶ log
//
// A [Stream] serves a listener of connections, a [Datagram] a socket of
// datagrams. Neither looks into a message: that is for the parser of the format
// syslog, so that a message means the same live and in a file.
//
// # Framing
//
// A datagram is a message. On a connection (RFC 6587) a message that begins
// with up to seven digits and a blank is counted in octets; anything else ends
// at LF or NUL. Both may stand on one connection. A message beyond 1 MiB is
// refused with its first bytes, and reading goes on behind it. White space
// alone is no message. What stands behind the last line end when a connection
// ends is a message too.
//
// # Acknowledgement
//
// Syslog has none. A connection is not read while the sink is slow or busy, so
// that its sender waits or keeps what it has; no message is dropped and their
// order is kept. Datagrams wait in a bounded buffer, and when that is full the
// kernel drops them, which is counted where it tells ([Datagram]). Two equal
// messages are two events: each batch has a key of its own.
//
// # Whose messages
//
// Plain syslog names no sender, so a listener belongs to one source. With TLS,
// the certificate of the client may choose ([Options.Certificates]).
//
// # Limits
//
// See the constants. A connection costs two goroutines and, at rest, one read
// buffer.
package syslog

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/metric"
)

// Protocol names the receiver in batches and metrics.
const Protocol = "syslog"

// Bounds of a batch: whichever is reached first ends it. They keep a message
// from waiting while one sync of the log still serves many.
const (
	BatchMessagesMax = 1000
	BatchBytesMax    = 512 << 10
	BatchWait        = 50 * time.Millisecond
)

// Bounds of a listener.
const (
	// ConnectionsMax bounds the connections of one listener. One more is closed
	// at once, and counted.
	ConnectionsMax = 1024
	// MessageBytesMax bounds a message on a connection.
	MessageBytesMax = ingest.EventBytesMax
	// DatagramBytesMax bounds a datagram; UDP itself has no longer ones.
	DatagramBytesMax = 64 << 10
	// DatagramQueueBytesMax bounds the datagrams that were read and are not yet
	// in the log.
	DatagramQueueBytesMax = 8 << 20
	// HeldBytesMax bounds what the connections of one listener hold together
	// beyond their first [heldFree] bytes each.
	HeldBytesMax = 128 << 20
	// IdleMax is how long a connection may be silent: senders keep one open for
	// days, and a dead one is noticed by nobody else.
	IdleMax = 10 * time.Minute
	// HandshakeMax bounds the TLS handshake.
	HandshakeMax = 10 * time.Second
	// LastFlushMax bounds how long the last batches may take once a listener
	// is stopped.
	LastFlushMax = 10 * time.Second
)

// Reasons for which a listener refuses, as labels of a metric.
const (
	reasonConnections = "connections" // more than ConnectionsMax
	reasonCertificate = "certificate" // of nobody who is known
	reasonHandshake   = "handshake"   // TLS failed
	reasonMemory      = "memory"      // HeldBytesMax reached
	reasonIdle        = "idle"        // IdleMax reached
	reasonBatch       = "batch"       // the sink will never take it
	reasonStopped     = "stopped"     // LastFlushMax reached with the sink busy
)

// Options are what a listener needs.
type Options struct {
	// Env gives the clock and randomness, and the file system from which the
	// kernel's counters are read.
	Env env.Env
	// Sink takes the batches.
	Sink ingest.Sink
	// Grant is whose the messages are.
	Grant ingest.Grant
	// Certificates, unless it is nil, chooses by the client's certificate
	// instead of Grant: see [SPKI] and [SAN] for its keys. A client whose
	// certificate is not in it, or is in it for several grants, is sent away.
	Certificates map[string]ingest.Grant
	// Metrics counts what was refused and dropped.
	Metrics *metric.Set
	// Logger takes what an operator should know; nil is silent.
	Logger *slog.Logger
	// Dropped, if not nil, is told of datagrams that the kernel dropped.
	Dropped func(n int64)
}

func (o *Options) defaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// rejected counts a refusal.
func (o *Options) rejected(reason string) {
	o.Metrics.IngestRejected.WithLabelValues(Protocol, reason).Inc()
}

// peerOf is the address of a sender without its port, which says nothing of who
// it is.
func peerOf(a net.Addr) string {
	if a == nil {
		return ""
	}
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}

// shardOf puts all messages of a sender into one partition.
func shardOf(peer string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, peer) // a hash never fails
	return h.Sum32()
}

// pack is a batch in the making.
type pack struct {
	data    []byte
	frames  []format.Frame
	refused []ingest.Refused
}

func (p *pack) len() int { return len(p.frames) + len(p.refused) }

func (p *pack) full() bool { return p.len() >= BatchMessagesMax || len(p.data) >= BatchBytesMax }

// add copies a message. A reason says that it is none.
func (p *pack) add(msg []byte, reason, detail string) {
	start := len(p.data)
	p.data = append(p.data, msg...)
	if reason != "" {
		p.refused = append(p.refused, ingest.Refused{Start: start, End: len(p.data), Reason: reason, Detail: detail})
		return
	}
	p.frames = append(p.frames, format.Frame{Start: start, End: len(p.data)})
}

// dataKeptMax bounds the memory that an empty pack keeps.
const dataKeptMax = 16 << 10

func (p *pack) reset() {
	if cap(p.data) > dataKeptMax {
		*p = pack{}
		return
	}
	p.data, p.frames, p.refused = p.data[:0], p.frames[:0], p.refused[:0]
}

// keyBytes is the length of a batch's key: chance enough that no two batches
// share one.
const keyBytes = 16

// errKey is returned when there is no randomness, without which two batches
// might be taken for one.
var errKey = errors.New("no random bytes for the key of a batch")

// deliver hands a pack to the sink and returns once it is durable, however long
// the sink is busy. It gives up when ctx ends, and on a batch that the sink will
// never take; both are counted and logged with the number of messages.
func (o *Options) deliver(ctx context.Context, g ingest.Grant, peer string, p *pack) {
	if p.len() == 0 {
		return
	}
	key := make([]byte, keyBytes)
	if _, err := io.ReadFull(o.Env.Rand, key); err != nil {
		o.lost(reasonBatch, p, errors.Join(errKey, err))
		return
	}
	b := &ingest.Batch{
		Tenant: g.Tenant, Source: g.Source, Shard: shardOf(peer), Protocol: Protocol, Format: "syslog", Peer: peer,
		Received: o.Env.Clock.Now(), Key: key, Data: p.data, Frames: p.frames, Refused: p.refused,
	}
	for {
		err := o.offer(ctx, b)
		var busy *ingest.Busy
		switch {
		case err == nil:
			return
		case errors.As(err, &busy):
			if env.Sleep(ctx, o.Env.Clock, busy.Wait) != nil {
				o.lost(reasonStopped, p, err)
				return
			}
		case ctx.Err() != nil:
			o.lost(reasonStopped, p, err)
			return
		default:
			o.lost(reasonBatch, p, err)
			return
		}
	}
}

func (o *Options) offer(ctx context.Context, b *ingest.Batch) error {
	release, err := o.Sink.Admit(b.Tenant, b.Source, int64(len(b.Data)))
	if err != nil {
		return err
	}
	defer release()
	return o.Sink.Accept(ctx, b)
}

// lost tells of messages that are not in the log.
func (o *Options) lost(reason string, p *pack, err error) {
	o.Metrics.IngestRejected.WithLabelValues(Protocol, reason).Add(float64(p.len()))
	o.Logger.Error("syslog messages were not stored", "source", o.Grant.Source, "messages", p.len(), "reason", reason, "error", err)
}

// grace returns a context that lives on for LastFlushMax of the clock after ctx
// has ended, so that what was read can still be delivered. The function must be
// called; it waits for the goroutine.
func (o *Options) grace(ctx context.Context) (context.Context, func()) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-ctx.Done():
			if env.Sleep(longer, o.Env.Clock, LastFlushMax) == nil {
				cancel()
			}
		case <-longer.Done():
		}
	}()
	return longer, func() {
		cancel()
		<-done
	}
}
