package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/engine/pebble"
	"github.com/tiercel-io/tiercel/engine/segment"
	"github.com/tiercel-io/tiercel/env"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/metric"
	"github.com/tiercel-io/tiercel/quarantine"
	"github.com/tiercel-io/tiercel/store"
	"github.com/tiercel-io/tiercel/store/wire"
)

// simPlant is a bug that a run is given, by which the simulator shows that it
// can fail.
type simPlant struct {
	skipSync    bool          // of the log
	ackEarly    bool          // the gate answers before the log has
	loseTenant  bool          // matches of all tenants go to the first
	loseSection bool          // one entry of matches in many is not written
	splitCommit bool          // what belongs to one commit of documents is written in two
	earlier     time.Duration // the watermark is ahead
	shift       time.Duration // of windows
}

// simNode is one life of the process.
type simNode struct {
	disk    *simDisk
	log     *segment.Log
	records *pebble.Engine
	node    *Node
	gate    *ingest.Gate
	stop    context.CancelFunc
	done    chan struct{}
	err     error // of the node, once done
	readers sync.WaitGroup
}

// hastyLog answers before anything is written: a planted bug.
type hastyLog struct {
	store.Log
	late *sync.WaitGroup
}

// Append implements [store.Log].
func (l hastyLog) Append(entries []store.Entry) ([]int64, error) {
	own := make([]store.Entry, len(entries))
	for i, e := range entries {
		own[i] = store.Entry{Partition: e.Partition, Meta: append([]byte(nil), e.Meta...), Payload: append([]byte(nil), e.Payload...)}
	}
	l.late.Go(func() { _, _ = l.Log.Append(own) })
	return make([]int64, len(entries)), nil
}

// mixedLog loses the tenant of matches: a planted bug.
type mixedLog struct {
	store.Log
	first event.Tenant
}

// Append implements [store.Log].
func (l mixedLog) Append(entries []store.Entry) ([]int64, error) {
	own := append([]store.Entry(nil), entries...)
	for i := range own {
		if own[i].Partition.Kind == KindMatches {
			own[i].Partition.Tenant = l.first
		}
	}
	return l.Log.Append(own)
}

// leakyLog loses the hits of some sections: a planted bug. Whole sections that
// are lost would be found again.
type leakyLog struct {
	store.Log
	count atomic.Int64
}

// Append implements [store.Log].
func (l *leakyLog) Append(entries []store.Entry) ([]int64, error) {
	own := slices.Clone(entries)
	for i := range own {
		if own[i].Partition.Kind != KindMatches || len(own[i].Payload) == 0 {
			continue
		}
		var kept []byte
		for d := (wire.Decoder{B: own[i].Payload}); len(d.B) > 0; {
			x, err := parseSection(&d)
			if err != nil {
				return nil, err
			}
			if len(x.Hits) > 0 && l.count.Add(1)%20 == 0 {
				x.Hits, x.Needs = nil, nil
			}
			kept = x.append(kept)
		}
		own[i].Payload = kept
	}
	return l.Log.Append(own)
}

// splitRecords writes in two what belongs together: a planted bug.
type splitRecords struct{ store.Records }

// Apply implements [store.Records].
func (r splitRecords) Apply(writes []store.Write, d store.Durability) error {
	// State comes first: it then says of what is not there that it is.
	own := slices.Clone(writes)
	slices.SortStableFunc(own, func(a, b store.Write) int { return strings.Compare(b.Key.Kind, a.Key.Kind) })
	for half := range slices.Chunk(own, max(1, (len(own)+1)/2)) {
		if err := r.Records.Apply(half, d); err != nil {
			return err
		}
	}
	return nil
}

// simPanic is a record that makes its parser panic.
const simPanic = "simulated panic"

// panicking is the parser of JSON lines that panics at simPanic.
type panicking struct{ format.Parser }

// Parse implements [format.Parser].
func (p panicking) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	if strings.Contains(string(b.Data[f.Start:f.End]), simPanic) {
		panic(simPanic)
	}
	return p.Parser.Parse(b, f, emit)
}

func simFormat(name string) (format.Format, bool) {
	f, ok := formats.ByName(name)
	if ok {
		inner := f.NewParser
		f.NewParser = func(o format.Options) format.Parser { return panicking{inner(o)} }
	}
	return f, ok
}

// open starts a process on a disk. An error is one of the disk's faults when
// the power is gone, and a fault of ours otherwise.
func (s *sim) open(d *simDisk) (n *simNode, err error) {
	n = &simNode{disk: d, done: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
		}
	}()
	world := env.Real() // its clock is the bubble's
	fs := errorfs.Wrap(d.mem, d)
	var logFS vfs.FS = fs
	if s.plant.skipSync {
		logFS = lazyFS{fs}
	}
	if n.log, err = segment.Open(segment.Config{FS: logFS, Dir: "log", Clock: world.Clock, Tenants: s.tenants, Reserve: -1, SegmentBytes: s.segmentBytes}); err != nil {
		return n, fmt.Errorf("open the log: %w", err)
	}
	if n.records, err = pebble.Open(pebble.Config{FS: fs, Dir: "state", CacheBytes: 1 << 20, MemTableBytes: 1 << 20}); err != nil {
		return n, fmt.Errorf("open documents: %w", err)
	}
	var front, back store.Log = n.log, n.log
	if s.plant.ackEarly {
		front = hastyLog{n.log, &n.readers}
	}
	if s.plant.loseTenant {
		back = mixedLog{n.log, s.tenants.All()[0]}
	}
	if s.plant.loseSection {
		back = &leakyLog{Log: n.log}
	}
	var records store.Records = n.records
	if s.plant.splitCommit {
		records = splitRecords{n.records}
	}
	metrics := metric.New()
	n.node, err = Start(Config{
		Clock: world.Clock, Log: back, Records: records, Detections: detection.Open(records, world.Clock),
		Quarantine: quarantine.Open(records, world.Clock), Metrics: metrics, Logger: slog.New(&simLogs{s}), Loader: s.loader,
		Format: simFormat, Detect: func(head []byte) (format.Format, bool) { return formats.Detect(head, "") },
		Tenants: s.tenants.All(), Workers: s.workers, HeartbeatAfter: s.heartbeat,
		Source: func(_ event.Tenant, name string) Source {
			return Source{Lateness: s.lateness(name) - s.plant.earlier, Import: name == simImport}
		},
	})
	if err != nil {
		return n, fmt.Errorf("start: %w", err)
	}
	n.gate, err = ingest.NewGate(ingest.GateConfig{
		Log: front, Clock: world.Clock, Metrics: metrics, Backlog: n.node.Backlog, Duplicate: n.node.Duplicate,
		Shards: func(event.Tenant, string) int { return s.shards },
	})
	if err != nil {
		return n, fmt.Errorf("make the gate: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	go func() {
		n.err = n.node.Run(ctx)
		close(n.done)
	}()
	for _, t := range s.tenants.All() {
		n.readers.Go(func() { s.follow(ctx, n, t) })
	}
	return n, nil
}

// close ends a process in order.
func (n *simNode) close() error {
	var errs []error
	if n.gate != nil {
		n.gate.Stop()
	}
	if n.stop != nil {
		n.stop()
		<-n.done
		errs = append(errs, n.err)
	}
	n.readers.Wait()
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	if n.records != nil {
		errs = append(errs, n.records.Close())
	}
	return errors.Join(errs...)
}

// died reports whether the node has stopped by itself.
func (n *simNode) died() bool {
	select {
	case <-n.done:
		return true
	default:
		return false
	}
}

// simLogs puts what the node says among what happened.
type simLogs struct{ s *sim }

// Enabled implements slog.Handler.
func (*simLogs) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (h *simLogs) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s", a)
		return true
	})
	h.s.trace("node: %s%s", r.Message, b.String())
	return nil
}

// WithAttrs implements slog.Handler.
func (h *simLogs) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler.
func (h *simLogs) WithGroup(string) slog.Handler { return h }

// shown is what a reader of a tenant's feed has seen.
type shown struct {
	mu     sync.Mutex
	after  uint64
	times  map[string]bool                 // by id, revision and state
	latest map[string]*detection.Detection // by id
}

func newShown() *shown {
	return &shown{times: map[string]bool{}, latest: map[string]*detection.Detection{}}
}

// follow reads a tenant's feed as a person's client does, from where it was.
func (s *sim) follow(ctx context.Context, n *simNode, t event.Tenant) {
	v := s.shown[t]
	v.mu.Lock()
	reader := n.node.detections.Feed(t, v.after)
	v.mu.Unlock()
	for {
		list, err := reader.Next(ctx)
		if err != nil || !n.disk.while(func() { s.saw(t, v, list) }) {
			return
		}
	}
}

// saw checks what the feed shows, over restarts and power cuts: never the same
// twice, and no phase that goes back.
func (s *sim) saw(t event.Tenant, v *shown, list []*detection.Detection) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, d := range list {
		if d.Seq <= v.after {
			s.fault("the feed of %s goes back from %d to %d", t, v.after, d.Seq)
		}
		v.after = d.Seq
		key := fmt.Sprint(d.ID, d.Revision, d.Phase, d.SupersededBy, d.Late, d.Truncated, d.Suppressed)
		if v.times[key] {
			s.fault("the feed of %s shows %s twice: %s, revision %s", t, d.ID, d.Phase, d.Revision)
		}
		v.times[key] = true
		if old := v.latest[d.ID]; old != nil && old.Phase != detection.Superseded && d.Phase != detection.Superseded &&
			slices.Index(simPhases, d.Phase) < slices.Index(simPhases, old.Phase) {
			s.fault("the feed of %s takes %s back from %s to %s", t, d.ID, old.Phase, d.Phase)
		}
		v.latest[d.ID] = d
	}
}

var simPhases = []string{detection.Provisional, detection.Final, detection.Closed}
