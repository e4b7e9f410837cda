package ndjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sort"
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

func errTooMany() error {
	return &httpin.Fault{Status: http.StatusRequestEntityTooLarge, Reason: httpin.ReasonTooLarge, Err: ingest.ErrTooMany}
}

// byLine frames the lines of a body: one record each.
func byLine(formatName string) func(*ingest.Batch) error {
	return func(b *ingest.Batch) error {
		b.Format = formatName
		if d := b.Data; len(d) >= 2 && (d[0] == 0xff && d[1] == 0xfe || d[0] == 0xfe && d[1] == 0xff) {
			return httpin.Faultf(http.StatusBadRequest, httpin.ReasonFrame, "the body is UTF-16; send it as UTF-8")
		}
		if b.CutLines() != nil {
			return errTooMany()
		}
		return nil
	}
}

// byFormat frames a body with the splitter of a format. Where the splitter
// leaves the bytes as they stand, frames are parts of the body; where it does
// not (UTF-16, the lines of audit events that came between others), Data is made
// of the splitter's blocks.
func byFormat(f format.Format) func(*ingest.Batch) error {
	return func(b *ingest.Batch) error {
		b.Format = f.Name
		body := b.Data
		err := inPlace(f, b)
		if errors.Is(err, errMoved) {
			b.Frames, b.Refused = b.Frames[:0], b.Refused[:0]
			err = rebuilt(f, b, body)
		}
		return err
	}
}

var errMoved = errors.New("the splitter does not leave bytes where they stand")

// blocks calls visit with each block of the body.
func blocks(f format.Format, body []byte, visit func(*format.Block) error) error {
	split := f.NewSplitter(bytes.NewReader(body), format.Options{})
	var block format.Block
	for {
		err := split.Next(&block)
		if err == nil || len(block.Frames)+len(block.Problems) > 0 {
			if err := visit(&block); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return &httpin.Fault{Status: http.StatusBadRequest, Reason: httpin.ReasonFrame, Err: fmt.Errorf("the body is not %s: %w", f.Name, err)}
		}
	}
}

func inPlace(f format.Format, b *ingest.Batch) error {
	var problems []format.Problem
	end := 0
	err := blocks(f, b.Data, func(block *format.Block) error {
		for _, fr := range block.Frames {
			start := int(fr.Offset)
			stop := start + fr.End - fr.Start
			if start < end || stop > len(b.Data) || !bytes.Equal(b.Data[start:stop], block.Data[fr.Start:fr.End]) {
				return errMoved
			}
			end = stop
			b.Put(start, stop)
		}
		problems = append(problems, block.Problems...)
		if b.Records()+len(problems) > ingest.RequestEventsMax {
			return errTooMany()
		}
		return nil
	})
	if err != nil {
		return err
	}
	refuse(b, problems)
	return nil
}

// refuse adds what could not be framed: the bytes from where a problem was found
// to what comes behind it.
func refuse(b *ingest.Batch, problems []format.Problem) {
	sort.SliceStable(problems, func(i, j int) bool { return problems[i].Offset < problems[j].Offset })
	large := b.Refused
	b.Refused = nil
	f, l, from := 0, 0, 0
	for i, p := range problems {
		start := int(min(max(p.Offset, 0), int64(len(b.Data))))
		for f < len(b.Frames) && b.Frames[f].Start <= start {
			from = max(from, b.Frames[f].End)
			f++
		}
		for l < len(large) && large[l].Start <= start {
			from = max(from, large[l].End)
			b.Refused = append(b.Refused, large[l])
			l++
		}
		start = max(start, from)
		end := min(len(b.Data), start+ingest.RefusedBytesMax)
		if f < len(b.Frames) {
			end = min(end, b.Frames[f].Start)
		}
		if l < len(large) {
			end = min(end, large[l].Start)
		}
		if i+1 < len(problems) {
			end = min(end, int(problems[i+1].Offset))
		}
		end = max(end, start)
		from = end
		b.Refused = append(b.Refused, ingest.Refused{Start: start, End: end, Reason: reasonOf(p.Err), Detail: detail(p)})
	}
	b.Refused = append(b.Refused, large[l:]...)
}

func rebuilt(f format.Format, b *ingest.Batch, body []byte) error {
	b.Data = make([]byte, 0, len(body))
	return blocks(f, body, func(block *format.Block) error {
		base := len(b.Data)
		b.Data = append(b.Data, block.Data...)
		for _, fr := range block.Frames {
			b.Put(base+fr.Start, base+fr.End)
		}
		// The bytes of a problem stand in the body, where the next thing begins
		// cannot be told from there: what is kept is bounded and may hold more.
		for i, p := range block.Problems {
			from := min(max(p.Offset, 0), int64(len(body)))
			to := min(from+ingest.RefusedBytesMax, int64(len(body)))
			if i+1 < len(block.Problems) && block.Problems[i+1].Offset > from {
				to = min(to, block.Problems[i+1].Offset)
			}
			if len(b.Data)+int(to-from) > 2*len(body) {
				to = from
			}
			start := len(b.Data)
			b.Data = append(b.Data, body[from:to]...)
			b.Refused = append(b.Refused, ingest.Refused{Start: start, End: len(b.Data), Reason: reasonOf(p.Err), Detail: detail(p)})
		}
		if b.Records() > ingest.RequestEventsMax {
			return errTooMany()
		}
		return nil
	})
}

func reasonOf(err error) string {
	var limit *event.LimitError
	if errors.As(err, &limit) {
		return ingest.ReasonTooLarge
	}
	return ingest.ReasonUnparsed
}

// detailBytesMax bounds what is said of one problem.
const detailBytesMax = 200

// detail says what was wrong; errors of formats escape what they quote.
func detail(p format.Problem) string {
	text := p.Error()
	return strings.ToValidUTF8(text[:min(len(text), detailBytesMax)], "")
}
