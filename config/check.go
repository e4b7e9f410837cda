package config

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/tiercel-io/tiercel/event"
)

// Check returns everything that is wrong with a configuration as a whole: names
// that do not exist, addresses that collide or that are not protected, values
// that do not go together. It looks at nothing outside c.
func Check(c *Config) Faults {
	k := &checker{c: c}
	k.tenants()
	k.listeners()
	k.certificates()
	k.syslog()
	k.sources()
	k.webhooks()
	k.rest()
	return k.faults
}

type checker struct {
	c      *Config
	faults Faults
}

func (k *checker) fault(path, hint, format string, args ...any) {
	if len(k.faults) < FaultsMax {
		k.faults = append(k.faults, Fault{Place: k.c.Place(path), Key: path, Msg: fmt.Sprintf(format, args...), Hint: hint})
	}
}

func (k *checker) tenants() {
	if len(k.c.Tenants) == 0 {
		k.fault("tenants", "name at least one, or remove the key", "there is no tenant")
	}
	if len(k.c.Tenants) > TenantsMax {
		k.fault("tenants", "", "there are %d tenants, more than the limit of %d", len(k.c.Tenants), TenantsMax)
	}
	first := map[string]int{}
	for i, t := range k.c.Tenants {
		path := fmt.Sprintf("tenants[%d].name", i)
		if t.Name == "" {
			continue // the decoder has said so
		}
		if _, err := event.NewTenants([]string{t.Name}); err != nil {
			k.fault(path, "write 1 to 64 of a-z, 0-9, - and _, beginning with a letter or digit", "%q cannot be the name of a tenant", clip(t.Name))
		}
		if at, twice := first[t.Name]; twice {
			k.fault(path, "remove one of them", "the tenant %q stands at tenants[%d] too", clip(t.Name), at)
		} else {
			first[t.Name] = i
		}
	}
}

// tenant checks a reference to a tenant.
func (k *checker) tenant(path, name string) {
	names := k.c.TenantNames()
	for _, n := range names {
		if n == name {
			return
		}
	}
	if name == "" {
		if len(names) != 1 {
			k.fault(path, "choose from "+clip(strings.Join(names, ", ")), "there are several tenants, and this names none")
		}
		return
	}
	hint := "add it to tenants, or choose from " + clip(strings.Join(names, ", "))
	if near := nearest(name, names); near != "" {
		hint = fmt.Sprintf("did you mean %s?", near)
	}
	k.fault(path, hint, "there is no tenant %q", clip(name))
}

const sourceNameHint = "write 1 to 64 of a-z, A-Z, 0-9, ., - and _, beginning with a letter or digit"

func (k *checker) sources() {
	if len(k.c.Sources) > SourcesMax {
		k.fault("sources", "", "there are %d sources, more than the limit of %d", len(k.c.Sources), SourcesMax)
		return
	}
	first := map[[2]string]int{}
	for i, s := range k.c.Sources {
		path := fmt.Sprintf("sources[%d]", i)
		k.tenant(path+".tenant", s.Tenant)
		if s.Name != "" && !event.SourceName(s.Name) {
			k.fault(path+".name", sourceNameHint, "%q cannot be the name of a source", clip(s.Name))
		}
		key := [2]string{s.Tenant, s.Name}
		if at, twice := first[key]; twice && s.Name != "" {
			k.fault(path+".name", "remove one of them", "the source %q stands at sources[%d] too", clip(s.Name), at)
		} else {
			first[key] = i
		}
		if _, err := time.LoadLocation(s.Zone); err != nil || s.Zone == "" || s.Zone == "Local" {
			k.fault(path+".zone", "write a name of the IANA database, as Europe/Berlin", "%q is not a time zone", clip(s.Zone))
		}
		if s.ExpectSilence && s.Cadence > 0 {
			k.fault(path+".expect_silence", "remove it or cadence", "a source with a cadence cannot be expected to be silent")
		}
		k.silence(path+".silence", s)
		for j, f := range s.DropFields {
			if strings.TrimSpace(f) == "" {
				k.fault(fmt.Sprintf("%s.drop_fields[%d]", path, j), "name a field", "the name is empty")
			}
		}
		for j, f := range s.FilteredChannels {
			if strings.TrimSpace(f) == "" {
				k.fault(fmt.Sprintf("%s.filtered_channels[%d]", path, j), "name a channel, or write *", "the name is empty")
			}
		}
		for j, p := range s.Files.Paths {
			if p == "" {
				k.fault(fmt.Sprintf("%s.files.paths[%d]", path, j), "write a path or a pattern", "the path is empty")
			}
		}
		if s.Files.Mode == "import" && len(s.Files.Paths) == 0 {
			k.fault(path+".files.mode", "add files.paths", "there is nothing to import")
		}
	}
}

func (k *checker) certificates() {
	k.pair("http.tls", k.c.HTTP.TLS)
	for i, s := range k.c.Receivers.Syslog {
		k.pair(fmt.Sprintf("receivers.syslog[%d].tls", i), s.TLS)
	}
}

func (k *checker) pair(path string, t TLS) {
	switch {
	case t.Cert != "" && t.Key == "":
		k.fault(path+".cert", "add "+path+".key", "the certificate has no key")
	case t.Key != "" && t.Cert == "":
		k.fault(path+".key", "add "+path+".cert", "the key has no certificate")
	case t.ClientCA != "" && t.Cert == "":
		k.fault(path+".client_ca", "add "+path+".cert and "+path+".key", "clients can be asked for a certificate by TLS alone")
	}
}

func (k *checker) syslog() {
	list := k.c.Receivers.Syslog
	if len(list) > ListenersMax {
		k.fault("receivers.syslog", "", "there are %d listeners, more than the limit of %d", len(list), ListenersMax)
	}
	for i, s := range list {
		path := fmt.Sprintf("receivers.syslog[%d]", i)
		k.tenant(path+".tenant", s.Tenant)
		if !event.SourceName(s.Source) {
			k.fault(path+".source", sourceNameHint, "%q cannot be the name of a source", clip(s.Source))
		}
		switch {
		case s.Transport == "tls" && !s.TLS.On() && !k.c.HTTP.TLS.On():
			k.fault(path+".transport", "add "+path+".tls or http.tls", "tls needs a certificate")
		case s.Transport != "tls" && s.TLS != (TLS{}):
			k.fault(path+".tls", "write transport: tls, or remove it", "a certificate is of no use to transport %s", s.Transport)
		}
		k.clientCertificates(path, s)
	}
}

func (k *checker) rest() {
	c := k.c
	if c.Data == "" {
		k.fault("data", "name a folder", "there is no folder for data")
	}
	if !versionNumber(c.Receivers.Elastic.Version) {
		k.fault("receivers.elastic.version", "write three numbers with dots, as 8.19.0", "%q is not a version", clip(c.Receivers.Elastic.Version))
	}
	if c.Limits.InFlightBytes < c.Limits.BodyBytes {
		k.fault("limits.in_flight_bytes", "write at least limits.body_bytes, which is "+c.Limits.BodyBytes.String(), "not even one body would fit")
	}
	if r := c.Log.RetentionBytes; r > 0 && r < 2*c.Log.SegmentBytes {
		k.fault("log.retention_bytes", "write at least twice log.segment_bytes, which is "+c.Log.SegmentBytes.String(), "retention removes whole files, and less than two would fit")
	}
	if len(c.Content.Statuses) == 0 {
		k.fault("content.statuses", "name some, or remove the key", "no rule would be run")
	}
	if e := c.Observability.Traces.Endpoint; e != "" {
		if u, err := url.Parse(e); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			k.fault("observability.traces.endpoint", "write http://host:4318", "this is not a URL")
		}
	}
}

// versionNumber reports whether text is three numbers with dots.
func versionNumber(text string) bool {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return false
	}
	for _, p := range parts {
		if p == "" || len(p) > 4 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}
