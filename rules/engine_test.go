package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/auditd"
	formatjson "github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/format/syslog"
	"github.com/tiercel-io/tiercel/format/text"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

// bench runs events through the embedded packs and an engine of all shipped
// rules, as the product does.
type bench struct {
	packs   *pack.Set
	engine  *detect.Engine
	matcher *detect.Matcher
	session *pack.Session
	reader  *event.Reader
	parsers map[string]format.Format
}

func newBench(t *testing.T) *bench {
	t.Helper()
	set, err := pack.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	loaded := content(t) // correlations have their own test, in package casetest
	list := make([]*rule.Rule, 0, len(loaded))
	for _, r := range loaded {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *rule.Rule) int { return strings.Compare(a.ID, b.ID) })
	plan := event.NewPlan(pack.Funcs())
	router := set.Router(plan, pack.RouterOptions{Reference: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)})
	engine := detect.Compile(list, set.Views(), plan)
	return &bench{
		packs: set, engine: engine, matcher: engine.Matcher(), session: router.Session(), reader: plan.Reader(),
		parsers: map[string]format.Format{"json": formatjson.Format(), "auditd": auditd.Format(), "syslog": syslog.Format(), "text": text.Format()},
	}
}

// seen is what became of one event.
type seen struct {
	rules []string // ids, each once
	views []int    // indices into the engine's views
}

// run puts one event through.
func (b *bench) run(t *testing.T, e rulecase.Event) seen {
	t.Helper()
	name, data := "json", e.JSON
	if e.Format != "" {
		name, data = e.Format, []byte(e.Text)
	}
	f := b.parsers[name]
	var out seen
	o := format.Options{Reference: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	splitter, parser := f.NewSplitter(strings.NewReader(string(data)), o), f.NewParser(o)
	for {
		var block format.Block
		err := splitter.Next(&block)
		for _, p := range block.Problems {
			t.Errorf("%v", p)
		}
		for _, frame := range block.Frames {
			if err := parser.Parse(&block, frame, func(rec *event.Record) { b.match(rec, &out) }); err != nil {
				t.Errorf("%v", err)
			}
		}
		if err != nil {
			return out
		}
	}
}

// carriers says by what an event of a carrier is known, and which pack reads
// that carrier. A case waits until its pack is there and runs from then on.
var carriers = []struct{ mark, pack string }{
	{`"Linux-Sysmon"`, "sysmon-linux"},
	{`"module":"endpoint"`, "ecs-endpoint"},
	{`"mach_time":`, "macos-eslogger"},
	{`msg=audit(`, "linux-auditd"},
}

// missing returns the pack that the case still lacks to be run, if any.
func (b *bench) missing(c rulecase.Case) string {
	for _, e := range c.Events {
		for _, carrier := range carriers {
			if strings.Contains(string(e.JSON)+e.Text, carrier.mark) && b.packs.Pack(carrier.pack) == nil {
				return carrier.pack
			}
		}
	}
	return ""
}

func (b *bench) match(rec *event.Record, out *seen) {
	views, _ := b.session.Route(rec, b.reader)
	out.views = append(out.views, views...)
	for _, m := range b.matcher.Match(b.reader, views) {
		if id := b.engine.Rules()[m.Rule].ID; !slices.Contains(out.rules, id) {
			out.rules = append(out.rules, id)
		}
	}
}

// Every case of every rule comes out as written, through packs and engine, and
// enough near misses reach the rule: an event that is never offered to it shows
// nothing.
func TestCases(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	all := suites(t)
	for i, r := range b.engine.Rules() {
		if slices.Contains(b.engine.Unviewed(), i) {
			t.Logf("no pack has a view for %+v: the cases of %q wait", r.Logsource, r.Title)
			continue
		}
		offered, waits := 0, false
		for _, c := range all[r.ID].Cases {
			if len(c.Events) == 0 {
				continue // steps and scenarios are run by package casetest
			}
			if what := b.missing(c); what != "" {
				t.Logf("%q, case %q waits for the pack %s", r.Title, c.Name, what)
				waits = true
				continue
			}
			got := 0
			var where []string
			for _, e := range c.Events {
				s := b.run(t, e)
				if slices.Contains(s.rules, r.ID) {
					got++
				}
				views := make([]string, 0, len(s.views))
				proves := false
				for _, v := range s.views {
					view := &b.engine.Views()[v]
					views = append(views, view.Name)
					proves = proves || detect.Proves(view, r)
				}
				where = append(where, strings.Join(views, " "))
				if *c.Matches == 0 && proves {
					offered++
				}
			}
			if got != *c.Matches {
				t.Errorf("%s %q, case %q: %d of %d events match, want %d; their views:\n\t%s",
					r.ID, r.Title, c.Name, got, len(c.Events), *c.Matches, strings.Join(where, "\n\t"))
			}
		}
		if offered < nearMissesMin && !waits {
			t.Errorf("%s %q: %d events of near misses reach the rule, want %d", r.ID, r.Title, offered, nearMissesMin)
		}
	}
}
