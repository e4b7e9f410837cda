package ledger

import (
	"fmt"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// trimBatch is how many intervals one change deletes, so that a change stays
// small.
const trimBatch = 1_000

// Trim deletes what is older than a minute: cells, upstream gaps found before,
// and intervals that ended before. Open intervals stay. It must stay behind
// what can still be handed over again after a restart; a delta that comes for a
// deleted cell would begin it anew.
func Trim(records store.Records, tenant event.Tenant, before int64) error {
	if before <= 0 {
		return nil
	}
	before = min(before, minuteMax)
	micros := before * 60_000_000
	ranges := []store.Range{
		{Tenant: tenant, Kind: KindReceived, To: cellID("", before)},
		{Tenant: tenant, Kind: KindEvaluated, To: cellID("", before)},
		{Tenant: tenant, Kind: KindUpstreamGap, To: fmt.Sprintf("%020d", micros)},
	}
	for _, r := range ranges {
		if err := records.DeleteRange(r, store.Relaxed); err != nil {
			return fmt.Errorf("trim %s of tenant %q: %w", r.Kind, tenant, err)
		}
	}
	for {
		var writes []store.Write
		r := store.Range{Tenant: tenant, Kind: KindRuleGap, To: fmt.Sprintf("%020d", micros)}
		err := documents(records.Scan, r, func(id string, i Interval) bool {
			if i.To != 0 && i.To <= micros {
				writes = append(writes, store.Write{Key: store.Key{Tenant: tenant, Kind: KindRuleGap, ID: id}})
			}
			return len(writes) < trimBatch
		})
		if err != nil {
			return err
		}
		if len(writes) == 0 {
			return nil
		}
		if err := records.Apply(writes, store.Relaxed); err != nil {
			return fmt.Errorf("trim %s of tenant %q: %w", KindRuleGap, tenant, err)
		}
		if len(writes) < trimBatch {
			return nil
		}
	}
}
