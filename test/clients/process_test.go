package clients

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// patience bounds every wait for something that must come; on a busy
	// machine with two cores the slowest client takes a tenth of it.
	patience = 90 * time.Second
	// pollEvery is how often such a wait looks.
	pollEvery = 50 * time.Millisecond
	// stopPatience is how long a process has between TERM and KILL.
	stopPatience = 10 * time.Second
)

// program is a process that a test started.
type program struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error
	once sync.Once
}

// start starts a process with its output in a file, and ends it with the test.
func start(t *testing.T, dir, name string, environ []string, command string, args ...string) *program {
	t.Helper()
	p := &program{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(command, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(os.Environ(), environ...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("output of %s:\n%s", name, p.output())
		}
	})
	return p
}

// ended reports whether the process is gone.
func (p *program) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the process by its own id and waits for it. It returns an error
// when TERM was not enough.
func (p *program) stop() (err error) {
	p.once.Do(func() {
		if p.ended() {
			return
		}
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		timer := time.NewTimer(stopPatience)
		defer timer.Stop()
		select {
		case <-p.done:
		case <-timer.C:
			_ = p.cmd.Process.Kill()
			<-p.done
			err = fmt.Errorf("%s had not ended %s after TERM", p.name, stopPatience)
		}
	})
	return err
}

// finish waits for a process that ends by itself.
func (p *program) finish() error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		return errors.Join(fmt.Errorf("%s had not ended after %s", p.name, patience), p.stop())
	}
}

// output is the end of what the process printed.
func (p *program) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(text) > 8<<10 {
		text = text[len(text)-8<<10:]
	}
	return strings.ToValidUTF8(string(text), "?")
}

// until polls a condition. It fails when one of the processes that must stay
// has ended, or when the time is up; state says how far things have come.
func until(t *testing.T, what string, stay []*program, condition func() (ok bool, state string)) {
	t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for {
		ok, state := condition()
		if ok {
			return
		}
		for _, p := range stay {
			if p.ended() {
				t.Fatalf("%s ended (%v) before %s: %s", p.name, p.err, what, state)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s after %s: %s", what, patience, state)
		}
		<-tick.C
	}
}

var (
	portsMu sync.Mutex
	ports   = make(map[int]bool)
)

// freePort is a loopback port that nobody has and that no other test is given.
func freePort(t *testing.T) int {
	t.Helper()
	portsMu.Lock()
	defer portsMu.Unlock()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if !ports[port] {
			ports[port] = true
			return port
		}
	}
}
