package pack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestNoTwoFieldsAtOnePlace holds that a pack maps two rule fields to one place
// only where it says so under synonyms: two meanings that fall together would
// make rules match what they do not mean. It looks at every view of every
// pack, with the mappings of the pack and its own.
func TestNoTwoFieldsAtOnePlace(t *testing.T) {
	t.Parallel()
	set, err := Load(vfs.Default, []string{"testdata/user-pack"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range set.packs {
		faults := map[string]bool{}
		for _, v := range p.views {
			places := map[string][]string{}
			for _, field := range mappedFields(p, v) {
				l := v.fieldLookup(p, field)
				if len(l.Paths) == 0 && l.Func == "" || l.Func == "const" {
					continue // hidden, or no place
				}
				key := fmt.Sprintf("%#v", l)
				places[key] = append(places[key], field)
			}
			for _, fields := range places {
				for _, f := range undeclared(p, fields) {
					faults[f] = true
				}
			}
		}
		for _, f := range slices.Sorted(maps.Keys(faults)) {
			t.Errorf("%s: %s stand at one place; say so under synonyms, or map one elsewhere", p.Name, f)
		}
	}
}

// mappedFields are the rule fields that a view maps, those that differ only in
// spelling once: names are compared without regard to case and spaces [D22].
func mappedFields(p *Pack, v *view) []string {
	var out []string
	seen := map[string]bool{}
	for _, name := range append(v.fields.names(), p.fields.names()...) {
		if folded := foldField(name); !seen[folded] {
			seen[folded] = true
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// undeclared returns the pairs of fields that no group of synonyms holds.
func undeclared(p *Pack, fields []string) []string {
	var out []string
	for i, a := range fields {
		for _, b := range fields[i+1:] {
			if !slices.ContainsFunc(p.synonyms, func(group []string) bool {
				return slices.Contains(group, a) && slices.Contains(group, b)
			}) {
				out = append(out, strings.Join([]string{a, b}, " and "))
			}
		}
	}
	return out
}

// TestSynonymsAreMapped holds that what a pack calls synonyms are: every field
// of a group but those that stand by their own name is mapped in some view.
func TestSynonymsAreMapped(t *testing.T) {
	t.Parallel()
	set, err := Load(vfs.Default, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range set.packs {
		mapped := map[string]bool{}
		for _, v := range p.views {
			for _, f := range mappedFields(p, v) {
				mapped[foldField(f)] = true
			}
		}
		for _, group := range p.synonyms {
			n := 0
			for _, f := range group {
				if mapped[foldField(f)] {
					n++
				}
			}
			if n+1 < len(group) {
				t.Errorf("%s: of the synonyms %v only %d are mapped, so at least two stand at places of their own", p.Name, group, n)
			}
		}
	}
}
