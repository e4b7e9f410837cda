package syslog

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"

	"github.com/tiercel-io/tiercel/ingest"
)

// summedBytesMax bounds how much of a line without an end is summed up before it
// is told of: what comes behind it is passed over.
const summedBytesMax = ingest.BodyBytesMax

// large is a message beyond MessageBytesMax under way: its beginning is kept, and
// the rest is summed up as it comes.
type large struct {
	kept []byte // at most ingest.RefusedBytesMax
	sum  hash.Hash
	n    int // bytes summed
	// counted says that the sender gave a count, of which left octets are still to
	// come; otherwise it is a line.
	counted     bool
	count, left int
	// returns are the CRs that may belong to the line end and are not summed yet.
	returns int
	// over says that the line is longer than summedBytesMax.
	over bool
}

var returns = bytes.Repeat([]byte{'\r'}, 1<<10)

// take adds bytes of the message.
func (l *large) take(p []byte) {
	if room := summedBytesMax - l.n; len(p) > room {
		p, l.over = p[:room], true
	}
	l.n += len(p)
	l.kept = append(l.kept, p[:min(len(p), ingest.RefusedBytesMax-len(l.kept))]...)
	l.sum.Write(p) // never fails
}

// line adds bytes of a line, which ends without the CRs before its end.
func (l *large) line(p []byte) {
	end := len(p)
	for end > 0 && p[end-1] == '\r' {
		end--
	}
	if end > 0 {
		for ; l.returns > 0 && !l.over; l.returns -= min(l.returns, len(returns)) {
			l.take(returns[:min(l.returns, len(returns))])
		}
		l.returns = 0
		l.take(p[:end])
	}
	l.returns += len(p) - end
}

// detail tells of the message what its beginning does not.
func (l *large) detail() string {
	sum := [sha256.Size]byte(l.sum.Sum(nil))
	switch {
	case l.counted && l.left > 0:
		return fmt.Sprintf("a record of %d bytes by its count, of which %d came, SHA-256 %x, and the first %d are kept", l.count, l.n, sum, len(l.kept))
	case l.over:
		return fmt.Sprintf("a record of more than %d bytes, SHA-256 of so many %x, of which the first %d are kept", l.n, sum, len(l.kept))
	}
	return ingest.LargeSum(l.n, sum)
}

// more goes on with the large message under way; ok is false while more is to
// come.
func (f *framer) more() (msg []byte, detail string, ok bool) {
	l, b := f.large, f.buf[f.at:]
	if l.counted {
		n := min(l.left, len(b))
		l.take(b[:n])
		f.at += n
		if l.left -= n; l.left > 0 {
			return nil, "", false
		}
	} else {
		end := delimiter(b)
		if end < 0 {
			l.line(b)
			f.at = len(f.buf)
			if !l.over {
				return nil, "", false
			}
		} else {
			l.line(b[:end])
			f.at += end
		}
		f.resync = true // what is left of it, and its delimiter
	}
	f.large = nil
	return l.kept, l.detail(), true
}
