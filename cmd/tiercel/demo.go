package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/scenario"
)

func newDemo(p *process) *cobra.Command {
	var keep bool
	var seed uint64
	c := &cobra.Command{
		Use:     "demo",
		Example: "  tiercel demo\n  tiercel demo --seed 7 --keep",
		Short:   "Start a server in a temporary folder, attack a made-up company, and watch",
		Long: "Demo starts a server as 'tiercel serve' does, in a temporary folder and on ports of its own, sends it two\n" +
			"hours of a made-up company with ten attacks in them through the Elasticsearch bulk API, as an agent would,\n" +
			"and prints each detection as it comes, with the reason for it. Nothing leaves this machine.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return demo(c.Context(), p, seed, keep)
		},
	}
	c.Flags().BoolVar(&keep, "keep", false, "go on serving until interrupted")
	c.Flags().Uint64Var(&seed, "seed", 1, "`number` that chooses among scenarios")
	return c
}

// demoSpan is the time that the demonstration plays, up to now.
const demoSpan = 2 * time.Hour

func demo(ctx context.Context, p *process, seed uint64, keep bool) (err error) {
	var name [8]byte
	if _, err := io.ReadFull(p.world.Rand, name[:]); err != nil {
		return err
	}
	dir := p.world.FS.PathJoin(p.world.TempDir, fmt.Sprintf("tiercel-demo-%x", name))
	defer func() { err = errors.Join(err, p.world.FS.RemoveAll(dir)) }()
	cfg, _, err := config.Load(p.world.FS, "", nil, []config.Flag{
		{Name: "--data", Key: "data", Value: dir},
		{Name: "--listen", Key: "http.listen", Value: "127.0.0.1:0"},
		{Name: "--admin", Key: "admin.listen", Value: ""},
		{Name: "--log-level", Key: "observability.log_level", Value: "warn"},
		{Name: "--reserve", Key: "log.reserve_bytes", Value: "16MiB"},
	})
	if err != nil {
		return &codedError{exitUsage, err}
	}
	began := p.world.Clock.Now()
	quiet := *p
	quiet.stderr = io.Discard // the tokens of a server that is gone in a minute
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := newServer(&quiet, cfg)
	s.logger = newLogger(p.stderr, cfg.Observability)
	s.ready = func(ctx context.Context) error {
		err := s.play(ctx, p, began, seed)
		if err != nil || !keep {
			stop()
		}
		return err
	}
	return s.serve(ctx)
}

// play sends a scenario and prints what is detected in it.
func (s *server) play(ctx context.Context, p *process, began time.Time, seed uint64) error {
	t := s.tenants.All()[0]
	_, token, err := s.tokens.Create(ctx, access.Request{Name: "demo", Kind: access.KindIngest, Tenant: t, Source: "demo"})
	if err != nil {
		return err
	}
	url := "http://" + s.addresses["http.listen"]
	fmt.Fprintf(p.stdout, "A server listens on %s. Two hours of a made-up company come in now, ten attacks among them.\n\n", url)
	out := report.NewStored(p.stdout, report.Options{Color: p.color()}, false)
	shown, done := make(chan error, 1), make(chan struct{})
	var first time.Duration
	seen := map[string]bool{}
	follow, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		feed := s.detections.Feed(t, 0)
		defer close(done)
		for {
			list, err := feed.Next(follow)
			if err != nil {
				shown <- err
				return
			}
			for _, d := range list {
				if seen[d.ID] || d.Phase == "superseded" {
					continue
				}
				seen[d.ID] = true
				if first == 0 {
					first = s.world.Clock.Now().Sub(began)
				}
				if err := showDetection(out, d); err != nil {
					shown <- err
					return
				}
			}
		}
	}()
	events, err := s.sendScenario(ctx, url+"/_bulk", token, seed)
	if err != nil {
		return err
	}
	if err := s.settled(ctx, uint64(events)); err != nil {
		return err
	}
	stop()
	<-done
	if err := <-shown; !errors.Is(err, context.Canceled) {
		return err
	}
	fmt.Fprintf(p.stdout, "%d events, %d detections; the first %.1f s after the start of the program.\n\n", events, len(seen), first.Seconds())
	fmt.Fprint(p.stdout, "To connect a real agent:\n"+
		"  tiercel serve                                          starts a server and prints its tokens\n"+
		"  tiercel config print-agent filebeat --token TOKEN      what to put into the agent's configuration\n"+
		"  tiercel detections tail                                shows what is found\n"+
		"There are snippets for filebeat, winlogbeat, auditbeat, fluent-bit, vector, rsyslog, syslog-ng, otel, logstash and splunk-forwarder.\n")
	return nil
}

// showDetection prints a detection with its reason.
func showDetection(out *report.Stored, d *detection.Detection) error { return out.Line(d) }

// demoBatch is how many events a request has.
const demoBatch = 500

// sendScenario sends a scenario that ends now, as an agent would, and returns
// the number of events.
func (s *server) sendScenario(ctx context.Context, url, token string, seed uint64) (int, error) {
	play, err := scenario.New(scenario.Config{
		Seed: seed, Start: s.world.Clock.Now().Add(-demoSpan).Truncate(time.Second), Duration: demoSpan, Rate: 2, Hosts: 12, Laurel: true,
	})
	if err != nil {
		return 0, err
	}
	via := &http.Transport{DialContext: s.world.Net.DialContext}
	defer via.CloseIdleConnections()
	var body bytes.Buffer
	total, n := 0, 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		err := postBulk(ctx, via, s.world.Clock, url, token, body.Bytes())
		total += n
		n = 0
		body.Reset()
		return err
	}
	var e scenario.Event
	for play.Next(&e) {
		index, _, _ := strings.Cut(e.Source[strings.LastIndexByte(e.Source, '/')+1:], " ")
		fmt.Fprintf(&body, `{"create":{"_index":%q}}`+"\n", index)
		body.Write(bytes.TrimRight(e.Raw, "\n"))
		body.WriteByte('\n')
		if n++; n == demoBatch {
			if err := flush(); err != nil {
				return total, err
			}
		}
	}
	return total, flush()
}

// postBulk sends a bulk request until it is taken.
func postBulk(ctx context.Context, via http.RoundTripper, clock env.Clock, url, token string, body []byte) error {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(body); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(packed.Bytes()))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/x-ndjson")
		req.Header.Set("Content-Encoding", "gzip")
		answer, err := via.RoundTrip(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<20))
		if err = errors.Join(err, answer.Body.Close()); err != nil {
			return err
		}
		switch answer.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			if err := env.Sleep(ctx, clock, time.Second); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the server answered %s: %.500q", answer.Status, text)
		}
	}
}

// settled waits until all records of the process are decided.
func (s *server) settled(ctx context.Context, records uint64) error {
	for {
		t := s.node.Totals()
		if t.Evaluated+t.Quarantined >= records {
			return nil
		}
		if err := env.Sleep(ctx, s.world.Clock, 20*time.Millisecond); err != nil {
			return err
		}
	}
}
