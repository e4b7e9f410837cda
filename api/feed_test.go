package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
)

// client reads a stream as it is written.
type client struct {
	header http.Header
	status int
	pipe   *io.PipeWriter
	lines  *bufio.Scanner
	flush  error
	cancel context.CancelFunc
	done   chan struct{}
}

func (c *client) Header() http.Header         { return c.header }
func (c *client) WriteHeader(status int)      { c.status = status }
func (c *client) Write(p []byte) (int, error) { return c.pipe.Write(p) }
func (c *client) FlushError() error           { return c.flush }

// line is the next line, or "" at the end.
func (c *client) line() string {
	if !c.lines.Scan() {
		return "(end)"
	}
	return c.lines.Text()
}

// follow begins a stream in a goroutine, with the bubble's clock.
func follow(t *testing.T, w *world, query, accept string) *client {
	t.Helper()
	r, pw := io.Pipe()
	c := &client{header: http.Header{}, pipe: pw, lines: bufio.NewScanner(r), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	c.cancel = func() { cancel(); r.Close() }
	req := request("GET", v1+"/detections/feed?"+query, "alpha-read", "").WithContext(ctx)
	req.Header.Set("Accept", accept)
	w.server.clock = env.Real().Clock
	go func() {
		defer close(c.done)
		w.handler.ServeHTTP(c, req)
		pw.Close()
	}()
	return c
}

func TestFeedAsEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := follow(t, w, "after=1", "text/event-stream")
		want := []string{": begin", ""}
		for _, d := range w.detections.lists[w.alpha][1:] {
			text, err := json.Marshal(d)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, "id: "+string(rune('0'+d.Seq)), "event: detection", "data: "+string(text), "")
		}
		for _, line := range want {
			if got := c.line(); got != line {
				t.Fatalf("got %q, want %q", got, line)
			}
		}
		if c.status != 200 || c.header.Get("Content-Type") != "text/event-stream" || c.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("status %d, header %v", c.status, c.header)
		}
		// Silence is broken every 15 seconds.
		for range 3 {
			before := time.Now()
			if got := c.line(); got != ": heartbeat" {
				t.Fatalf("got %q", got)
			}
			c.line()
			if waited := time.Since(before); waited != heartbeat {
				t.Errorf("a heartbeat after %s", waited)
			}
		}
		// The server stops, and with it the stream.
		close(w.stopped)
		if got := c.line() + c.line() + c.line(); got != ": stopped(end)" {
			t.Errorf("at the end: %q", got)
		}
		<-c.done
	})
}

func TestFeedAsLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := follow(t, w, "min_level=medium", "application/x-ndjson, */*")
		if got := c.line(); got != "" {
			t.Errorf("the first line is %q", got)
		}
		for _, want := range []string{"critical", "medium"} {
			var d detection.Detection
			if err := json.Unmarshal([]byte(c.line()), &d); err != nil || d.Rule.Level != want {
				t.Fatalf("%v %+v, want level %s", err, d, want)
			}
		}
		if got := c.line(); got != "" || c.header.Get("Content-Type") != "application/x-ndjson" {
			t.Errorf("heartbeat %q, header %v", got, c.header)
		}
		// The client goes, and with it the reader.
		c.cancel()
		<-c.done
	})
}

// A client that does not take what is written loses its place.
func TestFeedOfAClientThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		c := follow(t, w, "after=3", "")
		for _, want := range []string{": begin", ""} {
			if got := c.line(); got != want {
				t.Fatalf("got %q", got)
			}
		}
		synctest.Wait()
		c.flush = errors.New("i/o timeout")
		if got := c.line() + c.line() + c.line(); got != ": heartbeat(end)" {
			t.Errorf("got %q", got)
		}
		<-c.done
	})
}

func TestFeedResumes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ query, last, want string }{
		"from the beginning":  {"", "", "1 2 3"},
		"after":               {"after=2", "", "3"},
		"a client comes back": {"after=1", "2", "3"},
		"an old id":           {"after=2", "1", "3"},
		"of one rule":         {"rule=rule-low", "", "1"},
	} {
		w := newWorld(t)
		w.detections.feedEnd = errors.New("end")
		req := request("GET", v1+"/detections/feed?"+c.query, "alpha-read", "")
		if c.last != "" {
			req.Header.Set("Last-Event-ID", c.last)
		}
		var ids []string
		for line := range strings.Lines(w.send(req).Body.String()) {
			if id, ok := strings.CutPrefix(line, "id: "); ok {
				ids = append(ids, strings.TrimSpace(id))
			}
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	w := newWorld(t)
	for _, last := range []string{"x", "-1", "1.5", strings.Repeat("9", 30)} {
		req := request("GET", v1+"/detections/feed", "alpha-read", "")
		req.Header.Set("Last-Event-ID", last)
		if rec := w.send(req); errorOf(t, rec) != CodeInvalid {
			t.Errorf("Last-Event-ID %q: %d %s", last, rec.Code, rec.Body)
		}
	}
}

func TestAcceptsLines(t *testing.T) {
	t.Parallel()
	for accept, want := range map[string]bool{
		"": false, "*/*": false, "text/event-stream": false, "application/x-ndjson": true, "application/jsonl; q=0.5": true,
		"text/event-stream, application/x-ndjson": false, "text/html, application/x-ndjson;q=0.9": true, ";;,\x00": false,
	} {
		if got := acceptsLines(accept); got != want {
			t.Errorf("%q: %v", accept, got)
		}
	}
}
