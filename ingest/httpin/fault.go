package httpin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tiercel-io/tiercel/ingest"
)

// The reasons of faults: a closed set, since they label a metric.
const (
	ReasonNoToken  = "no_token"  // the request names no token
	ReasonToken    = "token"     // unknown, malformed or revoked
	ReasonExpired  = "expired"   // a token past its time
	ReasonAttempts = "attempts"  // too many failed tokens from the address
	ReasonBusy     = "busy"      // the sink has no room
	ReasonTooLarge = "too_large" // beyond a bound on bytes, ratio or items
	ReasonEncoding = "encoding"  // a Content-Encoding that is unknown or broken
	ReasonSlow     = "slow"      // the body came too slowly
	ReasonCut      = "cut"       // the client went away
	ReasonFrame    = "frame"     // the protocol's own frame is broken
	ReasonRequest  = "request"   // headers, URL or query beyond their bounds
	ReasonInternal = "internal"  // a fault of ours
)

// Reasons lists them.
func Reasons() []string {
	return []string{
		ReasonNoToken, ReasonToken, ReasonExpired, ReasonAttempts, ReasonBusy, ReasonTooLarge,
		ReasonEncoding, ReasonSlow, ReasonCut, ReasonFrame, ReasonRequest, ReasonInternal,
	}
}

// Fault is why a request is refused.
type Fault struct {
	// Status is the HTTP status that fits; a protocol may have one of its own.
	Status int
	// Reason is one of [Reasons].
	Reason string
	// Wait is when to come again, or 0.
	Wait time.Duration
	// Err says it to a person; it repeats nothing of the client's unescaped.
	Err error
}

func (f *Fault) Error() string { return f.Err.Error() }

func (f *Fault) Unwrap() error { return f.Err }

// Faultf makes a Fault without a wait.
func Faultf(status int, reason, format string, args ...any) *Fault {
	return &Fault{Status: status, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// AsFault gives any error of a gate, of a sink or of a request's context its
// Fault: *ingest.Busy becomes 429 with its wait, an end of the context 499 (the
// client is gone and will not read it), anything else 500.
func AsFault(err error) *Fault {
	if fault, ok := errors.AsType[*Fault](err); ok {
		return fault
	}
	if busy, ok := errors.AsType[*ingest.Busy](err); ok {
		return &Fault{Status: http.StatusTooManyRequests, Reason: ReasonBusy, Wait: max(busy.Wait, time.Second), Err: err}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Fault{Status: StatusCut, Reason: ReasonCut, Err: err}
	}
	return &Fault{Status: http.StatusInternalServerError, Reason: ReasonInternal, Err: err}
}

// StatusCut stands in metrics for a request whose client went away.
const StatusCut = 499

// retryAfterMax bounds what a client is told to wait: a day.
const retryAfterMax = 86_400

// RetryAfter is the value of the header Retry-After: whole seconds, rounded up
// and at least 1.
func RetryAfter(wait time.Duration) string {
	seconds := int64((wait + time.Second - 1) / time.Second)
	return strconv.FormatInt(min(max(seconds, 1), retryAfterMax), 10)
}
