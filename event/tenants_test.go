package event

import (
	"strings"
	"testing"
)

func TestTenants(t *testing.T) {
	t.Parallel()
	for _, bad := range [][]string{{""}, {"A"}, {"a b"}, {"-a"}, {"_a"}, {"a/b"}, {"a\n"}, {"ä"}, {strings.Repeat("a", TenantBytesMax+1)}, {"a", "b", "a"}} {
		if _, err := NewTenants(bad); err == nil {
			t.Errorf("NewTenants(%q) took them", bad)
		}
	}
	set, err := NewTenants([]string{"local", "acme-2", strings.Repeat("a", TenantBytesMax)})
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := set.Lookup("local"); !ok || got != LocalTenant {
		t.Errorf("Lookup(local) = %v, %v", got, ok)
	}
	if got, ok := set.Lookup("other"); ok || !got.IsZero() {
		t.Errorf("Lookup(other) = %v, %v; want none", got, ok)
	}
	if got := len(set.All()); got != 3 {
		t.Errorf("All has %d tenants, want 3", got)
	}
}
