package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Whatever is asked with a token of alpha's: the answer is not a fault of ours,
// is JSON or a stream, and tells nothing of beta.
func FuzzRequests(f *testing.F) {
	for i := range routes {
		s := sampleOf(&routes[i])
		f.Add(routes[i].method, s.path, s.query, s.body, "")
		f.Add(routes[i].method, strings.ReplaceAll(s.path, "alpha", "beta"), "tenant=beta", s.body, "7")
	}
	f.Fuzz(func(t *testing.T, method, path, query, body, last string) {
		w := newWorld(t)
		w.detections.feedEnd = errors.New("the end of the feed")
		if !strings.HasPrefix(path, "/") || method == "" || strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' }) {
			return // net/http does not let it through
		}
		req := request("GET", "/", "alpha-write", "")
		req.Method, req.URL = method, &url.URL{Path: path, RawQuery: query}
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		req.Header.Set("Last-Event-ID", last)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, req)
		if rec.Code >= 500 {
			t.Errorf("%s %s?%s: %d %s", method, path, query, rec.Code, rec.Body)
		}
		if strings.Contains(rec.Body.String(), canary(w.beta)) {
			t.Errorf("%s %s?%s tells of another tenant: %s", method, path, query, rec.Body)
		}
		if kind := rec.Header().Get("Content-Type"); kind == "application/json" && method != http.MethodHead && !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s %s?%s: no JSON: %s", method, path, query, rec.Body)
		}
	})
}
