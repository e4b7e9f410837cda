package rule

import (
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
)

// ConditionNodesMax bounds the nodes of a rule's conditions once selectors are
// expanded; nodes below a selection do not count. The largest public rule has
// under 100.
const ConditionNodesMax = 20_000

const (
	// conditionsMax bounds the conditions of one rule.
	conditionsMax = 256
	// comparisonsMax bounds the work of selectors: names times selectors.
	comparisonsMax = 1_000_000
)

// filterDepth is the room that the filters of a rule take above its condition.
const filterDepth = 2

// detection is a compiled detection or filter section.
type detection struct {
	conditions []Expr
	// negated is true when some condition holds a not.
	negated bool
}

// detection compiles the selections and conditions of a section; skip names
// its keys that are neither. singular forbids a list of conditions.
func (b *builder) detection(n *doctree.Node, skip string, singular bool) (d detection) {
	r := resolver{b: b, refs: map[string]*Ref{}, used: map[string]bool{}}
	conditionNode, selections := (*doctree.Node)(nil), 0
	for _, p := range n.Pairs {
		name := p.Key.Value
		switch {
		case name == "condition":
			conditionNode = p.Value
			continue
		case name == skip:
			continue
		case name == "timeframe":
			b.report(p.Key, CodeTimeframeLegacy, "remove it and write a correlation document with a timespan that names this rule", "timeframe is of Sigma before 2.0")
			continue
		case !isName(name):
			// Patterns select such names, and rules in the field rely on it.
			hint := "use letters, digits, underscores and hyphens"
			if strings.Contains(name, "|") {
				hint = "modifiers belong to the fields of a selection, not to its name"
			}
			b.report(p.Key, CodeIdentifierInvalid, hint, "the selection's name %s cannot be written in a condition", quote(name))
		case isReserved(name):
			b.report(p.Key, CodeIdentifierReserved, "rename it", "%s is a word of the condition language and cannot name a selection", quote(name))
			continue
		}
		selections++
		ref := &Ref{Name: name, X: b.selection(name, p.Value)}
		r.order = append(r.order, name)
		r.refs[name] = ref
		r.keys = append(r.keys, p.Key)
	}
	if conditionNode == nil {
		b.report(n, CodeConditionMissing, "add condition: and the name of a selection", "there is no condition")
		return d
	}
	if selections == 0 && !b.failed() {
		b.report(n, CodeDetectionInvalid, "add a selection", "there is no selection beside the condition")
		return d
	}
	texts := []*doctree.Node{conditionNode}
	if conditionNode.Kind == doctree.Sequence && !singular {
		texts = conditionNode.Items
		if len(texts) == 0 {
			b.report(conditionNode, CodeConditionMissing, "add a condition", "the list of conditions is empty")
		}
		if len(texts) > conditionsMax {
			b.report(conditionNode, CodeConditionSize, "split the rule", "the rule has more than %d conditions", conditionsMax)
			return d
		}
	}
	for _, t := range texts {
		if x := r.condition(t); x != nil {
			d.conditions = append(d.conditions, x)
		}
	}
	d.negated = r.negated
	if b.failed() {
		return d
	}
	for i, name := range r.order {
		if !r.used[name] {
			b.report(r.keys[i], CodeIdentifierUnused, "use it in the condition, or remove it", "the selection %s is not used by the condition", quote(name))
		}
	}
	heights := map[*Ref]int{}
	for _, x := range d.conditions {
		if depth(x, heights) > ExprDepthMax-filterDepth {
			b.report(conditionNode, CodeConditionSize, "split the rule", "the condition and its selections are nested more than %d deep", ExprDepthMax-filterDepth)
			break
		}
	}
	return d
}

// resolver replaces the names of a condition by what they stand for.
type resolver struct {
	b     *builder
	order []string
	keys  []*doctree.Node
	refs  map[string]*Ref
	used  map[string]bool
	nodes int
	// compared counts names that selectors were compared with.
	compared int
	negated  bool
}

func (r *resolver) condition(n *doctree.Node) Expr {
	if n.Kind != doctree.Scalar || n.Type == doctree.Null {
		r.b.report(n, CodeConditionSyntax, "write it as text", "a condition is %s", n.Describe())
		return nil
	}
	parsed, lints, err := parseCondition(n.Value)
	for _, l := range lints {
		r.b.reportFault(n, l)
	}
	if err == nil {
		var x Expr
		if x, err = r.resolve(parsed); err == nil {
			return x
		}
	}
	r.b.reportFault(n, err)
	return nil
}

func (r *resolver) count(n int) *fault {
	if r.nodes += n; r.nodes > ConditionNodesMax {
		return faultf(CodeConditionSize, "split the rule", "the condition has more than %d parts once its patterns are written out", ConditionNodesMax)
	}
	return nil
}

func (r *resolver) resolve(c cond) (Expr, *fault) {
	if err := r.count(1); err != nil {
		return nil, err
	}
	switch c := c.(type) {
	case condAnd:
		x, err := r.all(c.x)
		return &And{X: x}, err
	case condOr:
		x, err := r.all(c.x)
		return &Or{X: x}, err
	case condNot:
		r.negated = true
		x, err := r.resolve(c.x)
		return &Not{X: x}, err
	case condName:
		ref, ok := r.refs[c.name]
		if !ok {
			hint := "add it to the detection"
			if s := suggest(c.name, r.order); s != "" {
				hint = s
			}
			return nil, faultf(CodeConditionIdentifier, hint, "the condition names %s, but there is no such selection", quote(c.name))
		}
		r.used[c.name] = true
		return ref, nil
	case condOf:
		return r.selector(c)
	}
	return nil, nil
}

func (r *resolver) all(cs []cond) ([]Expr, *fault) {
	out := make([]Expr, len(cs))
	for i, c := range cs {
		x, err := r.resolve(c)
		if err != nil {
			return nil, err
		}
		out[i] = x
	}
	return out, nil
}

// selector expands a pattern to the selections it fits, in the order of the
// rule. Names that begin with an underscore are private: only a pattern that
// begins so fits them.
func (r *resolver) selector(c condOf) (Expr, *fault) {
	pattern := c.pattern
	if pattern == "them" {
		pattern = "*"
	}
	private := strings.HasPrefix(pattern, "_")
	if r.compared += len(r.order); r.compared > comparisonsMax {
		return nil, faultf(CodeConditionSize, "split the rule", "the condition compares patterns with more than %d names of selections", comparisonsMax)
	}
	var x []Expr
	for _, name := range r.order {
		if strings.HasPrefix(name, "_") && !private || !globMatch(pattern, name) {
			continue
		}
		r.used[name] = true
		x = append(x, r.refs[name])
	}
	if err := r.count(len(x)); err != nil {
		return nil, err
	}
	switch {
	case len(x) == 0:
		hint := "correct it, or remove that part of the condition"
		if s := suggest(strings.Trim(c.pattern, "*_"), r.order); s != "" {
			hint = s
		}
		return nil, faultf(CodeConditionSelector, hint, "no selection fits %s", quote(c.pattern))
	case len(x) == 1:
		return x[0], nil
	case c.all:
		return &And{X: x}, nil
	}
	return &Or{X: x}, nil
}

// globMatch matches a name with a pattern whose only wildcard is *. It takes
// time proportional to the product of the lengths at worst.
func globMatch(pattern, name string) bool {
	p, n, star, resume := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			resume++
			p, n = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// depth is the height of an expression. heights remembers that of selections,
// which a condition may name often.
func depth(x Expr, heights map[*Ref]int) int {
	d := 0
	switch x := x.(type) {
	case *And:
		for _, y := range x.X {
			d = max(d, depth(y, heights))
		}
	case *Or:
		for _, y := range x.X {
			d = max(d, depth(y, heights))
		}
	case *Not:
		d = depth(x.X, heights)
	case *Ref:
		if h, ok := heights[x]; ok {
			return h
		}
		if x.X != nil {
			d = depth(x.X, heights)
		}
		heights[x] = d + 1
	}
	return d + 1
}
