package syslog

import (
	"bytes"
	"crypto/sha256"

	"github.com/tiercel-io/tiercel/format/lines"
	"github.com/tiercel-io/tiercel/ingest"
)

// countDigitsMax bounds the digits of an octet count; more are a line that
// begins with a number.
const countDigitsMax = 7

// framer cuts the stream of a connection into messages. The zero framer stands
// at the beginning.
type framer struct {
	buf []byte // bytes not yet handed out
	at  int    // buf[:at] is handed out
	// scanned counts the bytes behind at that hold no delimiter.
	scanned int
	// large is the message beyond MessageBytesMax under way, or nil; resync says
	// that the bytes up to the next delimiter belong to one that was told of.
	large  *large
	resync bool
}

// write takes what was read.
func (f *framer) write(p []byte) {
	if f.at > 0 {
		f.buf = f.buf[:copy(f.buf, f.buf[f.at:])]
		f.at = 0
	}
	f.buf = append(f.buf, p...)
}

// held is how many bytes wait for their end.
func (f *framer) held() int {
	n := len(f.buf) - f.at
	if f.large != nil {
		n += len(f.large.kept)
	}
	return n
}

// rest forgets the memory of an empty framer that has held much.
func (f *framer) rest() {
	if len(f.buf) == f.at && cap(f.buf) > 2*readBytes {
		f.buf, f.at = nil, 0
	}
}

// next returns the next message; ok is false when it needs more bytes. A detail
// says that msg is what is kept of one that is too large, and tells of the whole.
// msg is valid until the next write.
func (f *framer) next() (msg []byte, detail string, ok bool) {
	for {
		if f.large != nil {
			return f.more()
		}
		b := f.buf[f.at:]
		if f.resync {
			i := delimiter(b)
			if i < 0 {
				f.at = len(f.buf)
				return nil, "", false
			}
			f.at += i + 1
			f.resync = false
			continue
		}
		// Senders that count may end with a line feed all the same.
		if i := skipEnds(b); i > 0 {
			f.at += i
			f.scanned = 0
			continue
		}
		if len(b) == 0 {
			return nil, "", false
		}
		count, digits, state := octets(b)
		switch state {
		case countOpen:
			return nil, "", false
		case countYes:
			if count > MessageBytesMax {
				f.at += digits + 1
				f.large = &large{sum: sha256.New(), counted: true, count: count, left: count}
				continue
			}
			end := digits + 1 + count
			if len(b) < end {
				return nil, "", false
			}
			f.at += end
			if msg = trim(b[digits+1 : end]); lines.Blank(msg) {
				continue
			}
			return msg, "", true
		}
		i := delimiter(b[f.scanned:])
		if i < 0 {
			if len(b) > MessageBytesMax+1 { // a CR may belong to the line end
				f.scanned = 0
				f.large = &large{sum: sha256.New()}
				continue
			}
			f.scanned = len(b)
			return nil, "", false
		}
		i += f.scanned
		f.scanned = 0
		msg = trim(b[:i])
		if len(msg) > MessageBytesMax && !lines.Blank(msg) {
			f.large = &large{sum: sha256.New()}
			continue
		}
		f.at += i + 1
		if lines.Blank(msg) {
			continue
		}
		return msg, "", true
	}
}

// end returns what is left when the stream has ended, nil for nothing; next must
// have asked for more.
func (f *framer) end() (msg []byte, detail string) {
	b := f.buf[f.at:]
	f.at, f.scanned = len(f.buf), 0
	if l := f.large; l != nil {
		f.large = nil
		return l.kept, l.detail()
	}
	if f.resync {
		return nil, ""
	}
	if _, digits, state := octets(b); state == countYes {
		b = b[digits+1:]
	}
	if b = trim(b); lines.Blank(b) {
		return nil, ""
	}
	if len(b) > MessageBytesMax {
		return b[:ingest.RefusedBytesMax], ingest.LargeDetail(b)
	}
	return b, ""
}

// states of an octet count.
const (
	countNo = iota
	countYes
	countOpen // more bytes will tell
)

// octets reads the MSG-LEN and the blank of RFC 6587 section 3.4.1.
func octets(b []byte) (count, digits, state int) {
	if len(b) == 0 || b[0] < '1' || b[0] > '9' {
		return 0, 0, countNo
	}
	for digits < len(b) && digits <= countDigitsMax && b[digits]-'0' <= 9 {
		count = count*10 + int(b[digits]-'0')
		digits++
	}
	switch {
	case digits > countDigitsMax:
		return 0, 0, countNo
	case digits == len(b):
		return 0, 0, countOpen
	case b[digits] != ' ':
		return 0, 0, countNo
	}
	return count, digits, countYes
}

// delimiter returns the index of the first LF or NUL, or -1.
func delimiter(b []byte) int {
	i := bytes.IndexByte(b, '\n')
	if i >= 0 {
		b = b[:i]
	}
	if n := bytes.IndexByte(b, 0); n >= 0 {
		return n
	}
	return i
}

// skipEnds is how many bytes of line ends b begins with.
func skipEnds(b []byte) int {
	i := 0
	for i < len(b) && (b[i] == '\n' || b[i] == '\r' || b[i] == 0) {
		i++
	}
	return i
}

// trim takes the line end off a message.
func trim(b []byte) []byte { return bytes.TrimRight(b, "\r\n\x00") }
