package main

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tiercel": main})
}

// One file a behaviour under testdata/script, run through the real main.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exitcode": exitcode,
			"fill":     fill,
			"lines":    lines,
			"jobs":     jobs,
		},
	})
}

// exitcode CODE ARGS... runs tiercel and demands that exit code.
func exitcode(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec("tiercel", args[1:]...)
	got := 0
	if err != nil {
		if _, scanErr := fmt.Sscanf(err.Error(), "exit status %d", &got); scanErr != nil {
			ts.Fatalf("%v", err)
		}
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// lines FILE N demands N lines.
func lines(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(args[0]), "\n"); got != want {
		ts.Fatalf("%s has %d lines, want %d:\n%s", args[0], got, want, ts.ReadFile(args[0]))
	}
}

// jobs ARGS... runs tiercel with 1, 2 and 8 jobs and demands one output.
func jobs(ts *testscript.TestScript, _ bool, args []string) {
	var first, firstErr string
	for _, n := range []string{"1", "2", "8"} {
		_ = ts.Exec("tiercel", append(args[:len(args):len(args)], "--jobs", n)...)
		out, problems := ts.ReadFile("stdout"), ts.ReadFile("stderr")
		if n == "1" {
			first, firstErr = out, problems
		} else if out != first || problems != firstErr {
			ts.Fatalf("%s jobs give another output than 1:\n%s%s\nnot\n%s%s", n, out, problems, first, firstErr)
		}
	}
	if first == "" {
		ts.Fatalf("no output to compare")
	}
}

// fill FILE KIND writes input that would not fit a script.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	var b bytes.Buffer
	match := `{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"WS01","Image":"C:\\x\\evil.exe"}` + "\n"
	switch args[1] {
	case "long-line": // 100 MB between two good records
		b.WriteString(match)
		b.WriteString(`{"Image":"`)
		b.Write(bytes.Repeat([]byte("A"), 100<<20))
		b.WriteString("\"}\n" + match)
	case "deep":
		b.WriteString(match)
		b.WriteString(`{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}\n" + match)
	case "nul":
		b.WriteString(match + strings.Repeat("\x00", 4096) + "\n" + match)
	case "invalid-utf8":
		b.WriteString(match)
		b.WriteString(strings.Replace(match, "WS01", "\xff\xfe\xc0", 1))
	case "bad-evtx":
		b.WriteString("ElfFile\x00" + strings.Repeat("no chunk ", 20_000))
	case "cut-gzip":
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		for i := range 20_000 {
			fmt.Fprintf(w, "%s{\"n\":%d}\n", match, i*i)
		}
		ts.Check(w.Close())
		b.Write(packed.Bytes()[:packed.Len()/2])
	case "nested-zip": // a gzip file in a zip file
		var packed bytes.Buffer
		gz := gzip.NewWriter(&packed)
		fmt.Fprint(gz, match)
		ts.Check(gz.Close())
		z := zip.NewWriter(&b)
		w, err := z.Create("hosts/ws.jsonl.gz")
		ts.Check(err)
		_, err = w.Write(packed.Bytes())
		ts.Check(err)
		ts.Check(z.Close())
	case "unknown-zip": // 23 files of which no pack knows a record
		z := zip.NewWriter(&b)
		for i := range 23 {
			w, err := z.Create(fmt.Sprintf("%02d.json", i))
			ts.Check(err)
			_, err = w.Write([]byte(`{"made":"up"}`))
			ts.Check(err)
		}
		ts.Check(z.Close())
	case "many": // matches and misses over several blocks
		for i := range 10_000 {
			if i%97 == 0 {
				b.WriteString(match)
			} else if i%1001 == 0 {
				b.WriteString("{broken\n")
			}
			fmt.Fprintf(&b, `{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"WS01","Image":"C:\\%d.exe"}`+"\n", i)
		}
	case "yaml-bomb":
		b.WriteString("title: bomb\nlogsource: {product: windows}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
		for i := 1; i < 12; i++ {
			fmt.Fprintf(&b, "a%d: &a%d [", i, i)
			for j := range 10 {
				if j > 0 {
					b.WriteString(", ")
				}
				fmt.Fprintf(&b, "*a%d", i-1)
			}
			b.WriteString("]\n")
		}
		b.WriteString("detection: {s: {F: *a11}, condition: s}\n")
	default:
		ts.Fatalf("unknown kind %q", args[1])
	}
	name := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(filepath.Dir(name), 0o755))
	ts.Check(os.WriteFile(name, b.Bytes(), 0o644))
}
