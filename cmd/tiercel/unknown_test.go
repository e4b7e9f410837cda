package main

import (
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/api"
)

func TestUnknownRecordsAreTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ events, unrouted, want uint64 }{
		{0, 0, 0},
		{99, 99, 0},
		{100, 49, 0},
		{100, 50, 50},
		{1000, 1000, 100},
		{100, 200, 100}, // counted at different moments
	} {
		if got := unknown(&api.Source{Events: c.events, Unrouted: c.unrouted}); got != c.want {
			t.Errorf("%d of %d: %d %%, want %d", c.unrouted, c.events, got, c.want)
		}
	}
	s := liveStats{}
	s.Status.Sources = []api.Source{{Tenant: "local", Name: "good", Events: 500, EventsPerSecond: 9}, {Tenant: "local", Name: "odd", Events: 200, Unrouted: 150}}
	var b strings.Builder
	s.sources(&b, examined)
	lines := strings.Split(b.String(), "\n")
	if len(lines) < 4 || !strings.HasPrefix(lines[2], "local/odd") || !strings.HasSuffix(lines[2], "UNKNOWN 75 %") || strings.Contains(lines[3], "UNKNOWN") {
		t.Errorf("the view is\n%s", b.String())
	}
}
