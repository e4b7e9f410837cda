package event

import (
	"fmt"
	"unicode/utf8"
)

// LimitError says which bound of a [Tree] a record exceeded.
type LimitError struct {
	What  string // what was counted, as "nesting depth"
	Limit int    // the bound
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%s exceeds the limit of %d", e.What, e.Limit)
}

func (t *Tree) limit(what string, limit int) {
	if t.err == nil {
		t.err = &LimitError{What: what, Limit: limit}
	}
}

// The bytes of a shape. A member starts with its key's length (one byte, or
// shapeLongKey and four), so no key can imitate structure.
const (
	shapeLongKey = 0xff
	shapeScalar  = 0xf0
	shapeObject  = 0xf1
	shapeArray   = 0xf2
	shapeEnd     = 0xf3
	keyShortMax  = 0xef
)

// add appends a node of the given kind under the innermost open container and
// takes over the pending key.
func (t *Tree) add(kind Kind) *node {
	if len(t.nodes) >= NodesMax {
		t.limit("number of values in one record", NodesMax)
		t.keyed = false
		t.nodes = t.nodes[:len(t.nodes)-1]
	}
	if last := len(t.count) - 1; last >= 0 {
		t.count[last]++
	}
	i := len(t.nodes)
	if i < cap(t.nodes) {
		t.nodes = t.nodes[:i+1]
	} else {
		t.nodes = append(t.nodes, node{})
	}
	p := &t.nodes[i]
	if t.keyed {
		*p = t.key
		t.keyed = false
	} else {
		*p = node{}
	}
	p.kind = kind
	p.end = uint32(i + 1)
	return p
}

func (t *Tree) begin(kind Kind, mark byte) {
	if len(t.open) >= DepthMax {
		t.limit("nesting depth", DepthMax)
	}
	t.add(kind)
	t.shape = append(t.shape, mark)
	t.open = append(t.open, uint32(len(t.nodes)-1))
	t.count = append(t.count, 0)
}

// BeginObject starts an object; [Tree.EndContainer] ends it.
func (t *Tree) BeginObject() { t.begin(Object, shapeObject) }

// BeginArray starts an array; EndContainer ends it.
func (t *Tree) BeginArray() { t.begin(Array, shapeArray) }

// EndContainer ends the innermost object or array.
func (t *Tree) EndContainer() {
	last := len(t.open) - 1
	i := t.open[last]
	t.nodes[i].end = uint32(len(t.nodes))
	if t.nodes[i].kind == Object {
		if t.count[last] > ObjectKeysMax {
			t.limit("number of keys in one object", ObjectKeysMax)
		}
	} else if t.count[last] > ArrayItemsMax {
		t.limit("number of items in one array", ArrayItemsMax)
	}
	t.open = t.open[:last]
	t.count = t.count[:last]
	t.shape = append(t.shape, shapeEnd)
}

// KeyFits reports whether a tree can hold a key: whether it has at most
// [KeyBytesMax] bytes as it is printed, with the three bytes of U+FFFD for each
// byte of invalid UTF-8, so that a printed tree can be parsed again.
func KeyFits(key []byte) bool {
	const replacementBytes = 3
	if len(key) <= KeyBytesMax/replacementBytes || len(key) > KeyBytesMax {
		return len(key) <= KeyBytesMax
	}
	n := len(key)
	for i := 0; i < len(key); {
		r, size := utf8.DecodeRune(key[i:])
		if r == utf8.RuneError && size == 1 {
			n += replacementBytes - 1
		}
		i += size
	}
	return n <= KeyBytesMax
}

func (t *Tree) shapeKey(key []byte) {
	if !KeyFits(key) {
		t.limit("length of a key in bytes", KeyBytesMax)
	}
	if len(key) <= keyShortMax {
		t.shape = append(t.shape, byte(len(key)))
	} else {
		n := len(key)
		t.shape = append(t.shape, shapeLongKey, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	t.shape = append(t.shape, key...)
}

// PutKey sets the key of the next value. The bytes are copied; invalid UTF-8 is
// kept and never equals a rule's field.
func (t *Tree) PutKey(key []byte) {
	off := len(t.arena)
	t.arena = append(t.arena, key...)
	t.key = node{keyOff: uint32(off), keyLen: uint32(len(key)), flags: flagHasKey | flagKeyArena}
	t.keyed = true
	t.shapeKey(key)
}

// PutKeyText is [Tree.PutKey] for a string.
func (t *Tree) PutKeyText(key string) {
	off := len(t.arena)
	t.arena = append(t.arena, key...)
	t.key = node{keyOff: uint32(off), keyLen: uint32(len(key)), flags: flagHasKey | flagKeyArena}
	t.keyed = true
	t.shapeKey(t.arena[off:])
}

// keyRaw sets the key of the next value to raw[off:off+n], which needs no
// decoding.
func (t *Tree) keyRaw(off, n int) {
	t.key = node{keyOff: uint32(off), keyLen: uint32(n), flags: flagHasKey}
	t.keyed = true
	t.shapeKey(t.raw[off : off+n])
}

// PutNull adds a null.
func (t *Tree) PutNull() {
	t.add(Null)
	t.shape = append(t.shape, shapeScalar)
}

// PutBool adds a boolean.
func (t *Tree) PutBool(v bool) {
	k := False
	if v {
		k = True
	}
	t.add(k)
	t.shape = append(t.shape, shapeScalar)
}

// PutString adds a string by copy. Invalid UTF-8 is replaced by U+FFFD when the
// text is read.
func (t *Tree) PutString(s []byte) {
	off := len(t.arena)
	t.arena = append(t.arena, s...)
	t.finishText(off, String)
}

// PutText is [Tree.PutString] for a string.
func (t *Tree) PutText(s string) {
	off := len(t.arena)
	t.arena = append(t.arena, s...)
	t.finishText(off, String)
}

// PutNumber adds a number by copy of its decimal spelling, which must be a JSON
// number; what is not one is added as a string.
func (t *Tree) PutNumber(s []byte) {
	kind := Number
	if !validNumber(s) {
		kind = String
	}
	off := len(t.arena)
	t.arena = append(t.arena, s...)
	t.finishText(off, kind)
}

// Arena returns the tree's own buffer for text that is made rather than
// copied: append to it, hand the longer slice to [Tree.PutArenaText] or
// [Tree.PutArenaNumber], and no copy is made. The slice is valid until the next
// call that adds to the tree.
func (t *Tree) Arena() []byte { return t.arena }

// PutArenaText adds the string that was appended to the slice [Tree.Arena]
// returned; arena is that longer slice.
func (t *Tree) PutArenaText(arena []byte) {
	off := len(t.arena)
	t.arena = arena
	t.finishText(off, String)
}

// PutArenaNumber is [Tree.PutArenaText] for the spelling of a valid JSON number.
func (t *Tree) PutArenaNumber(arena []byte) {
	off := len(t.arena)
	t.arena = arena
	t.finishText(off, Number)
}

// PutArenaKey sets the key of the next value to what was appended to the slice
// [Tree.Arena] returned.
func (t *Tree) PutArenaKey(arena []byte) {
	off := len(t.arena)
	t.arena = arena
	t.key = node{keyOff: uint32(off), keyLen: uint32(len(arena) - off), flags: flagHasKey | flagKeyArena}
	t.keyed = true
	t.shapeKey(t.arena[off:])
}

func (t *Tree) finishText(off int, kind Kind) {
	n := t.add(kind)
	n.valOff, n.valLen = uint32(off), uint32(len(t.arena)-off)
	n.flags |= flagValueArena
	if kind == String && !utf8.Valid(t.arena[off:]) {
		t.repaired = true
		fixed := appendValidUTF8(nil, t.arena[off:])
		t.arena = append(t.arena[:off], fixed...)
		n.valLen = uint32(len(fixed))
	}
	t.shape = append(t.shape, shapeScalar)
}

// stringRaw adds the string raw[off:off+n]; decode says that it holds escapes
// or invalid UTF-8.
func (t *Tree) stringRaw(off, n int, decode bool) {
	p := t.add(String)
	p.valOff, p.valLen = uint32(off), uint32(n)
	if decode {
		p.flags |= flagEscaped
	}
	t.shape = append(t.shape, shapeScalar)
}

// PutSpan adds the string raw[start:end] of the bytes given to
// [Tree.Reset], without a copy when it is valid UTF-8.
func (t *Tree) PutSpan(start, end int) {
	if !utf8.Valid(t.raw[start:end]) {
		t.PutString(t.raw[start:end])
		return
	}
	t.stringRaw(start, end-start, false)
}

func (t *Tree) numberRaw(off, n int) {
	p := t.add(Number)
	p.valOff, p.valLen = uint32(off), uint32(n)
	t.shape = append(t.shape, shapeScalar)
}

func appendValidUTF8(dst, s []byte) []byte {
	for len(s) > 0 {
		r, size := utf8.DecodeRune(s)
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, "\uFFFD"...)
		} else {
			dst = append(dst, s[:size]...)
		}
		s = s[size:]
	}
	return dst
}
