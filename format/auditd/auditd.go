// Package auditd reads the audit.log of the Linux audit daemon, raw or
// enriched.
//
// The lines of one event share msg=audit(seconds.milliseconds:serial) and stand
// between those of other events. The splitter brings them together: an event is
// complete at its EOE record, when a line two seconds of event time later comes,
// when 1,000 events or 8 MiB are open (the oldest is closed), or at 1,000 lines
// or 1 MiB of its own, what follows being an event of its own. A frame is one
// event, in the order in which they were completed.
//
// The parser gives one record for each line, and behind them, for an event of
// two lines or more besides EOE, a joined one, all with the same Group.
//
// A line's record is flat, with the keys of the log in their order and every
// value a string: type, node if there is one, timestamp and serial (from msg),
// then the rest; the fields inside msg='…' of user-space records stand beside
// the others, and the enriched ones behind the separator 0x1d keep their
// upper-case names (SYSCALL=execve). Words that are no key=value, as in AVC
// records, are joined in text. Quotes are taken off, and values that the audit
// system writes in hexadecimal because they hold odd bytes are decoded: those
// of the keys below that are not in quotes, of even length and all of 0-9A-F.
// A NUL in a proctitle becomes a blank.
//
// The joined record is an object that begins with "joined":true and holds the
// keys of all its lines, a key with several values as an array in the order of
// the lines (type is one), except that the a0 to a3 of SYSCALL, which are
// pointers, give way to the arguments of EXECVE when there is one, of which the
// first 64 are keys. Besides, it has
//
//	argv     the arguments of EXECVE as an array, parts of long ones joined
//	cmdline  argv joined by blanks
//	paths    an object for each PATH record with its name, nametype, …
package auditd

import (
	"bytes"
	"io"
	"slices"

	"github.com/tiercel-io/tiercel/format"
	"github.com/tiercel-io/tiercel/format/lines"
)

// Format returns the audit format, called auditd.
func Format() format.Format {
	return format.Format{
		Name:   "auditd",
		About:  "audit.log of the Linux audit daemon, its lines joined by event",
		Detect: detect,
		NewSplitter: func(r io.Reader, o format.Options) format.Splitter {
			return newSplitter(lines.NewReader(r))
		},
		NewParser:     func(o format.Options) format.Parser { return &parser{} },
		AppendContext: appendContext,
		ParseContext:  parseContext,
		Resume: func(r io.Reader, o format.Options, at format.Place) format.Resumable {
			s := newSplitter(lines.Resume(r, at))
			s.keeps = true
			if before, ok := at.Context.(*context); ok && before != nil {
				s.before = before.positions
				s.out = slices.Clone(before.positions)
			}
			return s
		},
	}
}

// detect wants an audit record in the first line, or in the second if the
// first one was cut.
func detect(head []byte, name string) int {
	head = bytes.TrimLeft(lines.Head(head), "\x00")
	for range 2 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte{'\n'})
		if _, ok := parseStamp(line); ok {
			return 96
		}
	}
	return 0
}

// header is the beginning of a line, as spans of it.
type header struct {
	node, kind, timestamp, serial []byte
	millis                        int64
	number                        uint64
	body                          []byte // behind "): "
}

// parseStamp reads [node=N ]type=T msg=audit(S.MMM:N): of a line.
func parseStamp(line []byte) (h header, ok bool) {
	rest := line
	if after, ok := bytes.CutPrefix(rest, []byte("node=")); ok {
		h.node, rest, _ = bytes.Cut(after, []byte{' '})
	}
	if rest, ok = bytes.CutPrefix(rest, []byte("type=")); !ok {
		return h, false
	}
	if h.kind, rest, ok = bytes.Cut(rest, []byte{' '}); !ok || len(h.kind) == 0 {
		return h, false
	}
	if rest, ok = bytes.CutPrefix(rest, []byte("msg=audit(")); !ok {
		return h, false
	}
	// Seconds, milliseconds and serial have at most 11, 3 and 20 digits.
	end := bytes.IndexByte(rest[:min(len(rest), 40)], ')')
	if end < 0 {
		return h, false
	}
	inside := rest[:end]
	if h.body = bytes.TrimPrefix(rest[end+1:], []byte{':'}); len(h.body) > 0 && h.body[0] == ' ' {
		h.body = h.body[1:]
	}
	if h.timestamp, h.serial, ok = bytes.Cut(inside, []byte{':'}); !ok {
		return h, false
	}
	seconds, fraction, _ := bytes.Cut(h.timestamp, []byte{'.'})
	s, ok1 := digits(seconds, 11)
	ms, ok2 := digits(fraction, 3)
	n, ok3 := digits(h.serial, 19)
	if !ok1 || !ok2 || !ok3 {
		return h, false
	}
	h.millis, h.number = int64(s)*1000+int64(ms), n
	return h, true
}

// digits reads 1 to most digits, at most 19.
func digits(b []byte, most int) (uint64, bool) {
	if len(b) == 0 || len(b) > most {
		return 0, false
	}
	var v uint64
	for _, c := range b {
		if c-'0' > 9 {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}
