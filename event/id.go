package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
)

// ID identifies an event, a detection or a revision. It is derived from what
// the thing is, never from a clock, a node or chance, so that computing it again
// gives the same id. Its first byte is the version of the derivation, the rest
// the first 15 bytes of a SHA-256: 120 bits, in which 10^12 things have a chance
// of 4·10^-13 of any collision.
type ID [16]byte

// idVersion is the version of all derivations in this file. Change it with any
// change to them; the golden vectors in the tests hold each version for ever.
const idVersion = 1

// String returns the id as 32 lower-case hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// The kinds of thing, first in each hash, so that no two kinds share ids.
const (
	idEvent     = "event"
	idDetection = "detection"
	idRevision  = "revision"
	idFinding   = "finding"
)

// hasher hashes fields in the canonical encoding: each is preceded by its
// length as eight bytes, most significant first, so no two lists of fields
// encode alike.
type hasher struct{ buf []byte }

func (h *hasher) add(field []byte) {
	h.buf = binary.BigEndian.AppendUint64(h.buf, uint64(len(field)))
	h.buf = append(h.buf, field...)
}

func (h *hasher) addText(s string) {
	h.buf = binary.BigEndian.AppendUint64(h.buf, uint64(len(s)))
	h.buf = append(h.buf, s...)
}

func (h *hasher) addNumber(n uint64) {
	h.add(binary.BigEndian.AppendUint64(nil, n))
}

func (h *hasher) id() ID {
	sum := sha256.Sum256(h.buf)
	var id ID
	id[0] = idVersion
	copy(id[1:], sum[:])
	return id
}

// Position is where an event stood when it was received: what makes it itself
// and not another event with the same bytes. Make one with [NativePosition],
// [FilePosition] or [BatchPosition].
type Position struct {
	kind  string
	key   []byte
	index uint64
}

// NativePosition is an id that the source itself gives each event.
func NativePosition(id []byte) Position { return Position{kind: "native", key: id} }

// FilePosition is a byte offset in a file known by its fingerprint.
func FilePosition(fingerprint [sha256.Size]byte, offset int64) Position {
	return Position{kind: "file", key: fingerprint[:], index: uint64(offset)}
}

// BatchPosition is the index of an event in a batch: key is the client's own
// for the batch, or the hash of its body.
func BatchPosition(key []byte, index int) Position {
	return Position{kind: "batch", key: key, index: uint64(index)}
}

// FingerprintBytes is how much of a file's beginning its fingerprint covers;
// a file that grows keeps its fingerprint once it is that long.
const FingerprintBytes = 4096

// Fingerprint identifies a file by its first bytes, at most
// [FingerprintBytes].
func Fingerprint(head []byte) [sha256.Size]byte {
	return sha256.Sum256(head[:min(len(head), FingerprintBytes)])
}

// EventID derives the id of an event.
func EventID(tenant Tenant, source string, at Position) ID {
	var h hasher
	h.addText(idEvent)
	h.addText(tenant.name)
	h.addText(source)
	h.addText(at.kind)
	h.add(at.key)
	h.addNumber(at.index)
	return h.id()
}

// GroupValue is one component of a group key: the field and its value.
type GroupValue struct{ Field, Value string }

// DetectionID derives the id of a detection: semanticHash is the rule's
// (rule.Rule.SemanticHash), group its group key in the rule's order, anchor the
// id of the episode's first deciding event in event time.
func DetectionID(tenant Tenant, ruleID, semanticHash string, group []GroupValue, anchor ID) ID {
	var h hasher
	h.addText(idDetection)
	h.addText(tenant.name)
	h.addText(ruleID)
	h.addText(semanticHash)
	h.addNumber(uint64(len(group)))
	for _, g := range group {
		h.addText(g.Field)
		h.addText(g.Value)
	}
	h.add(anchor[:])
	return h.id()
}

// RevisionID derives the revision of a detection from its evidence, in any
// order; the argument is not changed.
func RevisionID(evidence []ID) ID {
	sorted := slices.Clone(evidence)
	slices.SortFunc(sorted, func(a, b ID) int { return bytes.Compare(a[:], b[:]) })
	var h hasher
	h.addText(idRevision)
	h.addNumber(uint64(len(sorted)))
	for _, id := range sorted {
		h.add(id[:])
	}
	return h.id()
}

// FindingID derives the id of a finding about a source's health: what was
// found, and the parts that make it this one and no other, such as the source
// and since when.
func FindingID(tenant Tenant, what string, parts ...string) ID {
	var h hasher
	h.addText(idFinding)
	h.addText(tenant.name)
	h.addText(what)
	h.addNumber(uint64(len(parts)))
	for _, p := range parts {
		h.addText(p)
	}
	return h.id()
}
