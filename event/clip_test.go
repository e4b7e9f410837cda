package event

import "testing"

func TestClip(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		max  int
		want string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abc", 2, "ab"},
		{"abc", 0, ""},
		{"aé", 2, "a"},
		{"aé", 3, "aé"},
		{"é", 1, ""},
		{"a\U0001F600", 4, "a"},
		{"a\U0001F600b", 5, "a\U0001F600"},
	} {
		if got := Clip(c.text, c.max); got != c.want || len(got) > c.max {
			t.Errorf("Clip(%q, %d) = %q, want %q", c.text, c.max, got, c.want)
		}
	}
}
