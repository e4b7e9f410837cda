// Package format turns the bytes of a known format into records.
//
// Reading has two halves, so that one file can keep every core busy and yet
// give the same records in the same order. A [Splitter] walks the bytes once,
// in order, and cuts them into blocks of whole records: cheap work, one
// goroutine. A [Parser] turns the frames of a block into trees: the expensive
// work, one Parser a goroutine, blocks in any order. State that runs through a
// file (a CSV header, a Zeek header) is settled by the Splitter and travels
// with each block as its Context.
//
// Nothing is dropped: bytes that are not a record come back as a [Problem]
// with their position, and reading goes on behind them. Memory is bounded by
// the limits of package event and by [BlockBytes].
package format

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// BlockBytes is the size a block aims at. 256 KiB keeps a block in the
// second-level cache of one core while it is parsed and matched.
const BlockBytes = 256 << 10

// Block is a run of whole records of one source.
type Block struct {
	// Data holds the bytes of all frames.
	Data []byte
	// Frames are the records in order.
	Frames []Frame
	// Context is what the format's parser needs besides the bytes; it is
	// shared by the blocks of a file and never changes once handed out.
	Context any
	// Problems are the bytes that could not be framed.
	Problems []Problem
	// Offset is where Data begins in the file.
	Offset int64
}

// Reset empties the block and keeps its memory for reuse.
func (b *Block) Reset() {
	b.Data, b.Frames, b.Problems = b.Data[:0], b.Frames[:0], b.Problems[:0]
	b.Context, b.Offset = nil, 0
}

// Frame is one record of a block: Data[Start:End].
type Frame struct {
	Start, End int
	// Offset is where the frame begins in the file (after decompression).
	Offset int64
	// Line is its first line from 1, or 0 in binary formats.
	Line int64
}

// Problem is input that could not be read as a record.
type Problem struct {
	// Offset and Line are where it begins; Line is 0 in binary formats.
	Offset int64
	Line   int64
	// RecordID is the record's own number where known.
	RecordID uint64
	// Err says what is wrong, without repeating the position.
	Err error
}

func (p Problem) Error() string {
	switch {
	case p.Line > 0:
		return fmt.Sprintf("line %d (byte %d): %v", p.Line, p.Offset, p.Err)
	case p.RecordID > 0:
		return fmt.Sprintf("record %d (byte %d): %v", p.RecordID, p.Offset, p.Err)
	}
	return fmt.Sprintf("byte %d: %v", p.Offset, p.Err)
}

func (p Problem) Unwrap() error { return p.Err }

// Splitter cuts a stream into blocks.
type Splitter interface {
	// Next fills b, which it resets first, with the next block. It returns
	// io.EOF after the last one; any other error ends the stream, and what b
	// holds by then is valid. A block may hold problems and no frame.
	Next(b *Block) error
}

// Place is where a stream is taken up again. The zero place is its beginning.
type Place struct {
	// Offset is the first byte that the reader will give, Line the lines before
	// it.
	Offset, Line int64
	// Context is what holds there, as Rest or ParseContext returns it.
	Context any
}

// With returns the place with a context.
func (p Place) With(context any) Place {
	p.Context = context
	return p
}

// Resumable is a splitter of a stream that grows. Its reader ends in [ErrMore]
// where more may come. Next then hands out the records that are known to be
// whole, and returns ErrMore behind them.
type Resumable interface {
	Splitter
	// Rest is where reading must begin again so that all that Next has not
	// handed out comes, and nothing else.
	Rest() Place
}

// ErrMore is the end of what there is now of a stream that grows.
var ErrMore = errors.New("the stream may go on")

// Parser turns the frames of blocks into records. It is used by one goroutine
// at a time and may keep caches between calls.
type Parser interface {
	// Parse reads frame f of block b and calls emit for each record found,
	// in order, usually once; the record is reused after emit returns. An
	// error says why the frame, or what is left of it, is not a record.
	Parse(b *Block, f Frame, emit func(*event.Record)) error
}

// Options are what a reader must be told about a source.
type Options struct {
	// Zone is the zone of times that name none; nil is UTC.
	Zone *time.Location
	// Reference is the latest time a record without a year may have: the
	// file's modification time, or the receive time.
	Reference time.Time
	// Name is the name of the file without its folders, for formats that
	// keep meaning in it.
	Name string
}

// Format is one known format.
type Format struct {
	// Name is what --format takes: evtx, json, csv, …
	Name string
	// About is one line for the reference.
	About string
	// Detect says how sure it is that a file beginning with head (up to 64
	// KiB, after decompression) and called name is of this format: 0 not, 100
	// certain. The highest wins; of equals the first in the table.
	Detect func(head []byte, name string) int
	// NewSplitter cuts r.
	NewSplitter func(r io.Reader, o Options) Splitter
	// NewParser makes a parser for one goroutine.
	NewParser func(o Options) Parser
	// AppendContext appends the encoding of the Context of a block, which
	// ParseContext reads again: a block kept as its bytes, frames and context
	// gives the same records in another process. Both are nil for formats whose
	// blocks have no context. ParseContext does not keep its argument; what it
	// returns may be used by several parsers, as any context. Its error says that
	// the bytes are no context of the format.
	AppendContext func(dst []byte, context any) []byte
	ParseContext  func(context []byte) (any, error)
	// Resume makes a splitter for a stream that grows, taken up at a place; it
	// is nil for formats that can only be read whole. The Follows function must
	// hold for the beginning of the stream.
	Resume func(r io.Reader, o Options, at Place) Resumable
	// Follows says whether a stream that begins with head, some of its first
	// bytes without byte order mark, is cut by line, so that it can be resumed.
	// nil means that any is.
	Follows func(head []byte) bool
	// AnyOptions says that parsers pay no heed to the options, so that one
	// may go on from file to file.
	AnyOptions bool
}
