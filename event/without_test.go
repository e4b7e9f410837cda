package event

import "testing"

func TestAppendJSONWithout(t *testing.T) {
	t.Parallel()
	const text = `{"a":1,"b":{"c":"x\n","d":[{"e":1,"f":2},3]},"b.c":null,"k\"":true}`
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{nil, text},
		{[]string{"a"}, `{"b":{"c":"x\n","d":[{"e":1,"f":2},3]},"b.c":null,"k\"":true}`},
		{[]string{"b"}, `{"a":1,"b.c":null,"k\"":true}`},
		{[]string{"b.d.e", "k\""}, `{"a":1,"b":{"c":"x\n","d":[{"f":2},3]},"b.c":null}`},
		{[]string{"b.c"}, `{"a":1,"b":{"d":[{"e":1,"f":2},3]},"k\"":true}`},
		{[]string{"A", "c"}, text},
		{[]string{"a", "b", "b.c", "k\""}, `{}`},
	} {
		var tree Tree
		if err := tree.ParseJSON([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if got := string(tree.AppendJSONWithout(nil, c.paths)); got != c.want {
			t.Errorf("without %q:\n%s, want\n%s", c.paths, got, c.want)
		}
	}
}
