package hec

import (
	"net/http"
	"strconv"
)

// reply is one of the protocol's answers.
type reply struct {
	code, status int
	text         string
}

// The answers of the protocol. A token's codes tell an agent that trying again
// is of no use; 9 and 23 that it is. Codes that are not here are never sent: an
// index is a hint (7), queues that are full are told by 9 and not by the health
// route (18), and a broken event goes to quarantine and is acknowledged, since
// agents drop the whole batch for a 400 (12, 13, 15).
var (
	replySuccess       = reply{0, http.StatusOK, "Success"}
	replyDisabled      = reply{1, http.StatusForbidden, "Token disabled"}
	replyTokenRequired = reply{2, http.StatusUnauthorized, "Token is required"}
	replyAuthorization = reply{3, http.StatusUnauthorized, "Invalid authorization"}
	replyToken         = reply{4, http.StatusForbidden, "Invalid token"}
	replyNoData        = reply{5, http.StatusBadRequest, "No data"}
	replyFormat        = reply{6, http.StatusBadRequest, "Invalid data format"}
	replyInternal      = reply{8, http.StatusInternalServerError, "Internal server error"}
	replyBusy          = reply{9, http.StatusServiceUnavailable, "Server is busy"}
	replyNoChannel     = reply{10, http.StatusBadRequest, "Data channel is missing"}
	replyChannel       = reply{11, http.StatusBadRequest, "Invalid data channel"}
	replyNoAcks        = reply{14, http.StatusBadRequest, "Ack is disabled"}
	replyQueryToken    = reply{16, http.StatusBadRequest, "Query string authorization is not enabled"}
	replyHealthy       = reply{17, http.StatusOK, "HEC is healthy"}
	replyStopping      = reply{23, http.StatusServiceUnavailable, "Server is shutting down"}
)

// body is the answer's JSON.
func (r reply) body() []byte {
	out := append([]byte(`{"text":"`), r.text...)
	out = append(out, `","code":`...)
	out = strconv.AppendInt(out, int64(r.code), 10)
	if r.code == replyFormat.code {
		out = append(out, `,"invalid-event-number":0`...)
	}
	return append(out, '}')
}

// withAck is the body of a success on a channel.
func withAck(id uint64) []byte {
	return append(strconv.AppendUint([]byte(`{"text":"Success","code":0,"ackId":`), id, 10), '}')
}
