package clients

import (
	"fmt"
	"strconv"
	"testing"
)

// client is a program or library that sends.
type client struct {
	// name is that of the test, and of the source and the token.
	name string
	kind textKind
	// send gives the client the events. It returns the processes that send them,
	// which the test stops, or, with none, once everything was acknowledged.
	send func(t *testing.T, to target, events []item) []*program
	// carries reports whether a record holds a text as it was.
	carries func(record []byte, text string) bool
	// poison is how many broken records send adds.
	poison int
	// regroups: what is sent again may be cut into other batches than at first,
	// so that the server cannot know it; it then counts as received again.
	regroups bool
	// forgets: it does not repeat a request whose connection breaks. The server
	// has the events of the one that is cut here all the same.
	forgets bool
	// verbatim: it sends bytes that are no text as they are.
	verbatim bool
	// grpc: it speaks gRPC. unacknowledged: its protocol has no answers, so that
	// there is nothing to refuse and nothing to throw away: the server makes it
	// wait.
	grpc, unacknowledged bool
}

// target is where a client sends to.
type target struct {
	// url is that of the HTTP receivers, host and port are its parts.
	url, host string
	port      int
	// grpc and syslog are addresses.
	grpc, syslog string
	token        string
	// dir is for the client's files.
	dir    string
	server *server
}

const (
	// undisturbedEvents are more than the batch of any client.
	undisturbedEvents = 2000
	// With this quota the first 1,000 events, or one batch, are taken at once,
	// and the rest is refused for some seconds.
	quotaPerSecond   = 200
	disturbedEvents  = 2400
	detectionsWanted = 1
)

// deliver runs both deliveries of a client.
func deliver(t *testing.T, c client) {
	t.Helper()
	t.Run("undisturbed", func(t *testing.T) {
		t.Parallel()
		c.deliver(t, undisturbedEvents, false)
	})
	t.Run("refused and cut", func(t *testing.T) {
		t.Parallel()
		c.deliver(t, disturbedEvents, true)
	})
}

func (c *client) deliver(t *testing.T, n int, disturbed bool) {
	quota := 0
	if disturbed {
		quota = quotaPerSecond
	}
	s := startServer(t, c.name, quota)
	to := target{
		url: s.url(), host: "127.0.0.1", port: s.http, token: s.token, dir: t.TempDir(), server: s,
		grpc: "127.0.0.1:" + strconv.Itoa(s.grpc), syslog: "127.0.0.1:" + strconv.Itoa(s.syslog),
	}
	var http *proxy
	var wire *wireProxy
	switch {
	case !disturbed || c.unacknowledged:
	case c.grpc:
		wire = startWireProxy(t, to.grpc)
		to.grpc = wire.address
	default:
		http = startProxy(t, to.url)
		to.port = http.port
		to.url = "http://127.0.0.1:" + strconv.Itoa(http.port)
	}
	events := makeEvents(n, c.kind)
	want := uint64(n + c.poison)
	programs := c.send(t, to, events)

	var sums counts
	until(t, "balanced ledger", append(programs, s.program), func() (bool, string) {
		var err error
		if sums, err = s.ledger(); err != nil {
			return false, err.Error()
		}
		state := fmt.Sprintf("%+v of %d", sums, want)
		if http != nil {
			acked, unheard, busy, cut := http.state()
			if c.forgets {
				acked += unheard
			}
			state += fmt.Sprintf(", %d events acknowledged, %d refusals, %d answers thrown away", acked, busy, cut)
			if acked < n {
				return false, state
			}
			if c.regroups {
				want = http.taken() + uint64(c.poison)
			}
		}
		return sums.Received >= want && sums.balanced(), state
	})
	var found findings
	until(t, "detection of every marked event", []*program{s.program}, func() (bool, string) {
		var err error
		if found, err = s.found(); err != nil {
			return false, err.Error()
		}
		return found.detections >= detectionsWanted && found.events >= marked(n), fmt.Sprintf("%d detections of %d events, want %d", found.detections, found.events, marked(n))
	})
	for _, p := range append(programs, s.program) { // the clients first
		if err := p.stop(); err != nil {
			t.Error(err)
		}
	}

	if http != nil {
		acked, _, busy, cut := http.state()
		if busy == 0 || cut != 1 {
			t.Errorf("the server refused %d requests and %d answers were thrown away; the test shows nothing", busy, cut)
		}
		t.Logf("%d events acknowledged, %d requests refused, %d answers thrown away", acked, busy, cut)
	}
	if wire != nil && wire.cuts() != 1 {
		t.Errorf("%d connections were cut; the test shows nothing", wire.cuts())
	}
	again := disturbed && c.regroups
	if sums.Received != want {
		t.Errorf("the ledger has %d records, want %d", sums.Received, want)
	}
	if found.detections != detectionsWanted || found.events != marked(n) && !again {
		t.Errorf("%d detections of %d events, want %d of %d", found.detections, found.events, detectionsWanted, marked(n))
	}
	if found.doubtful > 1 || (found.doubtful == 1) != c.verbatim {
		t.Errorf("%d detections of doubtful records, and that the client sends such is %v", found.doubtful, c.verbatim)
	}
	c.compare(t, s.data, events, int(sums.Received), again)
}

// compare reads the log back and compares it with what was sent.
func (c *client) compare(t *testing.T, data string, events []item, received int, again bool) {
	t.Helper()
	records, refused := readLog(t, data, c.name)
	if got := len(records) + len(refused); got != received {
		t.Errorf("the log has %d records and the ledger %d", got, received)
	}
	byID := make(map[string][][]byte)
	others := 0
	for _, r := range records {
		id := string(idPattern.Find(r))
		if id == "" {
			others++
			continue
		}
		byID[id] = append(byID[id], r)
	}
	if others+len(refused) != c.poison {
		t.Errorf("%d records hold no event and %d are refused, want %d together", others, len(refused), c.poison)
	}
	lost, double, changed := 0, 0, 0
	for _, e := range events {
		found := byID[e.id]
		delete(byID, e.id)
		if len(found) == 0 {
			lost++
			t.Logf("lost: %.80q", e.text)
			continue
		}
		if len(found) > 1 {
			double++
		}
		for _, r := range found {
			if !e.broken && !c.carries(r, e.text) {
				if changed++; changed <= 3 {
					t.Errorf("sent %.200q, stored %.400q", e.text, r)
				}
			}
		}
	}
	if lost > 0 || changed > 0 || double > 0 && !again || len(byID) > 0 {
		t.Errorf("of %d events %d were lost, %d stored more than once, %d changed; %d stored ones were never sent", len(events), lost, double, changed, len(byID))
	}
	if again {
		t.Logf("%d of %d events were stored more than once", double, len(events))
	}
}
