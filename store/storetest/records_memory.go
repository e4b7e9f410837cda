package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/tiercel-io/tiercel/event"
	"github.com/tiercel-io/tiercel/store"
)

// Memory is store.Records in memory, for tests of what is built on it. It passes
// the contract; it is slow and obvious. Its zero value is empty and ready, and
// safe for concurrent use.
type Memory struct {
	// Fail, when set, is asked before each write; its error is returned and
	// nothing is written. It is called without locks held.
	Fail func() error

	mu      sync.Mutex
	last    uint64
	applies int
	kinds   map[scope][]store.Document // sorted by id
}

type scope struct {
	tenant event.Tenant
	kind   string
}

const (
	memoryIDBytesMax   = 1 << 10
	memoryKindBytesMax = 100
)

func (m *Memory) check(tenant event.Tenant, kind string) error {
	if tenant.IsZero() || kind == "" || len(kind) > memoryKindBytesMax {
		return fmt.Errorf("a document needs a tenant and a kind of at most %d bytes", memoryKindBytesMax)
	}
	return nil
}

func (m *Memory) checkKey(k store.Key) error {
	if k.ID == "" || len(k.ID) > memoryIDBytesMax {
		return fmt.Errorf("a document needs an id of at most %d bytes", memoryIDBytesMax)
	}
	return m.check(k.Tenant, k.Kind)
}

func (m *Memory) find(k store.Key) (list []store.Document, at int, found bool) {
	list = m.kinds[scope{k.Tenant, k.Kind}]
	at, found = slices.BinarySearchFunc(list, k.ID, func(d store.Document, id string) int { return strings.Compare(d.ID, id) })
	return list, at, found
}

// Get implements store.Records.
func (m *Memory) Get(k store.Key) (store.Document, error) {
	if err := m.checkKey(k); err != nil {
		return store.Document{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	list, at, found := m.find(k)
	if !found {
		return store.Document{}, store.ErrNotFound
	}
	d := list[at]
	d.Value = bytes.Clone(d.Value)
	return d, nil
}

// Apply implements store.Records.
func (m *Memory) Apply(writes []store.Write, _ store.Durability) error {
	if m.Fail != nil {
		if err := m.Fail(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		if err := m.checkKey(w.Key); err != nil {
			return err
		}
		if w.If == nil {
			continue
		}
		list, at, found := m.find(w.Key)
		if found && list[at].Version != *w.If || !found && *w.If != 0 {
			return store.ErrConflict
		}
	}
	m.last++
	m.applies++
	for _, w := range writes {
		list, at, found := m.find(w.Key)
		// Scans hold on to the old slice: each change makes a new one.
		list = slices.Clone(list)
		d := store.Document{ID: strings.Clone(w.Key.ID), Value: append([]byte{}, w.Value...), Version: m.last}
		switch {
		case w.Value == nil && found:
			list = slices.Delete(list, at, at+1)
		case w.Value == nil:
		case found:
			list[at] = d
		default:
			list = slices.Insert(list, at, d)
		}
		m.set(scope{w.Key.Tenant, w.Key.Kind}, list)
	}
	return nil
}

func (m *Memory) set(s scope, list []store.Document) {
	if m.kinds == nil {
		m.kinds = map[scope][]store.Document{}
	}
	m.kinds[s] = list
}

// Applies is how many writes were made.
func (m *Memory) Applies() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.applies
}

func (m *Memory) cut(r store.Range) (list []store.Document, from, to int) {
	list, from, _ = m.find(store.Key{Tenant: r.Tenant, Kind: r.Kind, ID: r.From})
	to = len(list)
	if r.To != "" {
		_, to, _ = m.find(store.Key{Tenant: r.Tenant, Kind: r.Kind, ID: r.To})
	}
	return list, from, max(from, to)
}

// Scan implements store.Records.
func (m *Memory) Scan(r store.Range, visit func(store.Document) bool) error {
	if err := m.check(r.Tenant, r.Kind); err != nil {
		return err
	}
	m.mu.Lock()
	list, from, to := m.cut(r)
	m.mu.Unlock()
	list = list[from:to]
	for i := range list {
		if r.Reverse {
			i = len(list) - 1 - i
		}
		d := list[i]
		d.Value = bytes.Clone(d.Value)
		if !visit(d) {
			break
		}
	}
	return nil
}

// DeleteRange implements store.Records.
func (m *Memory) DeleteRange(r store.Range, _ store.Durability) error {
	if err := m.check(r.Tenant, r.Kind); err != nil {
		return err
	}
	if m.Fail != nil {
		if err := m.Fail(); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.applies++
	list, from, to := m.cut(r)
	m.set(scope{r.Tenant, r.Kind}, slices.Delete(slices.Clone(list), from, to))
	return nil
}

// ErrPlanned is what a test lets Memory.Fail return.
var ErrPlanned = errors.New("planned failure")
