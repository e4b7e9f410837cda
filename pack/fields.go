package pack

import (
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/event"
)

// Alias is a name by which rules ask for a field, and where the pack says that
// it stands.
type Alias struct {
	// Field is the rule's name for it.
	Field string
	// Place is the lookup for people: a path, several with " or " between when
	// the first that is present counts and " and " when all do, or a function
	// of places.
	Place string
}

// Aliases returns the aliases of all the pack's views by field. A field
// without an alias is looked up by its own name.
func (p *Pack) Aliases() []Alias { return aliases(&p.fields) }

// ViewAliases returns the aliases that the i-th of Views has of its own.
func (p *Pack) ViewAliases(i int) []Alias { return aliases(&p.views[i].fields) }

func aliases(t *fieldTable) []Alias {
	var out []Alias
	for field, l := range t.exact {
		out = append(out, Alias{Field: field, Place: describe(l)})
	}
	slices.SortFunc(out, func(a, b Alias) int { return strings.Compare(a.Field, b.Field) })
	return out
}

func describe(l event.Lookup) string {
	if l.Func == "" {
		joiner := " or "
		if l.All {
			joiner = " and "
		}
		return strings.Join(l.Paths, joiner)
	}
	var args []string
	for _, a := range l.Args {
		args = append(args, describe(a))
	}
	for i, param := range l.Params {
		if i == paramsDescribed {
			args = append(args, "…")
			break
		}
		args = append(args, "'"+param+"'")
	}
	return l.Func + "(" + strings.Join(args, ", ") + ")"
}

// paramsDescribed bounds the constants that a description shows; value tables
// have dozens.
const paramsDescribed = 3
