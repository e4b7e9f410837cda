// Package casetest runs the cases of rules (package rulecase) through packs,
// rules and correlations, as the product runs events, and says what came of
// them: whether a case holds, how expected and actual detections differ, and
// why a detection that was expected did not come.
//
// A [Bench] is compiled once for a set of rules and may be shared; each [Runner]
// belongs to one goroutine. Nothing here reads a clock or a file: times stand in
// the cases, content comes in as arguments, and the same case gives the same
// [Result] each time. Memory is bounded by the limits of package rulecase and by
// the budgets of package correlate.
package casetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/detect/correlate"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rules/rulecase"
)

// reference is the time that gives lines without a year theirs: a day after
// cases begin by default.
var reference = rulecase.StartDefault.Add(24 * time.Hour)

// Bench is rules and packs, compiled. It is immutable and safe for concurrent
// use.
type Bench struct {
	set     *rule.Set
	plan    *event.Plan
	router  *pack.Router
	engine  *detect.Engine
	formats map[string]format.Format
	needs   [][]string // by rule: fields that correlations ask for, each once
	// slots are those of needs by rule and view, for each field those to try
	// in order; nil for views that are not the rule's.
	slots [][][][]int
	index map[*rule.Rule]int
}

// New compiles the rules of set for the views of packs. formats must hold json
// and those that the cases name.
func New(set *rule.Set, packs *pack.Set, formats []format.Format) *Bench {
	b := &Bench{set: set, plan: event.NewPlan(pack.Funcs()), formats: map[string]format.Format{}, index: map[*rule.Rule]int{}}
	for _, f := range formats {
		b.formats[f.Name] = f
	}
	b.router = packs.Router(b.plan, pack.RouterOptions{Reference: reference})
	views := packs.Views()
	b.engine = detect.Compile(set.Rules, views, b.plan)
	stage2 := correlate.New(correlate.Config{
		Tenant: event.LocalTenant, Rules: set.Rules, Correlations: set.Correlations,
		Episode: correlate.DefaultEpisode, Alone: func(int) bool { return true }, // a case may ask for any of them
	})
	entities := map[string]map[string][]string{}
	for _, p := range packs.Packs() {
		entities[p.Name] = p.Entities
	}
	b.needs = make([][]string, len(set.Rules))
	b.slots = make([][][][]int, len(set.Rules))
	for i, r := range set.Rules {
		b.index[r] = i
		b.needs[i] = slices.Clone(stage2.Needs(i))
		b.slots[i] = make([][][]int, len(views))
		for v := range views {
			if len(b.needs[i]) == 0 || !detect.Proves(&views[v], r) {
				continue
			}
			for _, field := range b.needs[i] {
				names := []string{field}
				if kind, ok := strings.CutPrefix(field, "@"); ok {
					names = entities[views[v].Pack][kind]
				}
				var tried []int
				for _, name := range names {
					tried = append(tried, b.plan.Slot(views[v].Lookup(name)))
				}
				b.slots[i][v] = append(b.slots[i][v], tried)
			}
		}
	}
	return b
}

// With is the bench with other correlations over the same rules; set must hold
// the rules that the bench was made of. A correlation may read no field that
// none of the bench's own reads. Nothing is compiled again.
func (b *Bench) With(set *rule.Set) *Bench {
	c := *b
	c.set = set
	return &c
}

// Runner makes a runner. All runners of a bench give the same results.
func (b *Bench) Runner() *Runner {
	return &Runner{bench: b, session: b.router.Session(), reader: b.plan.Reader(), matcher: b.engine.Matcher()}
}

// Runner runs cases. It belongs to one goroutine.
type Runner struct {
	bench   *Bench
	session *pack.Session
	reader  *event.Reader
	matcher *detect.Matcher
}

// Result is what became of one case.
type Result struct {
	// Case is the case's name.
	Case string
	// Failures say what is not as the case wants it, each in a few lines; none
	// when the case holds.
	Failures []string
	// WhyNot says for each detection or match that was expected and did not
	// come what stopped it.
	WhyNot []string
	// Waits says why the case could not be run: no pack has a view for its
	// rule. Such a case neither holds nor fails.
	Waits string
}

// Failed reports whether the case does not hold.
func (r *Result) Failed() bool { return len(r.Failures) > 0 }

// Run runs the cases of a suite whose names filter accepts; nil accepts all.
// The error is for a suite about a rule that is not in the set.
func (r *Runner) Run(s *rulecase.Suite, filter func(name string) bool) ([]Result, error) {
	scope, err := r.bench.scope(s)
	if err != nil {
		return nil, err
	}
	var out []Result
	for i := range s.Cases {
		c := &s.Cases[i]
		if filter != nil && !filter(c.Name) {
			continue
		}
		switch {
		case c.Scenario != nil:
			out = append(out, r.generated(s, scope, c))
		case c.Steps != nil:
			out = append(out, r.steps(s, scope, c))
		default:
			out = append(out, r.matches(scope, c))
		}
	}
	return out, nil
}

// subject is what a name in a suite means: a rule, by index, or a correlation.
type subject struct {
	rule        int // -1 for a correlation
	correlation *rule.Correlation
	id, title   string
}

// subject finds a rule or correlation by id or name.
func (b *Bench) subject(name string) (subject, error) {
	for i, r := range b.set.Rules {
		if r.ID == name || r.Name == name && name != "" {
			return subject{i, nil, r.ID, r.Title}, nil
		}
	}
	for _, c := range b.set.Correlations {
		if c.ID == name || c.Name == name && name != "" {
			return subject{-1, c, c.ID, c.Title}, nil
		}
	}
	for _, d := range b.set.Disabled {
		if d.ID == name {
			return subject{}, fmt.Errorf("the rule %s is disabled (%s); enable it to run its cases", name, d.Reason)
		}
	}
	return subject{}, fmt.Errorf("no rule or correlation has the id or name %q; load it, or correct the cases", name)
}

// scope is what a suite is about.
type scope struct {
	main subject
	// watched are the subjects whose detections the suite speaks of, by the
	// names it uses; a case watches the main one and those it names itself.
	watched map[string]subject
	// correlations are those needed, each behind those it names, and silent
	// the rules that raise nothing of their own here.
	correlations []*rule.Correlation
	alone        map[int]bool
}

func (b *Bench) scope(s *rulecase.Suite) (*scope, error) {
	main, err := b.subject(s.Rule)
	if err != nil {
		return nil, err
	}
	sc := &scope{main: main, watched: map[string]subject{"": main, s.Rule: main}, alone: map[int]bool{}}
	for i := range s.Cases {
		c := &s.Cases[i]
		for name, line := range named(c) {
			if _, ok := sc.watched[name]; ok {
				continue
			}
			if sc.watched[name], err = b.subject(name); err != nil {
				return nil, fmt.Errorf("case %q, line %d: %w", c.Name, line, err)
			}
		}
	}
	wanted := map[*rule.Correlation]bool{}
	var want func(c *rule.Correlation)
	want = func(c *rule.Correlation) {
		if c == nil || wanted[c] {
			return
		}
		wanted[c] = true
		for _, r := range c.Rules {
			want(r.Correlation)
		}
	}
	for _, w := range sc.watched {
		want(w.correlation)
		if w.rule >= 0 {
			sc.alone[w.rule] = true
		}
	}
	for _, c := range b.set.Correlations {
		if wanted[c] {
			sc.correlations = append(sc.correlations, c)
		}
	}
	return sc, nil
}

// named are the names of rules that a case expects something of, with a line
// where each stands.
func named(c *rulecase.Case) map[string]int {
	out := map[string]int{}
	lists := []*rulecase.Expect{c.Expect}
	for j := range c.Steps {
		lists = append(lists, c.Steps[j].Expect)
	}
	for _, l := range lists {
		if l != nil {
			for _, d := range l.Detections {
				out[d.Rule] = d.Line
			}
		}
	}
	return out
}

// Views returns the views that each event of a case reaches, and whether one of
// them is a view of the suite's rule, in order of the events. It is for whoever
// asks if a near miss is near.
func (r *Runner) Views(s *rulecase.Suite, c *rulecase.Case) (names [][]string, proves []bool, err error) {
	sc, err := r.bench.scope(s)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range c.Events {
		o := r.offer(e, sc.main.rule)
		names, proves = append(names, o.views), append(proves, o.proves)
	}
	return names, proves, nil
}
