package otlp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The wire types of protobuf (protobuf.dev/programming-guides/encoding). Groups
// are not read: no message of OTLP has one.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

var errWire = errors.New("not a protobuf message")

// field is one field of a message.
type field struct {
	number int
	wire   int
	value  uint64 // of a number
	bytes  []byte // of a string, bytes or message
}

// next reads the field at b[i]; end is the index behind it.
func next(b []byte, i int) (f field, end int, err error) {
	tag, n := binary.Uvarint(b[i:])
	if n <= 0 || tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return f, i, fmt.Errorf("%w: a broken tag at byte %d", errWire, i)
	}
	i += n
	f.number, f.wire = int(tag>>3), int(tag&7)
	switch f.wire {
	case wireVarint:
		f.value, n = binary.Uvarint(b[i:])
		if n <= 0 {
			return f, i, fmt.Errorf("%w: a broken number at byte %d", errWire, i)
		}
		return f, i + n, nil
	case wireFixed64:
		if len(b)-i >= 8 {
			f.value = binary.LittleEndian.Uint64(b[i:])
			return f, i + 8, nil
		}
	case wireFixed32:
		if len(b)-i >= 4 {
			f.value = uint64(binary.LittleEndian.Uint32(b[i:]))
			return f, i + 4, nil
		}
	case wireBytes:
		size, n := binary.Uvarint(b[i:])
		if n > 0 && size <= uint64(len(b)-i-n) {
			i += n
			end = i + int(size)
			f.bytes = b[i:end:end]
			return f, end, nil
		}
	default:
		return f, i, fmt.Errorf("%w: wire type %d at byte %d", errWire, f.wire, i)
	}
	return f, i, fmt.Errorf("%w: it ends inside the field at byte %d", errWire, i)
}

// each calls visit with each field of a message.
func each(b []byte, visit func(f field) error) error {
	for i := 0; i < len(b); {
		f, end, err := next(b, i)
		if err != nil {
			return err
		}
		if err := visit(f); err != nil {
			return err
		}
		i = end
	}
	return nil
}
