package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// bodyWait bounds how long a body of at most [bodyBytesMax] may take: 64 KiB
// in ten seconds is a slow modem.
const bodyWait = 10 * time.Second

// tokenBytesMax bounds what is looked at of a token. Ours are shorter than a
// hundred bytes.
const tokenBytesMax = 512

// caller is what the guard found out about a request, for the handler.
type caller struct {
	principal Principal
	// tenant is the one that the request is about; zero where the route takes
	// any and all are meant.
	tenant event.Tenant
	// object is the id that was acted on, for the audit log.
	object string
}

type callerKey struct{}

// callerOf returns the caller of a request that came through the guard.
func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// guarded is a mux that accepts only routes of the table and puts the guard in
// front of each. It is huma's humago.Mux.
type guarded struct {
	*http.ServeMux
	server *server
	table  map[string]*route
	served map[string]bool
	err    error
}

// HandleFunc implements humago.Mux.
func (g *guarded) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	r, ok := g.table[pattern]
	if !ok {
		g.err = errors.Join(g.err, fmt.Errorf("route %q does not stand in the table of routes", pattern))
		return
	}
	if g.served[pattern] {
		g.err = errors.Join(g.err, fmt.Errorf("route %q is served twice", pattern))
		return
	}
	g.served[pattern] = true
	g.ServeMux.HandleFunc(pattern, func(w http.ResponseWriter, req *http.Request) { g.server.guard(r, w, req, handler) })
}

// answer watches what a handler writes. It hides a broken connection from
// handlers, which could do nothing about it.
type answer struct {
	http.ResponseWriter
	status int
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader brings huma's own answers into the form of this API.
func (a *answer) WriteHeader(status int) {
	if a.status != 0 {
		return
	}
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	if h := a.Header(); h.Get("Content-Type") == "application/problem+json" {
		h.Set("Content-Type", "application/json")
	}
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Write never fails.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	_, _ = a.ResponseWriter.Write(p)
	return len(p), nil
}

// guard checks what the table demands of a request and, if it holds, calls the
// handler; then it counts and records.
func (s *server) guard(r *route, w http.ResponseWriter, req *http.Request, handler func(http.ResponseWriter, *http.Request)) {
	a := &answer{ResponseWriter: w}
	setHeaders(w.Header())
	c := &caller{object: bounded(req.PathValue("id"))}
	known := r.permission == permPublic
	defer func() {
		if fault := recover(); fault != nil {
			if fault == http.ErrAbortHandler {
				panic(fault)
			}
			s.log.Error("api handler failed", "route", r.name, "fault", fmt.Sprintf("%.300q", fmt.Sprint(fault)), "stack", string(debug.Stack()))
			s.fail(a, refuse(CodeInternal, ""))
		}
		s.requests.WithLabelValues(r.name, strconv.Itoa(a.status)).Inc()
		if known && r.audit != "" {
			s.auditor.Record(Entry{
				At: s.clock.Now(), Principal: c.principal.Name, Tenant: c.tenant, Kind: r.audit, Object: c.object, Status: a.status, Peer: req.RemoteAddr, Count: 1,
			})
		}
	}()
	if !known {
		principal, err := s.authorize(req)
		if err != nil {
			s.refused(req.RemoteAddr)
			a.Header().Set("WWW-Authenticate", `Bearer realm="tiercel"`)
			s.fail(a, err)
			return
		}
		known, c.principal = true, principal
		s.settleRefused()
	}
	release, err := s.admit(r, a, req, c)
	if err != nil {
		s.fail(a, err)
		return
	}
	defer release()
	handler(a, req.WithContext(context.WithValue(req.Context(), callerKey{}, c)))
}

func setHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// authorize finds out whom the request's token speaks for.
func (s *server) authorize(req *http.Request) (Principal, *Error) {
	values := req.Header.Values("Authorization")
	if len(values) != 1 {
		return Principal{}, refuse(CodeUnauthorized, "")
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" || len(token) > tokenBytesMax {
		return Principal{}, refuse(CodeUnauthorized, "")
	}
	p, err := s.access.Admin(token)
	if err != nil {
		return Principal{}, refuse(CodeUnauthorized, "")
	}
	return p, nil
}

// admit checks all but the token, and takes a place in the route's class.
func (s *server) admit(r *route, w http.ResponseWriter, req *http.Request, c *caller) (release func(), _ *Error) {
	switch {
	case r.permission == permAdmin && !c.principal.Tenant.IsZero():
		return nil, refuse(CodeAdminRequired, "")
	case (r.permission == permAdmin || r.permission == permWrite) && !c.principal.Write:
		return nil, refuse(CodeWriteForbidden, "")
	}
	query, err := url.ParseQuery(req.URL.RawQuery)
	if err != nil {
		return nil, invalid("query", "it cannot be read: %s", bounded(err.Error()))
	}
	for key, values := range query {
		if len(values) > 1 {
			return nil, invalid("query."+bounded(key), "it is given %d times", len(values))
		}
	}
	if refusal := s.chooseTenant(r, query.Get("tenant"), c); refusal != nil {
		return nil, refusal
	}
	if refusal := s.readBody(r, w, req); refusal != nil {
		return nil, refusal
	}
	places := s.places[r.cost]
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		e := refuse(CodeBusy, "")
		e.wait = 1
		return nil, e
	}
}

// chooseTenant settles which tenant a request is about.
func (s *server) chooseTenant(r *route, name string, c *caller) *Error {
	if r.scope == scopeNone {
		return nil // a query key "tenant" is unknown there and refused as such
	}
	own := c.principal.Tenant
	if !own.IsZero() {
		// One answer whether or not the other tenant exists.
		if name != "" && name != own.String() {
			return refuse(CodeTenantForbidden, "")
		}
		c.tenant = own
		return nil
	}
	if name != "" {
		t, ok := s.tenants.Lookup(name)
		if !ok {
			return refuse(CodeUnknownTenant, "")
		}
		c.tenant = t
		return nil
	}
	if r.scope == scopeOne {
		all := s.tenants.All()
		if len(all) != 1 {
			return refuse(CodeTenantRequired, "")
		}
		c.tenant = all[0] // there is nothing to choose
	}
	return nil
}

// readBody reads the whole body, so that a handler never waits for a client, and
// refuses one that could be read in two ways.
func (s *server) readBody(r *route, w http.ResponseWriter, req *http.Request) *Error {
	if req.ContentLength > r.bodyMax {
		return refuse(CodeTooLarge, fmt.Sprintf("the body is larger than the %d bytes that this route takes", r.bodyMax))
	}
	if req.ContentLength == 0 || req.Body == nil {
		return nil
	}
	// A recorder in a test has no deadlines, and a body in memory needs none.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(s.clock.Now().Add(bodyWait))
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, r.bodyMax))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return refuse(CodeTooLarge, fmt.Sprintf("the body is larger than the %d bytes that this route takes", r.bodyMax))
	case err != nil:
		return refuse(CodeTimeout, "the body ended before it was complete")
	}
	// A deadline that passes while the handler works would end the request.
	_ = control.SetReadDeadline(time.Time{})
	req.Body = io.NopCloser(bytes.NewReader(body))
	return strict(body)
}

// fail writes an error, unless the answer has begun.
func (s *server) fail(a *answer, e *Error) {
	if a.status != 0 {
		return
	}
	for k, v := range e.GetHeaders() {
		a.Header()[k] = v
	}
	a.Header().Set("Content-Type", "application/json")
	a.WriteHeader(e.status)
	_ = jsonFormat.Marshal(a, e)
}

// unmatched answers what no route fits, with the mux's own verdict in this
// API's form.
func (s *server) unmatched(w http.ResponseWriter, req *http.Request, verdict http.Handler) {
	probe := &headProbe{header: http.Header{}}
	verdict.ServeHTTP(probe, req)
	setHeaders(w.Header())
	a := &answer{ResponseWriter: w}
	if probe.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", probe.header.Get("Allow"))
		s.fail(a, refuse(CodeMethod, ""))
	} else {
		s.fail(a, refuse(CodeNotFound, "there is no such address"))
	}
	s.requests.WithLabelValues("none", strconv.Itoa(a.status)).Inc()
}

// headProbe keeps status and header of an answer.
type headProbe struct {
	header http.Header
	status int
}

func (p *headProbe) Header() http.Header         { return p.header }
func (p *headProbe) WriteHeader(status int)      { p.status = status }
func (p *headProbe) Write(b []byte) (int, error) { return len(b), nil }
