package ingest

import (
	"fmt"

	"github.com/tiercel-io/tiercel/format"
)

// Block returns the block that the parser of f reads the batch's frames from:
// the one that the file was cut into, or one without context for what came
// from a client. It borrows the batch's data and frames. The error says that the
// file's context is not one of the format.
func (b *Batch) Block(f *format.Format) (format.Block, error) {
	block := format.Block{Data: b.Data, Frames: b.Frames}
	if b.File == nil {
		return block, nil
	}
	block.Offset = b.File.Base
	if f.ParseContext == nil {
		return block, nil
	}
	var err error
	if block.Context, err = f.ParseContext(b.File.Context); err != nil {
		return format.Block{}, fmt.Errorf("context of %q as %s: %w", b.File.Path, f.Name, err)
	}
	return block, nil
}
