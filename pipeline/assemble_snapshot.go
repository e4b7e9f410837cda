package pipeline

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/tiercel-io/tiercel/store/wire"
)

// assemblerVersion is the version of an assembler's snapshot. One of version 1
// has no audit events.
const assemblerVersion = 2

// ErrAssembler is returned for a snapshot that cannot be read; what waited for
// its parts is then lost and must be read again.
var ErrAssembler = errors.New("unusable snapshot of events in parts")

// AppendSnapshot appends what waits. Rules are named by their ids, so that a
// snapshot outlives a change of content.
func (a *Assembler) AppendSnapshot(dst []byte) []byte {
	dst = append(dst, assemblerVersion)
	dst = binary.AppendUvarint(dst, uint64(a.lost))
	dst = binary.AppendUvarint(dst, uint64(len(a.order)))
	rules := a.engine.Rules()
	for _, key := range a.order {
		w := a.wait[key]
		dst = wire.AppendText(dst, key)
		dst = binary.AppendUvarint(dst, uint64(len(w.texts)))
		for i, text := range w.texts {
			dst = wire.AppendBool(dst, text != nil)
			if text == nil {
				continue
			}
			dst = wire.AppendText(dst, text)
			dst = append(dst, w.evidence[i].ID[:]...)
			dst = append(dst, w.evidence[i].RawHash[:]...)
		}
		var ids []string
		for _, r := range w.reported {
			ids = append(ids, rules[r].ID)
		}
		dst = wire.AppendTexts(dst, ids)
	}
	return a.appendJoins(dst)
}

// RestoreSnapshot takes in what waited when a snapshot was taken, in place of
// what waits now. Rules that the engine does not have are forgotten.
func (a *Assembler) RestoreSnapshot(b []byte) error {
	a.Reset()
	index := make(map[string]int)
	for i, r := range a.engine.Rules() {
		index[r.ID] = i
	}
	d := wire.Decoder{B: b}
	version := d.Byte()
	if version < 1 || version > assemblerVersion {
		return ErrAssembler
	}
	a.lost = int64(d.Uvarint())
	a.lostTold = a.lost
	for range d.Count(3) {
		key, total := d.Text(), d.Count(1)
		if total < 2 || total > partsMax || a.wait[key] != nil {
			a.Reset()
			return ErrAssembler
		}
		w := &whole{texts: make([][]byte, total), evidence: make([]Evidence, total), missing: total, bytes: len(key) + total*placeBytes}
		for i := range w.texts {
			if !d.Bool() {
				continue
			}
			w.texts[i] = append([]byte{}, d.Bytes()...)
			copy(w.evidence[i].ID[:], d.Take(len(w.evidence[i].ID)))
			copy(w.evidence[i].RawHash[:], d.Take(len(w.evidence[i].RawHash)))
			w.missing--
			w.bytes += len(w.texts[i])
		}
		for _, id := range d.Texts() {
			if r, ok := index[id]; ok {
				w.reported = append(w.reported, r)
			}
		}
		a.wait[key] = w
		a.order = append(a.order, key)
		a.bytes += w.bytes
	}
	if version > 1 && !a.restoreJoins(&d, index) || d.Failed || len(d.B) != 0 {
		a.Reset()
		return ErrAssembler
	}
	return nil
}

// Move renames what is remembered from the rules of one engine to those of
// another.
func (g *Groups) Move(from, to Engine) {
	d := wire.Decoder{B: g.AppendSnapshot(nil, from)}
	g.RestoreSnapshot(&d, to)
}

// AppendSnapshot appends which rules were reported for the last groups, by
// their ids.
func (g *Groups) AppendSnapshot(dst []byte, e Engine) []byte {
	rules := e.Rules()
	dst = binary.AppendUvarint(dst, uint64(len(g.order)))
	for _, group := range g.order {
		dst = binary.AppendUvarint(dst, group)
		var ids []string
		for _, r := range g.seen[group] {
			ids = append(ids, rules[r].ID)
		}
		dst = wire.AppendTexts(dst, ids)
	}
	return dst
}

// RestoreSnapshot takes in what AppendSnapshot wrote, in place of what is
// remembered, and leaves what stands behind it in d.
func (g *Groups) RestoreSnapshot(d *wire.Decoder, e Engine) {
	g.Reset()
	index := make(map[string]int)
	for i, r := range e.Rules() {
		index[r.ID] = i
	}
	for range min(d.Count(2), groupsMax) {
		group := d.Uvarint()
		var reported []int
		for _, id := range d.Texts() {
			if r, ok := index[id]; ok {
				reported = append(reported, r)
			}
		}
		if d.Failed || slices.Contains(g.order, group) {
			continue
		}
		if g.seen == nil {
			g.seen = make(map[uint64][]int)
		}
		g.seen[group] = reported
		g.order = append(g.order, group)
	}
}
