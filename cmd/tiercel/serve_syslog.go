package main

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/syslog"
)

// syslog opens the syslog listener whose address the setting key names.
func (s *server) syslog(p *parts, key string, c *config.Syslog) error {
	t, ok := s.tenants.Lookup(c.Tenant)
	if !ok {
		return usageError("syslog listener %s: tenant %q is not configured", c.Listen, c.Tenant)
	}
	o := syslog.Options{
		Env: s.world, Sink: s.gate, Metrics: s.metrics, Logger: s.logger,
		Grant:   ingest.Grant{Tenant: t, Source: c.Source, Token: "syslog " + c.Listen},
		Dropped: func(n int64) { s.node.Dropped(t, c.Source, n) },
	}
	if c.Transport == "udp" {
		conn, err := s.world.Net.ListenPacket(p.ctx, "udp", c.Listen)
		if err != nil {
			return &codedError{exitInput, fmt.Errorf("syslog: %w", err)}
		}
		s.addresses[key] = conn.LocalAddr().String()
		s.logger.Info("listening", "setting", key, "address", s.addresses[key], "transport", c.Transport)
		p.start(syslog.NewDatagram(onlyPackets(conn, c.Clients), o).Run)
		return nil
	}
	l, err := s.world.Net.Listen(p.ctx, "tcp", c.Listen)
	if err != nil {
		return &codedError{exitInput, fmt.Errorf("syslog: %w", err)}
	}
	var tlsConfig *tls.Config
	if c.Transport == "tls" {
		if tlsConfig, err = s.tls(s.cfg.SyslogTLS(*c)); err == nil {
			o.Certificates, err = s.senders(c, o.Grant)
		}
		if err != nil {
			return errors.Join(err, l.Close())
		}
		if o.Certificates != nil && tlsConfig.ClientAuth == tls.NoClientCert {
			// No authority: the handshake proves the key, and the key is what is known.
			tlsConfig.ClientAuth = tls.RequireAnyClientCert
		}
	}
	s.addresses[key] = l.Addr().String()
	s.logger.Info("listening", "setting", key, "address", s.addresses[key], "transport", c.Transport)
	p.start(syslog.NewStream(onlyConns(l, c.Clients), tlsConfig, o).Run)
	return nil
}

// senders are those whom a listener knows by their certificates; nil is everyone.
func (s *server) senders(c *config.Syslog, listener ingest.Grant) (map[string]ingest.Grant, error) {
	if len(c.Certificates) == 0 {
		return nil, nil
	}
	grants := make(map[string]ingest.Grant, len(c.Certificates))
	for _, entry := range c.Certificates {
		key, err := entry.Key()
		if err != nil {
			return nil, usageError("syslog listener %s: certificate %q: %w", c.Listen, entry.Match, err)
		}
		t, ok := s.tenants.Lookup(entry.Tenant)
		if !ok {
			return nil, usageError("syslog listener %s: tenant %q is not configured", c.Listen, entry.Tenant)
		}
		g := listener
		g.Tenant, g.Source = t, entry.Source
		grants[key] = g
	}
	return grants, nil
}
