package winxml

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// span is a piece of text: of the event, or of the document's decoded text
// when references stood in it.
type span struct {
	lo, hi  int
	decoded bool
}

// element is one element of an event.
type element struct {
	name           span
	key            span // the member it becomes
	hash           uint32
	attrLo, attrHi int // attributes, without the one that is the key
	parent         int // -1 for the root
	child, last    int // first and last child, -1 for none
	next           int // sibling, -1 for none
	children       int
	text, textLast int // first and last piece of text, -1 for none
	done           bool
}

type attribute struct{ name, value span }

// piece is a run of character data of one element.
type piece struct {
	span
	next int
}

// document is one event as elements in order of their start tags.
type document struct {
	data     []byte
	pos      int
	elements []element
	attrs    []attribute
	pieces   []piece
	decoded  []byte
}

func (d *document) text(s span) []byte {
	if s.decoded {
		return d.decoded[s.lo:s.hi]
	}
	return d.data[s.lo:s.hi]
}

// syntaxError says what is wrong at a byte of an event.
type syntaxError struct {
	offset int
	reason string
}

func (e *syntaxError) Error() string { return e.reason }

func (d *document) fail(offset int, reason string, args ...any) error {
	return &syntaxError{offset: offset, reason: fmt.Sprintf(reason, args...)}
}

var errEnd = errors.New("the event ends inside a tag or section")

// read reads the one element of data. It returns a *syntaxError.
func (d *document) read(data []byte) error {
	d.data, d.pos = data, 0
	d.elements, d.attrs, d.pieces, d.decoded = d.elements[:0], d.attrs[:0], d.pieces[:0], d.decoded[:0]
	open, depth := -1, 0
	for d.pos < len(data) {
		if data[d.pos] != '<' {
			n := bytes.IndexByte(data[d.pos:], '<')
			if n < 0 {
				n = len(data) - d.pos
			}
			if err := d.characters(open, d.pos, d.pos+n); err != nil {
				return err
			}
			d.pos += n
			continue
		}
		rest := data[d.pos:]
		switch {
		case bytes.HasPrefix(rest, []byte("</")):
			if err := d.endTag(open); err != nil {
				return err
			}
			open = d.elements[open].parent
			depth--
		case bytes.HasPrefix(rest, []byte("<!--")):
			if err := d.skip("<!--", "-->"); err != nil {
				return err
			}
		case bytes.HasPrefix(rest, []byte("<?")):
			if err := d.skip("<?", "?>"); err != nil {
				return err
			}
		case bytes.HasPrefix(rest, []byte("<![CDATA[")):
			lo := d.pos + len("<![CDATA[")
			if err := d.skip("<![CDATA[", "]]>"); err != nil {
				return err
			}
			if open < 0 {
				return d.fail(lo, "a CDATA section outside of the event")
			}
			d.piece(open, span{lo: lo, hi: d.pos - len("]]>")})
		case bytes.HasPrefix(rest, []byte("<!")):
			return d.fail(d.pos, "a declaration inside an event: document types and entities are refused")
		default:
			if open < 0 && len(d.elements) > 0 {
				return d.fail(d.pos, "an element behind the end of the event")
			}
			if depth >= elementDepthMax {
				return d.fail(d.pos, "elements are nested deeper than %d", elementDepthMax)
			}
			i, empty, err := d.startTag(open)
			if err != nil {
				return err
			}
			if !empty {
				open = i
				depth++
			}
		}
	}
	switch {
	case open >= 0:
		return d.fail(len(data), "element <%s> has no end tag", d.text(d.elements[open].name))
	case len(d.elements) == 0:
		return d.fail(0, "there is no element")
	}
	return nil
}

// skip moves behind the section that begins here.
func (d *document) skip(begin, end string) error {
	n := bytes.Index(d.data[d.pos+len(begin):], []byte(end))
	if n < 0 {
		return d.fail(d.pos, "%s has no end", begin)
	}
	d.pos += len(begin) + n + len(end)
	return nil
}

func (d *document) space() {
	for d.pos < len(d.data) && isSpace(d.data[d.pos]) {
		d.pos++
	}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func allSpace(b []byte) bool {
	for _, c := range b {
		if !isSpace(c) {
			return false
		}
	}
	return true
}

// name reads a name. It is more tolerant than XML of the characters in it: the
// bytes that have a meaning in tags are what it refuses.
func (d *document) name() (span, error) {
	lo := d.pos
	for d.pos < len(d.data) && !nameEnd[d.data[d.pos]] {
		d.pos++
	}
	if d.pos == lo || d.data[lo] == '-' || d.data[lo] == '.' || d.data[lo]-'0' <= 9 {
		return span{}, d.fail(lo, "a name is expected")
	}
	return span{lo: lo, hi: d.pos}, nil
}

var nameEnd = func() (end [256]bool) {
	for c := range 0x21 {
		end[c] = true
	}
	for _, c := range []byte("<>/=&'\"!?;") {
		end[c] = true
	}
	return end
}()

// startTag reads a start tag or the tag of an empty element.
func (d *document) startTag(open int) (i int, empty bool, err error) {
	start := d.pos
	d.pos++
	e := element{parent: open, child: -1, last: -1, next: -1, text: -1, textLast: -1, attrLo: len(d.attrs)}
	if e.name, err = d.name(); err != nil {
		return 0, false, err
	}
	e.key = e.name
	isData := string(d.text(e.name)) == "Data"
	for {
		before := d.pos
		d.space()
		if d.pos >= len(d.data) {
			return 0, false, d.fail(start, "%v", errEnd)
		}
		if c := d.data[d.pos]; c == '>' {
			d.pos++
			break
		} else if c == '/' {
			if d.pos+1 >= len(d.data) || d.data[d.pos+1] != '>' {
				return 0, false, d.fail(d.pos, "a / inside a tag")
			}
			d.pos += 2
			empty = true
			break
		}
		if d.pos == before {
			return 0, false, d.fail(d.pos, "a space is expected before an attribute")
		}
		a, err := d.attribute(e.attrLo)
		if err != nil {
			return 0, false, err
		}
		d.attrs = append(d.attrs, a)
		if len(d.attrs)-e.attrLo > attributesMax {
			return 0, false, d.fail(start, "an element has more than %d attributes", attributesMax)
		}
	}
	if isData {
		for j := e.attrLo; j < len(d.attrs); j++ {
			if string(d.text(d.attrs[j].name)) == "Name" {
				if v := d.attrs[j].value; v.lo < v.hi {
					e.key = v
				}
				d.attrs = append(d.attrs[:j], d.attrs[j+1:]...)
				break
			}
		}
	}
	e.attrHi = len(d.attrs)
	e.hash = hash(d.text(e.key))
	if len(d.elements) >= elementsMax {
		return 0, false, d.fail(start, "an event of more than %d elements", elementsMax)
	}
	i = len(d.elements)
	d.elements = append(d.elements, e)
	if open >= 0 {
		p := &d.elements[open]
		if p.child < 0 {
			p.child = i
		} else {
			d.elements[p.last].next = i
		}
		p.last = i
		p.children++
	}
	return i, empty, nil
}

// hash is FNV-1a, 32 bits: it only saves comparisons of keys.
func hash(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}

// attribute reads name="value"; first is the tag's first attribute.
func (d *document) attribute(first int) (a attribute, err error) {
	at := d.pos
	if a.name, err = d.name(); err != nil {
		return a, err
	}
	for _, other := range d.attrs[first:] {
		if string(d.text(other.name)) == string(d.text(a.name)) {
			return a, d.fail(at, "attribute %s is given twice", d.text(a.name))
		}
	}
	d.space()
	if d.pos >= len(d.data) || d.data[d.pos] != '=' {
		return a, d.fail(d.pos, "attribute %s has no value", d.text(a.name))
	}
	d.pos++
	d.space()
	if d.pos >= len(d.data) || d.data[d.pos] != '"' && d.data[d.pos] != '\'' {
		return a, d.fail(d.pos, "the value of attribute %s is not in quotes", d.text(a.name))
	}
	quote := d.data[d.pos]
	d.pos++
	n := bytes.IndexByte(d.data[d.pos:], quote)
	if n < 0 {
		return a, d.fail(at, "the value of attribute %s has no end", d.text(a.name))
	}
	lo := d.pos
	if i := bytes.IndexByte(d.data[lo:lo+n], '<'); i >= 0 {
		return a, d.fail(lo+i, "a < in the value of attribute %s", d.text(a.name))
	}
	d.pos += n + 1
	a.value, err = d.resolve(lo, lo+n)
	return a, err
}

// endTag reads the end tag of the open element.
func (d *document) endTag(open int) error {
	at := d.pos
	if open < 0 {
		return d.fail(at, "an end tag without a start tag")
	}
	d.pos += 2
	name, err := d.name()
	if err != nil {
		return err
	}
	if want := d.text(d.elements[open].name); string(want) != string(d.text(name)) {
		return d.fail(at, "end tag </%s> where </%s> is due", d.text(name), want)
	}
	d.space()
	if d.pos >= len(d.data) || d.data[d.pos] != '>' {
		return d.fail(at, "an end tag does not end")
	}
	d.pos++
	return nil
}

// characters adds the character data data[lo:hi] to the open element.
func (d *document) characters(open, lo, hi int) error {
	if open < 0 {
		if !allSpace(d.data[lo:hi]) {
			return d.fail(lo, "text outside of the event's element")
		}
		return nil
	}
	s, err := d.resolve(lo, hi)
	if err != nil {
		return err
	}
	d.piece(open, s)
	return nil
}

func (d *document) piece(open int, s span) {
	if s.lo == s.hi {
		return
	}
	e := &d.elements[open]
	if e.text < 0 {
		e.text = len(d.pieces)
	} else {
		d.pieces[e.textLast].next = len(d.pieces)
	}
	e.textLast = len(d.pieces)
	d.pieces = append(d.pieces, piece{span: s, next: -1})
}

// resolve returns the text of data[lo:hi] with its references replaced.
func (d *document) resolve(lo, hi int) (span, error) {
	n := bytes.IndexByte(d.data[lo:hi], '&')
	if n < 0 {
		return span{lo: lo, hi: hi}, nil
	}
	start := len(d.decoded)
	for at := lo; ; {
		if n < 0 {
			d.decoded = append(d.decoded, d.data[at:hi]...)
			return span{lo: start, hi: len(d.decoded), decoded: true}, nil
		}
		d.decoded = append(d.decoded, d.data[at:at+n]...)
		at += n
		// The longest reference that is none too long is &#x0010ffff;
		end := bytes.IndexByte(d.data[at:min(hi, at+16)], ';')
		if end < 0 {
			return span{}, d.fail(at, "a & that begins no reference")
		}
		r, ok := reference(d.data[at+1 : at+end])
		if !ok {
			return span{}, d.fail(at, "unknown reference %s", d.data[at:at+end+1])
		}
		d.decoded = utf8.AppendRune(d.decoded, r)
		at += end + 1
		n = bytes.IndexByte(d.data[at:hi], '&')
	}
}

// reference returns the character that a reference stands for: one of XML's
// five entities, or a character by number, of which a surrogate becomes
// U+FFFD. Characters that XML does not allow are kept, since events hold them.
func reference(b []byte) (rune, bool) {
	switch string(b) {
	case "amp":
		return '&', true
	case "lt":
		return '<', true
	case "gt":
		return '>', true
	case "quot":
		return '"', true
	case "apos":
		return '\'', true
	}
	if len(b) < 2 || b[0] != '#' {
		return 0, false
	}
	digits, base := b[1:], 10
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	v, err := strconv.ParseUint(string(digits), base, 32)
	if err != nil || v > utf8.MaxRune {
		return 0, false
	}
	return rune(v), true // utf8.AppendRune replaces surrogates
}
