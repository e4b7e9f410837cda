package file

import (
	"path"
	"slices"
	"strings"

	"github.com/tiercel-io/tiercel/format/files"
)

// expand replaces the patterns among the paths by what they match, in order of
// names. A pattern that matches nothing yet is no problem.
func (s *Source) expand() []string {
	var out []string
	for _, p := range s.o.Paths {
		if !strings.ContainsAny(p, "*?[") {
			out = append(out, p)
			continue
		}
		parts := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")
		fixed := 0
		for !strings.ContainsAny(parts[fixed], "*?[") {
			fixed++
		}
		base := strings.Join(parts[:fixed], "/")
		switch {
		case fixed == 0:
			base = "."
		case base == "":
			base = "/"
		}
		out = s.glob(out, base, parts[fixed:])
	}
	return out
}

// glob appends what the parts of a pattern match below a folder.
func (s *Source) glob(out []string, dir string, parts []string) []string {
	names, err := s.o.Env.FS.List(dir)
	if err != nil {
		s.problem(dir, files.Plain(err))
		return out
	}
	s.fine(dir)
	slices.Sort(names)
	for _, name := range names {
		// A pattern that is malformed matches nothing.
		if ok, err := path.Match(parts[0], name); err != nil || !ok {
			continue
		}
		full := s.o.Env.FS.PathJoin(dir, name)
		if len(parts) == 1 {
			out = append(out, full)
			continue
		}
		if info, err := s.o.Env.FS.Stat(full); err == nil && info.IsDir() {
			out = s.glob(out, full, parts[1:])
		}
	}
	return out
}
