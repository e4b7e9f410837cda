package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// Prober says how the process is doing; [Node] is one. While the process
// starts, another can stand in that is not ready.
type Prober interface {
	Status(t event.Tenant) Status
}

// Health returns the handler of the probes, which need no token and tell
// nothing of tenants: /livez, /healthz and /-/healthy say that the process
// answers, /readyz and /-/ready that it can do its work, with 503 when it cannot.
// With ?verbose each check is a line. Overload alone does not make it unready.
func Health(p Prober) http.Handler {
	mux := http.NewServeMux()
	live := func(w http.ResponseWriter, _ *http.Request) {
		setHeaders(w.Header())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	}
	ready := func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		status := p.Status(event.Tenant{})
		var b strings.Builder
		if r.URL.Query().Has("verbose") {
			for _, c := range status.Checks {
				mark := "+"
				if !c.OK {
					mark = "-"
				}
				fmt.Fprintf(&b, "[%s] %s", mark, c.Name)
				if c.Detail != "" {
					fmt.Fprintf(&b, ": %s", oneLine(c.Detail))
				}
				b.WriteByte('\n')
			}
		}
		if status.Ready {
			b.WriteString("ready\n")
		} else {
			w.WriteHeader(http.StatusServiceUnavailable)
			b.WriteString("not ready\n")
		}
		_, _ = w.Write([]byte(b.String()))
	}
	for _, path := range []string{"/livez", "/healthz", "/-/healthy"} {
		mux.HandleFunc("GET "+path, live)
	}
	for _, path := range []string{"/readyz", "/-/ready"} {
		mux.HandleFunc("GET "+path, ready)
	}
	return mux
}

// oneLine keeps a detail from looking like a check of its own.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, bounded(text))
}
