package file

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format/keep"
)

// tracked is a file that is known.
type tracked struct {
	path string
	// identity is the fingerprint of its records, chosen once. shard is where
	// its batches go.
	identity [sha256.Size]byte
	shard    uint32
	// check is the hash of the first checked bytes, as many as were read, up to
	// those of a fingerprint: by it the file is found again.
	check   [sha256.Size]byte
	checked int
	// whole says that it is not read by line. format is the one it has, once
	// that is known.
	whole  bool
	format string

	// Of a file that is read by line: the place from which the splitter goes on.
	// Windows went up to seen.
	offset, line int64
	context      []byte
	seen         int64
	// skipping says that offset stands in a line that is too long.
	skipping bool
	// pending is the end of the window that is on its way, or 0; final says that
	// it was to be taken as it is.
	pending int64
	final   bool

	// Of a file that is read whole: how many batches were taken, whether it is
	// all of them, and which size and time the file had.
	batches        int
	done           bool
	size, modified int64

	// gone is when the file was missed, or zero.
	gone time.Time

	// What follows is not saved. changed is when size or modified were last
	// seen to change, moved that it has a new path.
	changed time.Time
	looked  bool
	moved   bool
	// lead is the beginning of the file, up to leadBytes.
	lead []byte
	// ignored says that as it is now it is no log.
	ignored bool
}

// progress is where an import stands: the file that is being read, how many of
// its batches were taken, and a hash of all taken before.
type progress struct {
	path    string
	batches int
	hash    [sha256.Size]byte
	done    bool
}

const checkpointVersion = 1

// append encodes where the source stands.
func (s *Source) append(dst []byte) []byte {
	flag := func(v ...bool) {
		b := byte(0)
		for i, on := range v {
			if on {
				b |= 1 << i
			}
		}
		dst = append(dst, b)
	}
	dst = append(dst, checkpointVersion)
	dst = keep.AppendText(dst, s.set.path)
	dst = keep.AppendNumber(dst, int64(s.set.batches))
	dst = append(dst, s.set.hash[:]...)
	flag(s.set.done)
	dst = keep.AppendNumber(dst, int64(len(s.tracked)))
	for _, t := range s.tracked {
		dst = keep.AppendText(dst, t.path)
		dst = append(append(dst, t.identity[:]...), t.check[:]...)
		flag(t.whole, t.skipping, t.final, t.done)
		dst = keep.AppendText(dst, t.format)
		dst = keep.AppendText(dst, string(t.context))
		gone := int64(0)
		if !t.gone.IsZero() {
			gone = t.gone.Unix()
		}
		for _, n := range [...]int64{int64(t.shard), int64(t.checked), t.offset, t.line, t.seen, t.pending, int64(t.batches), t.size, t.modified, gone} {
			dst = keep.AppendNumber(dst, n)
		}
	}
	return dst
}

// parse reads what append wrote; nothing is a source that has not begun.
func (s *Source) parse(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	r := keep.NewReader(b)
	hash := func() (h [sha256.Size]byte) {
		for i := range h {
			h[i] = r.Byte()
		}
		return h
	}
	if v := r.Byte(); v != checkpointVersion {
		return fmt.Errorf("the checkpoint has version %d and this program reads %d", v, checkpointVersion)
	}
	s.set = progress{path: r.Text(), batches: int(r.Number()), hash: hash()}
	s.set.done = r.Byte()&1 != 0
	for range r.Count() {
		t := &tracked{path: r.Text(), identity: hash(), check: hash()}
		flags := r.Byte()
		t.whole, t.skipping, t.final, t.done = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0
		t.format, t.context = r.Text(), []byte(r.Text())
		t.shard, t.checked = uint32(r.Number()), int(r.Number())
		t.offset, t.line, t.seen, t.pending = r.Number(), r.Number(), r.Number(), r.Number()
		t.batches, t.size, t.modified = int(r.Number()), r.Number(), r.Number()
		if gone := r.Number(); gone != 0 {
			t.gone = time.Unix(gone, 0).UTC()
		}
		if t.checked < 0 || t.checked > event.FingerprintBytes || t.offset < 0 || t.seen < 0 || t.pending < 0 || t.batches < 0 {
			r.Fail()
		}
		if r.Failed() {
			break
		}
		s.tracked = append(s.tracked, t)
	}
	if s.set.batches < 0 {
		r.Fail()
	}
	return r.Err()
}

// save makes where the source stands durable.
func (s *Source) save() error {
	if err := s.o.Checkpoints.Save(s.append(nil)); err != nil {
		return fmt.Errorf("%w: %w", errSave, err)
	}
	s.dirty = false
	return nil
}

// matches reports whether head, the beginning of a file of this size, is that
// of t.
func (t *tracked) matches(head []byte, size int64) bool {
	return t.checked > 0 && len(head) >= t.checked && size >= t.offset && t.check == sha256.Sum256(head[:t.checked])
}

// recheck takes as much of the beginning into the check as was read.
func (t *tracked) recheck(head []byte) {
	n := min(len(head), event.FingerprintBytes)
	if !t.whole {
		n = int(min(int64(n), max(t.offset, t.seen)))
	}
	if n > t.checked {
		t.check, t.checked = sha256.Sum256(head[:n]), n
	}
}

// identify chooses the identity of a file that is new. The beginning of a short
// one may be that of others too, and will grow, so it is joined by its path and
// the time.
func (t *tracked) identify(head []byte, now time.Time) {
	if len(head) >= event.FingerprintBytes {
		t.identity = event.Fingerprint(head)
		return
	}
	h := sha256.New()
	h.Write(keep.AppendNumber(keep.AppendText(bytes.Clone(head), t.path), now.UnixNano()))
	h.Sum(t.identity[:0])
}
