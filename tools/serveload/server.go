package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running `tiercel serve`.
type server struct {
	dir        string // holds its data and its configuration
	address    string
	admin      string
	token      string // sends
	adminToken string // sees
	cmd        *exec.Cmd
	exited     chan error
	started    time.Time
	readyAfter time.Duration
	http       *http.Client
}

// freePort finds a port that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// startServer starts the binary on the data in dir and waits until it is ready.
// No rules means the shipped ones.
func startServer(binary, dir string, rules []string) (*server, error) {
	s := &server{dir: dir, exited: make(chan error, 1), http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	var err error
	if s.address, err = freePort(); err != nil {
		return nil, err
	}
	if s.admin, err = freePort(); err != nil {
		return nil, err
	}
	var cfg strings.Builder
	fmt.Fprintf(&cfg, "data: %q\nhttp:\n  listen: %q\nadmin:\n  listen: %q\n", filepath.Join(dir, "data"), s.address, s.admin)
	if len(rules) > 0 {
		cfg.WriteString("content:\n  rules:\n")
		for _, r := range rules {
			fmt.Fprintf(&cfg, "    - %q\n", r)
		}
	}
	path := filepath.Join(dir, "tiercel.yaml")
	if err := os.WriteFile(path, []byte(cfg.String()), 0o600); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(binary, "serve", "--config", path)
	log, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.started = time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { s.exited <- s.cmd.Wait() }()
	if err := s.ready(); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if err := s.tokens(); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// startWait bounds how long a start may take.
const startWait = 2 * time.Minute

func (s *server) ready() error {
	for {
		resp, err := s.http.Get("http://" + s.address + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				s.readyAfter = time.Since(s.started)
				return nil
			}
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			return fmt.Errorf("the server ended: %v; see %s", err, filepath.Join(s.dir, "server.log"))
		case <-time.After(5 * time.Millisecond):
		}
		if time.Since(s.started) > startWait {
			return errors.New("the server is not ready")
		}
	}
}

// tokens takes the tokens that a first start shows, and those kept from then
// later.
func (s *server) tokens() error {
	// They are shown once the server is ready, a moment later.
	for range 100 {
		admin, err := os.ReadFile(filepath.Join(s.dir, "data", "access", "cli-token"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.adminToken = strings.TrimSpace(string(admin))
		log, err := os.ReadFile(filepath.Join(s.dir, "server.log"))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(log)) {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "to send events"); ok && s.adminToken != "" {
				s.token = strings.Fields(rest)[0]
				return nil
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("the server showed no token to send events with")
}

// stop ends the server in order.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.exited:
		return err
	case <-time.After(30 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return errors.New("the server did not stop in 30 s and was killed")
	}
}

// alive reports whether it runs still.
func (s *server) alive() bool {
	select {
	case err := <-s.exited:
		s.exited <- err
		return false
	default:
		return true
	}
}

// cpu is the processor time that it took so far.
func (s *server) cpu() time.Duration {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	// The name in parentheses may hold blanks; the state follows it.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] {
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / ticksPerSecond)
}

// ticksPerSecond is USER_HZ, which is 100 on every Linux.
const ticksPerSecond = 100

// machine is the processor time of the whole machine.
type machine struct{ busy, idle time.Duration }

func machineTimes() (m machine) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m
	}
	line, _, _ := strings.Cut(string(data), "\n")
	for i, f := range strings.Fields(line) {
		n, _ := strconv.Atoi(f)
		d := time.Duration(n) * (time.Second / ticksPerSecond)
		switch i {
		case 4, 5: // idle, and waiting for the disk
			m.idle += d
		case 1, 2, 3, 6, 7, 8:
			m.busy += d
		}
	}
	return m
}

// memory returns VmRSS and VmHWM in bytes.
func (s *server) memory() (resident, peak int64) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "VmRSS:":
			resident = n << 10
		case "VmHWM:":
			peak = n << 10
		}
	}
	return resident, peak
}

// metrics are sums over all labels, by name.
type metrics map[string]float64

// scrape reads /metrics.
func (s *server) scrape() (metrics, error) {
	resp, err := s.http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	m := metrics{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || !strings.HasPrefix(line, "tiercel_") {
			continue
		}
		name, value, ok := strings.Cut(line, " ")
		if at := strings.IndexByte(line, '}'); at > 0 {
			name, value, ok = line[:strings.IndexByte(line, '{')], strings.TrimSpace(line[at+1:]), true
		}
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			m[name] += v
		}
	}
	return m, lines.Err()
}

// lag is the age of the oldest batch that is not evaluated.
func (m metrics) lag() time.Duration {
	return time.Duration(m["tiercel_queue_oldest_seconds"] * float64(time.Second))
}

// account is the ledger's total.
type account struct {
	Received, Evaluated, Late, Quarantined, Damaged, Unexplained int64
}

// ledger reads the account of the last hour.
func (s *server) ledger() (account, error) {
	var doc struct {
		Totals account `json:"totals"`
	}
	err := s.get("/api/v1/ledger", &doc)
	return doc.Totals, err
}

func (s *server) get(path string, doc any) error {
	resp, err := s.open(context.Background(), path, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(doc)
}

// open asks the API.
func (s *server) open(ctx context.Context, path, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.adminToken)
	req.Header.Set("Accept", accept)
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
		return nil, fmt.Errorf("%s: %s: %s", path, resp.Status, text)
	}
	return resp, nil
}
