// Command testlog reads the output of `go test -json` on standard input and
// prints what a person needs of it: a line per package and the whole output of
// each failed test. It exits 1 when anything failed, when a test was skipped,
// since in CI nothing may be, or when no test ran at all.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	if !report(os.Stdin, os.Stdout) {
		os.Exit(1)
	}
}

// report returns whether every test passed and none was skipped.
func report(in io.Reader, out io.Writer) bool {
	output := make(map[string][]string)
	var failed, skipped []string
	passed := 0
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		var e event
		if jsonErr := json.Unmarshal(line, &e); jsonErr != nil || e.Action == "" {
			if len(line) > 0 { // not of the test protocol: what the build says
				fmt.Fprintf(out, "%s", line)
			}
		} else {
			name := e.Package + " " + e.Test
			switch e.Action {
			case "output":
				output[name] = append(output[name], e.Output)
			case "build-output":
				fmt.Fprint(out, e.Output)
			case "build-fail":
				failed = append(failed, "build of "+e.ImportPath)
			case "pass", "fail", "skip":
				if e.Test == "" {
					if e.Action != "skip" { // a package without tests
						fmt.Fprintf(out, "%-4s %s %.1fs\n", e.Action, e.Package, e.Elapsed)
					}
					if e.Action == "fail" {
						failed = append(failed, name)
						fmt.Fprint(out, strings.Join(output[name], ""))
					}
				} else {
					switch e.Action {
					case "pass":
						passed++
					case "fail":
						failed = append(failed, name)
						fmt.Fprintf(out, "FAIL %s\n%s", name, strings.Join(output[name], ""))
					case "skip":
						skipped = append(skipped, name)
						fmt.Fprintf(out, "SKIP %s\n%s", name, strings.Join(output[name], ""))
					}
				}
				delete(output, name)
			}
		}
		if err != nil {
			break
		}
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", passed, len(failed), len(skipped))
	return len(failed) == 0 && len(skipped) == 0 && passed > 0
}
