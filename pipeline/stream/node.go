package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ledger"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/tracing"
)

// Config is what a Node runs on.
type Config struct {
	Clock      env.Clock
	Log        store.Log
	Records    store.Records
	Detections *detection.Store
	Quarantine *quarantine.Store
	Metrics    *metric.Set
	Logger     *slog.Logger
	// Loader makes the content; see [Node.Reload].
	Loader Loader
	// Format finds a format by name, Detect that of a single record.
	Format func(name string) (format.Format, bool)
	Detect func(head []byte) (format.Format, bool)
	// Tenants are all tenants; Settings are theirs and Source what is
	// configured of a feed. Both may be nil: all is default then.
	Tenants  []event.Tenant
	Settings func(t event.Tenant) Settings
	Source   func(t event.Tenant, name string) Source
	// Outbox returns what to write with changes so that they are notified of; nil
	// notifies nobody.
	Outbox func(t event.Tenant, changes []detection.Change) ([]store.Write, error)
	// Workers is the number of goroutines that evaluate; 0 is one for each core.
	Workers int
	// HeartbeatAfter is how long a partition may be idle before the log gets a
	// heartbeat; 0 means HeartbeatDefault.
	HeartbeatAfter time.Duration
	// Costs bound what one rule may cost.
	Costs CostLimits
	// Elapsed is the clock that evaluations of rules are timed with, in
	// nanoseconds; nil is Clock.
	Elapsed func() int64
	// Traces may be nil.
	Traces *tracing.Tracer
}

// HeartbeatDefault lets an idle source's watermark move four times a minute.
const HeartbeatDefault = 15 * time.Second

// Node is the pipeline of one process. Its methods are safe for concurrent use.
type Node struct {
	cfg        Config
	clock      env.Clock
	log        store.Log
	records    store.Records
	detections *detection.Store
	quarantine *quarantine.Store
	logger     *slog.Logger
	metrics    *figures
	contents   *contents
	scheduler  *scheduler
	ledger     *books

	current atomic.Pointer[Content]
	holding holding

	mu     sync.Mutex // guards what follows
	scopes map[store.Partition]*scope
	// counted is the offset of each events partition behind which the evaluated
	// side of the ledger is in the store, and unaccounted what the last audit
	// found, by source.
	counted     map[store.Partition]int64
	unaccounted map[sourceKey]int64
	watched     map[sourceKey]*watched
	rates       map[sourceKey]*rate
	// work1 are evaluated and quarantined records, work2 matches and
	// detections.
	work1, work2 rate
	wake         map[store.Partition]chan struct{}
	group        *errgroup
	loading      sync.Mutex    // one Reload at a time
	turning      chan struct{} // holds whoever changes the content

	outbound chan struct{} // outputs wait to be appended
	started  time.Time

	watching sync.Mutex // guards watchers; taken after a feed's lock
	watchers map[event.Tenant]*watcher
}

// Start loads content and state and takes up what the log holds. Nothing runs
// before Run.
func Start(cfg Config) (*Node, error) {
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.HeartbeatAfter <= 0 {
		cfg.HeartbeatAfter = HeartbeatDefault
	}
	n := &Node{
		cfg: cfg, clock: cfg.Clock, log: cfg.Log, records: cfg.Records, detections: cfg.Detections, quarantine: cfg.Quarantine,
		logger: cfg.Logger, metrics: newFigures(cfg.Metrics), scheduler: newScheduler(),
		contents: &contents{loader: cfg.Loader, records: cfg.Records, logger: cfg.Logger, loaded: make(map[Version]*Content)},
		scopes:   make(map[store.Partition]*scope), counted: make(map[store.Partition]int64), rates: make(map[sourceKey]*rate), watched: make(map[sourceKey]*watched),
		wake:     make(map[store.Partition]chan struct{}),
		outbound: make(chan struct{}, 1), turning: make(chan struct{}, 1), started: cfg.Clock.Now(),
	}
	n.ledger = newBooks(n)
	n.watchers = make(map[event.Tenant]*watcher)
	if err := n.openWatchers(); err != nil {
		return nil, err
	}
	if err := n.openHeld(); err != nil {
		return nil, err
	}
	content, err := cfg.Loader.Load()
	if err != nil {
		return nil, err
	}
	if len(content.Sigma.Rules()) == 0 {
		return nil, errNoContent
	}
	content, list, released := n.hold(content)
	if err := n.contents.add(content); err != nil {
		return nil, err
	}
	if err := n.adopt(content); err != nil {
		return nil, err
	}
	// The process before may have been cut short before it told of them.
	if err := errors.Join(n.tellHeld(list, 0, ""), n.unhold(list, released)); err != nil {
		return nil, err
	}
	return n, n.resume()
}

func (n *Node) settings(t event.Tenant) Settings {
	if n.cfg.Settings == nil {
		return Settings{}
	}
	return n.cfg.Settings(t)
}

func (n *Node) source(t event.Tenant, name string) *Source {
	var s Source
	if n.cfg.Source != nil {
		s = n.cfg.Source(t, name)
	}
	s.Tenant, s.Name = t, name
	return &s
}

// adopt opens what the log holds with the state it was left in, and puts the
// content into the log where another one decides.
func (n *Node) adopt(current *Content) error {
	for _, h := range n.log.Heads() {
		if h.Partition.Kind == KindMatches {
			if _, err := n.openScope(h.Partition, h.First, current); err != nil {
				return err
			}
		}
	}
	for _, h := range n.log.Heads() {
		if h.Partition.Kind == ingest.KindEvents {
			if _, err := n.openFeed(h, current); err != nil {
				return err
			}
		}
	}
	err := n.turn(current)
	if passing(err) {
		n.logger.Warn("the content waits for the log", "error", err.Error())
		err = n.use(current)
	}
	return err
}

// passing reports whether an error of the log passes by itself: the disk is full
// or a write failed.
func passing(err error) bool { return errors.Is(err, store.ErrFull) || errors.Is(err, store.ErrFailed) }

// turn makes content decide everything that is not in the log yet; nil is the
// current one, for a partition that is new.
func (n *Node) turn(c *Content) error {
	n.turning <- struct{}{}
	defer func() { <-n.turning }()
	if c == nil {
		c = n.current.Load()
	}
	if err := n.announce(c); err != nil {
		return err
	}
	return n.use(c)
}

// use makes content the current one.
func (n *Node) use(c *Content) error {
	if n.current.Swap(c) == c {
		return nil
	}
	n.metrics.use(c)
	n.holding.mu.Lock()
	n.holding.breaker.keep(c.Sigma.Rules())
	n.holding.mu.Unlock()
	return n.ruleGaps(c)
}

// announce puts the content into the log of all partitions where another decides.
func (n *Node) announce(c *Content) error {
	var entries []store.Entry
	now := n.clock.Now().UnixMicro()
	// A partition that is new meanwhile is not among these: it has its own turn
	// when it is known.
	feeds := n.scheduler.all()
	for _, f := range feeds {
		if f.expects() != c.Version {
			entries = append(entries, store.Entry{Partition: f.partition, Meta: ingest.AppendMeta(nil, ingest.Meta{Kind: ingest.KindContent, Received: now, Key: c.Version})})
		}
	}
	n.mu.Lock()
	scopes := maps.Clone(n.scopes)
	for p, s := range scopes {
		if s.expects != c.Version {
			entries = append(entries, store.Entry{Partition: p, Meta: append([]byte{metaContent}, c.Version[:]...)})
		}
	}
	n.mu.Unlock()
	if len(entries) > 0 {
		if _, err := n.log.Append(entries); err != nil {
			return fmt.Errorf("put the content into the log: %w", err)
		}
	}
	for _, f := range feeds {
		f.setExpects(c.Version)
	}
	n.mu.Lock()
	for _, s := range scopes {
		s.expects = c.Version
	}
	n.mu.Unlock()
	return nil
}

// kindFeed holds the state of stage 1 by partition.
const kindFeed = "feed"

func feedID(p store.Partition) string { return fmt.Sprintf("%s#%d", p.Source, p.Shard) }

// openFeed makes an events partition known to stage 1.
func (n *Node) openFeed(h store.Head, current *Content) (*feed, error) {
	p := h.Partition
	f := &feed{partition: p, source: n.source(p.Tenant, p.Source), watermark: never, head: h.Next}
	f.sequences = health.NewSequences(sequencesConfig(f.source))
	state, err := loadState(n.records, p.Tenant, kindFeed, feedID(p))
	if err == nil {
		err = f.decode(state, n.contents.get)
	}
	switch {
	case err == nil:
	case errors.Is(err, store.ErrNotFound):
		f.next, f.since = h.First, h.First
		f.settle(current)
		f.collected = f.next
		// What decides the first entry must be the same after a crash.
		if err := saveState(n.records, p.Tenant, kindFeed, feedID(p), f.encode()); err != nil {
			return nil, fmt.Errorf("open %v: %w", p, err)
		}
	default:
		n.logger.Error("the state of a source is lost; what waited for its parts is not put together", "partition", p.String(), "error", err.Error())
		f.next, f.since = h.First, h.First
		f.settle(current)
		f.collected = f.next
	}
	f.next = max(f.next, h.First)
	f.collected, f.written = f.next, f.next
	f.version = f.content.Version
	if _, err := n.openScope(store.Partition{Tenant: p.Tenant, Kind: KindMatches, Source: f.source.scope()}, 0, current); err != nil {
		return nil, err
	}
	if err := n.catchUp(f, h); err != nil {
		return nil, err
	}
	f.reread = h.Next
	n.scheduler.add(f, n.settings(p.Tenant).Weight)
	return f, nil
}

// catchUp takes in what waits in the log, and which content decides behind it.
func (n *Node) catchUp(f *feed, h store.Head) error {
	return n.log.Metas(f.partition, f.next, func(offset int64, meta []byte) bool {
		m, err := ingest.ParseMeta(meta)
		if err == nil {
			f.backlog.add(offset, m)
		}
		if err == nil && m.Kind == ingest.KindContent {
			f.version = Version(m.Key)
		}
		return true
	})
}

// sequencesConfig is how the numbers of a source are watched: what may still
// come is not missing.
func sequencesConfig(s *Source) health.SequencesConfig {
	c := health.SequencesConfig{Tenant: s.Tenant, Settle: max(health.SettleDefault, s.Lateness)}
	for _, channel := range s.Filtered {
		c.Off = append(c.Off, health.Filter{Source: s.Name, Host: "*", Channel: channel})
	}
	return c
}

// openScope makes a partition of matches known to stage 2.
func (n *Node) openScope(p store.Partition, first int64, current *Content) (*scope, error) {
	n.mu.Lock()
	s := n.scopes[p]
	n.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s = &scope{
		node: n, partition: p, imported: p.Source != liveScope, recent: newRecent(),
		changed: make(map[event.ID]revision), received: make(map[string]int64),
		book: ledger.NewBook(getter(n.records)), gapped: true,
	}
	if err := s.openIntegrity(); err != nil {
		return nil, fmt.Errorf("open %v: %w", p, err)
	}
	if err := s.restore(first, current); err != nil {
		return nil, fmt.Errorf("open %v: %w", p, err)
	}
	s.expects = s.content.Version
	err := n.log.Metas(p, s.next, func(_ int64, meta []byte) bool {
		if len(meta) > 0 && meta[0] == metaContent {
			copy(s.expects[:], meta[1:])
		}
		return true
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, fmt.Errorf("open %v: %w", p, err)
	}
	n.mu.Lock()
	n.scopes[p] = s
	n.wake[p] = make(chan struct{}, 1)
	group := n.group
	n.mu.Unlock()
	if group != nil {
		group.start(func(ctx context.Context) error { return n.decide(ctx, s) })
	}
	return s, nil
}

// Run evaluates and decides until ctx ends, then finishes what is under way and
// keeps the state. An error means that the node could not go on.
func (n *Node) Run(ctx context.Context) error {
	g := newErrgroup(ctx)
	n.mu.Lock()
	n.group = g
	scopes := make([]*scope, 0, len(n.scopes))
	for _, s := range n.scopes {
		scopes = append(scopes, s)
	}
	n.mu.Unlock()
	for _, s := range scopes {
		g.start(func(ctx context.Context) error { return n.decide(ctx, s) })
	}
	for range n.cfg.Workers {
		g.start(n.work)
	}
	g.start(n.watch)
	g.start(n.append)
	g.start(n.beat)
	g.start(n.tend)
	go func() { // ends with the group
		<-g.ctx.Done()
		n.scheduler.stop()
	}()
	err := g.wait()
	if err == nil || errors.Is(err, context.Canceled) {
		err = n.leave()
	}
	return err
}

// leave keeps the state of everything, so that the next start has little to read
// again.
func (n *Node) leave() error {
	var errs []error
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.scopes {
		errs = append(errs, s.snapshot(true))
	}
	for _, f := range n.scheduler.all() {
		errs = append(errs, n.keep(f))
	}
	errs = append(errs, n.ledger.flush())
	return errors.Join(errs...)
}

// keep keeps the state of a feed of which everything that was found is in the
// log.
func (n *Node) keep(f *feed) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.written != f.collected {
		return nil // the next start reads again from the last that was kept
	}
	p := f.partition
	if err := saveState(n.records, p.Tenant, kindFeed, feedID(p), f.encode()); err != nil {
		return fmt.Errorf("keep the state of %v: %w", p, err)
	}
	n.log.Release(p, f.collected)
	return nil
}

// watch tells of what is new in the log.
func (n *Node) watch(ctx context.Context) error {
	for {
		if err := n.look(); err != nil {
			return err
		}
		select {
		case <-n.log.Changed():
		case <-ctx.Done():
			return nil
		}
	}
}

// look takes up how far each partition reaches.
func (n *Node) look() error {
	for _, h := range n.log.Heads() {
		switch h.Partition.Kind {
		case ingest.KindEvents:
			f := n.scheduler.feed(h.Partition)
			if f == nil {
				var err error
				if f, err = n.openFeed(h, n.current.Load()); err != nil {
					return err
				}
				// Content may have changed between the two. What the log does not
				// take now it takes later.
				if err := n.turn(nil); err != nil && !passing(err) {
					return err
				}
			}
			if err := n.ledger.received(f, h.Next); err != nil {
				return err
			}
			n.scheduler.grown(f, h.Next)
		case KindMatches:
			n.mu.Lock()
			wake := n.wake[h.Partition]
			n.mu.Unlock()
			if wake != nil {
				select {
				case wake <- struct{}{}:
				default:
				}
			}
		}
	}
	return nil
}

// feedSnapshotEvery is how often the state of a busy partition is kept: what is
// read again after a crash is about as much.
const feedSnapshotEvery = 2 * time.Second

// decide runs stage 2 of a scope.
func (n *Node) decide(ctx context.Context, s *scope) error {
	n.mu.Lock()
	wake := n.wake[s.partition]
	n.mu.Unlock()
	for {
		more, err := s.read()
		if err != nil {
			return err
		}
		if err := s.snapshot(false); err != nil {
			return err
		}
		if more {
			if ctx.Err() != nil {
				return nil
			}
			continue
		}
		if s.gapped {
			if again, err := s.tail(); err != nil {
				return err
			} else if again {
				continue
			}
		}
		timer := n.clock.NewTimer(snapshotAfter)
		select {
		case <-wake:
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// beat writes heartbeats for partitions to which nothing came, so that their
// watermarks move on.
func (n *Node) beat(ctx context.Context) error {
	for {
		if err := env.Sleep(ctx, n.clock, n.cfg.HeartbeatAfter); err != nil {
			return nil
		}
		now := n.clock.Now()
		var entries []store.Entry
		for _, f := range n.scheduler.all() {
			if f.idle(now, n.cfg.HeartbeatAfter) {
				entries = append(entries, store.Entry{Partition: f.partition, Meta: ingest.AppendMeta(nil, ingest.Meta{Kind: ingest.KindHeartbeat, Received: now.UnixMicro()})})
			}
		}
		if len(entries) == 0 {
			continue
		}
		if _, err := n.log.Append(entries); err != nil {
			n.logger.Warn("heartbeats were not written", "error", err.Error())
		}
	}
}

// idle reports whether nothing came for a while and nothing waits.
func (f *feed) idle(now time.Time, d time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.source.Import && len(f.pending) == 0 && len(f.outputs) == 0 && now.UnixMicro()-f.lastSeen >= d.Microseconds()
}

// expects is the content that decides behind all that is in the log.
func (f *feed) expects() Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.version
}

func (f *feed) setExpects(v Version) {
	f.mu.Lock()
	f.version = v
	f.mu.Unlock()
}
