// Package formats is the table of all formats, and finds out which one a file
// has. Each format looks at the first 64 KiB and says how sure it is; the surest
// wins, and plain text takes what nobody else wants. It is safe for concurrent
// use.
package formats

import (
	"sync"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/auditd"
	"github.com/tiercel-io/tiercel/format/csv"
	"github.com/tiercel-io/tiercel/format/evtx"
	"github.com/tiercel-io/tiercel/format/json"
	"github.com/tiercel-io/tiercel/format/syslog"
	"github.com/tiercel-io/tiercel/format/text"
	"github.com/tiercel-io/tiercel/format/w3c"
	"github.com/tiercel-io/tiercel/format/winxml"
	"github.com/tiercel-io/tiercel/format/zeek"
)

var table = sync.OnceValue(func() []format.Format {
	return []format.Format{
		evtx.Format(),
		winxml.Format(),
		json.Format(),
		zeek.Format(),
		w3c.Format(),
		auditd.Format(),
		syslog.Format(),
		csv.Format(),
		text.Format(),
	}
})

// All returns all formats, in the order in which Detect prefers them where
// they are equally sure. The slice is the caller's.
func All() []format.Format { return append([]format.Format(nil), table()...) }

// ByName returns the format that --format calls name; ok is false when there
// is none.
func ByName(name string) (f format.Format, ok bool) {
	for _, f := range table() {
		if f.Name == name {
			return f, true
		}
	}
	return format.Format{}, false
}

// Detect returns the format of a file that begins with head, its first 64 KiB
// or all of it, and is called name. ok is false when no format wants it: it is
// empty, or binary.
func Detect(head []byte, name string) (f format.Format, ok bool) {
	best := 0
	for _, candidate := range table() {
		if sure := candidate.Detect(head, name); sure > best {
			f, best = candidate, sure
		}
	}
	return f, best > 0
}
