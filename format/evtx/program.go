package evtx

// A program is the compiled form of the templates and other elements of one
// chunk: flat arrays, in which an element holds ranges of its attributes and
// of its parts.
type program struct {
	text  []byte // names and literal text, UTF-8
	elems []elem
	attrs []attr
	parts []part
	units []unit
	slots [unitSlots]unitSlot // hash table of units by offset, linear probing
	epoch uint32              // slots of another epoch are empty
	spent int                 // bytes of BinXML compiled
}

// compiledBytesMax bounds the BinXML that is compiled for one chunk. The
// templates of a sound chunk do not overlap, so that twice the chunk leaves room
// for nested ones; without the bound overlapping definitions could cost the
// square of the chunk's size.
const compiledBytesMax = 2 * chunkBytes

// unitSlots is a power of two above twice the records and templates of a chunk,
// the smallest useful one of which takes some 40 bytes.
const unitSlots = 4096

// unit is one compiled root element: that of a template, or one written out in
// a record.
type unit struct {
	off     uint32 // of the definition, or of the element, in the chunk
	id      uint32 // of the template
	size    uint32 // bytes from off to the end of the unit
	root    uint32 // index of its element
	subsMin uint32 // substitutions it asks for: the highest index and one
	err     error
}

type unitSlot struct {
	epoch uint32
	off   uint32
	unit  uint32
}

// span is text[lo:hi] of the program.
type span struct{ lo, hi uint32 }

func (p *program) at(s span) []byte { return p.text[s.lo:s.hi] }

// reset forgets all units. It costs nothing that grows with the table.
func (p *program) reset() {
	p.text, p.elems, p.attrs, p.parts, p.units = p.text[:0], p.elems[:0], p.attrs[:0], p.parts[:0], p.units[:0]
	p.spent = 0
	p.epoch++
	if p.epoch == 0 { // after 2³² chunks old slots would come alive
		p.slots = [unitSlots]unitSlot{}
		p.epoch = 1
	}
}

// find returns the unit at off, or nil.
func (p *program) find(off uint32) *unit {
	for i := slotOf(off); p.slots[i].epoch == p.epoch; i = (i + 1) % unitSlots {
		if p.slots[i].off == off {
			return &p.units[p.slots[i].unit]
		}
	}
	return nil
}

// add keeps a unit. It reports false when the table is full.
func (p *program) add(u unit) bool {
	if len(p.units) >= unitSlots/2 {
		return false
	}
	i := slotOf(u.off)
	for p.slots[i].epoch == p.epoch {
		i = (i + 1) % unitSlots
	}
	p.slots[i] = unitSlot{epoch: p.epoch, off: u.off, unit: uint32(len(p.units))}
	p.units = append(p.units, u)
	return true
}

// slotOf spreads offsets by the golden ratio (Knuth, TAOCP 6.4).
func slotOf(off uint32) uint32 { return off * 0x9e3779b1 >> 20 }

// content says what an element holds, and so how it is written.
type content uint8

const (
	contentEmpty  content = iota
	contentText           // literal text and values that make one text
	contentValue          // one value
	contentFields         // elements of different names
	contentMixed          // anything else: settled for each record
)

// elem is a compiled element.
type elem struct {
	key             span // the member it becomes
	attrLo, attrHi  uint32
	partLo, partHi  uint32
	nameAttr        int32 // the attribute whose value is the key, or -1
	content         content
	attrsPresent    bool // some attribute is there in every record
	fieldsPresent   bool // some field is there in every record
	holdsSystemTime bool // TimeCreated under System
	optional        bool // contentValue: null drops the element
	recordID        bool // EventRecordID under System
	number          bool // a field of System that is a number even as text
	valueIndex      uint16
}

// attr is a compiled attribute.
type attr struct {
	name           span
	partLo, partHi uint32
	optional       bool // its only content is an optional substitution
	value          bool // its only content is a substitution
	systemTime     bool // the SystemTime of holdsSystemTime
	number         bool // as in elem
}

type partKind uint8

const (
	partText partKind = iota
	partValue
	partElem
)

// part is a piece of an element's or attribute's content: a span of text, the
// value of index lo, or the element of index lo.
type part struct {
	lo, hi   uint32
	kind     partKind
	optional bool
}
