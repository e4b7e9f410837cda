package ruleset

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/container"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/rule/rulefile"
	"github.com/tiercel-io/tiercel/yamltree"
)

// Limits of one source.
const (
	// FilesMax bounds the files looked at; ten times the public set has
	// 40,000. An archive holds at most container.EntriesMax.
	FilesMax = 100_000
	// FileBytesMax bounds a file that is taken.
	FileBytesMax = yamltree.FileBytesMax
	// SourceBytesMax bounds the files taken together.
	SourceBytesMax = 256 << 20
	// depthMax bounds the nesting of folders.
	depthMax = 32
)

// SourceKind says what a source is.
type SourceKind string

// The kinds.
const (
	SourceFolder  SourceKind = "folder"
	SourceGit     SourceKind = "git"
	SourceArchive SourceKind = "archive"
	SourceFile    SourceKind = "file"
)

// Left is a file, or a folder, that was not taken.
type Left struct {
	Path string
	// Reason says why, in words that many files share; Detail is its own.
	Reason, Detail string
}

// The reasons for leaving a file.
const (
	LeftNotYAML    = "not a rule by its name"
	LeftNotSigma   = "holds no Sigma document"
	LeftRefused    = "every document is refused"
	LeftLarge      = "larger than a rule file may be"
	LeftHidden     = "hidden"
	LeftLink       = "a symbolic link"
	LeftPath       = "its path is not usable"
	LeftTwice      = "another file has this path"
	LeftUnreadable = "cannot be read"
	LeftNested     = "inside an archive in the archive"
)

// Source is what was found in one.
type Source struct {
	// Path is what was read, Kind what it is, and Commit the commit that a git
	// checkout is of, in hexadecimal, or empty.
	Path   string
	Kind   SourceKind
	Commit string
	// Files are those taken, by path, and Hash their hash.
	Files []File
	Hash  string
	// Documents are the well-formed documents of Files, in order.
	Documents []*rule.Document
	// Left are the files not taken, by path.
	Left []Left
	// Diagnostics are the errors of documents in the order of the files; their
	// files are those of the source.
	Diagnostics []rule.Diagnostic
}

// ErrNothing is returned when a source holds no usable rule.
var ErrNothing = errors.New("the source holds no usable rule")

// Read takes what is usable of a source: rule files with at least one
// well-formed document, the cases.yml next to them, and licences. Of an
// archive whose files all stand in one folder that does not begin with "rules"
// that folder is dropped, so that a downloaded archive and a checkout have the
// same paths. A damaged or truncated source is an error, since what is missing
// would look removed.
func Read(fs vfs.FS, path string) (*Source, error) {
	info, err := fs.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the source %q: %w", path, err)
	}
	r := reader{fs: fs, source: &Source{Path: path, Kind: SourceFolder}, seen: map[string]bool{}}
	if info.IsDir() {
		if err := r.folder(path, "", 0); err != nil {
			return nil, err
		}
		r.source.Commit, err = commit(fs, path)
		if err != nil {
			return nil, fmt.Errorf("read the commit of the checkout %q: %w", path, err)
		}
		if r.source.Commit != "" {
			r.source.Kind = SourceGit
		}
	} else if err := r.archive(path, info.Size()); err != nil {
		return nil, err
	}
	return r.source, r.finish()
}

type reader struct {
	fs     vfs.FS
	source *Source
	found  []File
	seen   map[string]bool // paths in lower case
	looked int
	bytes  int64
}

func (r *reader) leave(path, reason, detail string) {
	r.source.Left = append(r.source.Left, Left{path, reason, detail})
}

// wanted reports whether a file may be part of a rule set, by its name.
func wanted(path string) bool {
	name := strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
	return isRule(name) || isLicence(name)
}

func isRule(name string) bool {
	return strings.HasSuffix(name, ".yml") || strings.HasSuffix(name, ".yaml")
}

func isLicence(name string) bool {
	return strings.HasPrefix(name, "license") || strings.HasPrefix(name, "licence") || strings.HasPrefix(name, "notice")
}

// look counts a file against the limit.
func (r *reader) look() error {
	if r.looked++; r.looked > FilesMax {
		return fmt.Errorf("the source %q has more than %d files; import a folder of it", r.source.Path, FilesMax)
	}
	return nil
}

// take reads a file that is wanted.
func (r *reader) take(path string, from io.Reader) error {
	path, err := cleanPath(path)
	if err != nil {
		r.leave(path, LeftPath, err.Error())
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(from, FileBytesMax+1))
	switch {
	case err != nil:
		return err
	case len(data) > FileBytesMax:
		r.leave(path, LeftLarge, fmt.Sprintf("more than %d bytes", FileBytesMax))
		return nil
	}
	if r.bytes += int64(len(data)); r.bytes > SourceBytesMax {
		return fmt.Errorf("the rule files of %q have more than %d MiB; import a folder of it", r.source.Path, SourceBytesMax>>20)
	}
	r.found = append(r.found, File{path, canonical(data)})
	return nil
}

func (r *reader) folder(dir, below string, depth int) error {
	if depth > depthMax {
		return fmt.Errorf("folders of %q are nested more than %d deep; check for a link to a folder above", r.source.Path, depthMax)
	}
	names, err := r.fs.List(dir)
	if err != nil {
		return fmt.Errorf("read the folder %q: %w", dir, err)
	}
	slices.Sort(names)
	links, hasLinks := r.fs.(interface{ IsLink(name string) bool })
	for _, name := range names {
		full, path := r.fs.PathJoin(dir, name), below+name
		if err := r.look(); err != nil {
			return err
		}
		if strings.HasPrefix(name, ".") {
			if name != ".git" {
				r.leave(path, LeftHidden, "")
			}
			continue
		}
		if hasLinks && links.IsLink(full) {
			r.leave(path, LeftLink, "")
			continue
		}
		info, err := r.fs.Stat(full)
		switch {
		case err != nil:
			r.leave(path, LeftUnreadable, err.Error())
		case info.IsDir():
			if err := r.folder(full, path+"/", depth+1); err != nil {
				return err
			}
		case !info.Mode().IsRegular() || !wanted(path):
			r.leave(path, LeftNotYAML, "")
		default:
			if err := r.file(full, path); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) file(full, path string) error {
	f, err := r.fs.Open(full)
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	err = r.take(path, f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("read %q: %w", full, err)
	}
	return nil
}

func (r *reader) archive(path string, size int64) error {
	f, err := r.fs.Open(path)
	if err != nil {
		return fmt.Errorf("read the source: %w", err)
	}
	defer f.Close()
	r.source.Kind = SourceArchive
	name := r.fs.PathBase(path)
	var broken error
	err = container.Walk(container.Input{Name: name, Reader: f, At: f, Size: size}, func(e container.Entry) error {
		if err := r.look(); err != nil {
			return err
		}
		inner, ok := strings.CutPrefix(e.Name, name+"!/")
		if !ok { // no archive, or a single compressed file
			r.source.Kind = SourceFile
			inner = e.Name
		}
		switch {
		case strings.Contains(inner, "!/"):
			r.leave(inner, LeftNested, "unpack it first")
		case strings.HasPrefix(inner, ".") && !strings.HasPrefix(inner, "./") || strings.Contains(inner, "/."):
			r.leave(inner, LeftHidden, "")
		case !wanted(inner):
			r.leave(inner, LeftNotYAML, "")
		default:
			return r.take(inner, e.Reader)
		}
		return nil
	}, func(at string, p format.Problem) {
		var damage *container.Error
		inner, ok := strings.CutPrefix(at, name+"!/")
		if ok && !errors.As(p.Err, &damage) {
			r.leave(inner, LeftUnreadable, p.Err.Error())
		} else if broken == nil {
			broken = p.Err
		}
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return fmt.Errorf("read the archive %q: %w", path, err)
	}
	r.dropRoot()
	return nil
}

// dropRoot removes the one folder that all files of an archive stand in. The
// folders of the public set all begin with "rules" and say what kind of rules
// they hold, so they stay.
func (r *reader) dropRoot() {
	root := ""
	for i, f := range r.found {
		first, _, nested := strings.Cut(f.Path, "/")
		if !nested || strings.HasPrefix(strings.ToLower(first), "rules") || i > 0 && first != root {
			return
		}
		root = first
	}
	for i := range r.found {
		r.found[i].Path = strings.TrimPrefix(r.found[i].Path, root+"/")
	}
	for i := range r.source.Left {
		r.source.Left[i].Path = strings.TrimPrefix(r.source.Left[i].Path, root+"/")
	}
}

// finish parses what was found and decides what of it is taken.
func (r *reader) finish() error {
	s := r.source
	sortFiles(r.found)
	folders := map[string]bool{} // that hold a rule
	var companions []File
	for _, f := range r.found {
		if key := strings.ToLower(f.Path); r.seen[key] {
			r.leave(f.Path, LeftTwice, "it differs at most in case")
			continue
		} else {
			r.seen[key] = true
		}
		if !isRule(strings.ToLower(f.Path)) || isCases(f.Path) {
			companions = append(companions, f)
			continue
		}
		docs, diags := rulefile.ParseBytes(f.Path, f.Data)
		reason, detail := LeftNotSigma, ""
		for _, d := range diags {
			if d.Severity == rule.Error {
				s.Diagnostics = append(s.Diagnostics, d)
				if reason == LeftNotSigma {
					reason, detail = LeftRefused, d.String()
				}
			}
		}
		if len(docs) == 0 {
			r.leave(f.Path, reason, detail)
			continue
		}
		folders[folderOf(f.Path)] = true
		s.Files = append(s.Files, f)
		s.Documents = append(s.Documents, docs...)
	}
	if len(s.Documents) == 0 {
		return fmt.Errorf("%w: %q", ErrNothing, s.Path)
	}
	for _, f := range companions {
		if isCases(f.Path) && !folders[folderOf(f.Path)] {
			r.leave(f.Path, LeftNotSigma, "cases without a rule next to them")
			continue
		}
		s.Files = append(s.Files, f)
	}
	// Linking finds what is wrong between files, such as an id used twice.
	_, diags := rule.Link(s.Documents, rule.Options{Statuses: rule.Statuses, Stored: true, Experimental: true})
	for _, d := range diags {
		if d.Severity == rule.Error {
			s.Diagnostics = append(s.Diagnostics, d)
		}
	}
	slices.SortStableFunc(s.Left, func(a, b Left) int { return strings.Compare(a.Path, b.Path) })
	s.Hash = Hash(s.Files)
	return nil
}

func folderOf(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

func isCases(path string) bool {
	return strings.EqualFold(path[strings.LastIndexByte(path, '/')+1:], "cases.yml")
}
