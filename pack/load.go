package pack

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.yaml.in/yaml/v3"

	"github.com/tiercel-io/tiercel/event"
)

//go:embed packs/*/pack.yml
var embedded embed.FS

// fileBytesMax bounds one pack file. The largest embedded one has some 60 KB.
const fileBytesMax = 4 << 20

// packsMax bounds the packs a user may load.
const packsMax = 4096

// Set is a set of packs, compiled. It is immutable and safe for concurrent
// use.
type Set struct {
	packs []*Pack // by name
	views []event.View
	ocsf  ocsfPlans
}

// Embedded returns the packs of Tiercel itself.
func Embedded() (*Set, error) { return embeddedSet() }

var embeddedSet = sync.OnceValues(func() (*Set, error) {
	packs, err := loadEmbedded(false)
	if err != nil {
		return nil, err
	}
	return newSet(packs), nil
})

func loadEmbedded(check bool) (map[string]*Pack, error) {
	files, err := fs.Glob(embedded, "packs/*/pack.yml")
	if err != nil {
		return nil, err
	}
	packs := map[string]*Pack{}
	var errs []error
	for _, name := range files {
		data, err := embedded.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p, err := compile(name, data, check)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		packs[p.Name] = p
	}
	return packs, errors.Join(errs...)
}

// Load returns the embedded packs together with those at userPaths on fsys. A
// path is a pack file, a folder with a pack.yml in it, or a folder of such
// folders. A user's pack replaces the embedded one of the same name. All faults
// of all files are reported in one error, each an [*Error].
func Load(fsys vfs.FS, userPaths []string) (*Set, error) {
	if len(userPaths) == 0 {
		return Embedded()
	}
	packs, err := loadEmbedded(false)
	if err != nil {
		return nil, err
	}
	files, err := packFiles(fsys, userPaths)
	if err != nil {
		return nil, err
	}
	var errs []error
	from := map[string]string{}
	for _, name := range files {
		p, err := loadFile(fsys, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if other, twice := from[p.Name]; twice {
			errs = append(errs, &Error{File: name, Problem: fmt.Sprintf("pack %q is also defined in %s; rename one", p.Name, other)})
			continue
		}
		from[p.Name] = name
		packs[p.Name] = p
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return newSet(packs), nil
}

func loadFile(fsys vfs.FS, name string) (*Pack, error) {
	data, err := readFile(fsys, name, fileBytesMax)
	if err != nil {
		return nil, err
	}
	return compile(name, data, true)
}

// readFile reads a whole file of at most limit bytes.
func readFile(fsys vfs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open %q: %w", name, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, &Error{File: name, Problem: fmt.Sprintf("the file is larger than %d bytes", limit)}
	}
	return data, nil
}

// packFiles lists the pack files at paths, in the order given, folders sorted.
func packFiles(fsys vfs.FS, paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		info, err := fsys.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("open %q: %w", p, err)
		}
		if !info.IsDir() {
			out = append(out, p)
			continue
		}
		if file := fsys.PathJoin(p, "pack.yml"); exists(fsys, file) {
			out = append(out, file)
			continue
		}
		names, err := fsys.List(p)
		if err != nil {
			return nil, fmt.Errorf("list %q: %w", p, err)
		}
		sort.Strings(names)
		before := len(out)
		for _, n := range names {
			if file := fsys.PathJoin(p, n, "pack.yml"); exists(fsys, file) {
				out = append(out, file)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("no pack in %q: expected a pack.yml there or one folder below", p)
		}
	}
	if len(out) > packsMax {
		return nil, fmt.Errorf("%d packs; at most %d can be loaded", len(out), packsMax)
	}
	return out, nil
}

func exists(fsys vfs.FS, name string) bool {
	info, err := fsys.Stat(name)
	return err == nil && !info.IsDir()
}

// compile parses and checks one pack file.
func compile(file string, data []byte, check bool) (*Pack, error) {
	p, errs := compileFile(data, check)
	if len(errs) == 0 && p.Name != path.Base(path.Dir(file)) && file == path.Join("packs", path.Base(path.Dir(file)), "pack.yml") {
		errs = append(errs, &Error{Problem: fmt.Sprintf("pack %q stands in folder %q; the two names must agree", p.Name, path.Base(path.Dir(file)))})
	}
	if len(errs) == 0 {
		p.File = file
		return p, nil
	}
	joined := make([]error, len(errs))
	for i, e := range errs {
		e.File = file
		joined[i] = e
	}
	return nil, errors.Join(joined...)
}

func compileFile(data []byte, check bool) (*Pack, []*Error) {
	var root yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&root); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, []*Error{{Problem: "the file is empty; a pack begins with `pack: NAME`"}}
		}
		return nil, []*Error{{Problem: err.Error()}}
	}
	if check {
		var more yaml.Node
		if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
			return nil, []*Error{{place: place{more.Line, more.Column}, Problem: "a pack file holds one document; put the next pack into its own file"}}
		}
		if errs := checkSchema(&root); len(errs) > 0 {
			return nil, errs
		}
	}
	var d document
	if err := root.Decode(&d); err != nil {
		var e *Error
		if errors.As(err, &e) {
			return nil, []*Error{e}
		}
		return nil, []*Error{{Problem: err.Error()}}
	}
	return newPack(&d)
}

func newSet(packs map[string]*Pack) *Set {
	s := &Set{}
	for _, p := range packs {
		s.packs = append(s.packs, p)
	}
	sort.Slice(s.packs, func(i, j int) bool { return s.packs[i].Name < s.packs[j].Name })
	for _, p := range s.packs {
		for _, v := range p.views {
			s.views = append(s.views, v.View)
		}
	}
	return s
}

// Packs returns the packs by name. The slice is shared: do not change it.
func (s *Set) Packs() []*Pack { return s.packs }

// Pack returns the pack of that name, or nil.
func (s *Set) Pack(name string) *Pack {
	for _, p := range s.packs {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// Views returns the views of all packs, in an order that is the same for the
// same packs. The index of a view is its id. The slice is shared.
func (s *Set) Views() []event.View { return s.views }
