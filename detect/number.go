package detect

import (
	"bytes"
	"strconv"
)

// compareNumbers compares two decimal spellings: exactly when both are
// integers, of any length, else as IEEE 754 doubles. ok is false when either is
// not a number [D28].
func compareNumbers(a, b []byte) (order int, ok bool) {
	an, bn := bytes.TrimPrefix(a, plus), bytes.TrimPrefix(b, plus)
	ai, bi := isInteger(an), isInteger(bn)
	if ai && bi {
		return compareIntegers(an, bn), true
	}
	if !ai && !isDecimal(an) || !bi && !isDecimal(bn) {
		return 0, false
	}
	x, errX := strconv.ParseFloat(string(an), 64)
	y, errY := strconv.ParseFloat(string(bn), 64)
	if errX != nil || errY != nil {
		return 0, false
	}
	switch {
	case x < y:
		return -1, true
	case x > y:
		return 1, true
	}
	return 0, true
}

var plus = []byte{'+'}

func isInteger(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) == 0 {
		return false
	}
	for _, c := range b {
		if c-'0' > 9 {
			return false
		}
	}
	return true
}

// isDecimal reports whether b is digits with an optional sign, point and
// exponent: no hexadecimal, no infinity, no NaN, no blanks.
func isDecimal(b []byte) bool {
	i := 0
	if i < len(b) && b[i] == '-' {
		i++
	}
	digits := 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		digits++
	}
	if i < len(b) && b[i] == '.' {
		for i++; i < len(b) && b[i]-'0' <= 9; i++ {
			digits++
		}
	}
	if digits == 0 {
		return false
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		exp := i
		for i < len(b) && b[i]-'0' <= 9 {
			i++
		}
		if i == exp {
			return false
		}
	}
	return i == len(b)
}

func compareIntegers(a, b []byte) int {
	negA, a := splitSign(a)
	negB, b := splitSign(b)
	if negA != negB {
		if negA {
			return -1
		}
		return 1
	}
	order := len(a) - len(b)
	if order == 0 {
		order = bytes.Compare(a, b)
	}
	if negA {
		order = -order
	}
	return order
}

// splitSign returns whether b is negative, and its digits without leading
// zeros.
func splitSign(b []byte) (negative bool, digits []byte) {
	if b[0] == '-' {
		negative, b = true, b[1:]
	}
	b = bytes.TrimLeft(b, "0")
	return negative && len(b) > 0, b
}
