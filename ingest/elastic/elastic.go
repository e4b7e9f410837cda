// Package elastic receives events from clients of Elasticsearch: the bulk
// request, the single document, and what clients ask before they send one.
//
//	_bulk ─▶ action line, document line, … ─▶ frames of one batch ─▶ durable ─▶ 201 for each
//
// Every item of a body that was made durable is answered as a success, also
// what was refused as a record and went to quarantine: clients turn an item's
// error into silent loss or into an endless loop. A request is refused as a
// whole only, and before its body is read where that is possible. Index names,
// pipelines and templates decide nothing here; an index is a hint for routing.
//
// The facts about clients are from their sources and from captures: Beats 7.17
// to 9, Logstash 12.1, Fluent Bit 5.1, Vector, Telegraf 1.37, rsyslog 8,
// syslog-ng 3.38, go-elasticsearch 9.5, @elastic/elasticsearch 9.4,
// opensearch-js 3.9. A handler is safe for concurrent use.
package elastic

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// Protocol is the receiver's name in batches and metrics.
const Protocol = "elastic"

// VersionDefault is the version of Elasticsearch that clients are told. Beats
// 8.0 to 8.10 refuse a server that is older than themselves.
const VersionDefault = "8.19.0"

// Options are what a receiver needs. Front must be set.
type Options struct {
	Front *httpin.Front
	// Version is what GET / answers; empty is VersionDefault.
	Version string
	// Prefixes are paths, such as /elastic, under which the routes are served
	// besides the root.
	Prefixes []string
	// ClusterUUID is what GET / answers; empty is a constant.
	ClusterUUID string
}

type handler struct {
	gate     *httpin.Gate
	prefixes []string
	answers  answers
	memory   memory
	// ids numbers the requests whose items are given ids.
	ids atomic.Uint64
}

// New makes the receiver.
func New(o Options) http.Handler {
	if o.Version == "" {
		o.Version = VersionDefault
	}
	if o.ClusterUUID == "" {
		o.ClusterUUID = "tiercel000000000000000"
	}
	h := &handler{gate: o.Front.Gate(Protocol), answers: newAnswers(o.Version, o.ClusterUUID)}
	for _, p := range o.Prefixes {
		if p = strings.TrimRight(p, "/"); p != "" {
			h.prefixes = append(h.prefixes, p)
		}
	}
	h.ids.Store(uint64(o.Front.Clock().Now().UnixNano()))
	return h
}

// segmentsMax is more than the longest route has.
const segmentsMax = 5

// segments are the parts of a path, unescaped; a slash at the end is optional.
func (h *handler) segments(r *http.Request) ([]string, bool) {
	path := r.URL.EscapedPath()
	for _, p := range h.prefixes {
		if rest, ok := strings.CutPrefix(path, p); ok && (rest == "" || rest[0] == '/') {
			path = rest
			break
		}
	}
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil, true
	}
	parts := strings.SplitN(path, "/", segmentsMax+1)
	for i, p := range parts {
		part, err := url.PathUnescape(p)
		if err != nil || part == "" {
			return nil, false
		}
		parts[i] = part
	}
	return parts, len(parts) <= segmentsMax
}

// ServeHTTP implements http.Handler. A token is asked for first, on every
// route; the routes of the handshake ask the sink for nothing, so that they
// answer under overload too.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["X-Elastic-Product"] = product
	header["X-Content-Type-Options"] = noSniff
	header["Content-Type"] = contentType(r)
	grant, err := h.gate.Authenticate(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	path, ok := h.segments(r)
	if !ok {
		h.unknown(w, r)
		return
	}
	switch n := len(path); {
	case n == 0:
		h.fixed(w, r, h.answers.root)
	case n == 1 && path[0] == "_bulk":
		h.bulk(w, r, grant, "")
	case path[0][0] == '_':
		h.handshake(w, r, grant, path)
	case n == 2 && path[1] == "_bulk":
		h.bulk(w, r, grant, path[0])
	case n == 2 && path[1] == "_doc":
		h.document(w, r, grant, path[0], "", opIndex)
	case n == 3 && path[1] == "_doc":
		h.document(w, r, grant, path[0], path[2], opIndex)
	case n == 3 && path[1] == "_create":
		h.document(w, r, grant, path[0], path[2], opCreate)
	default:
		h.unknown(w, r)
	}
}

var (
	product = []string{"Elasticsearch"}
	noSniff = []string{"nosniff"}
	plain   = []string{"text/plain; charset=UTF-8"}
	typed   = map[string][]string{
		"":  {"application/json"},
		"7": {"application/vnd.elasticsearch+json;compatible-with=7"},
		"8": {"application/vnd.elasticsearch+json;compatible-with=8"},
		"9": {"application/vnd.elasticsearch+json;compatible-with=9"},
	}
)

// contentType answers in the family that was asked for; without an Accept, in
// that of the request. Only the versions that exist are echoed.
func contentType(r *http.Request) []string {
	asked := r.Header.Get("Accept")
	if asked == "" {
		asked = r.Header.Get("Content-Type")
	}
	version := ""
	if _, rest, ok := strings.Cut(asked, "vnd.elasticsearch+"); ok {
		if _, v, ok := strings.Cut(rest, "compatible-with="); ok && v != "" {
			version = v[:1]
		}
	}
	if t, ok := typed[version]; ok {
		return t
	}
	return typed[""]
}

// fixed answers a GET or HEAD with a constant.
func (h *handler) fixed(w http.ResponseWriter, r *http.Request, body []byte) {
	if !h.reads(w, r) {
		return
	}
	h.answer(w, r, http.StatusOK, body, nil)
}

// reads refuses methods other than GET and HEAD.
func (h *handler) reads(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	h.method(w, r, "GET, HEAD")
	return false
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request, status int, body []byte, d *httpin.Delivery) {
	if r.Method == http.MethodHead {
		w = headOnly{w}
	}
	h.gate.Answer(w, status, body, d)
}

// headOnly drops a body whose length is told (RFC 9110, 9.3.2).
type headOnly struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (w headOnly) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements http.ResponseWriter.
func (headOnly) Write(p []byte) (int, error) { return len(p), nil }

// errorAnswer is an error in Elasticsearch's own form.
type errorAnswer struct {
	Error struct {
		RootCause []cause `json:"root_cause"`
		cause
	} `json:"error"`
	Status int `json:"status"`
}

type cause struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

func errorBody(status int, kind, reason string) []byte {
	var e errorAnswer
	e.Error.cause = cause{kind, reason}
	e.Error.RootCause = []cause{e.Error.cause}
	e.Status = status
	body, err := json.Marshal(e)
	if err != nil {
		return []byte("{}")
	}
	return body
}

// challenges are the ways to name a token (RFC 9110, 11.6.1).
var challenges = []string{`Basic realm="security", charset="UTF-8"`, `Bearer realm="security"`, "ApiKey"}

// fail answers a fault in Elasticsearch's terms.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	fault := httpin.AsFault(err)
	status, kind := fault.Status, "exception"
	reason := fault.Error()
	switch status {
	case http.StatusUnauthorized:
		kind = "security_exception"
		w.Header()["Www-Authenticate"] = challenges
		reason = "missing or invalid authentication credentials: " + reason
	case http.StatusTooManyRequests:
		kind = "es_rejected_execution_exception"
	case http.StatusRequestEntityTooLarge:
		kind = "content_too_long_exception"
	case http.StatusBadRequest:
		kind = "parse_exception"
	case http.StatusUnsupportedMediaType:
		kind = "illegal_argument_exception"
	case http.StatusRequestTimeout:
		kind = "timeout_exception"
	case http.StatusInternalServerError:
		// The batch was not stored and is worth sending again, which clients do
		// for 503; what went wrong is ours to log, not theirs to read.
		status, kind = http.StatusServiceUnavailable, "unavailable_shards_exception"
		reason = "the batch could not be stored; send it again"
	}
	if fault.Wait > 0 || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", httpin.RetryAfter(fault.Wait))
	}
	h.gate.Rejected(fault.Reason)
	if deaf(r, status) {
		h.answerShort(w, status, errorBody(status, kind, reason))
		return
	}
	h.answer(w, r, status, errorBody(status, kind, reason), nil)
}

func (h *handler) unknown(w http.ResponseWriter, r *http.Request) {
	h.gate.Rejected(httpin.ReasonRequest)
	h.answer(w, r, http.StatusNotFound, errorBody(http.StatusNotFound, "resource_not_found_exception", "no such route here; events are taken at _bulk, INDEX/_bulk, INDEX/_doc and INDEX/_create"), nil)
}

func (h *handler) method(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	h.gate.Rejected(httpin.ReasonRequest)
	h.answer(w, r, http.StatusMethodNotAllowed, errorBody(http.StatusMethodNotAllowed, "illegal_argument_exception", "the method is not allowed here; allowed are "+allow), nil)
}

// quoted is s as the inside of a JSON string.
func quoted(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil || len(b) < 2 {
		return nil
	}
	return b[1 : len(b)-1]
}

// validIndex keeps out of answers and hints what is no index in any version.
func validIndex(s string) bool {
	if len(s) > indexBytesMax {
		return false
	}
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\uFFFD' }) < 0
}
