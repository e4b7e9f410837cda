package main

import (
	"io"
	"strings"
	"testing"
)

func TestReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in   string
		want bool
	}{
		"pass":               {`{"Action":"pass","Package":"p","Test":"T"}` + "\n" + `{"Action":"pass","Package":"p"}`, true},
		"fail":               {`{"Action":"fail","Package":"p","Test":"T"}`, false},
		"skip":               {`{"Action":"pass","Package":"p","Test":"T"}` + "\n" + `{"Action":"skip","Package":"p","Test":"U"}`, false},
		"package untested":   {`{"Action":"pass","Package":"p","Test":"T"}` + "\n" + `{"Action":"skip","Package":"q"}`, true},
		"build":              {`{"Action":"build-fail","ImportPath":"p"}`, false},
		"nothing ran":        {`{"Action":"pass","Package":"p"}`, false},
		"empty":              {``, false},
		"stray line is kept": {"warning\n" + `{"Action":"pass","Package":"p","Test":"T"}`, true},
	} {
		if got := report(strings.NewReader(c.in), io.Discard); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
