package stream

import (
	"context"
	"encoding/binary"
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
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/wire"
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
		contents: &contents{loader: cfg.Loader, records: cfg.Records, loaded: make(map[Version]*Content)},
		scopes:   make(map[store.Partition]*scope), counted: make(map[store.Partition]int64), rates: make(map[sourceKey]*rate), watched: make(map[sourceKey]*watched),
		wake:     make(map[store.Partition]chan struct{}),
		outbound: make(chan struct{}, 1), turning: make(chan struct{}, 1), started: cfg.Clock.Now(),
	}
	n.ledger = newBooks(n)
	n.watchers = make(map[event.Tenant]*watcher)
	if err := n.openWatchers(); err != nil {
		return nil, err
	}
	content, err := cfg.Loader.Load()
	if err != nil {
		return nil, err
	}
	if len(content.Sigma.Rules()) == 0 {
		return nil, errNoContent
	}
	if err := n.contents.add(content); err != nil {
		return nil, err
	}
	if err := n.adopt(content); err != nil {
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
		f.next = h.First
		f.settle(current)
		f.collected = f.next
		// What decides the first entry must be the same after a crash.
		if err := saveState(n.records, p.Tenant, kindFeed, feedID(p), f.encode()); err != nil {
			return nil, fmt.Errorf("open %v: %w", p, err)
		}
	default:
		n.logger.Error("the state of a source is lost; what waited for its parts is not put together", "partition", p.String(), "error", err.Error())
		f.next = h.First
		f.settle(current)
		f.collected = f.next
	}
	f.next = max(f.next, h.First)
	f.collected = f.next
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
		book: ledger.NewBook(getter(n.records)),
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
	errs = append(errs, n.ledger.flush())
	return errors.Join(errs...)
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

// work evaluates entries until the scheduler stops.
func (n *Node) work(context.Context) error {
	w := newWorker(n.cfg.Format, n.cfg.Detect, func() int64 { return n.clock.Now().UnixNano() })
	for {
		t := n.scheduler.next()
		if t == nil {
			return nil
		}
		t.started = n.clock.Now()
		if err := n.evaluate(w, t); err != nil {
			return err
		}
		n.traceEvaluated(t)
		n.scheduler.evaluated(t)
		if err := n.complete(w, t); err != nil {
			return err
		}
	}
}

// evaluate reads and evaluates one entry.
func (n *Node) evaluate(w *worker, t *task) error {
	f := t.feed
	page, err := n.log.Read(f.partition, t.offset, 1)
	if err != nil {
		return fmt.Errorf("read %v at %d: %w", f.partition, t.offset, err)
	}
	if len(page.Entries) == 0 || page.Entries[0].Offset != t.offset {
		t.damaged = "it is not there"
		for _, g := range page.Gaps {
			if t.offset < g.From || t.offset >= g.To {
				continue
			}
			t.damaged = g.Why
			if m, err := ingest.ParseMeta(g.Metas[t.offset]); err == nil {
				t.meta, t.records = m, m.Records
			}
		}
		n.logger.Error("an entry of the log cannot be read; its records are lost and counted as damaged", "partition", f.partition.String(), "offset", t.offset, "records", t.records, "why", t.damaged)
		n.cfg.Metrics.LogDamaged.Inc()
		n.scheduler.loaded(t)
		return nil
	}
	e := &page.Entries[0]
	t.bytes = len(e.Payload)
	n.scheduler.loaded(t)
	if t.meta, err = ingest.ParseMeta(e.Meta); err == nil && t.meta.Kind == ingest.KindBatch {
		t.payload = e.Payload
		t.out = &outcome{newest: never}
		if err = ingest.ParsePayload(t.payload, t.meta, &t.out.batch); err == nil {
			t.out.batch.Tenant, t.out.batch.Source = f.partition.Tenant, f.partition.Source
			f.mu.Lock()
			c := f.content
			t.out.measure = f.measure(t.meta.Received)
			f.mu.Unlock()
			w.evaluate(c, f.partition.Tenant, f.source, t.out)
			n.metrics.cost(w, c)
		}
	}
	if err != nil {
		t.damaged, t.records, t.out = err.Error(), t.meta.Records, nil
		n.logger.Error("an entry of the log cannot be understood; its records are counted as damaged", "partition", f.partition.String(), "offset", t.offset, "records", t.records, "why", t.damaged)
	}
	return nil
}

// complete marks a task as done and collects whatever of its partition is due.
func (n *Node) complete(w *worker, t *task) error {
	f := t.feed
	bytes := 0
	defer func() { n.scheduler.collected(bytes) }() // its lock comes before the feed's
	f.mu.Lock()
	defer f.mu.Unlock()
	t.done = true
	any := false
	for due := f.due(); due != nil; due = f.due() {
		if due.out != nil && due.out.version != f.content.Version {
			// The content changed between the evaluation and now.
			due.out = &outcome{newest: never, batch: due.out.batch}
			w.evaluate(f.content, f.partition.Tenant, f.source, due.out)
		}
		bytes += due.bytes
		s, err := f.collect(due, n.contents.get)
		if err != nil {
			return err
		}
		if due.out != nil {
			n.measured(f, due.meta.Received, s, due.out)
		}
		o := output{through: due.through, data: s.append(nil), received: due.meta.Received}
		now := n.clock.Now()
		if now.Sub(f.snapshotAt) > feedSnapshotEvery || due.through == f.reread {
			o.snapshot = f.encode()
			f.snapshotAt = now
		}
		f.outputs = append(f.outputs, o)
		n.metrics.stage("evaluate", now.Sub(due.started))
		any = true
	}
	if any {
		select {
		case n.outbound <- struct{}{}:
		default:
		}
	}
	return nil
}

// feedSnapshotEvery is how often the state of a busy partition is kept: what is
// read again after a crash is about as much.
const feedSnapshotEvery = 2 * time.Second

// appendBytesMax bounds one entry of sections.
const appendBytesMax = 4 << 20

// drained is what one pass takes from a feed.
type drained struct {
	feed     *feed
	outputs  int
	through  int64
	snapshot []byte
}

// append writes what stage 1 found to the log, as fast as the log syncs.
func (n *Node) append(ctx context.Context) error {
	for {
		more, err := n.drain(ctx)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		select {
		case <-n.outbound:
		case <-ctx.Done():
			return nil
		}
	}
}

// drain appends one round of outputs, and reports whether there was any.
func (n *Node) drain(ctx context.Context) (bool, error) {
	entries := map[store.Partition]*store.Entry{}
	var order []store.Partition
	var taken []drained
	for _, f := range n.scheduler.all() {
		p := store.Partition{Tenant: f.partition.Tenant, Kind: KindMatches, Source: f.source.scope()}
		e := entries[p]
		f.mu.Lock()
		d := drained{feed: f}
		for len(f.outputs) > d.outputs && (e == nil || len(e.Payload) < appendBytesMax) {
			o := &f.outputs[d.outputs]
			if e == nil {
				e = &store.Entry{Partition: p, Meta: []byte{metaSections}}
				entries[p] = e
				order = append(order, p)
			}
			e.Payload = append(e.Payload, o.data...)
			d.outputs++
			d.through = o.through
			if o.snapshot != nil {
				d.snapshot = o.snapshot
			}
		}
		f.outputs = append(f.outputs[:0], f.outputs[d.outputs:]...)
		f.mu.Unlock()
		if d.outputs > 0 {
			taken = append(taken, d)
		}
	}
	if len(taken) == 0 {
		return false, nil
	}
	list := make([]store.Entry, 0, len(order))
	for _, p := range order {
		list = append(list, *entries[p])
	}
	if err := n.persist(ctx, list); err != nil {
		return false, err
	}
	for i := range taken {
		d := &taken[i]
		n.scheduler.written(d.feed, d.outputs)
		if d.snapshot == nil {
			continue
		}
		p := d.feed.partition
		if err := saveState(n.records, p.Tenant, kindFeed, feedID(p), d.snapshot); err != nil {
			return false, fmt.Errorf("keep the state of %v: %w", p, err)
		}
		n.log.Release(p, snapshotNext(d.snapshot))
	}
	return true, nil
}

// persist appends entries, and tries again while the disk does not take them:
// what they hold was acknowledged and must be decided.
func (n *Node) persist(ctx context.Context, entries []store.Entry) error {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		_, err := n.log.Append(entries)
		if !passing(err) {
			return err
		}
		n.logger.Error("matches cannot be written; trying again", "error", err.Error())
		if err := env.Sleep(ctx, n.clock, wait); err != nil {
			return err
		}
	}
}

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

// feedVersion is the version of a feed's state.
const feedVersion = 1

var errFeed = errors.New("unusable state of a source")

// encode returns the feed's state behind what was collected.
func (f *feed) encode() []byte {
	dst := binary.AppendVarint([]byte{feedVersion}, f.collected)
	dst = append(dst, f.content.Version[:]...)
	dst = binary.AppendVarint(dst, f.watermark)
	dst = binary.AppendVarint(dst, f.lastSeen)
	dst = wire.AppendText(dst, f.assembler.AppendSnapshot(nil))
	dst = f.groups.AppendSnapshot(dst, f.content.Sigma)
	dst = wire.AppendText(dst, f.sequences.Encode())
	return wire.AppendTexts(dst, sortedKeys(f.views))
}

// snapshotNext is the offset that a state was taken at.
func snapshotNext(state []byte) int64 {
	d := wire.Decoder{B: state[1:]}
	return d.Varint()
}

// decode takes up a state.
func (f *feed) decode(state []byte, contents func(Version) (*Content, error)) error {
	d := wire.Decoder{B: state}
	if d.Byte() != feedVersion {
		return errFeed
	}
	next := d.Varint()
	var v Version
	copy(v[:], d.Take(len(v)))
	watermark, seen, waiting := d.Varint(), d.Varint(), d.Bytes()
	if d.Failed {
		return errFeed
	}
	c, err := contents(v)
	if err != nil {
		return err
	}
	f.settle(c)
	if err := f.assembler.RestoreSnapshot(waiting); err != nil {
		return err
	}
	f.groups.RestoreSnapshot(&d, pipeline.Engine(c.Sigma))
	numbers, views := d.Bytes(), d.Texts()
	if d.Failed {
		return errFeed
	}
	if q, err := health.RestoreSequences(sequencesConfig(f.source), numbers); err == nil {
		f.sequences = q
	}
	f.views = make(map[string]bool)
	for _, v := range views {
		f.views[v] = true
	}
	f.next, f.collected, f.watermark, f.lastSeen = next, next, watermark, seen
	return nil
}
