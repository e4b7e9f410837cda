package stream

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/klauspost/compress/s2"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// errState is returned for state that is not what was written.
var errState = errors.New("stored state is damaged")

// saveState writes a state of any size as documents of at most snapshotChunk,
// all or nothing, durably. The first holds the number of the others and the hash
// of the whole.
func saveState(records store.Records, t event.Tenant, kind, id string, state []byte) error {
	packed := s2.Encode(nil, state)
	sum := sha256.Sum256(packed)
	var writes []store.Write
	n := 0
	for chunk := range slices.Chunk(packed, snapshotChunk) {
		writes = append(writes, store.Write{Key: store.Key{Tenant: t, Kind: kind, ID: chunkID(id, n)}, Value: chunk})
		n++
	}
	head := append(binary.AppendUvarint(nil, uint64(n)), sum[:]...)
	writes = append(writes, store.Write{Key: store.Key{Tenant: t, Kind: kind, ID: id}, Value: head})
	// Chunks of a longer state before this one.
	old, err := records.Get(store.Key{Tenant: t, Kind: kind, ID: id})
	if err == nil {
		had, _ := binary.Uvarint(old.Value)
		for i := n; i < int(had); i++ {
			writes = append(writes, store.Write{Key: store.Key{Tenant: t, Kind: kind, ID: chunkID(id, i)}})
		}
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return records.Apply(writes, store.Durable)
}

// dropState deletes a state.
func dropState(records store.Records, t event.Tenant, kind, id string) error {
	if err := records.Apply([]store.Write{{Key: store.Key{Tenant: t, Kind: kind, ID: id}}}, store.Relaxed); err != nil {
		return err
	}
	return records.DeleteRange(store.Range{Tenant: t, Kind: kind, From: id + "\x00", To: id + "\x01"}, store.Relaxed)
}

// chunkID names a chunk; the NUL keeps it from being an id.
func chunkID(id string, n int) string { return fmt.Sprintf("%s\x00%06d", id, n) }

// loadState reads what saveState wrote: ErrNotFound when there is none.
func loadState(records store.Records, t event.Tenant, kind, id string) ([]byte, error) {
	head, err := records.Get(store.Key{Tenant: t, Kind: kind, ID: id})
	if err != nil {
		return nil, err
	}
	n, size := binary.Uvarint(head.Value)
	if size <= 0 || len(head.Value) != size+sha256.Size {
		return nil, errState
	}
	var packed []byte
	for i := range n {
		chunk, err := records.Get(store.Key{Tenant: t, Kind: kind, ID: chunkID(id, int(i))})
		if err != nil {
			return nil, fmt.Errorf("%w: chunk %d: %w", errState, i, err)
		}
		packed = append(packed, chunk.Value...)
	}
	if sha256.Sum256(packed) != [sha256.Size]byte(head.Value[size:]) {
		return nil, errState
	}
	return s2.Decode(nil, packed)
}
