package event

import (
	"math"
	"strconv"
)

// numberLen returns the length of the JSON number that b starts with, or 0.
func numberLen(b []byte) int {
	i := 0
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return 0
	case b[i] == '0':
		i++
	case b[i] >= '1' && b[i] <= '9':
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
	default:
		return 0
	}
	if i < len(b) && b[i] == '.' {
		d := digits(b[i+1:])
		if d == 0 {
			return 0
		}
		i += 1 + d
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		j := i + 1
		if j < len(b) && (b[j] == '+' || b[j] == '-') {
			j++
		}
		d := digits(b[j:])
		if d == 0 {
			return 0
		}
		i = j + d
	}
	return i
}

func digits(b []byte) int {
	i := 0
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

func validNumber(b []byte) bool { return len(b) > 0 && numberLen(b) == len(b) }

// plainInteger reports whether a JSON number is spelled as its canonical
// integer already: digits without point or exponent, and not -0.
func plainInteger(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	i := 0
	if b[0] == '-' {
		if len(b) == 2 && b[1] == '0' {
			return false
		}
		i = 1
	}
	for ; i < len(b); i++ {
		if b[i]-'0' > 9 {
			return false
		}
	}
	return true
}

// integerDigitsMax bounds the integers that AppendCanonicalNumber spells out
// for a number with an exponent: those in the range of a double.
const integerDigitsMax = 309

// AppendCanonicalNumber appends the canonical decimal spelling of a JSON
// number, the one by which rules compare it: an integer without point,
// exponent or -0 and with every digit, however it was spelled, if it has at
// most 309 digits or was plain already (so 1.0 and 1 are one number, and
// 9007199254740993.0 is not 9007199254740992); any other value as the shortest
// decimal that names the same IEEE 754 double, with an exponent only below
// 1e-6; a number beyond the range of a double as it is spelled.
func AppendCanonicalNumber(dst, b []byte) []byte {
	if plainInteger(b) {
		return append(dst, b...)
	}
	if out, ok := appendInteger(dst, b); ok {
		return out
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsInf(f, 0) {
		return append(dst, b...)
	}
	if f == 0 {
		return append(dst, '0')
	}
	if math.Abs(f) >= 1e-6 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'e', -1, 64)
}

// appendInteger appends a JSON number with a point or an exponent if its value
// is an integer, from its digits alone.
func appendInteger(dst, b []byte) (out []byte, ok bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	whole := digits(b)
	exponent := 0
	rest := b[whole:]
	var fraction []byte
	if len(rest) > 0 && rest[0] == '.' {
		n := digits(rest[1:])
		fraction, rest = rest[1:1+n], rest[1+n:]
	}
	if len(rest) > 0 {
		// An exponent that does not fit is far beyond any bound here.
		e, err := strconv.Atoi(string(rest[1:]))
		if err != nil {
			if zeroDigits(b[:whole]) && zeroDigits(fraction) {
				return append(dst, '0'), true
			}
			return dst, false
		}
		exponent = e
	}
	for len(fraction) > 0 && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	start := len(dst)
	if negative {
		dst = append(dst, '-')
	}
	begin := len(dst)
	dst = append(dst, b[:whole]...)
	dst = append(dst, fraction...)
	skip := begin
	for skip < len(dst) && dst[skip] == '0' {
		skip++
	}
	dst = append(dst[:begin], dst[skip:]...)
	if len(dst) == begin {
		return append(dst[:start], '0'), true
	}
	shift := exponent - len(fraction)
	for shift < 0 && dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
		shift++
	}
	if shift < 0 || shift > integerDigitsMax || len(dst)-begin+shift > integerDigitsMax {
		return dst[:start], false
	}
	for range shift {
		dst = append(dst, '0')
	}
	return dst, true
}

func zeroDigits(b []byte) bool {
	for _, c := range b {
		if c != '0' {
			return false
		}
	}
	return true
}
