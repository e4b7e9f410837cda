// Package hec receives events as Splunk's HTTP Event Collector does.
//
//	event: {"event":…}{"event":…} ─▶ one frame an object ┐
//	raw:   a line each             ─▶ one frame a line    ┴▶ durable ─▶ {"text":"Success","code":0}
//
// An object is kept as it came and read by package format/hec; lines of raw
// have no format, and of their query only the sourcetype, else the source, else
// the index, is kept as a hint. Content-Type is ignored: agents send any or
// none. A broken event goes to quarantine and is acknowledged with the others.
//
// A request that names a channel gets an ackId. It is true as soon as it is
// given, since an answer comes only once the batch is durable, and is reported
// once; the bounds are those of [ChannelIdle] and [ChannelsBytesMax].
//
// Overload is 503 with code 9, wherever it shows; health answers 200 even then.
// An empty body is 400 with code 5 on a channel, as Splunk's own clients expect
// of a probe, and success without one, because Telegraf would send it for ever.
// A receiver is safe for concurrent use.
package hec

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// Protocol is the receiver's name in batches and metrics.
const Protocol = "hec"

// Path is where all routes of the receiver are below.
const Path = "/services/collector"

// Acks says how acknowledgements are had.
type Acks uint8

// The ways.
const (
	// AcksOnChannel gives an ackId to requests that name a channel.
	AcksOnChannel Acks = iota
	// AcksRequired wants a channel of every request.
	AcksRequired
	// AcksOff never gives one.
	AcksOff
)

// Options are what a receiver needs. Front must be set.
type Options struct {
	Front *httpin.Front
	Acks  Acks
}

// Receiver is the receiver's http.Handler.
type Receiver struct {
	gate     *httpin.Gate
	acks     Acks
	channels *channels
	stopping atomic.Bool
}

// New makes the receiver, for [Path] and all below it.
func New(o Options) *Receiver {
	return &Receiver{gate: o.Front.Gate(Protocol), acks: o.Acks, channels: newChannels(o.Front.Clock())}
}

// Stop makes the receiver answer 503 with code 23 from now on, also on the
// health route, so that balancers turn to another.
func (h *Receiver) Stop() { h.stopping.Store(true) }

// ServeHTTP implements http.Handler.
func (h *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	route, ok := strings.CutPrefix(r.URL.Path, Path)
	route = strings.TrimSuffix(strings.TrimSuffix(route, "/"), "/1.0")
	methods := "POST, PUT, OPTIONS"
	var serve func(http.ResponseWriter, *http.Request)
	switch {
	case ok && (route == "" || route == "/event"):
		serve = h.event
	case ok && route == "/raw":
		serve = h.raw
	case ok && route == "/ack":
		serve = h.ack
	case ok && route == "/health":
		methods = "GET, HEAD, OPTIONS"
		serve = h.health
	default:
		h.refuse(w, httpin.ReasonRequest, reply{http.StatusNotFound, http.StatusNotFound, "The requested URL was not found on this server."})
		return
	}
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", methods)
		h.gate.Answer(w, http.StatusOK, nil, nil)
	case !slices.Contains(strings.Split(methods, ", "), r.Method):
		w.Header().Set("Allow", methods)
		h.refuse(w, httpin.ReasonRequest, reply{http.StatusMethodNotAllowed, http.StatusMethodNotAllowed, "The requested URL does not support this method."})
	default:
		serve(w, r)
	}
}

func (h *Receiver) health(w http.ResponseWriter, _ *http.Request) {
	answer := replyHealthy
	if h.stopping.Load() {
		answer = replyStopping
	}
	h.gate.Answer(w, answer.status, answer.body(), nil)
}

// event takes objects.
func (h *Receiver) event(w http.ResponseWriter, r *http.Request) {
	h.take(w, r, func(b *ingest.Batch) error {
		b.Format = "hec"
		return cut(b)
	})
}

// raw takes lines.
func (h *Receiver) raw(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	h.take(w, r, func(b *ingest.Batch) error {
		for _, name := range []string{"sourcetype", "source", "index"} {
			if b.Dataset = datasetOf(query, name); b.Dataset != "" {
				break
			}
		}
		// Two hosts may send the same lines.
		b.Key = ingest.KeyOf(b.Data, Protocol, "raw", query.Get("host"), query.Get("source"), query.Get("sourcetype"), query.Get("index"))
		return b.CutLines()
	})
}

// datasetBytesMax bounds what a query says of its lines.
const datasetBytesMax = 256

func datasetOf(query url.Values, name string) string {
	v := query.Get(name)
	if len(v) > datasetBytesMax || !utf8.ValidString(v) || strings.ContainsFunc(v, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return ""
	}
	return v
}

// take is what both ways in share.
func (h *Receiver) take(w http.ResponseWriter, r *http.Request, frame func(*ingest.Batch) error) {
	grant, ok := h.authenticate(w, r)
	if !ok {
		return
	}
	if h.stopping.Load() {
		w.Header().Set("Retry-After", httpin.RetryAfter(0))
		h.refuse(w, httpin.ReasonBusy, replyStopping)
		return
	}
	channel, given := channelOf(r)
	switch {
	case given && !validChannel(channel):
		h.refuse(w, httpin.ReasonRequest, replyChannel)
		return
	case !given && h.acks == AcksRequired:
		h.refuse(w, httpin.ReasonRequest, replyNoChannel)
		return
	}
	d, err := h.gate.Receive(w, r, grant, 0)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer d.Close()
	if len(bytes.TrimLeft(d.Data, " \t\r\n")) == 0 {
		if given {
			h.refuse(w, httpin.ReasonFrame, replyNoData)
		} else {
			h.gate.Answer(w, http.StatusOK, replySuccess.body(), d)
		}
		return
	}
	b := d.Batch()
	if err := frame(b); err != nil {
		h.fail(w, &httpin.Fault{Status: http.StatusRequestEntityTooLarge, Reason: httpin.ReasonTooLarge, Err: err})
		return
	}
	if err := d.Reserve(httpin.FrameBytes * int64(b.Records())); err != nil {
		h.fail(w, err)
		return
	}
	for piece := range b.SmallPieces() {
		if piece.Records() == 0 {
			break // separators alone
		}
		if err := d.Accept(r.Context(), piece); err != nil {
			h.fail(w, err)
			return
		}
	}
	answer := replySuccess.body()
	if given && h.acks != AcksOff {
		answer = withAck(h.channels.give(keyOf(grant, channel)))
	}
	h.gate.Answer(w, http.StatusOK, answer, d)
}

// channelOf finds the channel in the header or else in the query.
func channelOf(r *http.Request) (channel string, given bool) {
	if v := r.Header.Get("X-Splunk-Request-Channel"); v != "" {
		return v, true
	}
	v := r.URL.Query().Get("channel")
	return v, v != ""
}

func validChannel(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(s) <= ChannelBytesMax
}

// ackBytesMax bounds the body of a query for acknowledgements: ids of some
// ten thousand batches.
const ackBytesMax = 256 << 10

// ack tells which ids are durable.
func (h *Receiver) ack(w http.ResponseWriter, r *http.Request) {
	grant, ok := h.authenticate(w, r)
	if !ok {
		return
	}
	channel, given := channelOf(r)
	switch {
	case h.acks == AcksOff:
		h.refuse(w, httpin.ReasonRequest, replyNoAcks)
		return
	case !given:
		h.refuse(w, httpin.ReasonRequest, replyNoChannel)
		return
	case !validChannel(channel):
		h.refuse(w, httpin.ReasonRequest, replyChannel)
		return
	}
	body, err := h.gate.Small(w, r, ackBytesMax)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer body.Release()
	ids, ok := idsOf(body.B)
	if !ok {
		h.refuse(w, httpin.ReasonFrame, replyFormat)
		return
	}
	out := []byte(`{"acks":{`)
	for i, known := range h.channels.take(keyOf(grant, channel), ids) {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		out = strconv.AppendUint(out, ids[i], 10)
		out = append(out, `":`...)
		out = strconv.AppendBool(out, known)
	}
	h.gate.Answer(w, http.StatusOK, append(out, "}}"...), nil)
}

// idsOf reads {"acks":[1,2]}, each id once.
func idsOf(body []byte) (ids []uint64, ok bool) {
	var t event.Tree
	if t.ParseJSON(body) != nil || t.Kind(0) != event.Object {
		return nil, false
	}
	list := t.Find(0, "acks")
	if list < 0 || t.Kind(list) != event.Array {
		return nil, false
	}
	for c := list + 1; c < t.End(list); c = t.End(c) {
		if t.Kind(c) != event.Number {
			return nil, false
		}
		id, err := strconv.ParseUint(string(t.NumberText(c)), 10, 64)
		if err != nil {
			return nil, false
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), true
}

// authenticate answers for a request whose token is not good.
func (h *Receiver) authenticate(w http.ResponseWriter, r *http.Request) (ingest.Grant, bool) {
	grant, err := h.gate.Authenticate(r)
	if err == nil {
		return grant, true
	}
	fault := httpin.AsFault(err)
	if fault.Reason == httpin.ReasonNoToken {
		switch {
		case len(r.Header["Authorization"]) > 0:
			h.refuse(w, fault.Reason, replyAuthorization)
		case r.URL.Query().Has("token"):
			h.refuse(w, fault.Reason, replyQueryToken)
		default:
			h.refuse(w, fault.Reason, replyTokenRequired)
		}
		return grant, false
	}
	h.fail(w, err)
	return grant, false
}

// fail answers with a fault in the words of the protocol.
func (h *Receiver) fail(w http.ResponseWriter, err error) {
	fault := httpin.AsFault(err)
	answer := replyBusy
	switch fault.Reason {
	case httpin.ReasonToken:
		answer = replyToken
	case httpin.ReasonExpired:
		answer = replyDisabled
	case httpin.ReasonTooLarge, httpin.ReasonEncoding, httpin.ReasonFrame, httpin.ReasonRequest:
		answer = replyFormat
		answer.status = fault.Status
		answer.text += ": " + safe(fault.Error())
	case httpin.ReasonSlow:
		answer.status = fault.Status
	case httpin.ReasonInternal:
		answer = replyInternal
	}
	if fault.Wait > 0 {
		w.Header().Set("Retry-After", httpin.RetryAfter(fault.Wait))
	}
	h.refuse(w, fault.Reason, answer)
}

// safe makes a message fit for a JSON string.
func safe(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == '"' || c == '\\' || c == utf8.RuneError {
			return '\''
		}
		return c
	}, s)
}

// refuse answers with an error and counts it.
func (h *Receiver) refuse(w http.ResponseWriter, reason string, answer reply) {
	h.gate.Rejected(reason)
	h.gate.Answer(w, answer.status, answer.body(), nil)
}
