package ruleset

import (
	"fmt"

	"github.com/tiercel-io/tiercel/rule"
)

// Standing is what an update does to an override.
type Standing uint8

// The standings.
const (
	// Intact: it fits the same rules, and their logic is the same.
	Intact Standing = iota
	// Reconsider: it still fits, but not to what it was written for: the logic
	// of a rule is another, a rule has been retired, or a pattern fits other
	// rules.
	Reconsider
	// Orphaned: it fits no rule any more.
	Orphaned
)

// String names the standing as it is shown.
func (s Standing) String() string { return [...]string{"intact", "changed", "orphaned"}[s] }

// Finding is what an update does to one override.
type Finding struct {
	Override *Override
	Standing Standing
	// Rules is how many documents it fits after the update.
	Rules int
	// Reasons say why it is not intact.
	Reasons []string
	// Successors are what may take the place of the rules that are gone.
	Successors []Successor
}

// reasonsMax bounds the reasons that are written out of one override.
const reasonsMax = 10

// Review says what turning old into new does to each override, in their order.
// Tenants make no difference to it.
func Review(o *Overrides, old, new []*rule.Document) []Finding {
	before, after := infos(old), infos(new)
	was, is := byID(before), byID(after)
	replaced := successors(after)
	out := make([]Finding, 0, len(o.Entries))
	for i := range o.Entries {
		e := &o.Entries[i]
		out = append(out, review(e, e.matches(before), e.matches(after), was, is, replaced))
	}
	return out
}

// matches returns the documents that an override fits, each id once.
func (o *Override) matches(docs []rule.Info) []*rule.Info {
	var out []*rule.Info
	seen := map[string]bool{}
	for i := range docs {
		d := &docs[i]
		if (d.Kind != rule.KindFilter || o.By == ByID || o.By == ByName) && o.fits(d) && !seen[d.ID] {
			seen[d.ID] = true
			out = append(out, d)
		}
	}
	return out
}

func review(e *Override, fitted, fits []*rule.Info, was, is map[string]*rule.Info, replaced map[string][]Successor) Finding {
	f := Finding{Override: e, Rules: len(fits)}
	say := func(format string, args ...any) { f.Reasons = append(f.Reasons, fmt.Sprintf(format, args...)) }
	stays, stayed := idsOf(fits), idsOf(fitted)
	for _, o := range fitted {
		n := is[o.ID]
		switch {
		case n == nil:
			say("%q is gone (%s)", o.Title, o.ID)
			f.Successors = append(f.Successors, replaced[o.ID]...)
		case !stays[o.ID]:
			say("%q is not found by it any more (%s)", o.Title, o.ID)
			f.Successors = append(f.Successors, Successor{n.ID, n.Title, "same id"})
		case n.SemanticHash != o.SemanticHash:
			say("the logic of %q changed (%s)", n.Title, n.ID)
		case retired(n) && !retired(o):
			say("the status of %q is %s now (%s)", n.Title, n.Status, n.ID)
			f.Successors = append(f.Successors, replaced[o.ID]...)
		}
	}
	for _, n := range fits {
		if !stayed[n.ID] && len(fitted) > 0 {
			word := "fits it since this update"
			if was[n.ID] == nil {
				word = "is new"
			}
			say("%q %s (%s)", n.Title, word, n.ID)
		}
	}
	switch {
	case len(fits) == 0:
		f.Standing = Orphaned
		if len(fitted) == 0 {
			say("it fitted no rule before, either")
			if e.By == ByID {
				f.Successors = append(f.Successors, replaced[e.Pattern]...)
			}
		}
	case len(f.Reasons) > 0:
		f.Standing = Reconsider
	}
	if more := len(f.Reasons) - reasonsMax; more > 0 {
		f.Reasons = append(f.Reasons[:reasonsMax], fmt.Sprintf("and %d more", more))
	}
	return f
}

func idsOf(list []*rule.Info) map[string]bool {
	out := make(map[string]bool, len(list))
	for _, i := range list {
		out[i.ID] = true
	}
	return out
}

func retired(i *rule.Info) bool { return i.Status == "deprecated" || i.Status == "unsupported" }
