package serve

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A server that is told to stop while it is under load ends in order, and the
// next one goes on where it was.
func TestStopUnderLoad(t *testing.T) {
	n := newNode(t, setup{})
	n.start()
	l := newLoad(n, 1)
	finish := l.background()
	defer finish()
	feed, unfollow := n.follow()
	defer unfollow()
	for range 3 {
		before := l.answers.Load()
		await(t, backWithin, "a hundred requests are acknowledged", func() error {
			if l.answers.Load() < before+50 {
				return errors.New("not yet")
			}
			return nil
		})
		asked := time.Now()
		if code := n.stop(); code != 0 && code != 130 {
			t.Fatalf("it ended with code %d:\n%s", code, n.stderr.tail(4000))
		}
		stopped := time.Now()
		n.start()
		t.Logf("stopped within %v, ready again after %v", stopped.Sub(asked).Round(time.Millisecond), time.Since(stopped).Round(time.Millisecond))
	}
	finish()
	l.end()
	n.account(l)
	list := n.judge(l.marks)
	await(t, backWithin, "the follower has seen the last change", func() error { return seenAll(n, feed) })
	unfollow()
	feed.agrees(t, list)
	if errs := n.stderr.lines("level=ERROR"); len(errs) > 0 {
		t.Errorf("errors in the journal:\n%s", strings.Join(errs, "\n"))
	}
}

// A folder belongs to one process.
func TestSecondServer(t *testing.T) {
	n := newNode(t, setup{})
	n.start()
	out, err := exec.Command(binary, "serve", "--data", n.data, "--listen", freeAddress(t)).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another process has this folder open") {
		t.Errorf("a second server on the folder: %v\n%s", err, out)
	}
	out, err = exec.Command(binary, "serve", "--data", filepath.Join(t.TempDir(), "other"), "--listen", n.address).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "another tiercel, may have the port") {
		t.Errorf("a second server on the port: %v\n%s", err, out)
	}
	if err := n.ready(); err != nil {
		t.Errorf("the first server: %v", err)
	}
}

// A folder that a newer program has written is left alone.
func TestNewerFolder(t *testing.T) {
	n := newNode(t, setup{})
	n.start()
	n.stop()
	name := filepath.Join(n.data, "VERSION")
	for text, want := range map[string]string{
		"2\n":    "is of version 2 and this binary reads up to 1",
		"2026\n": "run the newer binary",
		"?!\n":   "should hold a number",
		"":       "should hold a number",
	} {
		writeFile(t, name, text)
		before := tree(t, n.data)
		n.launch()
		n.awaitExit()
		if n.code == 0 || !strings.Contains(n.stderr.tail(2000), want) {
			t.Errorf("VERSION %q: code %d, %s", text, n.code, n.stderr.tail(2000))
		}
		if after := tree(t, n.data); after != before {
			t.Errorf("VERSION %q: the folder was changed:\n%s\n%s", text, before, after)
		}
	}
	writeFile(t, name, "1\n")
	n.start()
}

// tree lists the files of a folder with their sizes.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(name string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			b.WriteString(name + " " + info.ModTime().String() + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A first start that is killed at any moment leaves a folder that the next one
// takes up, with a token that opens it.
func TestFirstStartIsCutOff(t *testing.T) {
	rng := rand.New(rand.NewPCG(*seed, 5))
	for range 12 {
		n := newNode(t, setup{})
		n.launch()
		<-time.After(30*time.Millisecond + time.Duration(rng.Int64N(int64(150*time.Millisecond))))
		n.kill()
		n.start()
		n.token("a")
		n.kill()
	}
}
