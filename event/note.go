package event

// Note returns what [Reader.SetNote] kept for the shape of the bound record, or
// nil. It spares the one caller that also decides by shape, the router of
// package pack, a cache of its own.
func (r *Reader) Note() any { return r.shape.note }

// SetNote keeps note, of about that many bytes, for as long as the reader
// remembers the shape of the bound record.
func (r *Reader) SetNote(note any, bytes int) {
	r.shape.note = note
	r.grow(bytes)
}
