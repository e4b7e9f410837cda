package httpin

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// The bounds on requests as such. No client of the receivers comes near one of
// them; each is there so that a request costs no more than its body may.
const (
	// HeadersMax bounds the header lines of a request.
	HeadersMax = 100
	// HeaderBytesMax bounds their bytes and those of the request line. The server
	// counts too, but only once it has read 4 KiB more.
	HeaderBytesMax = 32 << 10
	// URLBytesMax bounds the request's URL as sent.
	URLBytesMax = 8 << 10
	// QueryKeysMax bounds the keys of its query.
	QueryKeysMax = 64
	// StreamsMax bounds the requests at once on one HTTP/2 connection.
	StreamsMax    = 100
	headerTimeout = 5 * time.Second
	idleTimeout   = time.Minute
)

// protocolNone labels what is refused before its protocol is known.
const protocolNone = "http"

// Harden bounds what reaches h: up to [HeadersMax] headers of
// [Options.HeaderBytesMax] (431), a URL of [URLBytesMax] with [QueryKeysMax] keys
// in its query (414), and [BodyGrace] for a body that h does not read, which the server would otherwise wait for.
// A panic of h is logged once and ends the connection, not the process.
func (f *Front) Harden(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				if p != http.ErrAbortHandler {
					f.o.Logger.Error("handler panicked", "path", fmt.Sprintf("%.200q", r.URL.Path), "panic", fmt.Sprintf("%.200q", fmt.Sprint(p)), "stack", string(debug.Stack()))
				}
				panic(http.ErrAbortHandler)
			}
		}()
		if status := f.overBounds(r); status != 0 {
			f.o.Metrics.IngestRequests.WithLabelValues(protocolNone, strconv.Itoa(status)).Inc()
			f.o.Metrics.IngestRejected.WithLabelValues(protocolNone, ReasonRequest).Inc()
			w.Header().Set("Connection", "close")
			http.Error(w, http.StatusText(status), status)
			return
		}
		if r.Body != nil && r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(f.o.Clock.Now().Add(BodyGrace))
		}
		h.ServeHTTP(w, r)
	})
}

func (f *Front) overBounds(r *http.Request) int {
	// As HTTP/1.1 writes them: "GET /x HTTP/1.1", "Host: x", "K: v", each and the
	// end with its line end.
	count, size := 0, int64(len(r.Method)+len(r.RequestURI)+len(r.Proto)+4+len("Host: ")+len(r.Host)+2+2)
	for key, values := range r.Header {
		count += len(values)
		for _, v := range values {
			size += int64(len(key) + len(v) + 4)
		}
	}
	switch {
	case len(r.RequestURI) > URLBytesMax, r.URL.RawQuery != "" && strings.Count(r.URL.RawQuery, "&")+1 > QueryKeysMax:
		return http.StatusRequestURITooLong
	case count > HeadersMax, size > f.o.HeaderBytesMax:
		return http.StatusRequestHeaderFieldsTooLarge
	}
	return 0
}

// Server is a server for h with the settings that the receivers need: 5 s for
// headers of up to 32 KiB, 60 s idle, 100 HTTP/2 streams, and no timeout for
// bodies and answers, which [Gate] bounds by their rate. Its own log is
// discarded: it has a line for each broken handshake, which anybody can send.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    HeaderBytesMax,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: StreamsMax},
		ErrorLog:          log.New(io.Discard, "", 0),
	}
}
