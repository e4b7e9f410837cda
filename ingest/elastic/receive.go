package elastic

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// formatName is the format of documents.
const formatName = "json"

// bulk serves _bulk; index is what the URL names.
func (h *handler) bulk(w http.ResponseWriter, r *http.Request, grant ingest.Grant, index string) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		h.method(w, r, "POST, PUT")
		return
	}
	if !validIndex(index) {
		h.fail(w, r, httpin.Faultf(http.StatusBadRequest, httpin.ReasonRequest, "the path names an index that cannot be one"))
		return
	}
	d, err := h.gate.Receive(w, r, grant, 0)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer d.Close()
	b := bulks.Get().(*bulk)
	defer b.release()
	if !b.split(d.Data, index) {
		h.fail(w, r, httpin.Faultf(http.StatusRequestEntityTooLarge, httpin.ReasonTooLarge, "the body has more than %d items; send smaller batches", ingest.RequestEventsMax))
		return
	}
	if len(b.items) == 0 {
		h.fail(w, r, httpin.Faultf(http.StatusBadRequest, httpin.ReasonFrame, "request body is required"))
		return
	}
	if err := d.Reserve(b.bytes()); err != nil {
		h.fail(w, r, err)
		return
	}
	if err := h.accept(r.Context(), d, b); err != nil {
		h.fail(w, r, err)
		return
	}
	out := httpin.TakeBuffer()
	defer out.Release()
	took := h.gate.Clock().Now().Sub(d.End).Milliseconds()
	url, request, keep := quoted(index), h.ids.Add(1), filterOf(r.URL.RawQuery)
	if len(b.items) <= ingest.BatchEventsMax {
		out.B = b.appendAnswer(out.B, d.Data, url, request, took, keep, nil)
		h.answer(w, r, http.StatusOK, out.B, d)
		return
	}
	// Twice: its length is told first.
	size := 0
	rest := b.appendAnswer(out.B, d.Data, url, request, took, keep, func(p []byte) { size += len(p) })
	size += len(rest)
	h.gate.AnswerPieces(w, http.StatusOK, size, func(to io.Writer) {
		write := func(p []byte) { _, _ = to.Write(p) }
		write(b.appendAnswer(out.B, d.Data, url, request, took, keep, write))
	}, d)
}

// accept makes everything of a body durable: one batch, or one for each index,
// at the same time so that they share a sync; each in pieces when it is large. If
// one of them is refused the client sends all again, and those that were stored
// are known by their keys.
func (h *handler) accept(ctx context.Context, d *httpin.Delivery, b *bulk) error {
	batch := d.Batch()
	batch.Format = formatName
	if b.one() {
		b.fill(batch)
		if err := pieces(ctx, d, batch); err != nil {
			return err
		}
		b.known(0, batch)
		return nil
	}
	room := httpin.TakeBuffer()
	defer room.Release()
	var parts []*ingest.Batch
	var groups []int
	parts, groups, room.B = b.parts(batch, room.B)
	errs := make([]error, len(parts))
	var all sync.WaitGroup
	for i, part := range parts {
		all.Go(func() { errs[i] = pieces(ctx, d, part) })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	for i, part := range parts {
		b.known(groups[i], part)
	}
	return nil
}

// pieces makes a batch durable, in pieces when it is large. It came before when
// all of them did.
func pieces(ctx context.Context, d *httpin.Delivery, batch *ingest.Batch) error {
	again := true
	for piece := range batch.SmallPieces() {
		if err := d.Accept(ctx, piece); err != nil {
			return err
		}
		again = again && piece.Again
	}
	batch.Again = again
	return nil
}

// document serves INDEX/_doc and INDEX/_doc/ID, which index, and
// INDEX/_create/ID, which creates: the body is one document.
func (h *handler) document(w http.ResponseWriter, r *http.Request, grant ingest.Grant, index, id string, o op) {
	if r.Method != http.MethodPost && r.Method != http.MethodPut {
		h.method(w, r, "POST, PUT")
		return
	}
	if !validIndex(index) || len(id) > idBytesMax {
		h.fail(w, r, httpin.Faultf(http.StatusBadRequest, httpin.ReasonRequest, "the path names an index or an id that cannot be one"))
		return
	}
	d, err := h.gate.Receive(w, r, grant, 0)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	defer d.Close()
	start, end := 0, len(d.Data)
	for start < end && bytes.IndexByte(white, d.Data[start]) >= 0 {
		start++
	}
	for start < end && bytes.IndexByte(white, d.Data[end-1]) >= 0 {
		end--
	}
	if start == end {
		h.fail(w, r, httpin.Faultf(http.StatusBadRequest, httpin.ReasonFrame, "request body is required"))
		return
	}
	batch := d.Batch()
	batch.Format, batch.Dataset = formatName, index
	// What the URL says is as much of the batch as its bytes; creating an id that
	// exists does nothing whatever the bytes are.
	batch.Key = ingest.KeyOf(d.Data, Protocol, "document", index, id)
	if o == opCreate {
		batch.Key = ingest.KeyOf(nil, Protocol, "create", index, id)
	}
	if end-start > ingest.EventBytesMax {
		batch.Refused = []ingest.Refused{{Start: start, End: start + ingest.RefusedBytesMax, Reason: ingest.ReasonTooLarge, Detail: ingest.LargeDetail(d.Data[start:end])}}
	} else {
		batch.Frames = []format.Frame{{Start: start, End: end}}
		if id != "" {
			batch.Native = [][]byte{nativeID(index, id)}
		}
	}
	if err := d.Accept(r.Context(), batch); err != nil {
		h.fail(w, r, err)
		return
	}
	answer := append([]byte(`{"_index":"`), quoted(index)...)
	answer = append(answer, `","_id":"`...)
	if id != "" {
		answer = append(answer, quoted(id)...)
	} else {
		answer = strconv.AppendUint(answer, h.ids.Add(1), 36)
	}
	status, tail := http.StatusCreated, tailCreated
	if o == opCreate && batch.Again {
		status, tail = http.StatusOK, tailNoop
	}
	at := strings.LastIndex(tail, `,"status"`)
	answer = append(append(answer, tail[:at]...), '}')
	h.answer(w, r, status, answer, d)
}

var white = []byte(" \t\r\n")
