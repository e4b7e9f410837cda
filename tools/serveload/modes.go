package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// bench is one run over the modes.
type bench struct {
	o     *options
	t     *templates
	rules []string
	table table
	// rate is what the server sustained, in events a second.
	rate float64
	// busy is the server that has had load; modes share it, so that each finds
	// what the one before left behind.
	busy *server
	sent int64 // events acknowledged by it
}

func (b *bench) mode(name string) error {
	fmt.Printf("%s: %s\n", time.Now().Format(time.TimeOnly), name)
	switch name {
	case "idle":
		return errors.Join(b.idle("with all rules", b.rules), b.idle("with the shipped rules", nil))
	case "sustained":
		return b.sustained()
	case "latency":
		return b.latency()
	case "overload":
		return b.overload()
	case "start":
		return b.start()
	}
	return errors.New("there is no such mode; choose from idle, sustained, latency, overload and start")
}

func (b *bench) folder(name string) (string, error) {
	dir := filepath.Join(b.o.dir, name)
	return dir, errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700))
}

// server returns the one under load.
func (b *bench) server() (*server, error) {
	if b.busy != nil {
		return b.busy, nil
	}
	dir, err := b.folder("busy")
	if err != nil {
		return nil, err
	}
	b.busy, err = startServer(b.o.binary, dir, b.rules)
	return b.busy, err
}

// end stops the server under load, if there is one.
func (b *bench) end() {
	if b.busy != nil && b.busy.alive() {
		if err := b.busy.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "serveload: the server did not end in order:", err)
		}
	}
}

// settle is how long a fresh server gets before it counts as idle.
const settle = 10 * time.Second

// idle watches a server that nobody sends to.
func (b *bench) idle(what string, rules []string) error {
	dir, err := b.folder("idle")
	if err != nil {
		return err
	}
	s, err := startServer(b.o.binary, dir, rules)
	if err != nil {
		return err
	}
	time.Sleep(settle)
	begin, cpu := time.Now(), s.cpu()
	most := int64(0)
	for time.Since(begin) < b.o.idle {
		time.Sleep(time.Second)
		resident, _ := s.memory()
		most = max(most, resident)
	}
	used := 100 * (s.cpu() - cpu).Seconds() / time.Since(begin).Seconds()
	b.table.atMost("idle "+what+": resident", "%.0f MB", float64(most)/1e6, 100, "<= 100 MB")
	b.table.atMost("idle "+what+": processor", "%.2f %% of a core", used, 1, "<= 1 %")
	b.table.note("ready after", "%.2f s", s.readyAfter.Seconds())
	return s.stop()
}

// usage is what was used and done over a stretch of time.
type usage struct {
	at             time.Time
	server, own    time.Duration
	evaluated      float64
	matches        float64
	acked          int64
	bytes, zipped  int64
	resident, peak int64
	machine        machine
}

func (b *bench) usage(s *server, l *load) (usage, error) {
	m, err := s.scrape()
	if err != nil {
		return usage{}, err
	}
	u := usage{at: time.Now(), server: s.cpu(), own: ownCPU(), evaluated: m["tiercel_detect_events_total"], matches: m["tiercel_detect_matches_total"], acked: l.events.Load(), bytes: l.bytes.Load(), zipped: l.zipped.Load()}
	u.resident, u.peak = s.memory()
	u.machine = machineTimes()
	return u, nil
}

// lagHold is where agents wait for the server, so that what is measured can go
// on for ever.
const lagHold = 500 * time.Millisecond

// govern holds agents while the server is behind, and returns the largest lag.
func govern(ctx context.Context, s *server, l *load) (most time.Duration) {
	for sleep(ctx, 100*time.Millisecond) {
		m, err := s.scrape()
		if err != nil {
			continue // a server that is gone shows in the agents
		}
		lag := m.lag()
		most = max(most, lag)
		l.hold.Store(lag > lagHold)
	}
	return most
}

// warmup is how long the server runs before figures are taken.
const warmup = 5 * time.Second

// sustained sends as much as is evaluated at the same time.
func (b *bench) sustained() error {
	s, err := b.server()
	if err != nil {
		return err
	}
	l := &load{s: s, t: b.t, o: b.o}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var most time.Duration
	var wg sync.WaitGroup
	var fault error
	wg.Add(2)
	go func() { defer wg.Done(); fault = l.run(ctx); cancel() }()
	go func() { defer wg.Done(); most = govern(ctx, s, l) }()
	sleep(ctx, warmup)
	first, err := b.usage(s, l)
	if err != nil {
		return err
	}
	if b.o.profile != "" {
		go b.profiles(s)
	}
	l.ackTimes()
	sleep(ctx, b.o.duration)
	last, err := b.usage(s, l)
	cancel()
	wg.Wait()
	if err = errors.Join(err, fault); err != nil {
		return err
	}
	b.sent += l.events.Load()
	wall := last.at.Sub(first.at).Seconds()
	acked, evaluated := float64(last.acked-first.acked), last.evaluated-first.evaluated
	b.rate = math.Min(acked, evaluated) / wall
	perServer := float64((last.server - first.server).Microseconds()) / evaluated
	perOwn := float64((last.own - first.own).Microseconds()) / acked
	busy := (last.server - first.server + last.own - first.own).Seconds() / wall
	t := &b.table
	t.atLeast("sustained: acknowledged and evaluated", "%.0f events/s", b.rate, 60_000, ">= 60,000/s")
	t.atMost("sustained: processor time, server and generator", "%.1f us/event", perServer+perOwn, 33.3, "<= 33.3 us")
	t.note("server", "%.1f us/event", perServer)
	t.note("generator", "%.1f us/event", perOwn)
	t.note("two free cores would give", "%.0f events/s", 2e6/(perServer+perOwn))
	t.note("cores that both got, others took, nobody used", "%.2f, %.2f, %.2f", busy, (last.machine.busy-first.machine.busy).Seconds()/wall-busy, (last.machine.idle-first.machine.idle).Seconds()/wall)
	t.note("over", "%.0f s", wall)
	t.note("mean event", "%.0f bytes", float64(last.bytes-first.bytes)/acked)
	t.atMost("  gzip ratio", "%.1f : 1", float64(last.bytes-first.bytes)/float64(last.zipped-first.zipped), 10, "<= 10 : 1")
	t.atLeast("  matches of rules", "%.2f %% of events", 100*(last.matches-first.matches)/evaluated, 1, ">= 1 %")
	t.note("largest lag", "%.1f s", most.Seconds())
	t.note("refused requests", "%d", l.refused.Load())
	acks := l.ackTimes()
	t.note("answers", "p50 %v, p99 %v", percentile(acks, 0.5).Round(time.Millisecond), percentile(acks, 0.99).Round(time.Millisecond))
	t.atMost("sustained: largest resident memory", "%.0f MiB", float64(last.peak)/(1<<20), 1024, "<= 1 GiB")
	return b.drained()
}

// profiles takes profiles of the server.
func (b *bench) profiles(s *server) {
	for name, path := range map[string]string{
		"cpu.pprof": "/debug/pprof/profile?seconds=15", "allocs.pprof": "/debug/pprof/allocs?seconds=15",
		"heap.pprof": "/debug/pprof/heap", "mutex.pprof": "/debug/pprof/mutex", "goroutines.txt": "/debug/pprof/goroutine?debug=1",
	} {
		go func() {
			resp, err := s.http.Get("http://" + s.admin + path)
			if err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
				return
			}
			defer resp.Body.Close()
			data, err := io.ReadAll(resp.Body)
			if err == nil {
				err = os.WriteFile(filepath.Join(b.o.profile, name), data, 0o600)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "profile:", err)
			}
		}()
	}
}

// drainWait bounds how long the server may take to evaluate what it took.
const drainWait = 2 * time.Minute

// drained waits until all that was acknowledged is evaluated and compares the
// counts.
func (b *bench) drained() error {
	begin := time.Now()
	for {
		a, err := b.busy.ledger()
		if err != nil {
			return err
		}
		if a.Received >= b.sent && a.Evaluated+a.Late+a.Quarantined+a.Damaged >= a.Received || time.Since(begin) > drainWait {
			b.table.note("evaluated after the end", "%.1f s", time.Since(begin).Seconds())
			b.table.add("  acknowledged, received, evaluated", fmt.Sprintf("%d, %d, %d", b.sent, a.Received, a.Evaluated), "all equal",
				b.sent == a.Received && a.Received == a.Evaluated+a.Late && a.Unexplained == 0 && a.Quarantined == 0 && a.Damaged == 0)
			if a.Late > 0 || a.Quarantined+a.Damaged > 0 {
				b.table.note("late, quarantined, damaged", "%d, %d, %d", a.Late, a.Quarantined, a.Damaged)
			}
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Marks of the latency mode.
const (
	marksPerSecond = 20
	// latencyShare is the part of the rate reached that is sent meanwhile.
	latencyShare = 0.7
)

// latency measures the time from sending an event to its detection in the feed.
func (b *bench) latency() error {
	s, err := b.server()
	if err != nil {
		return err
	}
	if b.rate == 0 {
		return errors.New("the rate reached is not known; measure sustained before, or give --rate")
	}
	before := agentBase
	template, err := findMark(s, b.t, b.o)
	if err != nil {
		return err
	}
	b.sent += int64(2 * min(markTried, len(b.t.matching)))
	agentBase = before + 1
	f := &feed{seen: map[string]sighting{}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	sent := map[string]time.Time{}
	var mu sync.Mutex
	l := &load{s: s, t: b.t, o: b.o, rate: latencyShare * b.rate, marks: make(chan mark, 64)}
	l.sent = func(marks []mark, at time.Time) {
		mu.Lock()
		defer mu.Unlock()
		for _, m := range marks {
			if _, again := sent[m.host]; !again {
				sent[m.host] = at
			}
		}
	}
	follow := make(chan error, 1)
	go func() { follow <- f.follow(ctx, s) }()
	loaded := make(chan error, 1)
	loading, stop := context.WithCancel(ctx)
	defer stop()
	go func() { loaded <- l.run(loading) }()
	sleep(ctx, warmup)
	first, err := s.scrape()
	if err != nil {
		return err
	}
	begin, events := time.Now(), l.events.Load()
	n := 0
	for ; time.Since(begin) < b.o.latency; n++ {
		l.marks <- mark{template, markHost(n)}
		sleep(ctx, time.Second/marksPerSecond)
	}
	rate := float64(l.events.Load()-events) / time.Since(begin).Seconds()
	time.Sleep(2 * time.Second)
	stop()
	fault := <-loaded
	time.Sleep(3 * time.Second)
	cancel()
	if err := errors.Join(fault, <-follow); err != nil {
		return err
	}
	b.sent += l.events.Load()
	var times []time.Duration
	ids := map[string]bool{}
	for host, at := range sent {
		if seen, ok := f.get(host); ok {
			times = append(times, seen.at.Sub(at))
			ids[seen.id] = true
		}
	}
	t := &b.table
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	t.atMost("latency: event to visible detection, p50", "%.0f ms", ms(percentile(times, 0.5)), 100, "< 100 ms")
	t.atMost("latency: event to visible detection, p99", "%.0f ms", ms(percentile(times, 0.99)), 1000, "< 1 s")
	t.note("at", "%.0f events/s", rate)
	t.add("  marked events sent, seen, detections", fmt.Sprintf("%d, %d, %d", len(sent), len(times), len(ids)), "all equal", len(sent) == len(times) && len(ids) == len(times))
	last, err := s.scrape()
	if err != nil {
		return err
	}
	mean := func(name string) float64 {
		n := last[name+"_count"] - first[name+"_count"]
		return 1000 * (last[name+"_sum"] - first[name+"_sum"]) / max(1, n)
	}
	t.note("means: sync of the log, to evaluated, to stored", "%.0f ms, %.0f ms, %.0f ms",
		mean("tiercel_wal_fsync_seconds"), mean("tiercel_stage_seconds"), mean("tiercel_detection_latency_seconds"))
	t.note("changes in the feed meanwhile", "%.0f/s", float64(f.all)/time.Since(begin).Seconds())
	acks := l.ackTimes()
	t.note("answers", "p50 %v, p99 %v", percentile(acks, 0.5).Round(time.Millisecond), percentile(acks, 0.99).Round(time.Millisecond))
	return b.drained()
}

// Shape of the overload.
const (
	overloadTimes  = 5
	overloadAgents = 128
	// afterShare is the part of the rate reached that is sent after it.
	afterShare = 0.5
	normalWait = time.Minute
)

// overload sends five times what is taken, then half of it, and waits for lag
// and answers to be as ever.
func (b *bench) overload() error {
	s, err := b.server()
	if err != nil {
		return err
	}
	if b.rate == 0 {
		return errors.New("the rate reached is not known; measure sustained before, or give --rate")
	}
	o := *b.o
	o.agents = overloadAgents
	o.hosts = max(o.hosts, o.agents)
	l := &load{s: s, t: b.t, o: &o, rate: overloadTimes * b.rate, insist: true}
	ctx, cancel := context.WithTimeout(context.Background(), b.o.overload)
	begin := time.Now()
	err = l.run(ctx)
	cancel()
	wall := time.Since(begin).Seconds()
	t := &b.table
	t.add("overload: the server", map[bool]string{true: "runs", false: "ended"}[s.alive()], "no crash", s.alive())
	if err != nil {
		return err
	}
	b.sent += l.events.Load()
	t.note("offered", "%.0f events/s, %.1f times the rate reached", float64(l.offered.Load())/wall, float64(l.offered.Load())/wall/b.rate)
	t.note("taken", "%.0f events/s", float64(l.events.Load())/wall)
	t.note("requests taken, refused", "%d, %d", l.requests.Load(), l.refused.Load())
	_, peak := s.memory()
	t.atMost("overload: largest resident memory", "%.0f MiB", float64(peak)/(1<<20), 1024, "<= 1 GiB")

	begin = time.Now()
	after := &load{s: s, t: b.t, o: b.o, rate: afterShare * b.rate}
	ctx, cancel = context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- after.run(ctx) }()
	normal := time.Duration(0)
	for time.Since(begin) < normalWait {
		time.Sleep(time.Second)
		m, err := s.scrape()
		if err != nil {
			continue
		}
		acks := after.ackTimes()
		if len(acks) > 0 && m.lag() < time.Second && percentile(acks, 0.99) < time.Second {
			normal = time.Since(begin)
			break
		}
	}
	cancel()
	if err := <-done; err != nil {
		return err
	}
	b.sent += after.events.Load()
	if normal == 0 {
		t.add("overload: back to normal", fmt.Sprintf("not in %v", normalWait), "<= 30 s", false)
	} else {
		t.atMost("overload: back to normal", "%.0f s", normal.Seconds(), 30, "<= 30 s")
	}
	return b.drained()
}

// start measures how long a server takes to be ready on a large log.
func (b *bench) start() error {
	s, err := b.server()
	if err != nil {
		return err
	}
	log := filepath.Join(s.dir, "data", "log")
	for folderBytes(log) < b.o.logBytes {
		l := &load{s: s, t: b.t, o: b.o}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		go govern(ctx, s, l)
		err := l.run(ctx)
		cancel()
		if err != nil {
			return err
		}
		b.sent += l.events.Load()
	}
	if err := b.drained(); err != nil {
		return err
	}
	bytes := folderBytes(log)
	if err := s.stop(); err != nil {
		return err
	}
	again := func(what string) error {
		s, err := startServer(b.o.binary, s.dir, b.rules)
		if err != nil {
			return err
		}
		b.busy = s
		b.table.atMost("start "+what, "%.2f s", s.readyAfter.Seconds(), 3, "<= 3 s")
		b.table.note("on a log of", "%.2f GB", float64(bytes)/1e9)
		return nil
	}
	if err := again("after a stop in order"); err != nil {
		return err
	}
	_ = b.busy.cmd.Process.Kill()
	<-b.busy.exited
	if err := again("after a kill"); err != nil {
		return err
	}
	err = b.busy.stop()
	b.busy = nil
	return err
}

func folderBytes(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			if info, err := d.Info(); err == nil {
				sum += info.Size()
			}
		}
		return nil
	})
	return sum
}
