package evtx

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// The reference trees were made by another parser of EVTX. differences names
// each way in which its rendering of the same value differs from ours; every
// leaf must be equal or differ in one of these ways.
var differences = []struct {
	name string
	same func(reference any, ours any) bool
}{
	// The reference has null for an element without content; here it is the
	// empty string, and null is kept for formats that have one.
	{"empty element: null or empty string", func(r, o any) bool {
		return r == nil && o == ""
	}},
	// The reference writes GUIDs bare and in upper case, Windows in braces.
	{"GUID: braces and case", func(r, o any) bool {
		a, ok := r.(string)
		b, ok2 := o.(string)
		return ok && ok2 && len(a) == 36 && len(b) == 38 && strings.EqualFold("{"+a+"}", b)
	}},
	// The reference cuts times to microseconds; Windows writes all seven
	// decimals.
	{"time: decimals", func(r, o any) bool {
		a, ok := r.(string)
		b, ok2 := o.(string)
		if !ok || !ok2 || len(b) != len("2006-01-02T15:04:05.0000000Z") || b[10] != 'T' {
			return false
		}
		x, err := time.Parse(time.RFC3339Nano, a)
		y, err2 := time.Parse(time.RFC3339Nano, b)
		return err == nil && err2 == nil && x.Equal(y.Truncate(time.Microsecond)) || x.Equal(y)
	}},
	// The reference trims text; here it is verbatim.
	{"text: spaces at its end", func(r, o any) bool {
		a, ok := r.(string)
		b, ok2 := o.(string)
		return ok && ok2 && a == strings.TrimRight(b, " ")
	}},
	// One reference was written by hand and spells a path in another case.
	{"text: letter case", func(r, o any) bool {
		a, ok := r.(string)
		b, ok2 := o.(string)
		return ok && ok2 && strings.EqualFold(a, b)
	}},
}

// compare reports how reference and ours differ at path: by a class of
// differences, which it counts, or otherwise, which it returns.
func compare(path string, reference, ours any, classes map[string]int) []string {
	switch r := reference.(type) {
	case map[string]any:
		o, ok := ours.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s: an object, ours is %v", path, ours)}
		}
		var wrong []string
		for _, k := range slices.Sorted(maps.Keys(r)) {
			v, ok := o[k]
			if !ok {
				wrong = append(wrong, fmt.Sprintf("%s/%s: missing", path, k))
				continue
			}
			wrong = append(wrong, compare(path+"/"+k, r[k], v, classes)...)
		}
		for _, k := range slices.Sorted(maps.Keys(o)) {
			if _, ok := r[k]; !ok {
				wrong = append(wrong, fmt.Sprintf("%s/%s: ours alone: %v", path, k, o[k]))
			}
		}
		return wrong
	case []any:
		o, ok := ours.([]any)
		if !ok || len(o) != len(r) {
			return []string{fmt.Sprintf("%s: %v, ours is %v", path, reference, ours)}
		}
		var wrong []string
		for i := range r {
			wrong = append(wrong, compare(fmt.Sprintf("%s/%d", path, i), r[i], o[i], classes)...)
		}
		return wrong
	}
	if reference == ours {
		return nil
	}
	for _, d := range differences {
		if d.same(reference, ours) {
			classes[d.name]++
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: %#v, ours is %#v", path, reference, ours)}
}

func decodeTrees(t *testing.T, data []byte) (trees []any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	d.UseNumber()
	for d.More() {
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		if list, ok := v.([]any); ok {
			trees = append(trees, list...)
		} else {
			trees = append(trees, v)
		}
	}
	return trees
}

// TestRegressionTrees compares the tree of each log with the reference's.
func TestRegressionTrees(t *testing.T) {
	t.Parallel()
	classes := map[string]int{}
	compared, files := 0, 0
	for _, path := range logs(t, filepath.Join(corpus(t), "regression")) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(strings.TrimSuffix(path, ".evtx") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var ours []any
		problems, err := read(bytes.NewReader(data), func(rec *event.Record) {
			ours = append(ours, decodeTrees(t, rec.Tree.AppendJSON(nil, 0))...)
		})
		if err != nil || len(problems) > 0 {
			t.Errorf("%s: %v %v", path, err, problems)
			continue
		}
		files++
		for i, r := range decodeTrees(t, text) {
			// A log may hold more records than the reference; the record id pairs
			// them.
			if i >= len(ours) {
				t.Errorf("%s: the reference has more than our %d records", path, len(ours))
				break
			}
			o := ours[slices.IndexFunc(ours, func(o any) bool { return idOf(o) == idOf(r) })]
			for _, w := range compare("", r, o, classes) {
				t.Errorf("%s: %s", filepath.Base(path), w)
			}
			compared++
		}
	}
	if n := classes["text: letter case"]; n > 1 {
		t.Errorf("%d values differ in letter case; one is known", n)
	}
	t.Logf("%d files, %d trees; differences: %v", files, compared, classes)
}

func idOf(tree any) any {
	for _, k := range []string{"Event", "System", "EventRecordID"} {
		m, _ := tree.(map[string]any)
		tree = m[k]
	}
	return tree
}
