package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tiercel-io/tiercel/access"
	"github.com/tiercel-io/tiercel/api"
	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest/elastic"
	"github.com/tiercel-io/tiercel/ingest/hec"
	"github.com/tiercel-io/tiercel/ingest/httpin"
	"github.com/tiercel-io/tiercel/ingest/ndjson"
	"github.com/tiercel-io/tiercel/ingest/otlp"
)

// stopWait bounds how long requests under way may take once the process stops.
const stopWait = 10 * time.Second

// run serves until ctx ends or a part fails. The order of stopping is that of
// the data: receivers first, then the pipeline, so that what was acknowledged is
// in the log and what is in the log is left in a state to go on from.
func (s *server) run(ctx context.Context) error {
	node, stopNode := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNode()
	nodeDone := make(chan error, 1)
	go func() { nodeDone <- s.node.Run(node) }()

	parts := newParts(ctx)
	// Tokens come before the ports: who finds the server ready finds them too.
	tokens, err := s.firstTokens()
	if err == nil {
		err = s.receivers(parts)
	}
	if err != nil {
		// They are made and would be shown never.
		fmt.Fprint(s.p.stderr, tokens)
	} else {
		fmt.Fprintf(s.p.stderr, "tiercel %s listens on %s, data in %s\n%s", version, s.url(), s.cfg.Data, tokens)
		if tokens != "" {
			fmt.Fprint(s.p.stderr, s.firstSteps())
		}
		err = notifyManager(ctx, s.world.Net, s.p.getenv, "READY=1")
	}
	if err == nil && s.ready != nil {
		parts.start(s.ready)
	}
	if err != nil {
		parts.cancel()
	}
	var nodeErr error
	select {
	case <-parts.ctx.Done():
	case nodeErr = <-nodeDone:
		nodeDone <- nil
		parts.cancel()
	}
	if notifyErr := notifyManager(context.WithoutCancel(ctx), s.world.Net, s.p.getenv, "STOPPING=1"); notifyErr != nil {
		s.logger.Warn("the service manager was not told", "error", notifyErr.Error())
	}
	s.logger.Info("stopping")
	s.gate.Stop()
	err = errors.Join(err, parts.wait())
	stopNode()
	return errors.Join(err, nodeErr, <-nodeDone)
}

// parts run side by side; the first that fails ends the others.
type parts struct {
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	errs   []error
}

func newParts(ctx context.Context) *parts {
	p := &parts{}
	p.ctx, p.cancel = context.WithCancel(ctx)
	return p
}

func (p *parts) start(run func(context.Context) error) {
	p.wg.Add(1)
	go func() {
		defer p.wg.Done()
		if err := run(p.ctx); err != nil && !errors.Is(err, context.Canceled) {
			p.mu.Lock()
			p.errs = append(p.errs, err)
			p.mu.Unlock()
			p.cancel()
		}
	}()
}

func (p *parts) wait() error {
	p.wg.Wait()
	return errors.Join(p.errs...)
}

// receivers opens all ports and files.
func (s *server) receivers(p *parts) error {
	front := httpin.New(httpin.Options{
		Clock: s.world.Clock, Auth: s.tokens, Sink: s.gate, Metrics: s.metrics, Logger: s.logger,
		BodyBytesMax: int64(s.cfg.Limits.BodyBytes), RatioMax: s.cfg.Limits.BodyRatio, BodyRateMin: int(s.cfg.Limits.BodyRate), HeaderBytesMax: int64(s.cfg.Limits.HeaderBytes),
		FailedAuthPerMinute: s.cfg.Auth.FailuresPerMinute, Proxies: s.cfg.Auth.TrustedProxies,
	})
	bulk := elastic.New(elastic.Options{Front: front, Version: s.cfg.Receivers.Elastic.Version, Prefixes: []string{"/elastic"}})
	collector := hec.New(hec.Options{Front: front})
	context.AfterFunc(p.ctx, collector.Stop)
	lines := ndjson.New(ndjson.Options{Front: front})
	logs := otlp.New(otlp.Options{Front: front})
	routes, err := api.New(api.Config{
		Clock: s.world.Clock, Log: s.logger, Metrics: s.metrics, Tenants: s.tenants, Access: authorizer{s.tokens}, Tokens: tokenKeeper{s.tokens},
		Audit: s.audit, Detections: s.attached(), Quarantine: s.quarantine, Node: s, Webhooks: s.outbox.api(), Stopped: p.ctx.Done(),
	})
	if err != nil {
		return err
	}
	probes := api.Health(s)
	// Off, these are what they were.
	bulkTraced, collectorTraced := s.traces.Handler(elastic.Protocol, bulk), s.traces.Handler(hec.Protocol, collector)
	linesTraced, logsTraced := s.traces.Handler(ndjson.Protocol, lines), s.traces.Handler(otlp.Protocol, logs)
	callsTraced := s.traces.Handler(otlp.Protocol, logs.GRPC())
	all := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case strings.HasPrefix(path, "/api/"):
			routes.ServeHTTP(w, r)
		case strings.HasPrefix(path, "/services/collector"):
			collectorTraced.ServeHTTP(w, r)
		case path == ndjson.Path || strings.HasPrefix(path, ndjson.Path+"/"):
			linesTraced.ServeHTTP(w, r)
		case path == otlp.Path:
			logsTraced.ServeHTTP(w, r)
		case path == "/livez", path == "/readyz", path == "/healthz", strings.HasPrefix(path, "/-/"):
			probes.ServeHTTP(w, r)
		default:
			bulkTraced.ServeHTTP(w, r)
		}
	})
	if err := s.listen(p, "http.listen", s.cfg.HTTP.Listen, s.cfg.HTTP.TLS, front.Harden(all)); err != nil {
		return err
	}
	if err := s.listen(p, "admin.listen", s.cfg.Admin.Listen, config.TLS{}, api.Admin(s.metrics)); err != nil {
		return err
	}
	if err := s.listen(p, "receivers.elastic.listen", s.cfg.Receivers.Elastic.Listen, s.cfg.HTTP.TLS, front.Harden(bulkTraced)); err != nil {
		return err
	}
	if err := s.listen(p, "receivers.hec.listen", s.cfg.Receivers.HEC.Listen, s.cfg.HTTP.TLS, front.Harden(collectorTraced)); err != nil {
		return err
	}
	if err := s.listen(p, "receivers.otlp.http", s.cfg.Receivers.OTLP.HTTP, s.cfg.HTTP.TLS, front.Harden(logsTraced)); err != nil {
		return err
	}
	if err := s.listenAs(p, "receivers.otlp.grpc", s.cfg.Receivers.OTLP.GRPC, s.cfg.HTTP.TLS, otlp.GRPCProtocols(), front.Harden(callsTraced)); err != nil {
		return err
	}
	for i := range s.cfg.Receivers.Syslog {
		if err := s.syslog(p, fmt.Sprintf("receivers.syslog[%d].listen", i), &s.cfg.Receivers.Syslog[i]); err != nil {
			return err
		}
	}
	if err := s.files(p); err != nil {
		return err
	}
	p.start(func(ctx context.Context) error { return s.tokens.Run(ctx, s.logger) })
	p.start(s.outbox.run)
	p.start(s.watchContent)
	p.start(s.retain)
	p.start(s.measureDisk)
	p.start(s.rest)
	p.start(s.watchRecords)
	return nil
}

// listen serves a handler on an address; an empty address serves nothing.
func (s *server) listen(p *parts, key, address string, certificate config.TLS, h http.Handler) error {
	return s.listenAs(p, key, address, certificate, nil, h)
}

// listenAs is listen for given versions of HTTP; nil are the usual ones.
func (s *server) listenAs(p *parts, key, address string, certificate config.TLS, versions *http.Protocols, h http.Handler) error {
	if address == "" {
		return nil
	}
	l, err := s.world.Net.Listen(p.ctx, "tcp", address)
	if err != nil {
		return &codedError{exitInput, fmt.Errorf("%s: %w; another program, or another tiercel, may have the port: end it, or choose another with --set %s=HOST:PORT", key, err, key)}
	}
	s.addresses[key] = l.Addr().String()
	s.logger.Info("listening", "setting", key, "address", s.addresses[key], "tls", certificate.On())
	srv := httpin.Server(h)
	srv.Protocols = versions
	srv.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: s.cfg.Limits.HTTP2Streams}
	srv.ReadHeaderTimeout, srv.IdleTimeout = s.cfg.Limits.HeaderTimeout, s.cfg.Limits.IdleTimeout
	srv.MaxHeaderBytes = int(s.cfg.Limits.HeaderBytes)
	l = limitListener(l, s.cfg.Limits.Connections)
	if certificate.On() {
		tlsConfig, err := s.tls(certificate)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		tlsConfig.NextProtos = []string{"h2", "http/1.1"}
		l = tls.NewListener(l, tlsConfig)
	}
	p.start(func(ctx context.Context) error {
		stopped := make(chan error, 1)
		stop := context.AfterFunc(ctx, func() {
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWait)
			defer cancel()
			err := srv.Shutdown(late)
			if errors.Is(err, context.DeadlineExceeded) {
				err = srv.Close()
			}
			stopped <- err
		})
		err := srv.Serve(l)
		if stop() { // it ended by itself
			return fmt.Errorf("%s: %w", key, err)
		}
		return <-stopped
	})
	return nil
}

// tls makes the configuration of a certificate.
func (s *server) tls(c config.TLS) (*tls.Config, error) {
	out, err := c.Load(s.world.FS)
	if err != nil {
		return nil, &codedError{exitUsage, fmt.Errorf("certificate: %w", err)}
	}
	return out, nil
}

// cliTokenName is the file in which serve leaves a token for the verbs of its
// own user, below the data folder.
const cliTokenName = "cli-token"

// cliTokenTitle is what that token is called among the others.
const cliTokenTitle = "command line"

// cutOff reports whether a first start was ended after it had made the first
// token and before it had left it anywhere: nobody has a token then.
func (s *server) cutOff() bool {
	fsys := s.world.FS
	if _, err := fsys.Stat(fsys.PathJoin(string(s.cfg.Data), "access", cliTokenName)); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	list, err := s.tokens.List(event.Tenant{})
	return err == nil && !slices.ContainsFunc(list, func(i access.Info) bool { return i.Name != cliTokenTitle || !i.LastUsed.IsZero() })
}

// defaultSource is the source of the token that a first start makes.
const defaultSource = "default"

// firstTokens makes the tokens of a first start and returns what to tell of
// them.
func (s *server) firstTokens() (string, error) {
	if s.tokens.HasAdmin() && !s.cutOff() {
		return "", nil
	}
	ctx := context.Background()
	_, cli, err := s.tokens.Create(ctx, access.Request{Name: cliTokenTitle, Kind: access.KindAdmin, Write: true})
	if err != nil {
		return "", err
	}
	dir := s.world.FS.PathJoin(string(s.cfg.Data), "access")
	if err := writeSecret(s.world, dir, cliTokenName, cli); err != nil {
		return "", fmt.Errorf("leave a token for the command line: %w", err)
	}
	_, admin, err := s.tokens.Create(ctx, access.Request{Name: "first admin", Kind: access.KindAdmin, Write: true})
	if err != nil {
		return "", err
	}
	t := s.tenants.All()[0]
	_, send, err := s.tokens.Create(ctx, access.Request{Name: "first source", Kind: access.KindIngest, Tenant: t, Source: defaultSource})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("\nThese tokens are shown once:\n"+
		"  to see and change   %s\n"+
		"  to send events      %s   (tenant %s, source %s)\n\n", admin, send, t, defaultSource), nil
}

// url is where the main port is reached from this machine.
func (s *server) url() string {
	opened := *s.cfg
	opened.HTTP.Listen = s.addresses["http.listen"]
	return addressFor(&opened, "api")
}

// firstSteps are the commands to go on with, as they have to be given for this
// server: its address and its folder stand in them unless they are the usual.
func (s *server) firstSteps() string {
	to, server := "", ""
	if url := s.url(); url != defaultServer {
		to, server = " --to "+url, " --server "+url
	}
	if s.cfg.Place("data") != (config.Place{}) {
		server += " --data " + string(s.cfg.Data)
	}
	return "Connect an agent:     tiercel config print-agent filebeat" + to + " --token TOKEN\n" +
		"Send a test event:    tiercel send" + to + " --token TOKEN\n" +
		"See what is found:    tiercel detections tail" + server + "\n\n"
}

// writeSecret writes a file for the user alone.
func writeSecret(world env.Env, dir, name, text string) error {
	if err := world.FS.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return writeDurably(world.FS, dir, name, []byte(text+"\n"))
}
