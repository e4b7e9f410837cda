// Package ingest is what receivers share: the batch that a client's request
// becomes, who it is from, and where it goes.
//
//	client ──receiver──▶ Batch ──Sink.Accept──▶ durable in the log ──▶ answer
//
// A receiver speaks one protocol. It asks the [Authenticator] whose the token
// is, asks [Sink.Admit] before it reads a body, cuts the body into frames
// without parsing them, and answers with "ok" only when Accept returned nil. A
// record that it cannot frame or that exceeds a limit goes into the batch as
// [Refused] and is acknowledged with the others: a bad event never fails its
// batch. Only a broken frame (bad gzip, bad protobuf) fails the request.
package ingest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// Bounds of what is received; see docs/reference/limits.md.
const (
	// EventBytesMax bounds one event; a larger one is refused with its first
	// bytes kept.
	EventBytesMax = event.RecordBytesMax
	// BatchEventsMax bounds the records of one batch.
	BatchEventsMax = 10_000
	// BodyBytesMax is the default bound of a request's body, as sent and
	// inflated.
	BodyBytesMax = 64 << 20
	// RefusedBytesMax bounds what is kept of a record that is too large.
	RefusedBytesMax = 64 << 10
)

// Refused is a piece of a batch that is no record: it goes to quarantine with
// its reason and is counted as received.
type Refused struct {
	// Start and End delimit what is kept of it in the batch's data.
	Start, End int
	// Reason is one of the stable words of [Reasons]; Detail says more to a
	// person and may be empty.
	Reason, Detail string
}

// The reasons for quarantine, a closed set since they label a metric.
const (
	ReasonTooLarge    = "too_large"   // beyond EventBytesMax
	ReasonUnparsed    = "unparsed"    // the format's parser refused it
	ReasonNotRecord   = "not_record"  // framed, but no event: a bulk action without a document
	ReasonUnsupported = "unsupported" // asks for what is not done: update, delete
	ReasonPanic       = "panic"       // it made a parser fail, which is a fault of ours
	ReasonLimit       = "limit"       // depth, keys, fields beyond the table of limits
)

// Reasons lists them.
func Reasons() []string {
	return []string{ReasonTooLarge, ReasonUnparsed, ReasonNotRecord, ReasonUnsupported, ReasonPanic, ReasonLimit}
}

// Batch is what one request, one gathering of datagrams or one block of a
// file becomes. The receiver fills it; once Accept is called it belongs to the
// sink until Accept returns, and then to the receiver again.
type Batch struct {
	Tenant event.Tenant
	// Source is the configured feed, as the grant names it.
	Source string
	// Shard is which of the source's partitions takes it: the remainder of the
	// sink's number of shards is taken. Receivers give what belongs to one
	// sender the same number.
	Shard uint32
	// Protocol is the receiver: elastic, hec, otlp, ndjson, syslog, file.
	Protocol string
	// Format names the format whose parser reads the frames; empty lets each
	// record decide.
	Format string
	// Dataset is a hint for routing: an index, a sourcetype, the stem of a
	// file's name.
	Dataset string
	// Peer is the sender's address, or empty.
	Peer string
	// Received is when the batch was complete. The sink sets it when it is zero.
	Received time.Time
	// Key is the client's own for the batch, or empty to take the SHA-256 of
	// Data. A batch whose key was seen within the window of duplicates is
	// acknowledged and not stored again.
	Key []byte
	// File is set for bytes of a file; records then have their positions in
	// it for identity.
	File *File
	// Data holds the bytes of all frames; bytes between frames are allowed.
	Data []byte
	// Frames are the records; Offset and Line matter for files only.
	Frames []format.Frame
	// Native holds for each frame the id that the client gave it (the _id of
	// a bulk item), or nil; it is empty when none has one.
	Native [][]byte
	// Refused are the pieces that are no records.
	Refused []Refused
	// Again is set by Accept: the batch was taken before, by its key, and is
	// acknowledged without being stored another time.
	Again bool
}

// File says which file a batch's data stands in.
type File struct {
	// Path names the file to people, Name is its base name for the format.
	Path, Name string
	// Fingerprint is that of the first bytes (event.Fingerprint), Base where
	// Data begins in the file, after decompression.
	Fingerprint [sha256.Size]byte
	Base        int64
	// Reference is the latest time a record without a year may have.
	Reference time.Time
	// Context is the block's context as the format encodes it
	// (format.Format.AppendContext).
	Context []byte
	// Last ends a file set that is read once, as an import: everything in it
	// can now be decided.
	Last bool
}

// Records is how many records the batch stands for in the ledger.
func (b *Batch) Records() int { return len(b.Frames) + len(b.Refused) }

// Grant is what a token allows.
type Grant struct {
	Tenant event.Tenant
	// Source is the feed that the token is for.
	Source string
	// Token is the public part of the token, for logs and metrics.
	Token string
}

// Authenticator knows tokens. It is safe for concurrent use.
type Authenticator interface {
	// Ingest returns whom a token belongs to. The errors are ErrToken for one
	// that is unknown, malformed or revoked and ErrExpired for one that has
	// expired. A malformed token costs neither disk nor hashing.
	Ingest(token string) (Grant, error)
}

// The errors of an Authenticator.
var (
	ErrToken   = errors.New("unknown token")
	ErrExpired = errors.New("token has expired")
)

// Busy is the answer when a batch cannot be taken now: the request must be
// refused as a whole, in the protocol's own terms, and the client will come
// again.
type Busy struct {
	// Wait is when to come again, at least a second.
	Wait time.Duration
	// Why is for people: what is full.
	Why string
}

func (b *Busy) Error() string { return fmt.Sprintf("busy: %s; come again in %s", b.Why, b.Wait) }

// Sink takes batches. It is safe for concurrent use.
type Sink interface {
	// Admit reserves room for a body, before it is read; sizeHint is its
	// length in bytes or -1. The error is a *Busy. release gives the room back
	// and must be called once, after Accept.
	Admit(t event.Tenant, source string, sizeHint int64) (release func(), err error)
	// Accept makes a batch durable. A nil error means that its records will be
	// evaluated even if power fails now. *Busy means that it was not stored and
	// may be sent again; any other error says what is wrong with the batch.
	Accept(ctx context.Context, b *Batch) error
}
