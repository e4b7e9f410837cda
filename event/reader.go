package event

// shapesBytesMax bounds what a Reader remembers of shapes. Real sources have
// some hundred shapes of about 2 KB; input that never repeats a shape makes the
// cache start anew when it is full, which costs time and changes no result.
const shapesBytesMax = 8 << 20

// textBytesKept bounds the buffer for decoded text that a Reader keeps from one
// record to the next.
const textBytesKept = 1 << 20

// Value is one value of a field.
type Value struct {
	// Text is the value as rules compare it (see [Tree.AppendText]), borrowed
	// until the next Bind.
	Text []byte
	// Kind is the value's kind; values made by a Func are strings. An Array
	// is always empty.
	Kind Kind
}

// Reader gives the values of a plan's slots in one record after another. It
// belongs to one goroutine.
type Reader struct {
	plan   *Plan
	tree   *Tree
	shapes map[string]*shape
	bytes  int
	shape  *shape

	epoch  uint32
	cached []span // by slot: where its values stand in vals, if epoch is this record's
	vals   []Value
	text   []byte
	in     [][][]byte
	inText [][]byte
	emit   func([]byte)
}

type span struct {
	epoch    uint32
	off, end uint32
}

// Reader makes a reader of the plan, which must not change any more.
func (p *Plan) Reader() *Reader {
	r := &Reader{plan: p, shapes: map[string]*shape{}, cached: make([]span, len(p.slots))}
	r.emit = func(text []byte) {
		off := len(r.text)
		r.text = append(r.text, text...)
		r.vals = append(r.vals, Value{Text: r.text[off:len(r.text):len(r.text)], Kind: String})
	}
	return r
}

// Bind makes the reader read tree t, until the next Bind or until t changes.
func (r *Reader) Bind(t *Tree) {
	r.tree = t
	r.epoch++
	if r.epoch == 0 {
		clear(r.cached)
		r.epoch = 1
	}
	r.vals = r.vals[:0]
	if cap(r.text) > textBytesKept {
		r.text = nil
	}
	r.text = r.text[:0]
	if s, ok := r.shapes[string(t.shape)]; ok {
		r.shape = s
		return
	}
	s := newShape(r.plan, t)
	if r.bytes+s.bytes > shapesBytesMax {
		clear(r.shapes)
		r.bytes = 0
	}
	r.shapes[string(t.shape)] = s
	r.bytes += s.bytes
	r.shape = s
}

// Tree returns the tree the reader is bound to.
func (r *Reader) Tree() *Tree { return r.tree }

// Nodes returns the nodes of slot's values, arrays flattened, or nil when the
// field is absent. For a slot with a Func it returns nil; use Values. The
// slice is shared: do not change it.
func (r *Reader) Nodes(slot int) []uint32 {
	s := r.shape
	p := s.pages[slot/pageSlots]
	if p == nil {
		p = new(page)
		s.pages[slot/pageSlots] = p
		r.grow(8 * pageSlots)
	}
	at := &p[slot%pageSlots]
	if at.end == 0 {
		off := len(s.nodes)
		if sl := &r.plan.slots[slot]; sl.fn == nil {
			s.nodes = append(s.nodes, s.resolve(r.plan, r.tree, sl)...)
			r.grow(4 * (len(s.nodes) - off))
		}
		*at = resolved{uint32(off), uint32(len(s.nodes)) + 1}
	}
	return s.nodes[at.off : at.end-1 : at.end-1]
}

func (r *Reader) grow(n int) {
	r.shape.bytes += n
	r.bytes += n
}

// Has reports whether the field of slot is present, null included.
func (r *Reader) Has(slot int) bool {
	if r.plan.slots[slot].fn != nil {
		return len(r.Values(slot)) > 0
	}
	return len(r.Nodes(slot)) > 0
}

// Values returns the values of slot in document order, or none when the field
// is absent. The slice and its texts are valid until the next Bind.
func (r *Reader) Values(slot int) []Value {
	c := &r.cached[slot]
	if c.epoch == r.epoch {
		return r.vals[c.off:c.end:c.end]
	}
	sl := &r.plan.slots[slot]
	if sl.fn != nil {
		return r.made(slot, sl)
	}
	nodes := r.Nodes(slot)
	off := len(r.vals)
	for _, n := range nodes {
		r.vals = append(r.vals, r.value(int(n)))
	}
	*c = span{epoch: r.epoch, off: uint32(off), end: uint32(len(r.vals))}
	return r.vals[off:len(r.vals):len(r.vals)]
}

func (r *Reader) value(n int) Value {
	t := r.tree
	kind := t.Kind(n)
	if text, ok := t.Plain(n); ok {
		return Value{Text: text, Kind: kind}
	}
	if kind == Null || kind == Array {
		return Value{Kind: kind}
	}
	off := len(r.text)
	r.text = t.AppendText(r.text, n)
	return Value{Text: r.text[off:len(r.text):len(r.text)], Kind: kind}
}

// made computes the values of a slot with a Func.
func (r *Reader) made(slot int, sl *slot) []Value {
	for _, a := range sl.args {
		r.Values(a) // computed first: what follows uses shared buffers
	}
	r.in, r.inText = r.in[:0], r.inText[:0]
	for _, a := range sl.args {
		c := r.cached[a]
		off := len(r.inText)
		for _, v := range r.vals[c.off:c.end] {
			if v.Kind != Null && v.Kind != Array {
				r.inText = append(r.inText, v.Text)
			}
		}
		r.in = append(r.in, r.inText[off:len(r.inText):len(r.inText)])
	}
	off := len(r.vals)
	sl.fn(r.in, sl.params, r.emit)
	r.cached[slot] = span{epoch: r.epoch, off: uint32(off), end: uint32(len(r.vals))}
	return r.vals[off:len(r.vals):len(r.vals)]
}

// Texts returns the texts of the values of slot that are not null, for code
// that is not hot.
func (r *Reader) Texts(slot int) [][]byte {
	var out [][]byte
	for _, v := range r.Values(slot) {
		if v.Kind != Null && v.Kind != Array {
			out = append(out, v.Text)
		}
	}
	return out
}
