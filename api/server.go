package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/metric"
)

// Config is what the API is made of. All fields are needed but Webhooks.
type Config struct {
	Clock   env.Clock
	Log     *slog.Logger
	Metrics *metric.Set
	// Tenants are those of the configuration.
	Tenants *event.Tenants
	// Access judges tokens, Tokens keeps them.
	Access Authorizer
	Tokens Tokens
	Audit  Auditor

	Detections Detections
	Quarantine Quarantine
	Node       Node
	// Webhooks is nil where none are configured.
	Webhooks Webhooks

	// Stopped is closed when the process begins to stop; streams end then.
	Stopped <-chan struct{}
}

// server holds what handlers use. It does not change but for the counters,
// which guard themselves.
type server struct {
	clock      env.Clock
	log        *slog.Logger
	requests   *prometheus.CounterVec
	tenants    *event.Tenants
	access     Authorizer
	tokens     Tokens
	auditor    Auditor
	detections Detections
	quarantine Quarantine
	node       Node
	webhooks   Webhooks
	stopped    <-chan struct{}

	api      huma.API
	table    map[string]*route // by name
	places   map[cost]chan struct{}
	refusals refusals
}

// New makes the handler of everything below /api/. The error says what is
// missing in the configuration or in the table of routes; it is a fault of the
// caller or of this package, and nothing is served then.
func New(c Config) (http.Handler, error) {
	if c.Clock == nil || c.Log == nil || c.Metrics == nil || c.Tenants == nil || c.Access == nil || c.Tokens == nil ||
		c.Audit == nil || c.Detections == nil || c.Quarantine == nil || c.Node == nil || c.Stopped == nil {
		return nil, errors.New("api: the configuration is not complete")
	}
	if c.Webhooks == nil {
		c.Webhooks = noWebhooks{}
	}
	_, mux, err := build(c)
	if err != nil {
		return nil, err
	}
	return mux, nil
}

// build makes server and mux; with an empty configuration it serves to
// describe the routes only.
func build(c Config) (*server, *dispatch, error) {
	s := &server{
		clock: c.Clock, log: c.Log, tenants: c.Tenants, access: c.Access, tokens: c.Tokens, auditor: c.Audit,
		detections: c.Detections, quarantine: c.Quarantine, node: c.Node, webhooks: c.Webhooks, stopped: c.Stopped,
		table: map[string]*route{}, places: map[cost]chan struct{}{},
	}
	if c.Metrics != nil {
		s.requests = c.Metrics.APIRequests
	}
	for class, n := range concurrency {
		s.places[class] = make(chan struct{}, n)
	}
	mux := &guarded{ServeMux: http.NewServeMux(), server: s, table: map[string]*route{}, served: map[string]bool{}}
	for i := range routes {
		r := &routes[i]
		if err := checkRoute(r); err != nil {
			return nil, nil, err
		}
		mux.table[r.pattern()], s.table[r.name] = r, r
	}
	s.api = humago.New(mux, humaConfig())
	s.registerAll(mux)
	for i := range routes {
		if !mux.served[routes[i].pattern()] {
			mux.err = errors.Join(mux.err, fmt.Errorf("route %q stands in the table and is not served", routes[i].pattern()))
		}
	}
	if mux.err != nil {
		return nil, nil, fmt.Errorf("api: %w", mux.err)
	}
	tidy(s.api.OpenAPI())
	return s, &dispatch{s, mux.ServeMux}, nil
}

// checkRoute says what a row of the table lacks.
func checkRoute(r *route) error {
	reads := r.method == http.MethodGet
	switch {
	case r.name == "" || r.summary == "" || r.tag == "" || r.permission == "" || r.scope == "" || concurrency[r.cost] == 0:
		return fmt.Errorf("api: route %q is not declared completely", r.pattern())
	case !reads && r.audit == "":
		return fmt.Errorf("api: route %q changes something and has no word for the audit log", r.pattern())
	case !reads && (r.permission == permRead || r.permission == permPublic):
		return fmt.Errorf("api: route %q changes something and does not ask for permission to write", r.pattern())
	case r.permission == permPublic && r.scope != scopeNone:
		return fmt.Errorf("api: route %q is public and concerns a tenant", r.pattern())
	}
	return nil
}

// registerAll connects the table's rows with their handlers.
func (s *server) registerAll(mux *guarded) {
	if r := s.table["openapi"]; r != nil {
		mux.HandleFunc(r.pattern(), s.serveOpenAPI)
	}
	handle(s, "list-detections", s.listDetections)
	handle(s, "get-detection", s.getDetection)
	handle(s, "follow-detections", s.followDetections)
	handle(s, "list-quarantine", s.listQuarantine)
	handle(s, "get-quarantined", s.getQuarantined)
	handle(s, "retry-quarantined", s.retryQuarantined)
	handle(s, "retry-quarantine", s.retryQuarantine)
	handle(s, "get-ledger", s.getLedger)
	handle(s, "get-gaps", s.getGaps)
	handle(s, "list-sources", s.listSources)
	handle(s, "rule-stats", s.ruleStats)
	handle(s, "get-status", s.getStatus)
	handle(s, "reload", s.reload)
	handle(s, "release-rule", s.releaseRule)
	handle(s, "list-tokens", s.listTokens)
	handle(s, "create-token", s.createToken)
	handle(s, "revoke-token", s.revokeToken)
	handle(s, "list-webhooks", s.listWebhooks)
	handle(s, "retry-webhook", s.retryWebhook)
	handle(s, "backup", s.backup)
}

// handle registers the handler of a row of the table.
func handle[I, O any](s *server, name string, h func(context.Context, *caller, *I) (*O, error)) {
	r := s.table[name]
	if r == nil {
		// The mux refuses a pattern that is not in the table, and New with it.
		r = &route{name: name, method: http.MethodGet, path: "/unregistered/" + name}
	}
	huma.Register(s.api, operation(r), func(ctx context.Context, in *I) (*O, error) {
		out, err := h(ctx, callerOf(ctx), in)
		if err == nil {
			return out, nil
		}
		e, internal := faultOf(err)
		if internal && ctx.Err() == nil {
			s.log.Error("api request failed", "route", r.name, "error", bounded(err.Error()))
		}
		return nil, e
	})
}

// dispatch is the mux with answers of this API for what it does not know.
type dispatch struct {
	server *server
	mux    *http.ServeMux
}

// ServeHTTP implements http.Handler.
func (d *dispatch) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	verdict, pattern := d.mux.Handler(req)
	if pattern == "" {
		d.server.unmatched(w, req, verdict)
		return
	}
	d.mux.ServeHTTP(w, req)
}

// jsonFormat writes text as it is: answers are never put into HTML unescaped
// by whoever shows them, and < stays readable.
var jsonFormat = huma.DefaultJSONFormat

func (s *server) serveOpenAPI(w http.ResponseWriter, _ *http.Request) {
	text, err := json.Marshal(s.api.OpenAPI())
	if err != nil {
		s.log.Error("openapi document cannot be written", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/openapi+json")
	_, _ = w.Write(text)
}
