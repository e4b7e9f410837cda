package httpin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/tiercel-io/tiercel/ingest"
)

// Delivery is a body that was let in, until it is closed.
type Delivery struct {
	Grant ingest.Grant
	// Peer is who sent it; the zero Addr when unknown.
	Peer netip.Addr
	// Data is the body, inflated. The holder may change it. It is gone after
	// Close.
	Data []byte
	// SentBytes is its length on the wire.
	SentBytes int64
	// End is when its last byte was there.
	End time.Time

	gate    *Gate
	buffer  *Buffer
	reserve reserve
}

// Receive asks the sink for room, then reads the body and inflates it; it asks
// for more when the body turns out larger than its length let expect. max
// bounds the body, as sent and inflated; 0 takes the front's bound. The error
// is a *Fault: 413, 429 with its Wait (the sink has no room; but for such a
// body nothing was read), 400 or 415 for the encoding, 408 for a body slower
// than [Options.BodyRateMin]; then nothing needs closing. Otherwise the caller
// closes the delivery after its batch was accepted.
func (g *Gate) Receive(w http.ResponseWriter, r *http.Request, grant ingest.Grant, max int64) (*Delivery, error) {
	limit := g.limit(max)
	encoding, err := encodingOf(r.Header)
	if err != nil {
		return nil, err
	}
	if r.ContentLength > limit {
		return nil, tooLong(limit)
	}
	d := &Delivery{Grant: grant, Peer: g.Peer(r), gate: g, reserve: reserve{sink: g.o.Sink, grant: grant}}
	if err := d.reserve.open(hint(r.ContentLength, encoding, limit)); err != nil {
		return nil, err
	}
	if d.buffer, d.SentBytes, err = g.read(w, r, encoding, limit, &d.reserve); err != nil {
		d.reserve.close()
		return nil, err
	}
	d.Data, d.End = d.buffer.B, g.o.Clock.Now()
	return d, nil
}

// Small reads a body without asking the sink, for requests that bring no
// events: a template, an acknowledgement's query. It is bounded like Receive;
// the caller releases the buffer.
func (g *Gate) Small(w http.ResponseWriter, r *http.Request, max int64) (*Buffer, error) {
	limit := g.limit(max)
	encoding, err := encodingOf(r.Header)
	if err != nil {
		return nil, err
	}
	if r.ContentLength > limit {
		return nil, tooLong(limit)
	}
	b, _, err := g.read(w, r, encoding, limit, nil)
	return b, err
}

func (g *Gate) limit(max int64) int64 {
	if max <= 0 || max > g.o.BodyBytesMax {
		return g.o.BodyBytesMax
	}
	return max
}

func tooLong(limit int64) error {
	return Faultf(http.StatusRequestEntityTooLarge, ReasonTooLarge, "the body is longer than %d bytes; send smaller batches", limit)
}

// Batch begins the batch of a delivery: all but its frames, its format and its
// dataset.
func (d *Delivery) Batch() *ingest.Batch {
	b := &ingest.Batch{
		Tenant:   d.Grant.Tenant,
		Source:   d.Grant.Source,
		Shard:    Shard(d.Peer, d.Grant),
		Protocol: d.gate.protocol,
		Received: d.End,
		Data:     d.Data,
	}
	if d.Peer.IsValid() {
		b.Peer = d.Peer.String()
	}
	return b
}

// Accept hands a batch of the delivery to the sink and waits until it is
// durable. The error is a *Fault: 429 with its Wait, 499 when the client went
// away first, 500 for anything else; none of them may be answered in a way that
// makes the client forget the batch.
func (d *Delivery) Accept(ctx context.Context, b *ingest.Batch) error {
	err := d.gate.o.Sink.Accept(ctx, b)
	if err == nil {
		return nil
	}
	return d.gate.Fault(err)
}

// FrameBytes is about what a record takes besides its bytes: its frame, and what is
// encoded of it.
const FrameBytes = 64

// Reserve makes the room of a delivery at least bytes, for what a request takes
// besides its body when it has very many short records ([FrameBytes] each): the
// room is for the larger of both, as the memory of either is a few times the
// other's at most, and so that a large body which was let in is not refused behind
// itself for ever. The error is a *Fault, 429 with its Wait.
func (d *Delivery) Reserve(bytes int64) error { return d.reserve.atLeast(bytes) }

// Close gives back the room in the sink and the memory of Data.
func (d *Delivery) Close() {
	d.reserve.close()
	if d.buffer != nil {
		d.buffer.B = d.Data[:0]
		d.buffer.Release()
		d.buffer, d.Data = nil, nil
	}
}

// read takes the whole body and inflates it.
func (g *Gate) read(w http.ResponseWriter, r *http.Request, encoding string, limit int64, room *reserve) (*Buffer, int64, error) {
	sent := TakeBuffer()
	var err error
	if sent.B, err = g.readSent(w, r, sent.B, limit, room); err != nil {
		sent.Release()
		return nil, 0, err
	}
	size := int64(len(sent.B))
	if encoding == "" || size == 0 {
		return sent, size, nil
	}
	defer sent.Release()
	out := TakeBuffer()
	most := min(limit, max(RatioFreeBytes, size*int64(g.o.RatioMax)))
	allowed := most
	if room != nil {
		if err = room.atLeast(size + 1); err != nil {
			out.Release()
			return nil, 0, err
		}
		allowed = min(most, room.bytes-size)
	}
	for {
		out.B, err = Inflate(out.B[:0], sent.B, encoding, allowed)
		if err == nil {
			return out, size, nil
		}
		// What does not fit the room is inflated again with four times as much,
		// if the sink has it.
		if allowed < most && AsFault(err).Reason == ReasonTooLarge {
			allowed = min(most, 4*allowed)
			if err = room.atLeast(size + allowed); err == nil {
				continue
			}
		}
		out.Release()
		return nil, 0, err
	}
}

// readSent reads a body as sent. A client has [BodyGrace], and then a second
// for each [Options.BodyRateMin] bytes: the deadline moves with what it sent.
func (g *Gate) readSent(w http.ResponseWriter, r *http.Request, dst []byte, limit int64, room *reserve) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return dst, nil
	}
	// Recorders of tests and some wrappers know no deadlines; the clock is
	// looked at between reads as well.
	control := http.NewResponseController(w)
	begun := g.o.Clock.Now()
	if r.ContentLength > 0 && int64(cap(dst)) < min(r.ContentLength, firstBytes) {
		dst = make([]byte, 0, min(r.ContentLength+1, firstBytes))
	}
	most := limit + 1
	if r.ContentLength > 0 {
		most = min(most, r.ContentLength+1) // one for the end to be seen
	}
	for {
		deadline := begun.Add(BodyGrace + time.Duration(len(dst))*time.Second/time.Duration(g.o.BodyRateMin))
		if g.o.Clock.Now().After(deadline) {
			return dst, slow(w, g.o.BodyRateMin)
		}
		_ = control.SetReadDeadline(deadline)
		if room != nil && int64(len(dst)) >= room.bytes && r.ContentLength < 0 {
			if err := room.atLeast(min(2*room.bytes, limit+1)); err != nil {
				w.Header().Set("Connection", "close")
				return dst, err
			}
		}
		dst = grow(dst, most)
		n, err := r.Body.Read(dst[len(dst):min(int64(cap(dst)), limit+1)])
		dst = dst[:len(dst)+n]
		switch {
		case int64(len(dst)) > limit:
			w.Header().Set("Connection", "close")
			return dst, tooLong(limit)
		case err == io.EOF:
			_ = control.SetReadDeadline(time.Time{})
			return dst, nil
		case err != nil:
			return dst, readFault(w, err, g.o.BodyRateMin)
		}
	}
}

func slow(w http.ResponseWriter, rate int) error {
	w.Header().Set("Connection", "close")
	return Faultf(http.StatusRequestTimeout, ReasonSlow, "the body came slower than %d bytes a second", rate)
}

func readFault(w http.ResponseWriter, err error, rate int) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return slow(w, rate)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return slow(w, rate)
	}
	w.Header().Set("Connection", "close")
	return &Fault{Status: http.StatusBadRequest, Reason: ReasonCut, Err: errors.New("the body ended before its length")}
}

// Answer writes a whole answer and counts it: status, the headers set on w
// before, and a body that is not kept. The client has [AnswerWait] to read it.
// d is the delivery that was made durable, or nil; its time to the answer is
// measured.
func (g *Gate) Answer(w http.ResponseWriter, status int, body []byte, d *Delivery) {
	g.AnswerPieces(w, status, len(body), func(w io.Writer) { _, _ = w.Write(body) }, d)
}

// AnswerPieces is Answer for a body of size bytes that write writes piece by
// piece, so that it is never in memory whole.
func (g *Gate) AnswerPieces(w http.ResponseWriter, status, size int, write func(io.Writer), d *Delivery) {
	now := g.o.Clock.Now()
	if d != nil && status < 300 {
		g.ack.Observe(now.Sub(d.End).Seconds())
	}
	g.Answered(status)
	_ = http.NewResponseController(w).SetWriteDeadline(now.Add(AnswerWait))
	if status == StatusCut {
		// Nobody reads it; the server must write some status.
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(status)
	write(w)
}
