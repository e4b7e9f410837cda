package rulefile

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/rule"
)

// Limits of one load.
const (
	// FilesMax bounds the files; ten times the public set has 40,000.
	FilesMax = 100_000
	// DirDepthMax bounds the nesting of folders.
	DirDepthMax = 32
)

// identity tells one file from another: device and inode where the file system
// knows them, which sees through links, and the path otherwise.
type identity struct {
	device, inode uint64
	path          string
}

type walker struct {
	fs    vfs.FS
	files []string
	diags []rule.Diagnostic
	seen  map[identity]bool
	full  bool
}

func (w *walker) unreadable(path string, err error) {
	w.diags = append(w.diags, diagnostic(rule.Position{File: path}, rule.CodeFileUnreadable, "it cannot be read: "+reason(err), "check that it exists and may be read"))
}

// reason says why without repeating the path.
func reason(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// root adds a path that the user named.
func (w *walker) root(path string) {
	info, err := w.fs.Stat(path)
	switch {
	case err != nil:
		w.unreadable(path, err)
	case info.IsDir():
		w.dir(path, info, 0)
	default:
		w.file(path, info)
	}
}

func (w *walker) file(path string, info vfs.FileInfo) {
	if !info.Mode().IsRegular() {
		w.diags = append(w.diags, diagnostic(rule.Position{File: path}, rule.CodeFileUnreadable, "it is neither a file nor a folder", "remove it from the rule folders"))
		return
	}
	if !w.first(path, info) {
		return
	}
	if len(w.files) == FilesMax {
		if !w.full {
			w.full = true
			w.diags = append(w.diags, diagnostic(rule.Position{File: path}, rule.CodeFileUnreadable, fmt.Sprintf("there are more than %d files; this and later ones were not read", FilesMax), "load fewer folders"))
		}
		return
	}
	w.files = append(w.files, path)
}

func (w *walker) dir(path string, info vfs.FileInfo, depth int) {
	if !w.first(path, info) {
		return
	}
	if depth > DirDepthMax {
		w.diags = append(w.diags, diagnostic(rule.Position{File: path}, rule.CodeFileUnreadable, fmt.Sprintf("folders are nested more than %d deep; this one was not read", DirDepthMax), "check for a link to a folder above"))
		return
	}
	names, err := w.fs.List(path)
	if err != nil {
		w.unreadable(path, err)
		return
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasPrefix(name, ".") || name == caseFile {
			continue
		}
		child := w.fs.PathJoin(path, name)
		isRule := isRuleName(name)
		info, err := w.fs.Stat(child)
		switch {
		case err != nil && isRule:
			w.unreadable(child, err)
		case err != nil:
			// A dangling link or a socket that is no rule by its name either.
		case info.IsDir():
			w.dir(child, info, depth+1)
		case isRule:
			w.file(child, info)
		}
	}
}

// caseFile holds the cases of the rules beside it (package rulecase).
const caseFile = "cases.yml"

func isRuleName(name string) bool {
	name = strings.ToLower(name)
	return strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml")
}

// first reports whether a file or folder is met for the first time.
func (w *walker) first(path string, info vfs.FileInfo) bool {
	id := identify(path, info)
	if w.seen[id] {
		return false
	}
	w.seen[id] = true
	return true
}

// identify reads the inode by reflection, since its type differs between
// systems and the package that declares it may not be used here.
func identify(path string, info vfs.FileInfo) identity {
	v := reflect.ValueOf(info.Sys())
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.Struct {
		dev, ino := number(v.FieldByName("Dev")), number(v.FieldByName("Ino"))
		if ino != 0 {
			return identity{device: dev, inode: ino}
		}
	}
	return identity{path: path}
}

func number(v reflect.Value) uint64 {
	switch {
	case !v.IsValid():
		return 0
	case v.CanUint():
		return v.Uint()
	case v.CanInt():
		return uint64(v.Int())
	}
	return 0
}
