package ledger

import (
	"encoding/json"
	"fmt"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// RemainingMax bounds the runs that an [UpstreamGap] lists.
const RemainingMax = 1_024

// Numbers is a run of numbers, both ends included.
type Numbers struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// UpstreamGap is a run of records that the sender numbered and that never came.
type UpstreamGap struct {
	// ID is the finding's.
	ID string `json:"id"`
	// Source is the configured feed, Kind what numbers the stream
	// (event_record_id, audit_serial, sensor_sequence), Host and Channel whose it
	// is.
	Source  string `json:"source"`
	Kind    string `json:"kind"`
	Host    string `json:"host,omitempty"`
	Channel string `json:"channel,omitempty"`
	Numbers
	// Missing is how many were missing when it was found; Approximate says that
	// it is the least there were.
	Missing     uint64 `json:"missing"`
	Approximate bool   `json:"approximate,omitempty"`
	// Before and After are the event times of the neighbouring records and
	// FoundAt is the receive time of the finding, in microseconds since 1970.
	Before  int64 `json:"before_us,omitempty"`
	After   int64 `json:"after_us,omitempty"`
	FoundAt int64 `json:"found_at_us"`
	// FilledAt is when some of it came after all, or 0; Remaining is then what
	// is still missing, the first [RemainingMax] runs, and none when all came.
	FilledAt  int64     `json:"filled_at_us,omitempty"`
	Remaining []Numbers `json:"remaining,omitempty"`
}

// Write returns the document of a gap. A gap that was filled replaces what was
// written when it was found, for FoundAt and ID stay.
func (g UpstreamGap) Write(tenant event.Tenant) store.Write {
	g.Remaining = g.Remaining[:min(len(g.Remaining), RemainingMax)]
	// A struct of texts and numbers always encodes.
	value, _ := json.Marshal(g)
	return store.Write{Key: store.Key{Tenant: tenant, Kind: KindUpstreamGap, ID: fmt.Sprintf("%020d/%s", max(g.FoundAt, 0), g.ID)}, Value: value}
}

// ListUpstreamGaps returns the gaps found at from <= t < to in microseconds, of
// one source or of all (""), in the order they were found: at most [ListMax],
// and whether there are more.
func ListUpstreamGaps(scan Scan, tenant event.Tenant, source string, from, to int64) (list []UpstreamGap, more bool, err error) {
	r := store.Range{Tenant: tenant, Kind: KindUpstreamGap, From: fmt.Sprintf("%020d", max(from, 0)), To: fmt.Sprintf("%020d", max(to, 0))}
	err = documents(scan, r, func(_ string, g UpstreamGap) bool {
		if source != "" && g.Source != source {
			return true
		}
		if len(list) == ListMax {
			more = true
			return false
		}
		list = append(list, g)
		return true
	})
	return list, more, err
}
