package ndjson

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/ingesttest"
)

func receiver(t testing.TB) (*ingesttest.Sink, http.Handler) {
	s := &ingesttest.Sink{TB: t}
	return s, New(Options{Front: ingesttest.Front(s, ingesttest.NewClock())})
}

const windowsEvent = `<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><EventID>1</EventID></System></Event>`

func TestBodies(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, target, contentType, body string
		format                          string
		raw, refused                    []string
	}{
		{"lines of JSON", "/v1/ingest", "application/x-ndjson", "{\"a\":1}\n{\"a\":2}\n", "json", []string{`{"a":1}`, `{"a":2}`}, nil},
		{"BOM, CR LF, blank lines, no last end", "/v1/ingest", "application/x-ndjson", "\xef\xbb\xbf{\"a\":1}\r\n\r\n  \n{\"a\":2}", "json", []string{`{"a":1}`, `{"a":2}`}, nil},
		{"a poison line in the middle", "/v1/ingest/", "application/x-ndjson; charset=utf-8", "{\"a\":1}\n{broken\n{\"a\":2}\n", "json", []string{`{"a":1}`, `{broken`, `{"a":2}`}, nil},
		{"array", "/v1/ingest/web", "application/json", "[{\"a\":1} , {\"a\":\"}]\"}]", "json", []string{`{"a":1}`, `{"a":"}]"}`}, nil},
		{"objects with nothing between", "/v1/ingest/web", "application/json; charset=utf-8", "{\n\"a\":1}{\"a\" : 2}", "json", []string{"{\n\"a\":1}", `{"a" : 2}`}, nil},
		{"NDJSON said to be JSON", "/v1/ingest", "application/json", "{\"a\":1}\n{\"a\":2}", "json", []string{`{"a":1}`, `{"a":2}`}, nil},
		{"CloudTrail", "/v1/ingest", "application/json", `{"Records":[{"eventName":"x"},{"eventName":"y"}]}`, "json", []string{`{"eventName":"x"}`, `{"eventName":"y"}`}, nil},
		{"a broken element", "/v1/ingest", "application/json", "[\n{\"a\":1},\n{\"a\":[}\n,\n{\"a\":3}\n]", "json", []string{`{"a":1}`, `{"a":3}`}, []string{"{\"a\":[}\n,\n"}},
		{"JSON by its look", "/v1/ingest", "", "\n{\"a\":1}\n{\"a\":2}", "json", []string{`{"a":1}`, `{"a":2}`}, nil},
		{"curl's form", "/v1/ingest", "application/x-www-form-urlencoded", `[{"a":1}]`, "json", []string{`{"a":1}`}, nil},
		{"CloudEvents", "/v1/ingest", "application/cloudevents+json", `{"a":1}`, "json", []string{`{"a":1}`}, nil},
		{"text", "/v1/ingest/app", "text/plain", "one\ntwo\n", "", []string{"one", "two"}, nil},
		{"text in brackets", "/v1/ingest", "", "[Fri Jan 02 03:04:05 2026] [core:error] one\n[Fri Jan 02 03:04:06 2026] [core:error] two\n", "", []string{"[Fri Jan 02 03:04:05 2026] [core:error] one", "[Fri Jan 02 03:04:06 2026] [core:error] two"}, nil},
		{"text in braces", "/v1/ingest", "", "{x} one\n{y} two\n", "", []string{"{x} one", "{y} two"}, nil},
		{"syslog", "/v1/ingest?format=syslog", "text/plain", "<13>one\r\n<14>two", "syslog", []string{"<13>one", "<14>two"}, nil},
		{"text with continuation", "/v1/ingest?format=text", "", "2026-01-02 03:04:05 one\n\tat x\n2026-01-02 03:04:06 two\n", "text", []string{"2026-01-02 03:04:05 one\n\tat x", "2026-01-02 03:04:06 two"}, nil},
		{"XML", "/v1/ingest?format=xml", "application/xml", "<?xml version=\"1.0\"?><Events>" + windowsEvent + "\n" + windowsEvent + "</Events>", "xml", []string{windowsEvent, windowsEvent}, nil},
		{"audit events in each other", "/v1/ingest?format=auditd", "", "type=A msg=audit(1.001:1): x=1\ntype=A msg=audit(1.001:2): x=1\ntype=B msg=audit(1.001:1): x=2\n", "auditd", []string{"type=A msg=audit(1.001:1): x=1\ntype=B msg=audit(1.001:1): x=2", "type=A msg=audit(1.001:2): x=1"}, nil},
		{"format before Content-Type", "/v1/ingest?format=json", "text/plain", "[{\"a\":1}]", "json", []string{`{"a":1}`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, h := receiver(t)
			w := ingesttest.Do(h, "POST", tt.target, tt.body, "Content-Type", tt.contentType)
			want := fmt.Sprintf("{\"accepted\":%d}\n", len(tt.raw)+len(tt.refused))
			if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			kept := s.Batches()
			if len(kept) != 1 {
				t.Fatalf("%d batches", len(kept))
			}
			k := kept[0]
			if !slices.Equal(k.Raw, tt.raw) || !slices.Equal(k.Refused, tt.refused) || k.Format != tt.format {
				t.Errorf("%q, refused %q, format %q", k.Raw, k.Refused, k.Format)
			}
			dataset, _, _ := strings.Cut(strings.Trim(strings.TrimPrefix(tt.target, "/v1/ingest"), "/"), "?")
			if k.Dataset != dataset || k.Protocol != "ndjson" || k.Source != "agents" || k.Peer != "192.0.2.7" || k.Received.IsZero() {
				t.Errorf("%+v", k.Batch)
			}
			if s.Open() != 0 {
				t.Error("room was not given back")
			}
		})
	}
}

// UTF-16 is turned into UTF-8 where a format reads it, as from a file.
func TestUTF16(t *testing.T) {
	t.Parallel()
	s, h := receiver(t)
	body := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(windowsEvent + "\r\nrubbish\r\n" + windowsEvent)) {
		body = append(body, byte(u), byte(u>>8))
	}
	if w := ingesttest.Do(h, "POST", "/v1/ingest?format=xml", string(body)); w.Code != 200 || w.Body.String() != "{\"accepted\":3}\n" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if raw := s.Raw(); !slices.Equal(raw, []string{windowsEvent, windowsEvent}) || len(s.Batches()[0].Refused) != 1 {
		t.Errorf("%q", raw)
	}
	if w := ingesttest.Do(h, "POST", "/v1/ingest", string(body), "Content-Type", "application/x-ndjson"); w.Code != 400 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, method, target, body string
		headers                    []string
		status                     int
		code                       string
	}{
		{"no token", "POST", "/v1/ingest", "x", []string{"Authorization", ""}, 401, "no_token"},
		{"wrong token", "POST", "/v1/ingest", "x", []string{"Authorization", "Bearer nobody"}, 401, "token"},
		{"expired token", "POST", "/v1/ingest", "x", []string{"Authorization", "Bearer " + ingesttest.Expired}, 401, "expired"},
		{"method", "GET", "/v1/ingest", "", nil, 405, "method"},
		{"route", "POST", "/v1/ingest/a/b", "x", nil, 404, "not_found"},
		{"another route", "POST", "/v1/ingestion", "x", nil, 404, "not_found"},
		{"dataset of control bytes", "POST", "/v1/ingest/a%0ab", "x", nil, 404, "not_found"},
		{"long dataset", "POST", "/v1/ingest/" + strings.Repeat("a", DatasetBytesMax+1), "x", nil, 404, "not_found"},
		{"unknown format", "POST", "/v1/ingest?format=x%22y", "x", nil, 400, "format"},
		{"format with a header", "POST", "/v1/ingest?format=csv", "a,b\n1,2\n", nil, 400, "format"},
		{"bad gzip", "POST", "/v1/ingest", "nonsense", []string{"Content-Encoding", "gzip"}, 400, "encoding"},
		{"unknown encoding", "POST", "/v1/ingest", "x", []string{"Content-Encoding", "br"}, 415, "encoding"},
	}
	for _, tt := range tests {
		s, h := receiver(t)
		w := ingesttest.Do(h, tt.method, tt.target, tt.body, tt.headers...)
		if w.Code != tt.status || !strings.HasPrefix(w.Body.String(), `{"error":{"code":"`+tt.code+`","message":"`) || len(s.Batches()) != 0 {
			t.Errorf("%s: %d %s", tt.name, w.Code, w.Body)
		}
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "\n\r\n", "\xef\xbb\xbf", "[]"} {
		s, h := receiver(t)
		w := ingesttest.Do(h, "POST", "/v1/ingest", body)
		if w.Code != 200 || w.Body.String() != "{\"accepted\":0}\n" || len(s.Batches()) != 0 {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
}

// Overload is told before the body is read or after it was cut; the client comes
// again and everything is stored once.
func TestBusyThenAccepted(t *testing.T) {
	t.Parallel()
	s, h := receiver(t)
	busy := &ingest.Busy{Wait: 1500 * time.Millisecond, Why: "the log is behind"}
	s.RefuseNext(busy)
	s.FailNext(busy, errors.New("a fault of ours"))
	body := "{\"a\":1}\n{\"a\":2}"
	for i, want := range []int{429, 429, 500, 200, 200} {
		w := ingesttest.Do(h, "POST", "/v1/ingest", body)
		if w.Code != want || want == 429 && w.Header().Get("Retry-After") != "2" || strings.Contains(w.Body.String(), "fault of ours") {
			t.Fatalf("request %d: %d %s", i, w.Code, w.Body)
		}
	}
	if raw := s.Raw(); !slices.Equal(raw, []string{`{"a":1}`, `{"a":2}`}) || s.Replays() != 1 || s.Open() != 0 {
		t.Errorf("%q, %d replays, %d open", raw, s.Replays(), s.Open())
	}
}

// The answer waits for the sync, and a client that goes away hears nothing.
func TestSlowSyncAndCut(t *testing.T) {
	t.Parallel()
	s, h := receiver(t)
	waiting, resume := s.Hold()
	done := make(chan int)
	go func() { done <- ingesttest.Do(h, "POST", "/v1/ingest", "{\"a\":1}").Code }()
	<-waiting
	select {
	case code := <-done:
		t.Fatalf("answered %d before it was durable", code)
	default:
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		r, _ := http.NewRequestWithContext(ctx, "POST", "/v1/ingest", strings.NewReader("{\"a\":2}"))
		r.Header.Set("Authorization", "Bearer "+ingesttest.Good)
		w := &codeOnly{}
		h.ServeHTTP(w, r)
		done <- w.code
	}()
	<-waiting
	cancel()
	if code := <-done; code < 500 {
		t.Errorf("a client that left is answered %d", code)
	}
	resume()
	if code := <-done; code != 200 {
		t.Errorf("answered %d", code)
	}
	if raw := s.Raw(); !slices.Equal(raw, []string{`{"a":1}`}) || s.Open() != 0 {
		t.Errorf("%q", raw)
	}
}

type codeOnly struct {
	code int
	h    http.Header
}

func (c *codeOnly) Header() http.Header {
	if c.h == nil {
		c.h = http.Header{}
	}
	return c.h
}
func (c *codeOnly) Write(b []byte) (int, error) { return len(b), nil }
func (c *codeOnly) WriteHeader(code int)        { c.code = code }

// Limits: at, one beyond and far beyond.
func TestEventSize(t *testing.T) {
	t.Parallel()
	for _, contentType := range []string{"application/x-ndjson", "text/plain"} {
		for _, n := range []int{ingest.EventBytesMax, ingest.EventBytesMax + 1, 20 * ingest.EventBytesMax} {
			s, h := receiver(t)
			line := strings.Repeat("x", n)
			w := ingesttest.Do(h, "POST", "/v1/ingest", "before\n"+line+"\r\nbehind\n", "Content-Type", contentType)
			if w.Code != 200 || w.Body.String() != "{\"accepted\":3}\n" {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			k := s.Batches()[0] // a large body is taken in pieces
			for _, more := range s.Batches()[1:] {
				k.Raw, k.Refused = append(k.Raw, more.Raw...), append(k.Refused, more.Refused...)
			}
			if n <= ingest.EventBytesMax {
				if !slices.Equal(k.Raw, []string{"before", line, "behind"}) {
					t.Errorf("%d bytes: %d frames", n, len(k.Raw))
				}
			} else if !slices.Equal(k.Raw, []string{"before", "behind"}) || !slices.Equal(k.Refused, []string{line[:ingest.RefusedBytesMax]}) || k.Reasons[0] != ingest.ReasonTooLarge || !strings.Contains(k.Details[0], fmt.Sprintf("%d bytes, SHA-256 %x,", n, sha256.Sum256([]byte(line)))) {
				t.Errorf("%d bytes: %d frames, %d refused", n, len(k.Raw), len(k.Refused))
			}
		}
	}
	s, h := receiver(t)
	big := `{"a":"` + strings.Repeat("x", ingest.EventBytesMax) + `"}`
	if w := ingesttest.Do(h, "POST", "/v1/ingest", "[{\"a\":1},"+big+",{\"a\":2}]", "Content-Type", "application/json"); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if k := s.Batches()[0]; !slices.Equal(k.Raw, []string{`{"a":1}`, `{"a":2}`}) || len(k.Refused) != 1 || k.Reasons[0] != ingest.ReasonTooLarge {
		t.Errorf("%q %q", k.Raw, k.Reasons)
	}
}

func TestRecordsOfOneRequest(t *testing.T) {
	t.Parallel()
	for _, n := range []int{ingest.BatchEventsMax, ingest.BatchEventsMax + 1, ingest.RequestEventsMax, ingest.RequestEventsMax + 1} {
		s, h := receiver(t)
		w := ingesttest.Do(h, "POST", "/v1/ingest", strings.Repeat("x\n", n))
		if n > ingest.RequestEventsMax {
			if w.Code != 413 || len(s.Batches()) != 0 {
				t.Errorf("%d records: %d", n, w.Code)
			}
			continue
		}
		if w.Code != 200 || len(s.Raw()) != n {
			t.Errorf("%d records: %d, %d stored", n, w.Code, len(s.Raw()))
		}
	}
}

// When a later piece is refused, the whole is, and what came before is not
// stored again.
func TestPieceRefused(t *testing.T) {
	t.Parallel()
	s, h := receiver(t)
	s.FailNext(nil, &ingest.Busy{Wait: time.Second})
	body := strings.Repeat("same\n", 3*ingest.BatchEventsMax)
	if w := ingesttest.Do(h, "POST", "/v1/ingest", body); w.Code != 429 {
		t.Fatalf("%d", w.Code)
	}
	if w := ingesttest.Do(h, "POST", "/v1/ingest", body); w.Code != 200 {
		t.Fatalf("%d", w.Code)
	}
	if n := len(s.Raw()); n != 3*ingest.BatchEventsMax || s.Replays() != 1 {
		t.Errorf("%d stored, %d replays", n, s.Replays())
	}
}

func TestBomb(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(make([]byte, 32<<20))
	_ = z.Close()
	s, h := receiver(t)
	if w := ingesttest.Do(h, "POST", "/v1/ingest", b.String(), "Content-Encoding", "gzip"); w.Code != 413 || len(s.Batches()) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// Whatever comes, frames and refused pieces lie in order inside the data; every
// line is one of them, and all of a body by format that is not white space or
// punctuation between records.
func FuzzFrames(f *testing.F) {
	for i, s := range []string{"a\r\n\n b\n", "[{\"a\":1},{\"b\":[}]\n,{\"a\":2}]", "{\"a\":1}{\"a\":2} x {\"a\":3}", "<13>a\n b", windowsEvent + "x" + windowsEvent, "type=A msg=audit(1.001:1): x\ntype=B msg=audit(1.001:2): y\ntype=A msg=audit(1.001:1): z", "\xff\xfe{\x00}\x00"} {
		f.Add(uint8(i), []byte(s))
	}
	names := []string{"", "json", "xml", "auditd", "syslog", "text"}
	f.Fuzz(func(t *testing.T, choice uint8, body []byte) {
		name := names[int(choice)%len(names)]
		run := func() (*ingest.Batch, error) {
			b := &ingest.Batch{Data: bytes.Clone(body)}
			if name == "" {
				return b, byLine("")(b)
			}
			fm, _ := formats.ByName(name)
			return b, byFormat(fm)(b)
		}
		b, err := run()
		if err != nil {
			return
		}
		if err := ingesttest.CheckPieces(b); err != nil {
			t.Fatal(err)
		}
		again, _ := run()
		if !slices.Equal(b.Frames, again.Frames) || !slices.Equal(b.Refused, again.Refused) || !bytes.Equal(b.Data, again.Data) {
			t.Fatal("cut otherwise the second time")
		}
		if name == "" {
			var want [][]byte
			for line := range bytes.Lines(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))) {
				line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
				if len(bytes.TrimSpace(line)) > 0 && len(bytes.Trim(line, " \t\r\n")) > 0 {
					want = append(want, line)
				}
			}
			n := 0
			for _, fr := range b.Frames {
				if n < len(want) && bytes.Equal(b.Data[fr.Start:fr.End], want[n]) {
					n++
				}
			}
			if n != len(want) {
				t.Fatalf("%d of %d lines framed", n, len(want))
			}
			return
		}
		// The same records as from a file.
		fm, _ := formats.ByName(name)
		var block format.Block
		split := fm.NewSplitter(bytes.NewReader(body), format.Options{})
		n := 0
		for {
			err := split.Next(&block)
			for _, fr := range block.Frames {
				if fr.End-fr.Start > event.RecordBytesMax {
					continue
				}
				if n >= len(b.Frames) || !bytes.Equal(b.Data[b.Frames[n].Start:b.Frames[n].End], block.Data[fr.Start:fr.End]) {
					t.Fatalf("frame %d differs from the file's", n)
				}
				n++
			}
			if err != nil {
				break
			}
		}
		if n != len(b.Frames) {
			t.Fatalf("%d frames, the file has %d", len(b.Frames), n)
		}
	})
}
