package ruleset

import (
	"path"
	"strings"
)

// globBytesMax bounds a pattern, and with it the work of matching one.
const globBytesMax = 1_000

// validGlob reports whether a pattern can be read.
func validGlob(pattern string) bool {
	if pattern == "" || len(pattern) > globBytesMax {
		return false
	}
	for _, part := range strings.Split(pattern, "/") {
		if _, err := path.Match(part, ""); err != nil || part == "" {
			return false
		}
	}
	return true
}

// matchPath reports whether a pattern fits the end of a path: whole parts,
// where ** stands for any number of them and *, ? and [a-z] for characters of
// one. It takes time in the product of the two lengths.
func matchPath(pattern, name string) bool {
	parts := strings.Split(strings.ReplaceAll(name, `\`, "/"), "/")
	// fits[j] says that the pattern so far fits parts[:j] from some start.
	fits := make([]bool, len(parts)+1)
	for j := range fits {
		fits[j] = true
	}
	for _, p := range strings.Split(pattern, "/") {
		if p == "**" {
			for j := 1; j < len(fits); j++ {
				fits[j] = fits[j] || fits[j-1]
			}
			continue
		}
		for j := len(parts); j > 0; j-- {
			ok := false
			if fits[j-1] {
				ok, _ = path.Match(p, parts[j-1])
			}
			fits[j] = ok
		}
		fits[0] = false
	}
	return fits[len(parts)]
}
