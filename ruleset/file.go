package ruleset

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// File is a file of a rule set in canonical form.
type File struct {
	// Path is relative, with slashes, clean, and differs from every other of
	// the set in more than case.
	Path string
	// Data has no byte order mark and ends its lines with LF alone, so that
	// a checkout on any system has one hash.
	Data []byte
}

// canonical removes what differs between checkouts of one content.
func canonical(data []byte) []byte {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
}

// pathBytesMax bounds a path; the longest of the public set has 160 bytes.
const pathBytesMax = 1_000

// cleanPath checks the path of a file in a source, which may come from an
// archive made by anyone: it can lead nowhere but below the folder it is
// written to, on any system.
func cleanPath(name string) (string, error) {
	name = strings.TrimPrefix(strings.ReplaceAll(name, `\`, "/"), "./")
	switch {
	case name == "" || len(name) > pathBytesMax:
		return "", fmt.Errorf("its path has %d bytes; 1 to %d are usable", len(name), pathBytesMax)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsAny(name, `:*?"<>|`):
		return "", fmt.Errorf("its path holds characters that not every file system has")
	}
	for _, part := range strings.Split(name, "/") {
		if part == "" || part == "." || part == ".." || strings.TrimRight(part, " .") != part {
			return "", fmt.Errorf("its path leads out of the source, or is not one on every file system")
		}
	}
	return name, nil
}

// hashVersion stands in front of the hash of a state and changes with its
// encoding.
const hashVersion = "tiercel-ruleset-1"

// Hash is the hash of a state: lower-case hex SHA-256 over the paths in their
// order and the SHA-256 of each file. It sorts files by path.
func Hash(files []File) string {
	sortFiles(files)
	h := sha256.New()
	var buf []byte
	text := func(s string) {
		buf = binary.AppendUvarint(buf[:0], uint64(len(s)))
		h.Write(append(buf, s...))
	}
	text(hashVersion)
	for _, f := range files {
		text(f.Path)
		sum := sha256.Sum256(f.Data)
		text(string(sum[:]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func sortFiles(files []File) {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
}

// isHash reports whether s is a hash as [Hash] writes them, and so is safe in
// a path.
func isHash(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}
