package oracle

import (
	"slices"
	"strconv"
	"unicode"

	"github.com/tiercel-io/tiercel/event"
)

// group is a group key, folded, and the hits that have it.
type group struct {
	key  []event.GroupValue
	hits []hit
}

// combinationsMax is the number of groups that one hit may belong to.
const combinationsMax = 16

// groups takes hits apart by their group keys. A hit with several values
// belongs to the group of each.
func (d detector) groups(hits []hit) []group {
	var out []group
	at := map[string]int{}
	for _, h := range hits {
		for _, key := range d.keys(h) {
			var text string
			for _, g := range key {
				text += strconv.Quote(g.Value)
			}
			if _, ok := at[text]; !ok {
				at[text] = len(out)
				out = append(out, group{key: key})
			}
			g := &out[at[text]]
			g.hits = append(g.hits, h)
		}
	}
	return out
}

// keys are the group keys of a hit: none when it lacks a component.
func (d detector) keys(h hit) [][]event.GroupValue {
	keys := [][]event.GroupValue{nil}
	for _, name := range d.groupBy {
		values := h.fields[d.field(name, h.rule)]
		if len(values) == 0 && d.absentEmpty {
			values = []string{""}
		}
		var distinct []string
		for _, v := range values {
			if f := d.fold(v); !slices.Contains(distinct, f) {
				distinct = append(distinct, f)
			}
		}
		var longer [][]event.GroupValue
		for _, k := range keys {
			for _, v := range distinct {
				longer = append(longer, append(slices.Clone(k), event.GroupValue{Field: name, Value: v}))
			}
		}
		keys = longer
	}
	return keys[:min(len(keys), combinationsMax)]
}

// field is the field that a name stands for in the rule at a position: what an
// alias says, or the name itself.
func (d detector) field(name string, position int) string {
	for _, a := range d.aliases {
		if a.Name == name && a.Fields[position] != "" {
			return a.Fields[position]
		}
	}
	return name
}

func representative(r rune) rune {
	least := r
	for s := unicode.SimpleFold(r); s != r; s = unicode.SimpleFold(s) {
		least = min(least, s)
	}
	return least
}
