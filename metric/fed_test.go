package metric

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// TestEveryMetricIsFed looks for metrics that no product code refers to: they
// would stand at nothing for ever, and so would what is built on them.
func TestEveryMetricIsFed(t *testing.T) {
	t.Parallel()
	unfed := map[string]bool{}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Set]()) {
		if f.Name != "Registry" && f.Type.Implements(reflect.TypeFor[prometheus.Collector]()) {
			unfed[f.Name] = true
		}
	}
	root := os.DirFS("..")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() {
			if name != "." && (strings.HasPrefix(base, ".") || slices.Contains([]string{"testdata", "node_modules", "metric", "test", "tools"}, base)) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.ToSlash(name), text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && ofSet(s.X) {
				delete(unfed, s.Sel.Name)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range unfed {
		t.Errorf("no product code feeds Set.%s: feed it or take it out", name)
	}
}

// ofSet reports whether an expression is called as sets of metrics are.
func ofSet(x ast.Expr) bool {
	name := ""
	switch x := x.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name = x.Sel.Name
	}
	return slices.Contains([]string{"Metrics", "metrics", "set"}, name)
}
