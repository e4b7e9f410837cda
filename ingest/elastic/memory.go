package elastic

import (
	"sync"

	"github.com/tiercel-io/tiercel/event"
)

// Bounds of what clients set up.
const (
	// namesMax bounds the names that are remembered, tenantNamesMax those of one
	// tenant: an agent has some twenty.
	namesMax       = 1000
	tenantNamesMax = 250
	// keptBytesMax bounds what is kept of one of them; of a larger one only the
	// name is.
	keptBytesMax = 64 << 10
	// setupBytesMax bounds the body that is read: the template of a Beat has
	// thousands of fields, and a Beat does not start without it.
	setupBytesMax = 8 << 20
	// setupsMax bounds the bodies that are read at the same time: they pass the
	// sink by, so their memory is bounded here. tenantSetupsMax bounds those of
	// one tenant, which may come as slowly as a body may.
	setupsMax       = 16
	tenantSetupsMax = 4
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
	// names counts what each tenant has in kept, reading its bodies that are
	// being read, and read those of all.
	names, reading map[event.Tenant]int
	read           int
}

// begin takes a place for a body that is to be read; end gives it back.
func (m *memory) begin(t event.Tenant) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.read == setupsMax || m.reading[t] == tenantSetupsMax {
		return false
	}
	if m.reading == nil {
		m.reading = make(map[event.Tenant]int)
	}
	m.reading[t]++
	m.read++
	return true
}

func (m *memory) end(t event.Tenant) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.read--
	if m.reading[t]--; m.reading[t] == 0 {
		delete(m.reading, t)
	}
}

func (m *memory) put(k key, body []byte) {
	text := "{}"
	if len(body) > 0 && len(body) <= keptBytesMax {
		text = string(body)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept, m.names = make(map[key]string), make(map[event.Tenant]int)
	}
	if _, ok := m.kept[k]; !ok {
		if len(m.kept) == namesMax || m.names[k.tenant] == tenantNamesMax {
			return
		}
		m.names[k.tenant]++
	}
	m.kept[k] = text
}

func (m *memory) get(k key) (string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	text, ok := m.kept[k]
	return text, ok
}
