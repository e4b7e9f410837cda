package detect

import (
	"bytes"
	"net/netip"
	"regexp"
	"strings"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/rule"
)

// predKind says how a predicate compares.
type predKind uint8

const (
	predEquals   predKind = iota // text equals lit
	predPrefix                   // text begins with lit
	predSuffix                   // text ends with lit
	predContains                 // text contains lit
	predText                     // any value that is not null
	predGlob                     // text fits a pattern
	predNumber                   // number or its spelling
	predBool                     // true or false, or its spelling
	predNull                     // absent, null or empty array
	predExists                   // present, null included
	predRegexp                   // pattern found in text
	predCIDR                     // address in network
	predCompare                  // ordering of numbers
	predTimePart                 // part of a timestamp
	predFieldRef                 // comparison with another field
	predSet                      // text fits one of many literals
	predNetworks                 // address in one of many networks
)

// predicate is one question about one slot. Equal questions of all rules of a
// view are one predicate.
type predicate struct {
	kind  predKind
	cased bool
	// indexed says that the scan of the slot alone decides the predicate: it
	// is true exactly when the scan has found it.
	indexed bool
	slot    int32
	other   int32  // slot of the other field of a predFieldRef
	lit     string // folded unless cased; of a predNumber its canonical spelling, of a predRegexp what it requires
	arg     any    // *glob, *expression, netip.Prefix, *valueSet, networkSet or the rule.Value
}

// expression is a regular expression behind its prefilter.
type expression struct {
	re *regexp.Regexp
	prefilter
	// long is the n of a pattern that is no more than .{n,}, else -1.
	long int
}

func newExpression(re *regexp.Regexp) *expression {
	x := &expression{re: re, prefilter: newPrefilter(re.String()), long: -1}
	if n, ok := longLine(re.String()); ok {
		x.long = n
	}
	return x
}

// matches reports whether the expression is found in a text, given folded and
// as it stands.
func (x *expression) matches(folded, raw []byte) bool {
	switch {
	case !x.admits(folded, raw):
		return false
	case x.long >= 0:
		return hasLongLine(raw, x.long)
	}
	return x.re.Match(raw)
}

// predKey identifies a predicate within a view.
type predKey struct {
	kind  predKind
	cased bool
	slot  int32
	text  string
}

// newPredicate makes the predicate for value v on slot. keyword makes text
// match anywhere in the value. slotOf interns a further field.
func newPredicate(v rule.Value, slot int32, keyword bool, slotOf func(field string) int32) (predicate, predKey) {
	p := predicate{slot: slot}
	text := v.String()
	switch v := v.(type) {
	case *rule.Text:
		p.cased = v.Cased
		parts := v.Parts
		if keyword {
			parts = unanchored(parts)
		}
		g := newGlob(parts, v.Cased)
		lit, ok := g.literal()
		switch {
		case len(g.segments) == 0 && !(g.anchorStart && g.anchorEnd):
			p.kind = predText
		case !ok:
			p.kind, p.arg = predGlob, g
			lit = g.key()
		case g.anchorStart && g.anchorEnd:
			p.kind = predEquals
		case g.anchorStart:
			p.kind = predPrefix
		case g.anchorEnd:
			p.kind = predSuffix
		default:
			p.kind = predContains
		}
		p.lit, text = lit, lit
	case *rule.NumberValue:
		if keyword {
			return newPredicate(&rule.Text{Parts: []rule.Part{{Kind: rule.Literal, Lit: v.Source}}, Source: v.Source}, slot, true, slotOf)
		}
		p.kind, p.lit, p.arg = predNumber, v.Canonical, v
		text = v.Canonical + "\x00" + v.Source
	case *rule.Bool:
		if keyword {
			return newPredicate(&rule.Text{Parts: []rule.Part{{Kind: rule.Literal, Lit: v.String()}}, Source: v.String()}, slot, true, slotOf)
		}
		p.kind, p.lit, p.arg = predBool, event.FoldString(v.String()), v
	case *rule.NullValue:
		p.kind = predNull
	case *rule.Exists:
		p.kind, p.arg = predExists, v
	case *rule.Regexp:
		text = v.RE.String()
		x := newExpression(v.RE)
		p.kind, p.arg, p.lit = predRegexp, x, x.longest()
	case *rule.CIDR:
		p.kind, p.arg = predCIDR, v.Prefix
		text = v.Prefix.String()
	case *rule.Compare:
		p.kind, p.lit, p.arg = predCompare, v.Canonical, v
		text = string('0'+rune(v.Op)) + v.Canonical
	case *rule.TimePart:
		p.kind, p.arg = predTimePart, v
		text = string('0'+rune(v.Unit)) + string('0'+rune(v.Op)) + v.Source
	case *rule.FieldRef:
		p.kind, p.cased, p.arg = predFieldRef, v.Cased, v
		p.other = slotOf(v.Field)
		text = string('0'+rune(v.Mode)) + v.Field
	}
	return p, predKey{p.kind, p.cased, slot, text}
}

// unanchored puts a star at both ends of a pattern that has none there.
func unanchored(parts []rule.Part) []rule.Part {
	out := make([]rule.Part, 0, len(parts)+2)
	if len(parts) == 0 || parts[0].Kind != rule.Star {
		out = append(out, rule.Part{Kind: rule.Star})
	}
	out = append(out, parts...)
	if out[len(out)-1].Kind != rule.Star {
		out = append(out, rule.Part{Kind: rule.Star})
	}
	return out
}

// key spells the pattern so that equal patterns have equal keys.
func (g *glob) key() string {
	var b strings.Builder
	mark := func(anchored bool) {
		if !anchored {
			b.WriteString("\x00*")
		}
	}
	mark(g.anchorStart)
	for i, s := range g.segments {
		if i > 0 {
			b.WriteString("\x00*")
		}
		for _, p := range s.parts {
			switch p.Kind {
			case rule.Literal:
				b.WriteString(strings.ReplaceAll(p.Lit, "\x00", "\x00\x00"))
			case rule.Dash:
				b.WriteString("\x00-")
			default:
				b.WriteString("\x00?")
			}
		}
	}
	mark(g.anchorEnd)
	return b.String()
}

// holds evaluates the predicate on the record the matcher is bound to.
func (m *Matcher) holds(p *predicate) bool {
	switch p.kind {
	case predNull:
		for _, v := range m.reader.Values(int(p.slot)) {
			if v.Kind != event.Null && v.Kind != event.Array {
				continue
			}
			return true
		}
		return !m.reader.Has(int(p.slot))
	case predExists:
		return m.reader.Has(int(p.slot)) == p.arg.(*rule.Exists).V
	case predFieldRef:
		return m.fieldRef(p)
	}
	return m.first(p) >= 0
}

// first returns the index of the first value of the predicate's slot for which
// it holds, or -1. It is for predicates that a single value decides.
func (m *Matcher) first(p *predicate) int {
	for i, v := range m.folded(int(p.slot)) {
		if v.none {
			continue
		}
		text := v.text
		if p.cased {
			text = v.raw
		}
		ok := false
		switch p.kind {
		case predEquals:
			ok = string(text) == p.lit
		case predPrefix:
			ok = len(text) >= len(p.lit) && string(text[:len(p.lit)]) == p.lit
		case predSuffix:
			ok = len(text) >= len(p.lit) && string(text[len(text)-len(p.lit):]) == p.lit
		case predContains:
			ok = indexLiteral(text, p.lit) >= 0
		case predText:
			ok = true
		case predGlob:
			ok = p.arg.(*glob).match(text)
		case predNumber:
			ok = string(v.raw) == p.lit || v.kind == event.String && string(v.raw) == p.arg.(*rule.NumberValue).Source
		case predBool:
			ok = v.kind != event.Number && string(text) == p.lit
		case predRegexp:
			x := p.arg.(*expression)
			ok = x.matches(v.text, v.raw)
		case predCIDR:
			ok = inNetwork(v.raw, p.arg.(netip.Prefix))
		case predSet:
			ok = p.arg.(*valueSet).matches(text)
		case predNetworks:
			a, isAddress := address(v.raw)
			ok = isAddress && p.arg.(networkSet).contains(a)
		case predCompare:
			ok = compares(v.raw, p)
		case predTimePart:
			t := p.arg.(*rule.TimePart)
			n, isTime := timePart(v.raw, t.Unit)
			ok = isTime && ordered(t.Op, compareInt(n, t.N))
		}
		if ok {
			return i
		}
	}
	return -1
}

func compares(text []byte, p *predicate) bool {
	order, ok := compareNumbers(text, []byte(p.lit))
	return ok && ordered(p.arg.(*rule.Compare).Op, order)
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func ordered(op rule.CompareOp, order int) bool {
	switch op {
	case rule.Lt:
		return order < 0
	case rule.Lte:
		return order <= 0
	case rule.Gt:
		return order > 0
	case rule.Gte:
		return order >= 0
	}
	return order == 0
}

// inNetwork reports whether text is an address inside network [D34]: strictly
// spelled, its zone ignored, an IPv4-mapped one taken as IPv4.
func inNetwork(text []byte, network netip.Prefix) bool {
	a, ok := address(text)
	return ok && network.Contains(a)
}

func (m *Matcher) fieldRef(p *predicate) bool {
	ref := p.arg.(*rule.FieldRef)
	left, right := m.folded(int(p.slot)), m.folded(int(p.other))
	// folded may move its buffer, not the slices handed out before.
	for _, a := range left {
		for _, b := range right {
			if a.none || b.none {
				continue
			}
			x, y := a.text, b.text
			if p.cased {
				x, y = a.raw, b.raw
			}
			ok := false
			switch ref.Mode {
			case rule.RefEquals:
				ok = bytes.Equal(x, y)
			case rule.RefStartsWith:
				ok = bytes.HasPrefix(x, y)
			case rule.RefEndsWith:
				ok = bytes.HasSuffix(x, y)
			case rule.RefContains:
				ok = bytes.Contains(x, y)
			}
			if ok {
				return true
			}
		}
	}
	return false
}
