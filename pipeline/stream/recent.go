package stream

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/tiercel-io/tiercel/detection"
	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/store"
)

// recent holds the evidence of the commit under way, and that of the last ones
// for the sentences of detections. It belongs to one goroutine.
type recent struct {
	evidence map[event.ID]*detection.Evidence
	order    []event.ID // oldest first
	bytes    int
	fresh    []event.ID // not written yet
}

// recentBytesMax bounds what is held; what is gone is read from the store.
const recentBytesMax = 16 << 20

func newRecent() *recent { return &recent{evidence: make(map[event.ID]*detection.Evidence)} }

func (r *recent) add(t event.Tenant, x *Section, e *Evidence) {
	doc := &detection.Evidence{
		EventID: e.ID.String(), RawHash: hex.EncodeToString(e.RawHash[:]), Source: x.Source,
		Partition: store.Partition{Tenant: t, Kind: ingest.KindEvents, Source: x.Source, Shard: x.Shard}.String(),
		Offset:    x.Offset, Index: e.Index, Time: time.UnixMicro(e.Time).UTC(), Received: time.UnixMicro(x.Received).UTC(), Host: e.Host,
	}
	for _, id := range e.Parts {
		doc.Parts = append(doc.Parts, id.String())
	}
	if json.Valid(e.Event) {
		doc.Event = slices.Clone(e.Event)
	}
	if old := r.evidence[e.ID]; old != nil {
		// The whole of an event in parts follows its last part: its text is the
		// one to show, and what the part met stays true.
		doc.Rules, doc.Fields = old.Rules, old.Fields
		r.bytes -= size(old)
	} else {
		r.order = append(r.order, e.ID)
	}
	r.evidence[e.ID] = doc
	r.bytes += size(doc)
	if !slices.Contains(r.fresh, e.ID) {
		r.fresh = append(r.fresh, e.ID)
	}
}

func size(e *detection.Evidence) int { return len(e.Event) + 64*len(e.Parts) + 512 }

// hit adds to an event what it met.
func (r *recent) hit(id event.ID, h *Hit) {
	e := r.evidence[id]
	if e == nil || slices.Contains(e.Rules, h.Rule) {
		return
	}
	e.Rules = append(e.Rules, h.Rule)
	for i := 0; i+1 < len(h.Fields); i += 2 {
		f := detection.Field{Field: h.Fields[i], Value: h.Fields[i+1]}
		if !slices.Contains(e.Fields, f) {
			e.Fields = append(e.Fields, f)
		}
	}
}

// writes are the documents of what came since the last call.
func (r *recent) writes(t event.Tenant) []store.Write {
	var out []store.Write
	for _, id := range r.fresh {
		if e := r.evidence[id]; e != nil {
			out = append(out, detection.EvidenceWrites(t, e)...)
		}
	}
	r.fresh = r.fresh[:0]
	for r.bytes > recentBytesMax {
		id := r.order[0]
		r.order = r.order[1:]
		r.bytes -= size(r.evidence[id])
		delete(r.evidence, id)
	}
	return out
}

// get returns the evidence of an event, or nil when it is not kept any more.
func (r *recent) get(records store.Records, t event.Tenant, id event.ID) (*detection.Evidence, error) {
	if e := r.evidence[id]; e != nil {
		return e, nil
	}
	e, err := detection.LoadEvidence(records, t, id.String())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return e, err
}
