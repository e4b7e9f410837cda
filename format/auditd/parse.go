package auditd

import (
	"bytes"
	"hash/fnv"
	"slices"
	"sort"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/format"
)

// pair is a field of a line, decoded.
type pair struct{ key, value []byte }

// lineFields are the fields of one line: fields[from:to] of the parser's.
type lineFields struct {
	kind     []byte
	from, to int
}

// Joined returns a parser of frames that gives their joined records alone.
func Joined() format.Parser { return &parser{joined: true} }

type parser struct {
	joined bool // nothing but the joined record is wanted
	rec    event.Record
	fields []pair
	lines  []lineFields
	buf    []byte // decoded values; older slices stay valid when it grows
	words  []byte
	argv   []argument

	// Of joined records:
	keys   map[string]int // their names, by index of places
	places []keyPlace
	order  []joinedKey
	follow []int // by field: the next one with its key
	run    int
}

// Parse implements format.Parser.
func (p *parser) Parse(b *format.Block, f format.Frame, emit func(*event.Record)) error {
	frame := b.Data[f.Start:f.End]
	p.fields, p.lines, p.buf = p.fields[:0], p.lines[:0], p.buf[:0]
	var positions []position
	if ctx, ok := b.Context.(*context); ok {
		i := sort.Search(len(ctx.positions), func(i int) bool { return ctx.positions[i].start >= f.Start })
		positions = ctx.positions[i:]
	}
	var (
		group     uint64
		at        time.Time
		firstErr  error
		lastLines int
	)
	for n, start := 0, 0; start < len(frame); n++ {
		end := len(frame)
		if i := bytes.IndexByte(frame[start:], '\n'); i >= 0 {
			end = start + i
		}
		line := frame[start:end]
		h, ok := parseStamp(line)
		if ok {
			group, at = groupOf(&h), time.UnixMilli(h.millis).UTC()
			p.begin(line, group, at)
			p.rec.Offset, p.rec.Line = f.Offset, f.Line
			if n < len(positions) {
				p.rec.Offset, p.rec.Line = positions[n].offset, positions[n].line
			}
			p.parseLine(&h)
			if string(h.kind) != "EOE" {
				lastLines++
			}
			if !p.joined {
				if err := p.emitLine(emit); err != nil && firstErr == nil {
					firstErr = err
				}
			}
		} else if firstErr == nil {
			firstErr = errNotAudit
		}
		start = end + 1
	}
	if lastLines > 1 {
		p.begin(frame, group, at)
		p.rec.Offset, p.rec.Line = f.Offset, f.Line
		p.join()
		if err := p.rec.Tree.Err(); err != nil {
			return err
		}
		emit(&p.rec)
	}
	return firstErr
}

func (p *parser) begin(raw []byte, group uint64, at time.Time) {
	p.rec.Reset(raw)
	p.rec.Format, p.rec.Hint, p.rec.Group = "auditd", "audit", group
	p.rec.Time, p.rec.TimeQuality = at, event.TimeParsed
}

// groupOf is the same for all lines of an event: FNV-1a of node, time and
// serial, and not 0.
func groupOf(h *header) uint64 {
	sum := fnv.New64a()
	for _, part := range [][]byte{h.node, {0}, h.timestamp, {':'}, h.serial} {
		_, _ = sum.Write(part) // a hash never fails
	}
	return max(sum.Sum64(), 1)
}

func (p *parser) emitLine(emit func(*event.Record)) error {
	t := &p.rec.Tree
	l := p.lines[len(p.lines)-1]
	t.BeginObject()
	for _, f := range p.fields[l.from:l.to] {
		t.PutKey(f.key)
		t.PutString(f.value)
	}
	t.EndContainer()
	if err := t.Err(); err != nil {
		return err
	}
	emit(&p.rec)
	return nil
}

var (
	keyType      = []byte("type")
	keyNode      = []byte("node")
	keyTimestamp = []byte("timestamp")
	keySerial    = []byte("serial")
	keyText      = []byte("text")
	keyMsg       = []byte("msg")
)

// parseLine appends the fields of a line.
func (p *parser) parseLine(h *header) {
	from := len(p.fields)
	p.fields = append(p.fields, pair{keyType, h.kind})
	if len(h.node) > 0 {
		p.fields = append(p.fields, pair{keyNode, h.node})
	}
	p.fields = append(p.fields, pair{keyTimestamp, h.timestamp}, pair{keySerial, h.serial})
	p.words = p.words[:0]
	p.pairs(h.kind, h.body, true)
	if len(p.words) > 0 {
		p.fields = append(p.fields, pair{keyText, p.keep(p.words)})
	}
	p.lines = append(p.lines, lineFields{kind: h.kind, from: from, to: len(p.fields)})
}

func (p *parser) keep(b []byte) []byte {
	start := len(p.buf)
	p.buf = append(p.buf, b...)
	return p.buf[start:len(p.buf):len(p.buf)]
}

// enrichment stands between what the kernel wrote and what the daemon added.
const enrichment = 0x1d

// pairs appends the key=value pairs of b. outer says that b is not the inside
// of msg='…'.
func (p *parser) pairs(kind, b []byte, outer bool) {
	for i := 0; i < len(b); {
		if b[i] == ' ' || b[i] == enrichment || b[i] == '\t' {
			i++
			continue
		}
		start := i
		for i < len(b) && b[i] != '=' && b[i] != ' ' && b[i] != enrichment {
			i++
		}
		if i == len(b) || b[i] != '=' || i == start {
			if i < len(b) && b[i] == '=' {
				i++ // a value without a key is a word
				for i < len(b) && b[i] != ' ' && b[i] != enrichment {
					i++
				}
			}
			if len(p.words) > 0 {
				p.words = append(p.words, ' ')
			}
			p.words = append(p.words, b[start:i]...)
			continue
		}
		key := b[start:i]
		i++
		value, next, quoted := valueAt(b, i)
		i = next
		switch {
		case quoted == '\'' && outer && string(key) == "msg":
			fields, words := len(p.fields), len(p.words)
			p.pairs(kind, value, false)
			if len(p.fields) == fields {
				p.words = p.words[:words]
				p.fields = append(p.fields, pair{keyMsg, value})
			}
			continue
		case quoted == 0 && hexKey(kind, key) && isHex(value):
			value = p.decode(value, string(key) == "proctitle")
		}
		p.fields = append(p.fields, pair{key, value})
	}
}

// valueAt returns the value at b[i:] without its quotes, what follows it, and
// the quote. A quote that does not close goes to the end.
func valueAt(b []byte, i int) (value []byte, next int, quote byte) {
	if i < len(b) && (b[i] == '"' || b[i] == '\'') {
		quote = b[i]
		i++
		if end := bytes.IndexByte(b[i:], quote); end >= 0 {
			return b[i : i+end], i + end + 1, quote
		}
		return b[i:], len(b), quote
	}
	start := i
	for i < len(b) && b[i] != ' ' && b[i] != enrichment {
		i++
	}
	return b[start:i], i, 0
}

// hexKeys are the fields that the audit system writes as text it does not
// trust (audit's typetab: escaped, proctitle, TTY data).
var hexKeys = map[string]bool{
	"acct": true, "apparmor": true, "cgroup": true, "cmd": true, "comm": true, "cwd": true, "data": true, "device": true, "dir": true,
	"exe": true, "file": true, "grp": true, "interpreter": true, "invalid_context": true, "key": true, "name": true, "new-chardev": true,
	"new-disk": true, "new-fs": true, "new-net": true, "new_group": true, "new_name": true, "ocomm": true, "old-chardev": true,
	"old-disk": true, "old-fs": true, "old-net": true, "operation": true, "path": true, "proctitle": true, "profile": true,
	"root_dir": true, "sw": true, "vm": true, "watch": true,
}

// hexKey reports whether a value of key may be hexadecimal: also the arguments
// of EXECVE, a0, a1 and, in parts, a2[0]; those of SYSCALL are numbers.
func hexKey(kind, key []byte) bool {
	if hexKeys[string(key)] {
		return true
	}
	if string(kind) != "EXECVE" {
		return false
	}
	_, _, ok := argumentOf(key)
	return ok
}

func isHex(b []byte) bool {
	if len(b) == 0 || len(b)%2 != 0 {
		return false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// decode turns hexadecimal to text; what cannot be shown stays, but for the
// NULs between the words of a proctitle.
func (p *parser) decode(b []byte, title bool) []byte {
	start := len(p.buf)
	nibble := func(c byte) byte {
		if c <= '9' {
			return c - '0'
		}
		return c - 'A' + 10
	}
	for i := 0; i < len(b); i += 2 {
		c := nibble(b[i])<<4 | nibble(b[i+1])
		if title && c == 0 {
			c = ' '
		}
		p.buf = append(p.buf, c)
	}
	return p.buf[start:len(p.buf):len(p.buf)]
}

// argument is one part of one argument of EXECVE.
type argument struct {
	n, part int
	value   []byte
}

// argumentOf reads a12 and a12[3].
func argumentOf(key []byte) (n, part int, ok bool) {
	if len(key) < 2 || key[0] != 'a' {
		return 0, 0, false
	}
	number, rest, parted := bytes.Cut(key[1:], []byte{'['})
	v, ok := digits(number, 7)
	if !ok {
		return 0, 0, false
	}
	if !parted {
		return int(v), 0, true
	}
	rest, closed := bytes.CutSuffix(rest, []byte{']'})
	w, ok := digits(rest, 7)
	return int(v), int(w), ok && closed
}

// arguments collects those of all EXECVE lines in order.
func (p *parser) arguments() {
	p.argv = p.argv[:0]
	for _, l := range p.lines {
		if string(l.kind) != "EXECVE" {
			continue
		}
		for _, f := range p.fields[l.from:l.to] {
			if n, part, ok := argumentOf(f.key); ok {
				p.argv = append(p.argv, argument{n, part, f.value})
			}
		}
	}
	slices.SortStableFunc(p.argv, func(a, b argument) int {
		if a.n != b.n {
			return a.n - b.n
		}
		return a.part - b.part
	})
}

// join builds the joined record from the lines of the frame.
func (p *parser) join() {
	t := &p.rec.Tree
	p.arguments()
	t.BeginObject()
	t.PutKeyText("joined")
	t.PutBool(true)
	p.joinFields(t)
	if len(p.argv) > 0 {
		t.PutKeyText("argv")
		t.BeginArray()
		for i := 0; i < len(p.argv); {
			out := t.Arena()
			n := p.argv[i].n
			for ; i < len(p.argv) && p.argv[i].n == n; i++ {
				out = append(out, p.argv[i].value...)
			}
			t.PutArenaText(out)
		}
		t.EndContainer()
		t.PutKeyText("cmdline")
		out := t.Arena()
		for i, a := range p.argv {
			if i > 0 && a.n != p.argv[i-1].n {
				out = append(out, ' ')
			}
			out = append(out, a.value...)
		}
		t.PutArenaText(out)
	}
	p.joinPaths(t)
	t.EndContainer()
}

// joinedArguments is how many of the keys a0, a1 … the joined record has; argv
// has all arguments.
const joinedArguments = 64

// joinedKey is a key of the joined record: its first and its last value among the
// parser's fields, between which follow leads.
type joinedKey struct {
	key         []byte
	first, last int
}

// keyPlace says where a key stands in the joined record that is the run-th.
type keyPlace struct{ run, at int }

// keysKept bounds the names of keys that a parser keeps from event to event; logs
// have a few hundred.
const keysKept = 4096

// joinFields puts each key once, with the values of all lines.
func (p *parser) joinFields(t *event.Tree) {
	if p.keys == nil || len(p.keys) > keysKept {
		p.keys, p.places = map[string]int{}, p.places[:0]
	}
	p.run++
	p.order = p.order[:0]
	p.follow = slices.Grow(p.follow[:0], len(p.fields))[:len(p.fields)]
	for _, l := range p.lines {
		if string(l.kind) == "EOE" {
			continue
		}
		for at := l.from; at < l.to; at++ {
			key := p.fields[at].key
			if len(p.argv) > 0 && string(l.kind) == "SYSCALL" && len(key) == 2 && key[0] == 'a' && key[1]-'0' <= 3 {
				continue
			}
			if n, _, ok := argumentOf(key); ok && n >= joinedArguments {
				continue
			}
			id, known := p.keys[string(key)]
			if !known {
				id = len(p.places)
				p.keys[string(key)] = id
				p.places = append(p.places, keyPlace{})
			}
			if p.places[id].run != p.run {
				p.places[id] = keyPlace{p.run, len(p.order)}
				p.order = append(p.order, joinedKey{key, at, at})
				continue
			}
			// What every line has is the same in all.
			if at-l.from <= 3 && (string(key) == "node" || string(key) == "timestamp" || string(key) == "serial") {
				continue
			}
			k := &p.order[p.places[id].at]
			p.follow[k.last], k.last = at, at
		}
	}
	for _, k := range p.order {
		t.PutKey(k.key)
		if k.first == k.last {
			t.PutString(p.fields[k.first].value)
			continue
		}
		t.BeginArray()
		for at := k.first; ; at = p.follow[at] {
			t.PutString(p.fields[at].value)
			if at == k.last {
				break
			}
		}
		t.EndContainer()
	}
}

func (p *parser) joinPaths(t *event.Tree) {
	begun := false
	for _, l := range p.lines {
		if string(l.kind) != "PATH" {
			continue
		}
		if !begun {
			begun = true
			t.PutKeyText("paths")
			t.BeginArray()
		}
		t.BeginObject()
		for _, f := range p.fields[l.from:l.to] {
			switch string(f.key) {
			case "type", "node", "timestamp", "serial":
			default:
				t.PutKey(f.key)
				t.PutString(f.value)
			}
		}
		t.EndContainer()
	}
	if begun {
		t.EndContainer()
	}
}
