package serve

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"
)

// follow reads the feed until the returned function is called. It comes again
// whenever the server has gone, behind the last change it saw.
func (n *node) follow() (f *follower, finish func()) {
	f = newFollower()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with finish
		defer close(done)
		pause := time.NewTicker(askEvery)
		defer pause.Stop()
		for ctx.Err() == nil {
			if err := n.readFeed(ctx, f); err != nil && ctx.Err() == nil {
				f.faults = append(f.faults, err.Error())
				return
			}
			<-pause.C
		}
	}()
	return f, func() { cancel(); <-done }
}

// readFeed reads until the connection ends. Its error is a line that is whole
// and not understood.
func (n *node) readFeed(ctx context.Context, f *follower) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.address+"/api/v1/detections/feed?after="+strconv.FormatUint(f.after, 10), nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+n.admin)
	r.Header.Set("Accept", "application/x-ndjson")
	// A client without a time limit, since the answer has no end.
	res, err := (&http.Client{Transport: n.client.Transport}).Do(r)
	if err != nil {
		return nil
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil
	}
	in := bufio.NewReader(res.Body)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return nil // it may be half a line
		}
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == ':' {
			continue
		}
		if err := f.see(line); err != nil {
			return err
		}
	}
}

// seenAll reports whether a follower has read up to the newest change.
func seenAll(n *node, f *follower) error {
	var page struct{ Latest uint64 }
	if err := n.ask("GET", "/detections?limit=1", nil, &page); err != nil {
		return err
	}
	if at := f.at.Load(); at < page.Latest {
		return fmt.Errorf("it is at %d of %d", at, page.Latest)
	}
	return nil
}

// agrees checks that the follower has seen every detection as it stands now,
// and none in the same state twice.
func (f *follower) agrees(t testing.TB, list []shown) {
	t.Helper()
	for _, text := range f.faults {
		t.Errorf("feed: %s", text)
	}
	wrong := 0
	for _, d := range list {
		if last, ok := f.last[d.ID]; !ok || last.Revision != d.Revision || last.Phase != d.Phase {
			if wrong++; wrong <= 5 {
				t.Errorf("feed: detection %s was last seen as %s %s (number %d) and is %s %s (number %d)", d.ID, last.Phase, last.Revision, last.Seq, d.Phase, d.Revision, d.Seq)
			}
		}
	}
	if wrong > 5 {
		t.Errorf("feed: and %d more", wrong-5)
	}
}

// receiver takes notifications. A sender may come again with the same id; what
// it must not do is to tell of one detection under two ids.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	bodies map[string][sha256.Size]byte // by webhook-id
	told   map[string]string            // id by notify key
	faults []string
}

// notifySecret signs the notifications of the tests.
const notifySecret = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="

func newReceiver(t testing.TB) *receiver {
	r := &receiver{bodies: map[string][sha256.Size]byte{}, told: map[string]string{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return
		}
		var in struct {
			Data struct {
				ID        string
				NotifyKey string `json:"notify_key"`
			}
		}
		id := req.Header.Get("webhook-id")
		r.mu.Lock()
		defer r.mu.Unlock()
		if err := json.Unmarshal(body, &in); err != nil || id == "" || in.Data.ID == "" {
			r.faults = append(r.faults, fmt.Sprintf("not a notification: %v %.300s", err, body))
			return
		}
		key := in.Data.NotifyKey
		if old, ok := r.told[key]; ok && old != id {
			r.faults = append(r.faults, fmt.Sprintf("%s is told of as %s and as %s", key, old, id))
		}
		r.told[key] = id
		r.bodies[id] = sha256.Sum256(body)
	}))
	t.Cleanup(r.Close)
	return r
}

// settings is what a node needs to notify the receiver.
func (r *receiver) settings() string {
	return fmt.Sprintf("webhooks:\n  - {name: test, url: %q, secret: %s, min_level: low, allow_private: true}\n", r.URL, notifySecret)
}

// missing counts the detections that were not told of.
func (r *receiver) missing(list []shown) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, d := range list {
		if _, ok := r.told[d.NotifyKey]; !ok {
			n++
		}
	}
	return n
}
