package event

import (
	"strings"
	"unicode/utf8"
)

// Flags say what makes a record's parsed form doubtful, though it was read: the
// ways in which a value can be kept from who looks for it. A flagged record is
// evaluated as any other.
type Flags uint8

// The flags of a record.
const (
	// DuplicateField: an object has a key twice, or two spellings of one key that
	// a lookup of the plan leads to: both by folding [D22], or one as it is
	// written and the other differing in case only. Programs differ in which of
	// the values they take. The fields that Linux audit writes twice on purpose,
	// as uid and UID, are two fields.
	DuplicateField Flags = 1 << iota
	// InvalidText: a key or a text was no Unicode (invalid UTF-8, half of a
	// surrogate pair) and shows U+FFFD in its place.
	InvalidText
)

// Repaired reports whether a text of the tree was not valid Unicode, so that it
// shows U+FFFD where the record has something else. Keys that were put by hand
// are not looked at; see [Reader.Flags].
func (t *Tree) Repaired() bool { return t.repaired }

// NoteRepaired tells that text given to the tree was repaired by who decoded it.
func (t *Tree) NoteRepaired() { t.repaired = true }

// Flags returns the flags of the record that the reader is bound to.
func (r *Reader) Flags() Flags {
	f := r.shape.flags
	if r.tree.repaired {
		f |= InvalidText
	}
	return f
}

// DuplicateMember returns the node of the member for which [DuplicateField] is
// set, the later of two, or -1.
func (r *Reader) DuplicateMember() int {
	if r.shape.flags&DuplicateField == 0 {
		return -1
	}
	return int(r.shape.twice)
}

// sibling are two members of one object whose keys fold alike.
type sibling struct {
	fold          string
	first, second uint32
}

// siblingsMax bounds the pairs of spellings that are looked at in one shape:
// those of a record that has more count as two of one field.
const siblingsMax = 64

// doubtKeys sets the flags that keys alone decide.
func (s *shape) doubtKeys(p *Plan, t *Tree, siblings []sibling) {
	for i := range t.Len() {
		if !utf8.Valid(t.Key(i)) {
			s.flags |= InvalidText
			break
		}
	}
	if s.flags&DuplicateField != 0 || len(siblings) == 0 {
		return
	}
	if len(siblings) > siblingsMax {
		s.flags |= DuplicateField
		s.twice = siblings[0].second
		return
	}
	for i := range siblings {
		if p.reachesBoth(s, t, &siblings[i]) {
			s.flags |= DuplicateField
			s.twice = siblings[i].second
			return
		}
	}
}

// enriched are the fields that Linux audit writes as a number and, with its name
// in capitals, as what the number stands for (log_format = ENRICHED), and those
// that programs reading it add alike.
var enriched = map[string]bool{
	"ARCH": true, "SYSCALL": true, "SADDR": true, "UID": true, "AUID": true, "EUID": true, "SUID": true, "FSUID": true, "OUID": true, "OAUID": true, "IUID": true,
	"GID": true, "EGID": true, "SGID": true, "FSGID": true, "OGID": true, "IGID": true, "NEW_GID": true, "OLD-AUID": true, "OBJ_UID": true, "OBJ_GID": true,
	"INODE_UID": true, "INODE_GID": true, "SAUID": true, "ID": true, "PID": true, "PPID": true,
}

// onPurpose reports whether two spellings are those of two fields of audit.
func onPurpose(a, b string) bool {
	if a > b { // capitals come first
		a, b = b, a
	}
	return enriched[a] && strings.ToLower(a) == b
}

// reachesBoth reports whether a lookup leads to both members, so that one of
// them stands for a field that the other was given for.
func (p *Plan) reachesBoth(s *shape, t *Tree, x *sibling) bool {
	under := func(member uint32, n int) bool { return n >= int(member) && n < t.End(int(member)) }
	a, b := string(t.Key(int(x.first))), string(t.Key(int(x.second)))
	if onPurpose(a, b) {
		return false
	}
	caseOnly := FoldString(a) == FoldString(b)
	for i := range p.paths {
		c := &p.paths[i]
		if !c.names(x.fold) {
			continue
		}
		first, second := false, false
		s.walk(p, t, 0, c, 0, true, func(n int) {
			first = first || under(x.first, n)
			second = second || under(x.second, n)
		})
		if !first || !second {
			continue
		}
		exact := false
		s.walk(p, t, 0, c, 0, false, func(int) { exact = true })
		if !exact || caseOnly {
			return true
		}
	}
	return false
}

// names reports whether a run of the path's steps is a folded name.
func (c *path) names(fold string) bool {
	for _, runs := range c.runs {
		for i := range runs {
			if runs[i].fold == fold {
				return true
			}
		}
	}
	return false
}
