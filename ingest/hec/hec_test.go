package hec

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	hecformat "github.com/tiercel-io/tiercel/format/hec"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/httpin"
	"github.com/tiercel-io/tiercel/ingest/ingesttest"
)

func receiver(t testing.TB, acks Acks) (*ingesttest.Sink, *Receiver) {
	s := &ingesttest.Sink{TB: t}
	return s, New(Options{Front: ingesttest.Front(s, ingesttest.NewClock()), Acks: acks})
}

const success = `{"text":"Success","code":0}`

// The requests of clients as they were seen on the wire or stand in their
// sources; names and tokens are ours.
func TestClients(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, target, body string
		headers            []string
		raw                []string
	}{
		{
			// splunk output: no Content-Type, objects with nothing between.
			"Fluent Bit 5.1.1", "/services/collector/event",
			`{"time":1795302590.865,"event":{"log":"one"}}{"time":1795302590.866,"event":{"log":"two"}}`,
			[]string{"User-Agent", "Fluent-Bit", "Content-Type", ""},
			[]string{`{"time":1795302590.865,"event":{"log":"one"}}`, `{"time":1795302590.866,"event":{"log":"two"}}`},
		},
		{
			// http() destination with a body of its own and a line feed behind each.
			"syslog-ng 3.38.1", "/services/collector/event",
			"{\"time\":1795302590,\"host\":\"web-1\",\"sourcetype\":\"syslog\",\"event\":\"<38>Nov 21 23:09:50 web-1 sshd[1]: hi\"}\n",
			[]string{"User-Agent", "syslog-ng 3.38.1/libcurl 7.88.1", "Content-Type", "application/x-www-form-urlencoded", "Expect", ""},
			[]string{`{"time":1795302590,"host":"web-1","sourcetype":"syslog","event":"<38>Nov 21 23:09:50 web-1 sshd[1]: hi"}`},
		},
		{
			// http output with the splunkmetric serializer.
			"Telegraf 1.37.2", "/services/collector",
			`{"_value":0.5,"cpu":"cpu0","metric_name":"cpu.usage","time":1795302590,"event":"metric"}`,
			[]string{"User-Agent", "Telegraf/1.37.2 Go/1.26", "Content-Type", "text/plain; charset=utf-8"},
			[]string{`{"_value":0.5,"cpu":"cpu0","metric_name":"cpu.usage","time":1795302590,"event":"metric"}`},
		},
		{
			// Its string fields are dropped: the body is empty, and a 400 would be
			// tried again for ever.
			"Telegraf 1.37.2, nothing to say", "/services/collector", "", []string{"Content-Type", "text/plain; charset=utf-8"}, nil,
		},
		{
			// splunk_hec_logs sink: gzip off, a channel only with acknowledgements.
			"Vector", "/services/collector/event",
			`{"event":{"message":"one"},"fields":{"env":"x"},"time":1795302590.123,"host":"h","index":"main","source":"s","sourcetype":"t"}`,
			[]string{"Content-Type", "application/json", "User-Agent", "Vector/0.50"},
			[]string{`{"event":{"message":"one"},"fields":{"env":"x"},"time":1795302590.123,"host":"h","index":"main","source":"s","sourcetype":"t"}`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, h := receiver(t, AcksOnChannel)
			headers := append([]string{"Authorization", "Splunk " + ingesttest.Good}, tt.headers...)
			w := ingesttest.Do(h, "POST", tt.target, tt.body, headers...)
			if w.Code != 200 || w.Body.String() != success {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			if raw := s.Raw(); !slices.Equal(raw, tt.raw) {
				t.Errorf("%q", raw)
			}
			for _, k := range s.Batches() {
				if k.Format != "hec" || k.Protocol != "hec" || k.Source != "agents" {
					t.Errorf("%+v", k.Batch)
				}
			}
			if s.Open() != 0 {
				t.Error("room was not given back")
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		method, target string
		status         int
		body           string
	}{
		{"POST", "/services/collector", 200, success},
		{"POST", "/services/collector/", 200, success},
		{"POST", "/services/collector/event", 200, success},
		{"POST", "/services/collector/event/1.0", 200, success},
		{"POST", "/services/collector/raw", 200, success},
		{"POST", "/services/collector/raw/1.0", 200, success},
		{"GET", "/services/collector/health", 200, `{"text":"HEC is healthy","code":17}`},
		{"GET", "/services/collector/health/1.0", 200, `{"text":"HEC is healthy","code":17}`},
		{"OPTIONS", "/services/collector", 200, ""},
		{"OPTIONS", "/services/collector/raw/1.0", 200, ""},
		{"OPTIONS", "/services/collector/ack", 200, ""},
		{"OPTIONS", "/services/collector/health", 200, ""},
		{"GET", "/services/collector/event", 405, `{"text":"The requested URL does not support this method.","code":405}`},
		{"POST", "/services/collector/mint", 404, `{"text":"The requested URL was not found on this server.","code":404}`},
		{"POST", "/services/collectors", 404, `{"text":"The requested URL was not found on this server.","code":404}`},
	}
	for _, tt := range tests {
		_, h := receiver(t, AcksOnChannel)
		w := ingesttest.Do(h, tt.method, tt.target, `{"event":"x"}`)
		if w.Code != tt.status || w.Body.String() != tt.body || tt.method == "OPTIONS" && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: %d %s", tt.method, tt.target, w.Code, w.Body)
		}
	}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	const events, ack = "/services/collector/event", "/services/collector/ack"
	tests := []struct {
		name, target, body string
		acks               Acks
		headers            []string
		status             int
		want               string
	}{
		{"1 expired", events, `{"event":1}`, 0, []string{"Authorization", "Splunk " + ingesttest.Expired}, 403, `{"text":"Token disabled","code":1}`},
		{"2 none", events, `{"event":1}`, 0, []string{"Authorization", ""}, 401, `{"text":"Token is required","code":2}`},
		{"3 malformed", events, `{"event":1}`, 0, []string{"Authorization", "Negotiate x"}, 401, `{"text":"Invalid authorization","code":3}`},
		{"4 unknown", events, `{"event":1}`, 0, []string{"Authorization", "Splunk nobody"}, 403, `{"text":"Invalid token","code":4}`},
		{"4 at ack", ack + "?channel=c", `{"acks":[0]}`, 0, []string{"Authorization", "Splunk nobody"}, 403, `{"text":"Invalid token","code":4}`},
		{"Basic", events, `{"event":1}`, 0, []string{"Authorization", "Basic eDp0dF9nb29k"}, 200, success},
		{"5 empty on a channel", events, "", 0, []string{"X-Splunk-Request-Channel", "c"}, 400, `{"text":"No data","code":5}`},
		{"5 blank on a channel", "/services/collector/raw?channel=c", "\r\n", 0, nil, 400, `{"text":"No data","code":5}`},
		{"0 empty without one", events, "", 0, nil, 200, success},
		{"0 separators alone", events, "[ ]", 0, nil, 200, success},
		{"6 bad gzip", events, `{"event":1}`, 0, []string{"Content-Encoding", "gzip"}, 400, `{"text":"Invalid data format: the body is not gzip: `},
		{"6 bad query for acks", ack + "?channel=c", `{"acks":["x"]}`, 0, nil, 400, `{"text":"Invalid data format","code":6,"invalid-event-number":0}`},
		{"6 acks of fractions", ack + "?channel=c", `{"acks":[1.5]}`, 0, nil, 400, `{"text":"Invalid data format","code":6,"invalid-event-number":0}`},
		{"6 no acks", ack + "?channel=c", `{}`, 0, nil, 400, `{"text":"Invalid data format","code":6,"invalid-event-number":0}`},
		{"10 required", events, `{"event":1}`, AcksRequired, nil, 400, `{"text":"Data channel is missing","code":10}`},
		{"10 at ack", ack, `{"acks":[0]}`, 0, nil, 400, `{"text":"Data channel is missing","code":10}`},
		{"11", events, `{"event":1}`, 0, []string{"X-Splunk-Request-Channel", strings.Repeat("c", ChannelBytesMax+1)}, 400, `{"text":"Invalid data channel","code":11}`},
		{"14", ack + "?channel=c", `{"acks":[0]}`, AcksOff, nil, 400, `{"text":"Ack is disabled","code":14}`},
		{"0 on a channel without acks", events, `{"event":1}`, AcksOff, []string{"X-Splunk-Request-Channel", "c"}, 200, success},
		{"16", events + "?token=" + ingesttest.Good, `{"event":1}`, 0, []string{"Authorization", ""}, 400, `{"text":"Query string authorization is not enabled","code":16}`},
		// A poison event is acknowledged and kept.
		{"12 is 0", events, `{"host":"h"}`, 0, nil, 200, success},
		{"13 is 0", events, `{"event":""}`, 0, nil, 200, success},
		{"broken is 0", events, `{"event":1}{"event":`, 0, nil, 200, success},
	}
	for _, tt := range tests {
		_, h := receiver(t, tt.acks)
		w := ingesttest.Do(h, "POST", tt.target, tt.body, tt.headers...)
		if w.Code != tt.status || !strings.HasPrefix(w.Body.String(), tt.want) {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
		var tree event.Tree
		if err := tree.ParseJSON(w.Body.Bytes()); err != nil {
			t.Errorf("%s: %s: %v", tt.name, w.Body, err)
		}
	}
}

func TestPoisonInTheMiddle(t *testing.T) {
	t.Parallel()
	s, h := receiver(t, AcksOnChannel)
	body := "{\"event\":1}\n{\"event\":\"cut\n{\"event\":2}\n" + `{"event":"` + strings.Repeat("x", ingest.EventBytesMax) + `"}{"event":3}`
	if w := ingesttest.Do(h, "POST", "/services/collector", body); w.Code != 200 || w.Body.String() != success {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	k := s.Batches()[0]
	if !slices.Equal(k.Raw, []string{`{"event":1}`, `{"event":2}`, `{"event":3}`}) || !slices.Equal(k.Reasons, []string{ingest.ReasonUnparsed, ingest.ReasonTooLarge}) {
		t.Errorf("%q %q", k.Raw, k.Reasons)
	}
}

func TestRaw(t *testing.T) {
	t.Parallel()
	s, h := receiver(t, AcksOnChannel)
	for _, target := range []string{
		"/services/collector/raw?sourcetype=access&source=s&index=i&host=a", "/services/collector/raw/1.0?source=s&host=b", "/services/collector/raw?sourcetype=a%0ab&index=i",
	} {
		if w := ingesttest.Do(h, "POST", target, "one\r\n\r\ntwo", "Content-Type", "application/x-www-form-urlencoded"); w.Code != 200 || w.Body.String() != success {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
	}
	kept := s.Batches()
	if len(kept) != 3 {
		t.Fatalf("%d batches: the same lines of another host are others", len(kept))
	}
	for i, dataset := range []string{"access", "s", "i"} {
		if k := kept[i]; k.Dataset != dataset || k.Format != "" || !slices.Equal(k.Raw, []string{"one", "two"}) {
			t.Errorf("%q of format %q: %q", k.Dataset, k.Format, k.Raw)
		}
	}
}

func TestAcks(t *testing.T) {
	t.Parallel()
	s := &ingesttest.Sink{TB: t}
	clock := ingesttest.NewClock()
	h := New(Options{Front: ingesttest.Front(s, clock), Acks: AcksRequired})
	send := func(channel, body string) string {
		return ingesttest.Do(h, "POST", "/services/collector/event", body, "X-Splunk-Request-Channel", channel).Body.String()
	}
	ask := func(channel, body string) string {
		w := ingesttest.Do(h, "POST", "/services/collector/ack?channel="+channel, body)
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		return w.Body.String()
	}
	s.FailNext(&ingest.Busy{Wait: time.Second})
	for i, step := range []struct{ got, want string }{
		{send("a", `{"event":0}`), `{"text":"Server is busy","code":9}`},
		{send("a", `{"event":0}`), `{"text":"Success","code":0,"ackId":0}`},
		{send("a", `{"event":1}`), `{"text":"Success","code":0,"ackId":1}`},
		{send("b", `{"event":2}`), `{"text":"Success","code":0,"ackId":0}`},
		// What was sent again is durable and gets an id of its own.
		{send("a", `{"event":1}`), `{"text":"Success","code":0,"ackId":2}`},
		{ask("a", `{"acks":[2,0,9,0]}`), `{"acks":{"0":true,"2":true,"9":false}}`},
		{ask("a", `{"acks":[0,1]}`), `{"acks":{"0":false,"1":true}}`},
		{ask("b", `{"acks":[0,1]}`), `{"acks":{"0":true,"1":false}}`},
		{ask("unknown", `{"acks":[0]}`), `{"acks":{"0":false}}`},
		{ask("a", `{"acks":[]}`), `{"acks":{}}`},
	} {
		if step.got != step.want {
			t.Errorf("step %d: %s, want %s", i, step.got, step.want)
		}
	}
	clock.Advance(ChannelIdle)
	if got := send("a", `{"event":3}`); got != `{"text":"Success","code":0,"ackId":0}` {
		t.Errorf("after the channel was idle: %s", got)
	}
}

// Overload is 503 with code 9, before the body and after it; the agent comes
// again and every event is stored once. Health answers all the while.
func TestBusyThenAccepted(t *testing.T) {
	t.Parallel()
	s, h := receiver(t, AcksOnChannel)
	busy := &ingest.Busy{Wait: 1500 * time.Millisecond}
	s.RefuseNext(busy)
	s.FailNext(busy, errors.New("a fault"))
	for i, want := range []struct {
		status int
		body   string
	}{{503, `{"text":"Server is busy","code":9}`}, {503, `{"text":"Server is busy","code":9}`}, {500, `{"text":"Internal server error","code":8}`}, {200, success}, {200, success}} {
		w := ingesttest.Do(h, "POST", "/services/collector", `{"event":1}`)
		if w.Code != want.status || w.Body.String() != want.body || want.status == 503 && w.Header().Get("Retry-After") != "2" {
			t.Fatalf("request %d: %d %s", i, w.Code, w.Body)
		}
		if w := ingesttest.Do(h, "GET", "/services/collector/health", "", "Authorization", ""); w.Code != 200 {
			t.Errorf("health: %d", w.Code)
		}
	}
	if raw := s.Raw(); !slices.Equal(raw, []string{`{"event":1}`}) || s.Replays() != 1 || s.Open() != 0 {
		t.Errorf("%q, %d replays, %d open", raw, s.Replays(), s.Open())
	}
}

// An address that tries too many wrong tokens is told to wait, in words after
// which an agent keeps its batch; a token that was good from there goes on.
func TestTooManyWrongTokens(t *testing.T) {
	t.Parallel()
	s, h := receiver(t, AcksOnChannel)
	if w := ingesttest.Do(h, "POST", "/services/collector", `{"event":1}`); w.Code != 200 {
		t.Fatal(w.Code)
	}
	for range httpin.FailedAuthPerMinute {
		if w := ingesttest.Do(h, "POST", "/services/collector", `{"event":1}`, "Authorization", "Splunk nobody"); w.Code != 403 {
			t.Fatal(w.Code)
		}
	}
	w := ingesttest.Do(h, "POST", "/services/collector", `{"event":1}`, "Authorization", "Splunk nobody")
	if w.Code != 503 || w.Body.String() != `{"text":"Server is busy","code":9}` || w.Header().Get("Retry-After") == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ingesttest.Do(h, "POST", "/services/collector", `{"event":2}`); w.Code != 200 || len(s.Raw()) != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	s, h := receiver(t, AcksOnChannel)
	h.Stop()
	post := ingesttest.Do(h, "POST", "/services/collector", `{"event":1}`)
	if post.Header().Get("Retry-After") != "1" {
		t.Errorf("%v", post.Header())
	}
	for _, w := range []*httptest.ResponseRecorder{post, ingesttest.Do(h, "GET", "/services/collector/health", "")} {
		if w.Code != 503 || w.Body.String() != `{"text":"Server is shutting down","code":23}` {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	}
	if len(s.Batches()) != 0 {
		t.Error("a batch was taken")
	}
}

func TestSlowSync(t *testing.T) {
	t.Parallel()
	s, h := receiver(t, AcksOnChannel)
	waiting, resume := s.Hold()
	done := make(chan string)
	go func() {
		done <- ingesttest.Do(h, "POST", "/services/collector", `{"event":1}`, "X-Splunk-Request-Channel", "c").Body.String()
	}()
	<-waiting
	if w := ingesttest.Do(h, "POST", "/services/collector/ack?channel=c", `{"acks":[0]}`); w.Body.String() != `{"acks":{"0":false}}` {
		t.Errorf("before it was durable: %s", w.Body)
	}
	select {
	case body := <-done:
		t.Fatalf("answered %s before it was durable", body)
	default:
	}
	resume()
	if body := <-done; body != `{"text":"Success","code":0,"ackId":0}` {
		t.Errorf("answered %s", body)
	}
}

// A connection cut before the answer, then the same batch again: stored once.
func TestCutBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	s, h := receiver(t, AcksOnChannel)
	func() {
		defer func() { _ = recover() }()
		r := httptest.NewRequest("POST", "/services/collector", strings.NewReader(`{"event":1}`))
		r.Header.Set("Authorization", "Splunk "+ingesttest.Good)
		h.ServeHTTP(cutWriter{http.Header{}}, r)
	}()
	if w := ingesttest.Do(h, "POST", "/services/collector", `{"event":1}`); w.Code != 200 {
		t.Errorf("%d", w.Code)
	}
	if raw := s.Raw(); !slices.Equal(raw, []string{`{"event":1}`}) || s.Replays() != 1 || s.Open() != 0 {
		t.Errorf("%q, %d replays, %d open", raw, s.Replays(), s.Open())
	}
}

type cutWriter struct{ h http.Header }

func (c cutWriter) Header() http.Header       { return c.h }
func (c cutWriter) Write([]byte) (int, error) { return 0, errors.New("connection reset by peer") }
func (c cutWriter) WriteHeader(int)           {}

func TestGzipAndBomb(t *testing.T) {
	t.Parallel()
	pack := func(b []byte) string {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		_, _ = z.Write(b)
		_ = z.Close()
		return out.String()
	}
	s, h := receiver(t, AcksOnChannel)
	if w := ingesttest.Do(h, "POST", "/services/collector", pack([]byte(`{"event":1}{"event":2}`)), "Content-Encoding", "gzip"); w.Code != 200 || len(s.Raw()) != 2 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w := ingesttest.Do(h, "POST", "/services/collector", pack(make([]byte, 32<<20)), "Content-Encoding", "gzip")
	if w.Code != 413 || !strings.Contains(w.Body.String(), `"code":6`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := ingesttest.Do(h, "POST", "/services/collector", strings.Repeat("{}", ingest.RequestEventsMax+1)); w.Code != 413 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// What arrives is read as it was sent.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	s, h := receiver(t, AcksOnChannel)
	sent := []string{"{\"event\" : {\"x\":\"\\u00e9\xff\"} }", `{"event":"{\"EventID\":1}","time":1795302590.5}`}
	if w := ingesttest.Do(h, "POST", "/services/collector", sent[0]+"\n"+sent[1]); w.Code != 200 {
		t.Fatal(w.Code)
	}
	k := s.Batches()[0]
	p := hecformat.Format().NewParser(format.Options{})
	var raw, trees []string
	for _, f := range k.Frames {
		if err := p.Parse(&format.Block{Data: k.Data}, f, func(rec *event.Record) {
			raw = append(raw, string(rec.Raw))
			trees = append(trees, string(rec.Tree.AppendJSON(nil, 0)))
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(raw, sent) || !slices.Equal(trees, []string{"{\"x\":\"é\uFFFD\"}", `{"EventID":1,"hec":{"time":1795302590.5}}`}) {
		t.Errorf("%q %q", raw, trees)
	}
}
