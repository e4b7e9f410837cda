package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tiercel-io/tiercel/config"
	"github.com/tiercel-io/tiercel/engine/pebble"
	"github.com/tiercel-io/tiercel/store"
)

// damagesMax bounds how often one process makes its state anew: a disk on which
// that happens more often needs a person.
const damagesMax = 3

// serveOn serves until ctx ends. Damage in the documents, wherever it is met,
// ends the server in order; they are set aside and it begins again.
func serveOn(ctx context.Context, p *process, cfg *config.Config) error {
	for damages := 1; ; damages++ {
		s := newServer(p, cfg)
		err := s.serve(ctx)
		if !errors.Is(err, pebble.ErrDamaged) || ctx.Err() != nil || damages > damagesMax {
			return err
		}
		if err := s.setAside(s.world.FS.PathJoin(string(cfg.Data), "state"), err); err != nil {
			return err
		}
	}
}

// setAside moves damaged documents away, so that the next who opens them begins
// with none: what the log still holds is decided again.
func (s *server) setAside(dir string, cause error) error {
	aside, err := pebble.SetAside(s.world.FS, dir, "damaged")
	if err != nil {
		return &codedError{exitInput, errors.Join(cause, err)}
	}
	s.logger.Error("the stored detections and state are damaged; they were set aside and are made again from the log, as far as it reaches", "folder", aside, "error", cause.Error())
	return nil
}

// watchRecords ends the server when its documents cannot be relied on any more.
func (s *server) watchRecords(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.records.Damaged():
		return fmt.Errorf("read the state: %w", pebble.ErrDamaged)
	case <-s.records.Failed():
		return fmt.Errorf("write the state: %w", store.ErrFailed)
	}
}
