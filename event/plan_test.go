package event

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func read(t *testing.T, raw string, l Lookup) []string {
	t.Helper()
	plan := NewPlan(map[string]Func{
		"join": func(in [][][]byte, params []string, emit func([]byte)) {
			if len(in[0]) > 0 && len(in[1]) > 0 {
				emit([]byte(string(in[0][0]) + params[0] + string(in[1][0])))
			}
		},
	})
	plan.Slot(Lookup{Paths: []string{"other"}}) // so that slots are not all 0
	slot := plan.Slot(l)
	r := plan.Reader()
	var tree Tree
	var out []string
	for range 2 { // the second time from the remembered shape
		if err := tree.ParseJSON([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		r.Bind(&tree)
		out = nil
		for _, v := range r.Values(slot) {
			out = append(out, v.Kind.String()+":"+string(v.Text))
		}
		if r.Has(slot) != (len(out) > 0) {
			t.Fatalf("Has = %v, values %q", r.Has(slot), out)
		}
	}
	return out
}

// The cases follow [D22] and [D17], [D18]: what a field's name finds.
func TestLookup(t *testing.T) {
	t.Parallel()
	paths := func(p ...string) Lookup { return Lookup{Paths: p} }
	for _, c := range []struct {
		name, raw string
		l         Lookup
		want      string
	}{
		{"plain", `{"F":"x"}`, paths("F"), "string:x"},
		{"absent", `{"G":"x"}`, paths("F"), ""},
		{"null is present", `{"F":null}`, paths("F"), "null:"},
		{"empty array stays", `{"F":[]}`, paths("F"), "array:"},
		{"array fans out", `{"F":["a",["b"],1]}`, paths("F"), "string:a string:b number:1"},
		{"literal dotted key", `{"id.orig_h":"1"}`, paths("id.orig_h"), "string:1"},
		{"dotted path", `{"id":{"orig_h":"1"}}`, paths("id.orig_h"), "string:1"},
		{"literal before path", `{"id":{"orig_h":"p"},"id.orig_h":"l"}`, paths("id.orig_h"), "string:l"},
		{"key with a dot inside a path", `{"a":{"b.c":{"d":"x"}}}`, paths("a.b.c.d"), "string:x"},
		{"array of objects", `{"t":[{"n":"x"},{"m":1},{"n":"y"}]}`, paths("t.n"), "string:x string:y"},
		{"exact before folded", `{"operationname":"f","OperationName":"e"}`, paths("OperationName"), "string:e"},
		{"folded name", `{"operationName":"x"}`, paths("OperationName"), "string:x"},
		{"spaces stripped", `{"Threat Name":"x"}`, paths("ThreatName"), "string:x"},
		{"folded names collapse", `{"threat name":"a","THREATNAME":"b"}`, paths("ThreatName"), "string:a string:b"},
		{"duplicate key", `{"F":"a","F":"b"}`, paths("F"), "string:a string:b"},
		{"first path wins", `{"a":"1","b":"2"}`, paths("b", "a"), "string:2"},
		{"exact second path before folded first", `{"B":"1","a":"2"}`, paths("b", "a"), "string:2"},
		{"all paths", `{"a":"1","b":"2"}`, Lookup{Paths: []string{"b", "a"}, All: true}, "string:2 string:1"},
		{"any key", `{"U":{"X":{"f":"1"},"Y":{"f":"2"}}}`, paths("U.*.f"), "string:1 string:2"},
		{"object as text", `{"p": {"k": "v1", "n": [1, null]}}`, paths("p"), `object:{"k":"v1","n":[1,null]}`},
		{"non-ASCII folded name", `{"ПОЛЕ":"x"}`, paths("поле"), "string:x"},
		{"root", `"x"`, paths(""), "string:x"},
		{"function", `{"d":"D","u":"U"}`, Lookup{Func: "join", Params: []string{`\`}, Args: []Lookup{paths("d"), paths("u")}}, `string:D\U`},
		{"function of an absent argument", `{"d":"D"}`, Lookup{Func: "join", Params: []string{`\`}, Args: []Lookup{paths("d"), paths("u")}}, ""},
		{"nested function", `{"d":"D","u":"U"}`, Lookup{Func: "join", Params: []string{"+"}, Args: []Lookup{{Func: "join", Params: []string{"-"}, Args: []Lookup{paths("d"), paths("u")}}, paths("u")}}, "string:D-U+U"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := strings.Join(read(t, c.raw, c.l), " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestLeaves(t *testing.T) {
	t.Parallel()
	plan := NewPlan(nil)
	all, some := plan.Leaves(nil), plan.Leaves([]string{"b", "c.d"})
	r := plan.Reader()
	var tree Tree
	if err := tree.ParseJSON([]byte(`{"a":1,"b":{"x":"2","y":[true,null]},"c":{"d":["3"],"e":"4"}}`)); err != nil {
		t.Fatal(err)
	}
	r.Bind(&tree)
	texts := func(slot int) string {
		var out []string
		for _, v := range r.Values(slot) {
			out = append(out, string(v.Text))
		}
		return strings.Join(out, ",")
	}
	if got := texts(all); got != "1,2,true,,3,4" {
		t.Errorf("all leaves: %s", got)
	}
	if got := texts(some); got != "2,true,,3" {
		t.Errorf("some leaves: %s", got)
	}
}

// Trees with one shape share what was looked up; trees that only look alike do
// not. Keys are chosen to imitate structure.
func TestShapesAreExact(t *testing.T) {
	t.Parallel()
	plan := NewPlan(nil)
	slot := plan.Slot(Lookup{Paths: []string{"a.b"}})
	r := plan.Reader()
	var tree Tree
	seen := map[string]string{}
	for _, raw := range []string{
		`{"a":{"b":1}}`, `{"a":{"b":2}}`, `{"a":{},"b":3}`, `{"a":{"c":4}}`, `{"a":[{"b":5}]}`, `{"a":[[{"b":6}]]}`,
		`{"a":{"b":[]}}`, `{"a":{"b":{}}}`, `{"a.b":7}`, `{"a":{"bb":8}}`, `{"a\u0001b":{"c":9}}`, `{"a":[],"b":1}`,
		`{"` + strings.Repeat("k", 300) + `":{"b":1}}`,
	} {
		if err := tree.ParseJSON([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		keys := ""
		for i := range tree.Len() {
			keys += fmt.Sprintf("%q/%d/%v,", tree.Key(i), tree.End(i), tree.Kind(i) >= Object)
		}
		if old, ok := seen[string(tree.Shape())]; ok && old != keys {
			t.Errorf("%s has the shape of %s", keys, old)
		}
		seen[string(tree.Shape())] = keys
		r.Bind(&tree)
		fresh := plan.Reader()
		fresh.Bind(&tree)
		if !slices.Equal(r.Nodes(slot), fresh.Nodes(slot)) {
			t.Errorf("%s: %v remembered, %v fresh", raw, r.Nodes(slot), fresh.Nodes(slot))
		}
	}
	if len(seen) != 12 {
		t.Errorf("%d shapes of 12", len(seen))
	}
}

// A source that never repeats a shape costs time, not memory.
func TestShapeMemoryIsBounded(t *testing.T) {
	t.Parallel()
	plan := NewPlan(nil)
	slot := plan.Slot(Lookup{Paths: []string{"last"}})
	r := plan.Reader()
	var tree Tree
	most := 0
	for i := range 30_000 {
		if err := tree.ParseJSON(fmt.Appendf(nil, `{"key-%d":1,"last":%d}`, i, i)); err != nil {
			t.Fatal(err)
		}
		r.Bind(&tree)
		if got := r.Values(slot); len(got) != 1 || string(got[0].Text) != fmt.Sprint(i) {
			t.Fatalf("record %d: %v", i, got)
		}
		most = max(most, r.bytes)
	}
	if most > shapesBytesMax+4096 {
		t.Errorf("%d bytes of shapes", most)
	}
}
