package hec

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/ingest/ingesttest"
)

// serve runs a receiver on a socket.
func serve(t *testing.T) (*ingesttest.Sink, *httptest.Server) {
	s := &ingesttest.Sink{TB: t}
	front := ingesttest.Front(s, env.Real().Clock)
	server := httptest.NewServer(front.Harden(New(Options{Front: front})))
	t.Cleanup(server.Close)
	return s, server
}

func dial(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// The requests in testdata/clients, byte for byte over a socket, twice: an agent
// whose connection broke before the answer sends the same again.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		"chunked.http": 2, "fluent-bit-5.1.1.http": 2, "syslog-ng-3.38.1.http": 1, "telegraf-1.37.2.http": 1,
		"telegraf-1.37.2-empty.http": 0, "vector-splunk-hec-logs.http": 2,
	}
	files, err := filepath.Glob("testdata/clients/*.http")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			s, server := serve(t)
			request, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := dial(t, server)
			answers := bufio.NewReader(c)
			for range 2 {
				if _, err := c.Write(request); err != nil {
					t.Fatal(err)
				}
				answer, err := http.ReadResponse(answers, nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(answer.Body)
				if err != nil || answer.StatusCode != 200 || string(body) != success {
					t.Fatalf("%d %s %v", answer.StatusCode, body, err)
				}
			}
			raw := s.Raw()
			if len(raw) != want[filepath.Base(file)] || s.Replays() != min(len(raw), 1) || s.Open() != 0 {
				t.Errorf("%q, %d replays", raw, s.Replays())
			}
			for _, r := range raw {
				if !bytes.Contains(request, []byte(r)) {
					t.Errorf("%q was not sent", r)
				}
			}
		})
	}
}

// Of a body that ends before its length nothing is kept, and the whole of it is
// taken when it comes again.
func TestCutInTheBody(t *testing.T) {
	t.Parallel()
	s, server := serve(t)
	request, err := os.ReadFile("testdata/clients/fluent-bit-5.1.1.http")
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, server)
	if _, err := c.Write(request[:len(request)-20]); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode < 500 || len(s.Batches()) != 0 {
		t.Fatalf("%v %v, %d batches", answer, err, len(s.Batches()))
	}
	_ = answer.Body.Close()
	c = dial(t, server)
	if _, err := c.Write(request); err != nil {
		t.Fatal(err)
	}
	answer, err = http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%v %v", answer, err)
	}
	_ = answer.Body.Close()
	if raw := s.Raw(); !slices.Equal(raw, []string{`{"time":1795302590.865,"event":{"log":"one"}}`, `{"time":1795302590.866,"event":{"log":"two"}}`}) || s.Open() != 0 {
		t.Errorf("%q", raw)
	}
}
