package event

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// Two code points fold alike exactly when one is in the other's orbit.
func TestFoldIsTheLeastOfTheOrbit(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		least := r
		for s := unicode.SimpleFold(r); s != r; s = unicode.SimpleFold(s) {
			least = min(least, s)
		}
		if got := Fold(r); got != least {
			t.Fatalf("Fold(%U) = %U, want %U", r, got, least)
		}
	}
}

func TestAppendFold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
		wide     bool
	}{
		{"", "", false},
		{"abcXYZ019`{@[", "ABCXYZ019`{@[", false},
		{"C:\\Windows\\System32\\cmd.exe", "C:\\WINDOWS\\SYSTEM32\\CMD.EXE", false},
		{"\u212aill", "KILL", false}, // the Kelvin sign folds onto ASCII
		{"ſ", "S", false},
		{"école", "ÉCOLE", true},
		{"дмин", "ДМИН", true},
		{"ß ss ẞ", "ß SS ß", true},
		{"İ i", "İ I", true},
		{"\xffa", "\uFFFDA", true},
		{"longer than eight é bytes", "LONGER THAN EIGHT É BYTES", true},
	} {
		got, wide := AppendFold([]byte("pre"), []byte(c.in))
		if string(got) != "pre"+c.want || wide != c.wide {
			t.Errorf("%q: %q %v, want %q %v", c.in, got, wide, "pre"+c.want, c.wide)
		}
	}
}

// Folding piece by piece is folding the whole, which is what lets a folded
// literal be searched in a folded text.
func TestFoldOfParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.String().Draw(t, "a"), rapid.String().Draw(t, "b")
		if FoldString(a+b) != FoldString(a)+FoldString(b) {
			t.Fatalf("%q %q", a, b)
		}
		if utf8.RuneCountInString(FoldString(a)) != utf8.RuneCountInString(a) {
			t.Fatalf("%q changes its number of characters", a)
		}
		if strings.EqualFold(a, b) != (FoldString(a) == FoldString(b)) {
			t.Fatalf("%q %q", a, b)
		}
	})
}
