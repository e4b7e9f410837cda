package correlate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/tiercel-io/tiercel/event"
)

// SnapshotVersion is the version of the snapshot's encoding. A reader refuses
// any other; state is then rebuilt from the log.
const SnapshotVersion = 1

var snapshotMagic = []byte("tiercel-correlate")

// ErrSnapshot is returned for a snapshot that is damaged or of another version.
// The state it held must be rebuilt by reading the log again.
var ErrSnapshot = errors.New("unusable snapshot of correlation state")

// Snapshot writes the engine's state. An engine restored from it goes on to
// the same output, byte for byte.
func (e *Engine) Snapshot(w io.Writer) error {
	x := &codec{buf: append([]byte(nil), snapshotMagic...)}
	x.num(SnapshotVersion)
	x.int(e.watermark)
	sources := slices.Sorted(maps.Keys(e.sources))
	x.num(uint64(len(sources)))
	for _, s := range sources {
		x.num(uint64(s))
		x.int(e.sources[s])
	}
	c := &e.counters
	for _, n := range []*uint64{&c.Hits, &c.Keyless, &c.Repeated, &c.LateHits, &c.EvictedGroups, &c.DroppedHits} {
		x.num(*n)
	}
	x.num(uint64(len(e.detectors)))
	for _, d := range e.detectors {
		inner := &codec{}
		inner.detector(d)
		x.text(d.semantic())
		x.bytes(inner.buf)
	}
	x.num(uint64(len(e.decided)))
	for i := range e.decided {
		d := &e.decided[i]
		x.text(d.group.det.semantic())
		x.int(d.at)
		x.num(uint64(d.phase))
		x.identity(d.group)
		x.episode(d.episode)
	}
	x.buf = binary.BigEndian.AppendUint32(x.buf, crc32.ChecksumIEEE(x.buf))
	_, err := w.Write(x.buf)
	return err
}

// Restore makes an engine with the state that a snapshot holds. Detectors that
// decide otherwise than when it was taken start anew; the others go on.
func Restore(cfg Config, r io.Reader) (*Engine, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read snapshot: %w", err)
	}
	n := len(data) - 4
	if n < len(snapshotMagic) || !bytes.HasPrefix(data, snapshotMagic) {
		return nil, fmt.Errorf("%w: it does not begin as one", ErrSnapshot)
	}
	if crc32.ChecksumIEEE(data[:n]) != binary.BigEndian.Uint32(data[n:]) {
		return nil, fmt.Errorf("%w: the checksum is wrong", ErrSnapshot)
	}
	x := &codec{buf: data[len(snapshotMagic):n], reading: true}
	if v := x.num(0); v != SnapshotVersion {
		return nil, fmt.Errorf("%w: it has version %d, this program reads %d", ErrSnapshot, v, SnapshotVersion)
	}
	e := New(cfg)
	e.watermark = x.int(0)
	for range x.count() {
		s := int(x.num(0))
		e.sources[s] = x.int(0)
	}
	c := &e.counters
	for _, n := range []*uint64{&c.Hits, &c.Keyless, &c.Repeated, &c.LateHits, &c.EvictedGroups, &c.DroppedHits} {
		*n = x.num(0)
	}
	bySemantic := map[string]*detector{}
	for _, d := range e.detectors {
		bySemantic[d.semantic()] = d
	}
	for range x.count() {
		name := x.text("")
		inner := &codec{buf: x.bytes(nil), reading: true}
		d := bySemantic[name]
		if d == nil {
			continue
		}
		inner.detector(d)
		if inner.err != nil || len(inner.buf) > 0 {
			return nil, fmt.Errorf("%w: the state of %s cannot be read", ErrSnapshot, d.id)
		}
	}
	for range x.count() {
		g := &group{det: bySemantic[x.text("")], at: -1}
		d := decision{at: x.int(0), phase: Phase(x.num(0)), group: g}
		x.identity(g)
		d.episode = x.episode(nil)
		if g.det != nil && d.episode != nil {
			d.anchor = d.episode.anchor
			e.decided = append(e.decided, d)
		}
	}
	if x.err != nil || len(x.buf) > 0 {
		return nil, fmt.Errorf("%w: it ends early or late", ErrSnapshot)
	}
	for _, d := range e.detectors {
		d.settled = d.watermark(e.watermark)
		for i := range d.shards {
			for c := range d.shards[i].lists {
				for g := d.shards[i].lists[c].head; g != nil; g = g.next {
					e.revive(g)
				}
			}
		}
	}
	return e, nil
}

// revive derives what a snapshot leaves out.
func (e *Engine) revive(g *group) {
	g.det.due.set(g, g.due)
	if g.dirty {
		g.dirty = false
		e.soil(g)
	}
	if g.det.windowed || !g.wasAhead {
		return
	}
	g.ahead = g.committed.clone()
	for int(g.ahead.next) < len(g.hits) {
		g.step(g.ahead, len(g.hits))
	}
}

// codec writes or reads, by the same calls, so that the two cannot differ.
// When reading, a damaged input sets err and yields zeros.
type codec struct {
	buf     []byte
	reading bool
	err     error
}

func (x *codec) num(v uint64) uint64 {
	if !x.reading {
		x.buf = binary.AppendUvarint(x.buf, v)
		return v
	}
	v, n := binary.Uvarint(x.buf)
	if n <= 0 {
		x.err, x.buf = ErrSnapshot, nil
		return 0
	}
	x.buf = x.buf[n:]
	return v
}

func (x *codec) int(v int64) int64 {
	u := x.num(uint64(v)<<1 ^ uint64(v>>63))
	return int64(u>>1) ^ -int64(u&1)
}

// count reads a number of things that take a byte each at least.
func (x *codec) count() int {
	n := x.num(0)
	if n > uint64(len(x.buf)) {
		x.err, x.buf = ErrSnapshot, nil
		return 0
	}
	return int(n)
}

// length writes n, or reads a count.
func (x *codec) length(n int) int {
	if x.reading {
		return x.count()
	}
	x.num(uint64(n))
	return n
}

func (x *codec) bytes(v []byte) []byte {
	n := x.length(len(v))
	if !x.reading {
		x.buf = append(x.buf, v...)
		return v
	}
	v = x.buf[:n:n]
	x.buf = x.buf[n:]
	return v
}

func (x *codec) text(v string) string {
	if !x.reading {
		x.num(uint64(len(v)))
		x.buf = append(x.buf, v...)
		return v
	}
	return string(x.bytes(nil))
}

func (x *codec) bool(v bool) bool {
	n := uint64(0)
	if v {
		n = 1
	}
	return x.num(n) == 1
}

func (x *codec) float(v float64) float64 { return math.Float64frombits(x.num(math.Float64bits(v))) }

func (x *codec) id(v event.ID) event.ID {
	if !x.reading {
		x.buf = append(x.buf, v[:]...)
		return v
	}
	if len(x.buf) < len(v) {
		x.err, x.buf = ErrSnapshot, nil
		return v
	}
	x.buf = x.buf[copy(v[:], x.buf):]
	return v
}

func (x *codec) order(o *order) {
	o.t, o.seq, o.id = x.int(o.t), x.num(o.seq), x.id(o.id)
}

func (x *codec) texts(v []string) []string {
	n := x.length(len(v))
	if x.reading {
		v = make([]string, n)
		if n == 0 {
			v = nil
		}
	}
	for i := range v {
		v[i] = x.text(v[i])
	}
	return v
}

func (x *codec) fields(v [][]string) [][]string {
	n := x.length(len(v))
	if x.reading && n > 0 {
		v = make([][]string, n)
	}
	for i := range n {
		v[i] = x.texts(v[i])
	}
	return v
}

func (x *codec) ids(v []event.ID) []event.ID {
	n := x.length(len(v))
	if x.reading && n > 0 {
		v = make([]event.ID, n)
	}
	for i := range n {
		v[i] = x.id(v[i])
	}
	return v
}

func (x *codec) detector(d *detector) {
	keys := slices.Sorted(maps.Keys(d.stood))
	n := x.length(len(keys))
	for i := range n {
		k, t := "", int64(0)
		if !x.reading {
			k, t = keys[i], d.stood[keys[i]]
		}
		k, t = x.text(k), x.int(t)
		d.stood[k] = t
	}
	for i := range d.shards {
		x.shard(d, uint8(i))
	}
}

func (x *codec) shard(d *detector, number uint8) {
	s := &d.shards[number]
	if x.bool(s.ghosts != nil) {
		if x.reading {
			s.ghosts = make([]uint32, ghostSlots)
		}
		for i := range s.ghosts {
			s.ghosts[i] = uint32(x.num(uint64(s.ghosts[i])))
		}
	}
	for c := range s.lists {
		l := &s.lists[c]
		n := x.length(l.n)
		g := l.head
		for range n {
			if x.reading {
				g = &group{det: d, shard: number, live: true, at: -1, class: uint8(c)}
			}
			x.group(g)
			if x.reading {
				if x.err != nil {
					return
				}
				if s.groups == nil {
					s.groups = map[uint64]*group{}
				}
				s.put(g)
				l.push(g)
			} else {
				g = g.next
			}
		}
	}
}

// identity is what a detection needs of its group.
func (x *codec) identity(g *group) {
	g.key = x.text(g.key)
	g.spelled = x.text(g.spelled)
	g.truncated = x.bool(g.truncated)
	if sup := x.id(g.said().suppressed); x.reading && sup != (event.ID{}) {
		g.say().suppressed = sup
	}
}

func (x *codec) group(g *group) {
	x.identity(g)
	g.earliest = x.int(g.earliest)
	n := x.length(len(g.hits))
	if x.reading {
		g.hits = make([]hit, n)
		if g.det.values || g.det.extras() {
			g.load = &load{}
		}
		if g.det.values {
			g.load.values = make([]value, n)
		}
		if g.det.extras() {
			g.load.extras = make([]more, n)
		}
	}
	for i := range n {
		h := &g.hits[i]
		x.order(&h.order)
		h.ref, h.rank = uint16(x.num(uint64(h.ref))), uint16(x.num(uint64(h.rank)))
		h.copies = uint16(x.num(uint64(h.copies)))
		h.late = x.bool(h.late)
		if g.det.values {
			v := &g.load.values[i]
			v.texts, v.shown = x.texts(v.texts), x.texts(v.shown)
			m := x.length(len(v.numbers))
			if x.reading && m > 0 {
				v.numbers = make([]float64, m)
			}
			for k := range m {
				v.numbers[k] = x.float(v.numbers[k])
			}
		}
		if g.det.extras() {
			m := &g.load.extras[i]
			m.fields, m.child = x.fields(m.fields), x.id(m.child)
		}
	}
	g.done = int32(x.num(uint64(g.done)))
	w := &g.committed
	w.lo, w.next, w.last = int32(x.num(uint64(w.lo))), int32(x.num(uint64(w.next))), x.int(w.last)
	w.open = x.episode(w.open)
	var chain []link
	if w.aux != nil {
		chain = w.aux.chain
	}
	m := x.length(len(chain))
	if x.reading && m > 0 {
		chain = make([]link, m)
		w.aux = &aux{chain: chain}
	}
	for i := range m {
		x.order(&chain[i].start)
		chain[i].ok = x.bool(chain[i].ok)
	}
	if x.bool(g.emitted != nil) {
		x.emitted(g.say())
	}
	g.integers = x.bool(g.integers)
	g.dirty = x.bool(g.dirty)
	g.wasAhead = x.bool(g.ahead != nil)
	g.due = x.int(g.due)
	if x.reading && (int(g.done) > n || int(w.lo) > n || int(w.next) > n || g.done < 0 || w.lo < 0 || w.next < 0) {
		x.err, x.buf = ErrSnapshot, nil
	}
}

func (x *codec) emitted(s *emitted) {
	m := x.length(len(s.announced))
	if x.reading && m > 0 {
		s.announced = make([]announced, m)
	}
	for i := range m {
		a := &s.announced[i]
		a.id, a.key = x.id(a.id), x.id(a.key)
		x.order(&a.order)
		a.count, a.keyTime = x.num(a.count), x.int(a.keyTime)
		a.fields = x.fields(a.fields)
	}
	s.decided = x.int(s.decided)
	x.order(&s.floor)
	s.lastFinal, s.finalKey = x.id(s.lastFinal), x.id(s.finalKey)
	s.finalCount = x.num(s.finalCount)
	m = x.length(len(s.used))
	if x.reading && m > 0 {
		s.used = make([]usedKey, m)
	}
	for i := range m {
		u := &s.used[i]
		u.key, u.namesake = x.id(u.key), x.int(u.namesake)
	}
}

// episode writes e, or reads one; nil stands for none.
func (x *codec) episode(e *episode) *episode {
	if !x.bool(e != nil) {
		return nil
	}
	if x.reading {
		e = &episode{}
	}
	e.id, e.completing, e.key, e.keyTime = x.id(e.id), x.id(e.completing), x.id(e.key), x.int(e.keyTime)
	x.order(&e.anchor)
	x.order(&e.completed)
	x.order(&e.lastEvent)
	e.fields = x.fields(e.fields)
	e.first, e.last = x.int(e.first), x.int(e.last)
	e.count = x.num(e.count)
	n := x.length(len(e.byRule))
	if x.reading && n > 0 {
		e.byRule = make([]uint64, n)
	}
	for i := range n {
		e.byRule[i] = x.num(e.byRule[i])
	}
	e.value = x.float(e.value)
	e.values = x.texts(e.values)
	e.head, e.tail = x.ids(e.head), x.ids(e.tail)
	e.tailAt = int(x.num(uint64(e.tailAt)))
	if e.tailAt > len(e.tail) {
		x.err, x.buf = ErrSnapshot, nil
		e.tailAt = 0
	}
	e.children = x.ids(e.children)
	e.late = x.bool(e.late)
	return e
}
