package event

import "unicode/utf8"

// Clip returns the beginning of s of at most bytesMax bytes, cut between two
// characters where s is valid UTF-8.
func Clip(s string, bytesMax int) string {
	if len(s) <= bytesMax {
		return s
	}
	end := bytesMax
	for end > max(0, bytesMax-utf8.UTFMax) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
