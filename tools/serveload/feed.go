package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// feed follows the detections of a server and notes when a marked host was first
// seen in one.
type feed struct {
	mu   sync.Mutex
	seen map[string]sighting
	all  int64 // changes
}

type sighting struct {
	at time.Time
	id string
}

// markPrefix begins the names of marked hosts, and no other.
const markPrefix = "mk-"

func markHost(n int) string { return fmt.Sprintf("%s%08d.corp.example", markPrefix, n) }

// follow reads until ctx ends.
func (f *feed) follow(ctx context.Context, s *server) error {
	var page struct {
		Latest uint64 `json:"latest"`
	}
	if err := s.get("/api/v1/detections?limit=1", &page); err != nil {
		return err
	}
	resp, err := s.open(ctx, fmt.Sprintf("/api/v1/detections/feed?after=%d", page.Latest), "application/x-ndjson")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	in := bufio.NewReaderSize(resp.Body, 1<<20)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return errors.New("a detection of the feed is larger than 1 MiB")
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("the feed ended: %w", err)
		}
		f.line(line, time.Now())
	}
}

func (f *feed) line(line []byte, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(line) > 1 {
		f.all++
	}
	at := bytes.Index(line, []byte(markPrefix))
	if at < 0 || at+len(markHost(0)) > len(line) {
		return
	}
	host := string(line[at : at+len(markHost(0))])
	if _, ok := f.seen[host]; ok {
		return
	}
	var d struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(line, &d) == nil {
		f.seen[host] = sighting{now, d.ID}
	}
}

func (f *feed) get(host string) (sighting, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.seen[host]
	return s, ok
}

// markTried bounds the templates that are tried for marks.
const markTried = 200

// findMark finds a template of which each host gets a detection of its own.
func findMark(s *server, t *templates, o *options) (*template, error) {
	f := &feed{seen: map[string]sighting{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.follow(ctx, s) }()
	time.Sleep(500 * time.Millisecond)
	l := &load{s: s, t: t, o: o}
	m := newMaker(t, agentBase, o)
	agentBase++
	var marks []mark
	for i := range min(markTried, len(t.matching)) {
		one := t.matching[i*len(t.matching)/min(markTried, len(t.matching))]
		marks = append(marks, mark{one, markHost(90_000_000 + 2*i)}, mark{one, markHost(90_000_001 + 2*i)})
	}
	m.from, m.to = len(marks), len(marks)
	var b body
	m.make(&b, marks)
	if _, err := l.send(http.DefaultClient, &b); err != nil {
		cancel()
		return nil, errors.Join(err, <-done)
	}
	time.Sleep(3 * time.Second)
	cancel()
	if err := <-done; err != nil {
		return nil, err
	}
	for i := 0; i < len(marks); i += 2 {
		x, ok := f.get(marks[i].host)
		y, too := f.get(marks[i+1].host)
		if ok && too && x.id != y.id {
			return marks[i].template, nil
		}
	}
	return nil, errors.New("no event was found of which each host gets a detection of its own")
}
