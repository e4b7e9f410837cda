package pack

import (
	"fmt"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/evtx"
	"github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/format/syslog"
	"github.com/tiercel-io/tiercel/format/text"
	"github.com/tiercel-io/tiercel/format/w3c"
	"github.com/tiercel-io/tiercel/format/winxml"
	"github.com/tiercel-io/tiercel/format/zeek"
)

// sampleFormats are the formats that samples may be in.
func sampleFormats() []format.Format {
	return []format.Format{evtx.Format(), winxml.Format(), json.Format(), syslog.Format(), w3c.Format(), zeek.Format(), text.Format()}
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
