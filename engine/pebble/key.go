package pebble

import (
	"fmt"

	"github.com/tiercel-io/tiercel/store"
)

// Bounds of a document and of one call.
const (
	// kindBytesMax keeps a kind's length in one byte with room to spare.
	kindBytesMax = 100
	// idBytesMax bounds what is compared at each step of a search.
	idBytesMax = 1 << 10
	// valueBytesMax is the largest snapshot of detection state.
	valueBytesMax = 64 << 20
	// applyBytesMax bounds one batch, which stands in memory as a whole.
	applyBytesMax = 256 << 20
)

// The first byte of a key: the engine's own, then documents.
const (
	internal  = 0x00
	documents = 0x01
)

var (
	formatKey  = []byte{internal, 'f'}
	counterKey = []byte{internal, 'v'}
)

// prefix is what all keys of a tenant and kind begin with: each with its length
// in front, so that no two pairs share one.
func prefix(tenant fmt.Stringer, kind string) ([]byte, error) {
	name := tenant.String()
	if name == "" || len(name) > 255 {
		return nil, fmt.Errorf("a document needs a tenant of 1 to 255 bytes, not %d", len(name))
	}
	if kind == "" || len(kind) > kindBytesMax {
		return nil, fmt.Errorf("a document needs a kind of 1 to %d bytes, not %d", kindBytesMax, len(kind))
	}
	b := make([]byte, 0, 3+len(name)+len(kind)+48)
	b = append(b, documents, byte(len(name)))
	b = append(b, name...)
	b = append(b, byte(len(kind)))
	return append(b, kind...), nil
}

func encode(k store.Key) ([]byte, error) {
	if k.ID == "" || len(k.ID) > idBytesMax {
		return nil, fmt.Errorf("a document of kind %.100q needs an id of 1 to %d bytes, not %d", k.Kind, idBytesMax, len(k.ID))
	}
	b, err := prefix(k.Tenant, k.Kind)
	if err != nil {
		return nil, err
	}
	return append(b, k.ID...), nil
}

// bounds are the first key of a range and the first behind it, and the length
// of the prefix before ids.
func bounds(r store.Range) (low, high []byte, skip int, err error) {
	p, err := prefix(r.Tenant, r.Kind)
	if err != nil {
		return nil, nil, 0, err
	}
	low = append(p[:len(p):len(p)], r.From...)
	if r.To != "" {
		return low, append(p[:len(p):len(p)], r.To...), len(p), nil
	}
	high = append([]byte(nil), p...)
	// A prefix begins with the byte of documents, so that there is always a
	// byte that can be raised.
	for i := len(high) - 1; ; i-- {
		if high[i] != 0xff {
			high[i]++
			return low, high[:i+1], len(p), nil
		}
	}
}
