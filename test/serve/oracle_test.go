package serve

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// The rules under test. The oracle below reads events with them, by hand.
const (
	markID  = "11111111-1111-4111-8111-111111111111"
	manyID  = "22222222-2222-4222-8222-222222222222"
	kindsID = "33333333-3333-4333-8333-333333333333"

	manyWithin  = 30 * time.Second
	manyCount   = 4
	kindsWithin = time.Minute
	kindsCount  = 4
	markGap     = time.Hour // by default
)

var ruleFiles = map[string]string{
	"mark.yml": `
title: Marked program
id: ` + markID + `
status: test
level: medium
logsource: {product: windows, category: process_creation}
detection:
  selection: {Image|endswith: '\mark.exe'}
  condition: selection
`,
	"many.yml": `
title: Many marked programs on a host
id: ` + manyID + `
status: test
level: high
correlation:
  type: event_count
  rules: [` + markID + `]
  group-by: [Computer]
  timespan: 30s
  condition: {gte: 4}
  generate: true
`,
	"kinds.yml": `
title: Many kinds of tool on a host
id: ` + kindsID + `
status: test
level: high
correlation:
  type: value_count
  rules: [` + markID + `]
  group-by: [Computer]
  timespan: 1m
  condition: {field: Tool, gte: 4}
  generate: true
`,
}

// finding is a detection as the oracle expects it and the API shows it.
type finding struct {
	Rule     string
	Host     string
	User     string // of single-event rules
	Anchor   string // time
	Count    int
	Evidence string // stamps in order
}

func (f finding) key() string { return f.Rule + "|" + f.Host + "|" + f.User + "|" + f.Anchor }

// The evidence that a detection names: its first and last events.
const evidenceFirst, evidenceLast = 20, 80

func stampsOf(list []mark) string {
	if len(list) > evidenceFirst+evidenceLast {
		list = append(slices.Clone(list[:evidenceFirst]), list[len(list)-evidenceLast:]...)
	}
	var out []string
	for _, m := range list {
		out = append(out, m.stamp)
	}
	return strings.Join(out, " ")
}

// expected decides marked events slowly: it takes them all in order of time,
// rule by rule and group by group, and looks at every window anew.
func expected(marks []mark) []finding {
	all := slices.Clone(marks)
	slices.SortFunc(all, func(a, b mark) int { return a.at.Compare(b.at) })
	var out []finding
	rules := []struct {
		id     string
		group  func(m mark) [2]string
		within time.Duration
		holds  func(window []mark) bool
	}{
		{markID, func(m mark) [2]string { return [2]string{m.host, m.user} }, markGap, func([]mark) bool { return true }},
		{manyID, func(m mark) [2]string { return [2]string{m.host} }, manyWithin, func(w []mark) bool { return len(w) >= manyCount }},
		{kindsID, func(m mark) [2]string { return [2]string{m.host} }, kindsWithin, func(w []mark) bool {
			kinds := map[string]bool{}
			for _, m := range w {
				kinds[m.tool] = true
			}
			return len(kinds) >= kindsCount
		}},
	}
	for _, r := range rules {
		groups := map[[2]string][]mark{}
		for _, m := range all {
			groups[r.group(m)] = append(groups[r.group(m)], m)
		}
		for key, hits := range groups {
			var episode []mark
			var anchor mark
			flush := func() {
				if episode != nil {
					out = append(out, finding{Rule: r.id, Host: key[0], User: key[1], Anchor: anchor.at.UTC().Format(time.RFC3339Nano), Count: len(episode), Evidence: stampsOf(episode)})
				}
				episode = nil
			}
			gone := 0 // hits before this one count no more
			for i, m := range hits {
				if episode != nil && (m.at.Sub(hits[i-1].at) > r.within || m.at.Sub(anchor.at) > max(24*time.Hour, r.within)) {
					flush()
					gone = i
				}
				var window []mark
				for j := gone; j <= i; j++ {
					if m.at.Sub(hits[j].at) <= r.within {
						window = append(window, hits[j])
					}
				}
				switch {
				case !r.holds(window):
					flush()
				case episode != nil:
					episode = append(episode, m)
				default:
					episode, anchor = slices.Clone(window), m
				}
			}
			flush()
		}
	}
	slices.SortFunc(out, func(a, b finding) int { return cmp.Compare(a.key(), b.key()) })
	return out
}

// shown is a detection in the words of the API.
type shown struct {
	ID, Revision, Phase string
	Seq                 uint64
	Rule                struct{ ID, Kind, Title string }
	Group               []struct{ Field, Value string }
	AnchorTime          time.Time `json:"anchor_time"`
	Created, Updated    time.Time
	SupersededBy        string `json:"superseded_by"`
	NotifyKey           string `json:"notify_key"`
	Count               int
	Late                bool
	Truncated           bool
	Evidence            []struct {
		EventID string `json:"event_id"`
		Event   struct{ Stamp string }
	}
}

// list returns all detections but superseded ones, without their events.
func (n *node) list() ([]shown, error) {
	var out []shown
	cursor := ""
	for {
		var page struct {
			Detections []shown
			Next       string
		}
		if err := n.ask("GET", "/detections?limit=500&cursor="+url.QueryEscape(cursor), nil, &page); err != nil {
			return nil, err
		}
		out = append(out, page.Detections...)
		if cursor = page.Next; cursor == "" {
			return out, nil
		}
	}
}

// finding fetches a detection with its events.
func (n *node) finding(d *shown) (finding, error) {
	var whole shown
	if err := n.ask("GET", "/detections/"+d.ID, nil, &whole); err != nil {
		return finding{}, err
	}
	f := finding{Rule: d.Rule.ID, Anchor: d.AnchorTime.UTC().Format(time.RFC3339Nano), Count: d.Count}
	for _, g := range d.Group {
		switch strings.ToLower(g.Field) {
		case "host", "computer":
			f.Host = g.Value
		case "user":
			f.User = g.Value
		default:
			return f, fmt.Errorf("detection %s has a group field %q", d.ID, g.Field)
		}
	}
	stamps := make([]string, len(whole.Evidence))
	for i, e := range whole.Evidence {
		stamps[i] = e.Event.Stamp
	}
	f.Evidence = strings.Join(stamps, " ")
	return f, nil
}

// settledFor is how long nothing may be open and still something be to come.
const settledFor = 20 * time.Second

// judge waits until everything is decided for good, and compares it with what
// the oracle says.
func (n *node) judge(marks []mark) []shown {
	n.t.Helper()
	want := expected(marks)
	var list []shown
	settled := time.Time{}
	await(n.t, doneWithin, "all is decided", func() error {
		var err error
		if list, err = n.list(); err != nil {
			return err
		}
		open := 0
		for _, d := range list {
			if d.Phase != "closed" {
				open++
			}
		}
		if open == 0 && len(list) >= len(want) {
			return nil
		}
		if open > 0 || settled.IsZero() {
			settled = time.Now()
		}
		if time.Since(settled) > settledFor {
			return nil // some are missing, which compare tells
		}
		return fmt.Errorf("%d of %d detections are open, %d are expected", open, len(list), len(want))
	})
	compare(n.t, n, want, list)
	return list
}

// compare fails the test for each difference.
func compare(t testing.TB, n *node, want []finding, list []shown) {
	t.Helper()
	wanted := map[string]finding{}
	for _, f := range want {
		wanted[f.key()] = f
	}
	const told = 10
	wrong := 0
	complain := func(format string, args ...any) {
		if wrong++; wrong <= told {
			t.Errorf(format, args...)
		}
	}
	for i := range list {
		d := &list[i]
		if d.Rule.Kind == "health" {
			complain("a health detection: %s", d.Rule.Title)
			continue
		}
		got, err := n.finding(d)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := wanted[got.key()]
		switch {
		case !ok:
			complain("detection %s is not expected, or is there twice: %+v", d.ID, got)
		case got != f:
			complain("detection %s:\n got %+v\nwant %+v", d.ID, got, f)
		case d.Late || d.Truncated:
			complain("detection %s is late or truncated", d.ID)
		}
		delete(wanted, got.key())
	}
	for _, f := range wanted {
		complain("missing: %+v", f)
	}
	if wrong > told {
		t.Errorf("and %d more", wrong-told)
	}
}

// counts are those of the ledger.
type counts struct {
	Received, Evaluated, Late, Quarantined, Damaged uint64
	Unexplained                                     int64
}

func (n *node) ledger() (counts, error) {
	var out struct{ Totals counts }
	err := n.ask("GET", "/ledger?limit=10000&from="+url.QueryEscape(time.Now().Add(-24*time.Hour).UTC().Format(time.RFC3339)), nil, &out)
	return out.Totals, err
}

// account waits until the ledger has caught up with what was acknowledged, and
// checks that it comes out to the event.
func (n *node) account(l *load) counts {
	n.t.Helper()
	acked := uint64(l.acked.Load())
	var c counts
	await(n.t, doneWithin, "the ledger", func() error {
		var err error
		if c, err = n.ledger(); err != nil {
			return err
		}
		if c.Received < acked || c.Evaluated+c.Late+c.Quarantined+c.Damaged < c.Received {
			return fmt.Errorf("%d events are acknowledged, and the ledger says %+v", acked, c)
		}
		return nil
	})
	want := counts{Received: acked, Evaluated: acked - uint64(l.broken), Quarantined: uint64(l.broken)}
	if c != want {
		n.t.Errorf("ledger: %+v, want %+v", c, want)
	}
	return c
}

// follower reads the feed over restarts, as a client does that comes again with
// the number of the last change it saw.
type follower struct {
	last    map[string]shown  // by id, as last seen
	history map[string]string // by id, what was seen
	after   uint64
	at      atomic.Uint64 // after, for others
	changes int
	faults  []string
}

func newFollower() *follower {
	return &follower{last: map[string]shown{}, history: map[string]string{}}
}

func (f *follower) see(line []byte) error {
	var d shown
	if err := json.Unmarshal(line, &d); err != nil {
		return fmt.Errorf("a line of the feed: %w", err)
	}
	fault := func(format string, args ...any) {
		if len(f.faults) < 10 {
			f.faults = append(f.faults, fmt.Sprintf(format, args...))
		}
	}
	if d.Seq <= f.after {
		fault("number %d comes after %d", d.Seq, f.after)
	}
	if old, ok := f.last[d.ID]; ok && old.Revision == d.Revision && old.Phase == d.Phase {
		fault("detection %s is told twice in the same state: %d and %d, %s %s\n%s", d.ID, old.Seq, d.Seq, d.Phase, d.Revision, f.history[d.ID])
	}
	f.history[d.ID] += fmt.Sprintf("  %d %s %.8s count %d late %v by %.8s at %s\n", d.Seq, d.Phase, d.Revision, d.Count, d.Late, d.SupersededBy, d.Updated.Format("05.000"))
	f.last[d.ID] = d
	f.after = d.Seq
	f.at.Store(d.Seq)
	f.changes++
	return nil
}
