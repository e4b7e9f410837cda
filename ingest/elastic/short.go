package elastic

import (
	"net/http"
	"strconv"

	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// deaf reports whether a refusal must be cut short for the client to come
// again. rsyslog up to 8.2302 at least does not look at the status of an answer:
// it takes any that arrives whole and is no list of items for the fate of the
// batch, and drops it. What it does repeat is a request whose answer breaks off.
// It is the one client that sends events and names no User-Agent; another one
// that does so still reads the status and the headers.
func deaf(r *http.Request, status int) bool {
	if r.Method != http.MethodPost || r.ProtoMajor != 1 || len(r.Header["User-Agent"]) > 0 {
		return false
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	}
	return false // it would be refused for ever
}

// answerShort answers with one byte less than it announces, which ends the
// connection.
func (h *handler) answerShort(w http.ResponseWriter, status int, body []byte) {
	h.gate.Answered(status)
	_ = http.NewResponseController(w).SetWriteDeadline(h.gate.Clock().Now().Add(httpin.AnswerWait))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.Header().Set("Connection", "close")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
