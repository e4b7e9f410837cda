package elastic

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

// A client that names no User-Agent is refused with an answer that breaks off,
// where it should come again; its status and headers stand.
func TestRefusalsWithoutUserAgentBreakOff(t *testing.T) {
	t.Parallel()
	const busy, bad = 429, 400
	for name, c := range map[string]struct {
		agent, token, body string
		full               int
		status             int
		cut                bool
	}{
		"busy":                      {"", goodToken, threeDocs, 1, busy, true},
		"busy, with an agent":       {"User-Agent: curl/8\r\n", goodToken, threeDocs, 1, busy, false},
		"busy, with an empty agent": {"User-Agent:\r\n", goodToken, threeDocs, 1, busy, false},
		"wrong token":               {"", "tt_bad", threeDocs, 0, 401, true},
		"no events":                 {"", goodToken, "", 0, bad, false},
		"taken":                     {"", goodToken, threeDocs, 0, 200, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s ingest.Sink = &sink{full: c.full}
			b := newBench(httpin.Options{Clock: env.Real().Clock}, s)
			server := httptest.NewServer(b.handler)
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			request := "POST /_bulk HTTP/1.1\r\nHost: x\r\n" + c.agent + "Authorization: Bearer " + c.token + "\r\nContent-Length: " + strconv.Itoa(len(c.body)) + "\r\n\r\n" + c.body
			if _, err := io.WriteString(conn, request); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(answer.Body)
			if answer.StatusCode != c.status || errors.Is(err, io.ErrUnexpectedEOF) != c.cut || err != nil != c.cut {
				t.Errorf("%s %v %s", answer.Status, err, text)
			}
			if c.status == busy && (answer.Header.Get("Retry-After") == "" || !strings.Contains(string(text), "busy")) {
				t.Errorf("%v %s", answer.Header, text)
			}
		})
	}
}
