package rule

import (
	"fmt"
	"strings"
)

// mode is what a chain of modifiers makes of a value.
type mode uint8

const (
	modeText mode = iota
	modeRegex
	modeCIDR
	modeExists
	modeCompare
	modeTime
	modeFieldRef
)

// chain is an item's key: the field and its modifiers, checked.
type chain struct {
	field string
	mode  mode
	// steps are the transformations of text, in order: windash, the UTF-16
	// encodings and the base64 ones.
	steps []string
	// anchor is contains, startswith, endswith or empty.
	anchor string
	// flags of a regular expression, in the order i, m, s.
	flags                   string
	op                      CompareOp
	unit                    TimeUnit
	all, neq, cased, expand bool
}

// chainModifiersMax bounds a key. The longest chains in use have four.
const chainModifiersMax = 16

var compareOps = map[string]CompareOp{"lt": Lt, "lte": Lte, "gt": Gt, "gte": Gte}

var timeUnits = map[string]TimeUnit{"minute": Minute, "hour": Hour, "day": Day, "week": Week, "month": Month, "year": Year}

// fault is a diagnostic without its place.
type fault struct {
	code      Code
	msg, hint string
}

func faultf(code Code, hint, format string, args ...any) *fault {
	return &fault{code, fmt.Sprintf(format, args...), hint}
}

// parseChain reads a key. lints are set also when it fails.
func parseChain(key string) (c chain, lints []*fault, err *fault) {
	field, rest, modified := strings.Cut(key, "|")
	c.field = field
	if !modified {
		if field == "" {
			return c, nil, faultf(CodeSelectionInvalid, "write the field's name, or '|all' and the like for keywords", "a field has no name")
		}
		return c, nil, nil
	}
	names := strings.Split(rest, "|")
	if len(names) > chainModifiersMax {
		return c, nil, faultf(CodeModifierConflict, "", "the key has %d modifiers, more than the limit of %d", len(names), chainModifiersMax)
	}
	seen := map[string]bool{}
	previous := ""
	for i, name := range names {
		switch name {
		case "wide":
			name = "utf16le"
		case "ignorecase":
			name = "i"
		case "multiline":
			name = "m"
		case "dotall":
			name = "s"
		case "equalsfield":
			lints = append(lints, faultf(CodeModifierAlias, "write fieldref", "equalsfield is a name of another tool"))
			name = "fieldref"
		case "endswithfield":
			lints = append(lints, faultf(CodeModifierAlias, "write fieldref|endswith", "endswithfield is a name of another tool"))
			if c.anchor != "" {
				return c, lints, faultf(CodeModifierConflict, "keep one of them", "endswithfield and %s contradict each other", c.anchor)
			}
			c.anchor = "endswith"
			name = "fieldref"
		}
		repeatable := name == "base64" || name == "utf16le" || name == "utf16be" || name == "utf16"
		if seen[name] && !repeatable {
			return c, lints, faultf(CodeModifierConflict, "keep one of them", "the modifier %s stands twice", name)
		}
		seen[name] = true
		lint, err := c.add(name, previous, i+1 < len(names) && isEncoder(names[i+1]))
		if err != nil {
			return c, lints, err
		}
		if lint != nil {
			lints = append(lints, lint)
		}
		previous = name
	}
	if err := c.check(len(names), seen); err != nil {
		return c, lints, err
	}
	if n := len(c.steps); n > 0 && c.steps[n-1] == "base64offset" && c.anchor != "contains" && c.field != "" {
		lints = append(lints, faultf(CodeEncodingContains, "write base64offset|contains", "base64offset stands without contains"))
	}
	return c, lints, nil
}

func isEncoder(name string) bool { return name == "base64" || name == "base64offset" }

func order(hint, format string, args ...any) *fault {
	return faultf(CodeModifierOrder, hint, format, args...)
}

// add applies one modifier to what stands before it.
func (c *chain) add(name, previous string, encoderNext bool) (lint, err *fault) {
	untouched := c.mode == modeText && len(c.steps) == 0 && c.anchor == ""
	switch name {
	case "all":
		c.all = true
	case "neq":
		c.neq = true
	case "cased":
		c.cased = true
	case "expand":
		c.expand = true
	case "contains", "startswith", "endswith":
		if c.anchor != "" {
			return nil, faultf(CodeModifierConflict, "keep one of them", "%s and %s contradict each other", c.anchor, name)
		}
		c.anchor = name
		if c.mode == modeRegex {
			return faultf(CodeRegexModifier, "leave it out, or write ^ and $ in the expression", "%s stands with a regular expression", name), nil
		}
	case "windash":
		if c.mode != modeText || len(c.steps) > 0 {
			return nil, order("put it first", "windash must stand before %s", c.last())
		}
		c.steps = append(c.steps, name)
	case "utf16le", "utf16be", "utf16", "base64", "base64offset":
		if c.mode != modeText || c.anchor != "" {
			return nil, order("write "+name+" before it", "%s cannot stand after %s", name, c.last())
		}
		if !isEncoder(name) && !encoderNext {
			return nil, faultf(CodeEncodingDangling, "write "+name+"|base64offset|contains", "%s is not followed by base64 or base64offset", name)
		}
		c.steps = append(c.steps, name)
	case "re":
		if !untouched || c.cased {
			return nil, order("write re first; expressions search anywhere and mind the case as it is", "re cannot stand after %s", c.last())
		}
		c.mode = modeRegex
	case "i", "m", "s":
		if c.mode != modeRegex || previous != "re" && previous != "i" && previous != "m" && previous != "s" {
			return nil, order("write re|"+name, "%s must stand directly after re or another of its flags", name)
		}
		c.flags += name
	case "cidr":
		if !untouched || c.cased {
			return nil, order("write cidr alone", "cidr cannot stand after %s", c.last())
		}
		c.mode = modeCIDR
	case "exists":
		c.mode = modeExists
	case "lt", "lte", "gt", "gte":
		switch {
		case c.mode == modeCompare || c.mode == modeTime && c.op != Eq:
			return nil, faultf(CodeModifierConflict, "write two items, as 'field|gt' and 'field|lt'", "%s contradicts another comparison before it", name)
		case c.mode == modeTime:
		case !untouched || c.cased:
			return nil, order("write it first", "%s cannot stand after %s", name, c.last())
		default:
			c.mode = modeCompare
		}
		c.op = compareOps[name]
	case "minute", "hour", "day", "week", "month", "year":
		if c.mode == modeTime {
			return nil, faultf(CodeModifierConflict, "write two items", "two parts of time stand in one key")
		}
		if !untouched || c.cased {
			return nil, order("write it first", "%s cannot stand after %s", name, c.last())
		}
		c.mode, c.unit, c.op = modeTime, timeUnits[name], Eq
	case "fieldref":
		if c.mode != modeText || len(c.steps) > 0 {
			return nil, order("write it first", "fieldref cannot stand after %s", c.last())
		}
		c.mode = modeFieldRef
	default:
		hint := suggest(name, modifierNames)
		if name == "" {
			hint = "remove the second |"
		}
		return nil, faultf(CodeModifierUnknown, hint, "there is no modifier %s", quote(name))
	}
	return nil, nil
}

// last names what the chain has come to, for messages.
func (c *chain) last() string {
	switch {
	case c.anchor != "":
		return c.anchor
	case len(c.steps) > 0:
		return c.steps[len(c.steps)-1]
	case c.cased && c.mode == modeText:
		return "cased"
	}
	return [...]string{"it", "re", "cidr", "exists", "a comparison", "a part of time", "fieldref"}[c.mode]
}

// check judges the chain as a whole.
func (c *chain) check(modifiers int, seen map[string]bool) *fault {
	if c.mode == modeExists && modifiers > 1 {
		return faultf(CodeModifierConflict, "write it alone; exists: false is its opposite", "exists stands with other modifiers")
	}
	if c.field == "" && c.mode != modeText && c.mode != modeRegex && c.mode != modeCIDR {
		return faultf(CodeModifierField, "write the field's name before the |", "the modifier needs a field, and keywords have none")
	}
	if c.field == "" && c.mode == modeText && (c.anchor == "startswith" || c.anchor == "endswith") {
		return faultf(CodeModifierField, "write the field's name before the |, or '|re' with ^ or $", "%s needs a field; keywords are found anywhere in a value", c.anchor)
	}
	if c.cased && c.mode != modeText && c.mode != modeFieldRef {
		hint := "leave it out"
		if c.mode == modeRegex {
			hint = "leave it out; expressions mind the case unless the flag i is given"
		}
		return faultf(CodeModifierConflict, hint, "cased cannot stand with %s", c.lastMode())
	}
	if c.anchor != "" && c.mode != modeText && c.mode != modeRegex && c.mode != modeFieldRef {
		return faultf(CodeModifierConflict, "leave it out", "%s cannot stand with %s", c.anchor, c.lastMode())
	}
	if c.expand && c.mode == modeFieldRef {
		return faultf(CodeModifierConflict, "leave one of them out", "expand cannot stand with fieldref")
	}
	return nil
}

func (c *chain) lastMode() string {
	return (&chain{mode: c.mode}).last()
}
