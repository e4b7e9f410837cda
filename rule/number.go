package rule

import (
	"math/big"
	"strings"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/event"
)

// numberBytesMax bounds the spelling of a number; a longer one is text.
const numberBytesMax = 400

// canonicalNumber returns the canonical spelling, as
// event.AppendCanonicalNumber makes it, of a YAML number: decimal, hexadecimal
// or octal, with optional sign. Infinities and NaN have none.
func canonicalNumber(typ doctree.Type, s string) (string, bool) {
	if len(s) > numberBytesMax {
		return "", false
	}
	if typ == doctree.Int && len(s) > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'o') {
		base := 16
		if s[1] == 'o' {
			base = 8
		}
		n, ok := new(big.Int).SetString(s[2:], base)
		if !ok {
			return "", false
		}
		return n.String(), true
	}
	j, ok := jsonNumber(s)
	if !ok {
		return "", false
	}
	return string(event.AppendCanonicalNumber(nil, []byte(j))), true
}

// jsonNumber respells a decimal number of YAML (+5, 007, .5, 5.) as JSON does.
func jsonNumber(s string) (string, bool) {
	var b strings.Builder
	switch {
	case strings.HasPrefix(s, "-"):
		b.WriteByte('-')
		s = s[1:]
	case strings.HasPrefix(s, "+"):
		s = s[1:]
	}
	mantissa, exponent := s, ""
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, exponent = s[:i], s[i:]
		if !digitsOnly(strings.TrimLeft(exponent[1:], "+-")) || len(exponent) > 3 && strings.ContainsAny(exponent[2:], "+-") {
			return "", false
		}
	}
	whole, frac, point := strings.Cut(mantissa, ".")
	if whole+frac == "" || whole != "" && !digitsOnly(whole) || frac != "" && !digitsOnly(frac) {
		return "", false
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	b.WriteString(whole)
	if point && frac != "" {
		b.WriteByte('.')
		b.WriteString(frac)
	}
	b.WriteString(exponent)
	return b.String(), true
}

func digitsOnly(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
