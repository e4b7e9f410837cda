package evtx

import (
	"encoding/binary"
	"hash/crc32"
	"unicode/utf16"
)

// fileWriter writes EVTX files for tests, from the specification alone.
type fileWriter struct {
	chunks []*chunkWriter
}

// chunkWriter writes one chunk.
type chunkWriter struct {
	buf   []byte // from the start of the chunk
	first uint64 // record id
	next  uint64
	names map[string]int // offset of each name
}

func (w *fileWriter) chunk(firstID uint64) *chunkWriter {
	c := &chunkWriter{buf: make([]byte, chunkHeaderBytes), first: firstID, next: firstID, names: map[string]int{}}
	w.chunks = append(w.chunks, c)
	return c
}

func (w *fileWriter) bytes() []byte {
	le := binary.LittleEndian
	h := make([]byte, fileHeaderBytes)
	copy(h, fileMagic)
	le.PutUint64(h[16:], uint64(max(0, len(w.chunks)-1)))
	le.PutUint32(h[32:], 128)
	le.PutUint16(h[36:], 1)
	le.PutUint16(h[38:], 3)
	le.PutUint16(h[40:], fileHeaderBytes)
	le.PutUint16(h[42:], uint16(len(w.chunks)))
	le.PutUint32(h[124:], crc32.ChecksumIEEE(h[:120]))
	for _, c := range w.chunks {
		h = append(h, c.bytes()...)
	}
	return h
}

// bytes returns the chunk with its header.
func (c *chunkWriter) bytes() []byte {
	le := binary.LittleEndian
	b := make([]byte, chunkBytes)
	copy(b, c.buf)
	copy(b, chunkMagic)
	le.PutUint64(b[8:], c.first)
	le.PutUint64(b[16:], c.next-1)
	le.PutUint64(b[24:], c.first)
	le.PutUint64(b[32:], c.next-1)
	le.PutUint32(b[40:], 128)
	le.PutUint32(b[48:], uint32(len(c.buf)))
	sum(b)
	return b
}

// sum sets the checksums of a chunk.
func sum(b []byte) {
	le := binary.LittleEndian
	le.PutUint32(b[52:], crc32.ChecksumIEEE(b[chunkHeaderBytes:le.Uint32(b[48:])]))
	le.PutUint32(b[124:], checksum(b))
}

// checksum returns that of a chunk's header.
func checksum(b []byte) uint32 {
	return crc32.Update(crc32.ChecksumIEEE(b[:120]), crc32.IEEETable, b[128:chunkHeaderBytes])
}

func (c *chunkWriter) u8(v ...byte) { c.buf = append(c.buf, v...) }
func (c *chunkWriter) u16(v uint16) { c.buf = binary.LittleEndian.AppendUint16(c.buf, v) }
func (c *chunkWriter) u32(v uint32) { c.buf = binary.LittleEndian.AppendUint32(c.buf, v) }
func (c *chunkWriter) u64(v uint64) { c.buf = binary.LittleEndian.AppendUint64(c.buf, v) }
func (c *chunkWriter) str(s string) { c.buf = append(c.buf, utf16Bytes(s)...) }
func (c *chunkWriter) chars(s string) {
	c.u16(uint16(len(utf16.Encode([]rune(s)))))
	c.str(s)
}

// name writes a reference to a name, and the name where it is new.
func (c *chunkWriter) name(s string) {
	if at, ok := c.names[s]; ok {
		c.u32(uint32(at))
		return
	}
	at := len(c.buf) + 4
	c.names[s] = at
	c.u32(uint32(at))
	c.u32(0)
	c.u16(0)
	c.chars(s)
	c.u16(0)
}

// record writes a record around what body writes, and returns its offset.
func (c *chunkWriter) record(ticks uint64, body func()) int {
	at := len(c.buf)
	c.buf = append(c.buf, recordMagic...)
	c.u32(0)
	c.u64(c.next)
	c.next++
	c.u64(ticks)
	c.u8(tokFragment, 1, 1, 0)
	body()
	c.u8(tokEnd)
	for (len(c.buf)+4)%8 != 0 {
		c.u8(0)
	}
	size := uint32(len(c.buf) - at + 4)
	c.u32(size)
	binary.LittleEndian.PutUint32(c.buf[at+4:], size)
	return at
}

// value is a value of a template instance.
type value struct {
	typ  byte
	data []byte
}

// instance writes an instance of the template at def, or of one that body
// writes here when def is 0. It returns the template's offset.
func (c *chunkWriter) instance(def int, body func(), values ...value) int {
	const id = 0x1badd00d
	c.u8(tokTemplate, 1)
	c.u32(id)
	if def == 0 {
		def = len(c.buf) + 4
		c.u32(uint32(def))
		c.u32(0)
		c.u32(id)
		c.u64(0)
		c.u32(0) // the rest of the GUID
		at := len(c.buf)
		c.u32(0)
		c.u8(tokFragment, 1, 1, 0)
		body()
		c.u8(tokEnd)
		binary.LittleEndian.PutUint32(c.buf[at:], uint32(len(c.buf)-at-4))
	} else {
		c.u32(uint32(def))
	}
	c.u32(uint32(len(values)))
	for _, v := range values {
		c.u16(uint16(len(v.data)))
		c.u8(v.typ, 0)
	}
	for _, v := range values {
		c.u8(v.data...)
	}
	return def
}

// node is an element, attribute or text to be written as BinXML. For an
// element: name, attributes, children. For text: kind and value.
type node struct {
	kind     byte // token
	name     string
	attrs    []node
	children []node
	index    uint16
}

func el(name string, children ...node) node {
	return node{kind: tokOpenStart, name: name, children: children}
}
func (n node) with(attrs ...node) node { n.attrs = attrs; return n }
func at(name string, parts ...node) node {
	return node{kind: tokAttribute, name: name, children: parts}
}
func text(s string) node             { return node{kind: tokText, name: s} }
func sub(i uint16) node              { return node{kind: tokValue, index: i} }
func opt(i uint16) node              { return node{kind: tokValueOpt, index: i} }
func other(kind byte, s string) node { return node{kind: kind, name: s} }

// write writes n; dependency says whether start tags carry a dependency id.
func (c *chunkWriter) write(n node, dependency bool) {
	switch n.kind {
	case tokOpenStart:
		more := byte(0)
		if len(n.attrs) > 0 {
			more = tokMore
		}
		c.u8(tokOpenStart | more)
		if dependency {
			c.u16(0xffff)
		}
		size := len(c.buf)
		c.u32(0)
		c.name(n.name)
		if more != 0 {
			list := len(c.buf)
			c.u32(0)
			for i, a := range n.attrs {
				more := byte(0)
				if i < len(n.attrs)-1 {
					more = tokMore
				}
				c.u8(tokAttribute | more)
				c.name(a.name)
				for _, p := range a.children {
					c.write(p, dependency)
				}
			}
			binary.LittleEndian.PutUint32(c.buf[list:], uint32(len(c.buf)-list-4))
		}
		if len(n.children) == 0 {
			c.u8(tokCloseEmpty)
		} else {
			c.u8(tokCloseStart)
			for _, p := range n.children {
				c.write(p, dependency)
			}
			c.u8(tokEndElement)
		}
		binary.LittleEndian.PutUint32(c.buf[size:], uint32(len(c.buf)-size-4))
	case tokText:
		c.u8(tokText, typeString)
		c.chars(n.name)
	case tokValue, tokValueOpt:
		c.u8(n.kind)
		c.u16(n.index)
		c.u8(typeString)
	case tokCDATA, tokPIData:
		c.u8(n.kind)
		c.chars(n.name)
	case tokCharRef:
		c.u8(n.kind)
		c.str(n.name)
	case tokEntityRef, tokPITarget:
		c.u8(n.kind)
		c.name(n.name)
	}
}

// event writes a record of one template instance, in the way Windows does.
func (c *chunkWriter) event(root node, values ...value) int {
	return c.record(aTick, func() {
		c.instance(0, func() { c.write(root, true) }, values...)
	})
}

// aTick is 2025-03-04 05:06:07.8912345 UTC as a FILETIME.
const aTick = (1_741_064_767+unixEpochSecond)*ticksPerSecond + 8_912_345

func utf16Bytes(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// le returns the bytes of numbers of the given width.
func le(width int, vs ...uint64) (b []byte) {
	for _, v := range vs {
		for i := range width {
			b = append(b, byte(v>>(8*i)))
		}
	}
	return b
}
