package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	kills     = flag.Int("kills", 50, "how often TestKill kills the server")
	syncFails = flag.Int("sync-fails", 6, "how many places of a failing sync TestFailingSync tries")
	seed      = flag.Uint64("seed", 0, "seed of the tests' choices; 0 draws one")
)

// binary is the program under test, built once.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "tiercel-serve-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	binary = filepath.Join(dir, "tiercel")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/tiercel").CombinedOutput(); err != nil {
		return 1, fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// Waiting is by asking again this often, until a deadline: what is waited for
// happens in another process.
const (
	askEvery = 5 * time.Millisecond
	// backWithin is when a server must be up again. It is far above the five
	// seconds that are promised, which a machine that is shared with other work
	// need not keep; the figures are printed.
	backWithin = 60 * time.Second
	doneWithin = time.Minute
)

// await asks until ok says yes, and fails the test with the last complaint
// when that takes too long.
func await(t testing.TB, within time.Duration, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, within, err)
		}
		<-tick.C
	}
}

// freeAddress is a loopback address that nobody listens on, nor will while the
// server is down: others on the machine use 127.0.0.1, where a port that was
// free is anybody's. Where that is the only loopback address, it must do.
func freeAddress(t testing.TB) string {
	t.Helper()
	own := fmt.Sprintf("127.%d.%d.%d:0", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	l, err := net.Listen("tcp", own)
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// node is a server on a folder, whose process comes and goes.
type node struct {
	t       testing.TB
	data    string // the data folder
	home    string // configuration and rules
	address string
	client  *http.Client
	admin   string // token

	cmd    *exec.Cmd
	exited chan struct{}
	code   int
	stderr journal
}

// setup is what a test changes of the usual configuration.
type setup struct {
	data string // where; a folder of the test's if empty
	log  string // further settings of the log
	more string // further settings
}

// newNode writes the configuration of a server with two sources, a and b, and
// the rules of the oracle.
func newNode(t testing.TB, s setup) *node {
	t.Helper()
	n := &node{t: t, home: t.TempDir(), address: freeAddress(t)}
	n.data = s.data
	if n.data == "" {
		n.data = filepath.Join(t.TempDir(), "data")
	}
	n.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}, Timeout: 30 * time.Second}
	rules := filepath.Join(n.home, "rules")
	if err := os.Mkdir(rules, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range ruleFiles {
		writeFile(t, filepath.Join(rules, name), text)
	}
	writeFile(t, n.config(), fmt.Sprintf(`
data: %s
http: {listen: %q}
admin: {listen: ""}
content: {rules: [%s], reload: 0s}
log: {segment_bytes: 2MiB, reserve_bytes: 16MiB, %s}
sources:
  - {name: a, lateness: 1m, lag_max: 7d, filtered_channels: ["*"], expect_silence: true}
  - {name: b, lateness: 1m, lag_max: 7d, filtered_channels: ["*"], expect_silence: true}
%s
`, n.data, n.address, rules, s.log, s.more))
	t.Cleanup(n.kill)
	return n
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (n *node) config() string { return filepath.Join(n.home, "tiercel.yaml") }

// launch starts the process; wrap is a program with arguments that starts it.
func (n *node) launch(wrap ...string) {
	n.t.Helper()
	args := append(append([]string{}, wrap...), binary, "serve", "--config", n.config())
	n.cmd = exec.Command(args[0], args[1:]...)
	n.cmd.Stderr = &n.stderr
	n.cmd.Stdout = &n.stderr
	// A group of its own, so that what started it ends with it.
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) { // ends with the process
		_ = cmd.Wait()
		n.code = cmd.ProcessState.ExitCode()
		close(exited)
	}(n.cmd, n.exited)
}

// start launches the process and waits until it is ready.
func (n *node) start(wrap ...string) {
	n.t.Helper()
	n.launch(wrap...)
	n.awaitReady()
}

func (n *node) awaitReady() {
	n.t.Helper()
	await(n.t, backWithin, "the server is ready", func() error {
		if n.gone() {
			n.t.Fatalf("the server ended with code %d:\n%s", n.code, n.stderr.tail(4000))
		}
		return n.ready()
	})
	if n.admin == "" {
		await(n.t, backWithin, "the token of the command line", func() error {
			token, err := os.ReadFile(filepath.Join(n.data, "access", "cli-token"))
			n.admin = strings.TrimSpace(string(token))
			return err
		})
	}
}

// ready asks once.
func (n *node) ready() error {
	r, err := n.client.Get("http://" + n.address + "/readyz?verbose")
	if err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 4<<10))
	_ = r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return errors.Join(err, fmt.Errorf("%d: %s", r.StatusCode, text))
	}
	return err
}

func (n *node) gone() bool {
	select {
	case <-n.exited:
		return true
	default:
		return false
	}
}

// kill ends the process as a power button would, and waits until it is gone.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	if !n.gone() {
		_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-n.exited
	n.client.CloseIdleConnections()
}

// stop asks the process to end and returns its exit code.
func (n *node) stop() int {
	n.t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !n.gone() {
		n.t.Fatal(err)
	}
	n.awaitExit()
	n.client.CloseIdleConnections()
	return n.code
}

func (n *node) awaitExit() {
	n.t.Helper()
	select {
	case <-n.exited:
	case <-time.After(backWithin):
		n.t.Fatalf("the server did not end within %v:\n%s", backWithin, n.trace())
	}
}

// trace ends a process that hangs, and returns where it did.
func (n *node) trace() string {
	_ = n.cmd.Process.Signal(syscall.SIGQUIT)
	<-n.exited
	var out []string
	for part := range strings.SplitSeq(n.stderr.tail(200_000), "\n\n") {
		if strings.HasPrefix(part, "goroutine ") && strings.Contains(part, "tiercel-io") {
			out = append(out, part)
		}
	}
	return strings.Join(out, "\n\n")
}

// ask sends a request to the API and reads the answer into out, which may be
// nil.
func (n *node) ask(method, path string, body, out any) error {
	var in io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(data)
	}
	r, err := http.NewRequest(method, "http://"+n.address+"/api/v1"+path, in)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+n.admin)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := n.client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %d %.500s", method, path, answer.StatusCode, data)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

// token makes a token for a source.
func (n *node) token(source string) string {
	n.t.Helper()
	var out struct {
		Token string `json:"token"`
	}
	if err := n.ask("POST", "/tokens", map[string]any{"name": "test " + source, "kind": "ingest", "source": source}, &out); err != nil {
		n.t.Fatal(err)
	}
	return out.Token
}

// journal keeps what the process wrote, the last of it.
type journal struct {
	mu   sync.Mutex
	text []byte
}

// journalMax bounds what is kept of the lines of a process.
const journalMax = 4 << 20

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text = append(j.text, p...)
	if len(j.text) > journalMax {
		j.text = append(j.text[:0], j.text[len(j.text)-journalMax/2:]...)
	}
	return len(p), nil
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return string(j.text)
}

func (j *journal) tail(n int) string {
	text := j.String()
	return text[max(0, len(text)-n):]
}

// lines are those that hold a text.
func (j *journal) lines(text string) []string {
	var out []string
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, text) {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}
