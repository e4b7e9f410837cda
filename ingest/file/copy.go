package file

import (
	"bytes"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format/files"
)

const (
	// leadBytes is how much of a file's beginning its possible copies are looked
	// up by.
	leadBytes = 128
	// shortMax bounds the files of a folder among which the original of a
	// shorter one is looked for, since each must be looked at.
	shortMax = 1000
	// headsMax bounds the beginnings that are kept during one look.
	headsMax = 1024
)

// neighbours are the files that are known, by their folder, among which a copy
// has its original: rotation copies a file to a name beside it.
type neighbours struct {
	s      *Source
	byLead map[string][]*tracked // by folder and lead, if that is whole
	byDir  map[string][]*tracked
}

func (s *Source) neighbours(list []files.File, found map[string]*tracked) *neighbours {
	n := &neighbours{s: s, byLead: map[string][]*tracked{}, byDir: map[string][]*tracked{}}
	for _, f := range list {
		if t := found[f.Path]; t != nil {
			n.add(t)
		}
	}
	return n
}

func (n *neighbours) add(t *tracked) {
	if t.whole {
		return
	}
	if len(t.lead) < leadBytes {
		head, err := n.s.head(t.path)
		if err != nil {
			return
		}
		t.lead = bytes.Clone(head[:min(len(head), leadBytes)])
	}
	dir := n.s.o.Env.FS.PathDir(t.path)
	n.byDir[dir] = append(n.byDir[dir], t)
	if len(t.lead) == leadBytes {
		key := dir + "\x00" + string(t.lead)
		n.byLead[key] = append(n.byLead[key], t)
	}
}

// copies reports whether a file that is not known holds nothing but the
// beginning of one beside it that is, judged by its first and last bytes: a copy
// in the making, which is of interest once the original is cut short, or the
// copy goes its own way.
func (n *neighbours) copies(f files.File, byPath map[string]files.File) bool {
	head, err := n.s.head(f.Path)
	if err != nil {
		return false
	}
	dir := n.s.o.Env.FS.PathDir(f.Path)
	originals := n.byDir[dir]
	if len(head) >= leadBytes {
		originals = n.byLead[dir+"\x00"+string(head[:leadBytes])]
	} else if len(originals) > shortMax {
		return false
	}
	for _, t := range originals {
		if byPath[t.path].Size < f.Size || !bytes.HasPrefix(t.lead, head[:min(len(head), leadBytes)]) {
			continue
		}
		first, err := n.s.head(t.path)
		if err == nil && bytes.HasPrefix(first, head) && n.s.sameEnd(f.Path, t.path, f.Size) {
			return true
		}
	}
	return false
}

// sameEnd reports whether two files have the same bytes before an offset, as
// many as a fingerprint covers.
func (s *Source) sameEnd(a, b string, offset int64) bool {
	var ends [2][]byte
	for i, path := range []string{a, b} {
		f, err := s.o.Env.FS.Open(path)
		if err != nil {
			return false
		}
		from := max(0, offset-event.FingerprintBytes)
		ends[i], err = readAt(f, nil, from, int(offset-from))
		if closed := f.Close(); err != nil || closed != nil {
			return false
		}
	}
	return bytes.Equal(ends[0], ends[1])
}
