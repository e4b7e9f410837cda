package pack

import (
	"regexp"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestNeededTexts(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string][]string{
		`abc`:                   {"abc"},
		`^\d+ query: (\S+)$`:    {" query: "},
		`(?:IN|CH) x|long text`: {" x", "|", "long text"},
		`(?i)abc`:               nil,
		`a*`:                    nil,
		`(abc)?d`:               {"d"},
		`(abc)+`:                {"abc"},
		`(ab){2,3}`:             {"ab"},
		`(abc){0,3}`:            nil,
		`abc|[a-z]+`:            {"abc", "|"},
		`[a-z]+`:                nil,
		``:                      nil,
	} {
		var got []string
		for i, a := range newTextSearch(regexp.MustCompile(pattern)) {
			if i > 0 {
				got = append(got, "|")
			}
			for _, n := range a.needs {
				got = append(got, string(n))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s needs %q, want %q", pattern, got, want)
		}
	}
}

// A search with needed texts finds what the expression alone finds.
func TestSearchEqualsItsExpression(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{"a", "b", "ab", "(ab|c)", "(a|bc)+", "c?", "(b){2}", "(ca){0,2}", `\d`, "^", "$", "(?i:ab)", "[ab]", ".", "(|b)", "a*"})
	rapid.Check(t, func(t *rapid.T) {
		pattern := ""
		for _, p := range rapid.SliceOfN(piece, 0, 6).Draw(t, "pattern") {
			pattern += p
			if rapid.IntRange(0, 5).Draw(t, "or") == 0 {
				pattern += "|"
			}
		}
		re := regexp.MustCompile(pattern)
		s := newTextSearch(re)
		text := []byte(rapid.StringMatching(`[abcAB1]{0,12}`).Draw(t, "text"))
		if got, want := s.match(text), re.Match(text); got != want {
			t.Fatalf("%s on %s: %v with %v, want %v", pattern, text, got, s, want)
		}
	})
}
