// Package lookupfile loads a folder of lists for package lookup. Every file of
// the folder itself whose name is that of a list is read; folders below it,
// hidden files and other names are left alone.
//
// A fault costs the list it is in, never the load. When the folder is loaded
// again, a list whose file cannot be used any more stays as it was last, so
// that a slip in an editor empties no list of a running process. Memory is
// bounded by [ListsMax] and [TotalBytesMax].
package lookupfile

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/lookup"
	"github.com/tiercel-io/tiercel/rule"
)

// Limits of one folder.
const (
	// ListsMax bounds the lists.
	ListsMax = 1_000
	// TotalBytesMax bounds the files together.
	TotalBytesMax = 256 << 20
)

// Load reads the lists of a folder. previous, which may be nil, is what an
// earlier load of it gave. The Set is never nil; two files of one name are a
// fault of the second.
func Load(fs vfs.FS, dir string, previous *lookup.Set) (*lookup.Set, []rule.Diagnostic) {
	set := &lookup.Set{}
	var diags []rule.Diagnostic
	fault := func(file, msg, hint string) {
		diags = append(diags, rule.Diagnostic{Position: rule.Position{File: file}, Severity: rule.Error, Code: rule.CodeLookupFile, Message: msg, Hint: hint})
	}
	names, err := fs.List(dir)
	if err != nil {
		fault(dir, "the folder of lists cannot be read: "+err.Error(), "check that it exists and may be read")
		if previous != nil {
			set.Lists = slices.Clone(previous.Lists)
		}
		return set, diags
	}
	slices.Sort(names)
	total := 0
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		if strings.HasPrefix(name, ".") || !lookup.FileName(name) {
			continue
		}
		if info, err := fs.Stat(path); err == nil && info.IsDir() {
			continue
		}
		data, err := read(fs, path)
		if total += len(data); total > TotalBytesMax {
			fault(path, fmt.Sprintf("the lists have more than %d bytes together; this and later ones were not read", TotalBytesMax), "remove those that no rule uses")
			break
		}
		var l *lookup.List
		if err != nil {
			fault(path, "the list cannot be read: "+err.Error(), "check that it may be read")
		} else {
			var more []rule.Diagnostic
			l, more = lookup.Parse(path, data)
			diags = append(diags, more...)
		}
		if l == nil {
			if l = last(previous, path); l == nil {
				continue
			}
		}
		if other := slices.IndexFunc(set.Lists, func(x *lookup.List) bool { return x.Name == l.Name }); other >= 0 {
			fault(path, fmt.Sprintf("the list %s is that of %s already", l.Name, set.Lists[other].File), "give one of them another name")
			continue
		}
		if len(set.Lists) == ListsMax {
			fault(path, fmt.Sprintf("there are more than %d lists; this and later ones were not read", ListsMax), "remove those that no rule uses")
			break
		}
		set.Lists = append(set.Lists, l)
	}
	slices.SortFunc(set.Lists, func(a, b *lookup.List) int { return strings.Compare(a.Name, b.Name) })
	return set, diags
}

// last returns what an earlier load made of a file.
func last(previous *lookup.Set, path string) *lookup.List {
	if previous == nil {
		return nil
	}
	for _, l := range previous.Lists {
		if l.File == path {
			return l
		}
	}
	return nil
}

func read(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, lookup.FileBytesMax+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return data, err
}
