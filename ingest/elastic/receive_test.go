package elastic

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
)

const threeDocs = "{\"create\":{}}\n{\"n\":1}\n{\"create\":{}}\n{\"n\":2}\n{\"create\":{}}\n{\"n\":3}\n"

var threeRecords = []string{`{"n":1}`, `{"n":2}`, `{"n":3}`}

func TestHappyPath(t *testing.T) {
	t.Parallel()
	s := &sink{}
	b := newBench(httpin.Options{}, s)
	w := b.do("POST", "/logs/_bulk/", threeDocs)
	if r := parseReply(t, w.Body.Bytes()); w.Code != 200 || len(r.Items) != 3 || *r.Errors {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if !slices.Equal(s.records(), threeRecords) {
		t.Errorf("stored %q", s.records())
	}
	got := s.kept[0].batch
	if got.Dataset != "logs" || got.Peer != "192.0.2.7" || got.Native != nil || !bytes.Equal(got.Key, partKey("logs", []byte(threeDocs))) || got.Received.IsZero() || string(got.Data[:0]) != "" {
		t.Errorf("batch %+v", got)
	}
	if n := count(b.metrics.IngestRequests.WithLabelValues("elastic", "200")); n != 1 {
		t.Errorf("%v requests counted", n)
	}
	if n := acks(b.metrics); n != 1 {
		t.Errorf("%v acknowledgements measured", n)
	}
}

func TestOverloadOnceThenAccept(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]*sink{
		"before the body": {full: 1},
		"at the log":      {reject: []error{&ingest.Busy{Wait: 1500 * time.Millisecond, Why: "the log is behind"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(httpin.Options{}, s)
			w := b.do("POST", "/_bulk", threeDocs)
			want := `{"error":{"root_cause":[{"type":"es_rejected_execution_exception","reason":"busy: the log is behind; come again in 1.5s"}],"type":"es_rejected_execution_exception","reason":"busy: the log is behind; come again in 1.5s"},"status":429}`
			if w.Code != 429 || w.Header().Get("Retry-After") != "2" || w.Body.String() != want {
				t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
			}
			if len(s.kept) != 0 || s.open != 0 {
				t.Errorf("%d kept, %d open", len(s.kept), s.open)
			}
			if w := b.do("POST", "/_bulk", threeDocs); w.Code != 200 || !slices.Equal(s.records(), threeRecords) {
				t.Errorf("%d %q", w.Code, s.records())
			}
			if n := count(b.metrics.IngestRejected.WithLabelValues("elastic", "busy")); n != 1 {
				t.Errorf("%v refusals counted", n)
			}
		})
	}
}

func TestHandshakeAnswersUnderOverload(t *testing.T) {
	t.Parallel()
	s := &sink{full: 1 << 30}
	b := newBench(httpin.Options{}, s)
	for _, path := range []string{"/", "/elastic", "/elastic/", "/_license", "/_license?human=false", "/_xpack", "/_cluster/health", "/_cluster/health/logs", "/_cat/health", "/_cat/health?format=json", "/_nodes/http", "/_nodes/_all/http", "/_license/"} {
		for _, method := range []string{"GET", "HEAD"} {
			w := b.do(method, path, "")
			if w.Code != 200 || w.Header().Get("X-Elastic-Product") != "Elasticsearch" || (w.Body.Len() == 0) != (method == "HEAD") {
				t.Errorf("%s %s: %d %v %s", method, path, w.Code, w.Header(), w.Body)
			}
			if method == "GET" && strings.Contains(w.Header().Get("Content-Type"), "json") {
				parseJSON(t, w)
			}
		}
	}
	if w := b.do("PUT", "/_template/t", "{}"); w.Code != 200 {
		t.Errorf("PUT of a template: %d", w.Code)
	}
}

func parseJSON(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	if body := strings.TrimSpace(w.Body.String()); !strings.HasPrefix(body, "[") {
		parseReply(t, []byte(body))
	}
}

// A client that is cut off before the answer sends the same again: it is
// stored once.
func TestCutBeforeTheAck(t *testing.T) {
	t.Parallel()
	s := &sink{gate: make(chan struct{}), inside: make(chan struct{}, 2)}
	b := newBench(httpin.Options{Clock: env.Real().Clock}, s)
	server := httptest.NewServer(b.handler)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", goodToken, len(threeDocs), threeDocs)
	<-s.inside
	conn.Close() // the context of the request ends, the sink gives up waiting
	close(s.gate)
	r, _ := http.NewRequest("POST", server.URL+"/_bulk", strings.NewReader(threeDocs))
	r.Header.Set("Authorization", "Bearer "+goodToken)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	answer.Body.Close()
	if answer.StatusCode != 200 || len(parseReply(t, body).Items) != 3 {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	if !slices.Equal(s.records(), threeRecords) {
		t.Errorf("stored %q", s.records())
	}
}

// A body that ends before its length is not taken in part.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	s := &sink{}
	b := newBench(httpin.Options{Clock: env.Real().Clock}, s)
	server := httptest.NewServer(b.handler)
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /_bulk HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s", goodToken, len(threeDocs)+1, threeDocs)
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 400 || len(s.records()) != 0 {
		t.Errorf("%d, stored %q", answer.StatusCode, s.records())
	}
}

func TestReplayIsAckedAndStoredOnce(t *testing.T) {
	t.Parallel()
	for _, body := range []string{threeDocs, "{\"create\":{\"_index\":\"a\"}}\n{}\n{\"create\":{\"_index\":\"b\"}}\n{}\n"} {
		s := &sink{}
		b := newBench(httpin.Options{}, s)
		first, second := b.do("POST", "/_bulk", body), b.do("POST", "/_bulk", body)
		n := len(s.records())
		if first.Code != 200 || second.Code != 200 || s.replays != len(s.kept) || n != strings.Count(body, "create") {
			t.Errorf("%d %d: %d records, %d replays", first.Code, second.Code, n, s.replays)
		}
		if got := parseReply(t, second.Body.Bytes()); *got.Errors || len(got.Items) != n {
			t.Errorf("%s", second.Body)
		}
	}
}

// Elasticsearch answers a document that is created again with 409, which makes
// some clients drop it and others send it for ever; here it is a success that did
// nothing.
func TestCreatedAgain(t *testing.T) {
	t.Parallel()
	const one, other = "{\"create\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{}\n", "{\"create\":{\"_index\":\"b\"}}\n{}\n{\"index\":{\"_index\":\"b\"}}\n{}\n"
	const two = "{\"create\":{\"_index\":\"a\"}}\n{}\n"
	const created, noop = "created 201 1", "noop 200 0"
	for name, c := range map[string]struct {
		before, target, body string
		want                 []string
	}{
		"one index":            {one, "/_bulk", one, []string{noop}},
		"several":              {one + other, "/_bulk", one + other, []string{noop, noop, created}},
		"one of two indices":   {two + "{\"create\":{\"_index\":\"c\"}}\n{}\n", "/_bulk", two + "{\"create\":{\"_index\":\"d\"}}\n{}\n", []string{noop, created}},
		"a refused one":        {"{\"create\":{\"_index\":\"a\"}}\n\n", "/_bulk", "{\"create\":{\"_index\":\"a\"}}\n\n", []string{noop}},
		"never before":         {"", "/_bulk", one, []string{created}},
		"filtered":             {one, "/_bulk?filter_path=items.*.status,items.*.result,items.*._shards", one, []string{noop}},
		"overwritten":          {other, "/_bulk", other, []string{noop, created}},
		"one more in the body": {one, "/_bulk", one + "{\"create\":{\"_index\":\"a\",\"_id\":\"2\"}}\n{}\n", []string{created, created}},
	} {
		b := newBench(httpin.Options{}, &sink{})
		if c.before != "" {
			b.do("POST", "/_bulk", c.before)
		}
		w := b.do("POST", c.target, c.body)
		var got []string
		for _, item := range parseReply(t, w.Body.Bytes()).Items {
			for _, v := range item {
				got = append(got, fmt.Sprintf("%v %v %v", v["result"], v["status"], v["_shards"].(map[string]any)["total"]))
			}
		}
		if w.Code != 200 || !slices.Equal(got, c.want) || c.target == "/_bulk" && !strings.Contains(w.Body.String(), `"errors":false,"items":[`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	b := newBench(httpin.Options{}, &sink{})
	for _, want := range []string{`201 "result":"created"`, `200 "result":"noop"`} {
		w := b.do("PUT", "/a/_create/1", "{}")
		code, result, _ := strings.Cut(want, " ")
		if strconv.Itoa(w.Code) != code || !strings.Contains(w.Body.String(), result) {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
}

// The same bytes are another batch when the URL gives them another index or id.
func TestSameBytesUnderOtherURLs(t *testing.T) {
	t.Parallel()
	const line = "{\"create\":{}}\n{}\n"
	for _, c := range []struct {
		urls   []string
		body   string
		stored int
	}{
		{[]string{"/a/_bulk", "/b/_bulk", "/_bulk"}, line, 3},
		{[]string{"/a/_bulk", "/a/_bulk", "/elastic/a/_bulk"}, line, 1},
		{[]string{"/a/_doc", "/b/_doc"}, "{}", 2},
		{[]string{"/a/_doc", "/a/_doc"}, "{}", 1},
		{[]string{"/a/_doc/1", "/a/_doc/2", "/b/_doc/1", "/a/_doc"}, "{}", 4},
		{[]string{"/a/_doc/1", "/a/_doc/1"}, "{}", 1},
		{[]string{"/a/_create/1", "/a/_create/2", "/b/_create/1"}, "{}", 3},
		{[]string{"/a/_create/1", "/a/_create/1"}, "{}", 1},
	} {
		s := &sink{}
		b := newBench(httpin.Options{}, s)
		for _, url := range c.urls {
			if w := b.do("POST", url, c.body); w.Code/100 != 2 {
				t.Errorf("%s: %d %s", url, w.Code, w.Body)
			}
		}
		if n := len(s.records()); n != c.stored {
			t.Errorf("%v: %d stored, want %d", c.urls, n, c.stored)
		}
	}
}

// A HEAD has the headers of its GET, and no body (RFC 9110, 9.3.2).
func TestHead(t *testing.T) {
	t.Parallel()
	b := newBench(httpin.Options{}, &sink{})
	for _, url := range []string{"/", "/elastic", "/_license", "/_cluster/health", "/_ilm/policy/none", "/nosuch"} {
		get, head := b.do("GET", url, ""), b.do("HEAD", url, "")
		if head.Code != get.Code || head.Body.Len() != 0 || get.Body.Len() == 0 {
			t.Errorf("%s: %d with %d bytes, %d with %d", url, get.Code, get.Body.Len(), head.Code, head.Body.Len())
		}
		if diff := cmp.Diff(get.Header(), head.Header()); diff != "" {
			t.Errorf("%s (-GET +HEAD):\n%s", url, diff)
		}
	}
}

// An id is one in its index: the same id in two is two events.
func TestIDsAreOfTheirIndex(t *testing.T) {
	t.Parallel()
	s := &sink{}
	b := newBench(httpin.Options{}, s)
	b.do("POST", "/_bulk", "{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}}\n{}\n{\"index\":{\"_index\":\"\\u0062\",\"_id\":\"\\u0031\"}}\n{}\n")
	b.do("POST", "/c/_bulk", "{\"index\":{\"_id\":1}}\n{}\n{\"index\":{}}\n{}\n")
	b.do("POST", "/c/_doc/1", `{"n":2}`)
	var all []string
	for _, k := range s.kept {
		for i := range k.native {
			all = append(all, k.indices[i]+" "+k.native[i])
		}
	}
	slices.Sort(all) // the batches of a body are stored side by side
	// An item without an id has none.
	if want := []string{" ", "a 1", "b 1", "c 1", "c 1"}; !slices.Equal(all, want) {
		t.Errorf("%q, want %q", all, want)
	}
}

// Documents that are created under ids are known by them, whatever order their
// fields are in; anything else is known by its bytes.
func TestReplayWithFieldsInAnotherOrder(t *testing.T) {
	t.Parallel()
	const a, b = `{"create":{"_index":"x","_id":"1"}}`, `{"create":{"_index":"x","_id":"2"}}`
	const one, other = "\n{\"m\":1,\"n\":2}\n", "\n{\"n\":2,\"m\":1}\n"
	for name, c := range map[string]struct {
		first, second string
		stored        int
	}{
		"created under ids":        {a + one + b + one, a + other + b + one, 2},
		"two indices":              {a + one + `{"create":{"_index":"y","_id":"1"}}` + one, a + other + `{"create":{"_index":"y","_id":"1"}}` + other, 2},
		"other ids":                {a + one, b + one, 2},
		"other index":              {a + one, `{"create":{"_index":"y","_id":"1"}}` + one, 2},
		"one more":                 {a + one, a + one + b + one, 3},
		"one without an id":        {a + one + `{"create":{"_index":"x"}}` + one, a + other + `{"create":{"_index":"x"}}` + one, 4},
		"overwritten":              {`{"index":{"_index":"x","_id":"1"}}` + one, `{"index":{"_index":"x","_id":"1"}}` + other, 2},
		"ids that run together":    {`{"create":{"_index":"x","_id":"1"}}` + one + `{"create":{"_index":"x","_id":"23"}}` + one, `{"create":{"_index":"x","_id":"12"}}` + one + `{"create":{"_index":"x","_id":"3"}}` + one, 4},
		"a refused one among them": {a + one + "!!!\n", a + other + "!!!\n", 2},
	} {
		s := &sink{}
		bench := newBench(httpin.Options{}, s)
		first, second := bench.do("POST", "/_bulk", c.first), bench.do("POST", "/_bulk", c.second)
		if n := len(s.records()); first.Code != 200 || second.Code != 200 || n != c.stored {
			t.Errorf("%s: %d %d, %d records, want %d", name, first.Code, second.Code, n, c.stored)
		}
	}
}

// A request of several indices of which one batch is refused is refused whole,
// and nothing is stored twice when it comes again.
func TestPartlyStoredRequestComesAgain(t *testing.T) {
	t.Parallel()
	s := &sink{reject: []error{&ingest.Busy{Wait: time.Second, Why: "full"}}}
	b := newBench(httpin.Options{}, s)
	body := "{\"create\":{\"_index\":\"a\"}}\n{\"n\":1}\n{\"create\":{\"_index\":\"b\"}}\n{\"n\":2}\n"
	if w := b.do("POST", "/_bulk", body); w.Code != 429 || len(s.records()) != 1 {
		t.Errorf("%d, stored %q", w.Code, s.records())
	}
	if w := b.do("POST", "/_bulk", body); w.Code != 200 || len(s.records()) != 2 || s.replays != 1 {
		t.Errorf("%d, stored %q", w.Code, s.records())
	}
}

func TestPoisonInTheMiddle(t *testing.T) {
	t.Parallel()
	s := &sink{}
	b := newBench(httpin.Options{}, s)
	w := b.do("POST", "/_bulk", "{\"create\":{}}\n{\"n\":1}\n{\"create\":{}}\n\x00\xff{{{\n{\"create\":[]}\n{\"n\":0}\n{\"create\":{}}\n{\"n\":3}\n")
	if r := parseReply(t, w.Body.Bytes()); w.Code != 200 || len(r.Items) != 4 || *r.Errors {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if want := []string{`{"n":1}`, "\x00\xff{{{", `{"n":3}`}; !slices.Equal(s.records(), want) {
		t.Errorf("stored %q", s.records())
	}
	if !slices.Equal(s.kept[0].reasons, []string{ingest.ReasonNotRecord}) {
		t.Errorf("refused %q", s.kept[0].reasons)
	}
}

func TestOversizeEvent(t *testing.T) {
	t.Parallel()
	for _, size := range []int{ingest.EventBytesMax, ingest.EventBytesMax + 1, 32 * ingest.EventBytesMax} {
		doc := strings.Repeat("x", size)
		for _, target := range []string{"/_bulk", "/i/_doc", "/i/_create/7"} {
			s := &sink{}
			b := newBench(httpin.Options{}, s)
			body, records := doc, 1
			if target == "/_bulk" {
				body, records = "{\"create\":{}}\n"+doc+"\n{\"create\":{}}\n{\"n\":2}\n", 2
			}
			w := b.do("POST", target, body)
			if w.Code != 200 && w.Code != 201 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			refused := 0
			if size > ingest.EventBytesMax {
				refused = 1
			}
			k := s.kept[0] // a large body is taken in pieces
			for _, more := range s.kept[1:] {
				k.records, k.refused = append(k.records, more.records...), append(k.refused, more.refused...)
			}
			if len(k.records) != records-refused || len(k.refused) != refused {
				t.Errorf("%s of %d bytes: %d records, %d refused", target, size, len(k.records), len(k.refused))
			}
			if refused == 1 && (k.refused[0] != doc[:ingest.RefusedBytesMax] || k.reasons[0] != ingest.ReasonTooLarge || k.details[0] != ingest.LargeDetail([]byte(doc))) {
				t.Errorf("kept %d bytes because of %s", len(k.refused[0]), k.reasons[0])
			}
		}
	}
}

func TestWrongToken(t *testing.T) {
	t.Parallel()
	s := &sink{}
	b := newBench(httpin.Options{FailedAuthPerMinute: 1000}, s)
	for _, path := range []string{"/", "/_license", "/_bulk", "/i/_doc", "/no/such/route", "/_template/x"} {
		for header, reason := range map[string]string{"": "no_token", "Bearer wrong": "token", "Bearer tt_old": "expired", "Basic !": "no_token"} {
			before := count(b.metrics.IngestRejected.WithLabelValues("elastic", reason))
			w := b.do("POST", path, threeDocs, "Authorization", header)
			if w.Code != 401 || w.Header().Get("Www-Authenticate") == "" || w.Header().Get("X-Elastic-Product") == "" || !strings.Contains(w.Body.String(), `"type":"security_exception"`) || !strings.Contains(w.Body.String(), `"status":401`) {
				t.Errorf("%s %q: %d %s", path, header, w.Code, w.Body)
			}
			if count(b.metrics.IngestRejected.WithLabelValues("elastic", reason)) != before+1 {
				t.Errorf("%q is not counted as %s", header, reason)
			}
		}
	}
	if s.admitted != 0 || len(s.kept) != 0 {
		t.Errorf("%d admitted, %d kept", s.admitted, len(s.kept))
	}
}

// A sync that takes long keeps the answer back: nothing is acknowledged before.
func TestSlowSync(t *testing.T) {
	t.Parallel()
	s := &sink{gate: make(chan struct{}), inside: make(chan struct{})}
	b := newBench(httpin.Options{}, s)
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- b.do("POST", "/_bulk", threeDocs) }()
	<-s.inside
	select {
	case w := <-done:
		t.Fatalf("answered %d before the sync", w.Code)
	default:
	}
	close(s.gate)
	if w := <-done; w.Code != 200 || len(s.records()) != 3 {
		t.Errorf("%d", w.Code)
	}
}

func TestFailedSyncIsNotAcked(t *testing.T) {
	t.Parallel()
	s := &sink{reject: []error{errors.New("sync /data/log: input/output error")}}
	b := newBench(httpin.Options{}, s)
	w := b.do("POST", "/_bulk", threeDocs)
	if w.Code != 503 || w.Header().Get("Retry-After") != "1" || strings.Contains(w.Body.String(), "/data") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Limits of bytes and items, at the limit, one beyond, and a hundred times.
func TestLimits(t *testing.T) {
	t.Parallel()
	const bodyMax = 1 << 20
	fit := func(n int) string { // a body of n bytes
		return "{\"create\":{}}\n" + strings.Repeat("x", n-14)
	}
	chunked := []string{"Transfer-Encoding", "chunked"}
	for _, c := range []struct {
		name     string
		size     int
		encoding string
		length   bool
		status   int
		admitted int
	}{
		{"at the limit", bodyMax, "", true, 200, 1},
		{"one more", bodyMax + 1, "", true, 413, 0},
		{"a hundred times", 100 * bodyMax, "", true, 413, 0},
		{"unknown length, at the limit", bodyMax, "", false, 200, 1},
		{"unknown length, one more", bodyMax + 1, "", false, 413, 1},
		{"unknown length, a hundred times", 100 * bodyMax, "", false, 413, 1},
		{"gzip, at the limit", bodyMax, "gzip", true, 200, 1},
		{"gzip, one more", bodyMax + 1, "gzip", true, 413, 1},
		{"gzip, a hundred times", 100 * bodyMax, "gzip", true, 413, 1},
		{"zstd, at the limit", bodyMax, "zstd", true, 200, 1},
		{"zstd, one more", bodyMax + 1, "zstd", true, 413, 1},
		{"zstd, a hundred times", 100 * bodyMax, "zstd", true, 413, 1},
		{"snappy, at the limit", bodyMax, "snappy", true, 200, 1},
		{"snappy, one more", bodyMax + 1, "snappy", true, 413, 1},
		{"snappy, a hundred times", 100 * bodyMax, "snappy", true, 413, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &sink{}
			b := newBench(httpin.Options{BodyBytesMax: bodyMax}, s)
			sent := compressed(t, c.encoding, fit(c.size))
			r := httptest.NewRequest("POST", "/_bulk", strings.NewReader(string(sent)))
			r.Header.Set("Authorization", "Bearer "+goodToken)
			r.Header.Set("Content-Encoding", c.encoding)
			if !c.length {
				r.ContentLength = -1
				r.TransferEncoding = chunked[1:]
			}
			w := httptest.NewRecorder()
			b.handler.ServeHTTP(w, r)
			if w.Code != c.status || (s.admitted > 0) != (c.admitted > 0) || s.open != 0 {
				t.Errorf("%d %.100s, %d admitted, %d open", w.Code, w.Body, s.admitted, s.open)
			}
		})
	}
	t.Run("items", func(t *testing.T) {
		t.Parallel()
		for n, status := range map[int]int{ingest.RequestEventsMax: 200, ingest.RequestEventsMax + 1: 413, 10 * ingest.RequestEventsMax: 413} {
			s := &sink{}
			if w := newBench(httpin.Options{}, s).do("POST", "/_bulk", strings.Repeat("{\"create\":{}}\n{}\n", n)); w.Code != status || (len(s.kept) > 0) != (status == 200) {
				t.Errorf("%d items: %d %.80s", n, w.Code, w.Body)
			}
		}
	})
}

// A chunk of Fluent Bit's, 2 MB of short records, has more items than a batch: it
// would send one that is refused for its size for ever. It is stored in batches,
// and once when it comes again.
func TestManyItems(t *testing.T) {
	t.Parallel()
	const n = 2*ingest.BatchEventsMax + 7
	var one, two, ids strings.Builder
	for i := range n {
		fmt.Fprintf(&one, "{\"create\":{\"_index\":\"a\"}}\n{\"n\":%d}\n", i)
		fmt.Fprintf(&two, "{\"create\":{\"_index\":\"%c\"}}\n{\"n\":%d}\n", 'a'+i/(n-5), i)
		fmt.Fprintf(&ids, "{\"create\":{\"_index\":\"a\",\"_id\":\"%d\"}}\n{\"n\":%[1]d}\n", i)
	}
	for name, c := range map[string]struct {
		body    string
		batches int
	}{"one index": {one.String(), 3}, "two": {two.String(), 4}, "ids": {ids.String(), 3}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &sink{reject: []error{nil, &ingest.Busy{Wait: time.Second, Why: "full"}}}
			b := newBench(httpin.Options{}, s)
			if w := b.do("POST", "/_bulk", c.body); w.Code != 429 {
				t.Fatalf("%d %.100s", w.Code, w.Body)
			}
			for _, want := range []string{"created", "noop"} {
				w := b.do("POST", "/_bulk", c.body)
				r := parseReply(t, w.Body.Bytes())
				if w.Code != 200 || len(r.Items) != n || w.Header().Get("Content-Length") != strconv.Itoa(w.Body.Len()) || !strings.Contains(w.Body.String()[:64], `"errors":false,"items":[`) {
					t.Fatalf("%d, %d items, %s of %d bytes: %.100s", w.Code, len(r.Items), w.Header().Get("Content-Length"), w.Body.Len(), w.Body)
				}
				seen := map[any]bool{}
				for _, item := range r.Items {
					seen[item["create"]["_id"]] = true
					// Of two batches stored side by side the first request may have left one.
					if item["create"]["result"] != want && (name != "two" || want == "noop") {
						t.Fatalf("%v, want %s", item, want)
					}
				}
				if len(seen) != n {
					t.Errorf("%d ids", len(seen))
				}
			}
			all := s.records()
			slices.Sort(all)
			if len(slices.Compact(all)) != n || len(s.records()) != n || len(s.kept) != c.batches || s.open != 0 {
				t.Errorf("%d records in %d batches, %d open", len(s.records()), len(s.kept), s.open)
			}
			for _, k := range s.kept {
				if k.batch.Records() > ingest.BatchEventsMax {
					t.Errorf("a batch of %d", k.batch.Records())
				}
			}
		})
	}
}

func TestRequestsThatAreNone(t *testing.T) {
	t.Parallel()
	s := &sink{}
	b := newBench(httpin.Options{}, s)
	for _, c := range []struct {
		method, path, body, encoding string
		status                       int
		says                         string
	}{
		{"POST", "/_bulk", "", "", 400, "request body is required"},
		{"POST", "/_bulk", "\n\n", "", 400, "request body is required"},
		{"POST", "/i/_doc", " \n", "", 400, "request body is required"},
		{"GET", "/_bulk", "", "", 405, "POST, PUT"},
		{"GET", "/i/_doc/1", "", "", 405, "POST, PUT"},
		{"DELETE", "/_template/t", "", "", 405, "GET, HEAD"},
		{"POST", "/", "{}", "", 405, "GET, HEAD"},
		{"GET", "/_nodes", "", "", 404, "no such route"},
		{"GET", "/i", "", "", 404, "no such route"},
		{"GET", "/i//_bulk", "", "", 404, "no such route"},
		{"POST", "/a/b/c/d/e/f/_bulk", "", "", 404, "no such route"},
		{"POST", "/elasticx/_bulk/x", "", "", 404, "no such route"},
		{"POST", "/" + strings.Repeat("i", 256) + "/_bulk", "x", "", 400, "cannot be one"},
		{"POST", "/a%0d%0aX-Evil:%201/_bulk", "x", "", 400, "cannot be one"},
		{"POST", "/a%ff/_bulk", "x", "", 400, "cannot be one"},
		{"POST", "/i/_doc/" + strings.Repeat("i", 513), "x", "", 400, "cannot be one"},
		{"POST", "/_bulk", "not gzip", "gzip", 400, "not gzip"},
		{"POST", "/_bulk", "x", "br", 415, "not known"},
		{"POST", "/_bulk", "x", "gzip, gzip", 415, "more than one"},
		{"PUT", "/_template/t", "[]", "", 400, "not a JSON object"},
		{"PUT", "/_template/t", "{", "", 400, "not a JSON object"},
		{"PUT", "/_template/a%00", "{}", "", 400, "cannot be a name"},
	} {
		w := b.do(c.method, c.path, c.body, "Content-Encoding", c.encoding)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || w.Header().Get("X-Evil") != "" {
			t.Errorf("%s %.60s: %d %s", c.method, c.path, w.Code, w.Body)
		}
		parseReply(t, w.Body.Bytes())
	}
	if len(s.kept) != 0 || s.open != 0 {
		t.Errorf("%d kept, %d open", len(s.kept), s.open)
	}
}

func TestEchoedNamesStayInTheirStrings(t *testing.T) {
	t.Parallel()
	s := &sink{}
	b := newBench(httpin.Options{}, s)
	evil := `<script>","errors":true,"x":"`
	w := b.do("POST", "/%3Cscript%3E%22%2C%22errors%22%3Atrue%2C%22x%22%3A%22/_bulk", "{\"create\":{}}\n{}\n{\"create\":{\"_index\":\"\\u003cscript>\\\",\\\"errors\\\":true\"}}\n{}\n")
	r := parseReply(t, w.Body.Bytes())
	if *r.Errors || r.Items[0]["create"]["_index"] != evil || len(r.Items) != 2 || strings.Contains(w.Header().Get("Content-Type"), "html") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = b.do("GET", "/_nodes/http", "", "Host", "x")
	parseReply(t, w.Body.Bytes())
	if w = b.do("PUT", "/_template/%22%7D", `{"a":1}`); w.Code != 200 {
		t.Errorf("put: %d %s", w.Code, w.Body)
	}
	if w = b.do("GET", "/_template/%22%7D", ""); w.Code != 200 || w.Body.String() != `{"\"}":{"a":1}}` {
		t.Errorf("%s", w.Body)
	}
}

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	b := newBench(httpin.Options{}, &sink{})
	for _, c := range []struct{ accept, content, want string }{
		{"", "", "application/json"},
		{"*/*", "application/vnd.elasticsearch+x-ndjson; compatible-with=9", "application/json"},
		{"", "application/vnd.elasticsearch+x-ndjson; compatible-with=8", "application/vnd.elasticsearch+json;compatible-with=8"},
		{"application/vnd.elasticsearch+json;compatible-with=7", "", "application/vnd.elasticsearch+json;compatible-with=7"},
		{"application/vnd.elasticsearch+json;compatible-with=6\r\nX: y", "", "application/json"},
		{"application/vnd.elasticsearch+json;compatible-with=", "", "application/json"},
		{"application/vnd.elasticsearch+json", "", "application/json"},
	} {
		w := b.do("POST", "/_bulk", threeDocs, "Accept", c.accept, "Content-Type", c.content)
		if got := w.Header().Get("Content-Type"); w.Code != 200 || got != c.want {
			t.Errorf("%q %q: %d %q", c.accept, c.content, w.Code, got)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := newBench(httpin.Options{}, &sink{})
	for i := range tenantNamesMax + 10 {
		if w := b.do("PUT", fmt.Sprintf("/_index_template/t%d", i), `{"a":1}`); w.Code != 200 || w.Body.String() != `{"acknowledged":true}` {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	known := 0
	for i := range tenantNamesMax + 10 {
		if w := b.do("GET", fmt.Sprintf("/_index_template/t%d", i), ""); w.Code == 200 {
			known++
			if want := fmt.Sprintf(`{"index_templates":[{"name":"t%d","index_template":{"a":1}}]}`, i); w.Body.String() != want {
				t.Errorf("%s", w.Body)
			}
		}
	}
	if known != tenantNamesMax {
		t.Errorf("%d are remembered", known)
	}
	if w := b.do("PUT", "/_index_template/t0", `{"a":2}`); w.Code != 200 || !strings.Contains(b.do("GET", "/_index_template/t0", "").Body.String(), `"a":2`) {
		t.Error("what is known cannot be put again")
	}
	// What one tenant fills is not missing to another.
	other := func(method, body string) int {
		return b.do(method, "/_index_template/t", body, "Authorization", "Bearer tt_other").Code
	}
	if put, get := other("PUT", "{}"), other("GET", ""); put != 200 || get != 200 {
		t.Errorf("another tenant: %d %d", put, get)
	}
	var m memory
	tenants := make([]string, 2*namesMax/tenantNamesMax)
	for i := range tenants {
		tenants[i] = fmt.Sprint("t", i)
	}
	all, err := event.NewTenants(tenants)
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range all.All() {
		for i := range namesMax {
			m.put(key{tenant, "_template", fmt.Sprint(i)}, nil)
		}
	}
	if len(m.kept) != namesMax {
		t.Errorf("%d names of all tenants", len(m.kept))
	}
	// A template of any size that is read is acknowledged; a large one is kept
	// by name only, one beyond all sense is refused.
	b = newBench(httpin.Options{}, &sink{})
	for size, status := range map[int]int{keptBytesMax: 200, keptBytesMax + 1: 200, setupBytesMax: 200, setupBytesMax + 1: 413} {
		body := `{"a":"` + strings.Repeat("x", size-8) + `"}`
		if w := b.do("PUT", fmt.Sprintf("/_component_template/c%d", size), body); w.Code != status {
			t.Errorf("%d bytes: %d", size, w.Code)
		}
		w := b.do("GET", fmt.Sprintf("/_component_template/c%d", size), "")
		if (w.Code == 200) != (status == 200) || (w.Body.Len() > keptBytesMax) != (size == keptBytesMax) {
			t.Errorf("%d bytes: %d with %d bytes", size, w.Code, w.Body.Len())
		}
	}
}

// What one tenant sets up another does not see.
func TestMemoryIsOfATenant(t *testing.T) {
	t.Parallel()
	var m memory
	m.put(key{acme, "_template", "t"}, []byte("{}"))
	if _, ok := m.get(key{event.Tenant{}, "_template", "t"}); ok {
		t.Error("seen by another tenant")
	}
}

func TestSetupsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(httpin.Options{}, &sink{})
	m := &b.handler.(*handler).memory
	put := func(token string) int {
		w := b.do("PUT", "/_template/t", "{}", "Authorization", "Bearer "+token)
		if (w.Code == 429) != (w.Header().Get("Retry-After") == "1") {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		return w.Code
	}
	for range tenantSetupsMax {
		if !m.begin(acme) {
			t.Fatal("no place")
		}
	}
	if own, other := put(goodToken), put("tt_other"); own != 429 || other != 200 {
		t.Errorf("%d, another tenant %d", own, other)
	}
	m.end(acme)
	if own := put(goodToken); own != 200 {
		t.Errorf("%d", own)
	}
	m.read = setupsMax
	if own, other := put(goodToken), put("tt_other"); own != 429 || other != 429 {
		t.Errorf("%d, another tenant %d", own, other)
	}
}

// Attacks cost no memory that stays.
func TestMemoryAfterBombs(t *testing.T) {
	s := &sink{}
	b := newBench(httpin.Options{}, s)
	bombs := [][]byte{compressed(t, "gzip", strings.Repeat("\x00", 32<<20)), compressed(t, "zstd", strings.Repeat("\x00", 32<<20))}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 100 {
		if w := b.do("POST", "/_bulk", string(bombs[i%2]), "Content-Encoding", []string{"gzip", "zstd"}[i%2]); w.Code != 413 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("%d bytes stay", grown)
	}
}
