package json

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/event"
)

// walk lists the members of an object one level deep.
func walk(b []byte) (string, int, error) {
	var out []string
	end, err := Members(b, 0, func(key []byte, at int) (int, error) {
		end, err := ValueEnd(b, at)
		if err == nil {
			out = append(out, string(key)+"="+string(b[at:end]))
		}
		return end, err
	})
	return strings.Join(out, " | "), end, err
}

func TestMembers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in, want string
		end      int
	}{
		{`{}`, "", 2},
		{` { } x`, "", 4},
		{`{"a":1,"b":"x}\"","a":[{"c":"]"}],"d":null}{"next":1}`, `a=1 | b="x}\"" | a=[{"c":"]"}] | d=null`, 43},
		{"{\r\n\"a\" : {\"b\" : 2 } ,\t\"c\":-1.5e3 }", `a={"b" : 2 } | c=-1.5e3`, 34},
		{`{"\u0065vent":true}`, "event=true", 19},
	}
	for _, tt := range tests {
		got, end, err := walk([]byte(tt.in))
		if err != nil || got != tt.want || end != tt.end {
			t.Errorf("%s: %q to %d, %v", tt.in, got, end, err)
		}
	}
	for _, in := range []string{``, `[`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a" 1}`, `{a:1}`, `{"a":}`, `{"a":[}]}`, `{"a":"x}`, `{"a":1 2}`, `{"\x":1}`} {
		if _, _, err := walk([]byte(in)); err == nil {
			t.Errorf("%s: no error", in)
		} else if syntax := (*event.SyntaxError)(nil); !errors.As(err, &syntax) || syntax.Offset > len(in) {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestItems(t *testing.T) {
	t.Parallel()
	b := []byte(` [ {"a":1} ,2,"x",[] ] `)
	var got []string
	end, err := Items(b, 0, func(at int) (int, error) {
		end, err := ValueEnd(b, at)
		got = append(got, string(b[at:end]))
		return end, err
	})
	if err != nil || end != 22 || strings.Join(got, ";") != `{"a":1};2;"x";[]` {
		t.Errorf("%q to %d, %v", got, end, err)
	}
	for _, in := range []string{`[`, `[1`, `[1,`, `[1,]`, `{}`, `[1 2]`} {
		b := []byte(in)
		if _, err := Items(b, 0, func(at int) (int, error) { return ValueEnd(b, at) }); err == nil {
			t.Errorf("%s: no error", in)
		}
	}
}

// What parses as an object is walked, its end is found and its values are those
// of the tree.
func FuzzMembers(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[{"c":"]\\"}]} x`))
	f.Add([]byte("{\"\\u0061\":\"\xff\",\"\":{}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var tree event.Tree
		n, err := tree.ParseJSONPrefix(data)
		var texts [][]byte
		end, werr := Members(data, 0, func(key []byte, at int) (int, error) {
			end, err := ValueEnd(data, at)
			if err == nil && (end <= at || end > len(data)) {
				t.Fatalf("value %d to %d of %d", at, end, len(data))
			}
			texts = append(texts, append(bytes.Clone(key), data[at:max(at, end)]...))
			return end, err
		})
		if err != nil || tree.Kind(0) != event.Object {
			return
		}
		if werr != nil || end != n {
			t.Fatalf("the tree ends at %d, the walk at %d: %v", n, end, werr)
		}
		i := 0
		for c := 1; c < tree.Len(); c = tree.End(c) {
			var value event.Tree
			key := tree.Key(c)
			if !bytes.HasPrefix(texts[i], key) {
				t.Fatalf("member %d: %q", i, texts[i])
			}
			if err := value.ParseJSON(texts[i][len(key):]); err != nil {
				t.Fatal(err)
			}
			if string(value.AppendJSON(nil, 0)) != string(tree.AppendJSON(nil, c)) {
				t.Fatalf("member %d differs", i)
			}
			i++
		}
		if i != len(texts) {
			t.Fatalf("%d members, %d walked", i, len(texts))
		}
	})
}
