package ruleset

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/rule"
)

// ChangeKind says what an update does to a document.
type ChangeKind uint8

// The kinds, in the order in which they are shown.
const (
	// Added: the id is new.
	Added ChangeKind = iota
	// Removed: the id is gone.
	Removed
	// Renamed: the id is gone, and a new document says that it had it before.
	Renamed
	// LogicChanged: what matches is another; detections get new ids.
	LogicChanged
	// RankChanged: level or status are others, the logic is the same.
	RankChanged
	// MetadataChanged: only what describes the document, or its file, is
	// another.
	MetadataChanged
)

var changeWords = [...]string{"added", "removed", "renamed", "logic changed", "level or status changed", "metadata changed"}

// String names the kind as it is shown.
func (k ChangeKind) String() string { return changeWords[k] }

// Change is what an update does to one document.
type Change struct {
	Kind ChangeKind
	// ID, Title and File are those after the update, or of one that is gone,
	// before it.
	ID, Title, File string
	// Was is the id before, of a renamed document.
	Was string
	// Notes say what changed: "level medium → high", "description".
	Notes []string
	// Successors are what takes the place of a document that is gone.
	Successors []Successor
}

// Successor is a document that says that it replaces another.
type Successor struct {
	ID, Title string
	// How is the relation as it names it: renamed, obsolete, merged, derived
	// or similar.
	How string
}

// relations are the types of related by how surely the document that names
// them replaces the one named.
var relations = []string{"renamed", "obsolete", "merged", "derived", "similar"}

// successors finds for every id the documents that say they replace it, the
// surest first.
func successors(docs []rule.Info) map[string][]Successor {
	out := map[string][]Successor{}
	for i := range docs {
		for _, r := range docs[i].Related {
			if r.ID != docs[i].ID {
				out[r.ID] = append(out[r.ID], Successor{docs[i].ID, docs[i].Title, r.Type})
			}
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b Successor) int {
			return cmp.Or(slices.Index(relations, a.How)-slices.Index(relations, b.How), strings.Compare(a.ID, b.ID))
		})
	}
	return out
}

// byID indexes documents; of two with one id the first counts, as when rules
// are loaded.
func byID(docs []rule.Info) map[string]*rule.Info {
	out := make(map[string]*rule.Info, len(docs))
	for i := range docs {
		if out[docs[i].ID] == nil {
			out[docs[i].ID] = &docs[i]
		}
	}
	return out
}

func infos(docs []*rule.Document) []rule.Info {
	out := make([]rule.Info, len(docs))
	for i, d := range docs {
		out[i] = d.Info()
	}
	return out
}

// Compare lists what turns old into new, by kind, then by title and id.
// Documents are told apart by their ids.
func Compare(old, new []*rule.Document) []Change {
	before, after := infos(old), infos(new)
	was, is := byID(before), byID(after)
	replaced := successors(after)
	renamed := map[string]string{} // new id → old id
	var out []Change
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if is[id] != nil {
			continue
		}
		o := was[id]
		c := Change{Kind: Removed, ID: id, Title: o.Title, File: o.File, Successors: replaced[id]}
		if len(c.Successors) > 0 && c.Successors[0].How == "renamed" {
			to := c.Successors[0].ID
			if n := is[to]; was[to] == nil && renamed[to] == "" {
				renamed[to] = id
				c = Change{Kind: Renamed, ID: to, Was: id, Title: n.Title, File: n.File, Notes: differences(o, n)}
			}
		}
		out = append(out, c)
	}
	for id, n := range is {
		o := was[id]
		if o == nil {
			if renamed[id] == "" {
				out = append(out, Change{Kind: Added, ID: id, Title: n.Title, File: n.File})
			}
			continue
		}
		notes := differences(o, n)
		if len(notes) == 0 {
			continue
		}
		c := Change{Kind: MetadataChanged, ID: id, Title: n.Title, File: n.File, Notes: notes}
		switch {
		case o.SemanticHash != n.SemanticHash:
			c.Kind = LogicChanged
		case o.Level != n.Level || o.LevelSet != n.LevelSet || o.Status != n.Status:
			c.Kind = RankChanged
		}
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b Change) int {
		return cmp.Or(int(a.Kind)-int(b.Kind), strings.Compare(a.Title, b.Title), strings.Compare(a.ID, b.ID))
	})
	return out
}

// differences says what differs between two versions of a document, what
// matters most first.
func differences(o, n *rule.Info) []string {
	var out []string
	if o.SemanticHash != n.SemanticHash {
		out = append(out, "logic")
	}
	if a, b := levelWord(o), levelWord(n); a != b {
		out = append(out, fmt.Sprintf("level %s → %s", a, b))
	}
	if o.Status != n.Status {
		out = append(out, fmt.Sprintf("status %s → %s", orNone(o.Status), orNone(n.Status)))
	}
	for _, f := range []struct {
		name string
		same bool
	}{
		{"name", o.Name == n.Name},
		{"title", o.Title == n.Title},
		{"description", o.Description == n.Description},
		{"tags", slices.Equal(o.Tags, n.Tags)},
		{"references", slices.Equal(o.References, n.References)},
		{"falsepositives", slices.Equal(o.FalsePositives, n.FalsePositives)},
		{"fields", slices.Equal(o.Fields, n.Fields)},
		{"scope", slices.Equal(o.Scope, n.Scope)},
		{"related", slices.Equal(o.Related, n.Related)},
		{"author", o.Author == n.Author},
		{"license", o.License == n.License},
		{"date", o.Date == n.Date},
		{"modified", o.Modified == n.Modified},
		{"taxonomy", o.Taxonomy == n.Taxonomy},
		{"logsource definition", o.Logsource.Definition == n.Logsource.Definition && maps.Equal(o.Logsource.Custom, n.Logsource.Custom)},
		{"further keys", reflect.DeepEqual(o.Custom, n.Custom)},
		{"file", o.File == n.File},
	} {
		if !f.same {
			out = append(out, f.name)
		}
	}
	return out
}

func levelWord(i *rule.Info) string {
	if !i.LevelSet {
		return "none"
	}
	return i.Level.String()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
