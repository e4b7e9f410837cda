package pack

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// RouterOptions are what routing must be told about a source.
type RouterOptions struct {
	// Pack forces a pack by name for every record; empty lets records decide.
	// A name that the set does not have routes nothing.
	Pack string
	// Zone is the zone of times that name none; nil is UTC.
	Zone *time.Location
	// Reference is the latest time that a record without a year may have.
	Reference time.Time
}

// Router decides for records which pack and which views they have. It is
// immutable and safe for concurrent use; each goroutine takes a [Session].
type Router struct {
	packs  []*routedPack // by priority, then name
	force  bool
	forced int // position of the forced pack, -1 when the set lacks it
	opts   RouterOptions
}

// routedPack is a pack with the slots of a plan.
type routedPack struct {
	*Pack
	entries []routedEntry
	// keys are the slots that the views' conditions read, each once.
	keys  []int
	views []routedView
	// fixed are the views when no condition reads anything.
	fixed []int
	times []int
}

// Slots of the pseudo-fields that conditions may read beside the record's own:
// _hint and _format, what the reader knows of it.
const (
	slotHint   = -1
	slotFormat = -2
)

type routedEntry struct {
	*matchEntry
	where []int // slots
	text  int
}

type routedView struct {
	*view
	id     int
	when   []int // indices into routedPack.keys
	any    [][]int
	unless []int
}

// Router prepares routing over plan, which will also serve the engine: call it
// before the plan's first reader is made.
func (s *Set) Router(plan *event.Plan, opts RouterOptions) *Router {
	r := &Router{opts: opts, force: opts.Pack != ""}
	id := 0
	for _, p := range s.packs {
		rp := newRoutedPack(p, plan, id)
		id += len(p.views)
		r.packs = append(r.packs, rp)
	}
	slices.SortStableFunc(r.packs, func(a, b *routedPack) int { return b.Priority - a.Priority })
	r.forced = slices.IndexFunc(r.packs, func(p *routedPack) bool { return p.Name == opts.Pack })
	return r
}

func newRoutedPack(p *Pack, plan *event.Plan, id int) *routedPack {
	rp := &routedPack{Pack: p}
	for i := range p.matches {
		e := routedEntry{matchEntry: &p.matches[i]}
		for _, w := range e.matchEntry.where {
			e.where = append(e.where, plan.Slot(w.lookup))
		}
		if len(e.matchEntry.text) > 0 {
			e.text = plan.Slot(event.Lookup{Paths: []string{"message"}})
		}
		rp.entries = append(rp.entries, e)
	}
	index := map[int]int{}
	key := func(conditions []condition) []int {
		var out []int
		for _, c := range conditions {
			slot := 0
			switch c.field {
			case "_hint":
				slot = slotHint
			case "_format":
				slot = slotFormat
			default:
				slot = plan.Slot(c.lookup)
			}
			k, ok := index[slot]
			if !ok {
				k = len(rp.keys)
				index[slot] = k
				rp.keys = append(rp.keys, slot)
			}
			out = append(out, k)
		}
		return out
	}
	for i, v := range p.views {
		rv := routedView{view: v, id: id + i, when: key(v.when), unless: key(v.unless)}
		for _, c := range v.any {
			rv.any = append(rv.any, key(c))
		}
		rp.views = append(rp.views, rv)
	}
	if len(rp.keys) == 0 {
		for i := range rp.views {
			rp.fixed = append(rp.fixed, rp.views[i].id)
		}
	}
	for _, t := range p.times {
		rp.times = append(rp.times, plan.Slot(t.lookup))
	}
	return rp
}

// Session routes records for one goroutine.
type Session struct {
	router       *Router
	pinned       int // position in router.packs, or unpinned
	zone         *time.Location
	reference    time.Time
	cache        []viewCache // by position in router.packs
	text         textParser
	key          []byte
	fold         []byte
	values       [][]event.Value
	hint, format [1]event.Value
	// Unparsed counts the records whose text no step of their pack fitted.
	// They are routed with what stands in them.
	Unparsed uint64
	// flags are those of the record last routed, as its format read it.
	flags event.Flags
	twice int
}

// Flags returns the flags of the record last routed, and the node of the member
// that it has twice or -1. What a pack takes out of a text may stand beside a
// member of the same name: that is no fault of the record.
func (s *Session) Flags() (flags event.Flags, twice int) { return s.flags, s.twice }

// Session returns a new session.
func (r *Router) Session() *Session {
	s := &Session{router: r, cache: make([]viewCache, len(r.packs)), zone: r.opts.Zone, reference: r.opts.Reference, pinned: unpinned}
	for i, p := range r.packs {
		s.cache[i].pack = p
	}
	return s
}

// Source tells the session of the source that the next records come from: the
// zone of times that name none (nil is UTC), and the latest time that a record
// without a year may have. It replaces those of RouterOptions.
func (s *Session) Source(zone *time.Location, reference time.Time) {
	s.zone, s.reference = zone, reference
}

// unpinned lets records decide which pack is theirs.
const unpinned = -2

// Pin makes the next records those of a pack, by name, until the next call; ""
// lets records decide again. A name that the set does not have routes nothing.
func (s *Session) Pin(name string) {
	s.pinned = unpinned
	if name != "" {
		s.pinned = slices.IndexFunc(s.router.packs, func(p *routedPack) bool { return p.Name == name })
	}
}

// viewCache remembers the views for the values of a pack's keys.
type viewCache struct {
	pack  *routedPack
	views map[string][]int
	bytes int
}

// Bounds of a session's caches. A Windows estate has some thousand
// combinations of channel, event id and type, each key of about 80 bytes.
const (
	viewCacheBytesMax = 1 << 20
	viewKeyBytesMax   = 1 << 10
	variantsMax       = 64
)

// Route binds r to the record and decides: which pack it is, what its text
// holds (fields are added to the tree), when it happened (when the format did
// not know), and which views it proves, ascending. It returns nil when no pack
// claims the record, and no views when the pack knows none for it. The slice
// is valid until the next call and must not be changed.
func (s *Session) Route(rec *event.Record, r *event.Reader) (views []int, pack *Pack) {
	r.Bind(&rec.Tree)
	s.flags, s.twice = r.Flags(), r.DuplicateMember()
	n := s.choose(rec, r)
	if n < 0 {
		takeSent(rec)
		return nil, nil
	}
	c := &s.cache[n]
	p := c.pack
	changed := addLine(rec)
	if len(p.steps) > 0 {
		added, parsed := s.text.run(p.steps, &rec.Tree)
		if !parsed {
			s.Unparsed++
		}
		changed = changed || added
	}
	if changed {
		r.Bind(&rec.Tree)
		s.flags |= r.Flags() & event.InvalidText
	}
	if rec.Time.IsZero() {
		s.setTime(rec, r, p)
		takeSent(rec)
	}
	s.about(rec)
	return s.views(c, r), p.Pack
}

// takeSent gives a record without a time of its own the one of its envelope.
func takeSent(rec *event.Record) {
	if rec.Time.IsZero() && !rec.Sent.IsZero() {
		rec.Time, rec.TimeQuality = rec.Sent, event.TimeParsed
	}
}

// lineField is the member that holds the whole line of a text or syslog
// record, for keywords: what a reader cuts off as a header is part of what
// rules for text logs search [D21].
const lineField = "_line"

// addLine adds lineField to a record of text.
func addLine(rec *event.Record) bool {
	if rec.Format != "syslog" && rec.Format != "text" || len(rec.Raw) == 0 || !rec.Tree.Reopen() {
		return false
	}
	rec.Tree.PutKeyText(lineField)
	line := rec.Raw
	if rec.Text != nil {
		line = rec.Text
	}
	rec.Tree.PutString(line)
	rec.Tree.EndContainer()
	return true
}

// about makes the values of the pseudo-fields.
func (s *Session) about(rec *event.Record) {
	set := func(v *event.Value, text string) {
		if v.Kind != event.String || string(v.Text) != text {
			*v = event.Value{Kind: event.String, Text: []byte(text)}
		}
	}
	set(&s.hint[0], rec.Hint)
	set(&s.format[0], rec.Format)
}

// shapeNote is what is decided by shape alone.
type shapeNote struct {
	router   *Router
	variants []variant
}

// variant is the decision for one format and hint.
type variant struct {
	format, hint string
	candidates   []candidate
}

// candidate is a pack that may claim the record.
type candidate struct {
	pack    int // position in router.packs
	certain bool
	entries []*routedEntry // of which one must hold, when not certain
}

// choose returns the position of the record's pack, or -1.
func (s *Session) choose(rec *event.Record, r *event.Reader) int {
	if s.pinned != unpinned {
		return s.pinned
	}
	if s.router.force {
		return s.router.forced
	}
	note, _ := r.Note().(*shapeNote)
	if note == nil || note.router != s.router {
		note = &shapeNote{router: s.router}
		r.SetNote(note, 64)
	}
	var v *variant
	for i := range note.variants {
		if w := &note.variants[i]; w.format == rec.Format && w.hint == rec.Hint {
			v = w
			break
		}
	}
	if v == nil {
		if len(note.variants) >= variantsMax {
			note.variants = note.variants[:0]
		}
		note.variants = append(note.variants, s.variant(rec, r))
		v = &note.variants[len(note.variants)-1]
		r.SetNote(note, 64+16*len(v.candidates)+len(rec.Hint))
	}
	for i := range v.candidates {
		c := &v.candidates[i]
		if c.certain {
			return c.pack
		}
		for _, e := range c.entries {
			if s.holds(e, r) {
				return c.pack
			}
		}
	}
	return -1
}

// variant evaluates what a record's shape, format and hint decide.
func (s *Session) variant(rec *event.Record, r *event.Reader) variant {
	v := variant{format: rec.Format, hint: rec.Hint}
	for i, p := range s.router.packs {
		c := candidate{pack: i}
		for j := range p.entries {
			e := &p.entries[j]
			if !s.shapeHolds(e.matchEntry, rec) || !e.canHold(r) {
				continue
			}
			if len(e.where) == 0 && len(e.matchEntry.text) == 0 {
				c.certain = true
				break
			}
			c.entries = append(c.entries, e)
		}
		if c.certain || len(c.entries) > 0 {
			v.candidates = append(v.candidates, c)
		}
		if c.certain {
			break // no later pack can win
		}
	}
	return v
}

// canHold reports whether records of the bound shape have the values that the
// entry compares at all.
func (e *routedEntry) canHold(r *event.Reader) bool {
	for _, slot := range e.where {
		if len(r.Nodes(slot)) == 0 {
			return false
		}
	}
	return len(e.matchEntry.text) == 0 || len(r.Nodes(e.text)) > 0
}

func (s *Session) shapeHolds(e *matchEntry, rec *event.Record) bool {
	if len(e.format) > 0 && !e.format.match([]byte(rec.Format), &s.fold) {
		return false
	}
	if len(e.text) > 0 && len(e.format) == 0 && rec.Format != "text" && rec.Format != "syslog" {
		return false // what a JSON record calls its message is not a line of text
	}
	if len(e.hint) > 0 && !e.hint.match([]byte(rec.Hint), &s.fold) {
		return false
	}
	for _, h := range e.has {
		if findNode(&rec.Tree, 0, h) < 0 {
			return false
		}
	}
	return true
}

func (s *Session) holds(e *routedEntry, r *event.Reader) bool {
	for i, slot := range e.where {
		if !s.anyValue(r.Values(slot), e.matchEntry.where[i].globs) {
			return false
		}
	}
	if len(e.matchEntry.text) == 0 {
		return true
	}
	for _, v := range r.Values(e.text) {
		text := v.Text[:min(len(v.Text), parsedTextMax)]
		for i := range e.matchEntry.text {
			if e.matchEntry.text[i].match(text) {
				return true
			}
		}
	}
	return false
}

func (s *Session) anyValue(values []event.Value, g globs) bool {
	for i := range values {
		if k := values[i].Kind; k != event.Null && k != event.Array && g.match(values[i].Text, &s.fold) {
			return true
		}
	}
	return false
}

// views returns the views that the values of the pack's keys prove.
func (s *Session) views(c *viewCache, r *event.Reader) []int {
	p := c.pack
	if len(p.keys) == 0 {
		return p.fixed
	}
	s.values = s.values[:0]
	s.key = s.key[:0]
	for _, slot := range p.keys {
		var values []event.Value
		switch slot {
		case slotHint:
			values = s.hint[:]
		case slotFormat:
			values = s.format[:]
		default:
			values = r.Values(slot)
		}
		s.values = append(s.values, values)
		if len(s.key) > viewKeyBytesMax {
			continue
		}
		s.key = binary.AppendUvarint(s.key, uint64(len(values)))
		for i := range values {
			// Null and empty arrays fit no pattern; they are marked apart from
			// the empty text, which fits *.
			if k := values[i].Kind; k == event.Null || k == event.Array {
				s.key = append(s.key, 0)
				continue
			}
			s.key = binary.AppendUvarint(s.key, uint64(len(values[i].Text))+1)
			if len(values[i].Text) <= viewKeyBytesMax {
				s.key = append(s.key, values[i].Text...)
			} else {
				s.key = append(s.key, make([]byte, viewKeyBytesMax+1)...)
			}
		}
	}
	if len(s.key) > viewKeyBytesMax {
		return s.evaluate(p)
	}
	if views, ok := c.views[string(s.key)]; ok {
		return views
	}
	views := s.evaluate(p)
	size := len(s.key) + 8*len(views) + 64
	if c.views == nil || c.bytes+size > viewCacheBytesMax {
		c.views = map[string][]int{}
		c.bytes = 0
	}
	c.views[string(s.key)] = views
	c.bytes += size
	return views
}

// evaluate tries every view of the pack on s.values. The slice it returns is
// new, since it goes into the cache.
func (s *Session) evaluate(p *routedPack) []int {
	var out []int
	for i := range p.views {
		if s.proves(&p.views[i]) {
			out = append(out, p.views[i].id)
		}
	}
	return out
}

func (s *Session) proves(v *routedView) bool {
	for i, k := range v.when {
		if !s.anyValue(s.values[k], v.view.when[i].globs) {
			return false
		}
	}
	for i, k := range v.unless {
		if s.anyValue(s.values[k], v.view.unless[i].globs) {
			return false
		}
	}
	if len(v.any) == 0 {
		return true
	}
	for i, keys := range v.any {
		all := true
		for j, k := range keys {
			all = all && s.anyValue(s.values[k], v.view.any[i][j].globs)
		}
		if all {
			return true
		}
	}
	return false
}
