package elastic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestParseAction(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, c := range []struct {
		line      string
		ok        bool
		op        op
		index, id string
	}{
		{line: `{"create":{}}`, ok: true, op: opCreate},
		{line: ` { "create" : { } } `, ok: true, op: opCreate},
		{line: `{"index":{"_index":"logs"}}`, ok: true, op: opIndex, index: "logs"},
		{line: `{"index":{"_index": "logs"}}`, ok: true, op: opIndex, index: "logs"},
		{line: `{"create":{"_id":"a/b","_index":"i"}}`, ok: true, op: opCreate, index: "i", id: "a/b"},
		{line: `{"delete":{"_id":17}}`, ok: true, op: opDelete, id: "17"},
		{line: `{"update":{"_id":"1","_index":"i","retry_on_conflict":3}}`, ok: true, op: opUpdate, index: "i", id: "1"},
		{line: `{"create":{"_index":null,"_id":null}}`, ok: true, op: opCreate},
		{line: `{"create":{"_type":"_doc","routing":"r","dynamic_templates":{"a":[1,{"b":null}]},"require_alias":true,"x":[],"y":{},"z":-1.5e+3,"_index":"i"}}`, ok: true, op: opCreate, index: "i"},
		{line: `{"\u0063reate":{"\u005findex":"a\"b","_id":"\ud83d\ude00"}}`, ok: true, op: opCreate, index: `a"b`, id: "😀"},
		{line: `{"create":{"_index":"ä"}}`, ok: true, op: opCreate, index: "ä"},
		{line: `{"create":{"x":` + deep(depthMax-1) + `}}`, ok: true, op: opCreate},

		{line: ``},
		{line: `null`},
		{line: `[]`},
		{line: `"create"`},
		{line: `{}`},
		{line: `create`},
		{line: `{"create":null}`},
		{line: `{"create":[]}`},
		{line: `{"create":{}`},
		{line: `{"create":{}}}`},
		{line: `{"create":{}} x`},
		{line: `{"create":{},"index":{}}`},
		{line: `{"create":{},"create":{}}`},
		{line: `{"create":{},}`},
		{line: `{"create":{"a":1,}}`},
		{line: `{"create":{,}}`},
		{line: `{"Create":{}}`},
		{line: `{"upsert":{}}`},
		{line: `{"create":{"_index":"a","_index":"b"}}`},
		{line: `{"create":{"_id":"a","\u005fid":"a"}}`},
		{line: `{"create":{"_index":null,"_index":"a"}}`},
		{line: `{"create":{"_index":true}}`},
		{line: `{"create":{"_index":["a"]}}`},
		{line: `{"create":{"_id":{}}}`},
		{line: `{"create":{"_id":01}}`},
		{line: `{"create":{"_id":-}}`},
		{line: `{"create":{"_id":1.}}`},
		{line: `{"create":{"_id":1e}}`},
		{line: `{'create':{}}`},
		{line: `{create:{}}`},
		{line: `{"create" {}}`},
		{line: "{\"create\":{\"a\":\"\x01\"}}"},
		{line: "{\"create\":{\"a\":\"\xff\"}}"},
		{line: `{"create":{"a":"\x"}}`},
		{line: `{"create":{"a":"\u12g4"}}`},
		{line: `{"create":{"a":"\u12`},
		{line: `{"create":{"a":"\`},
		{line: `{"create":{"a":nul}}`},
		{line: `{"create":{"x":` + deep(depthMax) + `}}`},
		{line: `{"create":{"_index":"` + strings.Repeat("i", indexBytesMax+1) + `"}}`},
		{line: `{"create":{"_id":"` + strings.Repeat("i", 100*idBytesMax) + `"}}`},
	} {
		data := []byte("xx" + c.line + "yy")
		a, ok := parseAction(data, 2, 2+len(c.line))
		if ok != c.ok {
			t.Errorf("%.80s: read %t, want %t", c.line, ok, c.ok)
			continue
		}
		if !ok {
			continue
		}
		index, okIndex := unescape(nil, a.index.of(data))
		id, okID := unescape(nil, a.id.of(data))
		if a.op != c.op || string(index) != c.index || string(id) != c.id || !okIndex || !okID {
			t.Errorf("%.80s: op %d index %q id %q, want %d %q %q", c.line, a.op, index, id, c.op, c.index, c.id)
		}
		if escaped := strings.Contains(string(a.index.of(data))+string(a.id.of(data)), `\`); escaped != a.escaped {
			t.Errorf("%.80s: escaped is %t", c.line, a.escaped)
		}
	}
}

func TestHalfOfASurrogatePairIsNoName(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{`\ud83d`, `\ude00\ud83d`, `\ud83dx`, `\ud83d\n`, `\ud83d\u0041`} {
		if out, ok := unescape(nil, []byte(raw)); ok {
			t.Errorf("%s became %q", raw, out)
		}
	}
}

func TestParseActionAllocatesNothing(t *testing.T) {
	data := []byte(`{"create":{"_index":"logs-windows","_id":"abc","pipeline":"p"}}`)
	if n := testing.AllocsPerRun(100, func() {
		if _, ok := parseAction(data, 0, len(data)); !ok {
			t.Error("not read")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzAction checks that what is read as an action is JSON of that form, with
// the names that the standard library reads.
func FuzzAction(f *testing.F) {
	f.Add([]byte(`{"create":{"_index":"a","_id":"\u00e4\ud83d\ude00","x":[1,{"y":null}]}}`))
	f.Add([]byte(` { "\u0069ndex" : { "_id" : -1.5e3 } } `))
	f.Fuzz(func(t *testing.T, line []byte) {
		a, ok := parseAction(line, 0, len(line))
		if !ok {
			return
		}
		var want map[string]map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&want); err != nil || !json.Valid(line) {
			t.Fatalf("%q is no JSON: %v", line, err)
		}
		names, found := want[opNames[a.op]]
		if !found || len(want) != 1 {
			t.Fatalf("%q is no %s", line, opNames[a.op])
		}
		for key, s := range map[string]span{"_index": a.index, "_id": a.id} {
			text, ok := unescape(nil, s.of(line))
			if !ok {
				continue // half of a surrogate pair, which the item is refused for
			}
			expected := ""
			if v := names[key]; v != nil {
				expected = fmt.Sprint(v)
			}
			if string(text) != expected {
				t.Fatalf("%q: %s is %q, want %q", line, key, text, expected)
			}
		}
	})
}
