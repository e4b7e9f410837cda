package event

import (
	"strings"
	"testing"
)

// The cases follow the table of hostile input: a field given twice, or in two
// cases that stand for one field, and text that is not Unicode.
func TestFlags(t *testing.T) {
	t.Parallel()
	plan := NewPlan(nil)
	for _, p := range []string{"Image", "operationName", "proc.cmd", "ThreatName", "uid", "SYSCALL.uid", "items.name"} {
		plan.Slot(Lookup{Paths: []string{p}})
	}
	for _, c := range []struct {
		name, raw string
		want      Flags
		key       string
	}{
		{"sound", `{"Image":"a","b":{"c":["d",{"e":1}]}}`, 0, ""},
		{"one key in two objects", `{"a":{"k":1},"b":{"k":2},"k":3}`, 0, ""},
		{"one key in items of an array", `{"a":[{"k":1},{"k":2}]}`, 0, ""},
		{"key twice", `{"x":1,"y":2,"x":3}`, DuplicateField, "x"},
		{"key twice with equal values", `{"x":1,"x":1}`, DuplicateField, "x"},
		{"key twice below", `{"a":[{"b":{"k":1,"k":2}}]}`, DuplicateField, "k"},
		{"key twice, once escaped", `{"Image":"a","\u0049mage":"b"}`, DuplicateField, "Image"},
		{"empty key twice", `{"":1,"":2}`, DuplicateField, ""},
		{"two cases of a field", `{"Image":"a","image":"b"}`, DuplicateField, "image"},
		{"two cases of a field, neither as written", `{"OPERATIONNAME":"a","OperationName":"b"}`, DuplicateField, "OperationName"},
		{"two cases with Unicode", `{"Image":"a","\u0131mage":"b"}`, 0, ""},
		{"two cases below", `{"proc":{"cmd":"a","Cmd":"b"}}`, DuplicateField, "Cmd"},
		{"two cases above", `{"proc":{"cmd":"a"},"Proc":{"cmd":"b"}}`, DuplicateField, "Proc"},
		{"two cases in an item", `{"items":[{"x":1},{"name":"a","Name":"b"}]}`, DuplicateField, "Name"},
		{"two cases of what nobody asks for", `{"other":"a","Other":"b"}`, 0, ""},
		{"two cases in different objects", `{"x":{"Image":"a"},"image":"b"}`, 0, ""},
		{"spaces, neither as written", `{"Threat Name":"a","threatname":"b"}`, DuplicateField, "threatname"},
		{"spaces beside the field as written", `{"ThreatName":"a","Threat Name":"b"}`, 0, ""},
		{"audit's number and name", `{"SYSCALL":{"uid":0,"UID":"root"},"uid":0,"UID":"root"}`, 0, ""},
		{"audit's number and a third", `{"uid":0,"Uid":"root"}`, DuplicateField, "Uid"},
		{"invalid UTF-8", "{\"Image\":\"a\xffb\"}", InvalidText, ""},
		{"invalid UTF-8 beside an escape", "{\"Image\":\"a\\n\xff\"}", InvalidText, ""},
		{"invalid UTF-8 before an escape", "{\"Image\":\"\xc3\\n\"}", InvalidText, ""},
		{"invalid UTF-8 in a long text", "{\"Image\":\"" + strings.Repeat("a\\t", 50) + "\xed\xa0\x80\"}", InvalidText, ""},
		{"overlong", "{\"Image\":\"\xc0\xaf\"}", InvalidText, ""},
		{"invalid UTF-8 in a key", "{\"a\xfe\":1}", InvalidText, ""},
		{"first half of a pair", `{"Image":"\ud83d"}`, InvalidText, ""},
		{"first half before another escape", `{"Image":"\ud83d\n"}`, InvalidText, ""},
		{"second half of a pair", `{"Image":"a\ude00"}`, InvalidText, ""},
		{"halves the wrong way round", `{"Image":"\ude00\ud83d"}`, InvalidText, ""},
		{"two first halves", `{"Image":"\ud83d\ud83d\ude00"}`, InvalidText, ""},
		{"a pair", `{"Image":"\ud83d\ude00\ud83d\ude00"}`, 0, ""},
		{"a pair across sixty-four bytes", `{"Image":"` + strings.Repeat("x", 50) + `\ud83d\ude00"}`, 0, ""},
		{"the replacement character itself", `{"Image":"\ufffd` + "\uFFFD" + `"}`, 0, ""},
		{"non-ASCII and escapes", `{"Image":"é\t日本\\😀"}`, 0, ""},
		{"NUL and bidi controls", `{"Image":"\u0000\u202e"}`, 0, ""},
		{"both", "{\"x\":\"\xff\",\"x\":1}", DuplicateField | InvalidText, "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := plan.Reader()
			var tree Tree
			for range 2 { // the second time from what is known of the shape
				if err := tree.ParseJSON([]byte(c.raw)); err != nil {
					t.Fatal(err)
				}
				r.Bind(&tree)
				if got := r.Flags(); got != c.want {
					t.Errorf("flags %b, want %b", got, c.want)
				}
				key := ""
				if n := r.DuplicateMember(); n >= 0 {
					key = string(tree.Key(n))
				}
				if key != c.key {
					t.Errorf("key %q, want %q", key, c.key)
				}
				if err := tree.ParseJSON([]byte(`{"Image":"a"}`)); err != nil {
					t.Fatal(err)
				}
				if r.Bind(&tree); r.Flags() != 0 || r.DuplicateMember() >= 0 {
					t.Error("a sound record behind it is flagged")
				}
			}
		})
	}
}

// What is built by hand is flagged as what is parsed.
func TestFlagsOfBuiltTrees(t *testing.T) {
	t.Parallel()
	r := NewPlan(nil).Reader()
	for name, c := range map[string]struct {
		build func(t *Tree)
		want  Flags
	}{
		"sound":       {func(t *Tree) { t.PutKeyText("a"); t.PutText("é") }, 0},
		"text":        {func(t *Tree) { t.PutKeyText("a"); t.PutText("\xff") }, InvalidText},
		"string":      {func(t *Tree) { t.PutKeyText("a"); t.PutString([]byte("a\xc3")) }, InvalidText},
		"arena":       {func(t *Tree) { t.PutKeyText("a"); t.PutArenaText(append(t.Arena(), 0xff)) }, InvalidText},
		"span":        {func(t *Tree) { t.PutKeyText("a"); t.PutSpan(0, 2) }, InvalidText},
		"sound span":  {func(t *Tree) { t.PutKeyText("a"); t.PutSpan(2, 4) }, 0},
		"key":         {func(t *Tree) { t.PutKey([]byte("a\xff")); t.PutNull() }, InvalidText},
		"decoder":     {func(t *Tree) { t.PutKeyText("a"); t.PutText("\uFFFD"); t.NoteRepaired() }, InvalidText},
		"twice":       {func(t *Tree) { t.PutKeyText("a"); t.PutNull(); t.PutKeyText("a"); t.PutNull() }, DuplicateField},
		"grafted":     {func(t *Tree) { t.PutKeyText("a"); t.Graft(parsed("[\"\xff\"]"), 0) }, InvalidText},
		"grafted key": {func(t *Tree) { t.PutKeyText("a"); t.Graft(parsed(`{"k":1,"k":1}`), 0) }, DuplicateField},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := r.plan.Reader()
			var tree Tree
			tree.Reset([]byte("\xffaok"))
			tree.BeginObject()
			c.build(&tree)
			tree.EndContainer()
			if r.Bind(&tree); r.Flags() != c.want {
				t.Errorf("flags %b, want %b", r.Flags(), c.want)
			}
			if tree.Reset(nil); tree.Repaired() {
				t.Error("a tree that was emptied is repaired")
			}
		})
	}
}

func parsed(raw string) *Tree {
	t := new(Tree)
	if err := t.ParseJSON([]byte(raw)); err != nil {
		panic(err)
	}
	return t
}
