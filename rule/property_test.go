package rule

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func genCondition(depth int) *rapid.Generator[cond] {
	name := rapid.StringMatching(`[a-zA-Z0-9_-]{1,8}`).Filter(func(s string) bool { return !isReserved(s) })
	leaf := rapid.Custom(func(t *rapid.T) cond {
		switch rapid.IntRange(0, 2).Draw(t, "leaf") {
		case 0:
			return condName{name.Draw(t, "name")}
		case 1:
			return condOf{rapid.Bool().Draw(t, "all"), "them"}
		}
		pattern := rapid.StringMatching(`[a-z_*-]{1,8}`).Filter(func(s string) bool { return !isReserved(s) })
		return condOf{rapid.Bool().Draw(t, "all"), pattern.Draw(t, "pattern")}
	})
	if depth == 0 {
		return leaf
	}
	return rapid.Custom(func(t *rapid.T) cond {
		several := func() []cond {
			return rapid.SliceOfN(genCondition(depth-1), 2, 4).Draw(t, "x")
		}
		switch rapid.IntRange(0, 3).Draw(t, "node") {
		case 0:
			return condAnd{several()}
		case 1:
			return condOr{several()}
		case 2:
			return condNot{genCondition(depth-1).Draw(t, "not")}
		}
		return leaf.Draw(t, "leaf")
	})
}

var condTypes = cmp.AllowUnexported(condAnd{}, condOr{}, condNot{}, condName{}, condOf{})

// Printing and parsing a condition gives the condition.
func TestConditionRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := genCondition(4).Draw(t, "condition")
		text := printCondition(want)
		got, lints, err := parseCondition(text)
		if err != nil || len(lints) > 0 {
			t.Fatalf("%s: %v %v", text, err, lints)
		}
		if diff := cmp.Diff(want, got, condTypes); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", text, diff)
		}
	})
}

func genText(t *rapid.T) string {
	return rapid.StringOf(rapid.SampledFrom([]rune(`ab*?\%-/– é`))).Draw(t, "text")
}

// Printing and parsing a pattern gives the pattern; parsing keeps the form
// that Text promises.
func TestPatternRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		parts := ParsePattern(genText(t))
		checkParts(t, parts)
		if diff := cmp.Diff(parts, ParsePattern(FormatPattern(parts))); diff != "" {
			t.Fatalf("(-first +again):\n%s", diff)
		}
	})
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkParts(t fataler, parts []Part) {
	t.Helper()
	for i, p := range parts {
		if (p.Lit != "") != (p.Kind == Literal) {
			t.Fatalf("part %d of %q: kind %d with text %q", i, parts, p.Kind, p.Lit)
		}
		if i > 0 && p.Kind == parts[i-1].Kind && (p.Kind == Star || p.Kind == Literal) {
			t.Fatalf("neighbours of one kind in %q", parts)
		}
	}
}

// A slow reading of the escapes, character by character from the definition,
// agrees with ParsePattern on what the pattern matches.
func TestPatternAgainstDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		source := genText(t)
		var want strings.Builder
		want.WriteString(`(?s)\A`)
		for rest := source; rest != ""; {
			switch {
			case strings.HasPrefix(rest, `\*`), strings.HasPrefix(rest, `\?`), strings.HasPrefix(rest, `\\`):
				want.WriteString(regexp.QuoteMeta(rest[1:2]))
				rest = rest[2:]
			case rest[0] == '*':
				want.WriteString(".*")
				rest = rest[1:]
			case rest[0] == '?':
				want.WriteString(".")
				rest = rest[1:]
			default:
				_, n := utf8.DecodeRuneInString(rest)
				want.WriteString(regexp.QuoteMeta(rest[:n]))
				rest = rest[n:]
			}
		}
		want.WriteString(`\z`)
		got := `\A` + patternRegex(ParsePattern(source)) + `\z`
		text := genText(t)
		if w, g := regexp.MustCompile(want.String()).MatchString(text), regexp.MustCompile(got).MatchString(text); w != g {
			t.Fatalf("%q on %q: %v by definition, %v by its parts", source, text, w, g)
		}
	})
}

// windash marks exactly the dashes that Python's \B[-/–—―]\b finds; a value
// keeps all its other text.
func TestWindashAgainstDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune(`ab_1é-/–—― .`))).Draw(t, "text")
		runes := []rune(text)
		var want strings.Builder
		for i, r := range runes {
			before := i > 0 && isWord(runes[i-1])
			after := i+1 < len(runes) && isWord(runes[i+1])
			if strings.ContainsRune(Dashes, r) && !before && after {
				want.WriteByte('~')
			} else {
				want.WriteRune(r)
			}
		}
		parts := windash(literal(text))
		checkParts(t, parts)
		var got strings.Builder
		for _, p := range parts {
			if p.Kind == Dash {
				got.WriteByte('~')
			}
			got.WriteString(p.Lit)
		}
		if got.String() != want.String() {
			t.Fatalf("%q: got %q, want %q", text, got.String(), want.String())
		}
		if diff := cmp.Diff(parts, windash(parts)); diff != "" {
			t.Fatalf("windash twice differs:\n%s", diff)
		}
	})
}

// Wherever a value stands in a longer one, one of its three fragments stands
// in the encoding.
func TestBase64OffsetFinds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringN(2, 20, 40).Filter(func(s string) bool { return len(s) > 1 }).Draw(t, "value")
		before, after := rapid.String().Draw(t, "before"), rapid.String().Draw(t, "after")
		encoded := base64Padded(before + value + after)
		fragment := base64Offsets(value)[len(before)%3]
		if fragment == "" || !strings.Contains(encoded, fragment) {
			t.Fatalf("%q is not in %q", fragment, encoded)
		}
	})
}

// Names are matched by patterns as by the obvious expression.
func TestGlobAgainstDefinition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*]{0,8}`).Draw(t, "pattern")
		name := rapid.StringMatching(`[ab]{0,10}`).Draw(t, "name")
		want := regexp.MustCompile(`\A` + strings.ReplaceAll(pattern, "*", ".*") + `\z`).MatchString(name)
		if got := globMatch(pattern, name); got != want {
			t.Fatalf("%q on %q: %v", pattern, name, got)
		}
	})
}

func TestUUID(t *testing.T) {
	t.Parallel()
	// RFC 9562, appendix A.4: version 5 of www.example.com in the DNS
	// namespace.
	dns := [16]byte{0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}
	if got := uuid5(dns, []byte("www.example.com")); got != "2ed6657d-e927-568b-95e1-2665a8aea6a2" {
		t.Errorf("got %s", got)
	}
	for s, want := range map[string]bool{
		"2ed6657d-e927-568b-95e1-2665a8aea6a2":    true,
		"2ED6657D-E927-568B-95E1-2665A8AEA6A2":    true,
		"2ed6657de927568b95e12665a8aea6a2":        false,
		"2ed6657d-e927-568b-95e1-2665a8aea6ag":    false,
		"2ed6657d-e927-568b-95e1-2665a8aea6a\x10": false,
		"": false,
	} {
		if isUUID(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
