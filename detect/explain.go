package detect

import (
	"slices"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// Trace is how one node of a rule's condition came out on one record: the
// whole condition at the top, its operands below in the rule's own order.
type Trace struct {
	// Op is or, and, not, selection or item.
	Op string
	// Name is the selection's name, or the item's key with its modifiers.
	Name string
	// Holds is the node's result.
	Holds bool
	// Decisive marks the nodes that the result of the whole rests on: of an
	// AND that fails the first operand that fails, of an OR that holds the
	// first that holds, otherwise every operand.
	Decisive bool
	// Present says whether an item's field is in the record, null included.
	Present bool
	// Values are the field's values in the record, at most ValuesMax.
	Values []string
	// Wanted is the value of the rule that decided an item: the first that
	// fits, or with `all` the first that does not; empty when none fits.
	Wanted string
	// Item is the item of an item node.
	Item *rule.Item
	// X are the operands.
	X []*Trace
}

// TraceValuesMax bounds the values that an explanation repeats of one field.
const TraceValuesMax = 20

// Explain evaluates one condition of a rule on the record bound to r, without
// index and without stopping early, and returns how each part came out.
// ruleIndex and view are indices as in [Match]; a view that does not prove the
// rule's logsource gives nil. It allocates: it is for people, not for events.
func (m *Matcher) Explain(r *event.Reader, ruleIndex, view, condition int) *Trace {
	m.begin(r)
	m.enter(view)
	if _, ok := slices.BinarySearch(m.prog.ruleIDs, int32(ruleIndex)); !ok {
		return nil
	}
	t := m.trace(m.engine.rules[ruleIndex].Conditions[condition])
	t.markDecisive()
	return t
}

func (m *Matcher) trace(x rule.Expr) *Trace {
	switch x := x.(type) {
	case *rule.And:
		t := &Trace{Op: "and", Holds: true, X: m.traces(x.X)}
		for _, k := range t.X {
			t.Holds = t.Holds && k.Holds
		}
		return t
	case *rule.Or:
		t := &Trace{Op: "or", X: m.traces(x.X)}
		for _, k := range t.X {
			t.Holds = t.Holds || k.Holds
		}
		return t
	case *rule.Not:
		k := m.trace(x.X)
		return &Trace{Op: "not", Holds: !k.Holds, X: []*Trace{k}}
	case *rule.Ref:
		k := m.trace(x.X)
		return &Trace{Op: "selection", Name: x.Name, Holds: k.Holds, X: []*Trace{k}}
	case *rule.Item:
		return m.traceItem(x)
	}
	panic("detect: unknown expression")
}

func (m *Matcher) traces(xs []rule.Expr) []*Trace {
	out := make([]*Trace, len(xs))
	for i, x := range xs {
		out[i] = m.trace(x)
	}
	return out
}

func (m *Matcher) traceItem(x *rule.Item) *Trace {
	slot := m.prog.slotOf(x.Field)
	t := &Trace{Op: "item", Name: x.Key, Item: x, Present: m.reader.Has(int(slot))}
	for _, v := range m.folded(int(slot)) {
		if len(t.Values) == TraceValuesMax {
			break
		}
		if v.none {
			t.Values = append(t.Values, "null")
		} else {
			t.Values = append(t.Values, string(v.raw))
		}
	}
	t.Holds = x.All
	for _, v := range x.Values {
		ok := m.valueHolds(v, slot, x.Field == "")
		if ok != x.All {
			t.Holds, t.Wanted = ok, v.String()
			break
		}
	}
	if x.Negate {
		t.Holds = !t.Holds
	}
	return t
}

func (m *Matcher) valueHolds(v rule.Value, slot int32, keyword bool) bool {
	if any, ok := v.(*rule.AnyOf); ok {
		return slices.ContainsFunc(any.X, func(w rule.Value) bool { return m.valueHolds(w, slot, keyword) })
	}
	p, _ := newPredicate(v, slot, keyword, m.prog.slotOf)
	return m.holds(&p)
}

// markDecisive marks t and what its result rests on.
func (t *Trace) markDecisive() {
	t.Decisive = true
	stopAt := t.Op == "or" && t.Holds || t.Op == "and" && !t.Holds
	for _, k := range t.X {
		if !stopAt {
			k.markDecisive()
		} else if k.Holds == t.Holds {
			k.markDecisive()
			return
		}
	}
}
