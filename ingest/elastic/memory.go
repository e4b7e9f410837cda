package elastic

import (
	"sync"

	"github.com/tiercel-io/tiercel/event"
)

// Bounds of what clients set up.
const (
	// namesMax bounds the names that are remembered.
	namesMax = 1000
	// keptBytesMax bounds what is kept of one of them; of a larger one only the
	// name is.
	keptBytesMax = 64 << 10
	// setupBytesMax bounds the body that is read: the template of a Beat has
	// thousands of fields, and a Beat does not start without it.
	setupBytesMax = 8 << 20
	// setupsMax bounds the bodies that are read at the same time.
	setupsMax = 4
)

// key names one thing that a tenant's client put.
type key struct {
	tenant event.Tenant
	kind   string
	name   string
}

// memory holds them. When it is full, further names are acknowledged and
// forgotten: a client that asks again puts again.
type memory struct {
	mu   sync.Mutex
	kept map[key]string
}

func (m *memory) put(k key, body []byte) {
	text := "{}"
	if len(body) > 0 && len(body) <= keptBytesMax {
		text = string(body)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.kept[k]; !ok && len(m.kept) >= namesMax {
		return
	}
	if m.kept == nil {
		m.kept = make(map[key]string)
	}
	m.kept[k] = text
}

func (m *memory) get(k key) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.kept[k]
	return text, ok
}
