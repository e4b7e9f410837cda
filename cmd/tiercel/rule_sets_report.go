package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/report"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/ruleset"
)

// updateReport is what an import or update would do.
type updateReport struct {
	name        string
	current     *ruleset.State // nil for an import
	source      *ruleset.Source
	changes     []ruleset.Change
	findings    []ruleset.Finding
	pins        []string // how lists differ from those pinned
	lookupDiags []rule.Diagnostic
}

// reviewUpdate compares a source with the current state of its set. Overrides
// are judged over all sets of the store, since they may be of any.
func reviewUpdate(p *process, store *ruleset.Store, name string, src *ruleset.Source, pins map[string]string) (*updateReport, error) {
	r := &updateReport{name: name, current: store.Lock().Set(name).Current(), source: src}
	var old []*rule.Document
	var err error
	if r.current != nil {
		if old, err = store.Documents(r.current.Hash); err != nil {
			return nil, &codedError{exitInput, err}
		}
	}
	r.changes = ruleset.Compare(old, src.Documents)
	r.pins = pinDifferences(store.Lock().Lookups, pins)
	file := orPresent(p.world.FS, "", p.world.FS.PathJoin(store.Dir(), ruleset.OverridesName))
	if file == "" {
		return r, nil
	}
	o, _, err := loadOverrides(p.world.FS, file)
	if err != nil {
		return nil, err
	}
	others, err := store.All(name)
	if err != nil {
		return nil, &codedError{exitInput, err}
	}
	r.findings = ruleset.Review(o, slices.Concat(old, others), slices.Concat(src.Documents, others))
	return r, nil
}

// nothing reports that there is nothing to apply.
func (r *updateReport) nothing() bool {
	return r.current != nil && r.current.Hash == r.source.Hash && len(r.pins) == 0
}

// shownMax is how many entries of a kind are printed without --all.
const shownMax = 10

// shortened writes a list, or its first entries.
func shortened[T any](w io.Writer, list []T, all bool, line func(T) string) {
	for i, x := range list {
		if i == shownMax && !all {
			fmt.Fprintf(w, "  … and %d more; --all lists them\n", len(list)-i)
			return
		}
		fmt.Fprintf(w, "  %s\n", report.Clean(line(x), problemTextMax))
	}
}

func (r *updateReport) text(w io.Writer, all bool) error {
	s := r.source
	origin := string(s.Kind) + " " + s.Path
	if s.Commit != "" {
		origin += " at commit " + s.Commit
	}
	fmt.Fprintf(w, "%s: %s\n", r.name, report.Clean(origin, problemTextMax))
	fmt.Fprintf(w, "hash %s\n", s.Hash)
	fmt.Fprintf(w, "taken: %s with %s\n", plural(len(s.Files), "file"), plural(len(s.Documents), "document"))
	for _, g := range groupLeft(s.Left) {
		fmt.Fprintf(w, "left: %s: %s\n", plural(len(g), "path"), g[0].Reason)
		if g[0].Reason != ruleset.LeftNotYAML || all {
			shortened(w, g, all, func(l ruleset.Left) string {
				if l.Detail == "" || l.Reason == ruleset.LeftRefused { // which is listed below
					return l.Path
				}
				return l.Path + ": " + l.Detail
			})
		}
	}
	if len(s.Diagnostics) > 0 {
		fmt.Fprintf(w, "refused: %s\n", plural(len(s.Diagnostics), "fault"))
		shortened(w, s.Diagnostics, all, rule.Diagnostic.String)
	}
	if r.nothing() {
		fmt.Fprintln(w, "nothing changes")
	} else if err := changesText(w, r.changes, all); err != nil {
		return err
	}
	if len(r.lookupDiags) > 0 {
		fmt.Fprintf(w, "lists: %s\n", plural(len(r.lookupDiags), "warning"))
		shortened(w, r.lookupDiags, all, rule.Diagnostic.String)
	}
	for _, line := range r.pins {
		fmt.Fprintf(w, "lists: %s\n", line)
	}
	if len(r.findings) > 0 {
		var counts [3]int
		for i := range r.findings {
			counts[r.findings[i].Standing]++
		}
		fmt.Fprintf(w, "overrides: %d intact, %d changed, %d orphaned\n", counts[0], counts[1], counts[2])
		for i := range r.findings {
			f := &r.findings[i]
			if f.Standing == ruleset.Intact && !all {
				continue
			}
			fmt.Fprintf(w, "  %s: %s: %s\n", f.Standing, f.Override.Position, f.Override)
			findingText(w, f)
		}
	}
	return nil
}

func findingText(w io.Writer, f *ruleset.Finding) {
	for _, why := range f.Reasons {
		fmt.Fprintf(w, "    %s\n", report.Clean(why, problemTextMax))
	}
	for _, s := range f.Successors {
		fmt.Fprintf(w, "    perhaps %s %q (%s)\n", s.ID, report.Clean(s.Title, 200), s.How)
	}
}

func groupLeft(left []ruleset.Left) [][]ruleset.Left {
	var groups [][]ruleset.Left
	for _, l := range left {
		at := slices.IndexFunc(groups, func(g []ruleset.Left) bool { return g[0].Reason == l.Reason })
		if at < 0 {
			groups = append(groups, []ruleset.Left{l})
			continue
		}
		groups[at] = append(groups[at], l)
	}
	return groups
}

func changesText(w io.Writer, changes []ruleset.Change, all bool) error {
	groups := map[ruleset.ChangeKind][]ruleset.Change{}
	for _, c := range changes {
		groups[c.Kind] = append(groups[c.Kind], c)
	}
	for k := ruleset.Added; k <= ruleset.MetadataChanged; k++ {
		list := groups[k]
		if _, err := fmt.Fprintf(w, "%s: %d\n", k, len(list)); err != nil {
			return err
		}
		shortened(w, list, all, func(c ruleset.Change) string {
			line := c.ID + " " + c.Title
			if c.Was != "" {
				line = c.Was + " → " + line
			}
			if len(c.Notes) > 0 {
				line += ": " + strings.Join(c.Notes, ", ")
			}
			for _, s := range c.Successors {
				line += fmt.Sprintf("; replaced by %s %q (%s)", s.ID, s.Title, s.How)
			}
			return line
		})
	}
	return nil
}

// json writes the report as one object.
func (r *updateReport) json(w io.Writer) error {
	type left struct {
		Path   string `json:"path"`
		Reason string `json:"reason"`
		Detail string `json:"detail,omitempty"`
	}
	type successor struct {
		ID    string `json:"id"`
		Title string `json:"title"`
		How   string `json:"how"`
	}
	type change struct {
		Kind       string      `json:"kind"`
		ID         string      `json:"id"`
		Was        string      `json:"was,omitempty"`
		Title      string      `json:"title"`
		File       string      `json:"file"`
		Notes      []string    `json:"notes,omitempty"`
		Successors []successor `json:"successors,omitempty"`
	}
	type finding struct {
		Override   string      `json:"override"`
		Line       int         `json:"line"`
		Standing   string      `json:"standing"`
		Rules      int         `json:"rules"`
		Reasons    []string    `json:"reasons,omitempty"`
		Successors []successor `json:"successors,omitempty"`
	}
	out := struct {
		Name      string    `json:"name"`
		Source    string    `json:"source"`
		Kind      string    `json:"kind"`
		Commit    string    `json:"commit,omitempty"`
		Hash      string    `json:"hash"`
		Was       string    `json:"was,omitempty"`
		Files     int       `json:"files"`
		Documents int       `json:"documents"`
		Left      []left    `json:"left"`
		Refused   []string  `json:"refused"`
		Changes   []change  `json:"changes"`
		Overrides []finding `json:"overrides"`
		Lists     []string  `json:"lists"`
	}{
		Name: r.name, Source: r.source.Path, Kind: string(r.source.Kind), Commit: r.source.Commit, Hash: r.source.Hash,
		Files: len(r.source.Files), Documents: len(r.source.Documents),
		Left: []left{}, Refused: []string{}, Changes: []change{}, Overrides: []finding{}, Lists: append([]string{}, r.pins...),
	}
	if r.current != nil {
		out.Was = r.current.Hash
	}
	convert := func(list []ruleset.Successor) (out []successor) {
		for _, s := range list {
			out = append(out, successor(s))
		}
		return out
	}
	for _, l := range r.source.Left {
		out.Left = append(out.Left, left(l))
	}
	for _, d := range r.source.Diagnostics {
		out.Refused = append(out.Refused, d.String())
	}
	for _, c := range r.changes {
		out.Changes = append(out.Changes, change{c.Kind.String(), c.ID, c.Was, c.Title, c.File, c.Notes, convert(c.Successors)})
	}
	for i := range r.findings {
		f := &r.findings[i]
		out.Overrides = append(out.Overrides, finding{f.Override.String(), f.Override.Line, f.Standing.String(), f.Rules, f.Reasons, convert(f.Successors)})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(out)
}
