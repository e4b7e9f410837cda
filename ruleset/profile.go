package ruleset

import (
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/rule"
)

// Class is what a rule is for, as the folders of the public set tell them
// apart.
type Class uint8

// The classes.
const (
	// Core rules find techniques of attackers, whoever they are.
	Core Class = iota
	// EmergingThreats rules find one actor, malware or exploit.
	EmergingThreats
	// Hunting rules give ideas where to look and are no alerts.
	Hunting
	// Other rules must be completed, or are about compliance.
	Other
)

// ClassOf returns the class of a rule: by the folder that it stands in, as
// SigmaHQ's packaging decides, or where no folder says it, by its tags of the
// namespace detection.
func ClassOf(i *rule.Info) Class {
	parts := strings.Split(strings.ReplaceAll(i.File, `\`, "/"), "/")
	for _, part := range slices.Backward(parts[:len(parts)-1]) {
		switch {
		case part == "rules":
			return Core
		case part == "rules-emerging-threats":
			return EmergingThreats
		case part == "rules-threat-hunting":
			return Hunting
		case strings.HasPrefix(part, "rules-"):
			return Other
		}
	}
	switch {
	case slices.Contains(i.Tags, "detection.emerging-threats"):
		return EmergingThreats
	case slices.Contains(i.Tags, "detection.threat-hunting"):
		return Hunting
	}
	return Core
}

// Profile is a choice of rules by class, status and level.
type Profile struct {
	Name, About string
	// LevelMin is the lowest level in it.
	LevelMin rule.Level
	// Statuses and Classes are those in it.
	Statuses []string
	Classes  []Class
}

// Profiles are the packages that SigmaHQ releases, as Releases.md (at tag
// r2024-03-11), .github/workflows/release.yml and the script
// tests/sigma-package-release.py of SigmaHQ/sigma make them: core takes status
// test or better and level high or above, core+ lowers the level to medium,
// core++ adds experimental rules; the add-on is the emerging threats of
// core++'s status and level, and all is core++ with the add-on. Rules without a
// status are in none of them, nor are hunting rules.
func Profiles() []Profile {
	tested := []string{"stable", "test"}
	any := []string{"stable", "test", "experimental"}
	return []Profile{
		{"core", "tested rules of level high and above", rule.High, tested, []Class{Core}},
		{"core+", "core, and level medium", rule.Medium, tested, []Class{Core}},
		{"core++", "core+, and experimental rules", rule.Medium, any, []Class{Core}},
		{"emerging-threats-addon", "rules of single actors, malware and exploits, of level medium and above", rule.Medium, any, []Class{EmergingThreats}},
		{"all", "core++ and emerging-threats-addon", rule.Medium, any, []Class{Core, EmergingThreats}},
	}
}

// ProfileNames are the names of [Profiles].
func ProfileNames() []string {
	var names []string
	for _, p := range Profiles() {
		names = append(names, p.Name)
	}
	return names
}

// ParseProfile returns the profile of that name.
func ParseProfile(name string) (*Profile, bool) {
	for _, p := range Profiles() {
		if p.Name == name {
			return &p, true
		}
	}
	return nil, false
}

// Holds reports whether a rule, by what it says of itself, is in the profile.
func (p *Profile) Holds(i *rule.Info) bool {
	return i.LevelSet && i.Level >= p.LevelMin && slices.Contains(p.Statuses, i.Status) && slices.Contains(p.Classes, ClassOf(i))
}

// outside returns the ids of the rules and correlations that the profile
// leaves out. A correlation without a level has the highest of the rules it
// names; rules that a correlation in the profile needs stay, since they are
// silent. Filters stay: they only narrow rules.
func (p *Profile) outside(docs []rule.Info) map[string]bool {
	ids := byID(docs)
	names := map[string]*rule.Info{}
	for i := range docs {
		if docs[i].Name != "" && names[docs[i].Name] == nil {
			names[docs[i].Name] = &docs[i]
		}
	}
	find := func(ref string) *rule.Info {
		if i := ids[strings.ToLower(ref)]; i != nil {
			return i
		}
		return names[ref]
	}
	// Both walks visit a document once, so cycles and depth do no harm.
	levels := map[*rule.Info]*rule.Level{}
	var level func(i *rule.Info, depth int) (rule.Level, bool)
	level = func(i *rule.Info, depth int) (rule.Level, bool) {
		if i.LevelSet || i.Kind != rule.KindCorrelation {
			return i.Level, i.LevelSet
		}
		if l, ok := levels[i]; ok || depth > rule.CorrelationDepthMax {
			if l == nil {
				return 0, false
			}
			return *l, true
		}
		levels[i] = nil
		highest, set := rule.Informational, false
		for _, ref := range i.Refers {
			if target := find(ref); target != nil {
				if l, ok := level(target, depth+1); ok {
					highest, set = max(highest, l), true
				}
			}
		}
		if set {
			levels[i] = &highest
		}
		return highest, set
	}
	out, needed := map[string]bool{}, map[string]bool{}
	var need func(i *rule.Info, depth int)
	need = func(i *rule.Info, depth int) {
		for _, ref := range i.Refers {
			if target := find(ref); target != nil && !needed[target.ID] && depth <= rule.CorrelationDepthMax {
				needed[target.ID] = true
				need(target, depth+1)
			}
		}
	}
	for k := range docs {
		if docs[k].Kind == rule.KindFilter {
			continue
		}
		i := docs[k]
		i.Level, i.LevelSet = level(&docs[k], 0)
		if !p.Holds(&i) {
			out[i.ID] = true
		} else if i.Kind == rule.KindCorrelation {
			need(&docs[k], 0)
		}
	}
	for id := range needed {
		delete(out, id)
	}
	return out
}
