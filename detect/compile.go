package detect

import (
	"slices"
	"sync"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// Engine is a set of rules compiled for a set of views. It is immutable and
// safe for concurrent use; each goroutine matches with a [Matcher] of its own.
type Engine struct {
	rules    []*rule.Rule
	views    []event.View
	programs []*program
	unviewed []int
	plan     *event.Plan
}

// program is what one view does with a record: its rules over its predicates.
type program struct {
	view    *event.View
	ruleIDs []int32 // rules the view proves, ascending
	slots   map[string]int32
	leaves  int32 // slot of keywords, or -1

	// What follows is made by build, once, when the view first meets a record.
	once    sync.Once
	roots   []root // parallel to ruleIDs
	nodes   []node
	kids    []int32
	items   []*rule.Item
	preds   []predicate
	scans   []*scan
	always  []int32 // local rules without a witness
	watched watchers
}

// root is a rule's conditions: kids[first:last] are their nodes.
type root struct{ first, last int32 }

// nodeOp is the operator of a condition node.
type nodeOp uint8

const (
	opPred nodeOp = iota // a: predicate, b: item
	opAnd                // kids[a:b]
	opOr                 // kids[a:b]
	opNot                // a: node
)

type node struct {
	op   nodeOp
	a, b int32
}

// Compile prepares rules for views and interns their fields in plan; make the
// plan's readers afterwards. It cannot fail: rules were checked when they were
// parsed. Rules that wait for values are left out. The index of a view is built
// when the view first meets a record, or by [Engine.Prepare].
func Compile(rules []*rule.Rule, views []event.View, plan *event.Plan) *Engine {
	e := &Engine{rules: rules, views: views, plan: plan}
	seen := make([]bool, len(rules))
	for i := range views {
		p := &program{view: &views[i], slots: map[string]int32{}, leaves: -1}
		for id, r := range rules {
			if len(r.NeedsValues) > 0 || !Proves(p.view, r) {
				continue
			}
			seen[id] = true
			p.ruleIDs = append(p.ruleIDs, int32(id))
			for _, c := range r.Conditions {
				p.intern(plan, c)
			}
		}
		e.programs = append(e.programs, p)
	}
	for id, ok := range seen {
		if !ok {
			e.unviewed = append(e.unviewed, id)
		}
	}
	return e
}

// Prepare builds the index of every view now, instead of at its first record.
func (e *Engine) Prepare() {
	for _, p := range e.programs {
		e.ready(p)
	}
}

// ready builds a program the first time it is called for it.
func (e *Engine) ready(p *program) { p.once.Do(func() { p.build(e.rules) }) }

// Rules returns the rules as given to [Compile].
func (e *Engine) Rules() []*rule.Rule { return e.rules }

// Views returns the views as given to [Compile].
func (e *Engine) Views() []event.View { return e.views }

// Unviewed returns the indices of the rules that cannot match, since no view
// proves their logsource or a placeholder has no values.
func (e *Engine) Unviewed() []int { return e.unviewed }

// Proves reports whether v is a view that r asks for: each attribute that the
// rule names equals the view's, and it names at least one [D47].
func Proves(v *event.View, r *rule.Rule) bool {
	if v.Any {
		return true
	}
	want := &r.Logsource
	if want.Product == "" && want.Category == "" && want.Service == "" {
		return false
	}
	fits := func(l event.Logsource) bool {
		return (want.Product == "" || want.Product == l.Product) &&
			(want.Category == "" || want.Category == l.Category) &&
			(want.Service == "" || want.Service == l.Service)
	}
	return fits(event.Logsource{Product: v.Product, Category: v.Category, Service: v.Service}) ||
		slices.ContainsFunc(v.Aliases, fits)
}

// intern gives every field of an expression its slot.
func (p *program) intern(plan *event.Plan, x rule.Expr) {
	switch x := x.(type) {
	case *rule.And:
		for _, s := range x.X {
			p.intern(plan, s)
		}
	case *rule.Or:
		for _, s := range x.X {
			p.intern(plan, s)
		}
	case *rule.Not:
		p.intern(plan, x.X)
	case *rule.Ref:
		p.intern(plan, x.X)
	case *rule.Item:
		if x.Field == "" {
			if p.leaves < 0 {
				p.leaves = int32(plan.Leaves(p.view.Leaves))
			}
		} else {
			p.internField(plan, x.Field)
		}
		for _, v := range x.Values {
			if ref, ok := v.(*rule.FieldRef); ok {
				p.internField(plan, ref.Field)
			}
		}
	}
}

func (p *program) internField(plan *event.Plan, field string) {
	if _, ok := p.slots[field]; !ok {
		p.slots[field] = int32(plan.Slot(p.view.Lookup(field)))
	}
}

func (p *program) slotOf(field string) int32 {
	if field == "" {
		return p.leaves
	}
	return p.slots[field]
}

// builder holds what is needed only while a program is built.
type builder struct {
	*program
	byKey map[predKey]int32
	uses  []int32 // by predicate: how many items ask it
}

func (p *program) build(rules []*rule.Rule) {
	b := &builder{program: p, byKey: map[predKey]int32{}}
	for _, id := range p.ruleIDs {
		var conds []int32
		for _, c := range rules[id].Conditions {
			conds = append(conds, b.expr(c))
		}
		first := len(p.kids)
		p.kids = append(p.kids, conds...)
		p.roots = append(p.roots, root{int32(first), int32(len(p.kids))})
	}
	b.orderOperands()
	b.chooseWitnesses()
}

func (b *builder) addNode(n node) int32 {
	b.nodes = append(b.nodes, n)
	return int32(len(b.nodes) - 1)
}

// group makes an AND or OR node, or hands back its only operand.
func (b *builder) group(op nodeOp, kids []int32) int32 {
	if len(kids) == 1 {
		return kids[0]
	}
	first := len(b.kids)
	b.kids = append(b.kids, kids...)
	return b.addNode(node{op: op, a: int32(first), b: int32(len(b.kids))})
}

func (b *builder) expr(x rule.Expr) int32 {
	switch x := x.(type) {
	case *rule.And:
		return b.group(opAnd, b.exprs(x.X))
	case *rule.Or:
		return b.group(opOr, b.exprs(x.X))
	case *rule.Not:
		return b.addNode(node{op: opNot, a: b.expr(x.X)})
	case *rule.Ref:
		return b.expr(x.X)
	case *rule.Item:
		return b.item(x)
	}
	panic("detect: unknown expression")
}

func (b *builder) exprs(xs []rule.Expr) []int32 {
	out := make([]int32, len(xs))
	for i, x := range xs {
		out[i] = b.expr(x)
	}
	return out
}

func (b *builder) item(x *rule.Item) int32 {
	b.items = append(b.items, x)
	item := int32(len(b.items) - 1)
	slot := b.slotOf(x.Field)
	var kids []int32
	for _, v := range x.Values {
		any, ok := v.(*rule.AnyOf)
		if !ok {
			kids = append(kids, b.value(x, item, slot, v))
			continue
		}
		kids = append(kids, b.group(opOr, b.alternatives(x, item, slot, any.X)))
	}
	op := opOr
	if x.All {
		op = opAnd
	}
	n := b.group(op, kids)
	if x.Negate {
		n = b.addNode(node{op: opNot, a: n})
	}
	return n
}

func (b *builder) value(x *rule.Item, item, slot int32, v rule.Value) int32 {
	p, key := newPredicate(v, slot, x.Field == "", b.slotOf)
	return b.predicate(p, key, item)
}

// predicate makes a node that asks p, which all who ask it share.
func (b *builder) predicate(p predicate, key predKey, item int32) int32 {
	id, ok := b.byKey[key]
	if !ok {
		id = int32(len(b.preds))
		b.preds = append(b.preds, p)
		b.uses = append(b.uses, 0)
		b.byKey[key] = id
	}
	b.uses[id]++
	return b.addNode(node{op: opPred, a: id, b: item})
}

// orderOperands puts cheap operands first: the result of AND and OR does not
// depend on the order, the time does.
func (b *builder) orderOperands() {
	costs := make([]uint8, len(b.nodes))
	for i := range b.nodes { // operands stand before their operator
		n := &b.nodes[i]
		switch n.op {
		case opPred:
			costs[i] = predCost(&b.preds[n.a])
		case opNot:
			costs[i] = costs[n.a]
		default:
			kids := b.kids[n.a:n.b]
			slices.SortStableFunc(kids, func(x, y int32) int { return int(costs[x]) - int(costs[y]) })
			sum := 0
			for _, k := range kids {
				sum += int(costs[k])
			}
			costs[i] = uint8(min(sum, 255))
		}
	}
}

// predCost estimates the time of one evaluation, in units of comparing a
// prefix.
func predCost(p *predicate) uint8 {
	switch p.kind {
	case predEquals, predPrefix, predSuffix, predText, predNumber, predBool, predNull, predExists:
		return 1
	case predContains:
		return 4
	case predGlob, predCompare, predFieldRef:
		return 8
	case predRegexp:
		return 100
	}
	return 20
}
