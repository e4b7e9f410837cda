package correlate

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strconv"

	"github.com/tiercel-io/tiercel/event"
)

// Engine is stage 2 over one partition of group keys. It belongs to one
// goroutine.
type Engine struct {
	cfg       Config
	detectors []*detector // children before parents
	needs     [][]string  // by rule
	feeds     [][]feed    // by rule
	sources   map[int]int64
	watermark int64
	counters  Counters

	key     []byte
	fold    []byte
	dirty   []*group
	decided []decision
}

// decision is a detection that a step of the watermark settled.
type decision struct {
	at      int64 // when, in event time
	anchor  order
	group   *group
	episode *episode
	phase   Phase
}

// never is a watermark before all events, forever one behind them.
const (
	never   = math.MinInt64
	forever = math.MaxInt64
)

// New makes an engine without state.
func New(cfg Config) *Engine {
	if cfg.LagMax <= 0 {
		cfg.LagMax = LagDefault
	}
	if cfg.Budget.GroupsPerShard <= 0 {
		cfg.Budget.GroupsPerShard = GroupsPerShardDefault
	}
	if cfg.Budget.HitsPerGroup <= 0 {
		cfg.Budget.HitsPerGroup = HitsPerGroupDefault
	}
	e := &Engine{
		cfg: cfg, sources: map[int]int64{}, watermark: never,
		needs: make([][]string, len(cfg.Rules)), feeds: make([][]feed, len(cfg.Rules)),
	}
	e.compile()
	return e
}

// Needs returns the fields whose values [Hit.Fields] must hold for a rule, in
// that order; nil when the rule feeds nothing.
func (e *Engine) Needs(rule int) []string { return e.needs[rule] }

// Feeds reports whether hits of a rule lead anywhere.
func (e *Engine) Feeds(rule int) bool { return len(e.feeds[rule]) > 0 }

// Counters returns what was counted so far.
func (e *Engine) Counters() Counters { return e.counters }

// Hit takes a match. Provisional detections that it gives rise to are emitted
// now, or with the next [Engine.Flush] where many hits out of order make it
// dear.
func (e *Engine) Hit(h *Hit, s Sink) {
	e.counters.Hits++
	o := order{h.Time, h.Seq, h.ID}
	for i := range e.feeds[h.Rule] {
		f := &e.feeds[h.Rule][i]
		e.feed(f, o, h.Fields, more{}, s)
	}
}

// combinationsMax bounds the group keys of one hit with many-valued fields
// [D53].
const combinationsMax = 16

// feed adds a hit to the groups of a detector that its fields name.
func (e *Engine) feed(f *feed, o order, fields [][]string, m more, s Sink) {
	d := f.to
	var v value
	if d.values {
		var ok bool
		if v, ok = d.value(f, fields); !ok {
			return
		}
	}
	if d.extras() && len(f.parent) > 0 {
		m.fields = make([][]string, len(f.parent))
		for i, at := range f.parent {
			m.fields[i] = slices.Clone(fields[at])
		}
	}
	if !e.eachKey(f, fields, func(key []byte, shown []string) {
		e.add(d, f.ref, o, key, shown, v, m, s)
	}) {
		e.counters.Keyless++
	}
}

// eachKey calls add for each combination of the values of a group key, folded,
// and reports whether there is any.
func (e *Engine) eachKey(f *feed, fields [][]string, add func(key []byte, shown []string)) bool {
	n := len(f.group)
	single := true
	for _, at := range f.group {
		if len(fields[at]) == 0 && !f.to.optionalKey {
			return false
		}
		single = single && len(fields[at]) <= 1
	}
	shown := make([]string, n)
	if single {
		e.key = e.key[:0]
		for i, at := range f.group {
			if len(fields[at]) == 1 {
				shown[i] = fields[at][0]
			}
			e.appendComponent(shown[i], f.to.cased)
		}
		add(e.key, shown)
		return true
	}
	choice := make([]int, n)
	seen := map[string]bool{}
	for {
		e.key = e.key[:0]
		for i, at := range f.group {
			shown[i] = ""
			if len(fields[at]) > 0 {
				shown[i] = fields[at][choice[i]]
			}
			e.appendComponent(shown[i], f.to.cased)
		}
		if !seen[string(e.key)] {
			seen[string(e.key)] = true
			add(slices.Clone(e.key), slices.Clone(shown))
		}
		i := n - 1
		for ; i >= 0; i-- {
			if choice[i]++; choice[i] < len(fields[f.group[i]]) {
				break
			}
			choice[i] = 0
		}
		if i < 0 || len(seen) >= combinationsMax {
			return true
		}
	}
}

func (e *Engine) appendComponent(s string, cased bool) {
	if !cased {
		e.fold, _ = event.AppendFold(e.fold[:0], []byte(s))
	} else {
		e.fold = append(e.fold[:0], s...)
	}
	e.key = binary.AppendUvarint(e.key, uint64(len(e.fold)))
	e.key = append(e.key, e.fold...)
}

// spell encodes the components of a group key as they stand.
func spell(shown []string) string {
	var b []byte
	for _, s := range shown {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return string(b)
}

// components takes a group key apart.
func components(key string) []string {
	var out []string
	for b := []byte(key); len(b) > 0; {
		n, size := binary.Uvarint(b)
		out = append(out, string(b[size:size+int(n)]))
		b = b[size+int(n):]
	}
	return out
}

// value reads what a value detector counts; ok is false when the event has
// none of it.
func (d *detector) value(f *feed, fields [][]string) (v value, ok bool) {
	if d.kind != distinctKind {
		for _, text := range fields[f.value[0]] {
			if n, err := strconv.ParseFloat(text, 64); err == nil && decimal(text) {
				v.numbers = append(v.numbers, n)
			}
		}
		return v, len(v.numbers) > 0
	}
	tuples := []string{""}
	shown := []string{""}
	for i, at := range f.value {
		var nextTuples, nextShown []string
		for k := range tuples {
			for _, text := range fields[at] {
				if len(nextTuples) == combinationsMax {
					break
				}
				folded := text
				if !d.cased {
					folded = event.FoldString(text)
				}
				nextTuples = append(nextTuples, tuples[k]+strconv.Itoa(len(folded))+":"+folded)
				if i > 0 {
					text = shown[k] + ", " + text
				}
				nextShown = append(nextShown, text)
			}
		}
		tuples, shown = nextTuples, nextShown
	}
	for k, t := range tuples {
		if !slices.Contains(v.texts, t) {
			v.texts = append(v.texts, t)
			v.shown = append(v.shown, shown[k])
		}
	}
	return v, len(v.texts) > 0
}

// decimal reports whether text is spelled in digits, as numbers in events are:
// ParseFloat also takes hexadecimal, infinity and NaN.
func decimal(text string) bool {
	for _, c := range []byte(text) {
		if c > '9' && c|0x20 != 'e' || c == '_' {
			return false
		}
	}
	return true
}

// add puts a hit into a group.
func (e *Engine) add(d *detector, ref int, o order, key []byte, shown []string, v value, m more, s Sink) {
	if e.cfg.Owns != nil && !e.cfg.Owns(d.owner(key)) {
		return
	}
	w := d.settled
	sh := &d.shards[ShardOf(key)]
	g := sh.get(key)
	if g == nil {
		// What was decided of a group that is gone is not known any more.
		if d.windowed && o.t < w {
			e.late(d, o, s)
			return
		}
		if g = e.admit(d, ShardOf(key), string(key), o, w); g == nil {
			e.late(d, o, s)
			return
		}
	}
	if g.truncated && !d.windowed && o.compare(g.said().floor) <= 0 {
		e.late(d, o, s) // what stood behind it was committed for the budget
		return
	}
	h := d.newHit(o, ref)
	at, found := g.find(&h)
	if found {
		if m.child != (event.ID{}) {
			g.hits[at].copies++
		}
		e.counters.Repeated++
		return
	}
	// Of a rule of its own a late hit opens an episode however late it is, as
	// long as nothing of its group is final that it could change.
	alone := d.single() && g.done == 0 && g.said().lastFinal == (event.ID{})
	if decided := d.windowed && (o.t <= g.said().decided || o.t < w && !g.inWindow(o.t)); o.t < w || decided {
		e.late(d, o, s)
		if !d.single() && (o.t < w-d.timespan || decided) {
			e.settle(g)
			return
		}
		h.late = true
	}
	if o.t < g.earliest || g.spelled == "" {
		g.earliest, g.spelled = o.t, spell(shown)
	}
	if g.integers = g.integers || len(g.hits) == 0; d.kind == sumKind {
		for _, n := range v.numbers {
			g.integers = g.integers && n == math.Trunc(n) && math.Abs(n) < exactSum
		}
	}
	appended := at == len(g.hits) && (at == 0 || g.hits[at-1].order != o)
	g.insert(at, h, v, m)
	switch {
	case d.windowed:
	case h.late && !alone:
		e.insertLate(g, at)
		if d.single() {
			e.join(g, at, s)
		}
	case appended && (g.ahead != nil || at == int(g.done) && !g.dirty):
		if g.ahead == nil {
			g.ahead = g.committed.clone()
		}
		e.advance(g, s)
	default:
		g.ahead = nil
		e.soil(g)
	}
	e.bound(g)
	e.settle(g)
	e.touch(g)
}

func (e *Engine) late(d *detector, o order, s Sink) {
	e.counters.LateHits++
	s.Late(Late{Correlation: d.correlation, Rule: d.rule, ID: o.id, Time: o.t})
}

// insertLate lets a hit behind the watermark join the window that is held; what
// was decided stays.
func (e *Engine) insertLate(g *group, at int) {
	g.done++
	w := &g.committed
	w.next++
	if at < int(w.lo) {
		w.lo++
	}
	if w.aux != nil {
		w.aux.tally = nil
	}
	g.ahead = nil
	e.soil(g)
}

// join lets a late hit of a rule of its own count, although what stands around it
// is decided: it joins the episode that is open, or is one by itself where none
// is.
func (e *Engine) join(g *group, at int, s Sink) {
	h := &g.hits[at]
	if x := g.committed.open; x != nil {
		x.joinLate(h)
		return
	}
	x := &episode{anchor: h.order, completing: h.id, completed: h.order, value: 1, first: h.t, last: h.t}
	x.joinLate(h)
	x.id = g.detectionID(x.anchor)
	s.Detection(g.detection(x, Closed, x.id))
}

func (e *Engine) soil(g *group) {
	if !g.dirty {
		g.dirty = true
		e.dirty = append(e.dirty, g)
	}
}

// advance steps the walk ahead over the hit that was appended.
func (e *Engine) advance(g *group, s Sink) {
	w := g.ahead
	for int(w.next) < len(g.hits) {
		e.announce(g, g.step(w, len(g.hits)), s)
	}
	if w.open != nil {
		e.soil(g) // its count has changed
	}
}

// announce emits a provisional detection that a step opened.
func (e *Engine) announce(g *group, r result, s Sink) {
	for _, x := range [...]*episode{r.opened, r.ended} {
		if x != nil {
			x.key, x.keyTime = g.newKey(x.id), x.anchor.t
			e.provisional(g, x, s)
		}
	}
}

// provisional emits an episode for the first time.
func (e *Engine) provisional(g *group, x *episode, s Sink) {
	said := g.say()
	said.announced = append(said.announced, announced{id: x.id, order: x.anchor, count: x.count, key: x.key, keyTime: x.keyTime, fields: x.fields})
	s.Detection(g.detection(x, Provisional, x.key))
	e.fire(g, x, s)
}

// newKey returns a notification's key for an episode that supersedes none: its
// own id, unless one that took its place before still stands under it.
func (g *group) newKey(id event.ID) event.ID {
	said := g.said()
	key := id
	for slices.ContainsFunc(said.used, func(u usedKey) bool { return u.key == key }) || slices.ContainsFunc(said.announced, func(a announced) bool { return a.key == key }) {
		key = event.RevisionID([]event.ID{key})
	}
	return key
}

// Flush emits what hits out of order have changed. Call it at the end of each
// batch.
func (e *Engine) Flush(s Sink) {
	for len(e.dirty) > 0 {
		list := e.dirty
		e.dirty = nil
		slices.SortFunc(list, compareGroups)
		for _, g := range list {
			g.dirty = false
			if g.live {
				e.refresh(g, s)
			}
		}
	}
}

func compareGroups(a, b *group) int {
	return cmp.Or(cmp.Compare(a.det.index, b.det.index), cmp.Compare(a.key, b.key))
}

// refresh compares what the hits say now with what was announced.
func (e *Engine) refresh(g *group, s Sink) {
	if g.det.windowed {
		return
	}
	if g.ahead != nil {
		e.update(g, g.ahead.open, s)
		return
	}
	g.ahead = g.committed.clone()
	var now []*episode
	for int(g.ahead.next) < len(g.hits) {
		r := g.step(g.ahead, len(g.hits))
		for _, x := range [...]*episode{r.opened, r.ended} {
			if x != nil {
				now = append(now, x)
			}
		}
	}
	before := g.said().announced
	var gone []announced
	for _, a := range before {
		if !slices.ContainsFunc(now, func(x *episode) bool { return x.id == a.id }) {
			gone = append(gone, a)
		}
	}
	if before != nil {
		g.emitted.announced = nil
	}
	var fresh []*episode
	for _, x := range now {
		if i := slices.IndexFunc(before, func(a announced) bool { return a.id == x.id }); i >= 0 {
			x.key = before[i].key
			g.emitted.announced = append(g.emitted.announced, before[i])
		} else {
			fresh = append(fresh, x)
		}
	}
	// Those that are new take the place of those that are gone, in order.
	for i, x := range fresh {
		x.key, x.keyTime = g.newKey(x.id), x.anchor.t
		if i < len(gone) {
			x.key, x.keyTime = gone[i].key, gone[i].keyTime
		}
		late := x.late
		x.late = true // it comes by a hit out of order
		e.provisional(g, x, s)
		x.late = late
	}
	for i, a := range gone {
		d := g.blank(a.id, a.order)
		d.Phase, d.NotifyKey = Superseded, a.key
		if i < len(fresh) {
			d.SupersededBy = fresh[i].id
		}
		s.Detection(d)
		e.unfire(g, a)
	}
	e.update(g, g.ahead.open, s)
	if !g.pending() {
		g.ahead = nil
	}
}

// update emits an episode again whose count has grown since it was emitted.
func (e *Engine) update(g *group, x *episode, s Sink) {
	if x == nil {
		return
	}
	said := g.emitted
	if said == nil {
		return
	}
	for i := range said.announced {
		if a := &said.announced[i]; a.id == x.id && a.count != x.count {
			a.count = x.count
			s.Detection(g.detection(x, Provisional, a.key))
		}
	}
	if said.lastFinal == x.id && said.finalCount != x.count {
		said.finalCount = x.count
		s.Detection(g.detection(x, Final, said.finalKey))
	}
}

// Watermark tells that the source will deliver nothing older than micros, a
// time in microseconds since 1970. The engine's own watermark is the least of
// its sources', those left out that lag.
func (e *Engine) Watermark(source int, micros int64, s Sink) {
	if old, ok := e.sources[source]; ok && micros <= old {
		return
	}
	e.sources[source] = micros
	most := int64(never)
	for _, w := range e.sources {
		most = max(most, w)
	}
	least := most
	for _, w := range e.sources {
		if w >= most-e.cfg.LagMax.Microseconds() {
			least = min(least, w)
		}
	}
	e.moveTo(least, s)
}

// Heard returns the last watermark that a source told, in microseconds since
// 1970, or the least number that there is when it told none.
func (e *Engine) Heard(source int) int64 {
	if w, ok := e.sources[source]; ok {
		return w
	}
	return never
}

// Close tells that nothing will come any more: everything is decided.
func (e *Engine) Close(s Sink) { e.moveTo(forever, s) }

// moveTo commits what a watermark settles.
func (e *Engine) moveTo(w int64, s Sink) {
	e.Flush(s)
	if w <= e.watermark {
		return
	}
	e.watermark = w
	for _, d := range e.detectors {
		e.Flush(s) // fires of children may have come out of order
		limit := d.watermark(w)
		for d.due.len() > 0 && d.due.first().due <= limit {
			e.commit(d.due.pop(), limit, s)
		}
		d.settled = limit
	}
	e.Flush(s)
	e.decide(s)
}

// watermark is the engine's, held back for what children decide late.
func (d *detector) watermark(w int64) int64 {
	if w == never || w == forever {
		return w
	}
	return w - d.delay
}
