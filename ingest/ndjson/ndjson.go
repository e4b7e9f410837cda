// Package ndjson receives events over plain HTTP: lines of JSON or of any text,
// arrays of JSON, and files of the formats whose records stand on their own.
//
//	POST /v1/ingest[/DATASET][?format=NAME] ─▶ frames of a batch ─▶ durable ─▶ {"accepted": n}
//
// How a body is cut is told by ?format=, else by its Content-Type, else by how
// it begins: JSON for what begins as an object or an array of objects, lines of
// any text for all else. A line or element that cannot be framed, or is too
// large, goes to quarantine and counts as accepted; so the number in the answer
// is that of all records of the body. A request is refused as a whole only,
// with {"error":{"code","message"}}.
//
// A body has at most [ingest.RequestEventsMax] records and the bytes of
// package httpin. The handler is safe for concurrent use.
package ndjson

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// Protocol is the receiver's name in batches and metrics.
const Protocol = "ndjson"

// Path is where the receiver is served, with and without a dataset behind it.
const Path = "/v1/ingest"

// DatasetBytesMax bounds the name of a dataset: it is stored with each batch.
const DatasetBytesMax = 256

// Codes of errors besides the reasons of package httpin.
const (
	codeNotFound = "not_found"
	codeMethod   = "method"
	codeFormat   = "format"
)

// Options are what a receiver needs. Front must be set.
type Options struct {
	Front *httpin.Front
}

type handler struct{ gate *httpin.Gate }

// New makes the receiver, for [Path] and all below it.
func New(o Options) http.Handler { return &handler{gate: o.Front.Gate(Protocol)} }

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	dataset, ok := datasetOf(r.URL)
	switch {
	case !ok:
		h.refuse(w, http.StatusNotFound, codeNotFound, "there is no such route; send events to "+Path+" or "+Path+"/DATASET, a name of up to "+strconv.Itoa(DatasetBytesMax)+" printable bytes")
		return
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		w.Header().Set("Allow", "POST, PUT")
		h.refuse(w, http.StatusMethodNotAllowed, codeMethod, "send events with POST")
		return
	}
	grant, err := h.gate.Authenticate(r)
	if err != nil {
		h.fail(w, err)
		return
	}
	cut, err := cutOf(r)
	if err != nil {
		h.fail(w, err)
		return
	}
	d, err := h.gate.Receive(w, r, grant, 0)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer d.Close()
	b := d.Batch()
	b.Dataset = dataset
	if err := cut(b); err != nil {
		h.fail(w, err)
		return
	}
	if err := d.Reserve(httpin.FrameBytes * int64(b.Records())); err != nil {
		h.fail(w, err)
		return
	}
	for piece := range b.SmallPieces() {
		if piece.Records() == 0 {
			break
		}
		if err := d.Accept(r.Context(), piece); err != nil {
			h.fail(w, err)
			return
		}
	}
	body := append([]byte(`{"accepted":`), strconv.Itoa(b.Records())...)
	h.gate.Answer(w, http.StatusOK, append(body, '}', '\n'), d)
}

// datasetOf reads the path; the dataset is a hint for routing and may be
// missing.
func datasetOf(u *url.URL) (dataset string, ok bool) {
	rest, ok := strings.CutPrefix(u.EscapedPath(), Path)
	if !ok || rest != "" && rest[0] != '/' {
		return "", false
	}
	rest = strings.TrimSuffix(strings.TrimPrefix(rest, "/"), "/")
	if strings.Contains(rest, "/") {
		return "", false
	}
	dataset, err := url.PathUnescape(rest)
	if err != nil || len(dataset) > DatasetBytesMax {
		return "", false
	}
	for _, c := range dataset {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return "", false
		}
	}
	return dataset, true
}

// ownRecords are the formats whose records can be read without what stands
// elsewhere in their file.
var ownRecords = map[string]bool{"json": true, "xml": true, "auditd": true, "syslog": true, "text": true}

// cutOf chooses how a request's body is cut.
func cutOf(r *http.Request) (func(*ingest.Batch) error, error) {
	if name := r.URL.Query().Get("format"); name != "" {
		f, known := formats.ByName(name)
		switch {
		case !known:
			return nil, httpin.Faultf(http.StatusBadRequest, codeFormat, "format %.64q is not known; those that can be sent are auditd, json, syslog, text and xml", name)
		case !ownRecords[name]:
			return nil, httpin.Faultf(http.StatusBadRequest, codeFormat, "records of format %s cannot be read without the rest of their file; give the file to tiercel itself, or send its records as JSON", name)
		}
		return byFormat(f), nil
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	kind = strings.ToLower(strings.TrimSpace(kind))
	switch kind {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/jsonlines", "application/x-jsonlines", "application/x-jsonl":
		return byLine("json"), nil
	case "application/json", "text/json":
		return byFormat(jsonFormat()), nil
	}
	if strings.HasSuffix(kind, "+json") {
		return byFormat(jsonFormat()), nil
	}
	return func(b *ingest.Batch) error {
		if jsonFormat().Detect(b.Data[:min(len(b.Data), headBytes)], "") >= jsonSure {
			return byFormat(jsonFormat())(b)
		}
		return byLine("")(b)
	}, nil
}

// headBytes is how much of a body is looked at, and jsonSure how sure the JSON
// format must be of it: lines of text may begin with a bracket too.
const (
	headBytes = 64 << 10
	jsonSure  = 90
)

func jsonFormat() format.Format {
	f, _ := formats.ByName("json")
	return f
}

// fail answers with a fault.
func (h *handler) fail(w http.ResponseWriter, err error) {
	fault := httpin.AsFault(err)
	if fault.Wait > 0 {
		w.Header().Set("Retry-After", httpin.RetryAfter(fault.Wait))
	}
	message := fault.Error()
	if fault.Reason == httpin.ReasonInternal {
		message = "the batch could not be stored; send it again"
	}
	if fault.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tiercel"`)
	}
	h.refuse(w, fault.Status, fault.Reason, message)
}

// refuse answers with an error and counts it.
func (h *handler) refuse(w http.ResponseWriter, status int, code, message string) {
	reason := code
	switch code {
	case codeNotFound, codeMethod, codeFormat:
		reason = httpin.ReasonRequest
	}
	h.gate.Rejected(reason)
	var answer struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	answer.Error.Code, answer.Error.Message = code, message
	body, err := json.Marshal(answer)
	if err != nil {
		body = []byte(`{"error":{"code":"internal","message":""}}`) // two strings can always be encoded
	}
	h.gate.Answer(w, status, append(body, '\n'), nil)
}
