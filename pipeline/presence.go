package pipeline

import (
	"cmp"
	"maps"
	"slices"

	"github.com/tiercel-io/tiercel/detect"
	"github.com/tiercel-io/tiercel/rule"
)

// watchedFieldsMax bounds the fields of a view whose presence is watched: those
// that most rules ask for, so that a sender that renames one is noticed.
const watchedFieldsMax = 8

// watchedField is a field of a view that rules ask for.
type watchedField struct {
	name string
	slot int
}

// watchFields finds the fields of each view that most of its rules ask for.
func (s *Sigma) watchFields(rules []*rule.Rule) {
	used := make([]map[string]bool, len(rules))
	for i, r := range rules {
		used[i] = make(map[string]bool)
		for _, c := range r.Conditions {
			fieldsOf(c, used[i])
		}
	}
	s.watched = make([][]watchedField, len(s.views))
	for v := range s.views {
		asked := map[string]int{}
		for i, r := range rules {
			if detect.Proves(&s.views[v], r) {
				for field := range used[i] {
					asked[field]++
				}
			}
		}
		names := slices.SortedFunc(maps.Keys(asked), func(a, b string) int {
			return cmp.Or(cmp.Compare(asked[b], asked[a]), cmp.Compare(a, b))
		})
		for _, name := range names[:min(len(names), watchedFieldsMax)] {
			s.watched[v] = append(s.watched[v], watchedField{name, s.plan.Slot(s.views[v].Lookup(name))})
		}
	}
}

// fieldsOf adds the fields that an expression asks for.
func fieldsOf(x rule.Expr, to map[string]bool) {
	switch x := x.(type) {
	case *rule.And:
		for _, c := range x.X {
			fieldsOf(c, to)
		}
	case *rule.Or:
		for _, c := range x.X {
			fieldsOf(c, to)
		}
	case *rule.Not:
		fieldsOf(x.X, to)
	case *rule.Ref:
		fieldsOf(x.X, to)
	case *rule.Item:
		if x.Field != "" {
			to[x.Field] = true
		}
	}
}

// Presence tells for the record last routed, for each of its views, which of the
// fields that most rules ask for it has.
func (e *SigmaEvaluator) Presence(tell func(view, field string, present bool)) {
	for _, v := range e.views {
		for _, f := range e.sigma.watched[v] {
			tell(e.sigma.views[v].Name, f.name, e.reader.Has(f.slot))
		}
	}
}

// Fed returns the rules, by index, that records of the named views can meet.
func (s *Sigma) Fed(views map[string]bool) []int {
	var out []int
	for i, r := range s.Rules() {
		for v := range s.views {
			if views[s.views[v].Name] && detect.Proves(&s.views[v], r) {
				out = append(out, i)
				break
			}
		}
	}
	return out
}

// ViewsOf returns the names of the views that records of a pack can have; none of
// a pack that is not there.
func (s *Sigma) ViewsOf(pack string) []string {
	var names []string
	for _, p := range s.packs {
		if p.Name != pack {
			continue
		}
		for _, v := range p.Views() {
			names = append(names, v.Name)
		}
	}
	return names
}

// ViewName is the name of a view by its index.
func (s *Sigma) ViewName(i int) string { return s.views[i].Name }

// Asks reports whether a rule, by index, asks for a field.
func (s *Sigma) Asks(rule int, field string) bool {
	used := make(map[string]bool)
	for _, c := range s.Rules()[rule].Conditions {
		fieldsOf(c, used)
	}
	return used[field]
}
