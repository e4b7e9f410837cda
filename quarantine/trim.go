package quarantine

import (
	"encoding/binary"
	"fmt"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// forget makes the next question for the total add it up again.
func (s *Store) forget(t event.Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bytes, t)
}

func rawBytes(d store.Document) int {
	if len(d.Value) < headBytes {
		return 0
	}
	return int(binary.BigEndian.Uint32(d.Value))
}

// Bytes is what a tenant's entries cost, keys and the like included. The first
// call adds it up, later ones know it; writes that were asked for and not applied
// are counted until a restart.
func (s *Store) Bytes(t event.Tenant) (int64, error) {
	s.mu.Lock()
	total, known := s.bytes[t]
	s.mu.Unlock()
	if known {
		return total, nil
	}
	total = 0
	err := s.records.Scan(store.Range{Tenant: t, Kind: kindEntry}, func(d store.Document) bool {
		total += cost(rawBytes(d), len(d.Value))
		return true
	})
	if err != nil {
		return 0, fmt.Errorf("add up quarantine: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes[t] = total
	return total, nil
}

// Trim deletes the oldest entries until those of a tenant cost no more than
// bytesMax, or [BytesDefault] for 0, and returns how many it deleted, so that they
// can be counted.
func (s *Store) Trim(t event.Tenant, bytesMax int64) (removed int, err error) {
	if bytesMax <= 0 {
		bytesMax = BytesDefault
	}
	for {
		total, err := s.Bytes(t)
		if err != nil {
			return removed, err
		}
		over := total - bytesMax
		if over <= 0 {
			return removed, nil
		}
		var writes []store.Write
		var freed int64
		err = s.records.Scan(store.Range{Tenant: t, Kind: kindEntry}, func(d store.Document) bool {
			writes = append(writes, store.Write{Key: entryKey(t, d.ID)}, store.Write{Key: rawKey(t, d.ID)})
			freed += cost(rawBytes(d), len(d.Value))
			return freed < over && len(writes) < 2*removeBatch
		})
		if err != nil {
			return removed, fmt.Errorf("trim quarantine: %w", err)
		}
		if len(writes) == 0 {
			// The total was too high: of writes that were never applied.
			s.forget(t)
			return removed, nil
		}
		if err := s.records.Apply(writes, store.Relaxed); err != nil {
			s.forget(t)
			return removed, fmt.Errorf("trim quarantine: %w", err)
		}
		removed += len(writes) / 2
		s.mu.Lock()
		if known, ok := s.bytes[t]; ok {
			s.bytes[t] = known - freed
		}
		s.mu.Unlock()
	}
}
