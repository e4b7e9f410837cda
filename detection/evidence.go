package detection

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Kinds of the documents that hold evidence: by event id, and by the day it was
// received for removing what is old.
const (
	kindEvidence    = "evidence"
	kindEvidenceDay = "evidence_day"
)

// EvidenceWrites are the writes that keep a piece of evidence. Detections name
// evidence by event id; [Attach] puts the two together again.
func EvidenceWrites(t event.Tenant, e *Evidence) []store.Write {
	kept := *e
	if len(kept.Event) > EventBytesMax {
		kept.Event = nil
	}
	value, err := json.Marshal(&kept)
	if err != nil { // the event is no JSON
		kept.Event = nil
		value, _ = json.Marshal(&kept)
	}
	return []store.Write{
		{Key: store.Key{Tenant: t, Kind: kindEvidence, ID: e.EventID}, Value: value},
		{Key: store.Key{Tenant: t, Kind: kindEvidenceDay, ID: e.Received.UTC().Format(time.DateOnly) + "/" + e.EventID}, Value: []byte{}},
	}
}

// LoadEvidence returns what is kept of an event, or store.ErrNotFound.
func LoadEvidence(records store.Records, t event.Tenant, id string) (*Evidence, error) {
	doc, err := records.Get(store.Key{Tenant: t, Kind: kindEvidence, ID: id})
	if err != nil {
		return nil, err
	}
	e := &Evidence{}
	if err := json.Unmarshal(doc.Value, e); err != nil {
		return nil, fmt.Errorf("evidence of event %s: %w", id, err)
	}
	return e, nil
}

// Attach fills the evidence of a detection with what is kept of its events.
// Events that are not kept any more stay as they are: an id.
func Attach(records store.Records, t event.Tenant, d *Detection) error {
	for i := range d.Evidence {
		e, err := LoadEvidence(records, t, d.Evidence[i].EventID)
		switch {
		case err == nil:
			d.Evidence[i] = *e
		case !isNotFound(err):
			return err
		}
	}
	return nil
}

// TrimEvidence removes evidence received before a day, at most limit pieces, and
// returns how many.
func TrimEvidence(records store.Records, t event.Tenant, before time.Time, limit int) (int, error) {
	var writes []store.Write
	n := 0
	err := records.Scan(store.Range{Tenant: t, Kind: kindEvidenceDay, To: before.UTC().Format(time.DateOnly)}, func(d store.Document) bool {
		const day = len(time.DateOnly) + 1
		if len(d.ID) > day {
			writes = append(writes, store.Write{Key: store.Key{Tenant: t, Kind: kindEvidence, ID: d.ID[day:]}})
		}
		writes = append(writes, store.Write{Key: store.Key{Tenant: t, Kind: kindEvidenceDay, ID: d.ID}})
		n++
		return n < limit
	})
	if err != nil || n == 0 {
		return 0, err
	}
	return n, records.Apply(writes, store.Relaxed)
}

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }
