package tiercel_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/tiercel-io/tiercel"

// layer is a row of the architecture: what a package, or every package below
// a folder when the pattern ends in "/...", may import besides the standard
// library.
type layer struct {
	pattern string
	// inside lists packages of this module, as paths below the module's root;
	// a trailing "/..." allows the folder and all below it.
	inside []string
	// outside lists modules of others, by import path prefix.
	outside []string
	// pure forbids every standard package that reaches outside the process.
	pure bool
}

// layers says who may import whom. The first row that fits a package counts;
// a package without a row fails the test, so that a new arrow, and a new
// package, is something that a person has looked at.
var layers = []layer{
	{pattern: "env", outside: []string{"github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "event", pure: true},
	{pattern: "doctree", pure: true},
	{pattern: "yamltree", inside: []string{"doctree"}, outside: []string{"go.yaml.in/yaml/v3"}, pure: true},
	{pattern: "rule", inside: []string{"doctree", "event"}, pure: true},
	{pattern: "rule/...", inside: []string{"doctree", "event", "rule/...", "yamltree"}, outside: []string{"go.yaml.in/yaml/v3", "github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "ruleset", inside: []string{"doctree", "format", "format/container", "rule/...", "yamltree"}, outside: []string{"github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "lookup", inside: []string{"rule"}, pure: true},
	{pattern: "lookup/lookupfile", inside: []string{"lookup", "rule"}, outside: []string{"github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "detect", inside: []string{"event", "rule", "detect/..."}, pure: true},
	{pattern: "detect/...", inside: []string{"event", "rule", "detect/..."}, pure: true},
	{pattern: "timestamp", inside: []string{"event"}, pure: true},
	{pattern: "format", inside: []string{"event", "format"}},
	{pattern: "format/container", inside: []string{"format"}, outside: []string{"github.com/klauspost/compress", "github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "format/files", inside: []string{"env", "format"}},
	{pattern: "format/...", inside: []string{"event", "timestamp", "format/..."}},
	{pattern: "pack", inside: []string{"event", "timestamp", "format/...", "pack/..."}, outside: []string{"go.yaml.in/yaml/v3", "github.com/santhosh-tekuri/jsonschema/v6", "github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "pack/...", inside: []string{"event", "format/...", "pack/..."}, outside: []string{"go.yaml.in/yaml/v3"}},
	{pattern: "rules", inside: []string{"event", "rule/..."}, outside: []string{"go.yaml.in/yaml/v3", "github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "rules/rulecase", inside: []string{"event"}, outside: []string{"go.yaml.in/yaml/v3"}, pure: true},
	{pattern: "rules/casetest", inside: []string{"event", "format", "pack", "rule", "detect", "detect/correlate", "rules/rulecase", "scenario"}, pure: true},
	{pattern: "pipeline", inside: []string{"env", "event", "format/...", "pack", "rule", "detect", "detect/correlate", "store/wire", "timestamp"}, outside: []string{"github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "store", inside: []string{"event"}, pure: true},
	{pattern: "store/wire", pure: true},
	{pattern: "store/storetest", inside: []string{"event", "store"}, outside: []string{"pgregory.net/rapid"}},
	{pattern: "engine/segment", inside: []string{"env", "event", "store"}, outside: []string{"github.com/cockroachdb/pebble/v2/vfs", "github.com/klauspost/compress"}},
	{pattern: "engine/pebble", inside: []string{"env", "event", "store"}, outside: []string{"github.com/cockroachdb/pebble/v2"}},
	{pattern: "metric", outside: []string{"github.com/prometheus/client_golang"}},
	{pattern: "tracing", outside: []string{"go.opentelemetry.io/otel", "go.opentelemetry.io/proto/otlp", "google.golang.org/protobuf"}},
	{pattern: "detection", inside: []string{"env", "event", "store"}},
	{pattern: "quarantine", inside: []string{"env", "event", "store"}},
	{pattern: "access", inside: []string{"env", "event", "ingest", "store"}, outside: []string{"github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "config", inside: []string{"env", "event", "doctree", "yamltree"}, outside: []string{"github.com/knadh/koanf", "github.com/cockroachdb/pebble/v2/vfs", "go.yaml.in/yaml/v3"}},
	{pattern: "webhook", inside: []string{"env", "event", "detection", "metric", "store"}, outside: []string{"github.com/standard-webhooks/standard-webhooks/libraries"}},
	{pattern: "ingest", inside: []string{"env", "event", "format", "metric", "store", "store/wire", "tracing"}, outside: []string{"github.com/klauspost/compress"}},
	{pattern: "ingest/...", inside: []string{"env", "event", "format/...", "ingest/...", "metric"}, outside: []string{
		"github.com/klauspost/compress", "github.com/cockroachdb/pebble/v2/vfs", "go.opentelemetry.io/proto/otlp", "google.golang.org/grpc", "google.golang.org/protobuf", "google.golang.org/genproto", "github.com/prometheus/client_golang",
	}},
	{pattern: "health", inside: []string{"event"}, pure: true},
	{pattern: "ledger", inside: []string{"event", "store"}, pure: true},
	{pattern: "pipeline/stream", inside: []string{"env", "event", "format/...", "pack", "rule/...", "detect", "detect/correlate", "detection", "health", "ingest", "ledger", "metric", "pipeline", "quarantine", "store", "store/wire", "tracing", "webhook"}, outside: []string{"github.com/prometheus/client_golang", "github.com/klauspost/compress"}},
	{pattern: "api", inside: []string{"access", "env", "event", "detection", "ingest", "ledger", "metric", "pipeline/stream", "quarantine", "store", "webhook"}, outside: []string{"github.com/danielgtaylor/huma/v2", "github.com/prometheus/client_golang"}},
	{pattern: "report", inside: []string{"detection", "event", "pipeline", "rule"}},
	{pattern: "scenario", pure: true},
	{pattern: "corpus"},
	{pattern: "test/serve"},
	{pattern: "bench", inside: []string{"env", "event", "format/...", "pack", "rule/...", "detect", "pipeline"}, outside: []string{"github.com/valyala/fastjson", "github.com/cockroachdb/pebble/v2/vfs"}},
	{pattern: "cmd/tiercel", inside: []string{"doctree", "env", "event", "format/...", "pack", "rule/...", "rules/...", "detect", "detect/correlate", "pipeline/...", "lookup/...", "ruleset", "scenario", "report", "access", "api", "config", "detection", "engine/...", "health", "ingest/...", "ledger", "metric", "quarantine", "store/...", "tracing", "webhook"}, outside: []string{
		"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/vbauerster/mpb/v8", "github.com/cockroachdb/pebble/v2/vfs", "google.golang.org/grpc",
	}},
}

// reaching are the standard packages that reach outside the process, or are
// only of use to something that does. A pure package imports none of them.
var reaching = []string{
	"context", "crypto/rand", "database/sql", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "net/http/...",
	"net/rpc", "net/smtp", "os", "os/...", "plugin", "runtime/...", "syscall", "syscall/...", "testing", "testing/...",
}

// verdicts on the names of standard packages that touch the world. A name is
// judged by its package's function; packages not listed are free.
var worldly = map[string]func(name string) bool{
	"time": func(name string) bool {
		return !slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick"}, name)
	},
	"os": func(name string) bool {
		return strings.HasPrefix(name, "Mode") || strings.HasPrefix(name, "Err") ||
			slices.Contains([]string{"FileInfo", "FileMode", "PathError", "PathSeparator", "IsNotExist", "IsExist", "IsPermission"}, name)
	},
	"io/ioutil": func(string) bool { return false },
	"os/exec":   func(string) bool { return false },
	"os/signal": func(string) bool { return false },
	"os/user":   func(string) bool { return false },
	"syscall":   func(string) bool { return false },
	"path/filepath": func(name string) bool {
		return !slices.Contains([]string{"Abs", "EvalSymlinks", "Glob", "Walk", "WalkDir"}, name)
	},
	"net": func(name string) bool {
		if name == "Listener" { // what env hands out
			return true
		}
		for _, p := range []string{"Dial", "Listen", "Lookup", "Resolve", "Interface", "File", "DefaultResolver"} {
			if strings.HasPrefix(name, p) {
				return false
			}
		}
		return true
	},
	"net/http": func(name string) bool {
		return !slices.Contains([]string{
			"DefaultClient", "DefaultTransport", "Client", "Get", "Head", "Post", "PostForm",
			"ListenAndServe", "ListenAndServeTLS", "Dir",
		}, name)
	},
	"math/rand":    seededOnly,
	"math/rand/v2": seededOnly,
	"crypto/rand":  func(string) bool { return false },
}

func seededOnly(name string) bool {
	return slices.Contains([]string{"New", "NewSource", "NewZipf", "NewPCG", "NewChaCha8", "Rand", "Source", "Source64", "Zipf", "PCG", "ChaCha8"}, name)
}

// mainOnly are the names of package os and its children that the file with
// func main may use: the process itself.
var mainOnly = map[string][]string{
	"os":        {"Args", "Environ", "Getenv", "Exit", "Stdin", "Stdout", "Stderr", "Interrupt", "Signal", "File"},
	"os/signal": {"NotifyContext", "Notify", "Stop"},
	"syscall":   {"SIGTERM"},
}

const (
	worldPackage = "env"
	mainFile     = "cmd/tiercel/main.go"
)

// sourceFile is one parsed product file, its path below the root.
type sourceFile struct {
	path string
	file *ast.File
	fset *token.FileSet
}

func (s sourceFile) pkg() string { return path.Dir(s.path) }

// productFiles parses every Go file of the module that is not a test.
func productFiles(t *testing.T, root fs.FS) []sourceFile {
	t.Helper()
	var files []sourceFile
	fset := token.NewFileSet()
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := path.Base(name)
			if name != "." && (base == "testdata" || base == "tools" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(fset, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, sourceFile{path: name, file: f, fset: fset})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func covers(patterns []string, name string) bool {
	for _, p := range patterns {
		dir, below := strings.CutSuffix(p, "/...")
		if name == dir || below && strings.HasPrefix(name, dir+"/") {
			return true
		}
	}
	return false
}

func prefixed(prefixes []string, name string) bool {
	for _, p := range prefixes {
		if name == p || strings.HasPrefix(name, p+"/") {
			return true
		}
	}
	return false
}

func standard(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return !strings.Contains(first, ".")
}

// importFaults are the imports that the table does not allow.
func importFaults(files []sourceFile, table []layer) []string {
	var faults []string
	for _, f := range files {
		pkg := f.pkg()
		at := slices.IndexFunc(table, func(l layer) bool { return covers([]string{l.pattern}, pkg) })
		if at < 0 {
			faults = append(faults, fmt.Sprintf("%s: package %s has no row in the table of layers in arch_test.go", f.path, pkg))
			continue
		}
		row := table[at]
		for _, spec := range f.file.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				continue
			}
			ok := true
			switch inner, inside := strings.CutPrefix(name, modulePath+"/"); {
			case inside:
				ok = covers(row.inside, inner)
			case standard(name):
				ok = !row.pure || !covers(reaching, name)
			default:
				ok = prefixed(row.outside, name)
			}
			if !ok {
				faults = append(faults, fmt.Sprintf("%s: package %s may not import %s", f.fset.Position(spec.Pos()), pkg, name))
			}
		}
	}
	return faults
}

// worldFaults are the uses of the outside world by code that is not env.
func worldFaults(files []sourceFile) []string {
	var faults []string
	for _, f := range files {
		if f.pkg() == worldPackage {
			continue
		}
		names := make(map[string]string) // local name -> import path
		for _, spec := range f.file.Imports {
			full, err := strconv.Unquote(spec.Path.Value)
			if err != nil || worldly[full] == nil {
				continue
			}
			local := path.Base(full)
			if local == "v2" {
				local = path.Base(path.Dir(full))
			}
			if spec.Name != nil {
				local = spec.Name.Name
			}
			if local == "." {
				faults = append(faults, fmt.Sprintf("%s: %s is imported with a dot, which hides its uses", f.fset.Position(spec.Pos()), full))
				continue
			}
			names[local] = full
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			id, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			full := names[id.Name]
			if full == "" || worldly[full](sel.Sel.Name) {
				return true
			}
			if f.path == mainFile && slices.Contains(mainOnly[full], sel.Sel.Name) {
				return true
			}
			faults = append(faults, fmt.Sprintf("%s: %s.%s touches the outside world; take it from package env", f.fset.Position(sel.Pos()), full, sel.Sel.Name))
			return true
		})
	}
	return faults
}

func TestImportsFollowTheTable(t *testing.T) {
	t.Parallel()
	for _, fault := range importFaults(productFiles(t, os.DirFS(".")), layers) {
		t.Error(fault)
	}
}

func TestOnlyEnvTouchesTheWorld(t *testing.T) {
	t.Parallel()
	for _, fault := range worldFaults(productFiles(t, os.DirFS("."))) {
		t.Error(fault)
	}
}

// wanted collects the lines of files that carry a comment "want", as
// path:line.
func wanted(files []sourceFile) []string {
	var lines []string
	for _, f := range files {
		for _, group := range f.file.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "// want") {
					p := f.fset.Position(c.Pos())
					lines = append(lines, fmt.Sprintf("%s:%d", p.Filename, p.Line))
				}
			}
		}
	}
	return lines
}

// faultLines reduces faults to path:line, once each.
func faultLines(faults []string) []string {
	var lines []string
	for _, f := range faults {
		parts := strings.SplitN(f, ":", 3)
		lines = append(lines, parts[0]+":"+parts[1])
	}
	sort.Strings(lines)
	return slices.Compact(lines)
}

// The checks themselves are tested: on a folder of offending code they must
// name exactly the lines that carry a "want" comment.
func TestArchitectureChecksCanFail(t *testing.T) {
	t.Parallel()
	files := productFiles(t, os.DirFS("testdata/arch"))
	if len(files) < 3 {
		t.Fatalf("found %d fixture files, expected at least 3", len(files))
	}
	table := []layer{
		{pattern: "offender", inside: []string{"clean"}, pure: true},
		{pattern: "world"},
		{pattern: "clean", inside: []string{"offender"}},
	}
	faults := append(importFaults(files, table), worldFaults(files)...)
	want := wanted(files)
	sort.Strings(want)
	if got := faultLines(faults); !slices.Equal(got, want) {
		t.Errorf("faults on lines\n%s\nwant\n%s\nfaults:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), strings.Join(faults, "\n"))
	}
	if len(want) < 20 {
		t.Errorf("only %d offending lines in the fixture", len(want))
	}
	noRow := importFaults(files, table[:1])
	if !slices.ContainsFunc(noRow, func(s string) bool { return strings.Contains(s, "no row in the table") }) {
		t.Error("a package without a row passed")
	}
}
