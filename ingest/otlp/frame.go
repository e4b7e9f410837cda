package otlp

import (
	"errors"
	"fmt"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tiercel-io/tiercel/format/otlp"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// Bounds of what records share. Each record is read with its resource and
// scope, so that a small request could ask for any amount of work.
const (
	// BlockBytesMax bounds a resource with its scope; those of Kubernetes have
	// some kilobytes.
	BlockBytesMax = 64 << 10
	// SharedBytesMax bounds the sum of these over the records of a request.
	SharedBytesMax = 256 << 20
)

// framer makes a batch of the parts of a request.
type framer struct {
	otlp.Writer
	b      *ingest.Batch
	shared int
}

// Resource implements otlp.Visitor.
func (f *framer) Resource(block []byte) error {
	f.Writer.Resource(block)
	return nil
}

// Scope implements otlp.Visitor.
func (f *framer) Scope(block []byte) error {
	f.Writer.Scope(block)
	return nil
}

// Record implements otlp.Visitor.
func (f *framer) Record(raw []byte) error {
	n := f.b.Records()
	if n == ingest.RequestEventsMax {
		return ingest.ErrTooMany
	}
	if n%ingest.BatchEventsMax == 0 {
		f.Again() // a piece of the batch begins here
	}
	f.shared += f.BlockBytes()
	switch {
	case len(raw) > ingest.EventBytesMax:
		f.refuse(raw, ingest.ReasonTooLarge, ingest.LargeDetail(raw))
	case f.BlockBytes() > BlockBytesMax:
		f.refuse(raw, ingest.ReasonLimit, fmt.Sprintf("its resource and scope have %d bytes; at most %d are read", f.BlockBytes(), BlockBytesMax))
	case f.shared > SharedBytesMax:
		f.refuse(raw, ingest.ReasonLimit, fmt.Sprintf("the resources of one request's records have more than %d bytes in all", SharedBytesMax))
	default:
		f.b.Frames = append(f.b.Frames, f.Writer.Record(raw))
	}
	return nil
}

func (f *framer) refuse(raw []byte, reason, detail string) {
	start := len(f.Data)
	f.Data = append(f.Data, raw[:min(len(raw), ingest.RefusedBytesMax)]...)
	f.b.Refused = append(f.b.Refused, ingest.Refused{Start: start, End: len(f.Data), Reason: reason, Detail: detail})
}

// frame fills a batch with the records of a body. Its data is made in room,
// which is returned grown.
func frame(b *ingest.Batch, enc otlp.Encoding, body, room []byte) ([]byte, error) {
	b.Format = "otlp"
	f := framer{b: b}
	f.Data = room[:0]
	f.Begin(enc)
	err := otlp.Walk(enc, body, &f)
	b.Data = f.Data
	switch {
	case err == nil:
		return f.Data, nil
	case errors.Is(err, ingest.ErrTooMany):
		return f.Data, &httpin.Fault{Status: http.StatusRequestEntityTooLarge, Reason: httpin.ReasonTooLarge, Err: err}
	}
	return f.Data, &httpin.Fault{Status: http.StatusBadRequest, Reason: httpin.ReasonFrame, Err: fmt.Errorf("the body is no ExportLogsServiceRequest: %w", err)}
}

// appendStatus appends a google.rpc.Status in protobuf.
func appendStatus(dst []byte, code codes.Code, message string) []byte {
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.VarintType), uint64(code))
	return protowire.AppendString(protowire.AppendTag(dst, 2, protowire.BytesType), message)
}
