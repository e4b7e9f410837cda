package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is how a route is called so that it succeeds for tenant alpha.
type sample struct {
	path, query, body string
	token             string
}

// samples holds what the table cannot know: ids that exist, and bodies.
var samples = map[string]sample{
	"get-detection":     {path: "d1-alpha"},
	"get-quarantined":   {path: "q-alpha"},
	"retry-quarantined": {path: "q-alpha"},
	"retry-quarantine":  {body: `{"source":"syslog"}`},
	"create-token":      {body: `{"name":"n","kind":"ingest","source":"s"}`, query: "tenant=alpha"},
	"revoke-token":      {path: "t1"},
	"retry-webhook":     {path: "w-alpha"},
	"release-rule":      {path: "r-held"},
	"backup":            {body: `{"label":"monday"}`},
}

// sampleOf is the request of a route that succeeds with the least token.
func sampleOf(r *route) sample {
	s := samples[r.name]
	s.path = strings.ReplaceAll(r.path, "{id}", s.path)
	switch r.permission {
	case permRead:
		s.token = "alpha-read"
	case permWrite:
		s.token = "alpha-write"
	case permAdmin:
		s.token = "all-write"
	}
	return s
}

func (s sample) target(more string) string {
	query := s.query
	if more != "" {
		query = strings.TrimPrefix(query+"&"+more, "&")
	}
	if query == "" {
		return s.path
	}
	return s.path + "?" + query
}

// each runs a check on every route of the table, with a world of its own whose
// streams end by themselves.
func each(t *testing.T, check func(t *testing.T, w *world, r *route, s sample)) {
	t.Helper()
	for i := range routes {
		r := &routes[i]
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.detections.feedEnd = errors.New("the end of the feed")
			check(t, w, r, sampleOf(r))
		})
	}
}

// Nothing but the document is served without a token.
func TestOnlyTheDocumentIsPublic(t *testing.T) {
	t.Parallel()
	for _, r := range routes {
		if (r.permission == permPublic) != (r.name == "openapi") {
			t.Errorf("route %s has permission %s", r.name, r.permission)
		}
	}
}

func TestEveryRouteAnswers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, r *route, s sample) {
		rec := w.ask(r.method, s.target(""), s.token, s.body)
		if rec.Code >= 300 {
			t.Fatalf("answer %d %s", rec.Code, rec.Body)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
			if got := rec.Header().Get(name); got != want && r.permission != permPublic {
				t.Errorf("%s: %q", name, got)
			}
		}
		entries := w.audit.take()
		if r.audit == "" {
			if len(entries) != 0 {
				t.Errorf("recorded %+v", entries)
			}
			return
		}
		if len(entries) != 1 || entries[0].Kind != r.audit || entries[0].Principal != s.token || entries[0].Status != rec.Code || entries[0].Count != 1 || entries[0].Peer == "" || !entries[0].At.Equal(start) {
			t.Errorf("recorded %+v", entries)
		}
	})
}

func TestNoTokenNoAnswer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, r *route, s sample) {
		if r.permission == permPublic {
			return
		}
		for _, header := range [][]string{nil, {""}, {"Bearer"}, {"Bearer "}, {"Basic " + s.token}, {s.token}, {"Bearer wrong"}, {"Bearer " + strings.Repeat("x", 10_000)}, {"Bearer " + s.token, "Bearer " + s.token}} {
			req := request(r.method, s.target("token="+s.token), "", s.body)
			for _, h := range header {
				req.Header.Add("Authorization", h)
			}
			rec := w.send(req)
			if errorOf(t, rec) != CodeUnauthorized || rec.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("with %.40q: %d %s", header, rec.Code, rec.Body)
			}
		}
		for _, e := range w.audit.take() {
			if e.Kind != "token.refused" || e.Principal != "" {
				t.Errorf("recorded %+v", e)
			}
		}
		if rec := w.ask(r.method, s.target(""), s.token, s.body); rec.Code >= 300 {
			t.Errorf("with the token: %d", rec.Code)
		}
	})
}

func TestPermission(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, r *route, s sample) {
		refused := map[permission]map[string]Code{
			permWrite: {"alpha-read": CodeWriteForbidden, "all-read": CodeWriteForbidden},
			permAdmin: {"alpha-read": CodeAdminRequired, "alpha-write": CodeAdminRequired, "all-read": CodeWriteForbidden},
		}[r.permission]
		for token, want := range refused {
			rec := w.ask(r.method, s.target(""), token, s.body)
			if got := errorOf(t, rec); rec.Code != http.StatusForbidden || got != want {
				t.Errorf("token %s: %d %s", token, rec.Code, rec.Body)
			}
			// What was refused stands in the audit log as well.
			if entries := w.audit.take(); r.audit != "" && (len(entries) != 1 || entries[0].Kind != r.audit || entries[0].Status != http.StatusForbidden) {
				t.Errorf("recorded %+v", entries)
			}
		}
		if n := len(w.node.retries) + len(w.node.labels) + w.node.reloads + len(w.tokens.created) + len(w.tokens.revoked) + len(w.webhooks.retried); n != 0 {
			t.Errorf("%d changes were made all the same", n)
		}
	})
}

func TestTenant(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, r *route, s sample) {
		if r.permission == permPublic {
			return
		}
		s.query = ""
		ask := func(query, token string) (int, Code) {
			rec := w.ask(r.method, s.target(query), token, s.body)
			if strings.Contains(rec.Body.String(), canary(w.beta)) && token != "all-write" {
				t.Errorf("?%s with %s tells of another tenant: %s", query, token, rec.Body)
			}
			return rec.Code, errorOf(t, rec)
		}
		if r.scope == scopeNone {
			if _, code := ask("tenant=alpha", "all-write"); code != CodeInvalid {
				t.Errorf("a tenant where none is meant: %s", code)
			}
			return
		}
		// An existing and a made-up tenant get the same answer.
		for _, other := range []string{"beta", "nobody", "../beta", "beta%00", "BETA"} {
			if status, _ := ask("tenant="+other, "alpha-write"); status != http.StatusForbidden {
				t.Errorf("tenant %s with alpha's token: %d", other, status)
			}
		}
		if _, code := ask("tenant=nobody", "all-write"); code != CodeUnknownTenant {
			t.Errorf("an unknown tenant: %s", code)
		}
		if _, code := ask("tenant=alpha&tenant=beta", "all-write"); code != CodeInvalid {
			t.Errorf("two tenants: %s", code)
		}
		if r.permission != permAdmin {
			if status, _ := ask("tenant=alpha", "alpha-write"); status >= 300 {
				t.Errorf("its own tenant: %d", status)
			}
		}
		if status, code := ask("tenant=alpha", "all-write"); status >= 300 {
			t.Errorf("a chosen tenant: %d %s", status, code)
		}
		if _, code := ask("", "all-write"); r.scope == scopeOne && code != CodeTenantRequired {
			t.Errorf("no tenant chosen: %s", code)
		}
	})
}

// Where there is one tenant, there is nothing to choose.
func TestOnlyTenantIsChosen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "alpha")
	if rec := w.ask("GET", "/api/v1/detections", "all-read", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), canary(w.alpha)) {
		t.Errorf("answer %d %s", rec.Code, rec.Body)
	}
}

// What alpha's tokens may ask for never tells anything of beta; objects of
// beta's are not there for alpha.
func TestCanary(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, r *route, s sample) {
		if r.permission == permAdmin || r.permission == permPublic {
			return
		}
		mine := w.ask(r.method, s.target(""), s.token, s.body)
		if strings.Contains(mine.Body.String(), canary(w.beta)) {
			t.Errorf("it tells of another tenant: %s", mine.Body)
		}
		if strings.Contains(r.path, "{id}") {
			theirs := strings.Replace(s.path, "alpha", "beta", 1)
			if theirs == s.path {
				t.Fatal("the sample has no id of another tenant")
			}
			for _, query := range []string{"", "?tenant=alpha"} {
				rec := w.ask(r.method, theirs+query, s.token, s.body)
				if errorOf(t, rec) != CodeNotFound || strings.Contains(rec.Body.String(), canary(w.beta)) {
					t.Errorf("beta's object: %d %s", rec.Code, rec.Body)
				}
			}
		} else if r.method == http.MethodGet && !strings.Contains(mine.Body.String(), canary(w.alpha)) && r.name != "rule-stats" {
			t.Errorf("the canary does not sing: %s", mine.Body)
		}
	})
	// Counts over all tenants are no tenant's to see.
	w := newWorld(t)
	if body := w.ask("GET", v1+"/rules/stats", "alpha-write", "").Body.String(); strings.Contains(body, "7700") {
		t.Errorf("counts of all tenants: %s", body)
	}
	if body := w.ask("GET", v1+"/rules/stats", "all-read", "").Body.String(); !strings.Contains(body, "77001") {
		t.Errorf("no counts: %s", body)
	}
}

func TestBodyCap(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, r *route, s sample) {
		if r.permission == permPublic {
			return
		}
		if r.bodyMax > 1<<20 {
			t.Errorf("a cap of %d bytes", r.bodyMax)
		}
		large := strings.Repeat(" ", int(r.bodyMax)+1)
		for _, chunked := range []bool{false, true} {
			req := request(r.method, s.target(""), s.token, large)
			if chunked {
				req.ContentLength = -1
			}
			if rec := w.send(req); errorOf(t, rec) != CodeTooLarge {
				t.Errorf("chunked %v: %d %s", chunked, rec.Code, rec.Body)
			}
		}
		if r.bodyMax > 0 {
			exact := s.body + strings.Repeat(" ", int(r.bodyMax)-len(s.body))
			if rec := w.ask(r.method, s.target(""), s.token, exact); rec.Code >= 300 {
				t.Errorf("a body of the largest size: %d %s", rec.Code, rec.Body)
			}
		}
	})
}

func TestStrictKeys(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world, r *route, s sample) {
		if r.permission == permPublic {
			return
		}
		for _, query := range []string{"unknown=1", "Tenant=alpha", "tenant%20=alpha", "a;b=1", "%zz=1", "=1"} {
			if rec := w.ask(r.method, s.target(query), s.token, s.body); errorOf(t, rec) != CodeInvalid {
				t.Errorf("query %s: %d %s", query, rec.Code, rec.Body)
			}
		}
		if r.bodyMax == 0 {
			return
		}
		for body, want := range map[string]Code{
			strings.Replace(s.body, "{", `{"unknown":1,`, 1): CodeInvalid,
			s.body + "{}": CodeInvalid,
			"[]":          CodeInvalid,
			"null":        CodeInvalid,
			`{"a":`:       CodeInvalid,
			"":            CodeInvalid,
			strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000): CodeInvalid,
		} {
			rec := w.ask(r.method, s.target(""), s.token, body)
			if got := errorOf(t, rec); got != want {
				t.Errorf("body %.40q: %d %s", body, rec.Code, rec.Body)
			}
			if rec.Body.Len() > 20_000 {
				t.Errorf("body %.40q: an answer of %d bytes", body, rec.Body.Len())
			}
		}
		// What one decoder reads in one way and another in another.
		key, _, _ := strings.Cut(s.body[strings.Index(s.body, `"`)+1:], `"`)
		for name, body := range map[string]string{
			"twice":              strings.Replace(s.body, "{", `{"`+key+`":null,`, 1),
			"twice, with escape": strings.Replace(s.body, "{", fmt.Sprintf(`{"\u%04x%s":null,`, key[0], key[1:]), 1),
			"another case":       strings.Replace(s.body, `"`+key+`"`, `"`+strings.ToUpper(key[:1])+key[1:]+`"`, 1),
			"no UTF-8":           strings.Replace(s.body, `"`+key, "\"\xff"+key, 1),
			"half a pair":        strings.Replace(s.body, `"`+key, `"\ud800`+key, 1),
			"trailing":           s.body + " x",
		} {
			if body == s.body {
				t.Fatalf("%s changes nothing of %s", name, body)
			}
			if rec := w.ask(r.method, s.target(""), s.token, body); errorOf(t, rec) != CodeInvalid {
				t.Errorf("%s: %s: %d %s", name, body, rec.Code, rec.Body)
			}
		}
		req := request(r.method, s.target(""), s.token, s.body)
		req.Header.Set("Content-Type", "text/xml")
		if rec := w.send(req); errorOf(t, rec) != CodeMediaType {
			t.Errorf("as XML: %d %s", rec.Code, rec.Body)
		}
	})
}

func TestUnknownAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for target, want := range map[string]Code{
		"GET /api/v1/nothing":           CodeNotFound,
		"GET /api/v2/detections":        CodeNotFound,
		"GET /":                         CodeNotFound,
		"DELETE /api/v1/detections":     CodeMethod,
		"PUT /api/v1/tokens":            CodeMethod,
		"GET /api/v1/reload":            CodeMethod,
		"GET /docs":                     CodeNotFound,
		"GET /api/openapi.yaml":         CodeNotFound,
		"GET /schemas/Detection.json":   CodeNotFound,
		"GET /api/v1/quarantine/a/b":    CodeNotFound,
		"POST /api/v1/quarantine/x/y/z": CodeNotFound,
	} {
		method, path, _ := strings.Cut(target, " ")
		rec := w.ask(method, path, "all-write", "")
		if got := errorOf(t, rec); got != want {
			t.Errorf("%s: %d %s", target, rec.Code, rec.Body)
		}
		if want == CodeMethod && rec.Header().Get("Allow") == "" {
			t.Errorf("%s: no Allow", target)
		}
	}
}

// A handler that is in no row of the table, and a row without a handler, keep
// the API from starting.
func TestUnregisteredRouteDoesNotStart(t *testing.T) {
	t.Parallel()
	s := &server{table: map[string]*route{}, places: map[cost]chan struct{}{}}
	mux := &guarded{ServeMux: http.NewServeMux(), server: s, table: map[string]*route{}, served: map[string]bool{}}
	mux.HandleFunc("GET /api/v1/backdoor", func(http.ResponseWriter, *http.Request) {})
	if mux.err == nil || !strings.Contains(mux.err.Error(), "backdoor") {
		t.Errorf("a route that is in no table: %v", mux.err)
	}
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest("GET", "/api/v1/backdoor", nil))
	if rec.Code != http.StatusNotFound {
		t.Errorf("it is served all the same: %d", rec.Code)
	}
	for name, r := range map[string]route{
		"no permission":       {name: "x", method: "GET", path: "/x", scope: scopeOne, cost: costLight, tag: "t", summary: "s"},
		"no scope":            {name: "x", method: "GET", path: "/x", permission: permRead, cost: costLight, tag: "t", summary: "s"},
		"no cost":             {name: "x", method: "GET", path: "/x", permission: permRead, scope: scopeOne, tag: "t", summary: "s"},
		"a write with read":   {name: "x", method: "POST", path: "/x", permission: permRead, scope: scopeOne, cost: costLight, tag: "t", summary: "s", audit: "a"},
		"a write unrecorded":  {name: "x", method: "POST", path: "/x", permission: permWrite, scope: scopeOne, cost: costLight, tag: "t", summary: "s"},
		"public and a tenant": {name: "x", method: "GET", path: "/x", permission: permPublic, scope: scopeOne, cost: costLight, tag: "t", summary: "s"},
	} {
		if checkRoute(&r) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration is accepted")
	}
}

// Every code that is used is in the table, once.
func TestErrorTable(t *testing.T) {
	t.Parallel()
	seen := map[Code]bool{}
	for _, row := range ErrorCodes {
		if seen[row.Code] || row.Status < 400 || row.Message == "" || row.Advice == "" {
			t.Errorf("row %+v", row)
		}
		seen[row.Code] = true
		if got := refuse(row.Code, ""); got.status != row.Status || got.Body.Message != row.Message {
			t.Errorf("%s becomes %+v", row.Code, got)
		}
	}
	if !slices.ContainsFunc(ErrorCodes, func(r ErrorCode) bool { return r.Code == CodeInternal }) {
		t.Error("no internal error")
	}
}

// A body that comes slowly and breaks off is the client's fault.
func TestBrokenBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	req := request("POST", v1+"/backup", "all-write", "")
	req.Body, req.ContentLength = io.NopCloser(io.MultiReader(strings.NewReader(`{"la`), broken{})), 40
	if rec := w.send(req); errorOf(t, rec) != CodeTimeout || len(w.node.labels) != 0 {
		t.Errorf("answer %d %s", rec.Code, rec.Body)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// deadlines is a connection that notes its read deadlines.
type deadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return nil
}

// The time for a body does not run while the handler works: a deadline that
// passes then would end the request.
func TestBodyDeadline(t *testing.T) {
	t.Parallel()
	for _, r := range routes {
		if r.bodyMax == 0 {
			continue
		}
		w, s := newWorld(t), sampleOf(&r)
		d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		w.handler.ServeHTTP(d, request(r.method, s.target(""), s.token, s.body))
		if d.Code >= 300 || len(d.set) < 2 || !d.set[0].Equal(start.Add(bodyWait)) || !d.set[1].IsZero() || !d.set[len(d.set)-1].IsZero() {
			t.Errorf("%s: answer %d, deadlines %v", r.name, d.Code, d.set)
		}
	}
}
