package yamltree_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/yamltree"
)

// show writes a tree on one line with types: s text, q quoted text, n null,
// b truth value, i and f numbers.
func show(n *doctree.Node) string {
	switch n.Kind {
	case doctree.Sequence:
		var out []string
		for _, c := range n.Items {
			out = append(out, show(c))
		}
		return "[" + strings.Join(out, " ") + "]"
	case doctree.Mapping:
		var out []string
		for _, p := range n.Pairs {
			out = append(out, p.Key.Value+"="+show(p.Value))
		}
		return "{" + strings.Join(out, " ") + "}"
	}
	prefix := "snbif"[n.Type : n.Type+1]
	if n.Quoted {
		prefix = "q" + strings.TrimPrefix(prefix, "s")
	}
	return prefix + ":" + n.Value
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"comment", "# nothing\n", ""},
		{"separators", "---\n---\n", ""},
		{"documents", "a: b\n---\nc: d\n", "{a=s:b} {c=s:d}"},
		{"crlf", "a: b\r\nc:\r\n  - d\r\n", "{a=s:b c=[s:d]}"},
		{"mark", "\ufeffa: b\n", "{a=s:b}"},
		{"spelling", "[0x10, 0o17, 007, 1_000, 0b1, 1.0, 1e3, .5, +5, .inf, .nan]", "[i:0x10 i:0o17 i:007 s:1_000 s:0b1 f:1.0 f:1e3 f:.5 i:+5 f:.inf f:.nan]"},
		{"core schema", "[yes, on, No, true, TRUE, False, null, ~, 2024-01-01, 12:30]", "[s:yes s:on s:No b:true b:TRUE b:False n:null n:~ s:2024-01-01 s:12:30]"},
		{"quotes", `['1', "tr\u0075e", '', 'a''b', "x\ty"]`, "[q:1 q:true q: q:a'b q:x\ty]"},
		{"blocks", "a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{a=q:x\ny\n b=q:x y}"},
		{"tags", "[!!str 5, !!int 5, !!float 5, !!null '']", "[q:5 i:5 f:5 qn:]"},
		{"alias", "a: &x [1, 2]\nb: *x\n", "{a=[i:1 i:2] b=[i:1 i:2]}"},
		{"merge", "base: &b {x: 1, y: 2}\ns:\n  <<: *b\n  y: 3\n", "{base={x=i:1 y=i:2} s={y=i:3 x=i:1}}"},
		{"merges", "a: &a {x: 1}\nb: &b {x: 2, y: 2}\ns: {<<: [*a, *b]}\n", "{a={x=i:1} b={x=i:2 y=i:2} s={x=i:1 y=i:2}}"},
		{"no merge", "s: {'<<': 1}\n", "{s={<<=i:1}}"},
		{"number as key", "4688: a\n", "{4688=s:a}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			docs, err := yamltree.Parse([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range docs {
				got = append(got, show(d))
			}
			if g := strings.Join(got, " "); g != c.want {
				t.Errorf("got %s, want %s", g, c.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	mergeBomb := "a: &a {"
	for i := range 1_000 {
		mergeBomb += fmt.Sprintf("k%d: v, ", i)
	}
	mergeBomb += "}\n"
	for i := range 100 {
		mergeBomb += fmt.Sprintf("m%d: {<<: *a}\n", i)
	}
	for _, c := range []struct {
		name, text, want string
		line, column     int
	}{
		{"duplicate", "a: 1\nb: 2\na: 3\n", `the key "a" stands twice in one map, first in line 1`, 3, 1},
		{"duplicate in flow", "x: {a: 1, a: 2}\n", `the key "a" stands twice`, 1, 11},
		{"duplicate with quotes", "1: a\n'1': b\n", `the key "1" stands twice`, 2, 1},
		{"duplicate among many", dozens() + "k3: x\n", `the key "k3" stands twice in one map, first in line 4`, 41, 1},
		{"bomb", bomb, "times its size, more than the limit of 10", 1, 1},
		{"merge bomb", mergeBomb, "merged maps make the document larger", 0, 0},
		{"cycle", "a: &a [*a]\n", "stands inside its own anchor", 1, 8},
		{"alias of another document", "a: &x 1\n---\nb: *x\n", "an anchor of another document", 3, 4},
		{"unknown alias", "a: *x\n", "unknown anchor 'x'", 0, 0},
		{"tag", "a: !go x\n", "the tag !go is not one of YAML's core tags", 1, 4},
		{"tag and value", "a: !!int x\n", `"x" is not a number, as its tag !!int says`, 1, 4},
		{"binary", "a: !!binary eA==\n", "the tag !!binary is not", 1, 4},
		{"map as key", "? {a: b}\n: c\n", "a key must be a single value, not a map", 1, 3},
		{"merge of text", "a: {<<: b}\n", "a merge key << takes a map, not text", 1, 9},
		{"merge of a list", "a: {<<: [b]}\n", "a merge key << takes maps, not text", 1, 9},
		{"deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), "nested more than 64 deep", 1, 64 + 1},
		{"deep through aliases", "a: &a " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "\nb: " + strings.Repeat("[", 40) + "*a" + strings.Repeat("]", 40) + "\n", "nested more than 64 deep", 2, 44},
		{"long value", "a: " + strings.Repeat("x", yamltree.ValueBytesMax+1), "longer than the limit of 65536", 1, 4},
		{"large file", strings.Repeat("#\n", yamltree.FileBytesMax), "more than the limit of 1048576", 1, 0},
		{"encoding", "a: b\nc: \xff\n", "the file is not UTF-8 text", 2, 0},
		{"tab", "a:\n\tb: c\n", "this is not YAML: found character that cannot start any token", 2, 0},
		{"open bracket", "a: 1\nb: [1, 2\nc: 3\n", "this is not YAML", 0, 0},
		{"indentation", "a: 1\nb:\n    c: 1\n   d: 2\n", "this is not YAML: did not find expected key", 4, 0},
		{"colon", "a: b: c\n", "mapping values are not allowed in this context", 1, 0},
		{"colon below", "x: 1\ny: 2\na: b: c\n", "mapping values are not allowed in this context", 3, 0},
		{"control character", "a: \x01\n", "control characters are not allowed", 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := yamltree.Parse([]byte(c.text))
			var e *yamltree.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(e.Error(), c.want) {
				t.Errorf("got %s, want %s", e, c.want)
			}
			if c.line > 0 && (e.Line != c.line || e.Column != c.column) {
				t.Errorf("at %d:%d, want %d:%d: %s", e.Line, e.Column, c.line, c.column, e)
			}
		})
	}
}

func dozens() string {
	var b strings.Builder
	for i := range 40 {
		fmt.Fprintf(&b, "k%d: v\n", i)
	}
	return b.String()
}

// The documents before a fault are kept.
func TestDocumentsBeforeFault(t *testing.T) {
	t.Parallel()
	docs, err := yamltree.Parse([]byte("a: b\n---\nc: [\n"))
	if err == nil || len(docs) != 1 || show(docs[0]) != "{a=s:b}" {
		t.Errorf("%v, %v", docs, err)
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	docs, err := yamltree.Parse([]byte("a:\n  - é: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	pair := docs[0].Get("a").Items[0].Pairs[0]
	if pair.Key.Line != 2 || pair.Key.Column != 5 || pair.Value.Column != 8 {
		t.Errorf("key at %d:%d, value at column %d", pair.Key.Line, pair.Key.Column, pair.Value.Column)
	}
}

// Anything is read within the limits or refused with a line.
func FuzzYAML(f *testing.F) {
	for _, s := range []string{"a: b\n---\n[1, 0x1, 'x']", "a: &x [*x]", "<<: {a: b}", "a: !!int x", "? {a: b}", "\ufeffa: |\r\n b", "a: b: c", "- - - x\n -"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		docs, err := yamltree.Parse(data)
		if err != nil {
			var e *yamltree.Error
			if !errors.As(err, &e) || e.Line < 1 || e.Msg == "" {
				t.Fatalf("error without a place: %v", err)
			}
		}
		for _, d := range docs {
			if n := check(t, d, 1); n > yamltree.ExpansionMax*(len(data)+1) {
				t.Fatalf("%d bytes made %d nodes", len(data), n)
			}
		}
	})
}

func check(t *testing.T, n *doctree.Node, depth int) int {
	t.Helper()
	if depth > yamltree.DepthMax+1 || n.Line < 1 || len(n.Value) > yamltree.ValueBytesMax {
		t.Fatalf("depth %d, line %d, %d bytes", depth, n.Line, len(n.Value))
	}
	nodes := 1
	for _, c := range n.Items {
		nodes += check(t, c, depth+1)
	}
	seen := map[string]bool{}
	for _, p := range n.Pairs {
		if seen[p.Key.Value] || p.Key.Kind != doctree.Scalar {
			t.Fatalf("key %q", p.Key.Value)
		}
		seen[p.Key.Value] = true
		nodes += 1 + check(t, p.Value, depth+1)
	}
	return nodes
}
