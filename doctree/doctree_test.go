package doctree_test

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/tiercel-io/tiercel/doctree"
)

func text(s string) *doctree.Node { return &doctree.Node{Value: s} }

func sequence(items ...*doctree.Node) *doctree.Node {
	return &doctree.Node{Kind: doctree.Sequence, Items: items}
}

func mapping(kv ...any) *doctree.Node {
	n := &doctree.Node{Kind: doctree.Mapping}
	for i := 0; i < len(kv); i += 2 {
		n.Pairs = append(n.Pairs, doctree.Pair{Key: text(kv[i].(string)), Value: kv[i+1].(*doctree.Node)})
	}
	return n
}

func hash(n *doctree.Node) string {
	h := sha256.New()
	n.Hash(h)
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestGet(t *testing.T) {
	t.Parallel()
	n := mapping("a", text("1"), "b", sequence())
	if n.Get("a").Value != "1" || n.Get("b").Kind != doctree.Sequence || n.Get("c") != nil {
		t.Error("members")
	}
	var none *doctree.Node
	if none.Get("a") != nil || text("a").Get("a") != nil {
		t.Error("what is no map has no members")
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	n := mapping("a", sequence(text("1"), text("x y")), "b", mapping())
	if got := n.Compact(); got != "{a: [1, x y], b: {}}" {
		t.Error(got)
	}
	if got := text("as it is").Compact(); got != "as it is" {
		t.Error(got)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]*doctree.Node{
		"text": text("a"), "a list": sequence(), "a map": mapping(), "null": {Type: doctree.Null},
		"a number": {Type: doctree.Float}, "true or false": {Type: doctree.Bool},
	} {
		if got := n.Describe(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Trees that say the same hash alike, all others apart.
func TestHash(t *testing.T) {
	t.Parallel()
	same := [][2]*doctree.Node{
		{mapping("a", text("1"), "b", text("2")), mapping("b", text("2"), "a", text("1"))},
		{text("a"), {Value: "a", Quoted: true, Line: 5, Column: 6}},
		{{Type: doctree.Null, Value: "~"}, {Type: doctree.Null, Value: "null"}},
		{{Type: doctree.Bool, Value: "True"}, {Type: doctree.Bool, Value: "true"}},
	}
	for i, pair := range same {
		if hash(pair[0]) != hash(pair[1]) {
			t.Errorf("pair %d differs", i)
		}
	}
	apart := []*doctree.Node{
		text(""), text("a"), text("ab"),
		{Type: doctree.Null},
		{Type: doctree.Int, Value: "a"},
		{Type: doctree.Float, Value: "a"},
		{Type: doctree.Bool, Value: "a"},
		sequence(), sequence(text("a")), sequence(text("a"), text("b")), sequence(text("b"), text("a")), sequence(text("ab")), sequence(sequence(text("a")), text("b")),
		sequence(sequence(text("a"), text("b"))), mapping(), mapping("a", text("b")), mapping("a", text("b"), "c", text("d")), mapping("a", mapping("b", text("c"))),
		sequence(text("a"), text("b"), text("")), sequence(text("sa"), text("b")),
	}
	seen := map[string]int{}
	for i, n := range apart {
		if j, ok := seen[hash(n)]; ok {
			t.Errorf("%s and %s hash alike", apart[j].Compact(), n.Compact())
		}
		seen[hash(n)] = i
	}
	// The encoding, written out: a map of one pair, text "a" to number 1.
	want := fmt.Sprintf("%x", sha256.Sum256([]byte("M\x01\x01ai\x011")))
	if got := hash(mapping("a", &doctree.Node{Type: doctree.Int, Value: "1"})); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
