package stream

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/ingest"
)

// simImport is the source that is read once.
const simImport = "import"

// simRecord is a record as it was made, with what the oracle knows of it.
type simRecord struct {
	poison     string // reason, or empty for a sound record
	at         int64
	host, user string
	size       string
	words      []string
	start, end int
}

// simBatch is a batch as a sender holds it.
type simBatch struct {
	n       int
	tenant  event.Tenant
	source  string
	shard   uint32
	data    []byte
	frames  []format.Frame
	records []simRecord
	file    *ingest.File
	key     [sha256.Size]byte
	acked   bool // guarded by the disk of the moment
}

// batch is what a receiver would make of it.
func (b *simBatch) batch() *ingest.Batch {
	return &ingest.Batch{Tenant: b.tenant, Source: b.source, Shard: b.shard, Protocol: "ndjson", Format: "json", Data: b.data, Frames: b.frames, File: b.file}
}

// sim is one run.
type sim struct {
	seed    uint64
	rng     *rand.Rand
	plant   simPlant
	library *simLibrary
	loader  *simLoader
	tenants *event.Tenants

	sources, shards, workers int
	heartbeat                time.Duration
	latenessShort            bool
	segmentBytes             int64

	node    *simNode
	batches []*simBatch
	records int // made so far
	imports int
	// phases counts them; importing is the last with an import.
	phases, importing int
	shown             map[event.Tenant]*shown
	cuts              int
	torn              int // batches of which a power cut left the head

	mu     sync.Mutex // guards what follows
	traced []string
	faults []string
}

func newSim(seed uint64, library *simLibrary, plant simPlant) (*sim, error) {
	rng := rand.New(rand.NewPCG(seed, 2026))
	s := &sim{
		seed: seed, rng: rng, plant: plant, library: library, loader: &simLoader{library: library},
		sources: 1 + rng.IntN(3), shards: 1 + rng.IntN(3), workers: 1 + rng.IntN(4),
		heartbeat:     []time.Duration{15 * time.Second, 40 * time.Second, time.Minute}[rng.IntN(3)],
		latenessShort: rng.IntN(2) == 0, segmentBytes: 8 << (10 + rng.IntN(4)), shown: map[event.Tenant]*shown{},
	}
	var err error
	s.tenants, err = event.NewTenants([]string{"local", "other", "third"}[:1+rng.IntN(3)])
	if err != nil {
		return nil, err
	}
	for _, t := range s.tenants.All() {
		s.shown[t] = newShown()
	}
	return s, nil
}

func (s *sim) lateness(source string) time.Duration {
	if s.latenessShort && strings.HasSuffix(source, "1") {
		return 2 * time.Minute
	}
	return 3 * time.Minute
}

// trace notes what happened, for the report of a failure.
func (s *sim) trace(f string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.traced = append(s.traced, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(f, args...))
}

// fault notes something that must not be.
func (s *sim) fault(f string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) < 20 {
		s.faults = append(s.faults, fmt.Sprintf(f, args...))
	}
}

// chance is true once in n.
func (s *sim) chance(n int) bool { return s.rng.IntN(n) == 0 }

// record makes one record, around now or, with base, around that.
func (s *sim) record(base time.Time, imported bool) (string, simRecord) {
	rng := s.rng
	s.records++
	r := simRecord{host: fmt.Sprint("h", rng.IntN(1+rng.IntN(3))), user: fmt.Sprint("u", rng.IntN(2)), size: fmt.Sprint(10 * rng.IntN(6))}
	at := base.Truncate(10 * time.Second)
	switch {
	case imported:
		at = at.Add(time.Duration(rng.IntN(40)) * 10 * time.Second)
	case s.phases > 0 && s.chance(24): // far beyond the lateness
		r.host, r.user = "late", "later"
		at = at.Add(-time.Duration(4+rng.IntN(30)*rng.IntN(8)) * time.Minute)
	case s.chance(12): // a clock that runs ahead
		at = at.Add(time.Duration(rng.IntN(40)) * time.Second)
	case s.chance(8):
		at = at.Add(-time.Duration(50+rng.IntN(50)) * time.Second)
	default:
		at = at.Add(-time.Duration(rng.IntN(5)) * 10 * time.Second)
	}
	if s.chance(6) { // one microsecond makes a window
		at = at.Add(time.Duration(rng.IntN(3)-1) * time.Microsecond)
	}
	r.at = at.UnixMicro()
	// What a source begins with tells its time, which poison does not: what came
	// next would be late by the other sources' time and not by its own.
	begins := s.phases == 0
	switch {
	case s.chance(40) && !begins:
		r.poison = ingest.ReasonUnparsed
		return fmt.Sprintf(`{"n":%d,"broken":`, s.records), r
	case s.chance(60) && !begins:
		r.poison = ingest.ReasonPanic
		return fmt.Sprintf(`{"n":%d,"x":%q}`, s.records, simPanic), r
	}
	for _, w := range []string{"ay", "bee", "sea", "dee"} {
		if rng.IntN(5) < 2 {
			r.words = append(r.words, w)
		}
	}
	stamp := at.UTC().Format(time.RFC3339Nano)
	host, user := r.host, r.user
	if s.chance(5) {
		host = strings.ToUpper(host)
	}
	pad := ""
	if s.chance(8) { // so that a batch has several blocks of the disk, of which a power cut takes some
		noise := make([]byte, 1+rng.IntN(6<<10))
		for i := range noise {
			noise[i] = byte(rng.Uint32())
		}
		pad = hex.EncodeToString(noise)
	}
	return fmt.Sprintf(`{"n":%d,"EventID":1,"Pad":%q,"Channel":"Microsoft-Windows-Sysmon/Operational","Computer":%q,"TimeCreated":%q,"@timestamp":%q,"Image":"C:\\x.exe","CommandLine":%q,"User":%q,"Size":%q}`,
		s.records, pad, host, stamp, stamp, strings.Join(r.words, " ")+".", user, r.size), r
}

// make makes a batch.
func (s *sim) make(t event.Tenant, source string, shard uint32, n int, base time.Time) *simBatch {
	b := &simBatch{n: len(s.batches), tenant: t, source: source, shard: shard}
	for range n {
		line, r := s.record(base, source == simImport)
		r.start = len(b.data)
		b.data = append(b.data, line...)
		r.end = len(b.data)
		b.data = append(b.data, '\n')
		f := format.Frame{Start: r.start, End: r.end}
		if source == simImport {
			f.Offset = int64(f.Start)
		}
		b.frames = append(b.frames, f)
		b.records = append(b.records, r)
	}
	b.key = sha256.Sum256(b.data)
	s.batches = append(s.batches, b)
	return b
}

// readOnce makes the batches of a file that is imported.
func (s *sim) readOnce(t event.Tenant) []*simBatch {
	s.imports++
	base := time.Now().Add(-time.Duration(1+s.rng.IntN(2000)) * time.Hour)
	var list []*simBatch
	offset := int64(0)
	fingerprint := sha256.Sum256([]byte(fmt.Sprint("file", s.imports)))
	for range 1 + s.rng.IntN(4) {
		b := s.make(t, simImport, 0, 1+s.rng.IntN(10), base)
		b.file = &ingest.File{Path: "f", Name: "f", Fingerprint: fingerprint, Base: offset}
		for i := range b.frames {
			b.frames[i].Offset = offset + int64(b.frames[i].Start)
		}
		offset += int64(len(b.data))
		list = append(list, b)
	}
	list[len(list)-1].file.Last = true
	return list
}

// send delivers batches in order until all are acknowledged or the process is
// gone.
func (s *sim) send(n *simNode, list []*simBatch, repeat *rand.Rand) {
	for _, b := range list {
		if b.acked {
			continue
		}
		for {
			err := s.offer(n, b)
			if n.disk.gone() != nil {
				return
			}
			var busy *ingest.Busy
			switch {
			case err == nil:
			case errors.As(err, &busy):
				if n.died() {
					return
				}
				time.Sleep(busy.Wait)
				continue
			default:
				s.fault("batch %d was refused: %v", b.n, err)
				return
			}
			break
		}
		if repeat.IntN(6) == 0 {
			s.trace("batch %d is sent again", b.n)
			_ = s.offer(n, b)
		}
	}
}

// offer sends a batch once.
func (s *sim) offer(n *simNode, b *simBatch) error {
	release, err := n.gate.Admit(b.tenant, b.source, int64(len(b.data)))
	if err != nil {
		return err
	}
	defer release()
	if err := n.gate.Accept(context.Background(), b.batch()); err != nil {
		s.trace("batch %d: %v", b.n, err)
		return err
	}
	n.disk.while(func() {
		if !b.acked {
			b.acked = true
			s.trace("batch %d of %s/%s/%d, %d records, is acknowledged", b.n, b.tenant, b.source, b.shard, len(b.records))
		}
	})
	return nil
}

// boot starts a process on what is there, through power cuts while it starts.
func (s *sim) boot(mem *vfs.MemFS) error {
	for attempt := 0; ; attempt++ {
		d := newSimDisk(mem, s.rng)
		if attempt < 3 && s.chance(6) {
			d.cutIn(1 + s.rng.IntN(120))
		}
		n, err := s.open(d)
		if survived := d.gone(); survived != nil {
			s.trace("the power goes while the process starts (%v), %d %% of what was not synced survives", err, d.percent)
			s.cuts++
			if err == nil {
				_ = n.close()
			}
			mem = survived
			continue
		}
		if err != nil {
			return fmt.Errorf("start number %d: %w", attempt, err)
		}
		s.node = n
		s.trace("the process has started")
		return nil
	}
}

// revive starts the process again if its power is gone or it has died.
func (s *sim) revive() error {
	n := s.node
	mem := n.disk.gone()
	switch {
	case mem != nil:
		s.trace("the power went, %d %% of what was not synced survives", n.disk.percent)
		s.cuts++
		_ = n.close()
	case n.died():
		return fmt.Errorf("the node stopped: %w", n.err)
	default:
		return nil
	}
	return s.boot(mem)
}

// deliver sends lists of batches at the same time until all is acknowledged.
func (s *sim) deliver(lists [][]*simBatch, during func(n *simNode)) error {
	for round := 0; ; round++ {
		n := s.node
		var senders sync.WaitGroup
		for _, list := range lists {
			repeat := rand.New(rand.NewPCG(s.rng.Uint64(), 3))
			senders.Go(func() { s.send(n, list, repeat) })
		}
		if during != nil && round == 0 {
			during(n)
		}
		if round == 0 {
			// Faults do not last for ever.
			time.Sleep(time.Duration(s.rng.IntN(25)) * time.Second)
		} else {
			synctest.Wait()
		}
		n.disk.heal(round > 3)
		senders.Wait()
		if err := s.revive(); err != nil {
			return err
		}
		if s.node == n {
			return nil
		}
	}
}

// phase is some batches with what befalls them, and a while after.
func (s *sim) phase() error {
	var lists [][]*simBatch
	now := time.Now()
	all := s.tenants.All()
	for range 1 + s.rng.IntN(4) {
		var list []*simBatch
		if s.chance(5) {
			// One file at a time: what ends an import must come last.
			if s.importing == s.phases {
				continue
			}
			s.importing = s.phases
			list = s.readOnce(all[s.rng.IntN(len(all))])
		} else {
			for range 1 + s.rng.IntN(4) {
				list = append(list, s.make(all[s.rng.IntN(len(all))], fmt.Sprint("s", s.rng.IntN(s.sources)), uint32(s.rng.IntN(s.shards)), 1+s.rng.IntN(12), now))
			}
		}
		lists = append(lists, list)
	}
	d := s.node.disk
	switch s.rng.IntN(8) {
	case 0, 1, 2:
		d.mu.Lock()
		d.cutAt = d.ops + 1 + s.rng.IntN(80)
		d.mu.Unlock()
		s.trace("the power will go")
	case 3:
		d.mu.Lock()
		d.failing = 0.1 + 0.4*s.rng.Float64()
		d.mu.Unlock()
		s.trace("writes of the log fail")
	case 4:
		d.mu.Lock()
		d.full = true
		d.mu.Unlock()
		s.trace("the disk is full")
	case 5:
		d.mu.Lock()
		d.slow = time.Duration(1+s.rng.IntN(3000)) * time.Millisecond
		d.mu.Unlock()
		s.trace("the disk is slow")
	}
	var during func(n *simNode)
	if !s.loader.has() && s.chance(4) {
		s.loader.set(true)
		during = func(n *simNode) { s.reload(n) }
	}
	if err := s.deliver(lists, during); err != nil {
		return err
	}
	return s.after()
}

// after lets time pass, and sometimes restarts or changes the content.
func (s *sim) after() error {
	time.Sleep([]time.Duration{0, time.Millisecond, time.Second, 10 * time.Second, 45 * time.Second, 3 * time.Minute, 20 * time.Minute}[s.rng.IntN(7)])
	if err := s.revive(); err != nil {
		return err
	}
	switch s.rng.IntN(6) {
	case 0:
		s.node.disk.heal(true)
		if err := s.node.close(); err != nil && s.node.disk.gone() == nil {
			return fmt.Errorf("stop in order: %w", err)
		}
		if s.node.disk.gone() != nil {
			return s.revive()
		}
		s.trace("the process has stopped in order")
		return s.boot(s.node.disk.mem)
	case 1:
		if !s.loader.has() {
			return nil
		}
		// What is taken away counts up to here only when nothing is under way.
		s.node.disk.heal(true)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if err := s.revive(); err != nil {
			return err
		}
		s.node.disk.heal(true)
		synctest.Wait()
		s.loader.set(false)
		s.reload(s.node)
		synctest.Wait()
	case 2:
		if s.node.disk.gone() == nil {
			s.node.disk.cutNow()
		}
		return s.revive()
	}
	return nil
}

func (s *sim) reload(n *simNode) {
	n.disk.mu.Lock()
	faulty := n.disk.failing > 0 || n.disk.full
	n.disk.mu.Unlock()
	r, err := n.node.Reload()
	if err != nil && n.disk.gone() == nil && !faulty {
		s.fault("reload: %v", err)
	}
	s.trace("the content is read again: %+v %v", r, err)
}

// script is the whole run, up to where everything is decided.
func (s *sim) script() error {
	if err := s.boot(vfs.NewCrashableMem()); err != nil {
		return err
	}
	// A source that begins while others are ahead would begin with late events.
	var first []*simBatch
	for _, t := range s.tenants.All() {
		for k := range s.sources {
			for shard := range s.shards {
				first = append(first, s.make(t, fmt.Sprint("s", k), uint32(shard), 1, time.Now()))
			}
		}
	}
	if err := s.deliver([][]*simBatch{first}, nil); err != nil {
		return err
	}
	for range 3 + s.rng.IntN(4) {
		s.phases++
		if err := s.phase(); err != nil {
			return err
		}
	}
	s.node.disk.heal(true)
	synctest.Wait()
	if err := s.revive(); err != nil {
		return err
	}
	s.node.disk.heal(true)
	if !s.chance(4) {
		if err := s.calm(); err != nil {
			return err
		}
	}
	// The longest is an hour of silence behind what is newest, and what a chain
	// is held back for.
	time.Sleep(75 * time.Minute)
	synctest.Wait()
	if s.node.died() {
		return fmt.Errorf("the node stopped: %w", s.node.err)
	}
	return nil
}

// calm restarts in order on a disk that no power cut will come to, and whose
// syncs are cheap: most of a run's time passes after the last fault.
func (s *sim) calm() error {
	if err := s.node.close(); err != nil {
		return fmt.Errorf("stop in order: %w", err)
	}
	mem := vfs.NewMem()
	for _, dir := range []string{"log", "state"} {
		if _, err := vfs.Clone(s.node.disk.mem, mem, dir, dir); err != nil {
			return err
		}
	}
	n, err := s.open(newSimDisk(mem, s.rng))
	if err != nil {
		return fmt.Errorf("start at the end: %w", err)
	}
	s.node = n
	s.trace("the process has been restarted in order")
	return nil
}

// runSim runs a seed to its end; the error tells all that was wrong.
func runSim(seed uint64, library *simLibrary, plant simPlant) (s *sim, err error) {
	s, err = newSim(seed, library, plant)
	if err != nil {
		return s, err
	}
	err = s.script()
	if err == nil {
		err = s.verify()
	}
	if s.node != nil {
		closed := s.node.close()
		if err == nil && closed != nil {
			err = fmt.Errorf("stop in order: %w", closed)
		}
	}
	for _, f := range s.faults {
		err = errors.Join(err, errors.New(f))
	}
	return s, err
}
