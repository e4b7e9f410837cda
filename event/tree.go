package event

import (
	"strconv"
	"unicode/utf8"
)

// Kind is the type of a [Tree] node: the six JSON kinds, with booleans split
// in two so that a node carries its whole value.
type Kind uint8

// The kinds of a node.
const (
	Null Kind = iota
	False
	True
	Number
	String
	Object
	Array
)

var kindNames = [...]string{"null", "false", "true", "number", "string", "object", "array"}

// String names the kind as JSON does.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind(" + strconv.Itoa(int(k)) + ")"
}

const (
	flagKeyArena   uint8 = 1 << iota // key lies in the arena, else in raw
	flagValueArena                   // value lies in the arena, else in raw
	flagEscaped                      // a string in raw that still holds JSON escapes or invalid UTF-8
	flagHasKey                       // the node is a member of an object
)

// node is one value of a tree. Nodes stand in document order, a container
// before its members, so a subtree is the run nodes[i:end].
type node struct {
	keyOff, keyLen uint32
	valOff, valLen uint32
	end            uint32
	kind           Kind
	flags          uint8
}

// Limits of one tree. A record beyond them is refused by [Tree.ParseJSON] with
// a position, or by [Tree.Err] when it is built by hand; its bytes are kept by
// the caller. The figures are those of Tiercel's table of limits on hostile
// input.
const (
	// DepthMax bounds nesting: real telemetry stays below 20.
	DepthMax = 64
	// ObjectKeysMax bounds the members of one object.
	ObjectKeysMax = 1024
	// ArrayItemsMax bounds the items of one array.
	ArrayItemsMax = 10_000
	// NodesMax bounds the nodes of a tree: 4,096 flattened fields and the
	// containers and array items around them.
	NodesMax = 65_536
	// KeyBytesMax bounds one key.
	KeyBytesMax = 512
	// RecordBytesMax bounds the bytes of one record.
	RecordBytesMax = 1 << 20
)

// Tree is the parsed form of one record: the vendor's own tree, verbatim, as
// a flat array of nodes over the record's bytes. It is built by
// [Tree.ParseJSON] or by the Begin/Key/value methods, read by index, and
// reused for the next record with [Tree.Reset]; node 0 is the root.
//
// A Tree borrows the bytes given to Reset and may be read only until they
// change. It is not safe for concurrent use.
type Tree struct {
	raw   []byte
	arena []byte
	nodes []node
	shape []byte
	open  []uint32 // containers begun and not ended
	count []uint32 // members so far, one per open container
	key   node     // key fields set by Key, waiting for their value
	keyed bool
	// repaired says that a text was not valid Unicode.
	repaired bool
	err      error
}

// Reset empties the tree and makes raw the text that offsets refer to. The
// tree borrows raw. raw may be nil when every value is given by copy.
func (t *Tree) Reset(raw []byte) {
	t.raw = raw
	t.arena = t.arena[:0]
	t.nodes = t.nodes[:0]
	t.shape = t.shape[:0]
	t.open = t.open[:0]
	t.count = t.count[:0]
	t.keyed, t.repaired = false, false
	t.err = nil
}

// Len returns the number of nodes; zero for an empty tree.
func (t *Tree) Len() int { return len(t.nodes) }

// Err returns the first limit that building by hand ran into, as a
// [*LimitError], or nil.
func (t *Tree) Err() error { return t.err }

// Kind returns the kind of node i.
func (t *Tree) Kind(i int) Kind { return t.nodes[i].kind }

// End returns the index one past the last node of the subtree at i. The next
// sibling of i, where there is one, is node End(i).
func (t *Tree) End(i int) int { return int(t.nodes[i].end) }

// Key returns the key of node i, decoded, or nil when i is not a member of an
// object. The bytes are borrowed from the tree.
func (t *Tree) Key(i int) []byte {
	n := &t.nodes[i]
	if n.flags&flagHasKey == 0 {
		return nil
	}
	if n.flags&flagKeyArena != 0 {
		return t.arena[n.keyOff : n.keyOff+n.keyLen : n.keyOff+n.keyLen]
	}
	return t.raw[n.keyOff : n.keyOff+n.keyLen : n.keyOff+n.keyLen]
}

// Shape returns the tree's skeleton: its keys and nesting without its values.
// Two trees with equal shapes have the same key at the same node index, so
// that what was looked up once by name holds for all of them. The bytes are
// borrowed and change with the next record.
func (t *Tree) Shape() []byte { return t.shape }

// bytes returns the stored bytes of a scalar, still escaped.
func (t *Tree) bytes(n *node) []byte {
	if n.flags&flagValueArena != 0 {
		return t.arena[n.valOff : n.valOff+n.valLen]
	}
	return t.raw[n.valOff : n.valOff+n.valLen]
}

// Plain returns the stored bytes of scalar node i and whether they are its
// text as they stand. When they are not (an escaped string, a number that is
// not in canonical form) use [Tree.AppendText].
func (t *Tree) Plain(i int) (text []byte, ok bool) {
	n := &t.nodes[i]
	switch n.kind {
	case String:
		return t.bytes(n), n.flags&flagEscaped == 0
	case Number:
		b := t.bytes(n)
		return b, plainInteger(b)
	case True:
		return trueText, true
	case False:
		return falseText, true
	}
	return nil, false
}

var (
	trueText  = []byte("true")
	falseText = []byte("false")
)

// AppendText appends the text by which rules compare node i: a string
// decoded, with invalid UTF-8 replaced by U+FFFD; a number in its canonical
// decimal form (see [AppendCanonicalNumber]); true or false; a container as
// compact JSON in original key order; nothing for null.
func (t *Tree) AppendText(dst []byte, i int) []byte {
	n := &t.nodes[i]
	switch n.kind {
	case String:
		b := t.bytes(n)
		if n.flags&flagEscaped != 0 {
			return appendUnescaped(dst, b)
		}
		return append(dst, b...)
	case Number:
		return AppendCanonicalNumber(dst, t.bytes(n))
	case True:
		return append(dst, trueText...)
	case False:
		return append(dst, falseText...)
	case Object, Array:
		return t.AppendJSON(dst, i)
	}
	return dst
}

// Text returns AppendText(nil, i) as a string, for places where an allocation
// does not matter.
func (t *Tree) Text(i int) string { return string(t.AppendText(nil, i)) }

// NumberText returns the digits of number node i as the record spelled them.
func (t *Tree) NumberText(i int) []byte { return t.bytes(&t.nodes[i]) }

// AppendJSON appends the subtree at i as compact JSON in original key order.
// Strings are escaped as JSON demands and no further, so that the text of
// {"k":"v"} is found by the rule value '"k":"v"'.
func (t *Tree) AppendJSON(dst []byte, i int) []byte {
	n := &t.nodes[i]
	switch n.kind {
	case Null:
		return append(dst, "null"...)
	case True:
		return append(dst, trueText...)
	case False:
		return append(dst, falseText...)
	case Number:
		return append(dst, t.bytes(n)...)
	case String:
		if n.flags&flagValueArena == 0 && n.flags&flagEscaped == 0 {
			return AppendQuoted(dst, t.bytes(n))
		}
		if n.flags&flagEscaped != 0 {
			return AppendQuoted(dst, appendUnescaped(nil, t.bytes(n)))
		}
		return AppendQuoted(dst, t.bytes(n))
	case Object, Array:
		openByte, closeByte := byte('{'), byte('}')
		if n.kind == Array {
			openByte, closeByte = '[', ']'
		}
		dst = append(dst, openByte)
		for c := i + 1; c < int(n.end); c = t.End(c) {
			if c > i+1 {
				dst = append(dst, ',')
			}
			if n.kind == Object {
				dst = AppendQuoted(dst, t.Key(c))
				dst = append(dst, ':')
			}
			dst = t.AppendJSON(dst, c)
		}
		return append(dst, closeByte)
	}
	return dst
}

// AppendQuoted appends s as a JSON string: quotes, backslashes and control
// characters escaped, invalid UTF-8 replaced by U+FFFD, all else verbatim.
func AppendQuoted(dst, s []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				i++
				start = i
				continue
			}
			i += size
			continue
		}
		if c >= 0x20 && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

// Find returns the index of the first member of object i whose key equals
// key exactly, or -1.
func (t *Tree) Find(i int, key string) int {
	n := &t.nodes[i]
	if n.kind != Object {
		return -1
	}
	for c := i + 1; c < int(n.end); c = t.End(c) {
		if string(t.Key(c)) == key {
			return c
		}
	}
	return -1
}

// Path follows exact keys from the root and returns the node reached, or -1.
// It is for code that knows one format; rules look fields up through a
// [Plan].
func (t *Tree) Path(keys ...string) int {
	if len(t.nodes) == 0 {
		return -1
	}
	i := 0
	for _, k := range keys {
		if i = t.Find(i, k); i < 0 {
			return -1
		}
	}
	return i
}
