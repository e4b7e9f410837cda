package evtx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/tiercel-io/tiercel/event"
)

// The types of values ([MS-EVEN6] 2.2.12 and 3.1.4.7.3; EVT_VARIANT_TYPE).
const (
	typeNull       = 0x00
	typeString     = 0x01
	typeAnsi       = 0x02
	typeInt8       = 0x03
	typeUint8      = 0x04
	typeInt16      = 0x05
	typeUint16     = 0x06
	typeInt32      = 0x07
	typeUint32     = 0x08
	typeInt64      = 0x09
	typeUint64     = 0x0a
	typeFloat32    = 0x0b
	typeFloat64    = 0x0c
	typeBool       = 0x0d
	typeBinary     = 0x0e
	typeGUID       = 0x0f
	typeSizeT      = 0x10
	typeFileTime   = 0x11
	typeSystemTime = 0x12
	typeSID        = 0x13
	typeHex32      = 0x14
	typeHex64      = 0x15
	typeHandle     = 0x20
	typeBinXML     = 0x21
	typeArray      = 0x80 // with the type of the items
)

// val is a value of a record: size bytes at off in the chunk.
type val struct {
	off  uint32
	size uint32
	typ  byte
}

// form says how a value's text stands in the tree.
type form uint8

const (
	formText form = iota
	formNumber
	formBool
)

// sizeError says that a value has a size its type cannot have.
type sizeError struct {
	typ  byte
	size int
}

func (e *sizeError) Error() string {
	return fmt.Sprintf("a value of type %02x cannot have %d bytes", e.typ, e.size)
}

// put adds one value, not an array, to the tree.
func (p *parser) put(v val) {
	b := p.data[v.off : v.off+v.size]
	if v.typ == typeString {
		text, lone := decodeUTF16(p.tree.Arena(), trimNUL16(b))
		if p.tree.PutArenaText(text); lone {
			p.tree.NoteRepaired()
		}
		p.outputBytes += len(b)
		return
	}
	if v.typ == typeBool {
		set, err := boolean(b)
		if err != nil {
			p.fail(err)
		}
		p.tree.PutBool(set)
		return
	}
	arena := p.tree.Arena()
	n := len(arena)
	arena, f, err := appendValue(arena, v.typ, b)
	if err != nil {
		p.fail(err)
		arena = arena[:n]
		f = formText
	}
	p.outputBytes += len(arena) - n
	if f == formNumber {
		p.tree.PutArenaNumber(arena)
	} else {
		p.tree.PutArenaText(arena)
	}
}

// appendValue appends the text of one value that is not an array.
func appendValue(dst []byte, typ byte, b []byte) ([]byte, form, error) {
	n := len(b)
	switch typ {
	case typeNull:
		return dst, formText, nil
	case typeString:
		return appendUTF16(dst, trimNUL16(b)), formText, nil
	case typeAnsi:
		return appendANSI(dst, bytes.TrimRight(b, "\x00")), formText, nil
	case typeBinary:
		return appendHex(dst, b), formText, nil
	case typeInt8:
		if n == 1 {
			return strconv.AppendInt(dst, int64(int8(b[0])), 10), formNumber, nil
		}
	case typeUint8:
		if n == 1 {
			return strconv.AppendUint(dst, uint64(b[0]), 10), formNumber, nil
		}
	case typeInt16:
		if n == 2 {
			return strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(b))), 10), formNumber, nil
		}
	case typeUint16:
		if n == 2 {
			return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint16(b)), 10), formNumber, nil
		}
	case typeInt32:
		if n == 4 {
			return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(b))), 10), formNumber, nil
		}
	case typeUint32:
		if n == 4 {
			return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(b)), 10), formNumber, nil
		}
	case typeInt64:
		if n == 8 {
			return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(b)), 10), formNumber, nil
		}
	case typeUint64:
		if n == 8 {
			return strconv.AppendUint(dst, binary.LittleEndian.Uint64(b), 10), formNumber, nil
		}
	case typeFloat32:
		if n == 4 {
			dst, f := appendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 32)
			return dst, f, nil
		}
	case typeFloat64:
		if n == 8 {
			dst, f := appendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)), 64)
			return dst, f, nil
		}
	case typeBool:
		set, err := boolean(b)
		return strconv.AppendBool(dst, set), formBool, err
	case typeGUID:
		if n == 16 {
			return appendGUID(dst, b), formText, nil
		}
	case typeFileTime:
		if n == 8 {
			return appendFileTime(dst, binary.LittleEndian.Uint64(b)), formText, nil
		}
	case typeSystemTime:
		if n == 16 {
			return appendSystemTime(dst, b), formText, nil
		}
	case typeSID:
		if size := sidBytes(b); size > 0 && size <= n {
			return appendSID(dst, b[:size]), formText, nil
		}
	case typeHex32:
		if n == 4 {
			return appendHexInt(dst, uint64(binary.LittleEndian.Uint32(b))), formText, nil
		}
	case typeHex64:
		if n == 8 {
			return appendHexInt(dst, binary.LittleEndian.Uint64(b)), formText, nil
		}
	case typeSizeT, typeHandle:
		// Both are as wide as a pointer of the writer, and written as one.
		switch n {
		case 4:
			return appendHexInt(dst, uint64(binary.LittleEndian.Uint32(b))), formText, nil
		case 8:
			return appendHexInt(dst, binary.LittleEndian.Uint64(b)), formText, nil
		}
	default:
		return dst, formText, fmt.Errorf("a value of unknown type %02x", typ)
	}
	return dst, formText, &sizeError{typ: typ, size: n}
}

func boolean(b []byte) (bool, error) {
	switch len(b) {
	case 1, 2, 4, 8:
		for _, c := range b {
			if c != 0 {
				return true, nil
			}
		}
		return false, nil
	}
	return false, &sizeError{typ: typeBool, size: len(b)}
}

// appendFloat appends f as a JSON number, or as XML Schema names it when there
// is none.
func appendFloat(dst []byte, f float64, bits int) ([]byte, form) {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...), formText
	case math.IsInf(f, 1):
		return append(dst, "INF"...), formText
	case math.IsInf(f, -1):
		return append(dst, "-INF"...), formText
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits), formNumber
}

// items walks the items of an array value.
type items struct {
	v    val
	pos  uint32
	unit uint32 // bytes of an item, or 0 where they vary
}

// itemsOf returns the items of array v. It fails for types of which there are
// no arrays and for sizes that are no multiple of the item's.
func itemsOf(v val) (items, error) {
	it := items{v: val{typ: v.typ &^ typeArray}}
	switch it.v.typ {
	case typeString, typeAnsi, typeSID:
	case typeInt8, typeUint8:
		it.unit = 1
	case typeInt16, typeUint16:
		it.unit = 2
	case typeInt32, typeUint32, typeFloat32, typeHex32, typeBool:
		it.unit = 4
	case typeInt64, typeUint64, typeFloat64, typeFileTime, typeHex64:
		it.unit = 8
	case typeGUID, typeSystemTime:
		it.unit = 16
	case typeSizeT, typeHandle:
		// The width is not said: pointers of 64-bit Windows unless the size
		// forbids it.
		it.unit = 8
		if v.size%8 != 0 {
			it.unit = 4
		}
	default:
		return it, fmt.Errorf("an array of type %02x: there are none", it.v.typ)
	}
	if it.unit > 0 && v.size%it.unit != 0 {
		return it, &sizeError{typ: v.typ, size: int(v.size)}
	}
	it.v.off, it.v.size = v.off, v.size
	return it, nil
}

// next returns the next item.
func (it *items) next(data []byte) (val, bool) {
	if it.pos >= it.v.size {
		return val{}, false
	}
	rest := data[it.v.off+it.pos : it.v.off+it.v.size]
	item := val{off: it.v.off + it.pos, typ: it.v.typ}
	size, step := len(rest), len(rest)
	switch {
	case it.unit > 0:
		size = int(it.unit)
		step = size
	case it.v.typ == typeString:
		for i := 0; i+1 < len(rest); i += 2 {
			if rest[i] == 0 && rest[i+1] == 0 {
				size, step = i, i+2
				break
			}
		}
	case it.v.typ == typeAnsi:
		if i := bytes.IndexByte(rest, 0); i >= 0 {
			size, step = i, i+1
		}
	case it.v.typ == typeSID:
		if n := sidBytes(rest); n > 0 && n <= len(rest) {
			size, step = n, n
		}
	}
	item.size = uint32(size)
	it.pos += uint32(step)
	return item, true
}

// occurrences returns how often an element holding v is there: an array
// repeats its element ([MS-EVEN6] 3.1.4.7.5), two stand for more.
func (p *parser) occurrences(v val) int {
	if v.typ&typeArray == 0 {
		return 1
	}
	it, err := itemsOf(v)
	if err != nil {
		p.fail(err)
		return 0
	}
	n := 0
	for n < 2 {
		if _, ok := it.next(p.data); !ok {
			break
		}
		n++
	}
	return n
}

// appendJoined appends v as part of a longer text, the items of an array
// separated by commas.
func (p *parser) appendJoined(dst []byte, v val) []byte {
	if v.typ&typeArray == 0 {
		dst, _, err := appendValue(dst, v.typ, p.data[v.off:v.off+v.size])
		if err != nil {
			p.fail(err)
		}
		return dst
	}
	it, err := itemsOf(v)
	if err != nil {
		p.fail(err)
		return dst
	}
	for i := 0; ; i++ {
		item, ok := it.next(p.data)
		if !ok {
			return dst
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, _, err = appendValue(dst, item.typ, p.data[item.off:item.off+item.size])
		if err != nil {
			p.fail(err)
			return dst
		}
	}
}

// outputBytesMax bounds the text made of one record: as many bytes as the
// largest record may have. Real ones make less than their 64 KiB.
const outputBytesMax = event.RecordBytesMax
