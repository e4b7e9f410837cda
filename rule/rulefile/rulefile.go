// Package rulefile loads Sigma content from files: it walks folders, reads
// YAML, has package rule parse and link it, and returns one set with every
// diagnostic.
//
// A fault costs the document or the file it is in, never the load: what cannot
// be read or parsed is a diagnostic, and the rest is loaded. Files are parsed
// by several goroutines that end before Load returns; the result depends on
// the paths and the contents alone, not on their number. Memory and time are
// bounded by [FilesMax], [DirDepthMax] and the limits of packages yamltree and
// rule.
package rulefile

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/doctree"
	"github.com/tiercel-io/tiercel/rule"
	"github.com/tiercel-io/tiercel/yamltree"
)

// Options are the settings of a load.
type Options struct {
	// Link decides what of the content is enabled.
	Link rule.Options
	// Prepare, when it is not nil, changes the documents before they are
	// linked: what a site sets of its own. Its diagnostics come behind those
	// of the files.
	Prepare func([]*rule.Document) ([]*rule.Document, []rule.Diagnostic)
	// Workers is how many files are parsed at a time; 0 means the number of
	// processors.
	Workers int
}

// Result is what a load found.
type Result struct {
	// Set is the content ready to be compiled.
	Set *rule.Set
	// Documents are all well-formed documents in order: by path, then by
	// their order in the file.
	Documents []*rule.Document
	// Diagnostics are what is wrong or doubtful, in the order of the files,
	// and behind them what was found when linking.
	Diagnostics []rule.Diagnostic
	// Files is the number of files read.
	Files int
	// Refused is the number of documents that an error refuses. A file that
	// cannot be read, or what follows a fault of its YAML, counts as one.
	Refused int

	parsed int // of Refused, those refused before linking
}

// ErrNoPaths is returned by Load when it is asked to load nothing.
var ErrNoPaths = errors.New("no rule files or folders were named")

// Load reads the files and folders named by paths. Of folders it takes the
// files ending in .yml or .yaml, at any depth; files and folders whose names
// begin with a dot, and cases.yml, are left out unless named themselves. A file reached twice,
// by overlapping paths or links, is read once. The error is ErrNoPaths or nil:
// everything else is a diagnostic.
func Load(fs vfs.FS, paths []string, o Options) (*Result, error) {
	if len(paths) == 0 {
		return nil, ErrNoPaths
	}
	w := walker{fs: fs, seen: map[identity]bool{}}
	for _, p := range paths {
		w.root(p)
	}
	slices.SortStableFunc(w.files, func(a, b string) int { return strings.Compare(a, b) })
	parsed := make([]file, len(w.files))
	workers := o.Workers
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(workers, len(w.files)) {
		group.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(w.files) {
					return
				}
				parsed[i] = parse(fs, w.files[i])
			}
		})
	}
	group.Wait()
	r := &Result{}
	// What cannot be walked is a file of its own.
	r.take(file{diags: w.diags, refused: len(w.diags)})
	for _, f := range parsed {
		r.take(f)
	}
	r.Files = len(w.files)
	r.Link(o)
	return r, nil
}

// Add takes in the contents of one more file, as [ParseBytes] does; call Link
// when all are in.
func (r *Result) Add(path string, data []byte) {
	r.take(parseBytes(path, data))
	r.Files++
}

func (r *Result) take(f file) {
	r.Documents = append(r.Documents, f.docs...)
	r.Diagnostics = append(r.Diagnostics, f.diags...)
	r.parsed += f.refused
	r.Refused = r.parsed
}

// Link prepares and links the documents anew: it replaces Set and adds to
// Diagnostics.
func (r *Result) Link(o Options) {
	var diags []rule.Diagnostic
	docs := r.Documents
	if o.Prepare != nil {
		docs, diags = o.Prepare(docs)
		r.Diagnostics = append(r.Diagnostics, diags...)
	}
	r.Set, diags = rule.Link(docs, o.Link)
	r.Diagnostics = append(r.Diagnostics, diags...)
	r.Refused = r.parsed + len(refusedBy(diags, docs))
}

// refusedBy returns where the documents begin that errors found when linking
// refuse: a fault stands in the document that begins last before it. docs are
// in the order of their files.
func refusedBy(diags []rule.Diagnostic, docs []*rule.Document) map[rule.Position]bool {
	begin := make(map[string][]int) // lines by file, in order
	for _, d := range docs {
		begin[d.File] = append(begin[d.File], d.Line)
	}
	refused := make(map[rule.Position]bool)
	for _, d := range diags {
		if d.Severity != rule.Error {
			continue
		}
		at := rule.Position{File: d.File}
		lines := begin[d.File]
		if n, _ := slices.BinarySearch(lines, d.Line+1); n > 0 {
			at.Line = lines[n-1]
		}
		refused[at] = true
	}
	return refused
}

// file is what one file held.
type file struct {
	docs    []*rule.Document
	diags   []rule.Diagnostic
	refused int
}

func parse(fs vfs.FS, path string) (f file) {
	data, err := readFile(fs, path)
	if err != nil {
		f.diags = []rule.Diagnostic{diagnostic(rule.Position{File: path}, rule.CodeFileUnreadable, "the file cannot be read: "+reason(err), "check that it exists and may be read")}
		f.refused = 1
		return f
	}
	return parseBytes(path, data)
}

// ParseBytes checks the documents of one file's contents; path stands in
// positions.
func ParseBytes(path string, data []byte) ([]*rule.Document, []rule.Diagnostic) {
	f := parseBytes(path, data)
	return f.docs, f.diags
}

func parseBytes(path string, data []byte) (f file) {
	trees, err := yamltree.Parse(data)
	sigma := slices.ContainsFunc(trees, rule.IsSigma)
	if sigma {
		// In a file of rules a document without any of the keys is a slip, and
		// is reported as one.
		for _, t := range trees {
			doc, diags := rule.Parse(path, t)
			if doc != nil {
				f.docs = append(f.docs, doc)
			} else {
				f.refused++
			}
			f.diags = append(f.diags, diags...)
		}
	}
	var fault *yamltree.Error
	switch {
	case errors.As(err, &fault):
		at := rule.Position{File: path, Line: fault.Line, Column: fault.Column}
		f.diags = append(f.diags, diagnostic(at, rule.CodeYAML, fault.Msg, fault.Hint))
		f.refused++
	case !sigma:
		at := rule.Position{File: path, Line: 1}
		f.diags = append(f.diags, diagnostic(at, rule.CodeNotARule, notARule(trees), "move it out of the rule folders, or add the missing key"))
	}
	return f
}

func notARule(trees []*doctree.Node) string {
	if len(trees) == 0 {
		return "the file is empty"
	}
	return "the file holds no Sigma document: there is no key detection, correlation or filter"
}

func diagnostic(at rule.Position, code rule.Code, msg, hint string) rule.Diagnostic {
	d := rule.Diagnostic{Position: at, Code: code, Message: msg, Hint: hint}
	for _, c := range rule.Codes {
		if c.Code == code {
			d.Severity = c.Severity
		}
	}
	return d
}

// readFile reads at most one byte more than a rule file may have, so that a
// larger one is refused for its size without being read.
func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	// Nearly all rules fit into the first allocation.
	const usualBytes = 8 << 10
	var buf bytes.Buffer
	buf.Grow(usualBytes)
	_, err = buf.ReadFrom(io.LimitReader(f, yamltree.FileBytesMax+1))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return buf.Bytes(), err
}
