package pebble

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	upstream "github.com/cockroachdb/pebble/v2"

	"github.com/tiercel-io/tiercel/store"
)

// versionBytes is what stands before each value.
const versionBytes = 8

// read returns a copy of what stands at a key.
func (e *Engine) read(key []byte) ([]byte, error) {
	value, closer, err := e.db.Get(key)
	if errors.Is(err, upstream.ErrNotFound) {
		return nil, store.ErrNotFound
	}
	if err != nil {
		return nil, judge(err)
	}
	out := bytes.Clone(value)
	return out, judge(closer.Close())
}

// split parts a stored value into version and document.
func split(stored []byte) (uint64, []byte, error) {
	if len(stored) < versionBytes {
		return 0, nil, fmt.Errorf("%w: a document of %d bytes has no version", ErrDamaged, len(stored))
	}
	return binary.BigEndian.Uint64(stored), stored[versionBytes:], nil
}

// Get implements store.Records.
func (e *Engine) Get(k store.Key) (store.Document, error) {
	key, err := encode(k)
	if err != nil {
		return store.Document{}, err
	}
	if err := e.enter(); err != nil {
		return store.Document{}, err
	}
	defer e.inflight.Done()
	stored, err := e.read(key)
	if err != nil {
		return store.Document{}, fmt.Errorf("get %s %.100q: %w", k.Kind, k.ID, err)
	}
	version, value, err := split(stored)
	if err != nil {
		return store.Document{}, fmt.Errorf("get %s %.100q: %w", k.Kind, k.ID, err)
	}
	return store.Document{ID: k.ID, Value: value, Version: version}, nil
}

// Apply implements store.Records. Conditions are judged by what stood before the
// call; of several writes of one document the last holds. Without writes, and
// durable, it makes what came before durable.
func (e *Engine) Apply(writes []store.Write, d store.Durability) error {
	keys := make([][]byte, len(writes))
	size := 0
	for i, w := range writes {
		key, err := encode(w.Key)
		if err != nil {
			return err
		}
		if len(w.Value) > valueBytesMax {
			return fmt.Errorf("put %s %.100q: %d bytes are more than the %d a document may have", w.Key.Kind, w.Key.ID, len(w.Value), valueBytesMax)
		}
		keys[i] = key
		size += len(key) + versionBytes + len(w.Value) + 16
	}
	if size > applyBytesMax {
		return fmt.Errorf("apply %d writes: %d bytes are more than the %d of one call", len(writes), size, applyBytesMax)
	}
	return e.commit(d, size, func(b *upstream.Batch, version uint64) error {
		for i, w := range writes {
			if err := e.condition(keys[i], w); err != nil {
				return err
			}
		}
		for i, w := range writes {
			if w.Value == nil {
				if err := b.Delete(keys[i], nil); err != nil {
					return err
				}
				continue
			}
			op := b.SetDeferred(len(keys[i]), versionBytes+len(w.Value))
			copy(op.Key, keys[i])
			binary.BigEndian.PutUint64(op.Value, version)
			copy(op.Value[versionBytes:], w.Value)
			if err := op.Finish(); err != nil {
				return err
			}
		}
		return nil
	})
}

// condition checks one write's If. The caller holds writing.
func (e *Engine) condition(key []byte, w store.Write) error {
	if w.If == nil {
		return nil
	}
	var have uint64
	stored, closer, err := e.db.Get(key)
	switch {
	case errors.Is(err, upstream.ErrNotFound):
	case err != nil:
		return judge(err)
	default:
		have, _, err = split(stored)
		if err := errors.Join(err, closer.Close()); err != nil {
			return err
		}
	}
	if have != *w.If {
		return fmt.Errorf("write %s %.100q: %w", w.Key.Kind, w.Key.ID, store.ErrConflict)
	}
	return nil
}

// DeleteRange implements store.Records.
func (e *Engine) DeleteRange(r store.Range, d store.Durability) error {
	low, high, _, err := bounds(r)
	if err != nil {
		return err
	}
	if bytes.Compare(low, high) >= 0 {
		return e.commit(d, 0, func(*upstream.Batch, uint64) error { return nil })
	}
	return e.commit(d, len(low)+len(high)+16, func(b *upstream.Batch, _ uint64) error {
		return b.DeleteRange(low, high, nil)
	})
}

// commit fills a batch under the lock, hands it to Pebble with the counter, and
// waits for the disk outside of the lock when it is to be durable.
func (e *Engine) commit(d store.Durability, size int, fill func(b *upstream.Batch, version uint64) error) error {
	if err := e.enter(); err != nil {
		return err
	}
	defer e.inflight.Done()
	b := e.db.NewBatchWithSize(size + 64)
	defer b.Close() // nothing but memory, which is returned to a pool
	durable := d == store.Durable && !e.nosync
	if err := e.hand(b, durable, fill); err != nil {
		return err
	}
	if durable {
		if err := b.SyncWait(); err != nil {
			e.fail(err)
			return fmt.Errorf("sync documents in %q: %w: %w; open them again", e.dir, store.ErrFailed, err)
		}
	}
	return nil
}

func (e *Engine) hand(b *upstream.Batch, durable bool, fill func(b *upstream.Batch, version uint64) error) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := e.refused(); err != nil {
		return fmt.Errorf("write documents in %q: %w: an earlier write failed (%w); open them again", e.dir, store.ErrFailed, err)
	}
	version := e.version + 1
	if err := fill(b, version); err != nil {
		return err
	}
	if err := b.Set(counterKey, binary.BigEndian.AppendUint64(nil, version), nil); err != nil {
		return err
	}
	if err := e.give(b, durable); err != nil {
		e.fail(err)
		return fmt.Errorf("write documents in %q: %w: %w; open them again", e.dir, store.ErrFailed, err)
	}
	e.version = version
	return nil
}

// give commits without waiting for the disk. Pebble reports a failed commit
// through its logger, which must not return: it panics with a fatal, that is
// taken back here.
func (e *Engine) give(b *upstream.Batch, durable bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(*fatal)
			if !ok {
				panic(r)
			}
			err = f
		}
	}()
	if durable {
		return e.db.ApplyNoSyncWait(b, upstream.Sync)
	}
	return e.db.Apply(b, upstream.NoSync)
}

// Scan implements store.Records. What it reads is pinned until it returns: a
// visit should not take long. visit may call the engine.
func (e *Engine) Scan(r store.Range, visit func(store.Document) bool) (err error) {
	low, high, skip, err := bounds(r)
	if err != nil {
		return err
	}
	if err := e.enter(); err != nil {
		return err
	}
	defer e.inflight.Done()
	if bytes.Compare(low, high) >= 0 {
		return nil
	}
	it, err := e.db.NewIter(&upstream.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return fmt.Errorf("scan %s: %w", r.Kind, judge(err))
	}
	defer func() {
		if failed := it.Close(); failed != nil && err == nil {
			err = fmt.Errorf("scan %s: %w", r.Kind, judge(failed))
		}
	}()
	first, next := it.First, it.Next
	if r.Reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		stored, err := it.ValueAndErr()
		if err != nil {
			return fmt.Errorf("scan %s: %w", r.Kind, judge(err))
		}
		version, value, err := split(stored)
		if err != nil {
			return fmt.Errorf("scan %s: %w", r.Kind, err)
		}
		if !visit(store.Document{ID: string(it.Key()[skip:]), Value: value, Version: version}) {
			return nil
		}
	}
	return nil
}
