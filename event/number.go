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

// AppendCanonicalNumber appends the canonical decimal spelling of a JSON
// number, the one by which rules compare it: an integer of any length without
// point, exponent or -0 (so 1.0 and 1 are one number, and integers beyond
// 2^53 keep every digit); any other value as the shortest decimal that names
// the same IEEE 754 double, without exponent below 1e21; a number beyond the
// range of a double as it is spelled.
func AppendCanonicalNumber(dst, b []byte) []byte {
	if plainInteger(b) {
		return append(dst, b...)
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || math.IsInf(f, 0) {
		return append(dst, b...)
	}
	if f == 0 {
		return append(dst, '0')
	}
	if f == math.Trunc(f) && math.Abs(f) < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	if a := math.Abs(f); a >= 1e-6 && a < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, f, 'e', -1, 64)
}
