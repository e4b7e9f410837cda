// Package clients tests Tiercel with the programs and libraries that people
// send from: each delivers through its own protocol to a real server process,
// and every event is accounted for.
//
//	events ─▶ client ─▶ (proxy that cuts) ─▶ tiercel serve ─▶ ledger, detections, log
//
// Each client delivers twice: undisturbed, and to a server whose quota is far
// too small, through a proxy that drops the first answer, so that the client is
// refused and does not hear of a success. Then the server's ledger must hold
// what was sent, and the log, read back once the server has stopped, each event
// as it was.
//
// The package is a module of its own, so that no client can get into the
// product. The script install puts the clients where the tests look for them;
// one that is missing skips its test, or fails it when TIERCEL_CLIENTS lists
// its name or is "all".
package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// binary is the tiercel that is tested, built once from the module above, or
// what TIERCEL_BINARY names. reader is the test
// binary of test/readlog, which prints what a log holds.
var binary, reader string

// cache is where install has put clients that are no packages of the system.
var cache = func() string {
	if dir := os.Getenv("TIERCEL_CACHE"); dir != "" {
		return dir
	}
	dir, err := filepath.Abs(filepath.Join("..", "..", ".cache"))
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tiercel-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	build := func(name string, args ...string) (string, error) {
		file := filepath.Join(dir, filepath.Base(name))
		build := exec.Command("go", append(args, "-o", file, name)...)
		build.Dir = filepath.Join("..", "..")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		return file, build.Run()
	}
	if binary = os.Getenv("TIERCEL_BINARY"); binary == "" {
		binary, err = build("./cmd/tiercel", "build", "-trimpath")
	}
	if err == nil {
		reader, err = build("./test/readlog", "test", "-c")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	code := m.Run()
	fmt.Fprintln(os.Stderr, results())
	return code
}

// results of the clients, by what became of them.
var (
	resultsMu sync.Mutex
	passed    []string
	failed    []string
	skipped   []string
)

// results is one line that says which clients were tested.
func results() string {
	resultsMu.Lock()
	defer resultsMu.Unlock()
	var parts []string
	for _, part := range []struct {
		word  string
		names []string
	}{{"passed", passed}, {"failed", failed}, {"skipped", skipped}} {
		slices.Sort(part.names)
		if list := strings.Join(part.names, ", "); list != "" {
			parts = append(parts, part.word+" "+list)
		}
	}
	return "clients: " + strings.Join(parts, "; ")
}

// report notes what becomes of a client's test.
func report(t *testing.T, name string) {
	t.Cleanup(func() {
		resultsMu.Lock()
		defer resultsMu.Unlock()
		switch {
		case t.Skipped():
			skipped = append(skipped, name)
		case t.Failed():
			failed = append(failed, name)
		default:
			passed = append(passed, name)
		}
	})
}

// wanted reports whether TIERCEL_CLIENTS lists a client.
func wanted(name string) bool {
	for want := range strings.SplitSeq(os.Getenv("TIERCEL_CLIENTS"), ",") {
		if want = strings.TrimSpace(want); want == "all" || want == name {
			return true
		}
	}
	return false
}

// need looks for a client's program, a name in PATH or a pattern of a file. A
// test without its program is skipped, or fails where TIERCEL_CLIENTS lists it.
func need(t *testing.T, name string, places ...string) string {
	t.Helper()
	for _, place := range places {
		if !strings.Contains(place, "/") {
			if found, err := exec.LookPath(place); err == nil {
				return found
			}
		} else if found, err := filepath.Glob(place); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	const how = "%s is not there (looked for %s); run test/clients/install"
	if wanted(name) {
		t.Fatalf(how, name, strings.Join(places, ", "))
	}
	t.Skipf(how, name, strings.Join(places, ", "))
	return ""
}
