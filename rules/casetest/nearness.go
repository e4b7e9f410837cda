package casetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/detect"
)

// nearness is how close an event came to a rule, and what stopped it.
type nearness struct {
	view  string
	holds int // operands that hold on the way to the one that does not
	cause string
}

func (n *nearness) better(than *nearness) bool { return n.holds > than.holds }

// newNearness finds the first part of a condition, in the rule's order, that
// stopped it.
func newNearness(t *detect.Trace, view string) *nearness {
	n := &nearness{view: view}
	n.cause = n.walk(t, false, "")
	return n
}

// walk follows what decided to the item beneath. excluded says that the nodes
// below hold although they should not; in is the selection that they stand in.
func (n *nearness) walk(t *detect.Trace, excluded bool, in string) string {
	switch t.Op {
	case "selection":
		return n.walk(t.X[0], excluded, t.Name)
	case "not":
		return n.walk(t.X[0], !excluded, in)
	case "item":
		return itemCause(t, excluded, in)
	}
	// What must be looked into is what holds where it should not, or does not
	// where it should.
	for _, x := range t.X {
		if x.Holds != excluded {
			if !excluded {
				n.holds++
			}
			continue
		}
		return n.walk(x, excluded, in)
	}
	return "the condition as a whole"
}

const valuesShown = 3

func itemCause(t *detect.Trace, excluded bool, in string) string {
	name := t.Name
	if name == "" {
		name = "keywords"
	}
	where := ""
	if in != "" {
		where = " of " + in
	}
	shown := make([]string, 0, valuesShown)
	for _, v := range t.Values[:min(len(t.Values), valuesShown)] {
		shown = append(shown, fmt.Sprintf("%.80q", v))
	}
	has := strings.Join(shown, ", ")
	switch {
	case excluded && t.Wanted != "":
		return fmt.Sprintf("the exception%s holds: %s is %s, which fits %q", where, name, has, t.Wanted)
	case excluded:
		return fmt.Sprintf("the exception%s holds: %s", where, name)
	case !t.Present:
		return fmt.Sprintf("%s%s: the event has no such field", name, where)
	case t.Wanted != "" && t.Item != nil && t.Item.All:
		return fmt.Sprintf("%s%s: %s lacks %q", name, where, has, t.Wanted)
	case len(t.Values) == 0:
		return fmt.Sprintf("%s%s: it is null in the event", name, where)
	case t.Item != nil && t.Item.Field == "":
		return fmt.Sprintf("%s%s: no value of the event fits", name, where)
	}
	return fmt.Sprintf("%s%s: %s fits none of the values asked for", name, where, has)
}

// whyNot says what stopped one event at the rule asked about.
func (o *offered) whyNot() string {
	switch {
	case len(o.faults) > 0:
		return "it cannot be read: " + o.faults[0]
	case len(o.packs) == 0:
		return "no pack knows what this event is"
	case !o.proves:
		return fmt.Sprintf("it is of pack %s, and none of its views is the rule's logsource; its views: %s", strings.Join(o.packs, ", "), joinOr(o.views, "none"))
	case o.near != nil:
		return o.near.cause + " (read as " + o.near.view + ")"
	}
	return "a condition holds, but not on a record that counts"
}

func joinOr(list []string, none string) string {
	if len(list) == 0 {
		return none
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}
