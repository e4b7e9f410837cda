package rule

import (
	"encoding/base64"
	"unicode/utf16"
)

// encodeUTF16 encodes text in UTF-16 of the given byte order, with the byte
// order mark in front if asked.
func encodeUTF16(s string, big, mark bool) string {
	units := utf16.Encode([]rune(s))
	b := make([]byte, 0, 2*len(units)+2)
	if mark {
		units = append([]uint16{0xFEFF}, units...)
	}
	for _, u := range units {
		if big {
			b = append(b, byte(u>>8), byte(u))
		} else {
			b = append(b, byte(u), byte(u>>8))
		}
	}
	return string(b)
}

func base64Padded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// base64Offsets returns the fragments that s leaves in base64 when it stands
// 0, 1 or 2 bytes into the groups of three: encoded behind that many filler
// bytes, without the characters that depend on the filler in front or on what
// follows. Lengths are in bytes. Fragments can be empty for a value of one
// byte.
func base64Offsets(s string) [3]string {
	var out [3]string
	for i := range out {
		e := base64.StdEncoding.EncodeToString(append(make([]byte, i, i+len(s)), s...))
		start := [3]int{0, 2, 3}[i]
		end := len(e) - [3]int{0, 3, 2}[(len(s)+i)%3]
		if start < end {
			out[i] = e[start:end]
		}
	}
	return out
}
