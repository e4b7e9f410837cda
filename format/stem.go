package format

import "strings"

// Stem returns what a file's name says of its content: the name without its
// folders and up to its first dot, so that conn.log, conn.log.gz and
// conn.2024-05-01-10.log are all conn. A name that begins with a dot has no
// stem.
func Stem(name string) string {
	name = name[strings.LastIndexAny(name, `/\!`)+1:]
	stem, _, _ := strings.Cut(name, ".")
	return stem
}
