package stream

import (
	"encoding/binary"
	"errors"

	"github.com/tiercel-io/tiercel/health"
	"github.com/tiercel-io/tiercel/pipeline"
	"github.com/tiercel-io/tiercel/store/wire"
)

// feedVersion is the version of a feed's state. Version 1 had no scope.
const feedVersion = 2

var errFeed = errors.New("unusable state of a source")

// encode returns the feed's state behind what was collected.
func (f *feed) encode() []byte {
	dst := binary.AppendVarint([]byte{feedVersion}, f.collected)
	dst = append(dst, f.content.Version[:]...)
	dst = binary.AppendVarint(dst, f.watermark)
	dst = binary.AppendVarint(dst, f.lastSeen)
	dst = wire.AppendText(dst, f.assembler.AppendSnapshot(nil))
	dst = f.groups.AppendSnapshot(dst, f.content.Sigma)
	dst = wire.AppendText(dst, f.sequences.Encode())
	dst = wire.AppendTexts(dst, sortedKeys(f.views))
	return binary.AppendVarint(wire.AppendText(dst, f.source.scope()), f.since)
}

// snapshotNext is the offset that a state was taken at.
func snapshotNext(state []byte) int64 {
	d := wire.Decoder{B: state[1:]}
	return d.Varint()
}

// decode takes up a state.
func (f *feed) decode(state []byte, contents func(Version) (*Content, error)) error {
	d := wire.Decoder{B: state}
	version := d.Byte()
	if version != 1 && version != feedVersion {
		return errFeed
	}
	next := d.Varint()
	var v Version
	copy(v[:], d.Take(len(v)))
	watermark, seen, waiting := d.Varint(), d.Varint(), d.Bytes()
	if d.Failed {
		return errFeed
	}
	c, err := contents(v)
	if err != nil {
		return err
	}
	f.settle(c)
	if err := f.assembler.RestoreSnapshot(waiting); err != nil {
		return err
	}
	f.groups.RestoreSnapshot(&d, pipeline.Engine(c.Sigma))
	numbers, views := d.Bytes(), d.Texts()
	f.since = next
	if version > 1 {
		if scope, since := d.Text(), d.Varint(); scope == f.source.scope() {
			f.since = since
		}
	}
	if d.Failed {
		return errFeed
	}
	if q, err := health.RestoreSequences(sequencesConfig(f.source), numbers); err == nil {
		f.sequences = q
	}
	f.views = make(map[string]bool)
	for _, v := range views {
		f.views[v] = true
	}
	f.next, f.collected, f.watermark, f.lastSeen = next, next, watermark, seen
	return nil
}
