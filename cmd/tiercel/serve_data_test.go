package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/store"
)

func quietLog() *log.Logger { return log.New(io.Discard, "", 0) }

func TestOpenData(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		folders []string
		version string // of the file, unless it is empty
		want    string // in the error, or empty where there is none
	}{
		"nothing there yet":            {},
		"tokens were made before":      {folders: []string{"access"}},
		"a new disk":                   {folders: []string{"lost+found"}},
		"one of ours":                  {folders: []string{"log", "state"}, version: "1\n"},
		"a restore that was cut short": {folders: []string{"log", "state"}, want: "restore once more into a new one"},
		"the folder of something else": {folders: []string{"log", "lib"}, want: `has a "log" and no file VERSION`},
		"of a newer binary":            {version: "2\n", want: "run the newer binary"},
		"no number":                    {version: "hello", want: "choose another with --data"},
		"no version":                   {version: "0\n", want: `holds "0\n"`},
		"less than none":               {version: "-5\n", want: `holds "-5\n"`},
		"an empty version":             {version: " ", want: `holds " "`},
	} {
		fsys := vfs.NewMem()
		for _, f := range c.folders {
			if err := fsys.MkdirAll("data/"+f, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if c.version != "" {
			if err := fsys.MkdirAll("data", 0o700); err != nil {
				t.Fatal(err)
			}
			if err := writeFile(fsys, "data/VERSION", c.version); err != nil {
				t.Fatal(err)
			}
		}
		err := openData(fsys, "data")
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || exitCode(err) != exitInput) {
			t.Errorf("%s: %v", name, err)
		}
		if text, readErr := readFile(fsys, "data/VERSION"); err == nil && (readErr != nil || text != "1\n") {
			t.Errorf("%s: the version is %q, %v", name, text, readErr)
		}
	}
}

// serveOnce runs serve in a folder until it has begun, or failed.
func serveOnce(t *testing.T, folder, listen string) (stderr string, _ error) {
	t.Helper()
	return serveWhile(t, folder, listen, func(*server) error { return nil })
}

// serveWhile runs serve in a folder until work is done.
func serveWhile(t *testing.T, folder, listen string, work func(*server) error) (stderr string, _ error) {
	t.Helper()
	return serveAs(t, serveFlags{}, folder, listen, func(*server) {}, work)
}

// serveAs is serveWhile with flags, and with changes to the server before it
// opens.
func serveAs(t *testing.T, f serveFlags, folder, listen string, change func(*server), work func(*server) error) (stderr string, _ error) {
	t.Helper()
	p, _, out := inProcess(t)
	p.world, p.stderr = env.Real(), out
	f.listen, f.config = listen, configFlags{data: folder, set: []string{"admin.listen=", "log.reserve_bytes=16MiB"}}
	cfg, err := f.load(&p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	s := newServer(&p, cfg)
	change(s)
	s.ready = func(context.Context) error {
		defer stop()
		return work(s)
	}
	err = s.serve(ctx)
	return out.String(), err
}

// The tokens of a first start are shown although it fails for a port in use:
// the next start would not show them.
func TestFirstTokensOfAStartThatFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	folder := filepath.Join(t.TempDir(), "data")
	stderr, err := serveOnce(t, folder, taken.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "choose another with --set http.listen=HOST:PORT") {
		t.Errorf("the port is taken: %v", err)
	}
	if strings.Count(stderr, "tc1_") != 2 || strings.Contains(stderr, "listens on") {
		t.Errorf("tokens are not shown:\n%s", stderr)
	}
	stderr, err = serveOnce(t, folder, "127.0.0.1:0")
	if err != nil || strings.Contains(stderr, "tc1_") {
		t.Errorf("the second start: %v\n%s", err, stderr)
	}
}

// What a first start tells to do is right for this server.
func TestFirstSteps(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	stderr, err := serveOnce(t, folder, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, url, _ := strings.Cut(stderr, " listens on ")
	url, _, _ = strings.Cut(url, ", data in ")
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("it listens on %q", url)
	}
	for _, want := range []string{
		"print-agent filebeat --to " + url + " --token TOKEN\n", "send --to " + url + " --token TOKEN\n", "detections tail --server " + url + " --data " + folder + "\n",
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is missing in\n%s", want, stderr)
		}
	}
}

// The server finds wrong what config check finds wrong.
func TestServeChecksNames(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{
		`sources=[{name: a, pack: nosuch}]`:   `there is no pack "nosuch"`,
		`sources=[{name: a, format: nosuch}]`: `there is no format "nosuch"`,
		`content.profile=nosuch`:              `there is no profile "nosuch"`,
	} {
		p, _, stderr := inProcess(t, "serve", "--set", setting)
		if err := run(t.Context(), p); exitCode(err) != exitUsage || !strings.Contains(stderr.String(), want) {
			t.Errorf("%s: %v\n%s", setting, err, stderr)
		}
	}
}

// A folder that a server has open is no backup: it changes while it is copied.
func TestRestoreOfAFolderInUse(t *testing.T) {
	t.Parallel()
	fsys := vfs.NewMem()
	for _, f := range []string{"live/log", "live/state", "live/access"} {
		if err := fsys.MkdirAll(f, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeFile(fsys, "live/VERSION", "1\n"); err != nil {
		t.Fatal(err)
	}
	lock, err := fsys.Lock("live/log/LOCK")
	if err != nil {
		t.Fatal(err)
	}
	restoring := func() (int, string) {
		var stdout, stderr bytes.Buffer
		p := process{args: []string{"restore", "live", "--data", "new"}, stdout: &stdout, stderr: &stderr, getenv: func(string) string { return "" }, world: env.Env{FS: fsys, Clock: fixedClock{}}}
		code := exitCode(run(t.Context(), p))
		return code, stdout.String() + stderr.String()
	}
	if code, said := restoring(); code != exitUsage || !strings.Contains(said, "the data folder of a server that runs") {
		t.Errorf("in use: %d %s", code, said)
	}
	if _, err := fsys.Stat("new"); err == nil {
		t.Error("something was copied")
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	for version, want := range map[string]string{"2\n": "run the newer binary", "x": "should hold a number"} {
		if err := writeFile(fsys, "live/VERSION", version); err != nil {
			t.Fatal(err)
		}
		if code, said := restoring(); code != exitInput || !strings.Contains(said, want) {
			t.Errorf("version %q: %d %s", version, code, said)
		}
	}
	if err := writeFile(fsys, "live/VERSION", "1\n"); err != nil {
		t.Fatal(err)
	}
	if code, said := restoring(); code != exitDone {
		t.Errorf("of a server that has stopped: %d %s", code, said)
	}
}

// A backup that fails leaves nothing behind: its label is free, and so is the
// room.
func TestBackupThatFails(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "data")
	deep := filepath.Join(folder, "access", strings.Repeat("d/", copyDepthMax+1))
	stderr, err := serveWhile(t, folder, "127.0.0.1:0", func(s *server) error {
		if err := s.world.FS.MkdirAll(deep, 0o700); err != nil {
			return err
		}
		if _, err := s.Backup(context.Background(), "one"); err == nil || !strings.Contains(err.Error(), "nested deeper") {
			return fmt.Errorf("the first: %v", err)
		}
		if left, err := s.world.FS.List(filepath.Join(folder, "backups")); err != nil || len(left) > 0 {
			return fmt.Errorf("left behind: %q, %v", left, err)
		}
		if err := s.world.FS.RemoveAll(filepath.Join(folder, "access", "d")); err != nil {
			return err
		}
		b, err := s.Backup(context.Background(), "one")
		if err != nil || b.Folder != filepath.Join(folder, "backups", "one") {
			return fmt.Errorf("the second: %+v, %v", b, err)
		}
		if _, err := s.Backup(context.Background(), "one"); !errors.Is(err, store.ErrConflict) {
			return fmt.Errorf("the third: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%v\n%s", err, stderr)
	}
}

// A backup needs no label, and says where it is.
func TestBackupSaysWhereItIs(t *testing.T) {
	t.Parallel()
	var asked string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = r.Method + " " + r.URL.Path + " " + string(body)
		_, _ = io.WriteString(w, `{"label":"20261122-060000","name":"20261122-060000","folder":"/var/lib/tiercel/backups/20261122-060000","files":1,"bytes":132807,"at":"2026-11-22T06:00:00Z"}`)
	}))
	defer s.Close()
	p, stdout, stderr := online(t, "backup", "--server", s.URL, "--token", "tok")
	const want = "/var/lib/tiercel/backups/20261122-060000: 1 file, 129.7 KiB, on the server's machine\n"
	if err := run(context.Background(), p); err != nil || !strings.HasPrefix(stdout.String(), want) {
		t.Errorf("%v %s%s", err, stdout, stderr)
	}
	if asked != "POST /api/v1/backup {}" {
		t.Errorf("asked %q", asked)
	}
}

func TestBinarySize(t *testing.T) {
	t.Parallel()
	for bytes, want := range map[uint64]string{
		0: "0 bytes", 1: "1 byte", 1023: "1023 bytes", 1024: "1.0 KiB", 132807: "129.7 KiB", 1<<20 - 1: "1.0 MiB", 512 << 20: "512.0 MiB", 65708556288: "61.2 GiB", 1 << 63: "8192.0 PiB",
	} {
		if got := binarySize(bytes); got != want {
			t.Errorf("%d: %q, want %q", bytes, got, want)
		}
	}
}
