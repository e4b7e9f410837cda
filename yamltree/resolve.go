package yamltree

import "github.com/tiercel-io/tiercel/doctree"

// Resolve returns the type of an unquoted scalar by the core schema of YAML
// 1.2 (section 10.3.2 of its specification).
func Resolve(s string) doctree.Type {
	switch s {
	case "", "~", "null", "Null", "NULL":
		return doctree.Null
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return doctree.Bool
	case ".nan", ".NaN", ".NAN":
		return doctree.Float
	}
	if c := s[0]; c != '+' && c != '-' && c != '.' && (c < '0' || c > '9') {
		return doctree.String
	}
	if len(s) > 2 && s[0] == '0' {
		switch s[1] {
		case 'o':
			if all(s[2:], func(c byte) bool { return c >= '0' && c <= '7' }) {
				return doctree.Int
			}
		case 'x':
			if all(s[2:], func(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f' }) {
				return doctree.Int
			}
		}
	}
	body := s
	if body[0] == '+' || body[0] == '-' {
		body = body[1:]
	}
	switch body {
	case ".inf", ".Inf", ".INF":
		return doctree.Float
	}
	return decimal(body)
}

// decimal resolves a number without its sign:
// ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?
func decimal(s string) doctree.Type {
	whole := leadingDigits(s)
	s = s[whole:]
	if s == "" {
		if whole == 0 {
			return doctree.String
		}
		return doctree.Int
	}
	if s[0] == '.' {
		frac := leadingDigits(s[1:])
		if whole+frac == 0 {
			return doctree.String
		}
		s = s[1+frac:]
	} else if whole == 0 {
		return doctree.String
	}
	if s == "" {
		return doctree.Float
	}
	if s[0] != 'e' && s[0] != 'E' {
		return doctree.String
	}
	s = s[1:]
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	if s == "" || leadingDigits(s) != len(s) {
		return doctree.String
	}
	return doctree.Float
}

func leadingDigits(s string) int {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return i
}

func all(s string, is func(byte) bool) bool {
	for i := 0; i < len(s); i++ {
		if !is(s[i]) {
			return false
		}
	}
	return true
}
