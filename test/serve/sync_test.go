package serve

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// injected starts a server whose calls on files of a folder fail from the nth
// on, in each thread.
func (n *node) injected(calls string, when string, paths ...string) {
	n.t.Helper()
	args := []string{"strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=" + calls}
	for _, p := range paths {
		args = append(args, "-P", p)
	}
	n.launch(append(args, "-e", "inject="+calls+":error=EIO:when="+when)...)
}

// Syncs of the log that fail: nothing of them is acknowledged, and everything
// that is acknowledged is there after a crash. Where the sync of the state
// fails, the server ends, since it cannot tell what is on disk, and the next one
// has everything.
func TestFailingSync(t *testing.T) {
	sweep := *syncFails
	if testing.Short() {
		sweep = min(sweep, 2)
	}
	for i := range sweep {
		for _, where := range []string{"log", "state"} {
			nth := 1 + i*i
			t.Run(fmt.Sprintf("%s-%d", where, nth), func(t *testing.T) { failingSync(t, where, nth) })
		}
	}
}

var appendsField = regexp.MustCompile(`\bappends=(\d+)`)

func failingSync(t *testing.T, where string, nth int) {
	n := newNode(t, setup{})
	n.start()
	l := newLoad(n, 1)
	l.forSome(200 * time.Millisecond)
	n.stop()
	// The names of the files to come: numbers, and the folder itself.
	paths := []string{filepath.Join(n.data, where)}
	for i := 1; i <= 60; i++ {
		if where == "log" {
			paths = append(paths, filepath.Join(n.data, where, fmt.Sprintf("%016x.seg", i)))
		} else {
			paths = append(paths, filepath.Join(n.data, where, fmt.Sprintf("%06d.log", i)))
		}
	}
	n.injected("fsync,fdatasync,sync_file_range", fmt.Sprintf("%d+40", nth), paths...)
	finish := l.background()
	defer finish()
	const told = "a write to the log failed"
	began := time.Now()
	await(t, backWithin, "a sync has failed", func() error {
		if n.gone() || len(n.stderr.lines(told)) > 0 || time.Since(began) > 6*time.Second {
			return nil
		}
		return errors.New("none has")
	})
	ended := n.gone()
	if ended {
		t.Logf("it ended with code %d: %.600s", n.code, n.stderr.tail(600))
		if n.code == 0 {
			t.Error("it ended as if nothing had happened")
		}
	} else {
		// It goes on: what comes next is acknowledged.
		before := l.answers.Load()
		await(t, backWithin, "a request is acknowledged after the failure, or the server has ended", func() error {
			if !n.gone() && l.answers.Load() < before+5 {
				return errors.New("none is")
			}
			return nil
		})
		ended = n.gone()
	}
	n.kill()
	failures := n.stderr.lines(told)
	n.start()
	finish()
	// Each append that failed was told so to whoever asked for it.
	failed := 0
	for _, line := range failures {
		if m := appendsField.FindStringSubmatch(line); m != nil {
			count, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			failed += count
		}
	}
	heard := int(l.tries.Load()) + len(n.stderr.lines("matches cannot be written")) + len(n.stderr.lines("heartbeats were not written"))
	for text, times := range l.waits {
		if strings.Contains(text, "log could not be written") {
			heard += times
		}
	}
	if failed > heard {
		t.Errorf("%d appends failed and only %d are told of", failed, heard)
	}
	t.Logf("%d failures in the log of events, ended by itself: %v, %d requests refused", len(failures), ended, l.refused.Load())
	if where == "log" && len(failures) == 0 && !ended {
		t.Logf("no sync failed with n = %d", nth)
	}
	if len(failures) > 0 && l.refused.Load() == 0 && l.tries.Load() == 0 {
		t.Error("a sync failed and nothing was refused")
	}
	for text := range l.waits {
		if !strings.Contains(text, "log could not be written") && !strings.Contains(text, "behind") && !strings.Contains(text, "stopping") {
			t.Errorf("refused: %s", text)
		}
	}
	l.end()
	n.account(l)
	n.judge(l.marks)
}
