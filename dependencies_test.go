package tiercel_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite checked-in files that are made from the code")

const dependenciesFile = "docs/reference/dependencies.md"

const dependenciesHead = `# What is in the binary

Modules linked into ` + "`tiercel`" + ` besides Go's standard library, with the licence each
is under. Made by ` + "`go test -run TestDependencies -update .`" + `; a new line here is a
reviewed act, and its commit says why it joined.

| module | version | licence |
|---|---|---|
`

// licences recognises a licence by sentences of its text that no other has.
// Only permissive ones are known: a module under anything else fails the test.
var licences = []struct{ name, mark string }{
	{"Apache-2.0", "Apache License"},
	{"MIT", "Permission is hereby granted, free of charge"},
	{"BSD-3-Clause", "may be used to endorse or promote products"},
	{"BSD-2-Clause", "Redistributions in binary form must reproduce"},
	{"ISC", "Permission to use, copy, modify, and/or distribute"},
	{"Unlicense", "This is free and unencumbered software"},
}

func licenceOf(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		base := strings.ToUpper(filepath.Base(name))
		if !strings.HasPrefix(base, "LICENSE") && !strings.HasPrefix(base, "LICENCE") && !strings.HasPrefix(base, "COPYING") && !strings.HasPrefix(base, "UNLICENSE") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		flat := strings.Join(strings.Fields(string(text)), " ")
		for _, l := range licences {
			if strings.Contains(flat, l.mark) {
				return l.name
			}
		}
	}
	return ""
}

// The modules of the binary are listed with their licences, and every licence
// is a permissive one.
func TestDependencies(t *testing.T) {
	t.Parallel()
	list := exec.Command("go", "list", "-deps", "-json=Module", "./cmd/tiercel")
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0") // the same list everywhere
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	lines := make(map[string]bool)
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p struct {
			Module *struct {
				Path, Version, Dir string
				Main               bool
			}
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Module == nil || p.Module.Main {
			continue
		}
		licence := licenceOf(t, p.Module.Dir)
		if licence == "" {
			t.Errorf("module %s: no permissive licence recognised in %s", p.Module.Path, p.Module.Dir)
		}
		lines[fmt.Sprintf("| %s | %s | %s |\n", p.Module.Path, p.Module.Version, licence)] = true
	}
	var sorted []string
	for l := range lines {
		sorted = append(sorted, l)
	}
	sort.Strings(sorted)
	want := dependenciesHead + strings.Join(sorted, "")
	if *update {
		if err := os.WriteFile(dependenciesFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(dependenciesFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s does not fit the binary; run go test -run TestDependencies -update . and review the change\nwant:\n%s", dependenciesFile, want)
	}
}
