package event

import (
	"fmt"
	"slices"
)

// TenantBytesMax bounds the name of a tenant: it stands in every key.
const TenantBytesMax = 64

// Tenants are the tenants that a configuration names. It is the one way from a
// name to a [Tenant], and immutable: names that come with a request are looked
// up, never made. It is safe for concurrent use.
type Tenants struct {
	list []Tenant
}

// NewTenants takes the names of a configuration: 1 to [TenantBytesMax] of
// a-z, 0-9, - and _, beginning with a letter or digit, each once.
func NewTenants(names []string) (*Tenants, error) {
	t := &Tenants{}
	for _, name := range names {
		if !tenantName(name) {
			return nil, fmt.Errorf("tenant %q: a name has 1 to %d of a-z, 0-9, - and _ and begins with a letter or digit", name, TenantBytesMax)
		}
		if slices.Contains(t.list, Tenant{name}) {
			return nil, fmt.Errorf("tenant %q is named twice", name)
		}
		t.list = append(t.list, Tenant{name})
	}
	return t, nil
}

func tenantName(name string) bool {
	if len(name) == 0 || len(name) > TenantBytesMax {
		return false
	}
	for i, c := range []byte(name) {
		plain := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		if !plain && (i == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return true
}

// Lookup returns the tenant of that name, and whether there is one.
func (t *Tenants) Lookup(name string) (Tenant, bool) {
	if i := slices.Index(t.list, Tenant{name}); i >= 0 {
		return t.list[i], true
	}
	return Tenant{}, false
}

// All returns the tenants in the order of the configuration. The caller owns
// the slice.
func (t *Tenants) All() []Tenant { return slices.Clone(t.list) }
