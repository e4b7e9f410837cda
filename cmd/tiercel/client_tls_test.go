package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Who takes the wrong one of http and https is told which it is.
func TestServerWithAndWithoutTLS(t *testing.T) {
	t.Parallel()
	empty := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {})
	plain, secure := httptest.NewServer(empty), httptest.NewUnstartedServer(empty)
	secure.Config.ErrorLog = quietLog()
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	for _, c := range []struct {
		server, want string
		code         int
	}{
		{"https://" + strings.TrimPrefix(plain.URL, "http://"), "does not speak TLS there; write its address with http://", exitInput},
		{"http://" + strings.TrimPrefix(secure.URL, "https://"), "speaks TLS; write its address with https://", exitUsage},
		{secure.URL, "Name the authority of its certificate with --ca", exitInput},
	} {
		p, _, stderr := online(t, "detections", "list", "--token", "tok", "--server", c.server)
		if code := exitCode(run(context.Background(), p)); code != c.code || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: exit code %d, %s", c.server, code, stderr)
		}
	}
}
