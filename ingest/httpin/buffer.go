package httpin

import "sync"

// keepBytesMax bounds a buffer that is kept for the next request: larger ones
// are rare and would make the rare case everyone's.
const keepBytesMax = 4 << 20

// firstBytes is how much is allocated on a client's word alone.
const firstBytes = 64 << 10

// Buffer is memory that goes from request to request. B may be grown by its
// holder; what is in B then is what goes back.
type Buffer struct{ B []byte }

var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// TakeBuffer takes an empty buffer of any capacity; give it back with
// [Buffer.Release].
func TakeBuffer() *Buffer {
	b := buffers.Get().(*Buffer)
	b.B = b.B[:0]
	return b
}

// Release gives the buffer back. Nothing may use its bytes afterwards.
func (b *Buffer) Release() {
	if cap(b.B) > keepBytesMax {
		return
	}
	buffers.Put(b)
}

// grow makes room for at least one more byte without passing limit, which is
// larger than len(b): it doubles.
func grow(b []byte, limit int64) []byte {
	if len(b) < cap(b) {
		return b
	}
	size := min(max(int64(cap(b))*2, firstBytes), limit)
	bigger := make([]byte, len(b), size)
	copy(bigger, b)
	return bigger
}
