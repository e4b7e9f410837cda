package pack

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.yaml.in/yaml/v3"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// coverageMin is the share of the field uses of a logsource's rules that must
// be found in the samples.
const coverageMin = 0.95

// unresolved is testdata/unresolved.yml: what no sample shows, and why.
type unresolved struct {
	// Logsources have no pack.
	Logsources map[string]string `yaml:"logsources"`
	// Below are logsources that cannot reach coverageMin.
	Below map[string]string `yaml:"below"`
	// Fields, by logsource, are not found in any sample.
	Fields map[string]map[string]string `yaml:"fields"`
}

// usage counts the uses of each field by the rules of each logsource, which is
// written product/category/service.
type usage map[string]map[string]int

// TestCoverage shows that the fields which rules use are found in records of
// the vendors' shapes: it reads every sample and looks each field up in the
// views that serve its logsource.
func TestCoverage(t *testing.T) {
	t.Parallel()
	corpus := os.Getenv("TIERCEL_CORPUS")
	if corpus == "" {
		t.Skip("set TIERCEL_CORPUS to the unpacked corpora")
	}
	known := readUnresolved(t)
	used := readUsage(t, filepath.Join(corpus, "sigma"))
	set, err := Load(vfs.Default, nil)
	if err != nil {
		t.Fatal(err)
	}
	found, served := resolve(t, set, used)
	for _, logsource := range slices.Sorted(maps.Keys(used)) {
		_, listed := known.Logsources[logsource]
		if listed == served[logsource] {
			if listed {
				t.Errorf("%s: a view serves it, so take it off the list of logsources", logsource)
			} else {
				t.Errorf("%s: no view serves it; write a pack, or list it with a reason", logsource)
			}
			continue
		}
		if listed {
			continue
		}
		total, resolved := 0, 0
		for _, field := range slices.Sorted(maps.Keys(used[logsource])) {
			n := used[logsource][field]
			total += n
			_, excused := known.Fields[logsource][field]
			switch ok := found[logsource][field]; {
			case ok && excused:
				t.Errorf("%s: field %s is found, so take it off the list", logsource, field)
			case ok:
				resolved += n
			case !excused:
				t.Errorf("%s: field %s (%d uses) is in no sample; map it, add a sample, or list it with a reason", logsource, field, n)
			}
		}
		share := 1.0
		if total > 0 {
			share = float64(resolved) / float64(total)
		}
		t.Logf("%5.1f %% of %4d uses  %s", share*100, total, logsource)
		switch _, excused := known.Below[logsource]; {
		case excused && share >= coverageMin:
			t.Errorf("%s: %.1f %% of the field uses are found, so take it off the list below", logsource, share*100)
		case !excused && share < coverageMin:
			t.Errorf("%s: %.1f %% of the field uses are found in samples, expected %.0f %%", logsource, share*100, coverageMin*100)
		}
	}
	for _, list := range []map[string]string{known.Logsources, known.Below} {
		for logsource := range list {
			if used[logsource] == nil {
				t.Errorf("%s is listed, and no rule names it", logsource)
			}
		}
	}
	for logsource, fields := range known.Fields {
		for field := range fields {
			if used[logsource][field] == 0 {
				t.Errorf("%s: field %s is listed, and no rule uses it", logsource, field)
			}
		}
	}
}

func readUnresolved(t *testing.T) unresolved {
	t.Helper()
	text, err := os.ReadFile("testdata/unresolved.yml")
	if err != nil {
		t.Fatal(err)
	}
	var u unresolved
	if err := yaml.Unmarshal(text, &u); err != nil {
		t.Fatal(err)
	}
	return u
}

// readUsage reads the rules below dir in folders that begin with "rules". It
// reads YAML by itself, so that the test does not depend on what the rule
// parser accepts.
func readUsage(t *testing.T, dir string) usage {
	t.Helper()
	out := usage{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, path)
		if err != nil || d.IsDir() || filepath.Ext(path) != ".yml" || !strings.HasPrefix(rel, "rules") {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		for dec := yaml.NewDecoder(f); ; {
			var doc struct {
				Logsource logsourceDoc         `yaml:"logsource"`
				Detection map[string]yaml.Node `yaml:"detection"`
			}
			if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return err
			}
			l := doc.Logsource
			name := strings.ToLower(l.Product + "/" + l.Category + "/" + l.Service)
			if out[name] == nil {
				out[name] = map[string]int{}
			}
			for key, node := range doc.Detection {
				if key != "condition" && key != "timeframe" {
					countFields(&node, out[name])
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatalf("no rule below %s", dir)
	}
	return out
}

// countFields counts the keys of a selection; keywords have none.
func countFields(n *yaml.Node, into map[string]int) {
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		key := n.Content[i].Value
		field, modifiers, _ := strings.Cut(key, "|")
		if field != "" {
			into[field]++
		}
		if value := n.Content[i+1]; strings.Contains(modifiers, "fieldref") && value.Kind == yaml.ScalarNode {
			into[value.Value]++
		}
	}
	for _, c := range n.Content {
		if n.Kind == yaml.SequenceNode {
			countFields(c, into)
		}
	}
}

// serves reports whether a view proves all that the logsource names.
func serves(v *event.View, logsource string) bool {
	want := strings.Split(logsource, "/")
	for _, name := range logsourceNames(v) {
		ok := true
		for i, have := range strings.Split(name, "/") {
			ok = ok && (want[i] == "" || want[i] == have)
		}
		if ok {
			return true
		}
	}
	return false
}

// resolve routes every sample and returns, by logsource, the fields that were
// found in some record, and which logsources any view serves.
func resolve(t *testing.T, set *Set, used usage) (found map[string]map[string]bool, served map[string]bool) {
	t.Helper()
	plan := event.NewPlan(Funcs())
	type want struct {
		logsource, field string
		slot             int
	}
	wants := make([][]want, len(set.views))
	found, served = map[string]map[string]bool{}, map[string]bool{}
	for logsource, fields := range used {
		found[logsource] = map[string]bool{}
		for id := range set.views {
			v := &set.views[id]
			if !serves(v, logsource) {
				continue
			}
			served[logsource] = true
			for field := range fields {
				wants[id] = append(wants[id], want{logsource, field, plan.Slot(v.Lookup(field))})
			}
		}
	}
	router := set.Router(plan, RouterOptions{})
	session, reader := router.Session(), plan.Reader()
	samples, err := filepath.Glob("packs/*/samples/*" + expectSuffix)
	if err != nil {
		t.Fatal(err)
	}
	for _, expectFile := range samples {
		text, err := os.ReadFile(expectFile)
		if err != nil {
			t.Fatal(err)
		}
		expect, err := readExpect(text)
		if err != nil {
			t.Fatalf("%s: %v", expectFile, err)
		}
		stem := strings.TrimSuffix(expectFile, expectSuffix)
		files, err := filepath.Glob(stem + ".*")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if file == expectFile || strings.HasSuffix(file, expectSuffix) {
				continue
			}
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			f, err := sampleFormat(expect.Format, data, filepath.Base(file))
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			err = readSample(f, data, format.Options{Zone: expect.zone, Reference: expect.reference, Name: filepath.Base(file)}, func(rec *event.Record) {
				if expect.Hint != "" {
					rec.Hint = expect.Hint
				}
				ids, _ := session.Route(rec, reader)
				for _, id := range ids {
					for _, w := range wants[id] {
						if !found[w.logsource][w.field] && reader.Has(w.slot) {
							found[w.logsource][w.field] = true
						}
					}
				}
			})
			if err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	return found, served
}
