package main

import (
	"errors"

	"github.com/tiercel-io/tiercel/ingest"
	"github.com/tiercel-io/tiercel/ingest/file"
	"github.com/tiercel-io/tiercel/store"
)

// files follows or imports the files of the sources that have any.
func (s *server) files(p *parts) error {
	for i := range s.cfg.Sources {
		c := &s.cfg.Sources[i]
		if len(c.Files.Paths) == 0 {
			continue
		}
		t, ok := s.tenants.Lookup(c.Tenant)
		if !ok {
			return usageError("source %q: tenant %q is not configured", c.Name, c.Tenant)
		}
		o := file.Options{
			Env: s.world, Sink: s.gate, Grant: ingest.Grant{Tenant: t, Source: c.Name, Token: "files"},
			Format: c.Format, Poll: c.Files.Poll, Metrics: s.metrics, Logger: s.logger,
			Checkpoints: &checkpoints{records: s.records, key: store.Key{Tenant: t, Kind: kindCheckpoint, ID: c.Name}},
		}
		for _, path := range c.Files.Paths {
			o.Paths = append(o.Paths, string(path))
		}
		if c.Files.Mode == "import" {
			o.Mode = file.Import
		}
		source, err := file.New(o)
		if err != nil {
			return usageError("source %q: %w", c.Name, err)
		}
		p.start(source.Run)
	}
	return nil
}

// kindCheckpoint holds how far files were read, by source.
const kindCheckpoint = "file_checkpoint"

// checkpoints keeps how far files were read.
type checkpoints struct {
	records store.Records
	key     store.Key
}

// Load implements file.Checkpoints.
func (c *checkpoints) Load() ([]byte, error) {
	doc, err := c.records.Get(c.key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return doc.Value, err
}

// Save implements file.Checkpoints.
func (c *checkpoints) Save(checkpoint []byte) error {
	return c.records.Apply([]store.Write{{Key: c.key, Value: checkpoint}}, store.Durable)
}
