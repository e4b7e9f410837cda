package pipeline

import (
	"encoding/binary"

	"github.com/tiercel-io/tiercel/format/auditd"
	"github.com/tiercel-io/tiercel/store/wire"
)

// appendJoins appends the audit events that may have more lines.
func (a *Assembler) appendJoins(dst []byte) []byte {
	rules := a.engine.Rules()
	dst = binary.AppendUvarint(dst, uint64(len(a.joins.machines)))
	for _, m := range a.joins.order {
		if m.gone {
			continue
		}
		dst = binary.AppendUvarint(wire.AppendText(dst, m.key), uint64(m.joiner.Len()))
		m.joiner.All(func(e *auditd.Open[openEvent]) bool {
			o := &e.More
			dst = wire.AppendText(wire.AppendText(dst, e.Data), o.beside)
			dst = binary.AppendVarint(binary.AppendUvarint(dst, o.group), o.due)
			dst = binary.AppendUvarint(binary.AppendUvarint(dst, uint64(o.decided)), o.seq)
			s := &o.source
			dst = wire.AppendText(wire.AppendText(dst, s.Path), s.Format)
			dst = binary.AppendVarint(binary.AppendVarint(binary.AppendUvarint(dst, s.Record), s.Line), s.Offset)
			var ids []string
			for _, r := range o.reported {
				ids = append(ids, rules[r].ID)
			}
			dst = wire.AppendTexts(dst, ids)
			for i := range o.parts {
				dst = append(append(dst, o.parts[i].ID[:]...), o.parts[i].RawHash[:]...)
			}
			return true
		})
	}
	return dst
}

// restoreJoins takes in what appendJoins wrote; index names the rules that there
// are. It reports whether it could be read.
func (a *Assembler) restoreJoins(d *wire.Decoder, index map[string]int) bool {
	j := &a.joins
	for range d.Count(2) {
		key, n := d.Text(), d.Count(1)
		if d.Failed || n == 0 || j.machines[key] != nil {
			return false
		}
		m := a.machine(key)
		for range n {
			e, ok := m.joiner.Restore(d.Bytes())
			if !ok {
				return false
			}
			o := &e.More
			if b := d.Bytes(); len(b) > 0 {
				o.beside = append([]byte{}, b...)
			}
			o.group, o.due, o.decided, o.seq = d.Uvarint(), d.Varint(), d.Length(), d.Uvarint()
			o.source = Source{Path: d.Text(), Format: d.Text(), Record: d.Uvarint(), Line: d.Varint(), Offset: d.Varint()}
			for _, id := range d.Texts() {
				if r, ok := index[id]; ok {
					o.reported = append(o.reported, r)
				}
			}
			o.parts = make([]Evidence, e.Lines)
			for i := range o.parts {
				copy(o.parts[i].ID[:], d.Take(len(o.parts[i].ID)))
				copy(o.parts[i].RawHash[:], d.Take(len(o.parts[i].RawHash)))
			}
			// Each line counts without its line end, which openLineBytes has.
			o.bytes = len(key) + len(o.beside) + openEventBytes + len(e.Data) + e.Lines*(openLineBytes-1)
			j.bytes += o.bytes
			j.due = min(j.due, o.due)
		}
	}
	return !d.Failed
}
