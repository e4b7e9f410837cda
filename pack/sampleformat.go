package pack

import (
	"fmt"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/formats"
)

// sampleFormat returns the format of that name or, when name is empty, the one
// that is surest of the data.
func sampleFormat(name string, data []byte, file string) (format.Format, error) {
	if name == "" {
		f, ok := formats.Detect(data[:min(len(data), 64<<10)], file)
		if !ok {
			return f, fmt.Errorf("the format of the sample is not recognised; say format: in its expect file, one of %v", formatNames())
		}
		return f, nil
	}
	f, ok := formats.ByName(name)
	if !ok {
		return f, fmt.Errorf("unknown format %q; the formats are %v", name, formatNames())
	}
	return f, nil
}

func formatNames() []string {
	var names []string
	for _, f := range formats.All() {
		names = append(names, f.Name)
	}
	return names
}
