package pack

import (
	"fmt"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/evtx"
	"github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/format/lines"
	"github.com/tiercel-io/tiercel/format/winxml"
	"io"
)

// sampleFormats are the formats that samples may be in.
func sampleFormats() []format.Format {
	return []format.Format{evtx.Format(), winxml.Format(), json.Format(), textFormat()}
}

// sampleFormat returns the format of that name or, when name is empty, the
// one that is surest of the data.
func sampleFormat(name string, data []byte, file string) (format.Format, error) {
	best, sure := format.Format{}, 0
	var names []string
	for _, f := range sampleFormats() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
		if n := f.Detect(data[:min(len(data), 64<<10)], file); n > sure {
			best, sure = f, n
		}
	}
	if name != "" {
		return best, fmt.Errorf("unknown format %q; the formats are %v", name, names)
	}
	if sure == 0 {
		return best, fmt.Errorf("the format of the sample is not recognised; say format: in its expect file, one of %v", names)
	}
	return best, nil
}

// textFormat reads each line as a record with the one field message.
func textFormat() format.Format {
	return format.Format{
		Name:        "text",
		Detect:      func([]byte, string) int { return 1 },
		NewSplitter: func(r io.Reader, _ format.Options) format.Splitter { return lineSplitter{lines.NewReader(r)} },
		NewParser:   func(format.Options) format.Parser { return new(lineParser) },
	}
}

type lineSplitter struct{ r *lines.Reader }

func (s lineSplitter) Next(b *format.Block) error { return s.r.Fill(b) }

type lineParser struct{ rec event.Record }

func (p *lineParser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	line := b.Data[f.Start:f.End]
	p.rec.Reset(line)
	p.rec.Format, p.rec.Line, p.rec.Offset = "text", f.Line, f.Offset
	p.rec.Tree.BeginObject()
	p.rec.Tree.PutKeyText("message")
	p.rec.Tree.PutSpan(0, len(line))
	p.rec.Tree.EndContainer()
	emit(&p.rec)
	return nil
}
