package detection

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) NewTimer(time.Duration) env.Timer { panic("the store waits for no time") }

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

type fixture struct {
	t       *testing.T
	records *storetest.Memory
	clock   *clock
	store   *Store
	tenant  event.Tenant
	other   event.Tenant
}

func fresh(t *testing.T) *fixture {
	a, b, _ := storetest.Tenants(t)
	f := &fixture{t: t, records: &storetest.Memory{}, clock: &clock{now: start}, tenant: a, other: b}
	f.store = Open(f.records, f.clock)
	return f
}

// restart opens the store again on what was written.
func (f *fixture) restart() { f.store = Open(f.records, f.clock) }

func (f *fixture) put(list ...*Detection) []Change {
	f.t.Helper()
	changes, err := f.store.Put(f.tenant, list, nil, store.Durable)
	if err != nil {
		f.t.Fatal(err)
	}
	return changes
}

func (f *fixture) get(id string) *Detection {
	f.t.Helper()
	d, err := f.store.Get(f.tenant, id)
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

func (f *fixture) list(filter Filter) []string {
	f.t.Helper()
	var out []string
	for {
		p, err := f.store.List(f.tenant, filter)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, d := range p.Detections {
			out = append(out, d.ID)
		}
		if p.Next == "" {
			return out
		}
		filter.Cursor = p.Next
	}
}

func made(id, revision, phase string, count uint64) *Detection {
	return &Detection{
		ID: id, Revision: revision, Phase: phase, Count: count, NotifyKey: "n" + id,
		Rule:       Rule{ID: "r1", Title: "Something happened", Kind: "rule", Level: "high"},
		AnchorTime: start.Add(-time.Minute), FirstTime: start.Add(-time.Hour), LastTime: start,
		Group:    []Field{{"Computer", "HOST-1"}},
		Evidence: []Evidence{{EventID: "e1", RawHash: "h1", Host: "host-1", Event: json.RawMessage(`{"a":1}`)}},
	}
}

func TestAFirstRevisionIsStoredWhole(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	in := made("aa01", "v1", Provisional, 1)
	changes := f.put(in)
	if len(changes) != 1 || !changes[0].First || changes[0].Previous != "" {
		t.Fatalf("%+v", changes)
	}
	want := *in
	want.Seq, want.Created, want.Updated = 1, start, start
	if diff := cmp.Diff(&want, f.get("aa01")); diff != "" {
		t.Error(diff)
	}
	if in.Seq != 0 || !in.Created.IsZero() {
		t.Error("the argument was changed")
	}
	if _, err := f.store.Get(f.other, "aa01"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another tenant: %v", err)
	}
}

func TestARevisionKeepsCreatedAndTakesANumber(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	f.put(made("aa01", "v1", Provisional, 1), made("bb01", "v1", Provisional, 1))
	f.clock.advance(time.Minute)
	changes := f.put(made("aa01", "v2", Final, 2))
	if len(changes) != 1 || changes[0].First || changes[0].Previous != Provisional {
		t.Fatalf("%+v", changes)
	}
	d := f.get("aa01")
	if d.Seq != 3 || !d.Created.Equal(start) || !d.Updated.Equal(start.Add(time.Minute)) || d.Phase != Final || d.Revision != "v2" {
		t.Fatalf("%+v", d)
	}
}

// Whatever order of old revisions a restart puts again, nothing can be seen of
// it: no change, no number, no write.
func TestAReplayIsInvisible(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	history := []*Detection{
		made("aa01", "v1", Provisional, 1),
		made("aa01", "v2", Provisional, 2),
		made("bb01", "w1", Provisional, 5),
		made("aa01", "v2", Final, 2),
		made("bb01", "w1", Superseded, 5),
		made("cc01", "x1", Final, 1),
		made("cc01", "x1", Closed, 1),
	}
	history[4].SupersededBy = "cc01"
	for _, d := range history {
		f.put(d)
	}
	before := map[string]*Detection{}
	for _, id := range []string{"aa01", "bb01", "cc01"} {
		before[id] = f.get(id)
	}
	f.restart()
	f.clock.advance(time.Hour)
	for i := range history {
		if changes := f.put(history[i:]...); len(changes) != 0 {
			t.Fatalf("replay from %d changed %+v", i, changes[0].Detection)
		}
	}
	for id, want := range before {
		if diff := cmp.Diff(want, f.get(id)); diff != "" {
			t.Error(diff)
		}
	}
	if n, err := f.store.Latest(f.tenant); err != nil || n != uint64(len(history)) {
		t.Error(n, err)
	}
}

func TestAnOldRevisionBeyondMemoryIsKnownByItsCount(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	for n := range uint64(3 * seenMax) {
		f.put(made("aa01", fmt.Sprint("v", n+1), Provisional, n+1))
	}
	if changes := f.put(made("aa01", "v1", Provisional, 1)); len(changes) != 0 {
		t.Fatalf("%+v", changes)
	}
}

func TestPhases(t *testing.T) {
	t.Parallel()
	cases := []struct{ stored, put, want string }{
		{Provisional, Provisional, Provisional},
		{Provisional, Final, Final},
		{Provisional, Closed, Closed},
		{Provisional, Superseded, Superseded},
		{Final, Provisional, Final},
		{Final, Closed, Closed},
		{Final, Superseded, Superseded},
		{Closed, Provisional, Closed},
		{Closed, Final, Closed},
		{Closed, Superseded, Superseded},
		{Superseded, Provisional, Provisional}, // it fires again
		{Superseded, Final, Final},
	}
	for _, c := range cases {
		f := fresh(t)
		f.put(made("aa01", "v1", c.stored, 1))
		changes := f.put(made("aa01", "v2", c.put, 2))
		if len(changes) != 1 || changes[0].Detection.Phase != c.want || changes[0].Previous != c.stored {
			t.Errorf("%s over %s: %+v, want %s", c.put, c.stored, changes, c.want)
		}
		if d := f.get("aa01"); d.Phase != c.want || d.Revision != "v2" {
			t.Errorf("%s over %s: stored %s %s", c.put, c.stored, d.Phase, d.Revision)
		}
	}
	f := fresh(t)
	if _, err := f.store.Put(f.tenant, []*Detection{made("aa01", "v1", "open", 1)}, nil, store.Durable); err == nil {
		t.Error("a phase that is none was stored")
	}
	if _, err := f.store.Put(f.tenant, []*Detection{made("", "v1", Final, 1)}, nil, store.Durable); err == nil {
		t.Error("a detection without id was stored")
	}
}

func TestFlagsAreAChange(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	f.put(made("aa01", "v1", Final, 1))
	for i, change := range []func(*Detection){
		func(d *Detection) { d.Late = true },
		func(d *Detection) { d.Truncated = true },
		func(d *Detection) { d.Suppressed = true },
		func(d *Detection) { d.SupersededBy = "x" },
	} {
		d := made("aa01", "v1", Final, 1)
		change(d)
		if len(f.put(d)) != 1 {
			t.Errorf("flag %d is no change", i)
		}
	}
}

func TestSeveralRevisionsInOneCall(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	changes := f.put(made("aa01", "v1", Provisional, 1), made("aa01", "v2", Provisional, 2), made("aa01", "v2", Provisional, 2))
	if len(changes) != 2 || !changes[0].First || changes[1].First || changes[1].Previous != Provisional {
		t.Fatalf("%+v", changes)
	}
	if f.records.Applies() != 1 {
		t.Errorf("%d writes, want one", f.records.Applies())
	}
	f.check()
}

func TestMoreIsWrittenWithIt(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	zero, key := uint64(0), store.Key{Tenant: f.tenant, Kind: "state", ID: "x"}
	more := []store.Write{{Key: key, Value: []byte("1"), If: &zero}}
	if _, err := f.store.Put(f.tenant, []*Detection{made("aa01", "v1", Final, 1)}, more, store.Durable); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.Put(f.tenant, []*Detection{made("bb01", "v1", Final, 1)}, more, store.Durable); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("a conflict in more: %v", err)
	}
	if _, err := f.store.Get(f.tenant, "bb01"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("written without more: %v", err)
	}
	// Nothing changes, more is written all the same.
	if _, err := f.store.Put(f.tenant, []*Detection{made("aa01", "v1", Final, 1)}, []store.Write{{Key: key, Value: []byte("2")}}, store.Relaxed); err != nil {
		t.Fatal(err)
	}
	if d, err := f.records.Get(key); err != nil || string(d.Value) != "2" {
		t.Fatal(string(d.Value), err)
	}
}

func TestMoreMayDependOnTheChanges(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	suppressed := made("aa01", "v1", Final, 1)
	suppressed.Suppressed = true
	for i, c := range []struct {
		d                    *Detection
		changes              int
		first, wasSuppressed bool
	}{{suppressed, 1, true, false}, {suppressed, 0, false, false}, {made("aa01", "v1", Final, 1), 1, false, true}} {
		key := store.Key{Tenant: f.tenant, Kind: "told", ID: fmt.Sprint(i)}
		changes, err := f.store.PutWith(f.tenant, []*Detection{c.d}, func(changes []Change) ([]store.Write, error) {
			return []store.Write{{Key: key, Value: fmt.Append(nil, len(changes))}}, nil
		}, store.Durable)
		if err != nil || len(changes) != c.changes {
			t.Fatal(i, changes, err)
		}
		if len(changes) == 1 && (changes[0].First != c.first || changes[0].WasSuppressed != c.wasSuppressed) {
			t.Errorf("%d: %+v", i, changes[0])
		}
		if d, err := f.records.Get(key); err != nil || string(d.Value) != fmt.Sprint(c.changes) {
			t.Error(i, string(d.Value), err)
		}
	}
	_, err := f.store.PutWith(f.tenant, []*Detection{made("bb01", "v1", Final, 1)}, func([]Change) ([]store.Write, error) {
		return nil, storetest.ErrPlanned
	}, store.Durable)
	if _, missing := f.store.Get(f.tenant, "bb01"); !errors.Is(err, storetest.ErrPlanned) || !errors.Is(missing, store.ErrNotFound) {
		t.Error(err, missing)
	}
}

func TestAFailureChangesNothing(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	f.put(made("aa01", "v1", Final, 1))
	f.records.Fail = func() error { return store.ErrFailed }
	if _, err := f.store.Put(f.tenant, []*Detection{made("bb01", "v1", Final, 1)}, nil, store.Durable); !errors.Is(err, store.ErrFailed) {
		t.Fatal(err)
	}
	f.records.Fail = nil
	changes := f.put(made("bb01", "v1", Final, 1))
	if len(changes) != 1 || changes[0].Detection.Seq != 2 {
		t.Fatalf("%+v", changes)
	}
	f.check()
}

// Two stores on the same records, as two processes have them, do not give a
// number twice.
func TestTwoWritersShareTheNumbers(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	second := Open(f.records, f.clock)
	for i := range 10 {
		f.put(made(fmt.Sprintf("a%d", i), "v1", Final, 1))
		if _, err := second.Put(f.tenant, []*Detection{made(fmt.Sprintf("b%d", i), "v1", Final, 1)}, nil, store.Durable); err != nil {
			t.Fatal(err)
		}
	}
	f.check()
	if n := len(f.list(Filter{})); n != 20 {
		t.Errorf("%d of 20 detections", n)
	}
}

func TestLargeEventsAreLeftOut(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	text := func(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }
	d := made("aa01", "v1", Final, 1)
	d.Evidence = nil
	for i := range 20 { // 16 of 64 KiB are 1 MiB
		d.Evidence = append(d.Evidence, Evidence{EventID: fmt.Sprint(i), RawHash: "h", Event: text(EventBytesMax)})
	}
	d.Evidence[0].Event = text(EventBytesMax + 1)
	d.Evidence[1].Event = json.RawMessage(`{"broken`)
	f.put(d)
	got := f.get("aa01")
	for i, e := range got.Evidence {
		if kept := len(e.Event) > 0; kept != (i >= 2 && i < 18) || e.RawHash != "h" {
			t.Errorf("event %d: kept %t, hash %q", i, kept, e.RawHash)
		}
	}
	if f.store.Dropped() != 4 {
		t.Errorf("counted %d", f.store.Dropped())
	}
}

// Nothing that an event may claim keeps a detection from being stored.
func TestHostileContentIsStored(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	huge := strings.Repeat("ä", 1<<20)
	d := made("aa01", huge, Final, 1)
	d.Value = math.Inf(1)
	d.AnchorTime, d.FirstTime = time.Date(292277, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC)
	d.Rule.Title, d.Reason, d.SupersededBy, d.NotifyKey = huge, huge, huge, huge
	for range 300 {
		d.Group = append(d.Group, Field{huge, "\xff\xfe\x00"})
		d.Values = append(d.Values, huge)
		d.Evidence = append(d.Evidence, Evidence{Host: huge, Fields: slices.Repeat([]Field{{"f", huge}}, 300), Rules: []string{huge}})
	}
	f.put(d)
	doc, err := f.records.Get(store.Key{Tenant: f.tenant, Kind: kindDetection, ID: "aa01"})
	if err != nil || len(doc.Value) > 8<<20 {
		t.Fatal(len(doc.Value), err)
	}
	if got := f.get("aa01"); got.Value != math.MaxFloat64 || got.AnchorTime.Year() != 9999 || len(got.Reason) != noteBytesMax {
		t.Errorf("%g %v %d", got.Value, got.AnchorTime, len(got.Reason))
	}
	d = made("bb01", "v", Final, 1)
	d.Value = math.NaN()
	f.put(d)
}

func TestClipKeepsCharacters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"abc", 2, "ab"}, {"aä", 2, "a"}, {"aä", 3, "aä"}, {"a😀", 4, "a"}, {"\x80\x80\x80\x80\x80\x80\x80\x80", 6, "\x80\x80"}} {
		if got := event.Clip(c.in, c.n); got != c.want {
			t.Errorf("event.Clip(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func TestGetByPrefix(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	f.put(made("aa01", "v", Final, 1), made("aa02", "v", Final, 1), made("ab", "v", Final, 1), made("abc", "v", Final, 1))
	for id, want := range map[string]string{"aa01": "aa01", "AA02": "aa02", "abc": "abc", "ab": "ab"} {
		if d := f.get(id); d.ID != want {
			t.Errorf("%s gives %s", id, d.ID)
		}
	}
	for id, want := range map[string]error{"aa": ErrAmbiguous, "a": ErrAmbiguous, "b": store.ErrNotFound, "": store.ErrNotFound, "aa011": store.ErrNotFound, strings.Repeat("a", 5000): store.ErrNotFound} {
		if _, err := f.store.Get(f.tenant, id); !errors.Is(err, want) {
			t.Errorf("%.10s: %v, want %v", id, err, want)
		}
	}
}

func TestFilters(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	add := func(id, phase, level, rule, title, host string, anchor time.Duration) {
		d := made(id, "v", phase, 1)
		d.Rule = Rule{ID: rule, Level: level, Title: title}
		d.AnchorTime = start.Add(anchor)
		d.Group = []Field{{"User", "user of " + host}}
		d.Evidence[0].Host = host
		f.clock.advance(time.Second)
		f.put(d)
	}
	add("1", Final, "low", "r1", "Encoded command", "WS01", 0)
	add("2", Provisional, "high", "r2", "Lateral movement", "ws02", time.Hour)
	add("3", Superseded, "critical", "r1", "encoded COMMAND", "ws01", 2*time.Hour)
	add("4", Closed, "medium", "r2", "Other", "dc", 3*time.Hour)
	for _, c := range []struct {
		name   string
		filter Filter
		want   []string
	}{
		{"all but superseded, the newest first", Filter{}, []string{"4", "2", "1"}},
		{"level", Filter{MinLevel: "medium"}, []string{"4", "2"}},
		{"phases", Filter{Phases: []string{Superseded, Closed}}, []string{"4", "3"}},
		{"rule", Filter{RuleID: "r1"}, []string{"1"}},
		{"rule and phase", Filter{RuleID: "r1", Phases: []string{Superseded}}, []string{"3"}},
		{"host in any case", Filter{Value: "ws01"}, []string{"1"}},
		{"group value", Filter{Value: "USER of dc"}, []string{"4"}},
		{"half a host", Filter{Value: "ws0"}, nil},
		{"from", Filter{From: start.Add(time.Hour)}, []string{"4", "2"}},
		{"to is not included", Filter{To: start.Add(time.Hour)}, []string{"1"}},
		{"title", Filter{Query: "COMM"}, []string{"1"}},
		{"no such rule", Filter{RuleID: "r"}, nil},
	} {
		if got := f.list(c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		c.filter.Limit = 1
		if got := f.list(c.filter); !slices.Equal(got, c.want) {
			t.Errorf("%s, one a page: %q, want %q", c.name, got, c.want)
		}
	}
	counts, err := f.store.Count(f.tenant, Filter{})
	if diff := cmp.Diff(map[string]uint64{"low": 1, "high": 1, "medium": 1}, counts); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if _, err := f.store.List(f.tenant, Filter{Cursor: "no cursor"}); !errors.Is(err, ErrCursor) {
		t.Error(err)
	}
}

// A cursor goes on at the same place whatever comes in meanwhile.
func TestCursorIsStable(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	for i := range 6 { // three share each time of creation
		if i == 3 {
			f.clock.advance(time.Second)
		}
		f.put(made(fmt.Sprint(i), "v", Final, 1))
	}
	first, err := f.store.List(f.tenant, Filter{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	f.clock.advance(time.Second)
	f.put(made("new", "v", Final, 1), made("2", "v2", Final, 2))
	if _, err := f.store.Trim(f.tenant, time.Time{}, 6); err != nil { // removes 0
		t.Fatal(err)
	}
	if got := f.list(Filter{Cursor: first.Next, Limit: 2}); !slices.Equal(got, []string{"3", "2", "1"}) {
		t.Errorf("went on with %q", got)
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	for i := range 5 {
		f.put(made(fmt.Sprint(i), "v", Final, 1))
		f.clock.advance(time.Hour)
	}
	f.put(made("0", "v2", Closed, 2)) // changed last
	for _, c := range []struct {
		olderThan time.Time
		count     int
		removed   int
		left      []string
	}{
		{time.Time{}, 0, 0, []string{"4", "3", "2", "1", "0"}},
		{start.Add(2 * time.Hour), 0, 1, []string{"4", "3", "2", "0"}},
		{time.Time{}, 3, 1, []string{"4", "3", "2"}},
		{start.Add(100 * time.Hour), 0, 3, nil},
	} {
		n, err := f.store.Trim(f.tenant, c.olderThan, c.count)
		if err != nil || n != c.removed {
			t.Errorf("removed %d, want %d: %v", n, c.removed, err)
		}
		if got := f.list(Filter{}); !slices.Equal(got, c.left) {
			t.Errorf("left %q, want %q", got, c.left)
		}
		f.check()
	}
	if n, err := f.store.Latest(f.tenant); n != 6 || err != nil {
		t.Errorf("the feed went back to %d, %v", n, err)
	}
}

func TestListStopsAtItsBounds(t *testing.T) {
	t.Parallel()
	f := fresh(t)
	var list []*Detection
	for i := range LimitMax + 5 {
		list = append(list, made(fmt.Sprintf("%05d", i), "v", Final, 1))
	}
	f.put(list...)
	for limit, want := range map[int]int{0: LimitDefault, -1: LimitDefault, 7: 7, LimitMax + 1: LimitMax} {
		p, err := f.store.List(f.tenant, Filter{Limit: limit})
		if err != nil || len(p.Detections) != want || p.Next == "" {
			t.Errorf("limit %d: %d, next %q, %v", limit, len(p.Detections), p.Next, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := f.store.Feed(f.tenant, 0)
	for n := 0; n < len(list); {
		got, err := r.Next(ctx)
		if err != nil || len(got) > feedCountMax {
			t.Fatal(len(got), err)
		}
		n += len(got)
	}
}
