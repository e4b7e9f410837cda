package detection

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Bounds of one answer of a reader.
const (
	feedCountMax = 100
	feedBytesMax = 4 << 20
)

// Reader follows the changes of a tenant's detections. It is for one goroutine.
type Reader struct {
	store  *Store
	tenant event.Tenant
	after  uint64
}

// Feed returns a reader of the changes behind a number: 0 for all there are,
// [Store.Latest] for those to come, or the Seq of the last detection that an
// earlier reader gave. It holds nothing that must be released.
func (s *Store) Feed(t event.Tenant, after uint64) *Reader {
	return &Reader{store: s, tenant: t, after: after}
}

// Latest is the number of the newest change, 0 when there was none.
func (s *Store) Latest(t event.Tenant) (uint64, error) {
	f := s.feed(t)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.load(s, t); err != nil {
		return 0, err
	}
	return f.Last, nil
}

// Next waits until there are changes and returns some of them, at least one, in
// order of Seq. A detection that changed several times may come only as it is
// now; none is missed and none comes twice as the same change. What it returns is
// the caller's. Its error is that of ctx, or of the store.
func (r *Reader) Next(ctx context.Context) ([]*Detection, error) {
	f := r.store.feed(r.tenant)
	for {
		// Taken before looking, so that a change in between wakes.
		changed := f.wait()
		list, more, err := r.take()
		if err != nil || len(list) > 0 {
			return list, err
		}
		if more {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take reads on; more says that it stopped before the end.
func (r *Reader) take() (list []*Detection, more bool, err error) {
	type entry struct {
		seq uint64
		id  string
	}
	var entries []entry
	// What is being written is not shown before it is kept as its writer asked:
	// a reader must not be told what a crash could take back.
	last, err := r.store.Latest(r.tenant)
	if err != nil {
		return nil, false, err
	}
	err = r.store.records.Scan(store.Range{Tenant: r.tenant, Kind: kindSeq, From: seqID(r.after) + "\x00"}, func(d store.Document) bool {
		if len(d.ID) != 8 {
			return true
		}
		seq := binary.BigEndian.Uint64([]byte(d.ID))
		if seq > last {
			return false
		}
		if more = len(entries) == feedCountMax; more {
			return false
		}
		entries = append(entries, entry{seq, string(d.Value)})
		return true
	})
	if err != nil {
		return nil, false, fmt.Errorf("follow detections: %w", err)
	}
	size := 0
	for _, e := range entries {
		d, bytes, err := r.store.load(r.tenant, e.id)
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return nil, false, fmt.Errorf("follow detections: %w", err)
		case d.Seq != e.seq: // it changed meanwhile and stands further on
		case size+bytes > feedBytesMax && len(list) > 0:
			return list, true, nil
		default:
			size += bytes
			list = append(list, d)
		}
		r.after = e.seq
	}
	return list, more, nil
}
