package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/report"
)

const (
	// feedLineMax bounds a line of the feed; the largest detection has a few
	// megabytes.
	feedLineMax = 32 << 20
	// reconnectWait is the pause before a lost connection is made anew; it
	// doubles up to reconnectWaitMax while that fails.
	reconnectWait    = time.Second
	reconnectWaitMax = 30 * time.Second
	// seenMax bounds the detections that tail remembers, so that an update is
	// not shown as news.
	seenMax = 50_000
)

// tail is one run of detections tail.
type tail struct {
	p       *process
	server  *client
	query   url.Values
	out     *report.Stored
	updates bool

	after uint64
	// seen are the ids shown before, in two generations: the older one is
	// dropped when the newer is full. oldest is the creation of the oldest that
	// the list knew: what is older than that is no news.
	seen, seenBefore map[string]bool
	oldest           time.Time
}

func newDetectionsTail(p *process) *cobra.Command {
	var connection clientFlags
	var filter detectionFilter
	var asJSON, follow, updates bool
	var last int
	c := &cobra.Command{
		Use:     "tail",
		Example: "  tiercel detections tail --min-level high\n  tiercel detections tail -n 0 --json | jq -r '[.anchor_time, .rule.title] | @tsv'",
		Short:   "Print the newest detections, and those to come",
		Long: "Each detection is printed once, when it fires; --updates prints it again whenever it changes, and\n" +
			"--json always does. A connection that is lost is made anew, and nothing is missed meanwhile.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			query, err := filter.query()
			if err != nil {
				return err
			}
			if last < 0 || last > pageMax {
				return usageError("--last %d is not between 0 and %d", last, pageMax)
			}
			server, err := connection.connect(p)
			if err != nil {
				return err
			}
			t := &tail{
				p: p, server: server, query: query, out: report.NewStored(p.stdout, report.Options{Color: p.color()}, asJSON),
				updates: updates || asJSON, seen: map[string]bool{},
			}
			if err := t.begin(c.Context(), last); err != nil || !follow {
				return err
			}
			return t.follow(c.Context())
		},
	}
	connection.register(c)
	filter.register(c)
	flags := c.Flags()
	flags.IntVarP(&last, "last", "n", 10, "`number` of detections to begin with")
	flags.BoolVarP(&follow, "follow", "f", true, "go on with those to come; --follow=false ends after the first")
	flags.BoolVar(&updates, "updates", false, "print a detection again when it changes")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return c
}

// begin prints the newest detections, the oldest of them first.
func (t *tail) begin(ctx context.Context, last int) error {
	query := url.Values{"limit": {strconv.Itoa(pageMax)}}
	for k, v := range t.query {
		query[k] = v
	}
	var page api.DetectionPage
	if err := t.server.ask(ctx, http.MethodGet, "/detections", query, nil, &page); err != nil {
		return err
	}
	t.after = page.Latest
	for _, d := range page.Detections {
		t.remember(d.ID)
	}
	if n := len(page.Detections); page.Next != "" && n > 0 {
		t.oldest = page.Detections[n-1].Created
	}
	show := slices.Clone(page.Detections[:min(last, len(page.Detections))])
	slices.Reverse(show)
	for _, d := range show {
		if err := t.out.Line(d); err != nil {
			return outputError(err)
		}
	}
	return nil
}

func (t *tail) remember(id string) {
	if len(t.seen) >= seenMax/2 {
		t.seen, t.seenBefore = map[string]bool{}, t.seen
	}
	t.seen[id] = true
}

// news reports whether a detection of the feed is to be printed.
func (t *tail) news(d *detection.Detection) bool {
	known := t.seen[d.ID] || t.seenBefore[d.ID] || d.Created.Before(t.oldest)
	t.remember(d.ID)
	return t.updates || !known && d.Phase != detection.Superseded
}

// follow prints what comes until ctx ends. The first connection must succeed;
// later ones are tried again and again.
func (t *tail) follow(ctx context.Context) error {
	wait := reconnectWait
	for first := true; ; first = false {
		got, err := t.stream(ctx)
		if ctx.Err() != nil {
			return &codedError{exitInterrupted, nil}
		}
		var failed *writeError
		if errors.As(err, &failed) {
			return outputError(failed.err)
		}
		var coded *codedError
		if errors.As(err, &coded) && (first || coded.code == exitUsage) {
			return err
		}
		if got {
			wait = reconnectWait
		}
		fmt.Fprintf(t.p.stderr, "tiercel: the connection was lost; trying again in %s\n", wait)
		if env.Sleep(ctx, t.p.world.Clock, wait) != nil {
			return &codedError{exitInterrupted, nil}
		}
		wait = min(2*wait, reconnectWaitMax)
	}
}

// writeError is that of our own output, which trying again does not help.
type writeError struct{ err error }

func (e *writeError) Error() string { return e.err.Error() }

// stream prints what comes over one connection, and returns when it ends. got
// tells that it was made.
func (t *tail) stream(ctx context.Context) (got bool, _ error) {
	query := url.Values{"after": {strconv.FormatUint(t.after, 10)}}
	for k, v := range t.query {
		query[k] = v
	}
	answer, err := t.server.request(ctx, http.MethodGet, "/detections/feed", query, nil, "application/x-ndjson")
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 64<<10), feedLineMax)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue // a sign of life
		}
		d := &detection.Detection{}
		if err := json.Unmarshal(lines.Bytes(), d); err != nil {
			return true, fmt.Errorf("the feed cannot be read: %w", err)
		}
		t.after = max(t.after, d.Seq)
		if !t.news(d) {
			continue
		}
		if err := t.out.Line(d); err != nil {
			return true, &writeError{err}
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return true, err
	}
	return true, nil
}
