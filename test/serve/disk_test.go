package serve

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asRoot runs a program that needs to be root.
func asRoot(t testing.TB, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// smallDisk mounts a new file system of so many MiB and returns where. It is
// gone after the test.
func smallDisk(t testing.TB, mib int) string {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "disk.img"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, int64(mib)<<20); err != nil {
		t.Fatal(err)
	}
	asRoot(t, "mkfs.ext4", "-q", "-m", "0", image)
	asRoot(t, "mount", "-o", "loop", image, dir)
	t.Cleanup(func() { asRoot(t, "umount", dir) })
	asRoot(t, "chmod", "0777", dir)
	return dir
}

// free is what is left on a disk in bytes.
func free(t testing.TB, dir string) int64 {
	t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	return int64(s.Bavail) * s.Bsize
}

// ballast takes room until so many bytes are left.
func ballast(t testing.TB, dir, name string, left int64) (remove func()) {
	t.Helper()
	name = filepath.Join(dir, name)
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// The file system needs some of it to know where the file is, and others write
	// meanwhile: what it does not have at once is tried for again.
	for tries := 0; free(t, dir) > left && tries < 100; tries++ {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		size := free(t, dir) - left
		for size > 0 && syscall.Fallocate(int(f.Fd()), 0, info.Size(), size) != nil {
			size -= min(size, 64<<10)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

// marked sums the events of the detections of the single-event rule.
func (n *node) marked() (int, error) {
	list, err := n.list()
	sum := 0
	for _, d := range list {
		if d.Rule.ID == markID {
			sum += d.Count
		}
	}
	return sum, err
}

func (l *load) markCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.marks)
}

const reserve = 16 << 20

// A disk that fills up: new data is refused while there is room left for
// everything else, which goes on; and when there is room again, so does the
// rest.
func TestFullDisk(t *testing.T) {
	dir := smallDisk(t, 128)
	n := newNode(t, setup{data: filepath.Join(dir, "data")})
	n.start()
	l := newLoad(n, 1)
	l.forSome(300 * time.Millisecond)
	remove := ballast(t, dir, "ballast", reserve+4<<20)
	l.rate = 0
	finish := l.background()
	defer finish()
	full := func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for text := range l.waits {
			if strings.Contains(text, "disk is nearly full") {
				return nil
			}
		}
		return errors.New("nothing was refused for it")
	}
	await(t, doneWithin, "new data is refused", full)
	left := free(t, dir)
	if left < reserve/2 {
		t.Errorf("it was refused with %d bytes left of the %d that are set aside", left, reserve)
	}
	await(t, doneWithin, "what was acknowledged is detected on the full disk", func() error {
		got, err := n.marked()
		if want := l.markCount(); err == nil && got != want {
			err = fmt.Errorf("%d of %d", got, want)
		}
		return err
	})
	n.token("a") // state and audit
	if lines := n.stderr.lines("audit log was not kept"); len(lines) > 0 {
		t.Error(lines)
	}
	stays := func(what string) {
		t.Helper()
		acked := l.acked.Load()
		if err := n.ready(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		got, err := n.marked()
		if err != nil || got > l.markCount() {
			t.Errorf("%s: %d events are in detections and %d were acknowledged; %v", what, got, l.markCount(), err)
		}
		t.Logf("%s: %d events acknowledged, %d bytes free, %d refused", what, acked, free(t, dir), l.refused.Load())
	}
	stays("full")
	n.kill()
	n.start()
	stays("after a kill")
	if code := n.stop(); code != 0 && code != 130 {
		t.Errorf("it ended with code %d on the full disk: %s", code, n.stderr.tail(1000))
	}
	n.start()
	stays("after a stop")

	acked := l.acked.Load()
	remove()
	freed := time.Now()
	await(t, backWithin, "it takes new data again", func() error {
		if l.acked.Load() < acked+10*batchEvents {
			return errors.New("it does not")
		}
		return nil
	})
	took := time.Since(freed)
	t.Logf("it took new data again %v after there was room", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	finish()
	for text, times := range l.waits {
		t.Logf("%d times: %s", times, text)
	}
	l.end()
	n.account(l)
	n.judge(l.marks)
}

// Somebody else takes the very last byte of the disk. Nothing can be written
// then; once there is room, a server that a service manager starts again goes on
// without anybody's help.
func TestNoRoomAtAll(t *testing.T) {
	dir := smallDisk(t, 96)
	n := newNode(t, setup{data: filepath.Join(dir, "data")})
	n.start()
	l := newLoad(n, 1)
	finish := l.background()
	defer finish()
	await(t, backWithin, "something is acknowledged", func() error {
		if l.answers.Load() < 20 {
			return errors.New("nothing was")
		}
		return nil
	})
	remove := ballast(t, dir, "ballast", 0)
	refused := l.refused.Load()
	await(t, doneWithin, "new data is refused, or the server has ended", func() error {
		if !n.gone() && l.refused.Load() < refused+20 {
			return errors.New("it is not")
		}
		return nil
	})
	t.Logf("ended by itself: %v", n.gone())
	n.kill()
	// It may start, end, or wait for room.
	n.launch()
	began := time.Now()
	await(t, backWithin, "the server has tried", func() error {
		if n.gone() || n.ready() == nil || time.Since(began) > 2*time.Second {
			return nil
		}
		return errors.New("it is trying")
	})
	t.Logf("without room: ended %v, ready %v", n.gone(), n.ready() == nil)
	if why := n.stderr.lines("no space left"); len(why) == 0 {
		t.Errorf("it does not say what is wrong:\n%s", n.stderr.tail(2000))
	}
	remove()
	if n.gone() {
		n.revive()
	}
	acked := l.acked.Load()
	began = time.Now()
	await(t, backWithin, "it takes new data again", func() error {
		if n.gone() {
			n.revive()
		}
		if l.acked.Load() < acked+10*batchEvents {
			return errors.New("it does not")
		}
		return nil
	})
	t.Logf("it took new data again %v after there was room", time.Since(began).Round(time.Millisecond))
	finish()
	l.end()
	n.account(l)
	n.judge(l.marks)
}
