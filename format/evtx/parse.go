package evtx

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// Limits of one record.
const (
	// fragmentDepthMax bounds binary XML as a value inside binary XML; real
	// events nest once.
	fragmentDepthMax = 64
	// argumentsMax bounds the values of one template instance.
	argumentsMax = 10_240
	// stepsMax bounds the elements and values visited for one record, so that
	// fragments which are written many times cannot multiply.
	stepsMax = 4 * event.NodesMax
)

var (
	errNoRecord   = errors.New("the frame is no record: it must lie in its chunk with magic and size")
	errNoElement  = errors.New("the record holds no element")
	errNesting    = fmt.Errorf("binary XML is nested deeper than %d", fragmentDepthMax)
	errArguments  = fmt.Errorf("a template has more than %d values", argumentsMax)
	errSteps      = fmt.Errorf("writing the record takes more than %d steps", stepsMax)
	errOutput     = fmt.Errorf("the record makes more than %d bytes of text", outputBytesMax)
	errNotScalar  = errors.New("binary XML stands where only text can")
	errCutValues  = errors.New("the values of a template end outside the record")
	errValueCount = errors.New("a template asks for more values than the record has")
)

// parser writes the records of blocks, one chunk each, into trees.
type parser struct {
	prog  program
	comp  compiler
	chunk *chunk // whose templates prog holds
	data  []byte // the chunk

	rec  event.Record
	tree *event.Tree

	// Of the record in hand.
	vals        []val   // values of all template instances
	entries     []entry // children of elements with mixed content
	keys        []byte  // keys made of values
	text        []byte  // text of mixed content
	depth       int     // fragments begun
	steps       int
	outputBytes int
	ticks       uint64 // System/TimeCreated, when it was a FILETIME
	hasTicks    bool
	id          uint64 // System/EventRecordID, when it was a 64-bit number
	hasID       bool
	err         error // the first
}

// scope is the values a unit is filled with: vals[lo:hi].
type scope struct{ lo, hi uint32 }

// entry is a child element found while its parent's mixed content was read.
type entry struct {
	scope scope
	elem  uint32
	key   span // of keys when made, else of the program's text
	made  bool
	done  bool
}

// fail keeps the first error.
func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Parse writes the record of frame f. The record's number is the EventRecordID
// of its System element, as Event Viewer shows it: the number in its header
// is another one in logs that were exported, and in forwarded ones. An error is
// a [format.Problem] with the record's offset and the number in its header.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	if f.Start < 0 || f.End > len(b.Data) || f.End > chunkBytes || f.End-f.Start < recordBytesMin ||
		wholeRecord(b.Data, f.Start, f.End) != f.End-f.Start {
		return format.Problem{Offset: f.Offset, Err: errNoRecord}
	}
	if c, ok := b.Context.(*chunk); !ok || c == nil || c != p.chunk {
		p.prog.reset()
		p.chunk = c
	}
	p.data = b.Data
	id := recordID(b.Data, f.Start)
	if err := p.record(b.Data[f.Start:f.End], f.Start+24, f.End-4); err != nil {
		return format.Problem{Offset: f.Offset, RecordID: id, Err: err}
	}
	p.rec.Format = name
	if !p.hasID {
		p.id = p.textID(id)
	}
	p.rec.RecordID = p.id
	p.rec.Offset = f.Offset
	p.rec.TimeQuality = event.TimeParsed
	switch {
	case p.hasTicks:
		p.rec.Time = fileTime(p.ticks)
	default:
		p.rec.Time = p.textTime(binary.LittleEndian.Uint64(b.Data[f.Start+16:]))
	}
	emit(&p.rec)
	return nil
}

// record writes the tree of the BinXML in data[pos:end].
func (p *parser) record(raw []byte, pos, end int) error {
	p.rec.Reset(raw)
	p.tree = &p.rec.Tree
	p.vals, p.entries, p.keys, p.text = p.vals[:0], p.entries[:0], p.keys[:0], p.text[:0]
	p.depth, p.steps, p.outputBytes = 0, 0, 0
	p.hasTicks, p.hasID, p.err = false, false, nil

	p.fragments(pos, end)
	if p.err == nil && len(p.entries) == 0 {
		p.err = errNoElement
	}
	if p.err != nil {
		return p.err
	}
	p.tree.BeginObject()
	p.members(0)
	p.tree.EndContainer()
	p.check()
	return p.err
}

// check keeps the error of a limit that is exceeded.
func (p *parser) check() {
	if err := p.tree.Err(); err != nil {
		p.fail(err)
	}
	if p.outputBytes > outputBytesMax {
		p.fail(errOutput)
	}
}

// step counts work and reports whether to go on.
func (p *parser) step(n int) bool {
	p.steps += n
	if p.steps > stepsMax {
		p.fail(errSteps)
	}
	if p.outputBytes > outputBytesMax {
		p.fail(errOutput)
	}
	return p.err == nil
}

// fragments reads the elements of the BinXML in data[pos:end] and appends them
// to entries.
func (p *parser) fragments(pos, end int) {
	if p.depth++; p.depth > fragmentDepthMax {
		p.fail(errNesting)
	}
	defer func() { p.depth-- }()
	for pos < end && p.step(1) {
		switch tok := p.data[pos] &^ tokMore; tok {
		case tokEnd:
			return
		case tokFragment:
			pos += 4
		case tokTemplate:
			pos = p.instance(pos, end)
		case tokOpenStart:
			p.compiler()
			u, err := p.comp.element(pos, end)
			if err == nil && int(u.size) > end-pos {
				err = errCutShort
			}
			if err == nil && u.subsMin > 0 {
				err = errValueCount
			}
			if err != nil {
				p.fail(err)
				return
			}
			pos += int(u.size)
			p.enter(u.root, scope{})
		default:
			c := p.compiler()
			c.pos, c.end = pos, end
			skipped, err := c.instruction(tok)
			if err == nil && !skipped {
				err = fmt.Errorf("token %02x where an element or template should begin", p.data[pos])
			}
			if err != nil {
				p.fail(err)
				return
			}
			pos = c.pos
		}
	}
}

// compiler returns the compiler, set to the chunk in hand.
func (p *parser) compiler() *compiler {
	p.comp.prog, p.comp.data = &p.prog, p.data
	return &p.comp
}

// instance reads a template instance and enters its element. It returns the
// position behind it.
func (p *parser) instance(pos, end int) int {
	const head = 10 // token, version, id, offset of the definition
	if end-pos < head {
		p.fail(errCutShort)
		return end
	}
	id := binary.LittleEndian.Uint32(p.data[pos+2:])
	off := binary.LittleEndian.Uint32(p.data[pos+6:])
	u := p.prog.find(off)
	if u == nil || u.err != nil {
		var err error
		if u, err = p.compiler().template(off); err != nil {
			p.fail(fmt.Errorf("template at %d in the chunk: %w", off, err))
			return end
		}
	}
	if u.id != id {
		p.fail(fmt.Errorf("template at %d in the chunk is %08x, not %08x: it was overwritten", off, u.id, id))
		return end
	}
	pos += head
	if int(off) == pos {
		pos += int(u.size)
	}
	if end-pos < 4 {
		p.fail(errCutShort)
		return end
	}
	n := binary.LittleEndian.Uint32(p.data[pos:])
	pos += 4
	if n > argumentsMax {
		p.fail(errArguments)
		return end
	}
	if u.subsMin > n {
		p.fail(errValueCount)
		return end
	}
	if end-pos < 4*int(n) || !p.step(int(n)) {
		p.fail(errCutValues)
		return end
	}
	s := scope{lo: uint32(len(p.vals))}
	at := pos + 4*int(n)
	for ; n > 0; n-- {
		size := int(binary.LittleEndian.Uint16(p.data[pos:]))
		if size > end-at {
			p.fail(errCutValues)
			return end
		}
		p.vals = append(p.vals, val{off: uint32(at), size: uint32(size), typ: p.data[pos+2]})
		at += size
		pos += 4
	}
	s.hi = uint32(len(p.vals))
	p.enter(u.root, s)
	return at
}
