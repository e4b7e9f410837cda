package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/env"
)

type fixedClock struct{}

func (fixedClock) Now() time.Time { return time.Unix(1_780_000_000, 0) }

// NewTimer implements env.Clock: time stands still, so it never fires.
func (fixedClock) NewTimer(time.Duration) env.Timer { panic("nothing here waits") }

const (
	ruleFile = `title: Evil image
id: 11111111-2222-4333-8444-555555555555
status: test
level: high
logsource: {product: windows, category: process_creation}
detection:
  selection:
    Image|endswith: '\evil.exe'
  condition: selection
`
	eventLine = `{"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Hostname":"WS01","Image":"C:\\x\\evil.exe"}` + "\n"
)

// inProcess is a process with a world in memory: rule.yml and logs.jsonl.
func inProcess(t *testing.T, args ...string) (process, *bytes.Buffer, *bytes.Buffer) {
	t.Helper()
	fs := vfs.NewMem()
	for name, text := range map[string]string{"rule.yml": ruleFile, "logs.jsonl": strings.Repeat(eventLine, 3)} {
		if err := writeFile(fs, name, text); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	return process{
		args: args, stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		getenv: func(string) string { return "" }, world: env.Env{FS: fs, Clock: fixedClock{}},
	}, &stdout, &stderr
}

func TestColorsOnATerminalOnly(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		terminal bool
		vars     map[string]string
		want     bool
	}{
		"pipe":             {},
		"terminal":         {terminal: true, want: true},
		"NO_COLOR":         {terminal: true, vars: map[string]string{"NO_COLOR": "1"}},
		"dumb terminal":    {terminal: true, vars: map[string]string{"TERM": "dumb"}},
		"pipe with a TERM": {vars: map[string]string{"TERM": "xterm"}},
	} {
		p, stdout, stderr := inProcess(t, "scan", "-r", "rule.yml", "logs.jsonl")
		p.stdoutTerminal = c.terminal
		p.getenv = func(k string) string { return c.vars[k] }
		if err := run(context.Background(), p); err != nil {
			t.Fatalf("%s: %v %s", name, err, stderr)
		}
		if got := strings.Contains(stdout.String(), "\x1b["); got != c.want {
			t.Errorf("%s: colours are %v, want %v", name, got, c.want)
		}
	}
}

// The bar is drawn on standard error when that is a terminal, and never
// changes what stands on standard output.
func TestProgressOnATerminalOnly(t *testing.T) {
	t.Parallel()
	p, plain, stderr := inProcess(t, "scan", "-r", "rule.yml", "logs.jsonl")
	if err := run(context.Background(), p); err != nil || stderr.Len() != 0 {
		t.Fatalf("on a pipe: %v, stderr %q", err, stderr)
	}
	p, stdout, _ := inProcess(t, "scan", "-r", "rule.yml", "logs.jsonl")
	p.stderrTerminal = true
	if err := run(context.Background(), p); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != plain.String() {
		t.Errorf("with a bar\n%s\nwithout\n%s", stdout, plain)
	}
}

// An interrupt ends the scan with what was found, a complete output, and 130.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	p, stdout, stderr := inProcess(t, "scan", "-r", "rule.yml", "-o", "html", "-j", "1", "-")
	ctx, cancel := context.WithCancel(context.Background())
	in, out := io.Pipe()
	p.stdin = in
	go func() {
		// Enough for several blocks, then a source that stays silent.
		for range 20_000 {
			if _, err := io.WriteString(out, eventLine); err != nil {
				return
			}
		}
		cancel()
	}()
	err := run(ctx, p)
	if exitCode(err) != exitInterrupted {
		t.Fatalf("exit code %d: %v", exitCode(err), err)
	}
	if !strings.Contains(stderr.String(), "interrupted; what was found by then was written") {
		t.Errorf("stderr %q", stderr)
	}
	if !strings.Contains(stdout.String(), "evil.exe") || !strings.HasSuffix(stdout.String(), "</html>\n") {
		t.Errorf("the output is not complete: it ends in %q", stdout.String()[max(0, stdout.Len()-100):])
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestOutputThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	p, _, stderr := inProcess(t, "scan", "-r", "rule.yml", "-o", "jsonl", "logs.jsonl")
	p.stdout = fullDisk{}
	if err := run(context.Background(), p); exitCode(err) != exitInput || !strings.Contains(stderr.String(), "cannot write the matches: no space left on device") {
		t.Errorf("exit code %d, stderr %q", exitCode(err), stderr)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"rules", "jobs", "min-level", "output", "format", "from", "fail-on"}
	for word, want := range map[string]string{
		"ruels": "rules", "rule": "rules", "out": "output", "minlevel": "min-level", "form": "format", "xyzzy": "", "j": "",
	} {
		if got := nearest(word, append([]string(nil), names...)); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}
