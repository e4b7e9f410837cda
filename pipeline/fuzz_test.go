package pipeline

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/pack"
	"github.com/tiercel-io/tiercel/rule/rulefile"
)

// shipped is the engine of the shipped rules and packs.
var shipped = sync.OnceValues(func() (*Sigma, error) {
	set, err := pack.Embedded()
	if err != nil {
		return nil, err
	}
	res, err := rulefile.Load(vfs.Default, []string{"../rules"}, rulefile.Options{})
	if err != nil {
		return nil, err
	}
	return NewSigma(res.Set.Rules, set, nil), nil
})

// FuzzScan reads any bytes under any name through all formats, packs and
// shipped rules: nothing panics, each record is counted once, what is handed
// out is valid and does not depend on the number of jobs.
func FuzzScan(f *testing.F) {
	seeds, err := filepath.Glob("../demo/logs/*")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(filepath.Base(name), data)
		f.Add("x", data[:len(data)/2])
	}
	f.Add("a.csv", []byte("a,b\n1,2\n\"x\n"))
	f.Add("conn.log", []byte("#separator \\x09\n#path\tconn\n#fields\tts\tid.orig_h\n#types\ttime\taddr\n1.5\t10.0.0.1\n"))
	f.Add("ex.log", []byte("#Fields: date time cs-method cs-uri-stem sc-status\n2026-01-01 00:00:00 GET / 200\n"))
	engine, err := shipped()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		if len(data) > 64<<10 || strings.ContainsAny(name, "/\x00") || name == "" || name == "." || name == ".." {
			return
		}
		fs := vfs.NewMem()
		file, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			return
		}
		if _, err := file.Write(data); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		var first []string
		for _, jobs := range []int{1, 3} {
			var lines []string
			stats, err := Scan(context.Background(), Config{
				Env: env.Env{FS: fs, Clock: fixedClock{}}, Engine: engine, Paths: []string{name}, Formats: formats.All(), Jobs: jobs,
				Match: func(m *Match) error {
					if !oneLine(m.Event) || len(m.Event) == 0 {
						t.Errorf("event %q is not one line of JSON", m.Event)
					}
					lines = append(lines, fmt.Sprintf("%+v %s %v %s", m.Source, m.Rule.ID, m.Fields, m.Event))
					return nil
				},
				Problem: func(path string, list []format.Problem, n int) {
					for _, p := range list {
						if strings.Contains(p.Error(), "internal error") {
							t.Errorf("%s: %v", path, p)
						}
						lines = append(lines, fmt.Sprintf("%s %v %d", path, p, n))
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			if stats.Records != stats.Routed+stats.Unrouted {
				t.Errorf("%+v", stats)
			}
			if jobs == 1 {
				first = lines
			} else if !slices.Equal(first, lines) {
				t.Errorf("%d jobs give\n%s\none\n%s", jobs, strings.Join(lines, "\n"), strings.Join(first, "\n"))
			}
		}
	})
}
