package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// With --server the same verbs go through the API.
func TestTokensOfAServer(t *testing.T) {
	t.Parallel()
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.Method+" "+r.URL.RequestURI()+" "+string(body))
		switch r.Method {
		case http.MethodGet:
			fmt.Fprint(w, `{"tokens":[{"id":"aaaaaaaa","name":"old","kind":"ingest","tenant":"local","source":"s","created":"2026-01-01T00:00:00Z","expires":"2026-01-31T00:00:00Z","last_used":"2026-01-07T00:00:00Z"},
				{"id":"bbbbbbbb","name":"gone","kind":"admin","created":"2026-01-01T00:00:00Z","revoked":"2026-01-02T00:00:00Z"}]}`)
		case http.MethodPost:
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id":"cccccccc","name":"new","kind":"ingest","tenant":"local","source":"s","created":"2026-05-01T00:00:00Z","token":"tc1_x"}`)
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	defer s.Close()
	for _, c := range []struct {
		args, stdout string
		code         int
		asked        []string
	}{
		{"create new --source s --expires 30d", "tc1_x\n", exitDone, []string{`POST /api/v1/tokens {"name":"new","kind":"ingest","source":"s","expires_days":30}`}},
		{"create new --admin --write", "tc1_x\n", exitDone, []string{`POST /api/v1/tokens {"name":"new","kind":"admin","write":true}`}},
		{"create new --expires 90m", "", exitUsage, nil},
		{"revoke aaaaaaaa", "", exitDone, []string{"DELETE /api/v1/tokens/aaaaaaaa "}},
		// The new one is there before the old one ends.
		{"rotate aaaaaaaa", "tc1_x\n", exitDone, []string{"GET /api/v1/tokens ", `POST /api/v1/tokens?tenant=local {"name":"old","kind":"ingest","source":"s","expires_days":30}`, "DELETE /api/v1/tokens/aaaaaaaa?tenant=local "}},
		{"rotate bbbbbbbb", "", exitUsage, []string{"GET /api/v1/tokens "}},
		{"rotate zzzzzzzz", "", exitUsage, []string{"GET /api/v1/tokens "}},
		{"rotate aaaaaaaa --overlap 1d", "", exitUsage, nil},
	} {
		asked = nil
		p, stdout, stderr := online(t, append(append([]string{"token"}, strings.Fields(c.args)...), "--server", s.URL, "--token", "tok")...)
		if code := exitCode(run(context.Background(), p)); code != c.code || stdout.String() != c.stdout {
			t.Errorf("%s: code %d, printed %q\n%s", c.args, code, stdout, stderr)
		}
		if strings.Join(asked, "\n") != strings.Join(c.asked, "\n") {
			t.Errorf("%s asked\n%s\nwant\n%s", c.args, strings.Join(asked, "\n"), strings.Join(c.asked, "\n"))
		}
	}
	p, stdout, _ := online(t, "token", "list", "--server", s.URL, "--token", "tok")
	if err := run(context.Background(), p); err != nil || !strings.Contains(stdout.String(), "aaaaaaaa  old   ingest        local   s       expired  2026-01-01  2026-01-31  2026-01-07") || !strings.Contains(stdout.String(), "revoked") {
		t.Errorf("%v\n%s", err, stdout)
	}
}
