package config_test

import (
	"testing"
	"time"

	"github.com/tiercel-io/tiercel/config"
)

func TestNoConfigurationIsOne(t *testing.T) {
	t.Parallel()
	c := config.Default()
	if c.HTTP.Listen != "127.0.0.1:8600" || c.Admin.Listen != "127.0.0.1:8601" {
		t.Errorf("ports are %s and %s", c.HTTP.Listen, c.Admin.Listen)
	}
	if got := c.TenantNames(); len(got) != 1 || got[0] != "local" {
		t.Errorf("tenants are %q", got)
	}
	s := c.Source("local", "anything")
	if s.Lateness != 5*time.Minute || s.Shards != 1 || s.Zone != "UTC" || s.Name != "anything" || s.Tenant != "local" {
		t.Errorf("a source that is not listed has %+v", s)
	}
	if c.Limits.BodyBytes != 64<<20 || c.Observability.LogLevel != "info" {
		t.Errorf("limits %+v, observability %+v", c.Limits, c.Observability)
	}
}
