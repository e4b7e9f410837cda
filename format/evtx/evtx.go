// Package evtx reads Windows event logs in their binary form, EVTX.
//
// A file is a header of 4 KiB and chunks of 64 KiB; a chunk is a header,
// records of binary XML (BinXML), and the templates and names those records
// refer to by their offset in the chunk. The splitter makes one block of each
// chunk and one frame of each record: it checks the checksums, walks the
// chain of records, and where something is wrong says so and carves the
// records that are whole. The parser compiles each template of a chunk once
// and fills it in for each record, straight into the event's tree.
//
// # Shape of the tree
//
// An element is a member named for it. Its value is its text, an object of its
// children, or, when it has attributes, an object whose member #attributes
// holds them and whose member #text holds the text. A <Data Name="x"> is the
// member x, an unnamed one the member Data. Elements of one name under one
// parent are one member holding an array, at the place of the first. An
// element without content is the empty string, so that a missing element and
// an empty one differ; an element or attribute whose only content is an
// optional substitution of null is not there at all. Namespaces are kept as
// the attributes they are written as.
//
// Values of the integer and floating point types are numbers, booleans are
// booleans, all else is text as Windows renders it: hexadecimal types and
// pointers 0x1a in lower case, binary in upper-case digits, GUIDs in braces
// and lower case, times as 2026-04-17T05:24:53.0920510Z. The XML export of the
// same event has the same tree, but for its lack of types: there only the
// numeric fields of System are numbers. Rules compare both alike.
//
// # Sources
//
// [MS-EVEN6] sections 2.2.12 (BinXML) and 3.1.4.7 (templates, types); the
// libevtx documentation of the file format for the rest.
//
// A Format's functions may be called by any goroutine; a splitter and a parser
// belong to one goroutine each. Memory: one chunk a block; a parser keeps the
// compiled templates of one chunk, bounded by compiledBytesMax.
package evtx

import (
	"bytes"
	"io"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/keep"
)

const name = "evtx"

var (
	fileMagic   = []byte("ElfFile\x00")
	chunkMagic  = []byte("ElfChnk\x00")
	recordMagic = []byte{0x2a, 0x2a, 0, 0}
)

// Format returns the reader of EVTX files. It takes no options.
func Format() format.Format {
	return format.Format{
		Name:        name,
		About:       "Windows event log, binary (.evtx)",
		Detect:      detect,
		NewSplitter: func(r io.Reader, _ format.Options) format.Splitter { return &splitter{r: r} },
		NewParser:   func(format.Options) format.Parser { return new(parser) },
		// A context is but an identity: another chunk, other templates.
		AppendContext: func(dst []byte, context any) []byte {
			if c, ok := context.(*chunk); ok && c != nil {
				return keep.AppendNumber(dst, c.offset)
			}
			return dst
		},
		ParseContext: func(context []byte) (any, error) {
			if len(context) == 0 {
				return (*chunk)(nil), nil
			}
			r := keep.NewReader(context)
			c := &chunk{offset: r.Number()}
			return c, r.Err()
		},
		AnyOptions: true,
	}
}

// detect knows a file by the magic of its header or, where that is damaged or
// missing, of its first chunk.
func detect(head []byte, _ string) int {
	switch {
	case bytes.HasPrefix(head, fileMagic), bytes.HasPrefix(head, chunkMagic):
		return 100
	case len(head) > fileHeaderBytes && bytes.HasPrefix(head[fileHeaderBytes:], chunkMagic):
		return 95
	}
	return 0
}
